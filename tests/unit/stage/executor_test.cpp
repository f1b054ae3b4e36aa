// The compute side of a node fed by hand: a chain of executors, parts that cannot be right, epochs,
// memory.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "stage/model_work.h"
#include "stage/thread_executor.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

/// An executor and a way to wait for its events.
class Stage {
public:
    explicit Stage(const std::string& model) {
        ModelWorkOptions options;
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

    /// The next event that is not progress.
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

StageConfig config_of(LayerRange layers, std::uint32_t epoch = 1) {
    StageConfig config;
    config.epoch = Epoch(epoch);
    config.layers = layers;
    config.has_embedding = layers.begin == 0;
    config.has_head = config.last_stage = layers.end == 6;
    config.max_rows = 32;
    config.max_sequences = 4;
    config.max_context = 64;
    config.memory_bytes = 64 << 20;
    config.max_kv_blocks = 16;
    return config;
}

Part opening_part(std::uint32_t epoch = 1) {
    Part part;
    part.epoch = Epoch(epoch);
    part.id = PartId(1);
    part.kind = PartKind::prefill;
    SequenceOpen open;
    open.id = SequenceId(5);
    open.prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    open.prompt_count = 9;
    open.hash_logits = true;
    part.opens.push_back(open);
    SequenceRun run;
    run.id = SequenceId(5);
    run.count = 9;
    run.new_blocks = {BlockId(3)};
    run.sample_count = 1;
    part.runs.push_back(run);
    return part;
}

/// What is wrong with a part, and the words that say so.
struct Spoiled {
    const char* words;
    void (*spoil)(Part&);
};

/// Every one of them, submitted to `stage`, must fail it with its words. `bring_up` makes the stage
/// ready anew and gives the part that is right.
void must_fail(Stage& stage, const std::vector<Spoiled>& cases,
               const std::function<Part()>& bring_up) {
    for (const Spoiled& item : cases) {
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

/// Two stages with the LM head on the first.
struct Round {
    explicit Round(const std::string& model) : first(model), last(model) {}

    /// Brings both up anew and takes the part to the end: `back` is what returns.
    void go() {
        ++epoch;
        StageConfig front = config_of({0, 3}, epoch);
        front.has_head = true;
        StageConfig rest = config_of({3, 6}, epoch);
        rest.has_head = false;
        first.bring_up(front);
        last.bring_up(rest);
        part.epoch = Epoch(epoch);
        first.executor->submit(part, 0);
        last.executor->submit(first.next().result.part, 0);
        back = last.next().result.part;
        REQUIRE(back.returns());
    }

    Stage first;
    Stage last;
    Part part = opening_part();
    Part back;
    std::uint32_t epoch = 0;
};

}  // namespace

TEST_CASE("a chain of stages gives the hashes of one") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    std::vector<std::uint64_t> expected;
    for (std::int32_t stages : {1, 2, 3, 6}) {
        Part part = opening_part();
        StageEvent event;
        for (std::int32_t i = 0; i < stages; ++i) {
            Stage stage(dir.string());
            stage.bring_up(config_of({6 * i / stages, 6 * (i + 1) / stages}));
            stage.executor->submit(part, 0);
            event = stage.next();
            INFO(event.status.to_string());
            REQUIRE(event.kind == StageEventKind::result);
            part = event.result.part;
        }
        REQUIRE(part.stage_times.size() == static_cast<std::size_t>(stages));
        REQUIRE(event.result.sampled.size() == 1);
        REQUIRE(event.result.sampled[0].position == 9);
        REQUIRE(event.result.sampled[0].logit_hashes.size() == 9);
        if (stages == 1) expected = event.result.sampled[0].logit_hashes;
        REQUIRE(event.result.sampled[0].logit_hashes == expected);
    }
}

TEST_CASE("parts that cannot be right fail the stage with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const std::vector<Spoiled> cases{
        {"was never opened", [](Part& part) { part.opens.clear(); }},
        {"runs positions 3+9; 0 is due", [](Part& part) { part.runs[0].position = 3; }},
        {"names block 16 of 16", [](Part& part) { part.runs[0].new_blocks = {BlockId(16)}; }},
        {"with 0 blocks of 16", [](Part& part) { part.runs[0].new_blocks.clear(); }},
        {"has token 272; vocabulary 272", [](Part& part) { part.opens[0].prompt[2] = 272; }},
        {"without tokens; 9 are known", [](Part& part) { part.runs[0].count = 10; }},
        {"has 33 rows; 1 to 32", [](Part& part) { part.runs[0].count = 33; }},
        {"is open already", [](Part& part) { part.opens.push_back(part.opens[0]); }},
        {"counts 10 of 9 tokens as its prompt",
         [](Part& part) { part.opens[0].prompt_count = 10; }},
        {"has a prompt of 0 tokens", [](Part& part) { part.opens[0].prompt.clear(); }},
    };
    Stage stage(dir.string());
    std::uint32_t epoch = 0;
    must_fail(stage, cases, [&] {
        stage.bring_up(config_of({0, 6}, ++epoch));
        return opening_part(epoch);
    });
    Stage last(dir.string());
    last.bring_up(config_of({3, 6}));
    last.executor->submit(opening_part(), 0);  // no activations
    REQUIRE(last.next().kind == StageEventKind::failed);
}

TEST_CASE("a part that comes back to the LM head gives the hashes of one stage") {
    TempDir dir;
    TinyModelOptions tied;
    tied.tied = true;
    REQUIRE(write_tiny_model(dir.path(), tied).ok());
    Stage alone(dir.string());
    alone.bring_up(config_of({0, 6}));
    alone.executor->submit(opening_part(), 0);
    const StageEvent expected = alone.next();
    Round round(dir.string());
    round.go();
    REQUIRE(round.back.head_rows == 9);
    REQUIRE(round.back.opens.empty());
    REQUIRE(round.back.runs[0].new_blocks.empty());
    REQUIRE(round.back.activations.size() == 9 * 64 * sizeof(float));
    round.first.executor->submit(round.back, 0);
    const StageEvent event = round.first.next();
    INFO(event.status.to_string());
    REQUIRE(event.kind == StageEventKind::result);
    REQUIRE(event.result.sampled == expected.result.sampled);
    REQUIRE(event.result.part.stage_times.size() == 2);
}

TEST_CASE("only rows that are sampled go back, and a part without any does, too") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    for (std::int32_t wanted : {0, 1}) {
        Round round(dir.string());
        round.part.opens[0].hash_logits = false;
        round.part.runs[0].sample_count = wanted;
        round.go();
        REQUIRE(round.back.head_rows == wanted);
        round.first.executor->submit(round.back, 0);
        const StageEvent event = round.first.next();
        REQUIRE(event.kind == StageEventKind::result);
        REQUIRE(event.result.sampled.size() == static_cast<std::size_t>(wanted));
    }
}

