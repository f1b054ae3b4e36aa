#pragma once

#include <string_view>

namespace molink {

/// Planted bugs. Each stands for a mistake that could be made in the place that asks for it; the
/// swarm has to find every one, or it proves nothing. They exist only in the canary build
/// (MOLINK_CANARY); elsewhere canary() is false at compile time.
enum class Canary {
    none,
    block_reused_early,     ///< blocks of a finished sequence are freed while parts still read them
    prefix_unpublished,     ///< a block enters the prefix cache when its part is launched
    stale_epoch,            ///< frames, parts and records of an older epoch are taken
    lost_acknowledgement,   ///< some acknowledged bytes count as under way for ever
    frame_twice,            ///< a frame that was resent is taken a second time
    chunk_out_of_order,     ///< now and then a chunk is put before those that came earlier
    random_position,        ///< the random number of a slice's token is keyed by its first row
    penalty_history,        ///< a preempted sequence forgets which of its tokens were output
    ended_twice,            ///< cancelling a request that runs ends it twice
    leaked_block,           ///< a cancelled sequence keeps one block
    cancelled_goes_on,      ///< a cancelled sequence stays decodable
    starved_request,        ///< the scheduler passes over one sequence while others wait
    lost_retirement,        ///< a part that samples nothing is now and then not retired
    stop_string_split,      ///< a stop string is found only inside the text of one token
    release_before_retire,  ///< stages forget a sequence whose last part is under way
    draft_unverified,       ///< a draft is kept without being compared with what is sampled
    rejected_draft_kept,    ///< a stage still knows the tokens of drafts that were not kept
    rejected_published,     ///< positions of drafts that were not kept count as computed
};

/// Names as enumerators; none for a name that is not one.
Canary canary_by_name(std::string_view name);

#ifdef MOLINK_CANARY
/// Whether this bug is switched on in the process.
bool canary(Canary which);
void set_canary(Canary which);
#else
constexpr bool canary(Canary) {
    return false;
}
#endif

}  // namespace molink
