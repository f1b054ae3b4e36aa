// molink-generate: a head for one job. Accepts workers, shows the split of the model, streams the
// text of one prompt or runs a file of prompts, and prints the times. Also writes random models for
// benchmarks. Exit status: 0 success, 1 a request failed, 2 wrong flags or input, 3 the cluster
// could not be built.
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <mutex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <molink/engine.h>
#include <molink/random_model.h>

#include "common/console.h"
#include "common/flag_sources.h"
#include "common/head_flags.h"

namespace molink::examples {
namespace {

struct GenerateFlags {
    HeadFlags head;
    std::string prompt;
    std::string prompts_file;
    std::vector<Token> prompt_ids;
    int max_tokens = 128;
    double temperature = 0;
    std::int64_t seed = -1;
    bool ignore_eos = false;
    bool json = false;
    bool hash_logits = false;
    std::vector<std::string> make_random;
};

/// Result of one request.
struct Outcome {
    std::string text;
    std::vector<Token> tokens;
    RequestEvent last;
    bool done = false;
};

int fail(const Status& status, int code) {
    say(fmt::format("molink-generate: {}\n", status.message()));
    return code;
}

Status bad(const std::string& text) {
    return Status(StatusCode::invalid_argument, text);
}

void add_flags(CLI::App& app, GenerateFlags& flags) {
    add_head_flags(app, flags.head);
    app.add_option("--prompt", flags.prompt, "text to continue");
    app.add_option("--prompts", flags.prompts_file,
                   "file with one prompt per line; - is standard input");
    app.add_option("--prompt-ids", flags.prompt_ids, "token ids, for models without a tokenizer")
        ->delimiter(',');
    app.add_option("--max-tokens", flags.max_tokens,
                   "maximum number of tokens to generate; 0: as many as the context holds")
        ->capture_default_str();
    app.add_option("--temperature", flags.temperature, "temperature of sampling; 0: greedy")
        ->capture_default_str();
    app.add_option("--seed", flags.seed, "seed of sampling or of --make-random (default: random)");
    app.add_flag("--ignore-eos", flags.ignore_eos, "continue after the end-of-sequence token");
    app.add_flag("--json", flags.json, "write one JSON object per request to standard output");
    app.add_flag("--hash-logits", flags.hash_logits,
                 "with --json: add a hash of the logits of each position");
    app.add_option("--make-random", flags.make_random,
                   "160m|1b DIR: write a model with random weights and exit")
        ->expected(2);
}

int make_random(const GenerateFlags& flags) {
    auto shape = shape_by_name(flags.make_random[0]);
    if (!shape) return fail(shape.error(), 2);
    RandomModelOptions options;
    options.shape = *shape;
    if (flags.seed >= 0) options.seed = static_cast<std::uint64_t>(flags.seed);
    ProgressLine line;
    const Status written = write_random_model(
        flags.make_random[1], options, [&](std::int64_t done, std::int64_t total) {
            const int percent = static_cast<int>(done * 100 / std::max<std::int64_t>(total, 1));
            line.show(fmt::format("writing {}: {} %", flags.make_random[1], percent), percent);
        });
    line.finish();
    return written.ok() ? 0 : fail(written, 1);
}

Result<std::vector<GenerateRequest>> read_requests(const GenerateFlags& flags) {
    const int given = (flags.prompt.empty() ? 0 : 1) + (flags.prompts_file.empty() ? 0 : 1) +
                      (flags.prompt_ids.empty() ? 0 : 1);
    if (given != 1) return bad("give one of --prompt TEXT, --prompts FILE and --prompt-ids LIST");
    std::vector<GenerateRequest> requests;
    GenerateRequest request;
    request.max_tokens = flags.max_tokens;
    request.ignore_eos = flags.ignore_eos;
    request.hash_logits = flags.hash_logits;
    request.sampling.temperature = static_cast<float>(flags.temperature);
    if (flags.seed >= 0) request.sampling.seed = static_cast<std::uint64_t>(flags.seed);
    if (flags.prompts_file.empty()) {
        request.prompt = flags.prompt;
        request.prompt_tokens = flags.prompt_ids;
        requests.push_back(std::move(request));
        return requests;
    }
    std::ifstream file;
    if (flags.prompts_file != "-") {
        file.open(flags.prompts_file);
        if (!file) return bad(fmt::format("--prompts {}: cannot be read", flags.prompts_file));
    }
    std::istream& lines = flags.prompts_file == "-" ? std::cin : file;
    for (std::string text; std::getline(lines, text);) {
        if (text.empty()) continue;
        request.prompt = text;
        requests.push_back(request);
    }
    if (requests.empty())
        return bad(fmt::format("--prompts {}: the file has no prompts", flags.prompts_file));
    return requests;
}

void print_json(const Outcome& outcome) {
    const RequestEvent& last = outcome.last;
    nlohmann::json object;
    object["text"] = outcome.text;
    object["tokens"] = outcome.tokens;
    object["finish_reason"] = std::string(finish_reason_name(last.finish_reason));
    object["ttft_ms"] = static_cast<double>(last.time_to_first_token_us) / 1000;
    const double seconds = static_cast<double>(last.total_us - last.time_to_first_token_us) / 1e6;
    const auto decoded = static_cast<double>(outcome.tokens.size()) - 1;
    object["tokens_per_s"] = seconds > 0 && decoded > 0 ? decoded / seconds : 0.0;
    if (!last.status.ok()) object["error"] = last.status.to_string();
    if (!last.logit_hashes.empty()) {
        auto& hashes = object["logit_hashes"] = nlohmann::json::array();
        for (std::uint64_t hash : last.logit_hashes) hashes.push_back(fmt::format("{:016x}", hash));
    }
    fmt::print("{}\n", object.dump());
    std::fflush(stdout);
}

/// Runs all requests. The outcomes have the order of the requests.
class Job {
public:
    Job(Engine& engine, bool stream) : engine_(engine), stream_(stream) {}

