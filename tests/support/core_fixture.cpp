// See core_fixture.h.
#include "support/core_fixture.h"

namespace molink::test {

std::vector<Token> fold_tokens(const std::vector<Token>& prompt, std::int32_t count,
                               std::int32_t layers) {
    GenerateRequest request;
    request.prompt_tokens = prompt;
    request.max_tokens = count;
    request.ignore_eos = true;
    return sim::expect(request, 0, layers).tokens;
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
    retires_.clear();
    feedback_.clear();
    gate_.reset();
    std::vector<StageView> views;
    for (std::int32_t i = 0; i < stage_count_; ++i) {
        StageConfig config;
        config.epoch = Epoch(epoch_);
        config.layers = {layers * i / stage_count_, layers * (i + 1) / stage_count_};
        config.has_embedding = i == 0;
        config.has_head = config.last_stage = i + 1 == stage_count_;
        config.max_rows = 8192;
        config.max_sequences = 1024;
        config.max_context = 1 << 20;
        sim::SimStageOptions options;
        options.block_tokens = kBlockTokens;
        options.kv_blocks = static_cast<std::uint64_t>(kv_blocks_);
        auto stage = std::make_unique<sim::SimStage>(clock_, options);
        stage->load(config);
        stage->start(static_cast<std::uint64_t>(kv_blocks_));
        StageEvent event;
        while (stage->poll(event)) {
        }
        stages_.push_back(std::move(stage));
        StageView view;
        view.layers = config.layers;
        views.push_back(view);
    }
    core.begin_epoch(Epoch(epoch_), views, kv_blocks_, direct_feedback_);
}

void CoreFixture::next_epoch() {
    core.end_epoch(Status(StatusCode::unavailable, "node lost"), now_us);
    begin();
}

void CoreFixture::launch(Part part) {
    launched.push_back(part);
    auto& hop = hops_.front();
    (part.kind == PartKind::decode ? hop.decode : hop.prefill).push_back(std::move(part));
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
    const Status taken = core.submit(std::move(request), now_us);
    Outcome& outcome = outcomes[id];
    outcome.prompt = prompt;
    outcome.max_tokens = max_tokens;
    outcome.status = taken;
    return id;
}

void CoreFixture::run_stage(std::size_t at, Part part) {
    stages_[at]->submit(std::move(part), now_us);
    StageEvent event;
    while (stages_[at]->poll(event)) {
        Part& out = event.result.part;
        if (at + 1 < stages_.size()) {
            Hop& next = hops_[at + 1];
            (out.kind == PartKind::decode ? next.decode : next.prefill).push_back(std::move(out));
            continue;
        }
        Retire retire;
        retire.epoch = out.epoch;
        retire.step = out.step;
        retire.part = out.id;
        retire.sampled = std::move(event.result.sampled);
        retire.stage_times = out.stage_times;
        if (direct_feedback_ && out.kind == PartKind::decode) {
            feedback_.push_back(fed_back(retire));
        }
        retires_.push_back(std::move(retire));
    }
}

/// The first stage's door.
void CoreFixture::enter(Part part) {
    if (direct_feedback_) {
        const auto passed = gate_.pass(part);
        if (!passed) retire_status = passed.error();
        if (!passed || !*passed) return;
    }
    run_stage(0, std::move(part));
}

bool CoreFixture::deliver_one(Random& random) {
    ++now_us;
    std::vector<std::size_t> busy;
    for (std::size_t i = 0; i < hops_.size(); ++i) {
        if (!hops_[i].decode.empty() || !hops_[i].prefill.empty()) busy.push_back(i);
    }
    constexpr std::size_t kRetire = 1000, kFeedback = 1001;
    if (!retires_.empty()) busy.push_back(kRetire);
    if (!feedback_.empty()) busy.push_back(kFeedback);
    if (busy.empty()) return false;
    const std::size_t at = busy[random.below(busy.size())];
    if (at == kRetire) {
        const Retire retire = std::move(retires_.front());
        retires_.pop_front();
        const Status taken = core.on_retire(retire, now_us);
        if (!taken.ok()) retire_status = taken;
        return true;
    }
    if (at == kFeedback) {
        auto parts = gate_.take(feedback_.front());
        feedback_.pop_front();
        if (!parts) retire_status = parts.error();
        for (std::size_t i = 0; parts && i < parts->size(); ++i) {
            run_stage(0, std::move((*parts)[i]));
        }
        return true;
    }
    Hop& hop = hops_[at];
    auto& queue = hop.decode.empty() || (!hop.prefill.empty() && random.below(4) == 0) ? hop.prefill
                                                                                       : hop.decode;
    Part part = std::move(queue.front());
    queue.pop_front();
    if (at == 0) {
        enter(std::move(part));
    } else {
        run_stage(at, std::move(part));
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
