// Deadlines of parts and of loading: who is to blame when a pipeline stands still although every
// node sends heartbeats.
#include "node/part_watch.h"

#include "base/limits.h"
#include "base/peer_limits.h"
#include "support/catch.h"
#include "support/cluster_fixture.h"

using namespace molink;
using test::ClusterFixture;
using test::FoldWorker;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr PipelineEpoch kEpoch{PipelineId(0), Epoch(1)};
const std::vector<Token> kPrompt{5, 9, 2, 8, 4, 4, 1, 7, 3};

/// Three stages, of which the last one has the LM head. All parts take 100 ms on each.
struct Watched {
    Watched() {
        watch.begin(3);
        parts.stages.assign(3, {100'000, 0});
        parts.oldest_us = 0;
    }
    void note(std::uint32_t stage, std::uint64_t received, std::uint64_t sent,
              std::int64_t held_us) {
        watch.note({kEpoch, stage, received, sent, held_us});
    }
    /// Returns the stage that is to blame and why, at a time after the launch of the oldest part.
    std::string blamed(std::int64_t now_us) const {
        const auto overdue = watch.check(parts, now_us);
        if (!overdue) return "";
        return (overdue->stage ? std::to_string(*overdue->stage) : "nobody") + ": " +
               overdue->reason;
    }

    PartWatch watch{{15 * kSecond, 3 * kSecond}};
    PartsUnderWay parts;
};

constexpr std::int64_t kHeldLimitUs = 15 * kSecond + limits::kPartPatience * 100'000;
constexpr std::int64_t kPartLimitUs =
    2 * (18 * kSecond + limits::kNeighbourGraceUs) + limits::kPartPatience * 300'000;

}  // namespace

TEST_CASE("a stage that holds a part for too long is to blame") {
    Watched scene;
    constexpr std::int64_t kLate = 60 * kSecond;
    scene.note(0, 4, 4, 0);
    scene.note(1, 4, 3, kHeldLimitUs);
    scene.note(2, 3, 0, 0);
    CHECK(scene.blamed(kLate).empty());
    scene.note(1, 4, 3, kHeldLimitUs + 1);
    CHECK(scene.blamed(kLate) == "1: it has not finished a part that it got 18.0 s ago");
    scene.watch.begin(3);  // another epoch
    CHECK(scene.blamed(kLate).empty());
}

TEST_CASE("what a stage said last counts no longer than parts are under way") {
    Watched scene;
    scene.note(1, 4, 3, 70 * kSecond);
    CHECK(scene.blamed(kHeldLimitUs).empty());  // the part that it held then is done
    CHECK_FALSE(scene.blamed(kHeldLimitUs + 1).empty());
    scene.parts.oldest_us.reset();
    CHECK(scene.blamed(100 * kSecond).empty());
}

TEST_CASE("a wrong profile does not hide a stage that stands still") {
    Watched scene;
    constexpr std::int64_t kLimitUs = 15 * kSecond + limits::kLongestPartPatienceUs;
    scene.parts.stages[1].total_us = limits::kLongestUs;
    scene.note(1, 1, 0, limits::kLongestUs);
    CHECK(scene.blamed(kLimitUs).empty());
    CHECK(scene.blamed(kLimitUs + 1).find("1: ") == 0);
}

TEST_CASE("where a part is gone and nobody holds it, nobody is to blame") {
    Watched scene;
    scene.parts.oldest_known_us = 0;
    scene.parts.launched = 9;
    scene.note(0, 9, 9, 0);
    scene.note(1, ~0ull, 7, 2 * kSecond);
    CHECK(scene.blamed(kPartLimitUs).empty());
    CHECK(scene.blamed(kPartLimitUs + 1) ==
          "nobody: a part was launched 51.0 s ago and has not come back; of 9 parts the stages "
          "have received and sent on 9/9, 18446744073709551615/7, ?/?");
    scene.parts.oldest_known_us.reset();
    CHECK(scene.blamed(kPartLimitUs + 1).empty());
}

TEST_CASE("a worker that computes nothing is lost, and another one takes its place") {
    for (const bool swallows : {false, true}) {
        ClusterFixture cluster(3, true);
        FoldWorker& a = cluster.add_worker("a");
        cluster.add_worker("b");
        REQUIRE(cluster.run_until_ready());
        if (swallows) {
            a.stages[0]->set_swallowing(true);
        } else {
            a.stages[0]->set_hanging(true);
        }
        const RequestId id = cluster.submit(kPrompt, 4);
        REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
        const std::string& error = cluster.outcomes[id].status.message();
        INFO(error);
        CHECK(error.find("node 'a' (layers ") == 0);
        CHECK(error.find("its stage failed: it has not finished a part that it got ") !=
              std::string::npos);
        CHECK(cluster.head->view().last_error == error);
        REQUIRE(cluster.run_until([&] { return a.node->over(); }));
        CHECK(a.node->outcome().code() == StatusCode::internal);
        cluster.outcomes.clear();
        cluster.add_worker("c");
        REQUIRE(cluster.run_until_ready());
        cluster.submit(kPrompt, 4);
        REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
        CHECK(cluster.outcomes.begin()->second.status.ok());
    }
}

TEST_CASE("a stage that is late, but within its time, costs nothing") {
    ClusterFixture cluster(2, true);
    FoldWorker& a = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    a.stages[0]->set_hanging(true);
    const RequestId id = cluster.submit(kPrompt, 4);
    cluster.run_until([] { return false; }, 14 * kSecond);
    a.stages[0]->set_hanging(false);
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    CHECK(cluster.outcomes[id].tokens == test::fold_tokens(kPrompt, 4, test::kFoldLayers));
    CHECK(cluster.head->pipeline().epoch() == kEpoch);
}

TEST_CASE("the head's own stage that stands still ends the engine with a reason") {
    ClusterFixture cluster(2, true);
    cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    cluster.head_stages[0]->set_hanging(true);
    const RequestId id = cluster.submit(kPrompt, 4);
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    INFO(cluster.outcomes[id].status.to_string());
    CHECK(cluster.outcomes[id].status.message().find("the head's own stage failed: ") == 0);
    CHECK(cluster.head->build_error().code() == StatusCode::internal);
}

TEST_CASE("a stage that makes no progress in loading is lost") {
    ClusterFixture cluster(2, true);
    FoldWorker& a = cluster.add_worker("a");
    a.stages[0]->set_hanging(true);
    const auto lost = [&] { return !cluster.head->view().last_error.empty(); };
    REQUIRE_FALSE(cluster.run_until(lost, limits::kLoadStalledUs));
    REQUIRE(cluster.run_until(lost, 3 * kSecond));
    CHECK(cluster.head->view().last_error.find("made no progress for 300 s") != std::string::npos);
}

TEST_CASE("a worker that nobody can reach is lost, not the one that says so") {
    ClusterFixture cluster(3, true);
    cluster.give_up_after_us = kWaitForever;
    const auto with_layers = [](const char* name, LayerRange layers) {
        NodeIdentity identity = test::fold_identity(name);
        identity.layers = layers;
        return identity;
    };
    FoldWorker& a = cluster.add_worker(with_layers("a", {2, 4}));
    FoldWorker& b = cluster.add_worker(with_layers("b", {4, 6}), "inproc://nowhere");
    const auto lost = [&] { return !cluster.head->view().last_error.empty(); };
    REQUIRE(cluster.run_until(lost, 20 * kSecond));
    INFO(cluster.head->view().last_error);
    CHECK(cluster.head->view().last_error.find("node 'b' (layers ") == 0);
    CHECK(cluster.head->view().last_error.find("node 'a' cannot work with it: the next stage at "
                                               "inproc://nowhere could not be reached") !=
          std::string::npos);
    CHECK(a.node->view().welcomed);
    CHECK_FALSE(b.node->over());
}
