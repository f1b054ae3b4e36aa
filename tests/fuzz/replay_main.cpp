// Runs a fuzz target on files without libFuzzer, so that every build replays the corpus. Each file
// is copied to a block of its own size, so that the sanitizers see a read beyond its end. After a
// failure, the last printed line is the command that repeats it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> inputs(int count, char** arguments) {
    std::vector<fs::path> files;
    for (int i = 1; i < count; ++i) {
        const fs::path path = arguments[i];
        if (!fs::is_directory(path)) {
            files.push_back(path);
            continue;
        }
        for (const auto& entry : fs::directory_iterator(path)) {
            if (entry.is_regular_file()) files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

void run(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> content{std::istreambuf_iterator<char>(stream),
                                    std::istreambuf_iterator<char>()};
    const auto bytes = std::make_unique<std::uint8_t[]>(content.size());
    std::copy(content.begin(), content.end(), bytes.get());
    LLVMFuzzerTestOneInput(bytes.get(), content.size());
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<fs::path> files = inputs(count, arguments);
    if (files.empty()) {
        std::fprintf(stderr, "usage: %s FILE-OR-FOLDER...; no input was found\n", arguments[0]);
        return EXIT_FAILURE;
    }
    for (const fs::path& file : files) {
        std::printf("%s %s\n", arguments[0], file.c_str());
        std::fflush(stdout);
        run(file);
    }
    std::printf("%zu inputs\n", files.size());
    return EXIT_SUCCESS;
}