TEST_CASE("parts that cannot have come back fail the stage with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const std::vector<Spoiled> cases{
        {"of sequence 6", [](Part& part) { part.runs[0].id = SequenceId(6); }},
        {"positions 1+9", [](Part& part) { part.runs[0].position = 1; }},
        {"positions -1+9", [](Part& part) { part.runs[0].position = -1; }},
        {"10 sampled", [](Part& part) { part.runs[0].sample_count = 10; }},
        {"with 8 rows for the LM head, which wants 9", [](Part& part) { part.head_rows = 8; }},
        {"came back with 0 rows", [](Part& part) { part.runs.clear(); }},
        {"came back with 45 rows", [](Part& part) { part.runs.resize(5, part.runs[0]); }},
        {"decode activations", [](Part& part) { part.activations.pop_back(); }},
        {"decode activations", [](Part& part) { part.activations.clear(); }},
    };
    Round round(dir.string());
    must_fail(round.first, cases, [&] {
        round.go();
        return round.back;
    });
    round.go();
    round.last.executor->submit(round.back, 0);
    REQUIRE(round.last.next().status.message().find("stage without LM head") != std::string::npos);
}

TEST_CASE("parts of another epoch are dropped") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string());
    stage.bring_up(config_of({0, 6}, 2));
    stage.executor->submit(opening_part(1), 0);
    stage.executor->submit(opening_part(2), 0);
    const StageEvent event = stage.next();
    REQUIRE(event.kind == StageEventKind::result);
    REQUIRE(event.result.part.epoch == Epoch(2));
    StageEvent none;
    REQUIRE_FALSE(stage.executor->poll(none));
}

TEST_CASE("too little memory is an error with the numbers") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    Stage stage(dir.string());
    StageConfig config = config_of({0, 6});
    config.memory_bytes = 100'000;
    stage.executor->load(config);
    const StageEvent event = stage.next();
    REQUIRE(event.kind == StageEventKind::failed);
    REQUIRE(event.status.code() == StatusCode::resource_exhausted);
    REQUIRE(event.status.message().find("the node may use 100000") != std::string::npos);
}
