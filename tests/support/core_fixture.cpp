// See core_fixture.h.
#include "support/core_fixture.h"

namespace molink::test {

std::vector<Token> fold_tokens(const std::vector<Token>& prompt, std::int32_t count,
                               std::int32_t layers) {
    GenerateRequest request;
    request.prompt_tokens = prompt;
    request.max_tokens = count;
    request.ignore_eos = true;
    return sim::expect(request, 0, {layers}).tokens;
}

CoreFixture::CoreFixture(std::int32_t stages, std::int32_t layer_count, EngineCoreOptions options,
                         std::unique_ptr<Scheduler> scheduler, std::int64_t kv_blocks,
                         bool direct_feedback)
    : core(options, std::move(scheduler), *this, *this, Log()),
      layers(layer_count),
      direct_feedback_(direct_feedback),
      kv_blocks_(kv_blocks),
      stage_count_(stages) {
    begin();
}

void CoreFixture::begin() {
    ++epoch_;
    stages_.clear();
    hops_ = std::vector<Hop>(static_cast<std::size_t>(stage_count_));
    retired_.clear();
    feedback_.clear();
    gate_.reset();
    std::vector<StageView> views;
    for (std::int32_t i = 0; i < stage_count_; ++i) {
        StageConfig config;
        config.epoch = {PipelineId(0), Epoch(epoch_)};
        config.ring = RingShape(static_cast<std::size_t>(stage_count_), false, direct_feedback_);
        config.stage = static_cast<std::size_t>(i);
        config.layers = {layers * i / stage_count_, layers * (i + 1) / stage_count_};
        config.max_rows = 8192;
        config.max_sequences = 1024;
        config.max_context = 1 << 20;
        sim::SimStageOptions options;
        options.block_tokens = kBlockTokens;
        options.kv_blocks = static_cast<std::uint64_t>(kv_blocks_);
        options.overflows = overflows;
        auto stage = std::make_unique<sim::SimStage>(clock_, options);
        stage->load(config);
        stage->start(static_cast<std::uint64_t>(kv_blocks_));
        StageEvent event;
        while (stage->poll(event)) {
        }
        stages_.push_back(std::move(stage));
        StageView view;
        view.layers = config.layers;
        view.cargo = config.ring.cargo(config.stage);
        views.push_back(view);
    }
    core.begin_epoch({PipelineId(0), Epoch(epoch_)}, views, kv_blocks_, direct_feedback_);
}

void CoreFixture::next_epoch() {
    core.end_epoch(Status(StatusCode::unavailable, "node lost"), now_us);
    begin();
}

void CoreFixture::launch(PartPlan plan) {
    launched.push_back(plan);
    hops_.front().push(std::move(plan));
}

void CoreFixture::on_request_event(RequestEvent event) {
    Outcome& outcome = outcomes[event.request];
    if (outcome.terminal_events > 0) ++outcome.events_after_end;
    outcome.tokens.insert(outcome.tokens.end(), event.tokens.begin(), event.tokens.end());
    if (event.finish_reason == FinishReason::none) return;
    ++outcome.terminal_events;
    outcome.reason = event.finish_reason;
    outcome.status = event.status;
}

RequestId CoreFixture::submit(const std::vector<Token>& prompt, std::int32_t max_tokens) {
    AdmittedRequest request;
    request.id = RequestId(next_request_++);
    request.prompt = prompt;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.sampling.seed = 1;
    request.submitted_us = now_us;
    const RequestId id = request.id;
    const Status submitted = core.submit(std::move(request), now_us);
    Outcome& outcome = outcomes[id];
    outcome.prompt = prompt;
    outcome.max_tokens = max_tokens;
    outcome.status = submitted;
    return id;
}

void CoreFixture::run_stage(std::size_t at, StageInput input) {
    stages_[at]->submit(std::move(input), now_us);
    StageEvent event;
    while (stages_[at]->poll(event)) {
        if (event.kind == StageEventKind::failed) {
            retire_status = event.status;
        } else if (auto* forwarded = std::get_if<ForwardedPart>(&event.result)) {
            hops_[at + 1].push(std::move(*forwarded));
        } else {
            auto& retired = std::get<RetiredPart>(event.result);
            if (direct_feedback_ && retired.kind == PartKind::decode) {
                feedback_.push_back(feedback_of(retired));
            }
            retired_.push_back(std::move(retired));
        }
    }
}

/// Lets a part arrive at the first stage, where it may wait for feedback.
void CoreFixture::enter(PartPlan plan) {
    if (direct_feedback_) {
        const auto passed = gate_.pass(plan);
        if (!passed) retire_status = passed.error();
        if (!passed || !*passed) return;
    }
    run_stage(0, std::move(plan));
}

void CoreFixture::deliver_retired() {
    const RetiredPart retired = std::move(retired_.front());
    retired_.pop_front();
    const Status accepted = core.on_retired(retired, now_us);
    if (!accepted.ok()) retire_status = accepted;
}

void CoreFixture::deliver_feedback() {
    std::vector<PartPlan> plans = gate_.deliver(feedback_.front());
    feedback_.pop_front();
    for (PartPlan& plan : plans) run_stage(0, std::move(plan));
}

bool CoreFixture::deliver_one(Random& random) {
    ++now_us;
    std::vector<std::size_t> busy;
    for (std::size_t i = 0; i < hops_.size(); ++i) {
        if (!hops_[i].empty()) busy.push_back(i);
    }
    constexpr std::size_t kRetired = 1000, kFeedback = 1001;
    if (!retired_.empty()) busy.push_back(kRetired);
    if (!feedback_.empty()) busy.push_back(kFeedback);
    if (busy.empty()) return false;
    const std::size_t at = busy[random.below(busy.size())];
    if (at == kRetired) {
        deliver_retired();
        return true;
    }
    if (at == kFeedback) {
        deliver_feedback();
        return true;
    }
    Hop& hop = hops_[at];
    auto& queue = hop.urgent.empty() || (!hop.prefill.empty() && random.below(4) == 0) ? hop.prefill
                                                                                       : hop.urgent;
    StageInput input = std::move(queue.front());
    queue.pop_front();
    if (auto* plan = std::get_if<PartPlan>(&input)) {
        enter(std::move(*plan));
    } else {
        run_stage(at, std::move(input));
    }
    return true;
}

bool CoreFixture::run_to_end(Random& random, std::size_t limit) {
    for (std::size_t i = 0; i < limit; ++i) {
        core.step(now_us);
        if (!deliver_one(random)) return true;
    }
    return false;
}

std::string CoreFixture::violation() const {
    for (const auto& stage : stages_) {
        if (!stage->violation().empty()) return stage->violation();
    }
    return {};
}

std::size_t CoreFixture::known_sequences() const {
    return stages_.front()->known_sequences();
}

}  // namespace molink::test
