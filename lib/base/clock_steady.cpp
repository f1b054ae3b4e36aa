// The only code that reads the system clock. All other code
// receives a Clock, so that a simulator can replace it.
// Relies on std::chrono::steady_clock.
#include <chrono>

#include <molink/clock.h>

namespace molink {
namespace {

class SteadyClock final : public Clock {
public:
    std::int64_t now_us() const override {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    }
};

}  // namespace

const Clock& steady_clock() {
    static const SteadyClock clock;
    return clock;
}

}  // namespace molink
