// Head and workers as state machines in virtual time: nodes join, are refused, serve and are
// lost.
#include "support/catch.h"
#include "support/cluster_fixture.h"

using namespace molink;
using test::ClusterFixture;
using test::FoldWorker;

namespace {

const std::vector<Token> kPrompt{5, 9, 2, 8, 4, 4, 1, 7, 3, 55, 91, 12, 0, 6, 31, 77, 41, 5, 5, 5};

void check_tokens(ClusterFixture& cluster, int requests) {
    std::vector<RequestId> ids;
    for (int i = 0; i < requests; ++i) {
        std::vector<Token> prompt = kPrompt;
        prompt.push_back(i);
        ids.push_back(cluster.submit(prompt, 24));
    }
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    for (int i = 0; i < requests; ++i) {
        std::vector<Token> prompt = kPrompt;
        prompt.push_back(i);
        const auto& outcome = cluster.outcomes[ids[static_cast<std::size_t>(i)]];
        INFO(outcome.status.to_string());
        REQUIRE(outcome.reason == FinishReason::length);
        REQUIRE(outcome.tokens == test::fold_tokens(prompt, 24, test::kFoldLayers));
    }
}

}  // namespace

TEST_CASE("one to five nodes give the same tokens") {
    for (int workers = 0; workers <= 4; ++workers) {
        for (bool local : {true, false}) {
            if (!local && workers == 0) continue;
            ClusterFixture cluster(workers + (local ? 1 : 0), local);
            for (int i = 0; i < workers; ++i) cluster.add_worker("w" + std::to_string(i));
            REQUIRE(cluster.run_until_ready());
            const ClusterView view = cluster.head->view();
            REQUIRE(view.stages.size() == static_cast<std::size_t>(workers + (local ? 1 : 0)));
            check_tokens(cluster, 6);
            REQUIRE(cluster.head_stages[0]->violation().empty());
            for (const auto& worker : cluster.workers)
                REQUIRE(worker->stages[0]->violation().empty());
        }
    }
}

TEST_CASE("processes with several devices hold a stage on each and give the same tokens") {
    struct Case {
        std::size_t head = 1;  // devices
        std::vector<std::size_t> workers;
        bool local_stage = true;
    };
    const std::vector<Case> cases{
        {2, {}, true}, {1, {2}, true}, {2, {2, 1}, true}, {1, {3, 2}, false}, {1, {2}, false}};
    for (const Case& item : cases) {
        for (LmHead lm_head : {LmHead::last, LmHead::first}) {
            std::size_t stages = item.local_stage ? item.head : 0;
            for (std::size_t devices : item.workers) stages += devices;
            INFO(stages << " stages, head with " << item.head << ", local " << item.local_stage);
            ClusterFixture cluster(static_cast<std::int32_t>(stages), item.local_stage, lm_head,
                                   true, item.head);
            for (std::size_t i = 0; i < item.workers.size(); ++i) {
                cluster.add_worker(test::fold_identity("w" + std::to_string(i), item.workers[i]));
            }
            REQUIRE(cluster.run_until_ready());
            const ClusterView view = cluster.head->view();
            REQUIRE(view.stages.size() == stages);
            for (const NodeInfo& node : view.nodes) REQUIRE(!node.layers.empty());
            check_tokens(cluster, 6);
            for (const auto& stage : cluster.head_stages) REQUIRE(stage->violation().empty());
            for (const auto& worker : cluster.workers) {
                const WorkerView seen = worker->node->view();
                REQUIRE(seen.state == NodeState::ready);
                REQUIRE(seen.stages.size() == worker->stages.size());
                for (const WorkerStageView& stage : seen.stages) REQUIRE(!stage.layers.empty());
                for (const auto& stage : worker->stages) REQUIRE(stage->violation().empty());
            }
        }
    }
}

TEST_CASE("a process that is lost takes the stages of all its devices with it") {
    ClusterFixture cluster(4, true);
    cluster.add_worker(test::fold_identity("a", 2));
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    cluster.submit(kPrompt, 24);
    cluster.kill("a");
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    const std::string& error = cluster.outcomes.begin()->second.status.message();
    INFO(error);
    REQUIRE(error.find("node 'a/0' (layers ") != std::string::npos);
    REQUIRE(error.find(") and node 'a/1' (layers ") != std::string::npos);
    REQUIRE(cluster.head->view().nodes.size() == 2);
    cluster.add_worker(test::fold_identity("c", 2));
    REQUIRE(cluster.run_until_ready());
    REQUIRE(cluster.head->view().epoch == 2);
    check_tokens(cluster, 3);
}

