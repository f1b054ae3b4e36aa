// A stage session: parts that it sends on, retires or refuses, by the place of the stage in the
// ring.
#include "pipeline/stage_session.h"

#include <deque>
#include <vector>

#include "support/catch.h"
#include "wire/protocol.h"

using namespace molink;

namespace {

constexpr PipelineEpoch kEpoch{PipelineId(0), Epoch(1)};

/// Is loaded at once, and keeps the parts that it is given until a test finishes them.
class PartKeeper final : public StageExecutor {
public:
    void load(const StageConfig& given) override {
        config = given;
        push(StageEventKind::loaded);
    }
    void start(std::uint64_t) override { push(StageEventKind::ready); }
    void submit(StageInput input, std::int64_t) override { inputs.push_back(std::move(input)); }
    void drop() override { inputs.clear(); }
    void unload() override { drop(); }
    bool poll(StageEvent& event) override {
        if (events.empty()) return false;
        event = std::move(events.front());
        events.pop_front();
        return true;
    }
    /// Answers the oldest part with `output`.
    void finish(StageOutput output) {
        inputs.pop_front();
        StageEvent event;
        event.kind = StageEventKind::result;
        event.epoch = config.epoch;
        event.result = std::move(output);
        events.push_back(std::move(event));
    }

    StageConfig config;
    std::deque<StageInput> inputs;
    std::deque<StageEvent> events;

private:
    void push(StageEventKind kind) {
        StageEvent event;
        event.kind = kind;
        event.epoch = config.epoch;
        events.push_back(std::move(event));
    }
};

struct Ports final : StagePorts {
    void stage_progress(const LoadProgress&) override {}
    void stage_loaded(const StageLoaded&) override {}
    void stage_ready(const StageReady&) override {}
    void stage_failed(const StageFailed& failed) override { failures.push_back(failed); }
    void stage_forward(ForwardedPart part) override { forwarded.push_back(std::move(part)); }
    void stage_return(ReturnedPart part) override { returned.push_back(std::move(part)); }
    void stage_retire(RetiredPart part) override { retired.push_back(std::move(part)); }
    void stage_feedback(TokenFeedback tokens) override { fed_back.push_back(std::move(tokens)); }

    std::vector<StageFailed> failures;
    std::vector<ForwardedPart> forwarded;
    std::vector<ReturnedPart> returned;
    std::vector<RetiredPart> retired;
    std::vector<TokenFeedback> fed_back;
};

/// The session of stage `index` of two.
struct Scene {
    Scene(std::uint32_t index, bool lm_head_first, bool feeds_back = false,
          std::uint16_t minor = kProtocolMinor, DataType type = DataType::f32) {
        Assign assign;
        assign.protocol_minor = minor;
        assign.activation_type = type;
        assign.epoch = kEpoch;
        assign.ring = *Ring::make({{NodeId(1), "a", {0, 2}}, {NodeId(2), "b", {2, 4}}},
                                  lm_head_first, feeds_back);
        assign.stage_index = index;
        session.assign(assign);
        session.pump(0);
        REQUIRE(session.start({kEpoch, index, 4}).ok());
        session.pump(0);
        REQUIRE(session.ready());
    }

    static PartKey key(std::uint64_t part = 9) { return {kEpoch, StepId(1), PartId(part)}; }

    /// A decode row at position 3, as the head launches it.
    static PartPlan plan(std::optional<Token> token = 5) {
        DecodeRows rows;
        rows.sequence = SequenceId(1);
        rows.position = 3;
        rows.token = token;
        PartPlan plan;
        plan.key = key();
        plan.rows = std::vector<DecodeRows>{rows};
        return plan;
    }
    static ForwardedPart forwarded() { return {plan(), {DataType::f32, 1, Bytes(8)}, {{}}}; }
    static ReturnedPart returned(std::size_t times = 2) {
        return {key(),
                PartKind::decode,
                {{SequenceId(1), 3, 1, 1}},
                {DataType::f32, 1, Bytes(8)},
                std::vector<StageTime>(times)};
    }
    static RetiredPart retired() {
        return {key(), PartKind::decode, {{SequenceId(1), 4, {7}, {}, {}}}, {{}, {}}};
    }

    void finish(StageOutput output) {
        executor.finish(std::move(output));
        session.pump(0);
    }

    PartKeeper executor;
    Ports ports;
    StageSession session{executor, ports};
};

}  // namespace

TEST_CASE("a stage is loaded for its place in the ring") {
    Scene scene(1, false);
    CHECK(scene.executor.config.epoch == kEpoch);
    CHECK(scene.executor.config.layers == LayerRange{2, 4});
    CHECK(scene.executor.config.is_last());
    CHECK(scene.executor.config.has_lm_head());
    CHECK_FALSE(scene.executor.config.has_embedding());
}

TEST_CASE("the first stage with the LM head sends parts on and retires those that return") {
    Scene scene(0, true);
    REQUIRE(scene.session.submit(Scene::plan(), 0).ok());
    scene.finish(Scene::forwarded());
    REQUIRE(scene.ports.forwarded.size() == 1);
    REQUIRE(scene.ports.retired.empty());
    REQUIRE(scene.session.submit(Scene::returned(), 0).ok());
    scene.finish(Scene::retired());
    REQUIRE(scene.ports.forwarded.size() == 1);
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.ports.retired[0].key == Scene::key());
}

