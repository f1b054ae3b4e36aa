#pragma once

#include <cstddef>
#include <cstdint>

#include <molink/status.h>

#include "backend/op_args.h"

namespace molink {

/// A point in a stream, after everything that was enqueued before it.
struct Mark {
    std::uint64_t index = 0;
};

/// A queue of work for one device, which runs in the order of the calls. A call returns when its
/// work is enqueued; if the device computes on the caller's thread, the work is then done. Memory
/// that ops read and write must live until a later mark has been waited for. Ops do not allocate
/// and return nothing; wait() returns the errors of the device. Wrong arguments are programmer
/// errors. Thread: one caller at a time for a backend and its streams together.
class Stream {
public:
    virtual ~Stream() = default;

    virtual void embed(const EmbedArgs& args) = 0;
    virtual void rms_norm(const RmsNormArgs& args) = 0;
    virtual void add(const AddArgs& args) = 0;
    virtual void add_bias(const AddBiasArgs& args) = 0;
    virtual void gate(const GateArgs& args) = 0;
    virtual void rope(const RopeArgs& args) = 0;
    virtual void kv_write(const KvWriteArgs& args) = 0;
    virtual void attention(const AttentionArgs& args) = 0;
    virtual void gather_rows(const GatherRowsArgs& args) = 0;
    virtual void convert(const ConvertArgs& args) = 0;
    virtual void scale_cap(const ScaleCapArgs& args) = 0;
    virtual void argmax(const ArgmaxArgs& args) = 0;
    virtual void matmul(const MatmulArgs& args) = 0;

    /// Copies from a buffer of Backend::allocate_host to one of Backend::allocate. `from` must not
    /// change until a later mark has been waited for.
    virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
    /// Copies from a buffer of Backend::allocate to one of Backend::allocate_host. `to` holds the
    /// values once a later mark has been waited for.
    virtual void download(void* to, const void* from, std::size_t bytes) = 0;

    /// The number of marks of one stream that stay valid. record() makes the mark invalid that was
    /// recorded this many calls before.
    static constexpr std::uint64_t kLiveMarks = 64;
    virtual Mark record() = 0;
    /// Work that is enqueued from now on runs after `mark` of `other`, a stream of the same
    /// backend. An error of `other` becomes an error of this stream.
    virtual void after(Stream& other, Mark mark) = 0;
    /// Returns when everything before `mark` is done. Errors: the first error of the stream, which
    /// names device and op. The stream then does nothing more, and every wait returns that error.
    virtual Status wait(Mark mark) = 0;
    /// Returns the time that the device took between two marks, us. Both must have been waited for.
    virtual std::int64_t elapsed_us(Mark begin, Mark end) const = 0;
};

}  // namespace molink