TEST_CASE("the LM head on the first stage gives the same tokens") {
    for (int workers = 1; workers <= 4; ++workers) {
        for (bool local : {true, false}) {
            for (bool direct : {true, false}) {
                INFO(workers << " workers, local " << local << ", direct " << direct);
                ClusterFixture cluster(workers + (local ? 1 : 0), local, LmHead::first, direct);
                for (int i = 0; i < workers; ++i) cluster.add_worker("w" + std::to_string(i));
                REQUIRE(cluster.run_until_ready());
                REQUIRE(cluster.head->pipeline().partition().plan.lm_head_first ==
                        (workers > (local ? 0 : 1)));
                check_tokens(cluster, 6);
                REQUIRE(cluster.head_stages[0]->violation().empty());
            }
        }
    }
}

TEST_CASE("fixed layers are kept, also with the head in the middle or at the end") {
    struct Case {
        LayerRange first, head, other;
        LmHead lm_head;
    };
    for (const Case& item :
         {Case{{0, 1}, {1, 3}, {3, 6}, LmHead::last}, Case{{0, 1}, {1, 3}, {3, 6}, LmHead::first},
          Case{{0, 1}, {4, 6}, {1, 4}, LmHead::last},
          Case{{0, 1}, {4, 6}, {1, 4}, LmHead::first}}) {
        ClusterFixture cluster(3, true, item.lm_head);
        NodeIdentity first = test::fold_identity("first");
        first.layers = item.first;
        NodeIdentity other = test::fold_identity("other");
        other.layers = item.other;
        cluster.add_worker(other);
        cluster.add_worker(first);
        REQUIRE(cluster.run_until_ready());
        for (const NodeInfo& node : cluster.head->view().nodes) {
            if (node.name == "first") REQUIRE(node.layers == item.first);
            if (node.name == "head") REQUIRE(node.layers == item.head);
            if (node.name == "other") REQUIRE(node.layers == item.other);
        }
        check_tokens(cluster, 4);
    }
}

TEST_CASE("a node that would slow the pipeline stays joined without layers") {
    ClusterFixture cluster(3, true);
    NodeIdentity slow = test::fold_identity("slow");
    slow.devices[0].profile.decode_layer_us = 100'000;
    cluster.add_worker(slow);
    cluster.add_worker("fast");
    REQUIRE(cluster.run_until_ready());
    REQUIRE(cluster.head->view().stages.size() == 2);
    for (const NodeInfo& node : cluster.head->view().nodes) {
        REQUIRE(node.left_out.empty() == (node.name != "slow"));
        if (node.name != "slow") continue;
        REQUIRE(node.state == NodeState::joined);
        REQUIRE(node.layers.empty());
        REQUIRE(node.left_out == "with it the slowest stage takes 109.4 ms instead of 0.3 ms");
    }
    check_tokens(cluster, 4);
    cluster.kill("slow");
    REQUIRE(cluster.run_until([&] { return cluster.head->view().nodes.size() == 2; }));
    check_tokens(cluster, 2);
}

TEST_CASE("the stage with the fewest KV blocks decides their number") {
    ClusterFixture cluster(2, true);
    cluster.add_worker("w").stages[0]->offer_kv_blocks(17);
    REQUIRE(cluster.run_until_ready());
    REQUIRE(cluster.head->pipeline().kv_blocks() == 17);
}

