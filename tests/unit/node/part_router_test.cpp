// Parts that the head sends: they go to the node that the ring names, in the lane of their kind,
// and parts of other epochs are dropped.
#include "node/part_router.h"

#include "sim/sim_clock.h"
#include "support/catch.h"

using namespace molink;

namespace {

class Ports final : public PipelinePorts {
public:
    void send(NodeId node, Lane lane, PipelineEpoch, const Message& message) override {
        sent.push_back(
            fmt::format("{} {} {}", message_name(message), node.value, static_cast<int>(lane)));
    }
    std::size_t pending_bytes(NodeId node) const override { return node.value * 100; }
    LinkModel link(NodeId, NodeId, PipelineEpoch) const override { return {}; }
    void begin_epoch(PipelineEpoch) override {}
    void lose_node(NodeId, const std::string&) override {}
    void stage_failed(NodeId, const StageFailed&, Failure) override {}
    void leave_out(NodeId, const Status&) override {}
    void pipeline_serves() override {}
    void pipeline_ended(const Status&) override {}
    void pipeline_changed() override {}

    std::vector<std::string> sent;
};

constexpr PipelineEpoch kEpoch{PipelineId(0), Epoch(3)};

PartPlan part(PipelineEpoch epoch, PartRows rows) {
    PartPlan plan;
    plan.key.epoch = epoch;
    plan.rows = std::move(rows);
    return plan;
}

/// Returns a ring of nodes 4 and 7, with the stage of the head between theirs.
Ring ring() {
    return *Ring::make(
        {{NodeId(4), "a", {0, 2}}, {kHeadNode, "", {2, 4}}, {NodeId(7), "c", {4, 6}}}, false, true);
}

std::string line(const char* name, int node, Lane lane) {
    return fmt::format("{} {} {}", name, node, static_cast<int>(lane));
}

}  // namespace

TEST_CASE("parts go to the stage that the ring names, in the lane of their kind") {
    Ports ports;
    sim::SimClock clock;
    PartRouter router(ports, clock, Log());
    REQUIRE_FALSE(router.is_open());
    REQUIRE(router.backlog_bytes() == 0);
    router.open(kEpoch, ring(), {nullptr, nullptr, nullptr});
    router.launch(part(kEpoch, std::vector<DecodeRows>()));
    router.launch(part(kEpoch, std::vector<PrefillRows>()));
    ForwardedPart forwarded;
    forwarded.plan = part(kEpoch, std::vector<DecodeRows>());
    forwarded.stage_times.resize(2);  // it passed two stages
    router.forward(forwarded);
    TokenFeedback tokens;
    tokens.key.epoch = kEpoch;
    router.feed_back(tokens);
    REQUIRE(ports.sent.size() == 4);
    CHECK(ports.sent[0] == line("PartPlan", 4, Lane::decode));
    CHECK(ports.sent[1] == line("PartPlan", 4, Lane::prefill));
    CHECK(ports.sent[2] == line("ForwardedPart", 7, Lane::decode));
    CHECK(ports.sent[3] == line("TokenFeedback", 4, Lane::token));
    REQUIRE(router.backlog_bytes() == 400);
}

TEST_CASE("parts that the head's stage finishes after its epoch are dropped") {
    Ports ports;
    sim::SimClock clock;
    PartRouter router(ports, clock, Log());
    router.open(kEpoch, ring(), {nullptr, nullptr, nullptr});
    TokenFeedback tokens;
    tokens.key.epoch = {PipelineId(0), Epoch(2)};
    router.feed_back(tokens);
    ForwardedPart forwarded;
    forwarded.plan = part({PipelineId(1), Epoch(3)}, std::vector<DecodeRows>());
    router.forward(forwarded);  // of another pipeline
    router.close();
    REQUIRE(router.ring().empty());
    tokens.key.epoch = forwarded.plan.key.epoch = kEpoch;
    router.feed_back(tokens);
    router.forward(forwarded);
    router.launch(part(kEpoch, std::vector<DecodeRows>()));
    REQUIRE(ports.sent.empty());
    REQUIRE(router.epoch() == kEpoch);  // that of the last ring
}
