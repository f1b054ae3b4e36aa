#pragma once

#include <string>
#include <string_view>

namespace molink::fuzz {

/// A folder for one process, in memory if the system supports it. The destructor removes it.
class ScratchDir {
public:
    ScratchDir();
    ~ScratchDir();
    ScratchDir(const ScratchDir&) = delete;
    ScratchDir& operator=(const ScratchDir&) = delete;

    const std::string& path() const { return path_; }
    /// Replaces the file `name` by `content`, followed by `hole` zero bytes that take no memory.
    /// Returns its path.
    std::string write(const std::string& name, std::string_view content, std::size_t hole = 0);
    void remove(const std::string& name);

private:
    std::string path_;
};

}  // namespace molink::fuzz
