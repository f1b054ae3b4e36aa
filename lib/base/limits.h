#pragma once

#include <cstddef>
#include <cstdint>

// All bounds and tunables, with their reasons. Every number that limits a queue, a parser or a
// timer belongs here.
namespace molink::limits {

// -- Files and configuration
/// Largest safetensors header. The reference reader of the format refuses more than 100 MB.
inline constexpr std::size_t kMaxSafetensorsHeaderBytes = 100'000'000;
/// Largest tokenizer.json. Real tokenizers reach about 20 MB.
inline constexpr std::size_t kMaxJsonFileBytes = 256u << 20;
/// Largest config.json or safetensors index. An index of 100,000 tensors has about 10 MB, and a
/// tree of hostile JSON takes about 16 times the size of its text.
inline constexpr std::size_t kMaxConfigFileBytes = 32u << 20;
/// Maximum nesting of JSON. Configurations of published models reach 5.
inline constexpr std::size_t kMaxJsonDepth = 64;
/// Maximum dimensions of a stored tensor. Published weights reach 5.
inline constexpr std::size_t kMaxTensorDims = 16;
/// Bytes that are hashed at the begin, the middle and the end of a weight file (lib/DESIGN.md,
/// Compatibility).
inline constexpr std::size_t kModelHashSampleBytes = 64u << 10;
/// Upper bounds of model dimensions. They are far above published models and far below overflow.
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxHidden = 1 << 17;
inline constexpr std::int64_t kMaxFeedForward = 1 << 20;
inline constexpr std::int64_t kMaxVocabulary = 1 << 22;
inline constexpr std::int64_t kMaxHeads = 4096;
inline constexpr std::int64_t kMaxContext = 1 << 24;

// -- Tokenizer
/// Maximum backtracking steps of one match. Pre-tokenizer patterns need far fewer on a megabyte of
/// one letter (about two per character), and this number of steps ends within seconds.
inline constexpr std::uint32_t kMaxMatchSteps = 50'000'000;
/// Memory of one match in the interpreter. The next two are the initial and the maximum stack of
/// compiled patterns.
inline constexpr std::uint32_t kMaxMatchHeapKib = 512u << 10;
inline constexpr std::size_t kMatchStackBytes = 32u << 10;
inline constexpr std::size_t kMaxMatchStackBytes = 8u << 20;

// -- Channel (lib/DESIGN.md, Channels)
/// Maximum payload of a frame. An urgent frame then waits at most 1.3 ms for another one at 100
/// Mbit/s.
inline constexpr std::size_t kMaxFrameBytes = 16u << 10;
/// Window before the first measurement.
inline constexpr std::size_t kFirstWindowBytes = 64u << 10;
/// Maximum window: two bandwidth-delay products of 1 Gbit/s and 130 ms.
inline constexpr std::size_t kMaxWindowBytes = 32u << 20;
/// Pace of a link as a share of the measured rate. At the full rate queues would never become
/// empty.
inline constexpr double kPaceOfRate = 0.98;
/// Delay before the next attempt when the transport's buffer was full.
inline constexpr std::int64_t kFullRetryUs = 1'000;
/// Frames are sent again when acknowledgements are missing for longer than this and eight round
/// trips. Each further attempt waits twice as long. A connection loses nothing while it is up, so
/// this handles only errors below it. The time is long, because a link that stalls for some seconds
/// must not be filled with copies.
inline constexpr std::int64_t kResendAfterUs = 10'000'000;
inline constexpr int kMaxResendDoublings = 4;
/// Maximum number of urgent frames that may go before a resent bulky frame.
inline constexpr int kUrgentPerResent = 4;
/// Bytes reserved for a message before its bytes arrive. The size that a peer announces takes no
/// more memory than this.
inline constexpr std::size_t kFirstReserveBytes = 1u << 20;
/// Maximum number of frames that wait at the receiver of an in-process connection.
inline constexpr std::size_t kMaxWaitingFrames = 256;
/// How long a connection that this node made is kept after bye, so that the frame can be sent.
inline constexpr std::int64_t kLingerUs = 200'000;
/// Interval between probe trains of an idle link. It is short enough to notice a changed path, and
/// the trains use a thousandth of 5 Mbit/s.
inline constexpr std::int64_t kProbeIntervalUs = 10'000'000;
/// Largest message that is reassembled: more than a prefill slice of 4096 rows of 16384 f32.
inline constexpr std::size_t kMaxMessageBytes = 512u << 20;
/// Longest time that an urgent frame may wait behind a bulky one.
inline constexpr std::int64_t kHeadOfLineBoundUs = 10'000;

// -- Time
/// Longest time that is reported or waited: 35 years. Sums of a few such times do not overflow.
inline constexpr std::int64_t kLongestUs = std::int64_t{1} << 50;

// -- Faults (lib/DESIGN.md, Faults)
inline constexpr std::int64_t kHeartbeatIntervalUs = 1'000'000;
/// A node is shown as stalled after this time of silence. The head still waits for it.
inline constexpr std::int64_t kStalledAfterUs = 3 * kHeartbeatIntervalUs;
/// How much longer than the head a worker waits for its next stage before it reports a failure.
/// When a node is lost, the head must notice first. Otherwise it would blame the neighbour that
/// complains.
inline constexpr std::int64_t kNeighbourGraceUs = 3'000'000;

// -- Log
/// Longest log line. Texts from peers have up to kMaxWireStringBytes each.
inline constexpr std::size_t kMaxLogLineBytes = 2048;

// -- Keys
/// Largest file of keys: 1 MiB has more than 15,000 of them.
inline constexpr std::size_t kMaxKeyFileBytes = 1u << 20;
/// Connections of peers that have not proved who they are, for each source address and in all.
/// An honest peer needs two of them for some round trips, and a site behind one address may start
/// thirty workers at once.
inline constexpr std::size_t kMaxUntrustedPerSource = 64;
inline constexpr std::size_t kMaxUntrusted = 256;
/// Such a peer may send no message that is larger. A hello has some hundred bytes for each device.
inline constexpr std::size_t kMaxUntrustedMessageBytes = 64u << 10;
/// Peer links of one process: one with each node, and those of peers that are not trusted.
inline constexpr std::size_t kMaxPeerLinks = 512;
/// How often a head looks whether its access file has changed. A revoked key loses its link within
/// a second.
inline constexpr std::int64_t kAccessRefreshUs = 250'000;

// -- Cluster
inline constexpr std::size_t kMaxNodes = 256;
/// Maximum number of devices of one process.
inline constexpr std::size_t kMaxNodeDevices = 16;
/// Maximum size of a node name, address or error text on the wire.
inline constexpr std::size_t kMaxWireStringBytes = 4096;

// -- Partition
/// Maximum number of nodes for which all orders are searched, and the maximum work of that search:
/// 10 nodes and 160 layers, about 0.05 s.
inline constexpr std::size_t kMaxSearchedNodes = 10;
inline constexpr double kMaxSearchWork = 10.0 * 512 * 160 * 160;
/// Orders that the heuristic for more nodes tries. This bounds its time for any links.
inline constexpr std::int64_t kMaxOrdersTried = 30'000;
/// Maximum number of stage values that a search keeps: 64 MiB.
inline constexpr std::size_t kMaxKeptStageValues = std::size_t{1} << 23;

// -- Wire
/// Maximum rows of one part: 16 times the largest useful slice. Counts stay far below 2^31.
inline constexpr std::int32_t kMaxPartRows = 1 << 16;
/// Maximum runs, opens or releases of one part: all running sequences and the same number that have
/// just ended.
inline constexpr std::size_t kMaxPartSequences = 4096;
/// Maximum drafts of one decode row. Published drafters propose fewer than 32.
inline constexpr std::size_t kMaxDrafts = 64;
/// Maximum memory of a node: 1 PiB. The sum over kMaxNodes is far below 2^63.
inline constexpr std::uint64_t kMaxMemoryBytes = std::uint64_t{1} << 50;
/// Maximum tensors that a stage reports. Published mixtures of experts reach 100,000 in all layers.
inline constexpr std::size_t kMaxStageTensors = 1 << 17;
/// Maximum number of threads that a node may report. It is above the largest hosts and only appears
/// in logs.
inline constexpr std::int32_t kMaxThreads = 1 << 16;
/// Maximum positions of one block. Blocks are allocated as a whole, so larger ones waste memory.
inline constexpr std::int32_t kMaxBlockTokens = 4096;
/// Maximum blocks of one stage: ids have 32 bits.
inline constexpr std::uint64_t kMaxKvBlocks = std::uint64_t{1} << 32;
/// Maximum sampling temperature. Above it the draw is nearly uniform.
inline constexpr float kMaxTemperature = 100.0f;
/// Maximum penalty. It is above the logits of trained models.
inline constexpr float kMaxPenalty = 100.0f;
inline constexpr float kMaxLogitBias = 100.0f;
/// Maximum number of biased tokens of a request: three times the limit of OpenAI's service.
inline constexpr std::size_t kMaxLogitBiases = 1024;
/// Maximum number of alternatives that are reported for a token, as in other servers.
inline constexpr std::int32_t kMaxLogprobs = 20;
/// Maximum number of stop tokens: those of a request and of the model's configuration together.
inline constexpr std::size_t kMaxStopTokens = 128;
/// Maximum nesting and number of tables that the verifier accepts. The schema has four levels, and
/// the largest part has three lists of sequences and one of stage times.
inline constexpr std::uint32_t kMaxWireDepth = 8;
inline constexpr std::uint32_t kMaxWireTables = 16384;

inline constexpr std::size_t kMaxNodeNameBytes = 128;
/// Pause before a worker that the head turned away for now dials it again.
inline constexpr std::int64_t kRejoinAfterUs = 1'000'000;
/// File descriptors that a node needs to start: libzmq takes 12 with one listening socket, and
/// files are read meanwhile. Each peer link takes up to 4 more.
inline constexpr std::size_t kNodeDescriptors = 24;
/// Address space that a node needs to start, above all for the stacks of its threads.
inline constexpr std::size_t kNodeAddressBytes = 64u << 20;
/// Time within which a connected peer must send its hello.
inline constexpr std::int64_t kHelloWithinUs = 10'000'000;
/// Events that a node handles before it checks its timers.
inline constexpr std::size_t kMaxEventsPerTick = 256;
/// A pipeline with fewer KV positions is not built.
inline constexpr std::int64_t kMinKvPositions = 256;
/// Maximum time to measure one direction between two nodes. It takes half a second at 100 Mbit/s
/// and 30 ms. A slower link reports what was measured so far. The head waits kProbeGraceUs longer
/// for the answer.
inline constexpr std::int64_t kProbeWithinUs = 2'000'000;
/// How long the second node of a pair waits for the first one to connect.
inline constexpr std::int64_t kProbeTurnUs = 500'000;
inline constexpr std::int64_t kProbeGraceUs = 1'000'000;
/// No new pair of nodes is measured this long after the first one, so that a plan takes only
/// seconds.
inline constexpr std::int64_t kSurveyWithinUs = 10'000'000;
/// Maximum number of nodes that a node measures its links with. 16 nodes measure all their links.
inline constexpr std::size_t kMaxProbeRounds = 15;
/// A pair that did not answer is measured again by a build after this time.
inline constexpr std::int64_t kProbeAgainUs = 30'000'000;
/// Maximum number of links that others measure with a node at the same time. The head asks for one.
inline constexpr std::size_t kMaxProbedLinks = 4;
/// Maximum time for the last messages of a node that leaves.
inline constexpr std::int64_t kFarewellUs = 500'000;

// -- Stage
/// Maximum number of decode parts in a row while a prefill part waits. It guarantees a share to
/// prefill.
inline constexpr int kDecodesBeforePrefill = 4;
/// Maximum number of decode parts of one sequence that wait for tokens. The head plans one step
/// ahead.
inline constexpr std::ptrdiff_t kMaxWaitingDecodeParts = 2;

// -- Requests
/// Maximum rows of one micro-batch. It bounds a part's message and the workspace of every stage.
inline constexpr std::int32_t kMaxStepTokens = 8192;
/// Micro-batches that are planned before the loop handles messages again.
inline constexpr std::size_t kMaxPlansPerTick = 64;
/// Waiting sequences whose prefix is looked up before a plan. More look-ups would cost time in
/// every step for sequences that do not start yet.
inline constexpr std::size_t kPrefixLookahead = 2;
inline constexpr std::size_t kMaxRunning = 1024;
/// Limits of a request: completions, stop tokens, stop strings and the bytes of a stop string. They
/// are at least twice those of other servers.
inline constexpr std::int32_t kMaxCompletions = 64;
inline constexpr std::size_t kMaxRequestStopTokens = 64;
inline constexpr std::size_t kMaxStopStrings = 16;
inline constexpr std::size_t kMaxStopStringBytes = 256;
inline constexpr std::size_t kMaxWaiting = 65536;

// -- Simulator
/// Maximum number of turns at one virtual time. More turns mean that nodes are in an endless loop.
inline constexpr std::int64_t kMaxTurnsAtOnce = 200'000;
/// Maximum number of requests of a study, and of tokens of a prompt or an answer.
inline constexpr double kMaxStudyRequests = 1e6;
inline constexpr double kMaxStudyTokens = 1 << 20;
/// Maximum number of bars of a timeline. Viewers can show about this number.
inline constexpr std::size_t kMaxTimelineBars = 400'000;

}  // namespace molink::limits
