// Stage executors that compute a model, with hand-made parts: chains of stages, drafts, parts that
// are wrong, errors of a device, epochs and memory.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "stage/model_work.h"
#include "stage/thread_executor.h"
#include "support/catch.h"
#include "support/foreign_backend.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

/// An executor whose events a test can wait for.
class Stage {
public:
    explicit Stage(const std::string& model, const std::string& device = "cpu") {
        ModelWorkOptions options;
        options.backend = device;
        options.model_dir = model;
        options.threads = 1;
        auto work = make_model_work(options);
        REQUIRE(work.has_value());
        executor = make_thread_executor(std::move(*work), steady_clock(), [this] {
            const std::lock_guard lock(mutex_);
            ++notified_;
            signal_.notify_one();
        });
    }

    /// Waits for the next event that is not progress and returns it.
    StageEvent next() {
        StageEvent event;
        while (true) {
            std::unique_lock lock(mutex_);
            signal_.wait(lock, [&] { return notified_ > 0; });
            --notified_;
            lock.unlock();
            if (!executor->poll(event)) continue;
            if (event.kind != StageEventKind::progress) return event;
        }
    }

    void bring_up(const StageConfig& config) {
        executor->load(config);
        const StageEvent loaded = next();
        INFO(loaded.status.to_string());
        REQUIRE(loaded.kind == StageEventKind::loaded);
        executor->start(16);
        REQUIRE(next().kind == StageEventKind::ready);
    }

    std::unique_ptr<StageExecutor> executor;

private:
    std::mutex mutex_;
    std::condition_variable signal_;
    int notified_ = 0;
};

/// Returns the CPU, and devices whose memory the host cannot access and which run ops late.
std::vector<std::string> devices() {
    test::register_foreign_backend();
    return {"cpu", "foreign:0", "foreign:1"};
}

PipelineEpoch epoch_of(std::uint32_t epoch) {
    return {PipelineId(0), Epoch(epoch)};
}

/// Returns the configuration of stage `index` of `count` equal stages of six layers.
StageConfig config_of(std::int32_t index, std::int32_t count, std::uint32_t epoch = 1,
                      bool lm_head_first = false) {
    StageConfig config;
    config.epoch = epoch_of(epoch);
    config.ring = RingShape(static_cast<std::size_t>(count), lm_head_first, false);
    config.stage = static_cast<std::size_t>(index);
    config.layers = {6 * index / count, 6 * (index + 1) / count};
    config.max_rows = 32;
    config.max_sequences = 4;
    config.max_context = 64;
    config.memory_bytes = 64 << 20;
    config.max_kv_blocks = 16;
    return config;
}

PartPlan opening_plan(std::uint32_t epoch = 1) {
    PartPlan plan;
    plan.key = {epoch_of(epoch), StepId(1), PartId(1)};
    SequenceOpen open;
    open.id = SequenceId(5);
    open.prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    open.prompt_count = 9;
    open.hash_logits = true;
    plan.opens.push_back(open);
    plan.rows = std::vector<PrefillRows>{{SequenceId(5), 0, 9, true, {BlockId(3)}}};
    return plan;
}

PrefillRows& prompt_of(PartPlan& plan) {
    return std::get<std::vector<PrefillRows>>(plan.rows)[0];
}

/// Returns a decode part that follows the opening part.
PartPlan decode_plan(std::int32_t position, Token token, std::vector<Token> drafts,
                     std::uint32_t epoch = 1) {
    PartPlan plan;
    plan.key = {epoch_of(epoch), StepId(2), PartId(2)};
    plan.rows = std::vector<DecodeRows>{{SequenceId(5), position, token, std::move(drafts), {}}};
    return plan;
}

/// Runs a part and returns its output. The part must not fail.
StageOutput run(Stage& stage, StageInput input) {
    stage.executor->submit(std::move(input), 0);
    StageEvent event = stage.next();
    INFO(event.status.to_string());
    REQUIRE(event.kind == StageEventKind::result);
    return std::move(event.result);
}

/// Turns an output into the input of the next stage.
StageInput input_of(StageOutput output) {
    if (auto* forwarded = std::get_if<ForwardedPart>(&output)) return std::move(*forwarded);
    return std::move(std::get<ReturnedPart>(output));
}

