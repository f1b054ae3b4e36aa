// Random valid messages, and the promise of decode_message written down a second time: both sides
// of the codec's tests rest on this file, so it names the numbers of the limits by itself.
#include "message_samples.h"

#include <cmath>

#include "base/limits.h"
#include "tensor/dtype.h"
#include "wire/activation_codec.h"

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
    hello.weight_mode = static_cast<DataType>(random.below(5));
    hello.kv_type = static_cast<DataType>(random.below(5));
    hello.block_tokens = random_int(random, 0, 4096);
    hello.memory_bytes = random.below((1ull << 50) + 1);
    hello.memory_own = random.below(2) == 1;
    if (random.below(4) != 0) hello.layers = random_layers(random);
    hello.profile.decode_layer_us = random.uniform() * 1e6;
    hello.profile.prefill_row_layer_us = random.uniform() * 1e6;
    hello.profile.head_row_us = random.uniform() * 1e6;
    hello.profile.threads = random_int(random, 0, 65536);
    if (random.below(2) == 1) hello.profile.decode_row_layer_us = random.uniform() * 1e6;
    return hello;
}

Assign random_assign(Random& random) {
    Assign assign;
    assign.epoch = Epoch(static_cast<std::uint32_t>(random.next()));
    assign.stage_count = random_int(random, 1, 256);
    assign.stage_index = random_int(random, 0, assign.stage_count - 1);
    assign.layers = random_layers(random);
    assign.has_embedding = random.below(2) == 1;
    assign.has_head = random.below(2) == 1;
    assign.next_address = random_text(random);
    assign.activation_type = random_activation_type(random);
    assign.max_rows = random_int(random, 0, 65536);
    assign.max_sequences = random_int(random, 0, 1024);
    assign.max_context = random_int(random, 0, 1 << 24);
    assign.memory_bytes = random.below((1ull << 50) + 1);
    assign.max_kv_blocks = random.next();
    assign.direct_feedback = random.below(2) == 1;
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

SequenceRun random_run(Random& random) {
    SequenceRun run;
    run.id = SequenceId(random.next());
    run.count = random_int(random, 1, 9);
    run.position = random_int(random, 0, (1 << 24) - run.count);
    if (random.below(4) != 0)
        run.tokens = random_tokens(random, static_cast<std::size_t>(run.count));
    run.new_blocks.resize(random.below(4));
    for (BlockId& block : run.new_blocks)
        block = BlockId(static_cast<std::uint32_t>(random.next()));
    run.sample_count = random_int(random, 0, run.count);
    return run;
}

Part random_part(Random& random) {
    Part part;
    part.epoch = Epoch(static_cast<std::uint32_t>(random.next()));
    part.step = StepId(random.next());
    part.id = PartId(random.next());
    part.kind = static_cast<PartKind>(random.below(2));
    for (auto n = random.below(4); n > 0; --n) part.opens.push_back(random_open(random));
    for (auto n = random.below(6); n > 0; --n) part.runs.push_back(random_run(random));
    part.releases.resize(random.below(4));
    for (SequenceId& id : part.releases) id = SequenceId(random.next());
    part.stage_times = random_times(random);
    part.activation_type = random_activation_type(random);
    if (random.below(3) == 0) part.head_rows = random_int(random, 0, part.row_count());
    if (part.head_rows > 0 || random.below(4) != 0) {
        const std::int32_t rows = part.returns() ? part.head_rows : part.row_count();
        const std::size_t column =
            static_cast<std::size_t>(rows) * data_type_bytes(part.activation_type);
        part.activations.resize(column * (random.below(20) + (part.returns() ? 1 : 0)));
        for (std::byte& byte : part.activations) byte = static_cast<std::byte>(random.next());
    }
    return part;
}

Retire random_retire(Random& random) {
    Retire retire;
    retire.epoch = Epoch(static_cast<std::uint32_t>(random.next()));
    retire.step = StepId(random.next());
    retire.part = PartId(random.next());
    for (auto n = random.below(5); n > 0; --n) {
        SampledRun run;
        run.id = SequenceId(random.next());
        run.position = random_int(random, 0, 1 << 24);
        run.tokens = random_tokens(random, random.below(5));
        for (auto count = random.below(3); count > 0; --count) {
            TokenLogprobs logprobs;
            logprobs.logprob = static_cast<float>(-random.uniform() * 30);
            logprobs.top.resize(random.below(4));
            for (TokenLogprob& top : logprobs.top) {
                top = {random_int(random, 0, 99), static_cast<float>(-random.uniform())};
            }
            run.logprobs.push_back(std::move(logprobs));
        }
        run.logit_hashes.resize(random.below(9));
        for (std::uint64_t& hash : run.logit_hashes) hash = random.next();
        retire.sampled.push_back(std::move(run));
    }
    retire.stage_times = random_times(random);
    return retire;
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

Message random_small(std::size_t kind, Random& random) {
    const Epoch epoch(static_cast<std::uint32_t>(random.next()));
    switch (kind) {
        case 1:
            return Welcome{NodeId(static_cast<std::uint32_t>(random.next())), random_text(random),
                           static_cast<std::uint16_t>(random.next())};
        case 2: return Refuse{random_code(random), random_text(random)};
        case 4: return LoadProgress{epoch, random.below(1ull << 50), random.below(1ull << 50)};
        case 5: return StageLoaded{epoch, random.below(1ull << 50), random.next()};
        case 6: return StageStart{epoch, random.below((1ull << 32) + 1)};
        case 7: return StageReady{epoch};
        case 8:
            return PeerHello{epoch, NodeId(static_cast<std::uint32_t>(random.next())),
                             random_int(random, 0, 255)};
        case 9: return StageFailed{epoch, random_code(random), random_text(random)};
        case 13:
            return ProbeLink{NodeId(static_cast<std::uint32_t>(random.next())),
                             random_text(random, 4096), random.below(2) == 1};
        case 14: return ProbeHello{NodeId(static_cast<std::uint32_t>(random.next()))};
        case 15: return random_probe(random);
        default: {
            Heartbeat heartbeat{random.next(), {}};
            if (random.below(2) == 0) return heartbeat;
            LinkReport& report = heartbeat.next_link.emplace();
            report.sent_bytes = random.next();
            report.lane_sent_bytes = {random.next(), 2, 3};
            report.lane_queue_us = {1, random_int(random, 0, 1 << 30)};
            report.bytes_per_s = random.uniform() * 1e9;
            report.delay_us = random_int(random, 0, 1 << 30);
            return heartbeat;
        }
    }
}

bool in(std::int64_t value, std::int64_t low, std::int64_t high) {
    return value >= low && value <= high;
}
bool valid(const std::string& text) {
    return text.size() <= 4096;
}
bool valid(double time) {
    return std::isfinite(time) && time >= 0;
}
bool valid(LayerRange layers) {
    return in(layers.begin, 0, 1024) && in(layers.end, layers.begin, 1024);
}
bool valid(StatusCode code) {
    return in(static_cast<int>(code), 1, 10);
}
bool valid(const std::vector<Token>& tokens) {
    for (const Token token : tokens) {
        if (!in(token, 0, (1 << 22) - 1)) return false;
    }
    return true;
}
bool valid(const Hello& m) {
    return valid(m.release) && valid(m.node_name) && valid(m.advertise) && valid(m.host_id) &&
           in(m.model_layers, 0, 1024) && static_cast<int>(m.weight_mode) <= 4 &&
           static_cast<int>(m.kv_type) <= 4 && in(m.block_tokens, 0, 4096) &&
           m.memory_bytes <= 1ull << 50 && (!m.layers || valid(*m.layers)) &&
           valid(m.profile.decode_layer_us) && valid(m.profile.prefill_row_layer_us) &&
           valid(m.profile.head_row_us) && in(m.profile.threads, 0, 65536) &&
           valid(m.profile.decode_row_layer_us);
}
bool valid(const Welcome& m) {
    return valid(m.head_name);
}
bool valid(const Refuse& m) {
    return valid(m.code) && valid(m.reason);
}
bool valid(const Assign& m) {
    return in(m.stage_count, 1, 256) && in(m.stage_index, 0, m.stage_count - 1) &&
           valid(m.layers) && valid(m.next_address) && is_activation_type(m.activation_type) &&
           in(m.max_rows, 0, 65536) && in(m.max_sequences, 0, 1024) &&
           in(m.max_context, 0, 1 << 24) && m.memory_bytes <= 1ull << 50;
}
bool valid(const LoadProgress& m) {
    return m.done_bytes <= 1ull << 50 && m.total_bytes <= 1ull << 50;
}
bool valid(const StageLoaded& m) {
    return m.weight_bytes <= 1ull << 50;
}
bool valid(const StageStart& m) {
    return m.kv_blocks <= 1ull << 32;
}
bool valid(const StageReady&) {
    return true;
}
bool valid(const PeerHello& m) {
    return in(m.stage_index, 0, 255);
}
bool valid(const StageFailed& m) {
    return valid(m.code) && valid(m.reason);
}
bool valid(const Heartbeat& m) {
    if (!m.next_link) return true;
    const LinkReport& report = *m.next_link;
    return report.lane_sent_bytes.size() <= kLaneCount && report.bytes_per_s >= 0;
}
bool valid(const ProbeLink& m) {
    return valid(m.address);
}
bool valid(const ProbeHello&) {
    return true;
}
bool valid(const LinkProbe& m) {
    constexpr std::int64_t kMost = std::int64_t{1} << 50;
    return valid(m.bytes_per_s) && in(m.delay_us, 0, kMost) && in(m.jitter_us, 0, kMost);
}
bool valid(const SequenceRun& run) {
    return in(run.count, 1, 65536) && in(run.position, 0, (1 << 24) - run.count) &&
           (run.tokens.empty() || run.tokens.size() == static_cast<std::size_t>(run.count)) &&
           valid(run.tokens) && in(run.sample_count, 0, run.count);
}
bool valid(const Part& m) {
    std::int64_t rows = 0;
    for (const SequenceRun& run : m.runs) {
        if (!valid(run)) return false;
        rows += run.count;
    }
    for (const SequenceOpen& open : m.opens) {
        const SamplingParams& sampling = open.sampling;
        if (!valid(open.prompt) || !valid(sampling.temperature) || sampling.temperature > 100) {
            return false;
        }
        if (!in(sampling.top_k, 0, 1 << 22) || !in(open.logprobs, -1, 20)) return false;
        if (!(sampling.top_p >= 0 && sampling.top_p <= 1)) return false;
        if (!in(open.prompt_count, 0, static_cast<std::int64_t>(open.prompt.size()))) return false;
    }
    if (static_cast<int>(m.kind) > 1 || !is_activation_type(m.activation_type)) return false;
    if (rows > 65536 || m.stage_times.size() > 256) return false;
    if (!in(m.head_rows, -1, rows)) return false;
    if (m.activations.empty()) return m.head_rows <= 0;
    const std::int64_t sent = m.returns() ? m.head_rows : rows;
    const auto column = static_cast<std::size_t>(sent) * data_type_bytes(m.activation_type);
    return column != 0 && m.activations.size() % column == 0;
}
bool valid(const Retire& m) {
    for (const SampledRun& run : m.sampled) {
        if (!in(run.position, 0, 1 << 24) || !valid(run.tokens)) return false;
    }
    return m.stage_times.size() <= 256;
}

}  // namespace

Message random_message(std::size_t kind, Random& random) {
    switch (kind) {
        case 0: return random_hello(random);
        case 3: return random_assign(random);
        case 11: return random_part(random);
        case 12: return random_retire(random);
        default: return random_small(kind, random);
    }
}

bool within_bounds(const Message& message) {
    return std::visit([](const auto& value) { return valid(value); }, message);
}

}  // namespace molink::test
