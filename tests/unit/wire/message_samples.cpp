// Random valid messages of every kind. Their values reach the bounds that decode_message promises;
// message_bounds.cpp states these a second time, and the tests of the codec compare the two.
// Relies on nothing of the codec itself.
#include "message_samples.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "base/limits.h"
#include "tensor/activation_codec.h"
#include "tensor/dtype.h"

namespace molink::test {
namespace {

std::string random_text(Random& random, std::size_t most = 40) {
    std::string text(random.below(most + 1), ' ');
    for (char& c : text) c = static_cast<char>(32 + random.below(95));
    return text;
}

std::int32_t random_int(Random& random, std::int32_t low, std::int32_t high) {
    return low +
           static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(high - low) + 1));
}

LayerRange random_layers(Random& random) {
    const std::int32_t begin = random_int(random, 0, 500);
    return LayerRange{begin, random_int(random, begin, 1024)};
}

std::vector<Token> random_tokens(Random& random, std::size_t count) {
    std::vector<Token> tokens(count);
    for (Token& token : tokens) token = random_int(random, 0, (1 << 22) - 1);
    return tokens;
}

std::vector<StageTime> random_times(Random& random) {
    std::vector<StageTime> times(random.below(5));
    for (StageTime& time : times) {
        time.compute_us = static_cast<std::uint32_t>(random.next());
        time.wait_us = static_cast<std::uint32_t>(random.next());
    }
    return times;
}

StatusCode random_code(Random& random) {
    return static_cast<StatusCode>(random_int(random, 1, 10));
}

DataType random_activation_type(Random& random) {
    constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::int8};
    return kTypes[random.below(4)];
}

NodeProfile random_profile(Random& random) {
    NodeProfile profile;
    profile.decode_layer_us = random.uniform() * 1e6;
    profile.prefill_row_layer_us = random.uniform() * 1e6;
    profile.lm_head_row_us = random.uniform() * 1e6;
    profile.threads = random_int(random, 0, 65536);
    if (random.below(2) == 1) profile.decode_row_layer_us = random.uniform() * 1e6;
    if (random.below(2) == 1) profile.compute_share = random.uniform();
    return profile;
}

NodeDevice random_device(Random& random) {
    NodeDevice device;
    device.name = random_text(random);
    device.memory_domain = random_text(random);
    device.memory_bytes = random.below((1ull << 50) + 1);
    device.memory_own = random.below(2) == 1;
    device.profile = random_profile(random);
    return device;
}

Hello random_hello(Random& random) {
    Hello hello;
    hello.protocol_major = static_cast<std::uint16_t>(random.next());
    hello.protocol_minor = static_cast<std::uint16_t>(random.next());
    hello.release = random_text(random);
    hello.node_name = random_text(random);
    hello.advertise = random_text(random, 4096);
    hello.host_id = random_text(random);
    hello.model_hash = random.next();
    hello.model_layers = random_int(random, 0, 1024);
    hello.weight_type = static_cast<DataType>(random.below(5));
    hello.kv_type = static_cast<DataType>(random.below(5));
    hello.block_tokens = random_int(random, 0, 4096);
    if (random.below(4) != 0) hello.layers = random_layers(random);
    const std::uint64_t devices = random.below(17);
    for (std::uint64_t i = 0; i < devices; ++i) hello.devices.push_back(random_device(random));
    return hello;
}

PipelineEpoch random_epoch(Random& random) {
    return {PipelineId(static_cast<std::uint16_t>(random.next())),
            Epoch(static_cast<std::uint32_t>(random.next()))};
}

std::optional<PublicKey> random_node_key(Random& random, bool always = false) {
    if (!always && random.below(2) == 0) return std::nullopt;
    PublicKey key;
    for (std::uint8_t& byte : key.bytes) byte = static_cast<std::uint8_t>(random.next());
    return key;
}

Ring random_ring(Random& random) {
    std::vector<RingStage> stages(1 + random.below(5));
    std::int32_t layer = 0;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const std::int32_t end = layer + random_int(random, 1, 200);
        stages[i] = {NodeId(static_cast<std::uint32_t>(i + random.below(2) * 1000)),
                     "tcp://" + random_text(random),
                     {layer, end},
                     random_node_key(random)};
        layer = end;
    }
    return *Ring::make(std::move(stages), random.below(2) == 1, random.below(2) == 1);
}

