// The compute thread with work that records its calls: when parts begin and finish, and what
// happens to parts in flight when one fails or another epoch is loaded.
#include "stage/thread_executor.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "support/catch.h"

using namespace molink;

namespace {

struct Notes {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> calls;
    bool open = true;  // finish() waits until this is true

    void add(const std::string& call) {
        const std::lock_guard lock(mutex);
        calls.push_back(call);
        changed.notify_all();
    }
    void wait_for(const std::string& call) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return !calls.empty() && calls.back() == call; });
    }
    void set_open(bool value) {
        const std::lock_guard lock(mutex);
        open = value;
        changed.notify_all();
    }
};

class NotedWork final : public StageWork {
public:
    NotedWork(Notes& notes, std::int32_t parts) : notes_(notes), parts_(parts) {}

    Result<Loaded> load(const StageConfig&, const Progress&) override {
        under_way_.clear();
        return Loaded{1, 1};
    }
    void unload() override {
        under_way_.clear();
        notes_.add("unload");
    }
    Status start(std::uint64_t) override { return {}; }
    std::int32_t parts_at_once() const override { return parts_; }
    Status begin(StageInput input) override {
        const PartPlan& plan = std::get<PartPlan>(input);
        under_way_.push_back(plan);
        notes_.add("begin " + std::to_string(plan.key.id.value));
        return {};
    }
    Result<StageOutput> finish() override {
        std::unique_lock lock(notes_.mutex);
        notes_.changed.wait(lock, [&] { return notes_.open; });
        const PartPlan plan = under_way_.front();
        under_way_.pop_front();
        notes_.calls.push_back("finish " + std::to_string(plan.key.id.value));
        notes_.changed.notify_all();
        if (plan.key.id.value == 9) return make_error(StatusCode::unavailable, "device is gone");
        return StageOutput(RetiredPart{plan.key, plan.kind(), {}, {}});
    }

private:
    Notes& notes_;
    std::int32_t parts_;
    std::deque<PartPlan> under_way_;
};

class Stage {
public:
    explicit Stage(std::int32_t parts) {
        executor = make_thread_executor(std::make_unique<NotedWork>(notes, parts), steady_clock(),
                                        [this] { notes.add("event"); });
    }
    StageEvent next() {
        StageEvent event;
        while (true) {
            std::unique_lock lock(notes.mutex);
            const std::size_t seen = notes.calls.size();
            lock.unlock();
            if (executor->poll(event)) return event;
            lock.lock();
            notes.changed.wait(lock, [&] { return notes.calls.size() != seen; });
        }
    }
    void bring_up(std::uint32_t epoch) {
        StageConfig config;
        config.epoch = {PipelineId(0), Epoch(epoch)};
        executor->load(config);
        REQUIRE(next().kind == StageEventKind::loaded);
        executor->start(1);
        REQUIRE(next().kind == StageEventKind::ready);
        const std::lock_guard lock(notes.mutex);
        notes.calls.clear();
    }
    void submit(std::uint64_t part, std::uint32_t epoch = 1) {
        PartPlan plan;
        plan.key = {{PipelineId(0), Epoch(epoch)}, StepId(1), PartId(part)};
        plan.rows = std::vector<DecodeRows>{{SequenceId(part), 0, 1, {}, {}}};
        executor->submit(plan, 0);
    }
    std::uint64_t next_part() {
        const StageEvent event = next();
        REQUIRE(event.kind == StageEventKind::result);
        const auto& retired = std::get<RetiredPart>(event.result);
        REQUIRE(retired.stage_times.size() == 1);
        return retired.key.id.value;
    }
    std::vector<std::string> calls() {
        const std::lock_guard lock(notes.mutex);
        std::vector<std::string> calls;
        for (const std::string& call : notes.calls) {
            if (call != "event") calls.push_back(call);
        }
        return calls;
    }

    Notes notes;
    std::unique_ptr<StageExecutor> executor;
};

}  // namespace

TEST_CASE("parts run one at a time when the work accepts one") {
    Stage stage(1);
    stage.bring_up(1);
    for (const std::uint64_t part : {1, 2, 3}) stage.submit(part);
    for (const std::uint64_t part : {1, 2, 3}) REQUIRE(stage.next_part() == part);
    REQUIRE(stage.calls() == std::vector<std::string>{"begin 1", "finish 1", "begin 2", "finish 2",
                                                      "begin 3", "finish 3"});
}

TEST_CASE("the next part begins before the oldest part is finished") {
    Stage stage(2);
    stage.bring_up(1);
    stage.notes.set_open(false);
    // The thread waits in finish() of the first part. The other parts are queued meanwhile.
    stage.submit(1);
    stage.notes.wait_for("begin 1");
    for (const std::uint64_t part : {2, 3, 4}) stage.submit(part);
    stage.notes.set_open(true);
    for (const std::uint64_t part : {1, 2, 3, 4}) REQUIRE(stage.next_part() == part);
    const std::vector<std::string> calls = stage.calls();
    REQUIRE(calls.size() == 8);
    const auto at = [&](const std::string& call) {
        return std::find(calls.begin(), calls.end(), call) - calls.begin();
    };
    REQUIRE(at("begin 3") < at("finish 2"));
    REQUIRE(at("begin 4") < at("finish 3"));
    REQUIRE(at("begin 4") > at("finish 2"));
}

TEST_CASE("a part that fails ends the epoch and the parts behind it") {
    Stage stage(2);
    stage.bring_up(1);
    stage.notes.set_open(false);
    stage.submit(9);
    stage.notes.wait_for("begin 9");
    stage.submit(2);
    stage.notes.set_open(true);
    StageEvent event = stage.next();
    REQUIRE(event.kind == StageEventKind::failed);
    REQUIRE(event.status.to_string() == "unavailable: device is gone");
    stage.bring_up(2);
    stage.submit(4, 2);
    REQUIRE(stage.next_part() == 4);
}
