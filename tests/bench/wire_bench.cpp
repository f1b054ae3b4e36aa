// Measures what the formats of activations cost in accuracy: runs the same prompts through a
// pipeline with every --wire format and compares the results with f32. Each format generates
// greedily, and then gives log-probabilities at the positions of the text that f32 has generated.
// With --outliers the model is random, with outlier channels like those of trained models
// (molink/random_model.h). The divergence (Kullback-Leibler, in nats) is over the tokens that both
// results name, and one class of all others, so it is a lower bound.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <stdexcept>

#include <fmt/format.h>
#include <molink/partitioner.h>
#include <molink/random_model.h>
#include <CLI/CLI.hpp>

#include "support/local_cluster.h"
#include "support/temp_dir.h"

namespace molink::bench {
namespace {

constexpr std::int32_t kTop = 20;

struct Flags {
    std::string model;
    std::vector<double> outliers;
    std::int32_t nodes = 3;
    std::int32_t streams = 32;
    std::int32_t tokens = 64;
};

/// The results of one format, by stream.
struct Answers {
    std::vector<std::vector<Token>> greedy;
    std::vector<std::vector<TokenLogprobs>> asked;  ///< at the positions of f32's text
    std::int64_t row_bytes = 0;
};

std::vector<Token> prompt_of(std::int32_t stream, std::int32_t vocabulary) {
    std::vector<Token> prompt;
    for (std::int32_t i = 0; i < 16; ++i) prompt.push_back((stream * 131 + i * 17) % vocabulary);
    return prompt;
}

GenerateRequest ask(std::vector<Token> prompt, std::int32_t tokens) {
    GenerateRequest request;
    request.prompt_tokens = std::move(prompt);
    request.max_tokens = tokens;
    request.ignore_eos = true;
    request.logprobs = kTop;
    return request;
}

Answers answer(const Flags& flags, DataType wire, const std::vector<std::vector<Token>>& given) {
    test::LocalClusterOptions options;
    options.model_dir = flags.model;
    options.nodes = flags.nodes;
    options.each = [](NodeOptions& node) { node.memory_bytes = std::int64_t{4} << 30; };
    options.engine = [&](EngineOptions& engine) {
        engine.wire_type = wire;
        engine.partitioner = make_even_partitioner();
        engine.max_context = 256;
        engine.max_running = flags.streams;
    };
    test::LocalCluster cluster(options);
    test::Requests requests(cluster.engine());
    Answers answers;
    const ModelSpec& model = cluster.engine().model();
    answers.row_bytes = activation_row_bytes(wire, model.hidden);
    std::vector<RequestId> ids;
    for (std::int32_t s = 0; s < flags.streams; ++s) {
        ids.push_back(requests.submit(ask(prompt_of(s, model.vocabulary), flags.tokens)));
    }
    for (RequestId id : ids) answers.greedy.push_back(requests.wait(id).front().tokens);
    const auto& line = given.empty() ? answers.greedy : given;
    for (std::int32_t s = 0; s < flags.streams; ++s) {
        std::vector<Token> prompt = prompt_of(s, model.vocabulary);
        std::vector<TokenLogprobs> asked;
        for (Token token : line[static_cast<std::size_t>(s)]) {
            asked.push_back(requests.run(ask(prompt, 1)).logprobs.front());
            prompt.push_back(token);
        }
        answers.asked.push_back(std::move(asked));
    }
    return answers;
}

/// Returns the sorted differences of the log-probabilities of tokens that both results name.
std::vector<double> differences(const Answers& a, const Answers& b) {
    std::vector<double> found;
    for (std::size_t s = 0; s < a.asked.size(); ++s) {
        for (std::size_t i = 0; i < a.asked[s].size(); ++i) {
            std::map<Token, float> other;
            for (const TokenLogprob& top : b.asked[s][i].top) other[top.token] = top.logprob;
            for (const TokenLogprob& top : a.asked[s][i].top) {
                const auto same = other.find(top.token);
                if (same != other.end()) found.push_back(std::abs(top.logprob - same->second));
            }
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

/// Returns the divergence of one position.
double divergence(const TokenLogprobs& reference, const TokenLogprobs& other) {
    std::map<Token, double> named;
    for (const TokenLogprob& top : other.top) named[top.token] = top.logprob;
    double sum = 0, rest = 1, other_rest = 1;
    for (const TokenLogprob& top : reference.top) {
        const auto same = named.find(top.token);
        if (same == named.end()) continue;
        const double logprob = top.logprob;
        sum += std::exp(logprob) * (logprob - same->second);
        rest -= std::exp(logprob);
        other_rest -= std::exp(same->second);
    }
    if (rest <= 1e-9 || other_rest <= 1e-9) return sum;
    return sum + rest * std::log(rest / other_rest);
}

double mean_divergence(const Answers& reference, const Answers& answers) {
    double sum = 0;
    std::size_t positions = 0;
    for (std::size_t s = 0; s < reference.asked.size(); ++s) {
        for (std::size_t i = 0; i < reference.asked[s].size(); ++i, ++positions) {
            sum += divergence(reference.asked[s][i], answers.asked[s][i]);
        }
    }
    return sum / static_cast<double>(positions);
}

void compare(std::string_view name, const Answers& reference, const Answers& answers) {
    std::size_t positions = 0, same_choice = 0, same_streams = 0, common = 0;
    for (std::size_t s = 0; s < reference.greedy.size(); ++s) {
        const auto& expected = reference.greedy[s];
        const auto& got = answers.greedy[s];
        same_streams += expected == got ? 1 : 0;
        common += static_cast<std::size_t>(
            std::mismatch(expected.begin(), expected.end(), got.begin()).first - expected.begin());
        for (std::size_t i = 0; i < expected.size(); ++i, ++positions) {
            same_choice += answers.asked[s][i].top.front().token == expected[i] ? 1 : 0;
        }
    }
    const std::vector<double> apart = differences(reference, answers);
    const auto at = [&](double share) {
        return apart[static_cast<std::size_t>(share * static_cast<double>(apart.size() - 1))];
    };
    const auto streams = static_cast<double>(reference.greedy.size());
    fmt::print(
        "{:<6}{:>10}{:>9.1f}%{:>12.6f}{:>12.5f}{:>12.5f}{:>12.5f}{:>13.2f}%{:>12.1f}{:>9.0f}%\n",
        name, answers.row_bytes,
        100.0 * static_cast<double>(answers.row_bytes) / static_cast<double>(reference.row_bytes),
        mean_divergence(reference, answers), at(0.5), at(0.99), apart.back(),
        100.0 * static_cast<double>(same_choice) / static_cast<double>(positions),
        static_cast<double>(common) / streams, 100.0 * static_cast<double>(same_streams) / streams);
}

/// Writes a random model of 31 million weights with the outliers that the flags ask for.
void write_model(const Flags& flags, const std::filesystem::path& dir) {
    RandomModelOptions options;
    options.shape.hidden = 576;
    options.shape.layers = 8;
    options.shape.q_heads = 9;
    options.shape.kv_heads = 3;
    options.shape.ffn = 1536;
    options.shape.vocabulary = 2048;
    options.outliers = flags.outliers;
    options.embedding_gain = std::sqrt(576.0);
    options.sublayer_gain = 1 / std::sqrt(16.0);
    options.logit_gain = 4;
    const Status written = write_random_model(dir, options);
    if (!written.ok()) throw std::runtime_error(written.to_string());
}

void run(const Flags& flags) {
    fmt::print("{}: {} stages, {} streams of {} greedy tokens, against f32\n", flags.model,
               flags.nodes, flags.streams, flags.tokens);
    fmt::print("{:<6}{:>10}{:>10}{:>12}{:>12}{:>12}{:>12}{:>14}{:>12}{:>10}\n", "wire", "row bytes",
               "of f32", "divergence", "logp p50", "logp p99", "logp max", "same choice", "common",
               "streams");
    const Answers reference = answer(flags, DataType::f32, {});
    for (DataType wire : {DataType::f32, DataType::bf16, DataType::f16, DataType::int8}) {
        compare(data_type_name(wire), reference, answer(flags, wire, reference.greedy));
        std::fflush(stdout);
    }
}

}  // namespace
}  // namespace molink::bench

int main(int argc, char** argv) {
    molink::bench::Flags flags;
    flags.model = MOLINK_SOURCE_DIR "/examples/models/kjv";
    CLI::App app("Measures what the formats of activations cost in accuracy.");
    app.add_option("--model", flags.model, "folder of the model");
    app.add_option("--outliers", flags.outliers,
                   "instead: a random model with channels that are these many times larger")
        ->delimiter(',');
    app.add_option("--nodes", flags.nodes, "stages")->check(CLI::Range(2, 16));
    app.add_option("--streams", flags.streams, "prompts")->check(CLI::Range(1, 256));
    app.add_option("--tokens", flags.tokens, "tokens that each prompt generates")
        ->check(CLI::Range(1, 200));
    CLI11_PARSE(app, argc, argv);
    try {
        const TempDir dir;
        if (!flags.outliers.empty()) {
            flags.model = (dir / "outliers").string();
            molink::bench::write_model(flags, flags.model);
        }
        molink::bench::run(flags);
    } catch (const std::exception& error) {
        fmt::print(stderr, "wire_bench: {}\n", error.what());
        return 1;
    }
    return 0;
}
