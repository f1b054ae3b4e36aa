#pragma once

#include <cstdint>
#include <vector>

namespace molink::bench {

inline constexpr std::int32_t kShortPrompt = 8;  ///< tokens, of a decoding stream
inline constexpr std::int32_t kPromptOutput =
    16;  ///< tokens, of a prompt that arrives beside the streams
inline constexpr std::int32_t kPromptMean = 768;  ///< tokens of such a prompt
inline constexpr std::int32_t kLongestOutput = 3500;
/// Time from the start of service to the first request, in which links measure themselves. Only a
/// new service has unmeasured links.
inline constexpr double kSettleSeconds = 2;
/// The warm-up: as many streams as are measured, each with this many tokens, and then a pause.
/// After it rates are known, and KV pages are in memory.
inline constexpr std::int32_t kFirstTokens = 8;
inline constexpr double kPauseSeconds = 1;
inline constexpr double kWarmSeconds = 2;  ///< all streams decode before the measurement

/// What runs, both in real processes and in the simulator.
struct LoadPlan {
    std::int32_t streams = 0;
    std::int32_t output = 0;   ///< max_tokens of a stream, which it does not reach
    double prompts_per_s = 0;  ///< that arrive beside; 0: none
    double seconds = 0;        ///< of the measurement
};

/// A prompt that arrives beside the streams.
struct Arrival {
    double at_s = 0;  ///< after the begin of the measurement
    std::int32_t rows = 0;
};

/// Draws Poisson arrivals of 512 to 1,024 rows. Equal plans have equal arrivals.
std::vector<Arrival> draw_arrivals(const LoadPlan& plan);

/// When a request was submitted and when its tokens arrived, in seconds.
struct Stream {
    double submitted = 0;
    std::vector<double> tokens;
};

/// The record of a run. Times in seconds from the first request after the warm-up.
struct Streams {
    std::vector<Stream> decoding;
    std::vector<Stream> prompts;  ///< that arrived beside
    double begin = 0;             ///< of the measurement
    double end = 0;               ///< of the measurement; until then every stream decodes
    double over = 0;              ///< the end of the wait for first tokens of prompts
};

/// Quantiles and the largest value, in ms.
struct Spread {
    double p50 = 0, p90 = 0, p99 = 0, max = 0;
    static Spread of(std::vector<double> values_ms);
};

struct Measured {
    double tokens_per_s = 0;      ///< of output
    Spread gap;                   ///< between two tokens of a stream
    Spread gap_beside;            ///< those gaps that overlap a prefill
    Spread ttft;                  ///< of the prompts that arrive, or of the streams if none do
    double tpot_ms = 0;           ///< median over streams of their mean gap
    std::int32_t prompts = 0;     ///< that arrived
    std::int32_t unfinished = 0;  ///< prompts without a first token at the end
};

Measured measure(const Streams& streams);

}  // namespace molink::bench
