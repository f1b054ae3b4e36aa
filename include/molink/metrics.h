#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/link.h>
#include <molink/types.h>

namespace molink {

/// Traffic of one peer link in both directions since it came up. The head counts the traffic of its
/// own peer links. Workers report the peer links between them about once a second.
struct LinkMetrics {
    std::string node;              ///< name of the node that counted
    std::string peer;              ///< name of the node at the other end
    std::uint64_t sent_bytes = 0;  ///< including headers and acknowledgements
    std::uint64_t received_bytes = 0;
    std::uint64_t resent_bytes = 0;
    std::uint64_t lane_sent_bytes[kLaneCount] = {};  ///< payload, by Lane
    std::uint64_t lane_received_bytes[kLaneCount] = {};
    std::uint64_t lane_sent_messages[kLaneCount] = {};
    std::int64_t lane_queue_us[kLaneCount] = {};  ///< sum over messages, to the last frame
    std::int64_t round_trip_us = 0;               ///< smoothed
    LinkModel model;                              ///< measured in the direction away from `node`
};

/// Work of a stage, as its parts report it.
struct StageMetrics {
    std::string node;
    LayerRange layers;
    std::uint64_t parts = 0;
    std::uint64_t rows = 0;
    std::int64_t compute_us = 0;  ///< sum
    std::int64_t wait_us = 0;     ///< sum of the times that parts waited at the stage
};

/// Counts of values. A bucket counts the values up to its bound and above the bound before it.
struct Histogram {
    std::vector<double> bounds;          ///< [buckets] upper bounds, ascending
    std::vector<std::uint64_t> buckets;  ///< [buckets + 1] counts, the last is above all bounds
    std::uint64_t count = 0;
    double sum = 0;
};

/// A consistent copy of an engine's counters.
struct MetricsSnapshot {
    // At any moment submitted = under way + finished + failed + cancelled, in requests and in
    // completions. A request with several completions failed if one of them did, else it was
    // cancelled if one of them was.
    std::uint64_t requests_submitted = 0;  ///< accepted
    std::uint64_t requests_finished = 0;   ///< stop or length
    std::uint64_t requests_failed = 0;
    std::uint64_t requests_cancelled = 0;
    std::uint64_t requests_refused = 0;    ///< by submit(); not part of the submitted ones
    std::uint64_t requests_under_way = 0;  ///< submitted and not ended
    std::uint64_t completions_submitted = 0;
    std::uint64_t completions_finished = 0;
    std::uint64_t completions_failed = 0;
    std::uint64_t completions_cancelled = 0;
    std::uint64_t completions_under_way = 0;
    std::uint64_t prompt_tokens = 0;  ///< prefilled tokens, including those computed again
    std::uint64_t output_tokens = 0;
    std::uint64_t preemptions = 0;
    std::uint64_t prefix_hits = 0;          ///< admissions that found at least one block
    std::uint64_t prefix_query_tokens = 0;  ///< prompt tokens looked up at admission
    std::uint64_t prefix_hit_tokens = 0;    ///< of these, found in the cache
    std::int32_t running = 0;               ///< sequences
    std::int32_t waiting = 0;               ///< sequences
    std::int64_t kv_blocks_total = 0;
    std::int64_t kv_blocks_free = 0;    ///< neither held nor reserved, including cached blocks
    std::int64_t kv_blocks_cached = 0;  ///< kept for the prefix cache and held by no sequence
    Histogram time_to_first_token_s;    ///< from submit()
    Histogram time_per_output_token_s;  ///< mean of each completion, excluding its first token
    Histogram queue_s;                  ///< from submit() to the first part
    Histogram request_s;                ///< from submit() to the completion's end
    Histogram decode_part_rows;         ///< rows of each decode part
    Histogram prefill_part_rows;        ///< rows of each prefill part
    std::uint32_t epoch = 0;
    std::int32_t max_micro_batches_in_flight = 0;  ///< highest number seen in this epoch
    std::uint64_t plans_refused = 0;  ///< plans of the scheduler that check_plan refused
    /// Steps that the built-in policy planned because the scheduler's plan was refused, or was
    /// empty while nothing was under way.
    std::uint64_t plans_by_fallback = 0;
    std::vector<StageMetrics> stages;
    std::vector<LinkMetrics> links;
};

}  // namespace molink
