#pragma once

#include <string_view>

namespace molink {

/// Planted bugs. Each is a plausible mistake at the place that asks for it. The swarm must find
/// every one of them; otherwise its success would prove little. They exist only in the canary build
/// (MOLINK_CANARY); elsewhere canary() is false at compile time.
enum class Canary {
    none,
    block_reused_early,     ///< blocks of a finished sequence are freed while parts still read them
    prefix_unpublished,     ///< a block enters the prefix cache when its part is launched
    stale_epoch,            ///< frames, parts and records of an older epoch are accepted
    lost_acknowledgement,   ///< some acknowledged bytes count as under way forever
    frame_twice,            ///< a resent frame is accepted a second time
    chunk_out_of_order,     ///< sometimes a chunk is put before earlier ones
    random_position,        ///< the random number of a slice's token depends on its first row
    penalty_history,        ///< a preempted sequence forgets which of its tokens were output
    ended_twice,            ///< cancelling a running request ends it twice
    leaked_block,           ///< a cancelled sequence keeps one block
    cancelled_goes_on,      ///< a cancelled sequence stays decodable
    starved_request,        ///< the scheduler skips one sequence while others wait
    lost_retirement,        ///< sometimes a part that samples nothing is not retired
    stop_string_split,      ///< a stop string is found only within one token
    release_before_retire,  ///< stages drop a sequence whose last part is under way
    draft_unverified,       ///< a draft is kept without a comparison with the sampled token
    rejected_draft_kept,    ///< a stage keeps the tokens of rejected drafts
    rejected_published,     ///< positions of rejected drafts count as computed
    fault_ignored,          ///< a token is sampled from logits that are not numbers
    fault_not_fed_back,     ///< parts wait for the token of a sequence that ends at a fault
    faulty_published,       ///< rows that are not numbers enter the prefix cache
    stuck_unnoticed,        ///< a stage that computes nothing, or loses parts, keeps its place
    late_is_stuck,          ///< a stage that is late is lost
    tensors_unchecked,      ///< what a stage has loaded is not compared with the head's files
};

/// Returns the canary with this name, or none. Names are those of the enumerators.
Canary canary_by_name(std::string_view name);

#ifdef MOLINK_CANARY
/// Returns whether this bug is switched on in the process.
bool canary(Canary which);
void set_canary(Canary which);
#else
constexpr bool canary(Canary) {
    return false;
}
#endif

}  // namespace molink
