#pragma once

#include <cstdint>
#include <vector>

namespace molink::bench {

inline constexpr std::int32_t kShortPrompt = 8;    ///< of a stream that decodes
inline constexpr std::int32_t kPromptOutput = 16;  ///< tokens of a prompt that arrives beside
inline constexpr std::int32_t kPromptMean = 768;   ///< rows of one
inline constexpr std::int32_t kLongestOutput = 3500;
/// From the moment the cluster serves to the first request: links have measured themselves then, as
/// they have in any service but a new one.
inline constexpr double kSettleSeconds = 2;
/// As many streams as are measured run so short before, and then nothing for a while: rates are
/// known, and pages of KV are there.
inline constexpr std::int32_t kFirstTokens = 8;
inline constexpr double kPauseSeconds = 1;
inline constexpr double kWarmSeconds = 2;  ///< before a measurement all streams decode so long

/// What is run, in real processes and in the simulator alike.
struct LoadPlan {
    std::int32_t streams = 0;
    std::int32_t output = 0;   ///< tokens of a stream, more than it comes to
    double prompts_per_s = 0;  ///< that arrive beside; 0: decode alone
    double seconds = 0;        ///< that are measured
};

/// A prompt that arrives beside the streams.
struct Arrival {
    double at_s = 0;  ///< after the measurement has begun
    std::int32_t rows = 0;
};

/// Poisson arrivals of 512 to 1,024 rows; the same for the same plan.
std::vector<Arrival> draw_arrivals(const LoadPlan& plan);

/// One request and when its tokens came, seconds.
struct Stream {
    double submitted = 0;
    std::vector<double> tokens;
};

/// What a run left. Times from the first request that counts.
struct Streams {
    std::vector<Stream> decoding;
    std::vector<Stream> prompts;  ///< that arrived beside
    double begin = 0;             ///< of the measurement; every stream decodes from here ...
    double end = 0;               ///< ... to here
    double over = 0;              ///< prompts were waited for until then
};

/// p50, p90, p99 and the largest, milliseconds.
struct Spread {
    double p50 = 0, p90 = 0, p99 = 0, max = 0;
    static Spread of(std::vector<double> values_ms);
};

struct Measured {
    double tokens_per_s = 0;      ///< output
    Spread gap;                   ///< between two tokens of a stream
    Spread gap_beside;            ///< of these, those that overlap a prefill
    Spread ttft;                  ///< from submit; of the prompts that arrive when there are any
    double tpot_ms = 0;           ///< median over streams of their mean gap
    std::int32_t prompts = 0;     ///< that arrived
    std::int32_t unfinished = 0;  ///< of them, without a first token at the end
};

Measured measure(const Streams& streams);

}  // namespace molink::bench
