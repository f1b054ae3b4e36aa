// The frozen messages as structs. A later protocol gets another function beside wire_samples_2_0();
// see data/wire/README.md.
#include "wire_samples.h"

namespace molink::test {
namespace {

constexpr PipelineEpoch kEpoch{PipelineId(1), Epoch(3)};
constexpr PartKey kKey{kEpoch, StepId(41), PartId(97)};

Hello hello() {
    Hello hello;
    hello.protocol_major = 3;
    hello.protocol_minor = 1;
    hello.release = "molink 0.1.0";
    hello.node_name =
        "b\xc3\xbc"
        "ro-3";
    hello.advertise = "tcp://192.0.2.7:7100";
    hello.host_id = "5f1c";
    hello.model_hash = 0x0123456789abcdefull;
    hello.model_layers = 22;
    hello.weight_type = DataType::q8_0;
    hello.kv_type = DataType::f16;
    hello.block_tokens = 16;
    hello.layers = LayerRange{4, 11};
    hello.devices = {{"cuda:0", "5f1c/gpu-0", 12'884'901'888ull, true,
                      NodeProfile{812.5, 96.25, 1500.0, 8, 12.75, 0.5}},
                     {"cpu", "5f1c/host", 34'359'738'368ull, false,
                      NodeProfile{4'100.0, 310.5, 9'000.0, 4, 95.0, 0.25}}};
    return hello;
}

Assign assign() {
    Assign assign;
    assign.epoch = kEpoch;
    assign.ring = *Ring::make({{NodeId(4), "tcp://192.0.2.9:7100", {0, 7}},
                               {kHeadNode, "", {7, 15}},
                               {NodeId(2), "ipc:///run/molink/next", {15, 22}}},
                              true, true);
    assign.stage_index = 1;
    assign.activation_type = DataType::bf16;
    assign.max_rows = 512;
    assign.max_sequences = 64;
    assign.max_context = 2048;
    assign.memory_bytes = 4'294'967'296ull;
    assign.max_kv_blocks = 8192;
    return assign;
}

Heartbeat heartbeat() {
    LinkReport report;
    report.sent_bytes = 1'000'000;
    report.received_bytes = 2'000'000;
    report.resent_bytes = 3;
    report.lane_sent_bytes = {1, 2, 3, 4, 5};
    report.lane_received_bytes = {6, 7, 8, 9, 10};
    report.lane_sent_messages = {11, 12, 13, 14, 15};
    report.lane_queue_us = {16, 17, 18, 19, 20};
    report.round_trip_us = 20'500;
    report.bytes_per_s = 12.5e6;
    report.delay_us = 10'000;
    report.jitter_us = 500;
    return {86'400, {StageLinkReport{kEpoch, 2, report}}};
}

SequenceOpen open() {
    SequenceOpen open;
    open.id = SequenceId(12);
    open.prompt = {1, 450, 6593};
    open.prompt_count = 2;
    open.sampling.temperature = 0.75f;
    open.sampling.seed = 0xfeedull;
    open.sampling.top_k = 40;
    open.sampling.top_p = 0.875f;
    open.sampling.min_p = 0.0625f;
    open.sampling.repetition_penalty = 1.125f;
    open.sampling.presence_penalty = -0.5f;
    open.sampling.frequency_penalty = 0.25f;
    open.sampling.logit_bias = {{450, 2.5f}, {31999, -100.0f}};
    open.min_tokens = 5;
    open.stop_tokens = {2, 13};
    open.logprobs = 3;
    open.hash_logits = true;
    return open;
}

/// Decode rows: one without its token, which feedback completes, and one with drafts.
PartPlan decode_plan() {
    PartPlan plan;
    plan.key = kKey;
    plan.rows = std::vector<DecodeRows>{
        {SequenceId(9), 100, std::nullopt, {}, {BlockId(5), BlockId(0xfffffffeu)}},
        {SequenceId(10), 31, 77, {13, 0, 29892}, {}}};
    plan.releases = {SequenceId(4), SequenceId(6)};
    return plan;
}

ForwardedPart forwarded() {
    ForwardedPart part;
    part.plan.key = kKey;
    part.plan.opens = {open()};
    part.plan.rows =
        std::vector<PrefillRows>{{SequenceId(12), 0, 3, true, {BlockId(5), BlockId(0xfffffffeu)}},
                                 {SequenceId(9), 96, 1, false, {}}};
    part.activations = {DataType::f16, 4, {}};
    for (int i = 0; i < 4 * 3 * 2; ++i) {
        part.activations.bytes.push_back(static_cast<std::byte>(i * 7));
    }
    part.stage_times = {StageTime{1200, 30}, StageTime{900, 0}};
    return part;
}

ReturnedPart returned() {
    ReturnedPart part;
    part.key = kKey;
    part.kind = PartKind::prefill;
    part.spans = {{SequenceId(12), 0, 3, 1}, {SequenceId(9), 96, 1, 0}};
    part.activations = {DataType::bf16, 1, {}};
    for (int i = 0; i < 3 * 2; ++i) {
        part.activations.bytes.push_back(static_cast<std::byte>(i * 11));
    }
    part.stage_times = {StageTime{1200, 30}, StageTime{900, 0}};
    return part;
}

RetiredPart retired() {
    RetiredPart part;
    part.key = kKey;
    part.kind = PartKind::prefill;
    part.sampled = {{SequenceId(12),
                     3,
                     {29892},
                     {TokenLogprobs{-0.5f, {{29892, -0.5f}, {13, -1.25f}}}},
                     {1, 2, ~0ull}},
                    {SequenceId(9), 101, {13, 2}, {}, {}}};
    part.stage_times = {StageTime{1200, 30}, StageTime{900, 0}, StageTime{1100, 5}};
    return part;
}

PublicKey key(std::uint8_t first) {
    PublicKey key;
    for (std::uint8_t& byte : key.bytes) byte = first++;
    return key;
}

Ring with_keys(const Ring& ring) {
    std::vector<RingStage> stages(ring.stages().begin(), ring.stages().end());
    for (std::size_t i = 0; i < stages.size(); ++i) {
        stages[i].key = key(static_cast<std::uint8_t>(i + 1));
    }
    const RingShape& shape = ring.shape();
    return Ring::make(std::move(stages), shape.lm_head_stage() == 0, shape.feeds_back()).value();
}

}  // namespace

std::vector<WireSample> wire_samples_3_0() {
    return {
        {"hello", hello()},
        {"welcome", Welcome{NodeId(2), "desk", 1}},
        {"refuse", Refuse{StatusCode::failed_precondition, "model hash 1 is not 2"}},
        {"assign", assign()},
        {"load_progress", LoadProgress{kEpoch, 1, 1'000'000, 4'000'000'000ull}},
        {"stage_loaded", StageLoaded{kEpoch, 2, 3'999'999'999ull, 4096}},
        {"stage_start", StageStart{kEpoch, 3, 2048}},
        {"stage_ready", StageReady{kEpoch, 4}},
        {"peer_hello", PeerHello{kEpoch, NodeId(2), 1}},
        {"stage_failed", StageFailed{kEpoch, 5, StatusCode::resource_exhausted, "7 GiB of 6"}},
        {"heartbeat", heartbeat()},
        {"probe_link", ProbeLink{NodeId(3), "tcp://192.0.2.9:7100", true}},
        {"probe_hello", ProbeHello{NodeId(2)}},
        {"link_probe", LinkProbe{NodeId(2), NodeId(3), true, 12.5e6, 30'000, 1'500}},
        {"part_plan", decode_plan()},
        {"forwarded_part", forwarded()},
        {"returned_part", returned()},
        {"retired_part", retired()},
        {"token_feedback", TokenFeedback{kKey, {{SequenceId(9), 101, {13, 2}}}}},
    };
}

/// Changes the samples of 3.0 to those of 3.1: nodes have keys, rows that are not numbers end their
/// sequence, rows of f16 may be bf16, rows of int8 have exact values, and workers say what their
/// stages do.
std::vector<WireSample> wire_samples_3_1() {
    std::vector<WireSample> samples = wire_samples_3_0();
    const std::vector<RowFault> faults{{SequenceId(12), 1, 2, RowFaultKind::range},
                                       {SequenceId(9), 96, 1, RowFaultKind::logits}};
    for (WireSample& sample : samples) {
        if (auto* assign = std::get_if<Assign>(&sample.message)) {
            assign->ring = with_keys(assign->ring);
            assign->protocol_minor = 1;
        } else if (auto* loaded = std::get_if<StageLoaded>(&sample.message)) {
            loaded->tensors = {{"model.embed_tokens.weight", 0, 0, {1, 2}},
                               {"model.layers.3.mlp.up_proj.weight", 64, 128, {~0ull, 5}}};
        } else if (auto* probe = std::get_if<ProbeLink>(&sample.message)) {
            probe->key = key(9);
        } else if (auto* forwarded = std::get_if<ForwardedPart>(&sample.message)) {
            forwarded->activations.bf16_rows = {1, 3};
            forwarded->faults = faults;
        } else if (auto* returned = std::get_if<ReturnedPart>(&sample.message)) {
            // One row of three values: two of them exact, then the group with its scale.
            returned->activations = {DataType::int8, 1, Bytes(3 + 4 + 2 * 6, std::byte{5}), 2, {}};
            returned->faults = faults;
        } else if (auto* retired = std::get_if<RetiredPart>(&sample.message)) {
            retired->faults = faults;
        } else if (auto* failed = std::get_if<StageFailed>(&sample.message)) {
            failed->next_unreachable = true;
        } else if (auto* heartbeat = std::get_if<Heartbeat>(&sample.message)) {
            heartbeat->stages = {{kKey.epoch, 1, 1ull << 40, 77, 2'500'000}, {kKey.epoch, 2}};
        }
    }
    samples.push_back({"enrol", Enrol{key(7), "desk"}});
    samples.push_back({"enrolled", Enrolled{}});
    samples.push_back({"end_epoch", EndEpoch{kKey.epoch}});
    return samples;
}

}  // namespace molink::test
