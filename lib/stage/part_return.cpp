// A part on its way back to the LM head. It is kept small, because one row per token is all that
// the way back has to carry. Relies on the first stage knowing sequences, tokens and blocks from
// the way there.
#include "stage/part_return.h"

namespace molink {

void turn_back(Part& part, std::int32_t rows) {
    part.head_rows = rows;
    part.opens.clear();
    part.releases.clear();
    for (SequenceRun& run : part.runs) {
        run.tokens.clear();
        run.new_blocks.clear();
    }
}

void note_stage_time(Part& part, bool returned, const StageTime& time) {
    if (!returned || part.stage_times.empty()) {
        part.stage_times.push_back(time);
        return;
    }
    part.stage_times.front().compute_us += time.compute_us;
    part.stage_times.front().wait_us += time.wait_us;
}

}  // namespace molink
