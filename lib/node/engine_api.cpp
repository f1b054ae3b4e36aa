// The public Engine: composes a head node, its threads and its policies, validates requests on the
// caller's thread and answers questions from published copies or on the loop. Nothing that takes
// long happens on the loop thread.
#include <molink/engine.h>

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/foreign.h"
#include "base/random.h"
#include "base/resources.h"
#include "base/seconds.h"
#include "base/timeout.h"
#include "engine/request_check.h"
#include "kv/capacity.h"
#include "loader/model_folder.h"
#include "node/address.h"
#include "node/delivery.h"
#include "node/head_node.h"
#include "node/node_loop.h"
#include "node/node_parts.h"
#include "node/node_security.h"
#include "node/open_nodes.h"
#include "tensor/activation_codec.h"
#include "tokenizer/tokenizer.h"

namespace molink {
namespace {

constexpr const char* kNoTokenizer =
    "there is no tokenizer: the model folder has no tokenizer.json, or the engine is timed";

class EngineImpl final : public Engine {
public:
    ~EngineImpl() override { shut_down(); }

    static Result<std::unique_ptr<Engine>> open(EngineOptions options);

    Status wait_ready(std::int64_t timeout_us) override;
    Result<RequestId> submit(GenerateRequest request, RequestCallback callback) override;
    void cancel(RequestId request) override;
    Result<std::vector<Token>> tokenize(std::string_view text, bool add_special) const override;
    Result<std::string> detokenize(std::span<const Token> tokens) const override;
    std::string address() const override { return parts_.advertise; }
    const ModelSpec& model() const override { return head_->identity().spec; }
    ClusterView cluster() const override;
    PartitionReport partition() const override;
    MetricsSnapshot metrics() const override;
    Status close() override;

private:
    Status build(EngineOptions options);
    void make_tensor_check(const NodeIdentity& identity);
    HeadConfig make_head_config(const EngineOptions& options, NodeIdentity identity,
                                const PartitionInput& asked) const;
    EngineCoreOptions make_core_options(const EngineOptions& options, const ModelSpec& spec) const;
    void publish();
    bool serves_or_has_plan() const;  // under mutex_
    void shut_down();
    void cancel(RequestId request, const Status& reason);
    void fail(const Status& reason);
    Result<AdmittedRequest> admit(GenerateRequest request) const;
    Result<std::vector<Token>> prompt_of(GenerateRequest& request) const;
    Status check_room(std::int32_t prompt, std::int32_t max_tokens) const;

