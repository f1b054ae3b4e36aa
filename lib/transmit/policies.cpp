// The built-in transmit policies. Each reads the lanes when the link is free and
// chooses one frame. They are in one file, because each has only a few lines
// over the same helpers.
#include <algorithm>

#include <molink/transmit.h>

#include "base/error.h"

namespace molink {

TransmitPolicy::~TransmitPolicy() = default;

namespace {

TransmitPlan front_of(const TransmitView& view, Lane lane, std::size_t most) {
    const LaneView& queue = view.lanes[static_cast<std::size_t>(lane)];
    return {true, lane, std::min({queue.front_bytes, view.max_frame_bytes, most})};
}

bool waits(const TransmitView& view, Lane lane) {
    return view.lanes[static_cast<std::size_t>(lane)].queued_messages > 0;
}

/// Chooses the most urgent lane with messages, at or after `from`.
TransmitPlan most_urgent(const TransmitView& view, std::size_t from = 0) {
    for (std::size_t i = from; i < kLaneCount; ++i) {
        const Lane lane = static_cast<Lane>(i);
        if (waits(view, lane)) return front_of(view, lane, view.max_frame_bytes);
    }
    return {};
}

/// Returns the maximum size of a bulky frame: what the link sends within the head-of-line bound.
std::size_t bulky_bytes(const TransmitView& view) {
    if (view.link.bytes_per_s <= 0 || view.hol_bound_us <= 0) return view.max_frame_bytes;
    const double bytes = view.link.bytes_per_s * static_cast<double>(view.hol_bound_us) / 1e6;
    return std::max<std::size_t>(static_cast<std::size_t>(bytes), 1024);
}

class FifoPolicy final : public TransmitPolicy {
public:
    std::string_view name() const override { return "fifo"; }
    TransmitPlan next(const TransmitView& view) override {
        if (waits(view, Lane::control)) return front_of(view, Lane::control, view.max_frame_bytes);
        if (active_ && waits(view, lane_) && same_message(view)) return plan_for(view, lane_);
        active_ = false;
        const LaneView* oldest = nullptr;
        for (std::size_t i = 1; i < kLaneCount; ++i) {
            const LaneView& lane = view.lanes[i];
            if (lane.queued_messages == 0) continue;
            if (oldest != nullptr && lane.front_queued_us >= oldest->front_queued_us) continue;
            oldest = &lane;
            lane_ = static_cast<Lane>(i);
        }
        return oldest == nullptr ? TransmitPlan{} : plan_for(view, lane_);
    }

private:
    /// Returns whether the message that was started is still at the front of its lane.
    bool same_message(const TransmitView& view) const {
        return view.lanes[static_cast<std::size_t>(lane_)].front_bytes == left_;
    }

    TransmitPlan plan_for(const TransmitView& view, Lane lane) {
        const TransmitPlan plan = front_of(view, lane, view.max_frame_bytes);
        left_ = view.lanes[static_cast<std::size_t>(lane)].front_bytes - plan.bytes;
        active_ = left_ > 0;
        return plan;
    }

    bool active_ = false;
    Lane lane_ = Lane::token;
    std::size_t left_ = 0;
};

class StrictPolicy final : public TransmitPolicy {
public:
    std::string_view name() const override { return "strict"; }
    TransmitPlan next(const TransmitView& view) override {
        TransmitPlan plan = most_urgent(view);
        if (plan.lane >= Lane::prefill) plan.bytes = std::min(plan.bytes, bulky_bytes(view));
        return plan;
    }
};

/// Uses deficit counting. Each byte that a more urgent lane sends while a bulky lane waits gives
/// the bulky lane credit for its share. A lane with credit for a frame sends it before the next
/// decode frame. Control and token never wait.
class FairPolicy final : public TransmitPolicy {
public:
    explicit FairPolicy(const FairTransmitOptions& options)
        : prefill_share_(std::clamp(options.prefill_share, 0.0, 0.9)),
          bulk_share_(std::clamp(options.bulk_share, 0.0, 0.5)) {}

    std::string_view name() const override { return "fair"; }

    TransmitPlan next(const TransmitView& view) override {
        if (waits(view, Lane::control) || waits(view, Lane::token)) return most_urgent(view);
        const std::size_t bulky = bulky_bytes(view);
        if (turn(view, Lane::bulk, bulk_credit_))
            return spend(view, Lane::bulk, bulky, bulk_credit_);
        if (turn(view, Lane::prefill, prefill_credit_)) {
            return spend(view, Lane::prefill, bulky, prefill_credit_);
        }
        TransmitPlan plan = most_urgent(view);
        if (!plan.send) return plan;
        if (plan.lane >= Lane::prefill) plan.bytes = std::min(plan.bytes, bulky);
        earn(view, plan, Lane::prefill, prefill_share_, prefill_credit_);
        earn(view, plan, Lane::bulk, bulk_share_, bulk_credit_);
        return plan;
    }

private:
    static bool turn(const TransmitView& view, Lane lane, double credit) {
        if (!waits(view, lane)) return false;
        const LaneView& queue = view.lanes[static_cast<std::size_t>(lane)];
        const auto frame = std::min({queue.front_bytes, view.max_frame_bytes, bulky_bytes(view)});
        return credit >= static_cast<double>(frame);
    }

    static TransmitPlan spend(const TransmitView& view, Lane lane, std::size_t most,
                              double& credit) {
        const TransmitPlan plan = front_of(view, lane, most);
        credit -= static_cast<double>(plan.bytes);
        return plan;
    }

    static void earn(const TransmitView& view, const TransmitPlan& plan, Lane lane, double share,
                     double& credit) {
        if (!waits(view, lane)) {
            credit = 0;
        } else if (plan.lane < lane) {
            credit += static_cast<double>(plan.bytes) * share / (1 - share);
        }
    }

    double prefill_share_;
    double bulk_share_;
    double prefill_credit_ = 0;
    double bulk_credit_ = 0;
};

}  // namespace

std::unique_ptr<TransmitPolicy> make_fifo_transmit_policy() {
    return std::make_unique<FifoPolicy>();
}

std::unique_ptr<TransmitPolicy> make_strict_transmit_policy() {
    return std::make_unique<StrictPolicy>();
}

std::unique_ptr<TransmitPolicy> make_fair_transmit_policy(const FairTransmitOptions& options) {
    return std::make_unique<FairPolicy>(options);
}

Result<std::unique_ptr<TransmitPolicy>> make_transmit_policy(std::string_view name) {
    if (name == "fifo") return make_fifo_transmit_policy();
    if (name == "strict") return make_strict_transmit_policy();
    if (name == "fair") return make_fair_transmit_policy();
    return invalid_argument("no transmit policy is called '{}'; known: fifo, strict, fair", name);
}

}  // namespace molink