TEST_CASE("a node that differs from the head is refused with both values") {
    struct Case {
        const char* what;
        std::function<void(NodeIdentity&)> change;
    };
    const std::vector<Case> cases{
        {"a model with hash 0000000000000007", [](NodeIdentity& id) { id.model_hash = 7; }},
        {"a model of 5 layers", [](NodeIdentity& id) { id.spec.layers = 5; }},
        {"weights as q8_0", [](NodeIdentity& id) { id.weight_type = DataType::q8_0; }},
        {"a KV cache of f16; the head has f32",
         [](NodeIdentity& id) { id.kv_type = DataType::f16; }},
        {"KV blocks of 32 tokens", [](NodeIdentity& id) { id.block_tokens = 32; }},
        {"900 bytes are available", [](NodeIdentity& id) { id.devices[0].memory_bytes = 900; }},
        {"asks for layers 4-8",
         [](NodeIdentity& id) {
             id.layers = LayerRange{4, 9};
         }},
    };
    for (const Case& item : cases) {
        ClusterFixture cluster(2, true);
        NodeIdentity identity = test::fold_identity("w");
        item.change(identity);
        const FoldWorker& worker = cluster.add_worker(identity);
        REQUIRE(cluster.run_until([&] { return worker.node->over(); }));
        INFO(worker.node->outcome().to_string());
        REQUIRE(worker.node->outcome().message().find(item.what) != std::string::npos);
        REQUIRE(cluster.head->pipeline().state() == EngineState::waiting);
    }
}

TEST_CASE("a complete cluster refuses another node") {
    ClusterFixture cluster(2, true);
    cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    FoldWorker& extra = cluster.add_worker("b");
    REQUIRE(cluster.run_until([&] { return extra.node->over(); }));
    REQUIRE(extra.node->outcome().message().find("the cluster of 2 nodes is complete") !=
            std::string::npos);
    check_tokens(cluster, 2);
}

TEST_CASE("of a process with more devices than are needed the rest is a spare") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker(test::fold_identity("box", 3));
    REQUIRE(cluster.run_until_ready());
    const ClusterView view = cluster.head->view();
    REQUIRE(view.nodes.size() == 4);
    REQUIRE(view.stages.size() == 2);
    int spare = 0;
    for (const NodeInfo& node : view.nodes) {
        if (node.layers.empty()) ++spare;
        REQUIRE(node.layers.empty() == !node.left_out.empty());
    }
    REQUIRE(spare == 2);
    REQUIRE(worker.node->view().state == NodeState::ready);
    check_tokens(cluster, 2);
}

TEST_CASE("a worker without a head gives up in time") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("w");
    const std::int64_t begin = cluster.clock.now;
    worker.frozen = true;
    while (!worker.node->over() && cluster.clock.now < begin + 20'000'000) {
        worker.hub->poll(0);
        worker.node->tick();
        cluster.clock.now += 1000;
    }
    REQUIRE(worker.node->over());
    REQUIRE(worker.node->outcome().code() == StatusCode::unavailable);
    REQUIRE(worker.node->outcome().message().find("inproc://head") != std::string::npos);
}

TEST_CASE("requests on a killed worker end with an error, and a new worker replaces it") {
    ClusterFixture cluster(3, true);
    cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    for (int i = 0; i < 6; ++i) cluster.submit(kPrompt, 200);
    REQUIRE(cluster.run_until([&] { return cluster.outcomes.begin()->second.tokens.size() > 5; }));
    const std::int64_t killed = cluster.clock.now;
    cluster.kill("a");
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }, 20'000'000));
    REQUIRE(cluster.clock.now - killed <= 16'100'000);
    for (const auto& [id, outcome] : cluster.outcomes) {
        REQUIRE(outcome.terminal_events == 1);
        REQUIRE(outcome.reason == FinishReason::error);
        REQUIRE(outcome.status.code() == StatusCode::unavailable);
        REQUIRE(outcome.status.message().find("node 'a'") != std::string::npos);
        auto expected = test::fold_tokens(kPrompt, 200, test::kFoldLayers);
        expected.resize(outcome.tokens.size());
        REQUIRE(outcome.tokens == expected);
    }
    REQUIRE(cluster.head->view().missing.find("missing 1") != std::string::npos);
    const RequestId refused = cluster.submit(kPrompt, 4);
    REQUIRE(cluster.outcomes[refused].status.code() == StatusCode::unavailable);
    cluster.outcomes.clear();

    cluster.add_worker("c");
    const bool ready_again = cluster.run_until_ready();
    INFO(cluster.head->view().last_error << " | " << cluster.head->view().missing);
    REQUIRE(ready_again);
    REQUIRE(cluster.head->view().epoch == 2);
    check_tokens(cluster, 4);
}

