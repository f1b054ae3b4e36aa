// The links beside a worker's stage: introduced, reached, away, lost.
#include "node/stage_neighbours.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr PipelineEpoch kEpoch{PipelineId(0), Epoch(2)};

/// Gives out links and records what is sent and closed.
class RecordingHub final : public ChannelHub {
public:
    Result<PeerLinkId> dial(const DialTarget&) override { return PeerLinkId(7); }
    PeerIdentity identity(PeerLinkId) const override { return {}; }
    void trust(PeerLinkId) override {}
    Status send(PeerLinkId link, Lane, PipelineEpoch epoch, Bytes) override {
        REQUIRE(epoch == kEpoch);
        sent.push_back(link);
        return {};
    }
    void probe(PeerLinkId, bool) override {}
    void close(PeerLinkId link) override { closed.push_back(link); }
    void set_epoch(PeerLinkId, PipelineEpoch) override {}
    std::size_t poll(std::int64_t) override { return 0; }
    void wake() override {}
    std::size_t pending_bytes(PeerLinkId) const override { return 0; }
    ChannelStats stats(PeerLinkId) const override { return {}; }

    std::vector<PeerLinkId> sent;
    std::vector<PeerLinkId> closed;
};

/// A stage that dialled its next one at second 1.
struct Scene {
    Scene() {
        neighbours.attach(hub);
        neighbours.begin(kEpoch);
        REQUIRE(neighbours.dial_next("tcp://next", {kEpoch, NodeId(3), 1}, kSecond).ok());
    }
    std::string complaint(std::int64_t second) {
        return neighbours.check_next(second * kSecond, 4 * kSecond).message();
    }

    RecordingHub hub;
    StageNeighbours neighbours{Log()};
    const PeerLinkId next{7};
};

}  // namespace

TEST_CASE("a next stage that cannot be reached in time is named") {
    Scene scene;
    REQUIRE_FALSE(scene.neighbours.next_ready());
    REQUIRE(scene.complaint(5).empty());
    REQUIRE(scene.complaint(6) == "the next stage at tcp://next could not be reached within 4.0 s");
    scene.neighbours.on_resolved(scene.next, Status(StatusCode::not_found, "no 'next'"));
    REQUIRE(scene.complaint(6) ==
            "the next stage at tcp://next could not be reached within 4.0 s: no 'next'");
    scene.neighbours.on_resolved(PeerLinkId(8), Status(StatusCode::not_found, "another"));
    scene.neighbours.on_resolved(scene.next, Status());
    REQUIRE(scene.complaint(6) == "the next stage at tcp://next could not be reached within 4.0 s");
    scene.neighbours.on_up(scene.next);
    REQUIRE(scene.complaint(60).empty());
    REQUIRE(scene.hub.sent == std::vector<PeerLinkId>{scene.next});  // the introduction
    REQUIRE(scene.neighbours.next_ready());
}

TEST_CASE("a next stage that is cut off or lost has some time to come back") {
    for (const bool lost : {false, true}) {
        Scene scene;
        scene.neighbours.on_up(scene.next);
        if (lost) {
            scene.neighbours.on_lost(scene.next, Status(StatusCode::data_loss, "x"), 10 * kSecond);
            REQUIRE_FALSE(scene.neighbours.next_ready());
        } else {
            scene.neighbours.on_interrupted(scene.next, 10 * kSecond);
        }
        REQUIRE(scene.complaint(14).empty());
        REQUIRE(scene.complaint(15) ==
                "the link to the next stage at tcp://next was lost and did not come back within "
                "4.0 s");
        if (!lost) {
            scene.neighbours.on_resumed(scene.next);
            REQUIRE(scene.complaint(15).empty());
        }
    }
}

TEST_CASE("a new epoch closes the links of the old one") {
    Scene scene;
    scene.neighbours.accept_previous(PeerLinkId(8));
    REQUIRE(scene.neighbours.is_previous(PeerLinkId(8)));
    scene.neighbours.accept_previous(PeerLinkId(9));  // dialled anew
    REQUIRE(scene.hub.closed == std::vector<PeerLinkId>{PeerLinkId(8)});
    scene.neighbours.begin({PipelineId(0), Epoch(3)});
    REQUIRE(scene.hub.closed == std::vector<PeerLinkId>{PeerLinkId(8), scene.next, PeerLinkId(9)});
    REQUIRE(scene.complaint(60).empty());
}