TEST_CASE("on the first stage with the LM head, feedback reaches waiting rows without a message") {
    Scene scene(0, true, true);
    PartPlan next = Scene::plan(std::nullopt);
    std::get<std::vector<DecodeRows>>(next.rows)[0].position = 4;
    next.opens.resize(1);
    next.opens[0].id = SequenceId(1);
    REQUIRE(scene.session.submit(next, 0).ok());
    REQUIRE(scene.executor.inputs.empty());
    REQUIRE(scene.session.submit(Scene::returned(), 0).ok());
    REQUIRE(scene.executor.inputs.size() == 1);
    scene.finish(Scene::retired());
    REQUIRE(scene.ports.fed_back.empty());
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.executor.inputs.size() == 1);
    const auto& ready = std::get<PartPlan>(scene.executor.inputs[0]);
    REQUIRE(std::get<std::vector<DecodeRows>>(ready.rows)[0].token == 7);
}

TEST_CASE("the last stage with the LM head feeds decoded tokens back and retires parts") {
    Scene scene(1, false, true);
    REQUIRE(scene.session.submit(Scene::forwarded(), 0).ok());
    scene.finish(Scene::retired());
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.ports.fed_back ==
            std::vector<TokenFeedback>{{Scene::key(), {{SequenceId(1), 4, {7}}}}});
    REQUIRE(scene.session.submit(Scene::forwarded(), 0).ok());
    RetiredPart prompt = Scene::retired();
    prompt.kind = PartKind::prefill;
    scene.finish(prompt);
    REQUIRE(scene.ports.retired.size() == 2);
    REQUIRE(scene.ports.fed_back.size() == 1);
}

TEST_CASE("the last stage without the LM head returns all parts") {
    Scene scene(1, true);
    REQUIRE(scene.session.submit(Scene::forwarded(), 0).ok());
    scene.finish(Scene::returned());
    REQUIRE(scene.ports.returned.size() == 1);
    REQUIRE(scene.ports.retired.empty());
}

TEST_CASE("parts that do not belong on a stage are refused") {
    const auto code = [](Scene& scene, const StageInput& input) {
        return scene.session.submit(input, 0).code();
    };
    Scene without(0, false);
    REQUIRE(code(without, Scene::returned()) == StatusCode::failed_precondition);
    REQUIRE(code(without, Scene::forwarded()) == StatusCode::failed_precondition);
    Scene last(1, false);
    REQUIRE(code(last, Scene::returned()) == StatusCode::failed_precondition);
    REQUIRE(code(last, Scene::plan()) == StatusCode::failed_precondition);
    REQUIRE(last.session.deliver_feedback({Scene::key(), {}}, 0).code() ==
            StatusCode::failed_precondition);
    Scene first(0, true);
    REQUIRE(code(first, Scene::returned(1)) == StatusCode::data_loss);
    ReturnedPart stale = Scene::returned();
    stale.key.epoch.epoch = Epoch(0);
    REQUIRE(code(first, stale) == StatusCode::ok);
    ReturnedPart other = Scene::returned();
    other.key.epoch.pipeline = PipelineId(1);
    REQUIRE(code(first, other) == StatusCode::failed_precondition);
    REQUIRE(first.executor.inputs.empty());
}

TEST_CASE("rows go out in the newest format that all processes of the ring know") {
    const auto format = [](std::uint16_t minor, DataType type) {
        return Scene(0, false, false, minor, type).executor.config.activation_format;
    };
    CHECK(format(1, DataType::int8) == newest_format(DataType::int8));
    CHECK(format(1, DataType::int8).exact_values > 0);
    CHECK(format(0, DataType::int8) == ActivationFormat{DataType::int8});
    CHECK(format(2, DataType::f16).widens);
    CHECK_FALSE(format(0, DataType::f16).widens);
}

TEST_CASE("a sequence that ends at a fault does not hold up the part that waits for its token") {
    Scene scene(1, false, true);
    REQUIRE(scene.session.submit(Scene::forwarded(), 0).ok());
    RetiredPart retired = Scene::retired();
    retired.faults = {{SequenceId(2), 3, 1, RowFaultKind::logits}};
    scene.finish(retired);
    REQUIRE(scene.ports.fed_back.size() == 1);
    REQUIRE(scene.ports.fed_back[0].accepted ==
            std::vector<AcceptedTokens>{{SequenceId(1), 4, {7}}, {SequenceId(2), 4, {0}}});
    REQUIRE(scene.ports.retired.size() == 1);
    REQUIRE(scene.ports.failures.empty());
}

TEST_CASE("a fault ends the epoch where a process of the ring is too old to end one sequence") {
    Scene scene(1, false, true, 0);
    REQUIRE(scene.session.submit(Scene::forwarded(), 0).ok());
    RetiredPart retired = Scene::retired();
    retired.faults = {{SequenceId(1), 3, 0, RowFaultKind::hidden}};
    scene.finish(retired);
    REQUIRE(scene.ports.retired.empty());
    REQUIRE(scene.ports.failures.size() == 1);
    CHECK(scene.ports.failures[0].code == StatusCode::data_loss);
    CHECK(scene.ports.failures[0].reason ==
          "stage 0 (layers 0-1) computed activations that are not finite numbers at position 3");
}
