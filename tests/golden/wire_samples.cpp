// The frozen messages as structs. A later protocol gets a function of its own beside this one; see
// data/wire/README.md.
#include "wire_samples.h"

namespace molink::test {
namespace {

Hello hello() {
    Hello hello;
    hello.protocol_major = 1;
    hello.protocol_minor = 2;
    hello.release = "molink 0.1.0";
    hello.node_name =
        "b\xc3\xbc"
        "ro-3";
    hello.advertise = "tcp://192.0.2.7:7100";
    hello.host_id = "5f1c";
    hello.model_hash = 0x0123456789abcdefull;
    hello.model_layers = 22;
    hello.weight_mode = DataType::q8_0;
    hello.kv_type = DataType::f16;
    hello.block_tokens = 16;
    hello.memory_bytes = 12'884'901'888ull;
    hello.memory_own = true;
    hello.layers = LayerRange{4, 11};
    hello.profile = NodeProfile{812.5, 96.25, 1500.0, 8};
    return hello;
}

Assign assign() {
    Assign assign;
    assign.epoch = Epoch(3);
    assign.stage_index = 1;
    assign.stage_count = 3;
    assign.layers = LayerRange{7, 15};
    assign.has_embedding = true;
    assign.has_head = true;
    assign.next_address = "ipc:///run/molink/next";
    assign.activation_type = DataType::bf16;
    assign.max_rows = 512;
    assign.max_sequences = 64;
    assign.max_context = 2048;
    assign.memory_bytes = 4'294'967'296ull;
    assign.max_kv_blocks = 8192;
    return assign;
}

Part part() {
    Part part;
    part.epoch = Epoch(3);
    part.step = StepId(41);
    part.id = PartId(97);
    part.kind = PartKind::prefill;
    SequenceOpen open;
    open.id = SequenceId(12);
    open.prompt = {1, 450, 6593};
    open.prompt_count = 3;
    open.sampling.temperature = 0.75f;
    open.sampling.seed = 0xfeedull;
    open.hash_logits = true;
    part.opens.push_back(std::move(open));
    part.runs.push_back(
        SequenceRun{SequenceId(12), 0, 3, {}, {BlockId(5), BlockId(0xfffffffeu)}, 1});
    part.runs.push_back(SequenceRun{SequenceId(9), 100, 1, {77}, {}, 1});
    part.releases = {SequenceId(4), SequenceId(6)};
    part.stage_times = {StageTime{1200, 30}, StageTime{900, 0}};
    part.activation_type = DataType::f16;
    for (int i = 0; i < 4 * 3 * 2; ++i) part.activations.push_back(static_cast<std::byte>(i * 7));
    return part;
}

Retire retire() {
    Retire retire;
    retire.epoch = Epoch(3);
    retire.step = StepId(41);
    retire.part = PartId(97);
    retire.sampled.push_back(SampledRun{SequenceId(12), 3, {29892}, {}, {1, 2, ~0ull}});
    retire.sampled.push_back(SampledRun{SequenceId(9), 101, {13, 2}, {}, {}});
    retire.stage_times = {StageTime{1200, 30}, StageTime{900, 0}, StageTime{1100, 5}};
    return retire;
}

/// The part with what protocol 1.1 appended.
Part part_1_1() {
    Part part = test::part();
    SequenceOpen& open = part.opens[0];
    open.prompt_count = 2;
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
    return part;
}

Retire retire_1_1() {
    Retire retire = test::retire();
    retire.sampled[0].logprobs = {TokenLogprobs{-0.5f, {{29892, -0.5f}, {13, -1.25f}}}};
    return retire;
}

Heartbeat heartbeat_1_1() {
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
    return {86'400, report};
}

/// The hello with what protocol 1.2 appended.
Hello hello_1_2() {
    Hello hello = test::hello();
    hello.profile.decode_row_layer_us = 12.75;
    return hello;
}

Part part_1_2() {
    Part part = part_1_1();
    part.head_rows = 3;
    part.activations.resize(3 * 3 * 2);
    return part;
}

Assign assign_1_2() {
    Assign assign = test::assign();
    assign.direct_feedback = true;
    return assign;
}

}  // namespace

std::vector<WireSample> wire_samples_1_2() {
    std::vector<WireSample> samples = wire_samples_1_1();
    for (WireSample& sample : samples) {
        if (sample.name == "hello") sample.message = hello_1_2();
        if (sample.name == "assign") sample.message = assign_1_2();
        if (sample.name == "part") sample.message = part_1_2();
    }
    samples.push_back({"probe_link", ProbeLink{NodeId(3), "tcp://192.0.2.9:7100", true}});
    samples.push_back({"probe_hello", ProbeHello{NodeId(2)}});
    samples.push_back({"link_probe", LinkProbe{NodeId(2), NodeId(3), true, 12.5e6, 30'000, 1'500}});
    return samples;
}

std::vector<WireSample> wire_samples_1_1() {
    std::vector<WireSample> samples = wire_samples_1_0();
    for (WireSample& sample : samples) {
        if (sample.name == "heartbeat") sample.message = heartbeat_1_1();
        if (sample.name == "part") sample.message = part_1_1();
        if (sample.name == "retire") sample.message = retire_1_1();
    }
    return samples;
}

std::vector<WireSample> wire_samples_1_0() {
    return {
        {"hello", hello()},
        {"welcome", Welcome{NodeId(2), "desk", 1}},
        {"refuse", Refuse{StatusCode::failed_precondition, "model hash 1 is not 2"}},
        {"assign", assign()},
        {"load_progress", LoadProgress{Epoch(3), 1'000'000, 4'000'000'000ull}},
        {"stage_loaded", StageLoaded{Epoch(3), 3'999'999'999ull, 4096}},
        {"stage_start", StageStart{Epoch(3), 2048}},
        {"stage_ready", StageReady{Epoch(3)}},
        {"peer_hello", PeerHello{Epoch(3), NodeId(2), 1}},
        {"stage_failed", StageFailed{Epoch(3), StatusCode::resource_exhausted, "7 GiB of 6"}},
        {"heartbeat", Heartbeat{86'400, {}}},
        {"part", part()},
        {"retire", retire()},
    };
}

}  // namespace molink::test