/// A change that makes a part wrong, and words of the expected error.
template <typename Part>
struct Spoiled {
    const char* words;
    void (*spoil)(Part&);
};

/// Requires that each case fails `stage` with its words. `bring_up` makes the stage ready again and
/// returns the correct part.
template <typename Part>
void must_fail(Stage& stage, const std::vector<Spoiled<Part>>& cases,
               const std::function<Part()>& bring_up) {
    for (const Spoiled<Part>& item : cases) {
        Part part = bring_up();
        item.spoil(part);
        stage.executor->submit(part, 0);
        const StageEvent event = stage.next();
        INFO(item.words << " in " << event.status.to_string());
        REQUIRE(event.kind == StageEventKind::failed);
        REQUIRE(event.status.code() == StatusCode::data_loss);
        REQUIRE(event.status.message().find(item.words) != std::string::npos);
    }
}

/// Two stages, of which the first has the LM head.
struct Round {
    explicit Round(const std::string& model) : first(model), last(model) {}

    /// Makes both stages ready in a new epoch and runs the part on both. `back` is what returns.
    void go() {
        ++epoch;
        first.bring_up(config_of(0, 2, epoch, true));
        last.bring_up(config_of(1, 2, epoch, true));
        plan.key.epoch = epoch_of(epoch);
        back = std::get<ReturnedPart>(run(last, input_of(run(first, plan))));
    }

    Stage first;
    Stage last;
    PartPlan plan = opening_plan();
    ReturnedPart back;
    std::uint32_t epoch = 0;
};

}  // namespace

TEST_CASE("a chain of stages gives the hashes of a single stage") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    std::vector<std::uint64_t> expected;
    const std::vector<std::string> all = devices();
    for (std::int32_t stages : {1, 2, 3, 6}) {
        // Each stage runs on another device.
        const auto device = [&](std::int32_t stage) {
            return all[static_cast<std::size_t>(stage) % all.size()];
        };
        StageInput input = opening_plan();
        for (std::int32_t i = 0; i + 1 < stages; ++i) {
            Stage stage(dir.string(), device(i));
            stage.bring_up(config_of(i, stages));
            input = input_of(run(stage, std::move(input)));
        }
        Stage last(dir.string(), device(stages - 1));
        last.bring_up(config_of(stages - 1, stages));
        const auto retired = std::get<RetiredPart>(run(last, std::move(input)));
        REQUIRE(retired.key == opening_plan().key);
        REQUIRE(retired.kind == PartKind::prefill);
        REQUIRE(retired.stage_times.size() == static_cast<std::size_t>(stages));
        REQUIRE(retired.sampled.size() == 1);
        REQUIRE(retired.sampled[0].position == 9);
        REQUIRE(retired.sampled[0].logit_hashes.size() == 9);
        if (stages == 1) expected = retired.sampled[0].logit_hashes;
        REQUIRE(retired.sampled[0].logit_hashes == expected);
    }
}

TEST_CASE("drafts are kept up to the first wrong one, and the rest is undone") {
    const std::string device = GENERATE(from_range(devices()));
    INFO(device);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string(), device);
    // The tokens of greedy sampling without drafts, one by one.
    stage.bring_up(config_of(0, 1));
    std::vector<Token> tokens = std::get<RetiredPart>(run(stage, opening_plan())).sampled[0].tokens;
    std::vector<std::uint64_t> hashes;
    for (std::int32_t i = 0; i < 4; ++i) {
        const auto part = std::get<RetiredPart>(run(stage, decode_plan(9 + i, tokens.back(), {})));
        REQUIRE(part.sampled[0].tokens.size() == 1);
        tokens.push_back(part.sampled[0].tokens[0]);
        hashes.push_back(part.sampled[0].logit_hashes[0]);
    }
    const auto other = [&](std::size_t at) { return (tokens[at] + 1) % 272; };

    stage.bring_up(config_of(0, 1, 2));
    (void)run(stage, opening_plan(2));
    // Two drafts, of which the second is wrong.
    auto part =
        std::get<RetiredPart>(run(stage, decode_plan(9, tokens[0], {tokens[1], other(2)}, 2)));
    REQUIRE(part.sampled[0].position == 10);
    REQUIRE(part.sampled[0].tokens == std::vector<Token>{tokens[1], tokens[2]});
    REQUIRE(part.sampled[0].logit_hashes == std::vector<std::uint64_t>{hashes[0], hashes[1]});
    // Position 11 again, which had the wrong draft, with a right draft.
    part = std::get<RetiredPart>(run(stage, decode_plan(11, tokens[2], {tokens[3]}, 2)));
    REQUIRE(part.sampled[0].tokens == std::vector<Token>{tokens[3], tokens[4]});
    REQUIRE(part.sampled[0].logit_hashes == std::vector<std::uint64_t>{hashes[2], hashes[3]});
}

