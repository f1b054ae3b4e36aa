// See cluster_fixture.h.
#include "support/cluster_fixture.h"

#include <algorithm>
#include <stdexcept>

namespace molink::test {
namespace {

std::unique_ptr<ChannelHub> make_hub(Transport& transport, const Clock& clock, HubSink& sink,
                                     std::uint64_t seed) {
    HubOptions options;
    options.seed = seed;
    return make_channel_hub(transport, clock, sink, options);
}

std::vector<StageExecutor*> executors_of(
    const std::vector<std::unique_ptr<sim::SimStage>>& stages) {
    std::vector<StageExecutor*> executors;
    for (const auto& stage : stages) executors.push_back(stage.get());
    return executors;
}

}  // namespace

NodeIdentity fold_identity(const std::string& name, std::size_t devices) {
    NodeIdentity identity;
    identity.name = name;
    identity.host_id = "host";
    identity.spec.layers = kFoldLayers;
    identity.spec.vocabulary = kFoldVocabulary;
    identity.spec.hidden = 2;
    identity.model_hash = 0x1234;
    identity.block_tokens = kBlockTokens;
    NodeDevice device;
    device.memory_bytes = 1 << 20;
    device.memory_own = true;
    device.profile.decode_layer_us = 100;
    for (std::size_t i = 0; i < devices; ++i) {
        device.name = std::to_string(i);
        identity.devices.push_back(device);
    }
    return identity;
}

std::vector<std::unique_ptr<sim::SimStage>> make_fold_stages(const Clock& clock,
                                                             std::size_t count) {
    std::vector<std::unique_ptr<sim::SimStage>> stages;
    for (std::size_t i = 0; i < count; ++i) {
        stages.push_back(std::make_unique<sim::SimStage>(clock, sim::SimStageOptions()));
    }
    return stages;
}

PartitionModel fold_partition_model() {
    PartitionModel model;
    model.layers.assign(kFoldLayers, {.weight_bytes = 1000, .kv_block_bytes = 64});
    model.embedding_bytes = 100;
    model.lm_head_bytes = 100;
    model.workspace_bytes = 100;
    model.min_blocks = 4;
    model.activation_row_bytes = 8;
    return model;
}

ClusterFixture::ClusterFixture(std::int32_t stages, bool local_stage, LmHead lm_head,
                               bool direct_feedback, std::size_t head_devices, TensorCheck* tensors)
    : head_stages(make_fold_stages(clock, head_devices)), stages_(stages) {
    clock.now = 1'000'000;
    config_.identity = fold_identity("head", head_devices);
    config_.partition_model = fold_partition_model();
    config_.partition_model.tied_embeddings = lm_head == LmHead::first;
    config_.lm_head = lm_head;
    config_.local_stage = local_stage;
    config_.direct_feedback = direct_feedback;
    config_.probe_links = false;  // a tick of the clock would look like a slow network
    config_.engine.max_running = 4;
    config_.engine.max_waiting = 64;
    config_.engine.max_step_tokens = 32;
    config_.engine.max_slice_tokens = 16;
    config_.engine.block_tokens = kBlockTokens;
    config_.engine.vocabulary = kFoldVocabulary;
    config_.max_context = 256;
    config_.node_lost_after_us = 15'000'000;
    config_.reconnect_within_us = 3'000'000;
    config_.tensors = tensors != nullptr ? tensors : &tensors_;
    start_head();
}

void ClusterFixture::start_head() {
    HeadPolicies policies{make_seed_cluster(stages_), make_cost_partitioner(), nullptr};
    head = std::make_unique<HeadNode>(config_, std::move(policies), *this, clock,
                                      executors_of(head_stages), Log());
    transport = network->make_transport();
    if (!transport->listen("inproc://head")) {
        throw std::runtime_error("the head cannot listen at inproc://head");
    }
    hub = make_hub(*transport, clock, *head, next_seed_++);
    head->attach(*hub);
}

void ClusterFixture::restart_head() {
    hub.reset();
    transport.reset();
    head.reset();
    head_stages = make_fold_stages(clock, head_stages.size());
    start_head();
}

ClusterFixture::~ClusterFixture() = default;

FoldWorker& ClusterFixture::add_worker(NodeIdentity identity, std::string advertise) {
    auto worker = std::make_unique<FoldWorker>();
    worker->stages = make_fold_stages(clock, identity.devices.size());
    worker->name = identity.name;
    worker->transport = network->make_transport();
    const std::string address = "inproc://" + identity.name;
    if (!worker->transport->listen(address)) {
        throw std::runtime_error("the worker cannot listen at " + address);
    }
    WorkerConfig config;
    config.identity = std::move(identity);
    config.join = "inproc://head";
    config.join_within_us = join_within_us;
    config.give_up_after_us = give_up_after_us;
    config.head_lost_after_us = 15'000'000;
    config.reconnect_within_us = 3'000'000;
    worker->node = std::make_unique<WorkerNode>(config, clock, executors_of(worker->stages), Log());
    worker->hub = make_hub(*worker->transport, clock, *worker->node, next_seed_++);
    if (advertise.empty()) advertise = address;
    if (!worker->node->attach(*worker->hub, advertise).ok()) {
        throw std::runtime_error("the worker at " + address + " cannot dial the head");
    }
    workers.push_back(std::move(worker));
    return *workers.back();
}

void ClusterFixture::kill(const std::string& name) {
    const auto found = std::find_if(workers.begin(), workers.end(),
                                    [&](const auto& worker) { return worker->name == name; });
    workers.erase(found);
}

bool ClusterFixture::run_until(const std::function<bool()>& done, std::int64_t limit_us) {
    const std::int64_t end = clock.now + limit_us;
    while (clock.now < end) {
        hub->poll(0);
        head->tick();
        for (const auto& worker : workers) {
            if (worker->frozen) continue;
            worker->hub->poll(0);
            worker->node->tick();
        }
        if (done()) return true;
        clock.now += 1000;
    }
    return false;
}

RequestId ClusterFixture::submit(const std::vector<Token>& prompt, std::int32_t max_tokens) {
    AdmittedRequest request;
    request.id = RequestId(next_request_++);
    request.prompt = prompt;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.submitted_us = clock.now;
    const RequestId id = request.id;
    outcomes[id].status = head->pipeline().core().submit(std::move(request), clock.now);
    return id;
}

void ClusterFixture::on_request_event(RequestEvent event) {
    Outcome& outcome = outcomes[event.request];
    outcome.tokens.insert(outcome.tokens.end(), event.tokens.begin(), event.tokens.end());
    if (event.finish_reason == FinishReason::none) return;
    ++outcome.terminal_events;
    outcome.reason = event.finish_reason;
    outcome.status = event.status;
}

bool ClusterFixture::all_ended() const {
    return std::all_of(outcomes.begin(), outcomes.end(),
                       [](const auto& entry) { return entry.second.terminal_events > 0; });
}

}  // namespace molink::test
