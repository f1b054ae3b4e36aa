#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <molink/sim.h>

#include "engine/engine_core.h"
#include "node/head_node.h"
#include "node/worker_node.h"
#include "sim/sim_network.h"
#include "sim/sim_stage.h"

namespace molink::sim {

/// What the cluster of a study has that one of a scenario has not.
struct StudyParts {
    struct Node {
        StudyStage stage;
        NodeProfile profile;
        std::int64_t memory_bytes = 0;
        std::optional<LayerRange> layers;
    };
    std::map<std::string, Node> nodes;
    PartitionModel model;
    std::int32_t hidden = 0;  ///< of the model; what stages pass on is smaller
    bool even_split = false;
    bool fixed_order = true;
    std::size_t max_frame_bytes = 0;
};

/// A head and its workers in virtual time: the production state machines over simulated transports
/// and stages. step() lets the node whose turn it is look at what happened.
class SimCluster {
public:
    /// `policies` as simulate() takes them; all but the scenario must outlive it. The scenario was
    /// checked. `study`: null for a scenario.
    SimCluster(const SimScenario& scenario, const SimPolicies& policies, RequestEventSink& events,
               const StudyParts* study = nullptr);
    ~SimCluster();

    SimClock clock;
    SimNetwork network;

    HeadNode& head() { return *head_.node; }
    EngineCore& core() { return head_.node->pipeline().core(); }
    /// The head looks again at once, because its engine was given something.
    void wake_head() { head_.transport->wake(); }

    /// When the next node has something to do.
    std::int64_t next_event_us();
    /// Lets every node that is due do it.
    void step();

    void start_worker(const std::string& name);
    /// The process ends; `silent`: nobody is told.
    void stop_worker(const std::string& name, bool silent);
    bool has_worker(const std::string& name) const { return workers_.contains(name); }
    /// Names of workers whose work is over; they hold no stage any more.
    std::vector<std::string> finished_workers() const;
    void freeze(const std::string& name, std::int64_t until_us);
    void set_slowness(const std::string& name, double factor);

    /// Empty, or what the stages' pages say that is wrong.
    std::string violation() const;
    /// The most sequences that a stage of the pipeline knows.
    std::size_t known_sequences() const;
    std::uint64_t resent_bytes() const;

private:
    template <typename Node>
    struct Host {
        std::unique_ptr<SimStage> stage;
        std::unique_ptr<SimTransport> transport;
        std::unique_ptr<Node> node;
        std::unique_ptr<ChannelHub> hub;
        std::int64_t frozen_until_us = 0;
        /// Of transport, node and stage. It changes when the host steps, and it polls then, or when
        /// something reaches its transport.
        std::int64_t due_us = 0;

        std::int64_t next_event_us();
        void step(std::int64_t now_us);
    };

    const SimNode& node_of(const std::string& name) const;
    NodeIdentity identity_of(const std::string& name) const;
    std::unique_ptr<SimStage> make_stage(const std::string& name) const;
    std::unique_ptr<ChannelHub> make_hub(SimTransport& transport, HubSink& sink);
    HeadConfig head_config() const;
    HeadPolicies head_policies() const;
    EngineCoreOptions core_options() const;
    void make_head(RequestEventSink& events);

    const SimScenario& scenario_;
    const SimPolicies& policies_;
    const StudyParts* study_;
    Host<HeadNode> head_;
    std::map<std::string, Host<WorkerNode>> workers_;
    std::vector<std::unique_ptr<SimTransport>> ghosts_;  // of machines that vanished
    std::uint64_t next_hub_seed_ = 1;
    std::string violation_;  // of a stage that is gone
};

/// The scenario's scheduler and transmit policy by name.
std::unique_ptr<Scheduler> make_scheduler(const SimScenario& scenario, const SimPolicies& policies);
std::unique_ptr<TransmitPolicy> make_transmit(const SimScenario& scenario,
                                              const SimPolicies& policies);

}  // namespace molink::sim
