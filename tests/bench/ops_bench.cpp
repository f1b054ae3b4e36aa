// Compares the speed of the CPU backend with what the machine can do: decode with the memory's read
// bandwidth, prefill with OpenBLAS. Repeats are interleaved (memory, OpenBLAS and one type, then
// the next type), so that a busy moment affects both sides of a share. Prints medians of the
// repeats and of their shares.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "bench_machine.h"
#include "bench_model.h"

namespace molink::bench {
namespace {

constexpr int kTokens = 4;
constexpr std::array kBatches{2, 4, 5, 6, 7, 8, 11, 16, kMaxBatch};
/// Rows of the slices in which a prompt is computed. It is also computed as a whole.
constexpr std::array kSlices{16, 64};

struct Options {
    std::vector<int> threads{1, 2};
    std::vector<DataType> types{DataType::bf16, DataType::f16, DataType::f32, DataType::q8_0};
    int repeats = 5;
    int context = 128;  // positions of a decoding sequence
    int prompt = 128;   // tokens of the prompt that is computed in slices
    const char* json = nullptr;
};

using Times = std::map<std::string, std::vector<double>>;
using RowTimes = std::map<int, std::vector<double>>;  // ms by rows

struct TypeResult {
    std::size_t bytes = 0;
    std::vector<double> decode_ms, decode_share, prefill_ms, prefill_share;
    RowTimes batch_ms, slice_ms;
    Times decode_ops, prefill_ops;  // ms by kind of op

