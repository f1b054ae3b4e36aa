#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "security/access.h"

namespace molink {

/// Access by a file that people and `molink-key` edit while the head runs. Thread: the node's loop.
class AccessFile final : public AccessControl {
public:
    /// Errors: those of read_text_file and AccessList::parse; failed_precondition when others than
    /// the owner may write the file.
    static Result<std::unique_ptr<AccessFile>> open(const std::string& path);

    Access access(const PublicKey& key) const override;
    Status enrol(const PublicKey& pass, const PublicKey& key, std::string_view name) override;
    Result<bool> refresh() override;

private:
    explicit AccessFile(std::string path) : path_(std::move(path)) {}
    Status load(bool report);

    /// What tells one version of the file from another.
    struct Version {
        std::uint64_t inode = 0;
        std::int64_t bytes = 0;
        std::int64_t modified_ns = 0;
        friend bool operator==(const Version&, const Version&) = default;
    };
    Version version() const;

    std::string path_;
    Version version_;  // of what list_ is
    Version seen_;     // by the last refresh(), if it differs
    AccessList list_;
};

/// A change of an access file.
struct AccessEdit {
    std::optional<PublicKey> removed;  ///< whose lines are dropped
    std::string line;                  ///< appended, unless it is empty
};

/// Changes an access file as `decide` says, which sees the list before and may refuse. Other lines
/// stay as they are. The file is replaced at once, under a lock that other calls of this function
/// respect, keeps its owner, and is made with mode 0600 if it does not exist. With `wait` false a
/// lock that is held is an error. Errors: those of AccessFile::open and of `decide`;
/// resource_exhausted when the file would become too large to be read; unavailable when it cannot
/// be written or is locked.
Status edit_access_file(const std::string& path,
                        const std::function<Result<AccessEdit>(const AccessList&)>& decide,
                        bool wait = true);

}  // namespace molink
