// A stage of a worker. It never decides about the cluster: when something of its own fails, it
// tells the head and waits for the next assignment. Stages of one worker hand parts to each other
// without a message; the ring says which ones they are, because they have the same address.
#include "node/worker_stage.h"

#include <type_traits>
#include <utility>

#include "base/error.h"

namespace molink {

WorkerStage::WorkerStage(std::string device, StageExecutor& executor, WorkerStagePorts& ports,
                         const Clock& clock, Log log)
    : device_(std::move(device)),
      ports_(ports),
      clock_(clock),
      log_(log),
      neighbours_(log),
      session_(executor, *this) {}

void WorkerStage::begin(PipelineEpoch epoch, NodeState state) {
    epoch_ = epoch;
    neighbours_.begin(epoch_);
    pages_ready_ = false;
    progress_ = {};
    kv_blocks_ = 0;
    state_ = state;
}

void WorkerStage::leave(bool unload) {
    begin({}, NodeState::joined);
    if (unload) {
        session_.unload();
    } else {
        session_.leave();
    }
}

void WorkerStage::assign(const Assign& assign) {
    begin(assign.epoch, NodeState::loading);
    const LayerRange layers = assign.stage().layers;
    log_(LogLevel::info, "epoch {}: stage {} of {} on {}, layers {}-{}", epoch_.epoch.value,
         assign.stage_index + 1, assign.ring.size(), device_, layers.begin, layers.end - 1);
    session_.assign(assign);
}

void WorkerStage::start(const StageStart& start) {
    kv_blocks_ = start.kv_blocks;
    const Status started = session_.start(start);
    if (!started.ok()) {
        fail(started.code(), started.message());
        return;
    }
    if (next_is_head() || next_is_here()) return;
    const PeerHello hello{epoch_, ring().stage(index()).node, session_.assignment().stage_index};
    const RingStage& next = *ring().next(index());
    const Status dialled = neighbours_.dial_next({next.address, next.key}, hello, clock_.now_us());
    const bool unreachable = dialled.code() == StatusCode::invalid_argument;
    if (!dialled.ok()) fail(dialled.code(), dialled.message(), unreachable);
}

void WorkerStage::submit(StageInput input) {
    const Status submitted = session_.submit(std::move(input), clock_.now_us());
    if (!submitted.ok()) fail(submitted.code(), submitted.message());
}

void WorkerStage::feed_back(const TokenFeedback& tokens) {
    const Status delivered = session_.deliver_feedback(tokens, clock_.now_us());
    if (!delivered.ok()) fail(delivered.code(), delivered.message());
}

void WorkerStage::pump() {
    session_.pump(clock_.now_us());
    report_ready();
}

void WorkerStage::check_next(std::int64_t patience_us) {
    const Status next = neighbours_.check_next(clock_.now_us(), patience_us);
    if (!next.ok()) fail(next.code(), next.message(), neighbours_.never_reached_next());
}

bool WorkerStage::expects(const PeerHello& hello, const PeerIdentity& peer) const {
    if (!has_stage() || hello.epoch != epoch_) return false;
    const auto previous = ring().shape().previous(index());
    if (!previous || *previous != hello.stage_index) return false;
    const RingStage& stage = ring().stage(*previous);
    return stage.node == hello.node && stage.key == peer.key && !stage.on_head() &&
           stage.address != ring().stage(index()).address;
}

bool WorkerStage::next_is_head() const {
    if (!has_stage()) return false;
    const RingStage* next = ring().next(index());
    return next == nullptr || next->on_head();
}

/// Returns whether the next stage is on another device of this worker.
bool WorkerStage::next_is_here() const {
    const RingStage* next = has_stage() ? ring().next(index()) : nullptr;
    return next != nullptr && next->address == ring().stage(index()).address;
}

std::optional<StageActivity> WorkerStage::activity() const {
    if (!session_.ready()) return {};
    return session_.activity(clock_.now_us());
}

void WorkerStage::fail(StatusCode code, const std::string& reason, bool next_unreachable) {
    log_(LogLevel::error, "the stage on {} failed: {}", device_, reason);
    neighbours_.drop();
    state_ = NodeState::joined;
    const StageFailed failed{epoch_, session_.assignment().stage_index, code, reason,
                             next_unreachable};
    ports_.send_head(Lane::control, epoch_, Message(failed));
}

void WorkerStage::report_ready() {
    if (!pages_ready_ || state_ != NodeState::loading) return;
    if (!next_is_head() && !next_is_here() && !neighbours_.next_ready()) return;
    state_ = NodeState::ready;
    ports_.send_head(Lane::control, epoch_,
                     Message(StageReady{epoch_, session_.assignment().stage_index}));
}

WorkerStageView WorkerStage::view() const {
    WorkerStageView view;
    view.device = device_;
    view.state = state_;
    if (has_stage()) view.layers = session_.assignment().stage().layers;
    view.loaded_bytes = static_cast<std::int64_t>(progress_.done_bytes);
    view.weight_bytes = static_cast<std::int64_t>(progress_.total_bytes);
    view.kv_blocks = static_cast<std::int64_t>(kv_blocks_);
    return view;
}

void WorkerStage::stage_progress(const LoadProgress& progress) {
    progress_ = progress;
    ports_.send_head(Lane::control, epoch_, Message(progress));
}

void WorkerStage::stage_loaded(const StageLoaded& loaded) {
    progress_ = {loaded.epoch, loaded.stage_index, loaded.weight_bytes, loaded.weight_bytes};
    ports_.send_head(Lane::control, epoch_, Message(loaded));
}

void WorkerStage::stage_ready(const StageReady&) {
    pages_ready_ = true;
}

void WorkerStage::stage_failed(const StageFailed& failed) {
    fail(failed.code, failed.reason);
}

void WorkerStage::stage_forward(ForwardedPart part) {
    const Lane lane = part.plan.kind() == PartKind::decode ? Lane::decode : Lane::prefill;
    send_next(lane, std::move(part));
}

void WorkerStage::stage_return(ReturnedPart part) {
    send_next(Lane::decode, std::move(part));
}

void WorkerStage::stage_retire(RetiredPart part) {
    ports_.send_head(Lane::token, epoch_, Message(std::move(part)));
}

void WorkerStage::stage_feedback(TokenFeedback tokens) {
    send_next(Lane::token, std::move(tokens));
}

/// Hands a part or tokens to the next stage, wherever it is. What a stage of an older epoch still
/// sends to one beside it, which has a new assignment already, is dropped.
template <typename Item>
void WorkerStage::send_next(Lane lane, Item item) {
    if (next_is_here()) {
        WorkerStage* next = ports_.find_stage(epoch_, *ring().shape().next(index()));
        if (next == nullptr) return;
        if constexpr (std::is_same_v<Item, TokenFeedback>) {
            next->feed_back(item);
        } else {
            next->submit(std::move(item));
        }
        return;
    }
    const Message message(std::move(item));
    if (next_is_head()) {
        ports_.send_head(lane, epoch_, message);
        return;
    }
    const Status sent = neighbours_.send_next(lane, message);
    if (!sent.ok()) fail(sent.code(), sent.message());
}

}  // namespace molink