Assign random_assign(Random& random) {
    Assign assign;
    assign.epoch = random_epoch(random);
    assign.ring = random_ring(random);
    assign.stage_index = static_cast<std::uint32_t>(random.below(assign.ring.size()));
    assign.activation_type = random_activation_type(random);
    assign.max_rows = random_int(random, 0, 65536);
    assign.max_sequences = random_int(random, 0, 1024);
    assign.max_context = random_int(random, 0, 1 << 24);
    assign.memory_bytes = random.below((1ull << 50) + 1);
    assign.max_kv_blocks = random.next();
    assign.protocol_minor = static_cast<std::uint16_t>(random.next());
    return assign;
}

SequenceOpen random_open(Random& random) {
    SequenceOpen open;
    open.id = SequenceId(random.next());
    open.prompt = random_tokens(random, random.below(30));
    open.prompt_count = static_cast<std::int32_t>(open.prompt.size());
    if (open.prompt.size() > 1 && random.below(2) == 1) {
        open.prompt_count = random_int(random, 1, open.prompt_count);
    }
    SamplingParams& sampling = open.sampling;
    sampling.temperature = static_cast<float>(random.uniform() * 100);
    sampling.seed = random.next();
    if (random.below(2) == 1) {
        sampling.top_k = random_int(random, 0, 1000);
        sampling.top_p = static_cast<float>(random.uniform());
        sampling.min_p = static_cast<float>(random.uniform());
        sampling.repetition_penalty = static_cast<float>(random.uniform() * 2);
        sampling.presence_penalty = static_cast<float>(random.uniform() * 4 - 2);
        sampling.frequency_penalty = static_cast<float>(random.uniform() * 4 - 2);
        sampling.logit_bias = {{random_int(random, 0, 9), 1.5f}, {random_int(random, 0, 9), -100}};
        open.min_tokens = random_int(random, 0, 50);
        open.stop_tokens = random_tokens(random, random.below(3));
        open.logprobs = random_int(random, -1, 20);
    }
    open.hash_logits = random.below(2) == 1;
    return open;
}

std::vector<BlockId> random_blocks(Random& random) {
    std::vector<BlockId> blocks(random.below(4));
    for (BlockId& block : blocks) block = BlockId(static_cast<std::uint32_t>(random.next()));
    return blocks;
}

DecodeRows random_decode(Random& random) {
    DecodeRows rows;
    rows.sequence = SequenceId(random.next());
    if (random.below(4) != 0) rows.token = random_int(random, 0, (1 << 22) - 1);
    rows.drafts = random_tokens(random, random.below(4));
    rows.position = random_int(random, 0, (1 << 24) - rows.count());
    rows.new_blocks = random_blocks(random);
    return rows;
}

PrefillRows random_prefill(Random& random) {
    PrefillRows rows;
    rows.sequence = SequenceId(random.next());
    rows.rows = random_int(random, 1, 9);
    rows.position = random_int(random, 0, (1 << 24) - rows.rows);
    rows.ends_prompt = random.below(2) == 1;
    rows.new_blocks = random_blocks(random);
    return rows;
}

RowSpan random_span(Random& random) {
    RowSpan span;
    span.sequence = SequenceId(random.next());
    span.count = random_int(random, 1, 9);
    span.position = random_int(random, 0, (1 << 24) - span.count);
    span.sampled = random_int(random, 0, span.count);
    return span;
}

PartKey random_key(Random& random) {
    return {random_epoch(random), StepId(random.next()), PartId(random.next())};
}

PartPlan random_plan(Random& random) {
    PartPlan plan;
    plan.key = random_key(random);
    for (auto n = random.below(4); n > 0; --n) plan.opens.push_back(random_open(random));
    if (random.below(2) == 0) {
        std::vector<DecodeRows> rows;
        for (auto n = 1 + random.below(6); n > 0; --n) rows.push_back(random_decode(random));
        plan.rows = std::move(rows);
    } else {
        std::vector<PrefillRows> rows;
        for (auto n = 1 + random.below(6); n > 0; --n) rows.push_back(random_prefill(random));
        plan.rows = std::move(rows);
    }
    plan.releases.resize(random.below(4));
    for (SequenceId& id : plan.releases) id = SequenceId(random.next());
    return plan;
}