TEST_CASE("greedy tokens are the same whether logits come to the host or not") {
    const std::string device = GENERATE(from_range(devices()));
    INFO(device);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string(), device);
    std::vector<std::vector<Token>> outputs;
    for (std::uint32_t epoch : {1u, 2u}) {
        stage.bring_up(config_of(0, 1, epoch));
        PartPlan opening = opening_plan(epoch);
        opening.opens[0].hash_logits = epoch == 1;
        std::vector<Token> tokens = std::get<RetiredPart>(run(stage, opening)).sampled[0].tokens;
        while (tokens.size() < 6) {  // all positions, with drafts, fit in one block
            const auto position = static_cast<std::int32_t>(8 + tokens.size());
            const PartPlan plan = decode_plan(position, tokens.back(), {7, 8}, epoch);
            const auto part = std::get<RetiredPart>(run(stage, plan));
            REQUIRE(part.sampled[0].logit_hashes.empty() == (epoch == 2));
            const std::vector<Token>& more = part.sampled[0].tokens;
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
        outputs.push_back(tokens);
    }
    REQUIRE(outputs[0] == outputs[1]);
}

TEST_CASE("parts that are queued give the same results as parts that run one by one") {
    const std::string device = GENERATE(from_range(devices()));
    INFO(device);
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const auto slice = [](std::uint32_t epoch, std::int32_t position) {
        PartPlan plan = opening_plan(epoch);
        plan.key.id = PartId(static_cast<std::uint64_t>(position) + 1);
        if (position > 0) plan.opens.clear();
        plan.rows = std::vector<PrefillRows>{{SequenceId(5), position, 3, position == 6, {}}};
        if (position == 0) prompt_of(plan).new_blocks = {BlockId(3)};
        return plan;
    };
    Stage first(dir.string(), device);
    Stage second(dir.string(), device);
    std::vector<std::vector<std::uint64_t>> expected;
    for (std::uint32_t epoch : {1u, 2u}) {
        first.bring_up(config_of(0, 2, epoch));
        second.bring_up(config_of(1, 2, epoch));
        std::vector<StageOutput> forwarded;
        std::vector<StageOutput> outputs;
        if (epoch == 1) {
            for (std::int32_t at : {0, 3, 6}) forwarded.push_back(run(first, slice(epoch, at)));
            for (StageOutput& part : forwarded) {
                outputs.push_back(run(second, input_of(std::move(part))));
            }
        } else {
            for (std::int32_t at : {0, 3, 6}) first.executor->submit(slice(epoch, at), 0);
            for (int i = 0; i < 3; ++i) forwarded.push_back(first.next().result);
            for (StageOutput& part : forwarded) {
                second.executor->submit(input_of(std::move(part)), 0);
            }
            for (int i = 0; i < 3; ++i) outputs.push_back(second.next().result);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            const auto& retired = std::get<RetiredPart>(outputs[i]);
            REQUIRE(retired.key.id == PartId(3 * i + 1));
            if (epoch == 1) expected.push_back(retired.sampled[0].logit_hashes);
            REQUIRE(retired.sampled[0].logit_hashes == expected[i]);
        }
    }
}

