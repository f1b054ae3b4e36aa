// Measures how long loading a model takes, as a stage with all layers does it: once with files that
// are not in the page cache (as far as the system follows the hint to drop them) and then with
// files that are. Last it reads and hashes all tensors with one thread, as a head does for the
// layers of other nodes when it has no manifest. Prints seconds and GB/s of stored bytes.
// Arguments: folder, threads (0: all cores), repetitions, native or q8_0.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "bench_machine.h"
#include "loader/checkpoint.h"
#include "loader/config_file.h"
#include "model/model.h"

namespace {

using namespace molink;

template <typename T>
T must(Result<T> result) {
    if (result) return std::move(result).value();
    std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
    std::exit(1);
}

/// Asks the system to drop the pages of a file. Returns false when the file cannot be opened.
bool drop_pages(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    ::fdatasync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
    return true;
}

struct Measured {
    double seconds = 0;
    std::uint64_t bytes = 0;
};

Measured load(const std::string& dir, int threads, WeightFormat format) {
    const Checkpoint checkpoint = must(Checkpoint::open(dir));
    const Described described = must(describe_model(must(ConfigFile::load(dir))));
    const auto backend = must(open_device("cpu", threads));
    const ModelSpec& spec = described.spec;
    const double begin = molink::bench::now_s();
    const auto model = must(Model::load(*backend, checkpoint, described,
                                        {{0, spec.layers}, true, true}, format, {64, 64, 8, 16}));
    Measured measured;
    measured.seconds = molink::bench::now_s() - begin;
    for (const std::string& file : checkpoint.files()) {
        measured.bytes += std::filesystem::file_size(file);
    }
    return measured;
}

Measured check(const std::string& dir) {
    const Checkpoint checkpoint = must(Checkpoint::open(dir));
    Measured measured;
    const double begin = molink::bench::now_s();
    for (const std::string& name : checkpoint.names()) {
        const StoredTensor tensor = must(checkpoint.tensor(name));
        measured.bytes += tensor.bytes;
        must(hash_tensor(checkpoint, tensor));
    }
    measured.seconds = molink::bench::now_s() - begin;
    return measured;
}

void print(const char* what, const Measured& measured) {
    std::printf("%-5s %7.3f s  %6.2f GB/s\n", what, measured.seconds,
                static_cast<double>(measured.bytes) / 1e9 / measured.seconds);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: load_bench DIR [threads] [repetitions] [native|q8_0]\n");
        return 2;
    }
    const std::string dir = argv[1];
    const int threads = argc > 2 ? std::atoi(argv[2]) : 0;
    const int repetitions = argc > 3 ? std::atoi(argv[3]) : 5;
    const bool q8 = argc > 4 && std::strcmp(argv[4], "q8_0") == 0;
    const WeightFormat format = q8 ? WeightFormat::q8_0 : WeightFormat::native;
    for (const std::string& file : must(Checkpoint::open(dir)).files()) drop_pages(file);
    print("cold", load(dir, threads, format));
    std::vector<double> times;
    Measured warm;
    for (int i = 0; i < repetitions; ++i) {
        warm = load(dir, threads, format);
        times.push_back(warm.seconds);
    }
    warm.seconds = molink::bench::median(times);
    print("warm", warm);
    print("check", check(dir));
    return 0;
}
