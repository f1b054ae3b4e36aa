// Nodes in virtual time. A node is due when something reaches its transport, when a timer of its
// hub or of its state machine expires, or when its stage has finished something. Nothing else makes
// a node run, so the simulation misses every event that production would miss.
#include "sim/sim_cluster.h"

#include <algorithm>
#include <charconv>

#include "sim/fold.h"

namespace molink::sim {
namespace {

/// The default of EngineOptions::max_in_flight_bytes.
constexpr std::size_t kStudyInFlightBytes = 32u << 20;

std::vector<NodeDevice> devices_of(const SimNode& node) {
    NodeDevice device;
    device.memory_domain = node.name;
    device.memory_bytes = 1 << 30;
    device.memory_own = true;
    device.profile.decode_layer_us = std::max(node.decode_us, 1.0);
    device.profile.prefill_row_layer_us = node.prefill_row_us;
    std::vector<NodeDevice> devices(static_cast<std::size_t>(node.devices), device);
    for (std::size_t i = 0; i < devices.size(); ++i) devices[i].name = std::to_string(i);
    return devices;
}

std::string address_of(const std::string& name) {
    return "inproc://" + name;
}

}  // namespace

std::vector<std::string> stage_nodes(const SimScenario& scenario) {
    std::vector<std::string> names;
    for (const SimNode& node : scenario.nodes) {
        if (&node == &scenario.nodes.front() && !scenario.local_stage) continue;
        const std::vector<NodeDevice> devices = devices_of(node);
        for (std::size_t i = 0; i < devices.size(); ++i) {
            names.push_back(node_name(node.name, devices, i));
        }
    }
    return names;
}

std::unique_ptr<Scheduler> make_scheduler(const SimScenario& scenario,
                                          const SimPolicies& policies) {
    if (policies.scheduler) return policies.scheduler();
    const std::string_view name = scenario.scheduler;
    if (name.starts_with("depth-")) {
        DepthSchedulerOptions options;
        std::from_chars(name.data() + 6, name.data() + name.size(), options.depth);
        return make_depth_scheduler(options);
    }
    return std::move(*molink::make_scheduler(name));  // check_scenario has accepted the name
}

std::unique_ptr<TransmitPolicy> make_transmit(const SimScenario& scenario,
                                              const SimPolicies& policies) {
    if (policies.transmit) return policies.transmit();
    return std::move(*make_transmit_policy(scenario.transmit));
}

template <typename Node>
std::int64_t SimCluster::Host<Node>::next_event_us() {
    if (transport->consume_change()) {
        due_us = std::min(transport->next_event_us(), node->next_timer_us());
        for (const auto& stage : stages) due_us = std::min(due_us, stage->next_event_us());
    }
    return std::max(due_us, frozen_until_us);
}

template <typename Node>
void SimCluster::Host<Node>::step(std::int64_t now_us) {
    if (next_event_us() > now_us) return;
    // One round of a node's loop, which waits in poll(). The tick comes first: what it sends sets
    // timers of the hub, and the hub must see them before it waits.
    node->tick();
    hub->poll(kNever);
}

template <typename Node>
std::vector<StageExecutor*> SimCluster::Host<Node>::executors() const {
    std::vector<StageExecutor*> executors;
    for (const auto& stage : stages) executors.push_back(stage.get());
    return executors;
}

template <typename Node>
std::string SimCluster::Host<Node>::violation() const {
    for (const auto& stage : stages) {
        if (!stage->violation().empty()) return stage->violation();
    }
    return {};
}

/// A device that the latest plan leaves out keeps what it had until it is told otherwise.
template <typename Node>
std::size_t SimCluster::Host<Node>::known_sequences(PipelineEpoch epoch) const {
    std::size_t most = 0;
    for (const auto& stage : stages) {
        if (stage->epoch() == epoch) most = std::max(most, stage->known_sequences());
    }
    return most;
}

SimCluster::SimCluster(const SimScenario& scenario, const SimPolicies& policies,
                       RequestEventSink& events, const StudyParts* study)
    : network(clock, scenario.seed ^ 0x6e6574),
      scenario_(scenario),
      policies_(policies),
      study_(study) {
    network.set_default(scenario.link);
    for (const SimLink& link : scenario.links) network.set_link(link.from, link.to, link.model);
    make_head(events);
    for (std::size_t i = 1; i < scenario.nodes.size(); ++i) start_worker(scenario.nodes[i].name);
}

SimCluster::~SimCluster() {
    for (auto& [name, host] : workers_) host.hub.reset();
    head_.hub.reset();
}

const SimNode& SimCluster::node_of(const std::string& name) const {
    return *std::find_if(scenario_.nodes.begin(), scenario_.nodes.end(),
                         [&](const SimNode& node) { return node.name == name; });
}

NodeIdentity SimCluster::identity_of(const std::string& name) const {
    NodeIdentity identity;
    identity.name = name;
    identity.host_id = name;
    identity.spec.layers = scenario_.layers;
    identity.spec.vocabulary = kFoldVocabulary;
    identity.spec.hidden = scenario_.hidden;
    identity.model_hash = 0x666f6c64;
    identity.block_tokens = scenario_.block_tokens;
    identity.devices = devices_of(node_of(name));
    if (study_ != nullptr) {
        const StudyParts::Node& node = study_->nodes.at(name);
        identity.spec.hidden = study_->hidden;
        identity.layers = node.layers;
        for (NodeDevice& device : identity.devices) {
            device.memory_bytes = static_cast<std::uint64_t>(node.memory_bytes);
            device.profile = node.profile;
            if (!node.host.empty()) device.memory_domain = node.host;
        }
    }
    return identity;
}

std::vector<std::unique_ptr<SimStage>> SimCluster::make_stages(const std::string& name) const {
    const SimNode& node = node_of(name);
    SimStageOptions options;
    options.decode_us = node.decode_us;
    options.prefill_row_us = node.prefill_row_us;
    options.load_us = 50'000;
    options.kv_blocks = static_cast<std::uint64_t>(node.kv_blocks);
    options.block_tokens = scenario_.block_tokens;
    options.hidden = scenario_.hidden;
    options.overflows = scenario_.overflows;
    if (study_ != nullptr) options.study = &study_->nodes.at(name).stage;
    std::vector<std::unique_ptr<SimStage>> stages;
    for (std::int32_t i = 0; i < node.devices; ++i) {
        stages.push_back(std::make_unique<SimStage>(clock, options));
        stages.back()->set_damaged(damaged_.contains(name));
    }
    return stages;
}

std::unique_ptr<ChannelHub> SimCluster::make_hub(SimTransport& transport, HubSink& sink) {
    HubOptions options;
    options.seed = counter_random(scenario_.seed, next_hub_seed_++);
    options.policy = [this] { return make_transmit(scenario_, policies_); };
    if (study_ != nullptr) {
        options.channel.max_frame_bytes = study_->max_frame_bytes;
        const auto row = static_cast<std::size_t>(study_->model.activation_row_bytes);
        const auto held = static_cast<std::size_t>(scenario_.hidden) * sizeof(float);
        network.padded = true;
        options.channel.padding = [row, held](ByteSpan message) {
            return peek_activation_bytes(message) / held * (row - held);
        };
    }
    return make_channel_hub(transport, clock, sink, options);
}

HeadConfig SimCluster::head_config() {
    HeadConfig config;
    config.identity = identity_of(scenario_.nodes.front().name);
    config.partition_model.layers.assign(static_cast<std::size_t>(scenario_.layers),
                                         {.weight_bytes = 1000, .kv_block_bytes = 64});
    config.partition_model.min_blocks = 1;
    config.partition_model.tied_embeddings = true;
    config.partition_model.activation_row_bytes =
        activation_row_bytes(config.wire_type, scenario_.hidden);
    if (study_ != nullptr) config.partition_model = study_->model;
    config.local_stage = scenario_.local_stage;
    config.direct_feedback = scenario_.direct_feedback;
    config.lm_head = *parse_lm_head(scenario_.lm_head);  // check_scenario has accepted it
    config.probe_links = scenario_.probe_links;
    config.engine = core_options();
    config.max_context = scenario_.max_context;
    config.node_lost_after_us = scenario_.node_lost_after_us;
    config.reconnect_within_us = scenario_.reconnect_within_us;
    if (scenario_.keys) {
        config.access = access_;
        config.self.key = sim_key(scenario_.nodes.front().name);
    }
    config.tensors = &tensors_;
    return config;
}

HeadPolicies SimCluster::head_policies() const {
    std::vector<std::string> names = scenario_.order;
    if (names.empty()) names = stage_nodes(scenario_);
    const bool ordered = study_ != nullptr ? study_->fixed_order : !scenario_.order.empty();
    const bool even = study_ != nullptr && study_->even_split;
    HeadPolicies policies;
    const auto stages = static_cast<std::int32_t>(names.size());
    if (policies_.cluster) {
        policies.cluster = policies_.cluster();
    } else {
        policies.cluster =
            ordered ? make_static_cluster(std::move(names)) : make_seed_cluster(stages);
    }
    if (policies_.partitioner) {
        policies.partitioner = policies_.partitioner();
    } else {
        policies.partitioner = even ? make_even_partitioner() : make_cost_partitioner();
    }
    policies.scheduler = make_scheduler(scenario_, policies_);
    return policies;
}

EngineCoreOptions SimCluster::core_options() const {
    EngineCoreOptions options;
    options.max_running = scenario_.max_running;
    options.max_waiting = scenario_.max_waiting;
    options.max_step_tokens = scenario_.max_step_tokens;
    options.max_slice_tokens = scenario_.max_slice_tokens;
    options.block_tokens = scenario_.block_tokens;
    options.vocabulary = kFoldVocabulary;
    options.prefix_cache = scenario_.prefix_cache;
    options.eos_tokens = {kFoldEos};
    if (study_ == nullptr) options.tokenizer = &fold_tokenizer();
    if (study_ != nullptr) options.max_in_flight_bytes = kStudyInFlightBytes;
    return options;
}

void SimCluster::make_head(RequestEventSink& events) {
    const std::string& name = scenario_.nodes.front().name;
    if (scenario_.local_stage) head_.stages = make_stages(name);
    access_ = std::make_shared<SimAccess>();
    for (const SimNode& node : scenario_.nodes) access_->set(sim_key(node.name), Access::member);
    head_.node = std::make_unique<HeadNode>(head_config(), head_policies(), events, clock,
                                            head_.executors(), Log());
    head_.transport = std::make_unique<SimTransport>(network, name);
    if (scenario_.keys) head_.transport->key = sim_key(name);
    (void)head_.transport->listen(address_of(name));
    head_.hub = make_hub(*head_.transport, *head_.node);
    head_.node->attach(*head_.hub);
}

void SimCluster::start_worker(const std::string& name, const std::string& key_of,
                              const std::optional<KeyPair>& pass) {
    Host<WorkerNode>& host = workers_[name];
    host.stages = make_stages(name);
    host.transport = std::make_unique<SimTransport>(network, name);
    (void)host.transport->listen(address_of(name));
    WorkerConfig config;
    config.identity = identity_of(name);
    const std::string& head = scenario_.nodes.front().name;
    config.join = DialTarget(address_of(head));
    if (scenario_.keys) {
        host.transport->key = sim_key(key_of);
        config.self.key = host.transport->key;
        config.join.key = sim_key(head);
        config.join.pass = pass;
    }
    config.join_within_us = config.give_up_after_us = kWaitForever;
    config.head_lost_after_us = scenario_.node_lost_after_us;
    config.reconnect_within_us = scenario_.reconnect_within_us;
    host.node = std::make_unique<WorkerNode>(config, clock, host.executors(), Log());
    host.hub = make_hub(*host.transport, *host.node);
    (void)host.node->attach(*host.hub, address_of(name));
}

void SimCluster::stop_worker(const std::string& name, bool silent) {
    const auto found = workers_.find(name);
    if (found == workers_.end()) return;
    Host<WorkerNode>& host = found->second;
    if (violation_.empty()) violation_ = host.violation();
    host.transport->mute = silent;
    host.hub.reset();
    host.node.reset();
    if (silent) ghosts_.push_back(std::move(host.transport));
    workers_.erase(found);
}

std::vector<std::string> SimCluster::finished_workers() const {
    std::vector<std::string> names;
    for (const auto& [name, host] : workers_) {
        if (host.node->over()) names.push_back(name);
    }
    return names;
}

void SimCluster::freeze(const std::string& name, std::int64_t until_us) {
    if (name == scenario_.nodes.front().name) {
        head_.frozen_until_us = until_us;
    } else if (has_worker(name)) {
        workers_[name].frozen_until_us = until_us;
    }
}

void SimCluster::set_slowness(const std::string& name, double factor) {
    if (name == scenario_.nodes.front().name) {
        for (const auto& stage : head_.stages) stage->set_slowness(factor);
    } else if (has_worker(name)) {
        for (const auto& stage : workers_[name].stages) stage->set_slowness(factor);
    }
}

void SimCluster::set_hanging(const std::string& name, bool hanging) {
    if (!has_worker(name)) return;
    Host<WorkerNode>& host = workers_[name];
    for (const auto& stage : host.stages) stage->set_hanging(hanging);
    host.transport->wake();  // it may have to do at once what waited
}

void SimCluster::set_swallowing(const std::string& name, bool swallowing) {
    if (!has_worker(name)) return;
    for (const auto& stage : workers_[name].stages) stage->set_swallowing(swallowing);
}

void SimCluster::set_damaged(const std::string& name, bool damaged) {
    if (damaged) {
        damaged_.insert(name);
    } else {
        damaged_.erase(name);
    }
    if (!has_worker(name)) return;
    for (const auto& stage : workers_[name].stages) stage->set_damaged(damaged);
}

std::int64_t SimCluster::next_event_us() {
    std::int64_t next = head_.next_event_us();
    for (auto& [name, host] : workers_) next = std::min(next, host.next_event_us());
    return next;
}

void SimCluster::step() {
    head_.step(clock.now);
    for (auto& [name, host] : workers_) host.step(clock.now);
}

std::string SimCluster::violation() const {
    if (!violation_.empty()) return violation_;
    if (std::string violation = head_.violation(); !violation.empty()) return violation;
    for (const auto& [name, host] : workers_) {
        if (std::string violation = host.violation(); !violation.empty()) return violation;
    }
    return {};
}

std::size_t SimCluster::known_sequences() const {
    const PipelineEpoch epoch = head_.node->pipeline().epoch();
    std::size_t most = head_.known_sequences(epoch);
    for (const auto& [name, host] : workers_) most = std::max(most, host.known_sequences(epoch));
    return most;
}

std::uint64_t SimCluster::resent_bytes() const {
    std::uint64_t bytes = 0;
    for (const LinkMetrics& link : head_.node->link_metrics()) bytes += link.resent_bytes;
    return bytes;
}

}  // namespace molink::sim