    /// Submits the requests and waits until all accepted ones have ended.
    std::vector<Outcome> run(std::vector<GenerateRequest> requests) {
        outcomes_.resize(requests.size());
        for (std::size_t i = 0; i < requests.size(); ++i) {
            auto id = engine_.submit(std::move(requests[i]),
                                     [this, i](const RequestEvent& event) { add_event(i, event); });
            const std::lock_guard lock(mutex_);
            if (id) {
                ids_.push_back(*id);
                continue;
            }
            outcomes_[i].done = true;
            outcomes_[i].last.status = id.error();
            outcomes_[i].last.finish_reason = FinishReason::error;
        }
        bool cancelled = false;
        std::unique_lock lock(mutex_);
        while (!all_done()) {
            changed_.wait_for(lock, std::chrono::milliseconds(100));
            if (!interrupted() || cancelled) continue;
            cancelled = true;
            for (RequestId id : ids_) engine_.cancel(id);
        }
        return std::move(outcomes_);
    }

private:
    void add_event(std::size_t index, const RequestEvent& event) {
        if (stream_) {
            fmt::print("{}", event.text);
            std::fflush(stdout);
        }
        const std::lock_guard lock(mutex_);
        Outcome& outcome = outcomes_[index];
        outcome.text += event.text;
        outcome.tokens.insert(outcome.tokens.end(), event.tokens.begin(), event.tokens.end());
        if (event.finish_reason == FinishReason::none) return;
        outcome.last = event;
        outcome.done = true;
        changed_.notify_one();
    }

    bool all_done() const {
        for (const Outcome& outcome : outcomes_) {
            if (!outcome.done) return false;
        }
        return true;
    }

    Engine& engine_;
    bool stream_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Outcome> outcomes_;
    std::vector<RequestId> ids_;
};

int report(const std::vector<Outcome>& outcomes, const GenerateFlags& flags, Engine& engine) {
    int failed = 0;
    std::int64_t tokens = 0;
    std::int64_t longest_us = 1;
    std::int64_t first_us = 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        const Outcome& outcome = outcomes[i];
        if (flags.json) {
            print_json(outcome);
        } else if (outcomes.size() > 1) {
            fmt::print("[{}]{}\n", i + 1, outcome.text);
        }
        if (!outcome.last.status.ok()) {
            ++failed;
            say(fmt::format("molink-generate: request {}: {}\n", i + 1,
                            outcome.last.status.message()));
        }
        tokens += static_cast<std::int64_t>(outcome.tokens.size());
        longest_us = std::max(longest_us, outcome.last.total_us);
        first_us = std::max(first_us, outcome.last.time_to_first_token_us);
    }
    if (!flags.json) {
        if (outcomes.size() == 1) fmt::print("\n");
        say(fmt::format("\n{} tokens in {:.2f} s: {:.1f} tokens/s, TTFT {:.1f} ms\n", tokens,
                        static_cast<double>(longest_us) / 1e6,
                        static_cast<double>(tokens) * 1e6 / static_cast<double>(longest_us),
                        static_cast<double>(first_us) / 1000));
        print_links(engine.metrics().links);
    }
    return failed == 0 ? 0 : 1;
}

int generate(const GenerateFlags& flags) {
    auto requests = read_requests(flags);
    if (!requests) return fail(requests.error(), 2);
    EngineOptions options;
    const Status applied = apply_head_flags(flags.head, options);
    if (!applied.ok()) return fail(applied, 2);
    options.max_waiting = 65536;
    ConsoleLog log("molink-generate");
    options.log = &log;
    options.log_level = flags.head.node.verbose ? LogLevel::info : LogLevel::warning;
    NodeOptions shown;
    shown.block_tokens = options.block_tokens;
    shown.kv_type = options.kv_type;
    auto engine = Engine::open(std::move(options));
    if (!engine) return fail(engine.error(), 2);
    catch_interrupts();
    const Status written = write_address(flags.head, **engine);
    if (!written.ok()) return fail(written, 2);
    if (flags.head.stages > 1 || flags.head.no_local_stage) {
        say(fmt::format("molink-generate: workers join at {}\n", (*engine)->address()));
    }
    const Status ready = wait_with_progress(**engine, flags.head.wait_s);
    if (!ready.ok()) return fail(ready, 3);
    if (!flags.json) print_split((*engine)->cluster(), (*engine)->model(), shown);
    const bool stream = !flags.json && requests->size() == 1;
    if (stream) fmt::print("{}", (*requests)[0].prompt);
    Job job(**engine, stream);
    const std::vector<Outcome> outcomes = job.run(std::move(*requests));
    return report(outcomes, flags, **engine);
}

int run(int argc, char** argv) {
    CLI::App app{"Generates text with a model that is split over this node and its workers."};
    app.footer(
        "Example: molink-generate --model DIR --stages 3 --listen tcp://127.0.0.1:7100 \\\n"
        "             --prompt 'In the beginning'");
    GenerateFlags flags;
    add_flags(app, flags);
    add_flag_sources(app);
    if (const auto status = parse_flags(app, argc, argv)) return *status;
    if (!flags.make_random.empty()) return make_random(flags);
    return generate(flags);
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
