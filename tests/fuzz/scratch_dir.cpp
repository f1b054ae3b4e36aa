// Files for parsers that read files. All inputs of a process use one folder, so that an input costs
// a write but no new folder.
#include "scratch_dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "fuzz_input.h"

namespace molink::fuzz {

namespace fs = std::filesystem;

ScratchDir::ScratchDir() {
    const fs::path memory = "/dev/shm";
    const fs::path base = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    path_ = (base / "molink-fuzz-XXXXXX").string();
    FUZZ_CHECK(mkdtemp(path_.data()) != nullptr);
}

ScratchDir::~ScratchDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

std::string ScratchDir::write(const std::string& name, std::string_view content, std::size_t hole) {
    const std::string file = path_ + "/" + name;
    {
        std::ofstream out(file, std::ios::binary | std::ios::trunc);
        out.write(content.data(), static_cast<std::streamsize>(content.size()));
        FUZZ_CHECK(out.good());
    }
    if (hole > 0) fs::resize_file(file, content.size() + hole);
    return file;
}

void ScratchDir::remove(const std::string& name) {
    std::error_code ignored;
    fs::remove(path_ + "/" + name, ignored);
}

}  // namespace molink::fuzz