    NodeParts parts_;
    std::int32_t max_context_ = 0;
    std::int32_t block_tokens_ = 0;
    std::size_t max_active_ = 0;
    bool plan_only_ = false;
    std::unique_ptr<Tokenizer> tokenizer_;
    std::unique_ptr<TensorCheck> tensors_;
    StageExecutors executors_;
    std::shared_ptr<PlanWatch> watch_;
    std::unique_ptr<Delivery> delivery_;
    std::unique_ptr<HeadNode> head_;
    std::unique_ptr<ChannelHub> hub_;
    std::unique_ptr<NodeLoop> loop_;
    std::atomic<std::uint64_t> next_request_{1};
    std::atomic<std::uint64_t> refused_{0};  // before they reached the core

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    ClusterView published_;                              // under mutex_
    Status build_error_;                                 // under mutex_
    Status failure_;                                     // under mutex_; of the loop
    PartitionReport partition_;                          // under mutex_
    std::int64_t kv_blocks_ = 0;                         // under mutex_
    std::uint64_t published_count_ = ~std::uint64_t{0};  // loop thread
    bool closed_ = false;                                // under mutex_
};

Result<std::unique_ptr<Engine>> EngineImpl::open(EngineOptions options) {
    MOLINK_RETURN_IF_ERROR(check_engine_options(options));
    const std::string what = "open an engine for " + options.model_dir;
    return call_foreign(what, [&]() -> Result<std::unique_ptr<Engine>> {
        MOLINK_RETURN_IF_ERROR(check_resources(what, kNodeResources));
        auto engine = std::make_unique<EngineImpl>();
        MOLINK_RETURN_IF_ERROR(engine->build(std::move(options)));
        return std::unique_ptr<Engine>(std::move(engine));
    });
}

Status EngineImpl::build(EngineOptions options) {
    MOLINK_ASSIGN_OR_RETURN(NodeIdentity identity,
                            make_identity(options, "head", options.local_stage));
    max_context_ = context_of(options, identity.spec);
    plan_only_ = options.plan_only;
    block_tokens_ = options.block_tokens;
    max_active_ = static_cast<std::size_t>(options.max_running) +
                  static_cast<std::size_t>(options.max_waiting);
    MOLINK_ASSIGN_OR_RETURN(const PartitionInput asked, make_partition_input(options, identity));
    MOLINK_ASSIGN_OR_RETURN(const ModelFolder folder, ModelFolder::open(options.model_dir));
    const std::optional<std::string> tokenizer_file = folder.tokenizer_file();
    if (!is_timed(options) && tokenizer_file) {
        MOLINK_ASSIGN_OR_RETURN(tokenizer_, Tokenizer::load(*tokenizer_file));
        MOLINK_RETURN_IF_ERROR(check_vocabulary(*tokenizer_, identity.spec, *tokenizer_file));
    }
    MOLINK_ASSIGN_OR_RETURN(parts_, open_node_parts(options));
    if (options.local_stage) {
        MOLINK_ASSIGN_OR_RETURN(executors_, make_node_executors(options, identity, parts_));
    }
    log_warnings(identity, parts_.log);
    if (identity.model != nullptr && !options.plan_only) make_tensor_check(identity);
    HeadPolicies policies;
    policies.cluster =
        options.cluster ? std::move(options.cluster) : make_seed_cluster(options.stages);
    policies.partitioner =
        options.partitioner ? std::move(options.partitioner) : make_cost_partitioner();
    policies.scheduler = std::move(options.scheduler);
    watch_ = std::make_shared<PlanWatch>(*parts_.clock, parts_.log);
    delivery_ = std::make_unique<Delivery>(
        parts_.log,
        [this](RequestId request, const Status& thrown) {
            cancel(request, Status(StatusCode::cancelled, thrown.message()));
        },
        watch_);
    HeadConfig config = make_head_config(options, std::move(identity), asked);
    MOLINK_ASSIGN_OR_RETURN(config.access, open_head_access(options.security));
    config.self = self_identity(parts_);
    head_ = std::make_unique<HeadNode>(std::move(config), std::move(policies), *delivery_,
                                       *parts_.clock, pointers(executors_), parts_.log);
    hub_ = make_node_hub(parts_, *head_);
    head_->attach(*hub_);
    loop_ = std::make_unique<NodeLoop>(
        *hub_, *parts_.clock,
        [this] {
            head_->tick();
            publish();
        },
        [this] { return head_->next_timer_us(); }, [this](const Status& reason) { fail(reason); });
    loop_->start();
    return {};
}

void EngineImpl::make_tensor_check(const NodeIdentity& identity) {
    FolderCheckOptions check;
    check.model = identity.model;
    check.model_hash = identity.model_hash;
    check.log = parts_.log;
    check.notify = make_waker(parts_);
    tensors_ = make_folder_check(std::move(check));
}

HeadConfig EngineImpl::make_head_config(const EngineOptions& options, NodeIdentity identity,
                                        const PartitionInput& asked) const {
    HeadConfig config;
    config.engine = make_core_options(options, identity.spec);
    config.identity = std::move(identity);
    config.partition_model = asked.model;
    config.local_stage = options.local_stage;
    config.wire_type = options.wire_type;
    config.max_context = max_context_;
    config.objective = asked.objective;
    config.workload = asked.workload;
    config.plan_only = options.plan_only;
    config.direct_feedback = options.direct_feedback;
    config.lm_head = asked.lm_head;
    config.probe_links = options.probe_links;
    config.node_lost_after_us = options.node_lost_after_us;
    config.reconnect_within_us = options.reconnect_within_us;
    config.tensors = tensors_.get();
    return config;
}

EngineCoreOptions EngineImpl::make_core_options(const EngineOptions& options,
                                                const ModelSpec& spec) const {
    EngineCoreOptions core;
    core.max_running = options.max_running;
    core.max_waiting = options.max_waiting;
    core.max_step_tokens = options.max_step_tokens;
    core.max_slice_tokens = options.max_slice_tokens;
    core.block_tokens = options.block_tokens;
    core.vocabulary = spec.vocabulary;
    core.prefix_cache = options.prefix_cache;
    core.max_in_flight_bytes = static_cast<std::size_t>(options.max_in_flight_bytes);
    core.eos_tokens = spec.eos_tokens;
    core.tokenizer = tokenizer_.get();
    core.watch = watch_.get();
    return core;
}

void EngineImpl::publish() {
    if (head_->change_count() == published_count_) return;
    published_count_ = head_->change_count();
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        published_ = head_->view();
        build_error_ = head_->build_error();
        partition_ = head_->pipeline().partition();
        kv_blocks_ = head_->pipeline().kv_blocks();
    }
    changed_.notify_all();
}

Status EngineImpl::wait_ready(std::int64_t timeout_us) {
    MOLINK_RETURN_IF_ERROR(check_timeout(timeout_us));
    std::unique_lock lock(mutex_);
    const auto settled = [&] { return closed_ || serves_or_has_plan() || !build_error_.ok(); };
    wait_until(changed_, lock, timeout_us, settled);
    if (closed_) return Status(StatusCode::cancelled, "the engine was closed");
    if (serves_or_has_plan()) return {};
    if (!build_error_.ok()) return build_error_;
    std::string text = fmt::format("the pipeline is not ready after {:.1f} s: {}",
                                   seconds(timeout_us), published_.missing);
    if (!published_.last_error.empty()) text += "; " + published_.last_error;
    return Status(StatusCode::deadline_exceeded, text);
}

Result<std::vector<Token>> EngineImpl::prompt_of(GenerateRequest& request) const {
    if (!request.prompt_tokens.empty()) {
        const std::int32_t vocabulary = model().vocabulary;
        for (Token token : request.prompt_tokens) {
            if (token >= 0 && token < vocabulary) continue;
            return invalid_argument("prompt token {} is outside the vocabulary of {} tokens", token,
                                    vocabulary);
        }
        return std::move(request.prompt_tokens);
    }
    if (request.prompt.empty()) return invalid_argument("the prompt is empty");
    if (tokenizer_ == nullptr) {
        return invalid_argument("{}; give prompt tokens", kNoTokenizer);
    }
    auto tokens = tokenizer_->encode(request.prompt, true);
    if (!tokens) return tokens.error().with_context("prompt");
    if (tokens->empty()) return invalid_argument("the prompt has no tokens");
    return tokens;
}

Status EngineImpl::check_room(std::int32_t prompt, std::int32_t max_tokens) const {
    const std::lock_guard lock(mutex_);
    if (closed_) return Status(StatusCode::failed_precondition, "the engine is closed");
    if (!failure_.ok()) return failure_;
    if (published_.state != EngineState::ready) {
        std::string text = "the pipeline does not serve: " + published_.missing;
        if (!published_.last_error.empty()) text += "; " + published_.last_error;
        return Status(StatusCode::unavailable, text);
    }
    const std::int64_t blocks = blocks_for(std::int64_t{prompt} + max_tokens, block_tokens_);
    if (blocks > kv_blocks_) {
        return invalid_argument(
            "a prompt of {} tokens and {} output tokens need {} KV blocks of {} positions; the "
            "pipeline has {}",
            prompt, max_tokens, blocks, block_tokens_, kv_blocks_);
    }
    return {};
}

Result<AdmittedRequest> EngineImpl::admit(GenerateRequest request) const {
    MOLINK_RETURN_IF_ERROR(check_request(request, model().vocabulary, tokenizer_ != nullptr));
    AdmittedRequest admitted;
    MOLINK_ASSIGN_OR_RETURN(admitted.prompt, prompt_of(request));
    if (admitted.prompt.size() >= static_cast<std::size_t>(max_context_)) {
        return invalid_argument(
            "the prompt has {} tokens; the context has room for {} and one new token",
            admitted.prompt.size(), max_context_ - 1);
    }
    const auto prompt = static_cast<std::int32_t>(admitted.prompt.size());
    admitted.max_tokens = max_context_ - prompt;
    if (request.max_tokens > 0) {
        admitted.max_tokens = std::min(admitted.max_tokens, request.max_tokens);
    }
    MOLINK_RETURN_IF_ERROR(check_room(prompt, admitted.max_tokens));
    admitted.min_tokens = std::min(request.min_tokens, admitted.max_tokens);
    admitted.n = request.n;
    admitted.ignore_eos = request.ignore_eos;
    admitted.stop_tokens = std::move(request.stop_tokens);
    admitted.stop = std::move(request.stop);
    admitted.logprobs = request.logprobs;
    admitted.sampling = std::move(request.sampling);
    if (!admitted.sampling.seed) admitted.sampling.seed = system_seed();
    admitted.hash_logits = request.hash_logits;
    admitted.submitted_us = parts_.clock->now_us();
    return admitted;
}

Result<RequestId> EngineImpl::submit(GenerateRequest request, RequestCallback callback) {
    if (!callback) return invalid_argument("submit() was called without a callback");
    auto checked = admit(std::move(request));
    if (!checked) {
        refused_.fetch_add(1);
        return checked.error();
    }
    AdmittedRequest& admitted = *checked;
    const RequestId id(next_request_.fetch_add(1));
    admitted.id = id;
    const auto completions = static_cast<std::size_t>(admitted.n);
    if (completions > max_active_) {
        refused_.fetch_add(1);
        return invalid_argument("{} completions were requested; at most {} may run and wait",
                                completions, max_active_);
    }
    if (!delivery_->add(id, completions, max_active_, std::move(callback))) {
        refused_.fetch_add(1);
        return make_error(StatusCode::resource_exhausted,
                          "{} more completions were requested; at most {} may run and wait",
                          completions, max_active_);
    }
    const bool posted = loop_->post([this, admitted = std::move(admitted)]() mutable {
        const std::int64_t submitted = admitted.submitted_us;
        const RequestId request_id = admitted.id;
        const auto prompt = static_cast<std::int32_t>(admitted.prompt.size());
        const std::int64_t now = parts_.clock->now_us();
        const Status taken = head_->pipeline().core().submit(std::move(admitted), now);
        if (taken.ok()) return;
        RequestEvent event;
        event.request = request_id;
        event.finish_reason = FinishReason::error;
        event.last = true;
        event.status = taken;
        event.prompt_token_count = prompt;
        event.total_us = now - submitted;
        delivery_->on_request_event(std::move(event));
    });
    if (posted) return id;
    // The loop may have ended meanwhile and told the callback already.
    if (!delivery_->remove(id)) return id;
    refused_.fetch_add(1);
    return Status(StatusCode::failed_precondition, "the engine is closed");
}

void EngineImpl::cancel(RequestId request) {
    cancel(request, Status(StatusCode::cancelled, "the caller cancelled the request"));
}

void EngineImpl::cancel(RequestId request, const Status& reason) {
    loop_->post([this, request, reason] {
        head_->pipeline().core().cancel(request, reason, parts_.clock->now_us());
    });
}

/// The loop has ended, on its own thread. Nothing of the head is asked any more.
void EngineImpl::fail(const Status& reason) {
    parts_.log(LogLevel::error, "the engine ends: {}", reason.message());
    {
        const std::lock_guard lock(mutex_);
        if (!closed_) {
            failure_ = build_error_ = reason;
            published_.state = EngineState::closed;
            published_.missing = published_.last_error = reason.message();
            partition_ = {};
        }
    }
    changed_.notify_all();
    delivery_->end_all(reason);  // last, so that whoever hears of it sees the engine's state
}

Result<std::vector<Token>> EngineImpl::tokenize(std::string_view text, bool add_special) const {
    if (tokenizer_ == nullptr) {
        return Status(StatusCode::failed_precondition, kNoTokenizer);
    }
    return tokenizer_->encode(text, add_special);
}

Result<std::string> EngineImpl::detokenize(std::span<const Token> tokens) const {
    if (tokenizer_ == nullptr) {
        return Status(StatusCode::failed_precondition, kNoTokenizer);
    }
    std::string text;
    for (Token token : tokens) text += tokenizer_->token_bytes(token);
    return text;
}

bool EngineImpl::serves_or_has_plan() const {
    return plan_only_ ? !partition_.plan.stages.empty() : published_.state == EngineState::ready;
}

PartitionReport EngineImpl::partition() const {
    const std::lock_guard lock(mutex_);
    return partition_;
}

ClusterView EngineImpl::cluster() const {
    const std::lock_guard lock(mutex_);
    return published_;
}

MetricsSnapshot EngineImpl::metrics() const {
    MetricsSnapshot metrics;
    loop_->call([&] {
        head_->pipeline().core().fill_metrics(metrics);
        metrics.requests_refused += refused_.load();
        const ClusterView view = head_->view();
        for (std::size_t i = 0; i < metrics.stages.size() && i < view.stages.size(); ++i) {
            for (const NodeInfo& node : view.nodes) {
                if (node.id == view.stages[i]) metrics.stages[i].node = node.name;
            }
        }
        metrics.links = head_->link_metrics();
    });
    return metrics;
}

Status EngineImpl::close() {
    if (delivery_->on_delivery_thread()) {
        return Status(StatusCode::failed_precondition,
                      "close() was called from a callback; call it from another thread");
    }
    shut_down();
    return {};
}

void EngineImpl::shut_down() {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        closed_ = true;
        published_.state = EngineState::closed;
        published_.missing = "the engine is closed";
    }
    changed_.notify_all();
    if (loop_ == nullptr) return;
    loop_->stop(
        [this] {
            head_->pipeline().core().cancel_all(
                Status(StatusCode::cancelled, "the engine was closed"), parts_.clock->now_us());
            head_->farewell();
        },
        [this] { return head_->flushed(); });
    delivery_->stop();
    executors_.clear();
}

}  // namespace

Result<PartitionInput> describe_partition(const EngineOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_engine_options(options));
    MOLINK_ASSIGN_OR_RETURN(const NodeIdentity identity, describe_identity(options));
    return make_partition_input(options, identity);
}

Result<std::unique_ptr<Engine>> open_engine(EngineOptions options) {
    return EngineImpl::open(std::move(options));
}

}  // namespace molink
