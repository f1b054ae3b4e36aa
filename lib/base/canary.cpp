// The switch of the canary build. It selects one bug per process before anything runs, so that runs
// with and without the bug differ in nothing else. Other builds contain only the names; there
// canary() is a constant.
#include "base/canary.h"

#include <array>
#include <utility>

namespace molink {

Canary canary_by_name(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, Canary>, 24> kNames{{
        {"block_reused_early", Canary::block_reused_early},
        {"prefix_unpublished", Canary::prefix_unpublished},
        {"stale_epoch", Canary::stale_epoch},
        {"lost_acknowledgement", Canary::lost_acknowledgement},
        {"frame_twice", Canary::frame_twice},
        {"chunk_out_of_order", Canary::chunk_out_of_order},
        {"random_position", Canary::random_position},
        {"penalty_history", Canary::penalty_history},
        {"ended_twice", Canary::ended_twice},
        {"leaked_block", Canary::leaked_block},
        {"cancelled_goes_on", Canary::cancelled_goes_on},
        {"starved_request", Canary::starved_request},
        {"lost_retirement", Canary::lost_retirement},
        {"stop_string_split", Canary::stop_string_split},
        {"release_before_retire", Canary::release_before_retire},
        {"draft_unverified", Canary::draft_unverified},
        {"rejected_draft_kept", Canary::rejected_draft_kept},
        {"rejected_published", Canary::rejected_published},
        {"fault_ignored", Canary::fault_ignored},
        {"fault_not_fed_back", Canary::fault_not_fed_back},
        {"faulty_published", Canary::faulty_published},
        {"stuck_unnoticed", Canary::stuck_unnoticed},
        {"late_is_stuck", Canary::late_is_stuck},
        {"tensors_unchecked", Canary::tensors_unchecked},
    }};
    for (const auto& [known, which] : kNames) {
        if (known == name) return which;
    }
    return Canary::none;
}

#ifdef MOLINK_CANARY
namespace {
Canary active = Canary::none;
}  // namespace

bool canary(Canary which) {
    return which == active;
}

void set_canary(Canary which) {
    active = which;
}
#endif

}  // namespace molink
