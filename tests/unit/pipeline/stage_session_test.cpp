// Parts through a stage session: what is sent on, what is retired, and what must not come.
#include "pipeline/stage_session.h"

#include <deque>
#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

/// Loads at once and keeps the parts it is given.
class PartKeeper final : public StageExecutor {
public:
    void load(const StageConfig& config) override {
        epoch = config.epoch;
        push(StageEventKind::loaded);
    }
    void start(std::uint64_t) override { push(StageEventKind::ready); }
    void submit(Part part, std::int64_t) override { parts.push_back(std::move(part)); }
    bool poll(StageEvent& event) override {
        if (events.empty()) return false;
        event = std::move(events.front());
        events.pop_front();
        return true;
    }
    /// Says that the oldest part is done; one token sampled when `sampled`.
    void finish(bool sampled) {
        StageEvent event;
        event.kind = StageEventKind::result;
        event.epoch = epoch;
        event.result.part = std::move(parts.front());
        parts.erase(parts.begin());
        if (sampled) event.result.sampled.push_back({SequenceId(1), 4, {7}, {}, {}});
        events.push_back(std::move(event));
    }

    Epoch epoch;
    std::vector<Part> parts;
    std::deque<StageEvent> events;

private:
    void push(StageEventKind kind) {
        StageEvent event;
        event.kind = kind;
        event.epoch = epoch;
        events.push_back(std::move(event));
    }
};

struct Ports final : StagePorts {
    void stage_progress(const LoadProgress&) override {}
    void stage_loaded(const StageLoaded&) override {}
    void stage_ready(const StageReady&) override {}
    void stage_failed(const StageFailed& failed) override { failures.push_back(failed); }
    void stage_forward(Part part) override { forwarded.push_back(std::move(part)); }
    void stage_retire(Retire retire) override { retired.push_back(std::move(retire)); }
    void stage_feedback(Retire tokens) override { fed_back.push_back(std::move(tokens)); }

    std::vector<StageFailed> failures;
    std::vector<Part> forwarded;
    std::vector<Retire> retired;
    std::vector<Retire> fed_back;
};

struct Scene {
    Scene(std::int32_t index, bool has_head, bool direct_feedback = false) {
        Assign assign;
        assign.epoch = Epoch(1);
        assign.stage_index = index;
        assign.stage_count = 2;
        assign.has_embedding = index == 0;
        assign.has_head = has_head;
        assign.direct_feedback = direct_feedback;
        session.assign(assign);
        session.pump(0);
        REQUIRE(session.start({Epoch(1), 4}).ok());
        session.pump(0);
        REQUIRE(session.ready());
    }

    /// A decode row at position 3, as it comes from the head or, with times, back from the end.
    static Part row(std::size_t times = 0, std::int32_t head_rows = -1) {
        Part part;
        part.epoch = Epoch(1);
        part.id = PartId(9);
        SequenceRun run;
        run.id = SequenceId(1);
        run.position = 3;
        run.count = run.sample_count = 1;
        part.runs.push_back(run);
        part.stage_times.resize(times);
        part.head_rows = head_rows;
        return part;
    }

    PartKeeper executor;
    Ports ports;
    StageSession session{executor, ports};
};

}  // namespace

TEST_CASE("the first stage with the LM head sends parts on and retires those that come back") {
    Scene scene(0, true);
    REQUIRE(scene.session.submit(Scene::row(), 0).ok());
    scene.executor.finish(false);
    scene.session.pump(0);
    REQUIRE(scene.ports.forwarded.size() == 1);
    REQUIRE(scene.ports.retired.empty());
    REQUIRE(scene.session.submit(Scene::row(2, 1), 0).ok());
    scene.executor.finish(true);
    scene.session.pump(0);
    REQUIRE(scene.ports.forwarded.size() == 1);
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.ports.retired[0].part == PartId(9));
    REQUIRE(scene.ports.retired[0].stage_times.size() == 2);
}

TEST_CASE("with direct feedback its tokens reach waiting rows without a message") {
    Scene scene(0, true, true);
    Part next = Scene::row();
    next.runs[0].position = 4;
    next.opens.resize(1);
    next.opens[0].id = SequenceId(1);
    REQUIRE(scene.session.submit(next, 0).ok());
    REQUIRE(scene.executor.parts.empty());
    REQUIRE(scene.session.submit(Scene::row(2, 1), 0).ok());
    REQUIRE(scene.executor.parts.size() == 1);
    scene.executor.finish(true);
    scene.session.pump(0);
    REQUIRE(scene.ports.fed_back.empty());
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.executor.parts.size() == 1);
    REQUIRE(scene.executor.parts[0].runs[0].tokens == std::vector<Token>{7});
}

TEST_CASE("the last stage without LM head sends everything back") {
    Scene scene(1, false);
    REQUIRE(scene.session.submit(Scene::row(1), 0).ok());
    scene.executor.finish(false);
    scene.session.pump(0);
    REQUIRE(scene.ports.forwarded.size() == 1);
    REQUIRE(scene.ports.retired.empty());
}

TEST_CASE("parts that come back where they cannot are refused") {
    Scene without(0, false);
    REQUIRE(without.session.submit(Scene::row(2, 1), 0).code() == StatusCode::failed_precondition);
    Scene last(1, true);
    REQUIRE(last.session.submit(Scene::row(2, 1), 0).code() == StatusCode::failed_precondition);
    Scene first(0, true);
    REQUIRE(first.session.submit(Scene::row(1, 1), 0).code() == StatusCode::data_loss);
    Part stale = Scene::row(2, 1);
    stale.epoch = Epoch(0);
    REQUIRE(first.session.submit(stale, 0).ok());
    REQUIRE(first.executor.parts.empty());
}