TEST_CASE("only the lost node is named, not the neighbour that reports it") {
    for (const char* victim : {"a", "b"}) {
        ClusterFixture cluster(3, true);
        cluster.add_worker("a");
        cluster.add_worker("b");
        REQUIRE(cluster.run_until_ready());
        cluster.submit(kPrompt, 200);
        REQUIRE(
            cluster.run_until([&] { return cluster.outcomes.begin()->second.tokens.size() > 5; }));
        cluster.kill(victim);
        REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }, 20'000'000));
        const std::string message = cluster.outcomes.begin()->second.status.message();
        INFO(message);
        REQUIRE(message.find("node '" + std::string(victim) + "'") != std::string::npos);
    }
}

TEST_CASE("the head waits for a silent worker up to the limit") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    cluster.submit(kPrompt, 100);
    worker.frozen = true;
    REQUIRE_FALSE(cluster.run_until([&] { return cluster.all_ended(); }, 12'000'000));
    worker.frozen = false;
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    REQUIRE(cluster.outcomes.begin()->second.tokens ==
            test::fold_tokens(kPrompt, 100, test::kFoldLayers));

    cluster.outcomes.clear();
    cluster.submit(kPrompt, 100);
    worker.frozen = true;
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }, 20'000'000));
    REQUIRE(cluster.outcomes.begin()->second.status.code() == StatusCode::unavailable);
}

TEST_CASE("requests of a stage that fails end with the error of the stage") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    worker.stages[0]->fail_next(Status(StatusCode::internal, "the page is torn"));
    cluster.submit(kPrompt, 10);
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    REQUIRE(cluster.outcomes.begin()->second.status.message().find("the page is torn") !=
            std::string::npos);
    REQUIRE(cluster.run_until([&] { return worker.node->over(); }));
}

TEST_CASE("the head's farewell ends the workers without an error") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    cluster.head->farewell();
    REQUIRE(cluster.run_until([&] { return worker.node->over(); }));
    INFO(worker.node->outcome().to_string());
    REQUIRE(worker.node->outcome().ok());
}

TEST_CASE("a worker may be lost while the last stage, on the head, computes for it") {
    for (std::int64_t moment_us = 0; moment_us < 40'000; moment_us += 1'000) {
        ClusterFixture cluster(2, true);
        NodeIdentity first = test::fold_identity("first");
        first.layers = LayerRange{0, 3};
        cluster.add_worker(first);
        REQUIRE(cluster.run_until_ready());
        REQUIRE(cluster.head->pipeline().ring().shape().feeds_back());
        REQUIRE(cluster.head->pipeline().ring().lm_head_node() == kHeadNode);
        for (int i = 0; i < 4; ++i) cluster.submit(kPrompt, 100);
        cluster.run_until([] { return false; }, moment_us);
        cluster.workers.front()->node->farewell();
        cluster.workers.front()->hub->poll(0);
        cluster.kill("first");
        REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }, 20'000'000));
        for (const auto& [id, outcome] : cluster.outcomes) {
            REQUIRE(outcome.terminal_events == 1);
            REQUIRE(outcome.status.message().find("it left") != std::string::npos);
        }
    }
}

TEST_CASE("a node that is silent for a while is shown as stalled") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    const auto state = [&] { return cluster.head->view().nodes.at(1).state; };
    REQUIRE(state() == NodeState::ready);
    const std::uint64_t changes = cluster.head->change_count();
    worker.frozen = true;
    REQUIRE(cluster.run_until([&] { return state() == NodeState::stalled; }, 6'000'000));
    REQUIRE(cluster.head->change_count() > changes);
    REQUIRE(cluster.head->pipeline().state() == EngineState::ready);
    worker.frozen = false;
    REQUIRE(cluster.run_until([&] { return state() == NodeState::ready; }, 6'000'000));
    check_tokens(cluster, 2);
}

TEST_CASE("a node that sends a message of an unknown pipeline is dismissed") {
    ClusterFixture cluster(2, true);
    FoldWorker& worker = cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    const StageReady ready{{PipelineId(9), Epoch(1)}};
    REQUIRE(worker.hub->send(PeerLinkId(1), Lane::control, {}, encode_message(ready)).ok());
    REQUIRE(cluster.run_until([&] { return worker.node->over(); }));
    REQUIRE(worker.node->outcome().message().find("pipeline 9") != std::string::npos);
}
