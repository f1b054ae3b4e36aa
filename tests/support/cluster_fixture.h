#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_core.h"
#include "node/head_node.h"
#include "node/worker_node.h"
#include "sim/sim_tensors.h"
#include "support/core_fixture.h"

namespace molink::test {

inline constexpr std::int32_t kFoldLayers = 6;

NodeIdentity fold_identity(const std::string& name, std::size_t devices = 1);
std::vector<std::unique_ptr<sim::SimStage>> make_fold_stages(const Clock& clock, std::size_t count);
PartitionModel fold_partition_model();

/// A worker node over an in-process transport, with a simulated stage for each device.
struct FoldWorker {
    std::vector<std::unique_ptr<sim::SimStage>> stages;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<WorkerNode> node;
    std::unique_ptr<ChannelHub> hub;
    std::string name;
    bool frozen = false;  ///< run_until() skips it
};

/// A head and workers in one thread and virtual time. Nothing sleeps: run_until() polls every node
/// and advances the clock by a millisecond at a time.
class ClusterFixture : public RequestEventSink {
public:
    /// `stages`: of the pipeline. The embeddings are tied if the LM head is on the first stage.
    /// `tensors` judges what stages have loaded; null: SimTensorCheck.
    ClusterFixture(std::int32_t stages, bool local_stage, LmHead lm_head = LmHead::last,
                   bool direct_feedback = true, std::size_t head_devices = 1,
                   TensorCheck* tensors = nullptr);
    ~ClusterFixture() override;

    /// `advertise`: what other workers dial; empty: the address at which it listens.
    FoldWorker& add_worker(NodeIdentity identity, std::string advertise = {});
    FoldWorker& add_worker(const std::string& name) { return add_worker(fold_identity(name)); }
    /// Ends the head as a crash would, and starts another one at the same address.
    void restart_head();
    /// Destroys a worker without telling the head, as a crash would.
    void kill(const std::string& name);

    /// Returns whether `done` held within `limit_us` of virtual time.
    bool run_until(const std::function<bool()>& done, std::int64_t limit_us = 60'000'000);
    bool run_until_ready() {
        return run_until([&] { return head->pipeline().state() == EngineState::ready; });
    }
    RequestId submit(const std::vector<Token>& prompt, std::int32_t max_tokens);
    void on_request_event(RequestEvent event) override;

    struct Outcome {
        std::vector<Token> tokens;
        int terminal_events = 0;
        FinishReason reason = FinishReason::none;
        Status status;
    };
    std::map<RequestId, Outcome> outcomes;
    bool all_ended() const;

    sim::SimClock clock;
    /// Of workers that are added from now on: they end with the head.
    std::int64_t join_within_us = 10'000'000;
    std::int64_t give_up_after_us = 0;
    std::shared_ptr<InprocHub> network = make_inproc_hub();
    std::vector<std::unique_ptr<sim::SimStage>> head_stages;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<HeadNode> head;
    std::unique_ptr<ChannelHub> hub;
    std::vector<std::unique_ptr<FoldWorker>> workers;

private:
    void start_head();

    HeadConfig config_;
    std::int32_t stages_;
    sim::SimTensorCheck tensors_;
    std::uint64_t next_request_ = 1;
    std::uint64_t next_seed_ = 1;  // of link tokens, different for every node
};

}  // namespace molink::test