    double gb_per_s() const { return static_cast<double>(bytes) / median(decode_ms) / 1e6; }
    double gflops() const { return BenchModel::flops(kMaxRows) / median(prefill_ms) / 1e6; }
};

struct Result {
    int threads = 0;
    std::string description;
    std::vector<double> read, sgemm;  // GB/s, GFLOP/s
    std::map<DataType, TypeResult> types;
};

void keep(BenchModel& model, double calls, Times& times) {
    for (const auto& [kind, seconds] : model.seconds) times[kind].push_back(seconds * 1e3 / calls);
    model.seconds.clear();
}

void time_batches(BenchModel& model, const Weights& weights, RowTimes& times) {
    for (const int sequences : kBatches) {
        const double begin_s = now_s();
        model.decode(weights, sequences);
        times[sequences].push_back((now_s() - begin_s) * 1e3);
    }
}

/// Adds the mean time of a prompt's slices, in ms, for each size of slice.
void time_slices(BenchModel& model, const Weights& weights, int prompt, RowTimes& times) {
    for (const int rows : kSlices) {
        const int slices = std::max(prompt / rows, 1);
        const double begin_s = now_s();
        for (int i = 0; i < slices; ++i) model.prefill(weights, i * rows, rows);
        times[rows].push_back((now_s() - begin_s) * 1e3 / slices);
    }
}

void measure(BenchModel& model, const Weights& weights, const Result& machine, int prompt,
             TypeResult& out) {
    out.bytes = weights.bytes();
    model.seconds.clear();
    double begin_s = now_s();
    for (int i = 0; i < kTokens; ++i) model.decode(weights, 1);
    const double token_s = (now_s() - begin_s) / kTokens;
    keep(model, kTokens, out.decode_ops);
    out.decode_ms.push_back(token_s * 1e3);
    out.decode_share.push_back(static_cast<double>(out.bytes) / token_s / 1e9 /
                               machine.read.back());
    begin_s = now_s();
    model.prefill(weights, 0, kMaxRows);
    const double prompt_s = now_s() - begin_s;
    keep(model, 1, out.prefill_ops);
    out.prefill_ms.push_back(prompt_s * 1e3);
    time_batches(model, weights, out.batch_ms);
    time_slices(model, weights, prompt, out.slice_ms);
    model.seconds.clear();
    if (machine.sgemm.back() > 0) {
        const double gflops = BenchModel::flops(kMaxRows) / prompt_s / 1e9;
        out.prefill_share.push_back(gflops / machine.sgemm.back());
    }
}

void print_rows(const char* what, const RowTimes& times) {
    for (const auto& [rows, ms] : times) {
        std::printf("        %s %d: %.2f ms, %.0f tokens/s\n", what, rows, median(ms),
                    rows / median(ms) * 1e3);
    }
}

void print_ops(const char* what, const Times& times) {
    std::printf("        %s by op, ms:", what);
    for (const auto& [kind, ms] : times) std::printf(" %s %.3f", kind.c_str(), median(ms));
    std::printf("\n");
}

void print(const Result& result) {
    std::printf("\n%d threads (%s)\n", result.threads, result.description.c_str());
    std::printf("  memory read %.1f GB/s", median(result.read));
    if (openblas_kernel().empty()) {
        std::printf("; built without OpenBLAS, so shares of it are 0\n");
    } else {
        std::printf(", OpenBLAS (%s) sgemm %.1f GFLOP/s\n", openblas_kernel().c_str(),
                    median(result.sgemm));
    }
    for (const auto& [type, r] : result.types) {
        std::printf("  %-5s decode %.1f MB: %.2f ms, %.1f GB/s, %.0f %% of read\n",
                    std::string(data_type_name(type)).c_str(), static_cast<double>(r.bytes) / 1e6,
                    median(r.decode_ms), r.gb_per_s(), 100 * median(r.decode_share));
        std::printf("        prefill %d tokens: %.1f ms, %.1f GFLOP/s, %.0f %% of OpenBLAS\n",
                    static_cast<int>(kMaxRows), median(r.prefill_ms), r.gflops(),
                    100 * median(r.prefill_share));
        print_rows("decode, sequences", r.batch_ms);
        print_rows("slice, tokens", r.slice_ms);
        print_rows("prompt, tokens", {{static_cast<int>(kMaxRows), r.prefill_ms}});
        print_ops("decode", r.decode_ops);
        print_ops("prefill", r.prefill_ops);
    }
}

void write_json(const char* path, const std::vector<Result>& results) {
    std::FILE* file = std::fopen(path, "w");
    if (file == nullptr) {
        std::fprintf(stderr, "ops_bench: cannot write %s\n", path);
        std::exit(1);
    }
    std::fprintf(file, "{\"cpu\": \"%s\", \"runs\": [", cpu_model().c_str());
    const char* comma = "";
    for (const Result& result : results) {
        std::fprintf(file, "%s\n  {\"threads\": %d, \"backend\": \"%s\", \"read_gb_s\": %.3f, ",
                     comma, result.threads, result.description.c_str(), median(result.read));
        std::fprintf(file, "\"openblas_gflop_s\": %.3f, \"types\": {", median(result.sgemm));
        const char* inner = "";
        for (const auto& [type, r] : result.types) {
            std::fprintf(file, "%s\n    \"%s\": {\"bytes\": %zu, \"decode_ms\": %.4f, ", inner,
                         std::string(data_type_name(type)).c_str(), r.bytes, median(r.decode_ms));
            std::fprintf(file, "\"decode_gb_s\": %.3f, \"decode_share\": %.4f, ", r.gb_per_s(),
                         median(r.decode_share));
            std::fprintf(file, "\"prefill_ms\": %.3f, \"prefill_gflop_s\": %.3f, ",
                         median(r.prefill_ms), r.gflops());
            for (const auto& [name, times] :
                 {std::pair("batch", &r.batch_ms), {"slice", &r.slice_ms}}) {
                for (const auto& [rows, ms] : *times) {
                    std::fprintf(file, "\"%s_%d_ms\": %.4f, ", name, rows, median(ms));
                }
            }
            std::fprintf(file, "\"prefill_share\": %.4f}", median(r.prefill_share));
            inner = ",";
        }
        std::fprintf(file, "}}");
        comma = ",";
    }
    std::fprintf(file, "\n]}\n");
    std::fclose(file);
}

void run(const Options& options) {
    std::printf("cpu: %s; %d tokens of context in decode, slices of a prompt of %d\n",
                cpu_model().c_str(), options.context, options.prompt);
    SgemmBench sgemm;
    std::map<DataType, Weights> weights;
    std::vector<Result> results;
    std::vector<std::unique_ptr<Backend>> backends;
    std::vector<std::unique_ptr<BenchModel>> models;
    for (const int threads : options.threads) {
        BackendOptions backend_options;
        backend_options.threads = threads;
        auto backend = make_backend("cpu", backend_options);
        if (!backend) {
            std::fprintf(stderr, "ops_bench: %s\n", backend.status().to_string().c_str());
            std::exit(1);
        }
        backends.push_back(std::move(*backend));
        models.push_back(std::make_unique<BenchModel>(*backends.back(), options.context));
        Result result;
        result.threads = threads;
        result.description = backends.back()->description();
        results.push_back(std::move(result));
    }
    for (const DataType type : options.types) {
        weights.emplace(type, Weights::make(*backends.back(), type));
    }
    ReadBench read(*backends.back(), std::size_t{512} << 20);
    for (int repeat = 0; repeat < options.repeats; ++repeat) {
        for (std::size_t i = 0; i < results.size(); ++i) {
            ThreadPool pool(results[i].threads);
            read.run(pool);
            sgemm.run(results[i].threads);
            for (const DataType type : options.types) {
                results[i].read.push_back(read.run(pool));
                results[i].sgemm.push_back(sgemm.run(results[i].threads));
                measure(*models[i], weights.at(type), results[i], options.prompt,
                        results[i].types[type]);
            }
        }
    }
    for (const Result& result : results) print(result);
    if (options.json != nullptr) write_json(options.json, results);
}

bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        const char* value = argv[i + 1];
        if (name == "--threads") {
            options.threads = {std::max(1, std::atoi(value))};
        } else if (name == "--repeats") {
            options.repeats = std::max(1, std::atoi(value));
        } else if (name == "--context") {
            options.context = std::clamp(std::atoi(value), 1, static_cast<int>(kMaxRows));
        } else if (name == "--prompt") {
            options.prompt = std::clamp(std::atoi(value), 1, static_cast<int>(kMaxRows));
        } else if (name == "--json") {
            options.json = value;
        } else if (name == "--type") {
            const std::vector<DataType> all = options.types;
            options.types.clear();
            for (const DataType type : all) {
                if (data_type_name(type) == value) options.types.push_back(type);
            }
            if (options.types.empty()) return false;
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

}  // namespace
}  // namespace molink::bench

int main(int argc, char** argv) {
    molink::bench::Options options;
    if (!molink::bench::parse(argc, argv, options)) {
        std::fprintf(stderr,
                     "usage: ops_bench [--threads N] [--type bf16|f16|f32|q8_0] [--repeats N] "
                     "[--context N] [--prompt N] [--json FILE]\n"
                     "--context: tokens of each decoding sequence; --prompt: tokens of the prompt "
                     "that is computed in slices\n");
        return 2;
    }
    molink::bench::run(options);
    return 0;
}