ActivationRows random_activations(Random& random, std::int32_t rows) {
    ActivationRows activations;
    activations.type = random_activation_type(random);
    activations.rows = rows;
    const std::size_t column = static_cast<std::size_t>(rows) * data_type_bytes(activations.type);
    activations.bytes.resize(column * (1 + random.below(20)));
    for (std::byte& byte : activations.bytes) byte = static_cast<std::byte>(random.next());
    if (activations.type == DataType::int8) activations.exact_values = random_int(random, 0, 64);
    for (std::int32_t row = 0; row < rows && activations.type == DataType::f16; ++row) {
        if (random.below(4) == 0) activations.bf16_rows.push_back(static_cast<std::uint32_t>(row));
    }
    return activations;
}

std::vector<RowFault> random_faults(Random& random) {
    std::vector<RowFault> faults(random.below(3));
    for (RowFault& fault : faults) {
        fault.sequence = SequenceId(random.next());
        fault.position = random_int(random, 0, (1 << 24) - 1);
        fault.stage = static_cast<std::uint32_t>(random.below(256));
        fault.kind = static_cast<RowFaultKind>(random.below(3));
    }
    return faults;
}

ForwardedPart random_forwarded(Random& random) {
    ForwardedPart part;
    part.plan = random_plan(random);
    if (auto* decode = std::get_if<std::vector<DecodeRows>>(&part.plan.rows)) {
        for (DecodeRows& rows : *decode) rows.token = random_int(random, 0, 1000);
    }
    part.activations = random_activations(random, part.plan.row_count());
    part.stage_times = random_times(random);
    part.faults = random_faults(random);
    return part;
}

ReturnedPart random_returned(Random& random) {
    ReturnedPart part;
    part.key = random_key(random);
    part.kind = static_cast<PartKind>(random.below(2));
    for (auto n = 1 + random.below(6); n > 0; --n) part.spans.push_back(random_span(random));
    part.activations = random_activations(random, random_int(random, 0, count_rows(part.spans)));
    part.stage_times = random_times(random);
    part.faults = random_faults(random);
    return part;
}

SampledRows random_sampled(Random& random) {
    SampledRows rows;
    rows.sequence = SequenceId(random.next());
    rows.position = random_int(random, 0, 1 << 24);
    rows.tokens = random_tokens(random, random.below(5));
    for (auto count = random.below(3); count > 0; --count) {
        TokenLogprobs logprobs;
        logprobs.logprob = static_cast<float>(-random.uniform() * 30);
        logprobs.top.resize(random.below(4));
        for (TokenLogprob& top : logprobs.top) {
            top = {random_int(random, 0, 99), static_cast<float>(-random.uniform())};
        }
        rows.logprobs.push_back(std::move(logprobs));
    }
    rows.logit_hashes.resize(random.below(9));
    for (std::uint64_t& hash : rows.logit_hashes) hash = random.next();
    return rows;
}

RetiredPart random_retired(Random& random) {
    RetiredPart part;
    part.key = random_key(random);
    part.kind = static_cast<PartKind>(random.below(2));
    for (auto n = random.below(5); n > 0; --n) part.sampled.push_back(random_sampled(random));
    part.stage_times = random_times(random);
    part.faults = random_faults(random);
    return part;
}

TokenFeedback random_feedback(Random& random) {
    TokenFeedback feedback;
    feedback.key = random_key(random);
    for (auto n = random.below(5); n > 0; --n) {
        feedback.accepted.push_back({SequenceId(random.next()), random_int(random, 0, 1 << 24),
                                     random_tokens(random, 1 + random.below(4))});
    }
    return feedback;
}

LinkProbe random_probe(Random& random) {
    LinkProbe probe;
    probe.from = NodeId(static_cast<std::uint32_t>(random.next()));
    probe.to = NodeId(static_cast<std::uint32_t>(random.next()));
    probe.reached = random.below(2) == 1;
    probe.bytes_per_s = random.uniform() * 1e9;
    probe.delay_us = random_int(random, 0, 1 << 30);
    probe.jitter_us = random_int(random, 0, 1 << 30);
    return probe;
}

