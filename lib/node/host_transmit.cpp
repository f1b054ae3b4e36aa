// Between the transmit policies of the host and the links that ask them. The channel replaces wrong
// plans by itself, but knows neither exceptions nor a log; here the first become the second. Relies
// on the channel to treat a plan that sends nothing, while something waits, as a wrong one.
#include "node/host_transmit.h"

#include <memory>
#include <string>
#include <utility>

#include "base/foreign.h"

namespace molink {
namespace {

constexpr const char* kFactory = "the factory NodeOptions::transmit";

/// Asks a policy of the host. When it throws, returns a plan that sends nothing, which the channel
/// replaces.
class HostTransmitPolicy final : public TransmitPolicy {
public:
    HostTransmitPolicy(std::unique_ptr<TransmitPolicy> policy, const Log& log)
        : policy_(std::move(policy)), name_(foreign_name(*policy_)), log_(log) {}

    std::string_view name() const override { return name_; }
    TransmitPlan next(const TransmitView& view) override {
        TransmitPlan plan;
        const Status asked = call_foreign("plan a frame", [&]() -> Status {
            plan = policy_->next(view);
            return {};
        });
        if (asked.ok()) return plan;
        if (!std::exchange(told_, true)) {
            log_(LogLevel::error, "transmit policy '{}' of a link, from now on without a line: {}",
                 name_, asked.message());
        }
        return {};
    }

private:
    std::unique_ptr<TransmitPolicy> policy_;
    const std::string name_;
    Log log_;
    bool told_ = false;
};

}  // namespace

Result<TransmitPolicyFactory> check_transmit(const TransmitPolicyFactory& factory, const Log& log) {
    if (!factory) return factory;
    MOLINK_ASSIGN_OR_RETURN(auto made, make_foreign(kFactory, factory));
    const auto first = std::make_shared<std::unique_ptr<TransmitPolicy>>(std::move(made));
    return TransmitPolicyFactory([factory, log, first]() -> std::unique_ptr<TransmitPolicy> {
        std::unique_ptr<TransmitPolicy> policy = std::move(*first);
        if (policy == nullptr) {
            auto next = make_foreign(kFactory, factory);
            if (!next) {
                log(LogLevel::error, "a link gets the fair policy: {}", next.error().message());
                return make_fair_transmit_policy();
            }
            policy = std::move(*next);
        }
        return std::make_unique<HostTransmitPolicy>(std::move(policy), log);
    });
}

}  // namespace molink