TEST_CASE("an error of the device ends the epoch and names part, device and op") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (const char* op : {"upload", "embed", "attention", "matmul", "download"}) {
        test::ForeignOptions options;
        options.name = std::string("failing ") + op;
        options.failing_op = op;
        // Loading uploads tensors, too, so that upload must fail at a later call.
        options.fail_at = std::string(op) == "upload" ? 30 : 3;
        test::register_foreign_backend(options);
        Stage stage(dir.string(), options.name);
        stage.bring_up(config_of(0, 1));
        PartPlan opening = opening_plan();
        prompt_of(opening).new_blocks = {BlockId(3), BlockId(4), BlockId(5)};
        stage.executor->submit(opening, 0);
        StageEvent event = stage.next();
        for (std::int32_t i = 0; i < 35 && event.kind == StageEventKind::result; ++i) {
            const Token token = std::get<RetiredPart>(event.result).sampled[0].tokens.back();
            stage.executor->submit(decode_plan(9 + i, token, {}), 0);
            event = stage.next();
        }
        REQUIRE(event.kind == StageEventKind::failed);
        REQUIRE(event.status.code() == StatusCode::unavailable);
        INFO(event.status.message());
        const std::string words = options.name + ":0: " + op + " failed";
        REQUIRE(event.status.message().find(words) != std::string::npos);
        REQUIRE(event.status.message().find("part ") == 0);
    }
}

TEST_CASE("a device without memory for the pages is an error with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    test::ForeignOptions options;
    options.name = "small";
    options.memory_bytes = 1'500'000;
    test::register_foreign_backend(options);
    Stage stage(dir.string(), "small");
    stage.executor->load(config_of(0, 1));
    REQUIRE(stage.next().kind == StageEventKind::loaded);
    stage.executor->start(200);
    const StageEvent event = stage.next();
    REQUIRE(event.kind == StageEventKind::failed);
    REQUIRE(event.status.code() == StatusCode::resource_exhausted);
    INFO(event.status.message());
    REQUIRE(event.status.message().find("small:0: ") == 0);
    REQUIRE(event.status.message().find("of 1500000 are free") != std::string::npos);
}

TEST_CASE("wrong parts fail the stage with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const std::vector<Spoiled<PartPlan>> cases{
        {"was never opened", [](PartPlan& plan) { plan.opens.clear(); }},
        {"runs positions 3+9; 0 to 0 may come next",
         [](PartPlan& plan) { prompt_of(plan).position = 3; }},
        {"names block 16 of 16",
         [](PartPlan& plan) { prompt_of(plan).new_blocks = {BlockId(16)}; }},
        {"with 0 blocks of 16", [](PartPlan& plan) { prompt_of(plan).new_blocks.clear(); }},
        {"has token 272; the vocabulary has 272",
         [](PartPlan& plan) { plan.opens[0].prompt[2] = 272; }},
        {"prefills to position 10; 9 tokens are known",
         [](PartPlan& plan) { prompt_of(plan).rows = 10; }},
        {"has 33 rows; 1 to 32", [](PartPlan& plan) { prompt_of(plan).rows = 33; }},
        {"is open already", [](PartPlan& plan) { plan.opens.push_back(plan.opens[0]); }},
        {"counts 10 of 9 tokens as its prompt",
         [](PartPlan& plan) { plan.opens[0].prompt_count = 10; }},
        {"has a prompt of 0 tokens", [](PartPlan& plan) { plan.opens[0].prompt.clear(); }},
    };
    Stage stage(dir.string());
    std::uint32_t epoch = 0;
    must_fail<PartPlan>(stage, cases, [&] {
        stage.bring_up(config_of(0, 1, ++epoch));
        return opening_plan(epoch);
    });
    Stage last(dir.string());
    last.bring_up(config_of(1, 2));
    last.executor->submit(opening_plan(), 0);  // no activations
    REQUIRE(last.next().kind == StageEventKind::failed);
}

TEST_CASE("wrong decode rows fail the stage with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const auto row = [](PartPlan& plan) -> DecodeRows& {
        return std::get<std::vector<DecodeRows>>(plan.rows)[0];
    };
    static const auto row_of = row;
    const std::vector<Spoiled<PartPlan>> cases{
        {"runs positions 8+4; 10 to 12 may come next",
         [](PartPlan& plan) { row_of(plan).position = 8; }},
        {"runs positions 13+4; 10 to 12 may come next",
         [](PartPlan& plan) { row_of(plan).position = 13; }},
        {"decodes position 10 without a token", [](PartPlan& plan) { row_of(plan).token.reset(); }},
        {"has token 272; the vocabulary has 272", [](PartPlan& plan) { row_of(plan).token = 272; }},
        {"has token -1; the vocabulary has 272",
         [](PartPlan& plan) { row_of(plan).drafts[2] = -1; }},
        {"runs to position 17 with 1 blocks of 16",
         [](PartPlan& plan) { row_of(plan).drafts.resize(6, 1); }},
    };
    Stage stage(dir.string());
    std::uint32_t epoch = 0;
    must_fail<PartPlan>(stage, cases, [&] {
        stage.bring_up(config_of(0, 1, ++epoch));
        (void)run(stage, opening_plan(epoch));
        (void)run(stage, decode_plan(9, 1, {2, 3}, epoch));
        return decode_plan(10, 1, {1, 2, 3}, epoch);
    });
}

