// Reads the files that the rules check, which are written by hand. Data and build folders are
// skipped.
#include "tree.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace molink::tidy {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFolders = {"include", "lib", "capi", "examples", "tests", "cmake"};
constexpr std::array kExtensions = {".h",   ".c",     ".cpp", ".cu", ".cuh",
                                    ".txt", ".cmake", ".fbs", ".sh", ".py"};

bool is_source(const fs::path& path) {
    const bool known =
        std::find(kExtensions.begin(), kExtensions.end(), path.extension()) != kExtensions.end();
    // A .txt that is not a CMakeLists.txt is data.
    return known && (path.extension() != ".txt" || path.filename() == "CMakeLists.txt");
}

SourceFile read_source(const fs::path& root, const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return SourceFile(fs::relative(path, root).generic_string(), text);
}

}  // namespace

std::vector<SourceFile> read_tree(const std::string& root) {
    std::vector<SourceFile> files;
    files.push_back(read_source(root, fs::path(root) / "CMakeLists.txt"));
    for (const char* folder : kFolders) {
        const fs::path top = fs::path(root) / folder;
        if (!fs::exists(top)) continue;
        for (auto it = fs::recursive_directory_iterator(top); it != fs::end(it); ++it) {
            const std::string name = it->path().filename().string();
            if (it->is_directory() && (name == "data" || name == "build" || name[0] == '.')) {
                it.disable_recursion_pending();
            } else if (it->is_regular_file() && is_source(it->path())) {
                files.push_back(read_source(root, it->path()));
            }
        }
    }
    std::sort(files.begin(), files.end(),
              [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
    return files;
}

}  // namespace molink::tidy
