#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include <molink/status.h>

#include "base/log.h"
#include "model/checked_model.h"
#include "model/model.h"
#include "tensor/tensor_hash.h"

namespace molink {

/// What the head thinks of the tensors that a stage has loaded.
struct TensorVerdict {
    enum class Kind {
        waits,   ///< the head still reads its own files; ask again
        right,   ///< they are those of the head's model
        wrong,   ///< the stage has loaded something else
        broken,  ///< the head's own files cannot be trusted
    };
    Kind kind = Kind::waits;
    Status status;  ///< wrong and broken: names tensor and values, and who has which
};

/// Compares what stages have loaded with the model of the head. This finds faults of disks, copies
/// and downloads. It is no defence against a node that lies. Thread: the head's loop.
class TensorCheck {
public:
    virtual ~TensorCheck() = default;
    /// A stage with this part is going to load on another process.
    virtual void expect(const ModelPart& part) = 0;
    /// Judges what the stage of node `node` with this part has loaded. `own`: it is a stage of the
    /// head, so its tensors are the head's files.
    virtual TensorVerdict judge(const ModelPart& part, std::span<const LoadedTensor> tensors,
                                const std::string& node, bool own) = 0;
};

struct FolderCheckOptions {
    std::shared_ptr<const OpenedModel> model;
    std::uint64_t model_hash = 0;
    Log log;
    /// Called from another thread when judge() may have another answer. It must not block.
    std::function<void()> notify;
};

/// Makes a check against the model folder of the head. Hashes come from the manifest, from the
/// head's own stages, or from reading the folder on a thread of its own. They are kept in the
/// manifest (see TensorManifest).
std::unique_ptr<TensorCheck> make_folder_check(FolderCheckOptions options);

}  // namespace molink
