#pragma once

#include <cstddef>
#include <cstdint>

// Every bound and tunable, with its reason. A number that appears in a queue, a parser or a timer
// belongs here.
namespace molink::limits {

// -- Files and configuration
/// Largest safetensors header: the format's own reference reader refuses more than 100 MB.
inline constexpr std::size_t kMaxSafetensorsHeaderBytes = 100'000'000;
/// Largest config.json, index or tokenizer.json: real tokenizers reach about 20 MB.
inline constexpr std::size_t kMaxJsonFileBytes = 256u << 20;
/// Largest config.json or safetensors index: an index of 100,000 tensors has about 10 MB, and a
/// tree of hostile JSON takes some 16 times its text.
inline constexpr std::size_t kMaxConfigFileBytes = 32u << 20;
/// Nesting of JSON; configurations of published models reach 5.
inline constexpr std::size_t kMaxJsonDepth = 64;
/// Dimensions of a stored tensor; published weights reach 5.
inline constexpr std::size_t kMaxTensorDims = 16;
/// Bytes of a weight file that are hashed at its begin, middle and end (lib/DESIGN.md,
/// Compatibility).
inline constexpr std::size_t kModelHashSampleBytes = 64u << 10;
/// Upper bounds on model dimensions; far above any published model, far below overflow.
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxHidden = 1 << 17;
inline constexpr std::int64_t kMaxFeedForward = 1 << 20;
inline constexpr std::int64_t kMaxVocabulary = 1 << 22;
inline constexpr std::int64_t kMaxHeads = 4096;
inline constexpr std::int64_t kMaxContext = 1 << 24;

// -- Tokenizer
/// Backtracking steps of one match: far above what pre-tokenizer patterns take on a megabyte of one
/// letter (about two per character), low enough to end within seconds.
inline constexpr std::uint32_t kMaxMatchSteps = 50'000'000;
/// Memory of one match in the interpreter, and the stack of compiled patterns, which begins small
/// and grows.
inline constexpr std::uint32_t kMaxMatchHeapKib = 512u << 10;
inline constexpr std::size_t kMatchStackBytes = 32u << 10;
inline constexpr std::size_t kMaxMatchStackBytes = 8u << 20;

// -- Channel (lib/DESIGN.md, Channels)
/// A frame is at most 16 KiB of payload, so that an urgent one waits for 1.3 ms at 100 Mbit/s.
inline constexpr std::size_t kMaxFrameBytes = 16u << 10;
/// Bytes under way before the first measurement.
inline constexpr std::size_t kFirstWindowBytes = 64u << 10;
/// Bytes under way at most: two bandwidth-delay products of 1 Gbit/s and 130 ms.
inline constexpr std::size_t kMaxWindowBytes = 32u << 20;
/// Share of the measured rate at which a link is paced: at the full rate queues would never empty.
inline constexpr double kPaceOfRate = 0.98;
/// When a transport that had no room is asked again.
inline constexpr std::int64_t kFullRetryUs = 1'000;
/// Acknowledgements missing for longer than this and eight round trips: send again, then after
/// twice the time. Connections lose nothing while they stand, so this is for what breaks that
/// promise; a link that is frozen for some seconds is not to be filled with what it holds already.
inline constexpr std::int64_t kResendAfterUs = 10'000'000;
inline constexpr int kMaxResendDoublings = 4;
/// Urgent frames that may pass a bulky one that goes out again; its guaranteed share.
inline constexpr int kUrgentPerResent = 4;
/// Reserved for a message before its bytes are here: a peer's word alone takes no more memory.
inline constexpr std::size_t kFirstReserveBytes = 1u << 20;
/// Frames that wait at the receiver of one connection inside a process.
inline constexpr std::size_t kMaxWaitingFrames = 256;
/// How long a dialled connection is kept after bye, so that the message can leave.
inline constexpr std::int64_t kLingerUs = 200'000;
/// Probe trains of an idle link: often enough to notice a changed path, a thousandth of 5 Mbit/s.
inline constexpr std::int64_t kProbeIntervalUs = 10'000'000;
/// Largest message that is put together again; a prefill slice of 4096 rows of 16384 f32.
inline constexpr std::size_t kMaxMessageBytes = 512u << 20;
/// How long an urgent frame may wait behind a bulky one.
inline constexpr std::int64_t kHeadOfLineBoundUs = 10'000;

// -- Time
/// Longest time that is reported or waited, 35 years: sums of a few stay far from overflow.
inline constexpr std::int64_t kLongestUs = std::int64_t{1} << 50;

// -- Faults (lib/DESIGN.md, Faults)
inline constexpr std::int64_t kHeartbeatIntervalUs = 1'000'000;
/// Silence after which a node is shown as stalled; it is waited for.
inline constexpr std::int64_t kStalledAfterUs = 3 * kHeartbeatIntervalUs;
/// How much longer a worker waits for its next stage before it tells the head: when a node is lost
/// the head must notice first, or it would blame the neighbour that complains.
inline constexpr std::int64_t kNeighbourGraceUs = 3'000'000;

// -- Cluster
inline constexpr std::size_t kMaxNodes = 256;
/// A node name, address or error text on the wire.
inline constexpr std::size_t kMaxWireStringBytes = 4096;

// -- Partition
/// Nodes whose orders are all searched, and the work that this may be: 10 nodes and 160 layers,
/// about 0.05 s.
inline constexpr std::size_t kMaxSearchedNodes = 10;
inline constexpr double kMaxSearchWork = 10.0 * 512 * 160 * 160;
/// Orders that the heuristic for more nodes tries, so that its time is bounded whatever the links.
inline constexpr std::int64_t kMaxOrdersTried = 30'000;
/// Values of stages that a search keeps: 64 MiB.
inline constexpr std::size_t kMaxKeptStageValues = std::size_t{1} << 23;

// -- Wire
/// Rows of one part: 16 times the largest slice that is of use, and its count stays far below 2^31.
inline constexpr std::int32_t kMaxPartRows = 1 << 16;
/// Runs, opens or releases of one part: every running sequence, and as many that have just ended.
inline constexpr std::size_t kMaxPartSequences = 4096;
/// Drafts of one decode row; published drafters propose fewer than 32.
inline constexpr std::size_t kMaxDrafts = 64;
/// A node's memory: 1 PiB, so that the sum over kMaxNodes is far below 2^63.
inline constexpr std::uint64_t kMaxMemoryBytes = std::uint64_t{1} << 50;
/// Threads a node may claim; above the largest hosts, and it only shows in logs.
inline constexpr std::int32_t kMaxThreads = 1 << 16;
/// Positions in one block; a block is allocated whole, so larger ones only waste memory.
inline constexpr std::int32_t kMaxBlockTokens = 4096;
/// Blocks of one stage: their ids have 32 bits.
inline constexpr std::uint64_t kMaxKvBlocks = std::uint64_t{1} << 32;
/// Sampling temperature; above it the draw is as good as uniform.
inline constexpr float kMaxTemperature = 100.0f;
/// Penalties; logits of trained models stay within some tens.
inline constexpr float kMaxPenalty = 100.0f;
inline constexpr float kMaxLogitBias = 100.0f;
/// Biased tokens of a request: three times what the OpenAI service takes.
inline constexpr std::size_t kMaxLogitBiases = 1024;
/// Alternatives reported beside a token; what other servers permit.
inline constexpr std::int32_t kMaxLogprobs = 20;
/// Stop tokens of a request and those of the model's configuration together.
inline constexpr std::size_t kMaxStopTokens = 128;
/// Nesting and number of tables the verifier accepts; the schema nests four deep, and the largest
/// part has three lists of sequences and one of stage times.
inline constexpr std::uint32_t kMaxWireDepth = 8;
inline constexpr std::uint32_t kMaxWireTables = 16384;

inline constexpr std::size_t kMaxNodeNameBytes = 128;
/// A peer that connected has this long to say who it is.
inline constexpr std::int64_t kHelloWithinUs = 10'000'000;
/// Things a node handles before it looks at its timers again.
inline constexpr std::size_t kMaxEventsPerTick = 256;
/// KV positions below which a pipeline is not worth building.
inline constexpr std::int64_t kMinKvPositions = 256;
/// Measuring one direction between two nodes: half a second at 100 Mbit/s and 30 ms; slower links
/// give what they have shown by then. The head waits a little longer, for the answer's own way.
inline constexpr std::int64_t kProbeWithinUs = 2'000'000;
/// How long the second of two nodes waits for the first one to show itself.
inline constexpr std::int64_t kProbeTurnUs = 500'000;
inline constexpr std::int64_t kProbeGraceUs = 1'000'000;
/// No new pair of nodes is measured this long after the first one: a plan shall take seconds.
inline constexpr std::int64_t kSurveyWithinUs = 10'000'000;
/// Others that a node measures its links with; 16 nodes know all of their links.
inline constexpr std::size_t kMaxProbeRounds = 15;
/// A pair that did not answer is asked again by builds later than this.
inline constexpr std::int64_t kProbeAgainUs = 30'000'000;
/// Links that others measure with a node at once; the head asks for one.
inline constexpr std::size_t kMaxProbedLinks = 4;
/// How long a node that leaves may take to say so.
inline constexpr std::int64_t kFarewellUs = 500'000;

// -- Stage
/// Decode parts that may run in a row while a prefill part waits; its guaranteed share.
inline constexpr int kDecodesBeforePrefill = 4;
/// Decode parts of one sequence that wait for its tokens; the head plans one step ahead.
inline constexpr std::ptrdiff_t kMaxWaitingDecodeParts = 2;

// -- Requests
/// Rows of one micro-batch; bounds a part's message and every stage's workspace.
inline constexpr std::int32_t kMaxStepTokens = 8192;
/// Micro-batches planned before the loop turns to messages again.
inline constexpr std::size_t kMaxPlansPerTick = 64;
/// Waiting sequences whose prefix is looked up before a plan; more would cost time in every step
/// for sequences that do not start yet.
inline constexpr std::size_t kPrefixLookahead = 2;
inline constexpr std::size_t kMaxRunning = 1024;
/// Completions of one request, stop tokens and stop strings, and the length of one of these: twice
/// and more what other servers take.
inline constexpr std::int32_t kMaxCompletions = 64;
inline constexpr std::size_t kMaxRequestStopTokens = 64;
inline constexpr std::size_t kMaxStopStrings = 16;
inline constexpr std::size_t kMaxStopStringBytes = 256;
inline constexpr std::size_t kMaxWaiting = 65536;

// -- Simulator
/// Turns without time going on before nodes count as stuck in a circle.
inline constexpr std::int64_t kMaxTurnsAtOnce = 200'000;
/// Requests of a study, and tokens of a prompt or an answer.
inline constexpr double kMaxStudyRequests = 1e6;
inline constexpr double kMaxStudyTokens = 1 << 20;
/// Bars of a timeline; a viewer takes about as many.
inline constexpr std::size_t kMaxTimelineBars = 400'000;

}  // namespace molink::limits