std::uint32_t random_stage(Random& random) {
    return static_cast<std::uint32_t>(random.below(256));
}

LinkReport random_report(Random& random) {
    LinkReport report;
    report.sent_bytes = random.next();
    report.lane_sent_bytes = {random.next(), 2, 3};
    report.lane_queue_us = {1, random_int(random, 0, 1 << 30)};
    report.bytes_per_s = random.uniform() * 1e9;
    report.delay_us = random_int(random, 0, 1 << 30);
    return report;
}

Heartbeat random_heartbeat(Random& random) {
    Heartbeat heartbeat{random.next(), {}, {}};
    const std::uint64_t reports = random.below(4);
    for (std::uint64_t i = 0; i < reports; ++i) {
        heartbeat.next_links.push_back(
            {random_epoch(random), random_stage(random), random_report(random)});
        heartbeat.stages.push_back({random_epoch(random), random_stage(random), random.next(),
                                    random.next(), random_int(random, 0, 1 << 30)});
    }
    return heartbeat;
}

NodeId random_node(Random& random) {
    return NodeId(static_cast<std::uint32_t>(random.next()));
}

/// Functions that make each message, in the order of the variant.
constexpr Message (*kMakers[])(Random&) = {
    [](Random& random) -> Message { return random_hello(random); },
    [](Random& random) -> Message {
        return Welcome{random_node(random), random_text(random),
                       static_cast<std::uint16_t>(random.next())};
    },
    [](Random& random) -> Message {
        return Refuse{random_code(random), random_text(random)};
    },
    [](Random& random) -> Message { return random_assign(random); },
    [](Random& random) -> Message {
        return LoadProgress{random_epoch(random), random_stage(random), random.below(1ull << 50),
                            random.below(1ull << 50)};
    },
    [](Random& random) -> Message {
        StageLoaded loaded{random_epoch(random),
                           random_stage(random),
                           random.below(1ull << 50),
                           random.next(),
                           {}};
        loaded.tensors.resize(random.below(5));
        for (LoadedTensor& tensor : loaded.tensors) {
            tensor.name = random_text(random);
            if (random.below(2) == 0) {
                tensor.begin = static_cast<std::int64_t>(random.below(1000));
                tensor.end = tensor.begin + 1 + static_cast<std::int64_t>(random.below(1000));
            }
            tensor.hash = {random.next(), random.next()};
        }
        return loaded;
    },
    [](Random& random) -> Message {
        return StageStart{random_epoch(random), random_stage(random),
                          random.below((1ull << 32) + 1)};
    },
    [](Random& random) -> Message {
        return StageReady{random_epoch(random), random_stage(random)};
    },
    [](Random& random) -> Message {
        return PeerHello{random_epoch(random), random_node(random), random_stage(random)};
    },
    [](Random& random) -> Message {
        return StageFailed{random_epoch(random), random_stage(random), random_code(random),
                           random_text(random), random.below(2) == 1};
    },
    [](Random& random) -> Message { return random_heartbeat(random); },
    [](Random& random) -> Message {
        return ProbeLink{random_node(random), random_text(random, 4096), random.below(2) == 1,
                         random_node_key(random)};
    },
    [](Random& random) -> Message { return ProbeHello{random_node(random)}; },
    [](Random& random) -> Message { return random_probe(random); },
    [](Random& random) -> Message { return random_plan(random); },
    [](Random& random) -> Message { return random_forwarded(random); },
    [](Random& random) -> Message { return random_returned(random); },
    [](Random& random) -> Message { return random_retired(random); },
    [](Random& random) -> Message { return random_feedback(random); },
    [](Random& random) -> Message {
        return Enrol{*random_node_key(random, true), random_text(random)};
    },
    [](Random&) -> Message { return Enrolled{}; },
    [](Random& random) -> Message { return EndEpoch{random_epoch(random)}; },
};
static_assert(std::size(kMakers) == kMessageKinds);

}  // namespace

Message random_message(std::size_t kind, Random& random) {
    return kMakers[kind](random);
}

}  // namespace molink::test
