#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
    Status load();

    /// What tells one version of the file from another.
    struct Version {
        std::uint64_t inode = 0;
        std::int64_t bytes = 0;
        std::int64_t modified_ns = 0;
        friend bool operator==(const Version&, const Version&) = default;
    };
    Version version() const;

    std::string path_;
    Version version_;
    AccessList list_;
};

/// Changes an access file: drops the lines about `removed`, unless it is null, and appends
/// `line`, unless it is empty. Other lines stay as they are. The file is replaced at once, under a
/// lock that other calls of this function respect, and made with mode 0600 if it does not exist.
/// `check` sees the list before and may refuse. Errors: those of AccessFile::open and of `check`;
/// unavailable when the file cannot be written.
Status edit_access_file(const std::string& path, const PublicKey* removed, std::string_view line,
                        const std::function<Status(const AccessList&)>& check);

}  // namespace molink