TEST_CASE("a part that returns to the LM head gives the hashes of a single stage") {
    TempDir dir;
    TinyModelOptions tied;
    tied.tied = true;
    REQUIRE(write_tiny_model(dir.path(), tied).ok());
    Stage alone(dir.string());
    alone.bring_up(config_of(0, 1));
    const auto expected = std::get<RetiredPart>(run(alone, opening_plan()));
    Round round(dir.string());
    round.go();
    REQUIRE(round.back.activations.rows == 9);
    REQUIRE(round.back.activations.bytes.size() == 9 * 64 * sizeof(float));
    const auto retired = std::get<RetiredPart>(run(round.first, round.back));
    REQUIRE(retired.sampled == expected.sampled);
    REQUIRE(retired.stage_times.size() == 2);
}

TEST_CASE("only sampled rows return, and a part without sampled rows returns, too") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (bool ends_prompt : {false, true}) {
        Round round(dir.string());
        round.plan.opens[0].hash_logits = false;
        prompt_of(round.plan).ends_prompt = ends_prompt;
        round.go();
        REQUIRE(round.back.activations.rows == (ends_prompt ? 1 : 0));
        const auto retired = std::get<RetiredPart>(run(round.first, round.back));
        REQUIRE(retired.sampled.size() == (ends_prompt ? 1u : 0u));
    }
}

TEST_CASE("wrong returned parts fail the stage with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const std::vector<Spoiled<ReturnedPart>> cases{
        {"of sequence 6", [](ReturnedPart& part) { part.spans[0].sequence = SequenceId(6); }},
        {"positions 1+9", [](ReturnedPart& part) { part.spans[0].position = 1; }},
        {"positions -1+9", [](ReturnedPart& part) { part.spans[0].position = -1; }},
        {"10 sampled", [](ReturnedPart& part) { part.spans[0].sampled = 10; }},
        {"with 8 rows for the LM head, which needs 9",
         [](ReturnedPart& part) { part.activations.rows = 8; }},
        {"came back with 0 rows", [](ReturnedPart& part) { part.spans.clear(); }},
        {"came back with 45 rows", [](ReturnedPart& part) { part.spans.resize(5, part.spans[0]); }},
        {"decode activations", [](ReturnedPart& part) { part.activations.bytes.pop_back(); }},
        {"decode activations", [](ReturnedPart& part) { part.activations.bytes.clear(); }},
    };
    Round round(dir.string());
    must_fail<ReturnedPart>(round.first, cases, [&] {
        round.go();
        return round.back;
    });
    round.go();
    round.last.executor->submit(round.back, 0);
    REQUIRE(round.last.next().status.message().find("which has no LM head for it") !=
            std::string::npos);
}

TEST_CASE("parts of another epoch are dropped") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string());
    stage.bring_up(config_of(0, 1, 2));
    stage.executor->submit(opening_plan(1), 0);
    PartPlan other = opening_plan(2);
    other.key.epoch.pipeline = PipelineId(1);
    stage.executor->submit(other, 0);
    const StageOutput output = run(stage, opening_plan(2));
    REQUIRE(key_of(output).epoch == epoch_of(2));
    StageEvent none;
    REQUIRE_FALSE(stage.executor->poll(none));
}

TEST_CASE("too little memory is an error with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string());
    StageConfig config = config_of(0, 1);
    config.memory_bytes = 100'000;
    stage.executor->load(config);
    const StageEvent event = stage.next();
    REQUIRE(event.kind == StageEventKind::failed);
    REQUIRE(event.status.code() == StatusCode::resource_exhausted);
    REQUIRE(event.status.message().find("100000 bytes are available") != std::string::npos);
}
