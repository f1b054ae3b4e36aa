// A second statement of the bounds that decode_message promises, for the tests of the codec. It has
// its own numbers for the limits: a limit that changes by accident must not change both.
// Every alternative of Message has one function.
#include <algorithm>
#include <cmath>

#include "message_samples.h"
#include "tensor/activation_codec.h"
#include "tensor/dtype.h"

namespace molink::test {
namespace {

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
bool valid(const NodeProfile& profile) {
    return valid(profile.decode_layer_us) && valid(profile.prefill_row_layer_us) &&
           valid(profile.lm_head_row_us) && in(profile.threads, 0, 65536) &&
           valid(profile.decode_row_layer_us) && profile.compute_share >= 0 &&
           profile.compute_share <= 1;
}
bool valid(const NodeDevice& device) {
    return valid(device.name) && valid(device.memory_domain) && device.memory_bytes <= 1ull << 50 &&
           valid(device.profile);
}
bool valid(const Hello& m) {
    return valid(m.release) && valid(m.node_name) && valid(m.advertise) && valid(m.host_id) &&
           in(m.model_layers, 0, 1024) && static_cast<int>(m.weight_type) <= 4 &&
           static_cast<int>(m.kv_type) <= 4 && in(m.block_tokens, 0, 4096) &&
           (!m.layers || valid(*m.layers)) && m.devices.size() <= 16 &&
           std::all_of(m.devices.begin(), m.devices.end(),
                       [](const NodeDevice& device) { return valid(device); });
}
bool valid(const Welcome& m) {
    return valid(m.head_name);
}
bool valid(const Refuse& m) {
    return valid(m.code) && valid(m.reason);
}
bool valid(const Assign& m) {
    std::int32_t layer = 0;
    for (const RingStage& stage : m.ring.stages()) {
        if (!valid(stage.address) || stage.layers.begin != layer || stage.layers.empty()) {
            return false;
        }
        layer = stage.layers.end;
    }
    return in(static_cast<std::int64_t>(m.ring.size()), 1, 256) && layer <= 1024 &&
           m.stage_index < m.ring.size() && is_activation_type(m.activation_type) &&
           in(m.max_rows, 0, 65536) && in(m.max_sequences, 0, 1024) &&
           in(m.max_context, 0, 1 << 24) && m.memory_bytes <= 1ull << 50;
}
bool valid(const LoadProgress& m) {
    return m.stage_index <= 255 && m.done_bytes <= 1ull << 50 && m.total_bytes <= 1ull << 50;
}
bool valid(const StageLoaded& m) {
    for (const LoadedTensor& tensor : m.tensors) {
        const bool whole = tensor.begin == 0 && tensor.end == 0;
        const bool some = tensor.begin >= 0 && tensor.begin < tensor.end && tensor.end <= 1 << 22;
        if (!valid(tensor.name) || (!whole && !some)) return false;
    }
    return m.stage_index <= 255 && m.weight_bytes <= 1ull << 50 && m.tensors.size() <= 1 << 17;
}
bool valid(const StageStart& m) {
    return m.stage_index <= 255 && m.kv_blocks <= 1ull << 32;
}
bool valid(const StageReady& m) {
    return m.stage_index <= 255;
}
bool valid(const PeerHello& m) {
    return m.stage_index <= 255;
}
bool valid(const StageFailed& m) {
    return m.stage_index <= 255 && valid(m.code) && valid(m.reason);
}
bool valid(const Heartbeat& m) {
    const bool stages = std::all_of(m.stages.begin(), m.stages.end(), [](const auto& stage) {
        return stage.stage_index <= 255 && stage.held_us >= 0;
    });
    return stages && m.stages.size() <= 16 && m.next_links.size() <= 16 &&
           std::all_of(m.next_links.begin(), m.next_links.end(), [](const auto& report) {
               return report.stage_index <= 255 &&
                      report.link.lane_sent_bytes.size() <= kLaneCount &&
                      report.link.bytes_per_s >= 0;
           });
}
bool valid(const ProbeLink& m) {
    return valid(m.address);
}
bool valid(const Enrol& m) {
    return valid(m.node_name);
}
bool valid(const Enrolled&) {
    return true;
}
bool valid(const EndEpoch&) {
    return true;
}
bool valid(const ProbeHello&) {
    return true;
}
bool valid(const LinkProbe& m) {
    constexpr std::int64_t kMost = std::int64_t{1} << 50;
    return valid(m.bytes_per_s) && in(m.delay_us, 0, kMost) && in(m.jitter_us, 0, kMost);
}
bool valid(const SequenceOpen& open) {
    const SamplingParams& sampling = open.sampling;
    return valid(open.prompt) && valid(sampling.temperature) && sampling.temperature <= 100 &&
           in(sampling.top_k, 0, 1 << 22) && in(open.logprobs, -1, 20) && sampling.top_p >= 0 &&
           sampling.top_p <= 1 &&
           in(open.prompt_count, 0, static_cast<std::int64_t>(open.prompt.size()));
}
bool valid(const DecodeRows& rows) {
    return (!rows.token || in(*rows.token, 0, (1 << 22) - 1)) && rows.drafts.size() <= 64 &&
           valid(rows.drafts);
}
bool valid(const PrefillRows& rows) {
    return in(rows.rows, 1, 65536);
}
bool valid(const RowSpan& span) {
    return in(span.count, 1, 65536) && in(span.position, 0, (1 << 24) - span.count) &&
           in(span.sampled, 0, span.count);
}
bool valid(const PartPlan& m) {
    for (const SequenceOpen& open : m.opens) {
        if (!valid(open)) return false;
    }
    bool rows_valid = true;
    for_each_sequence(m.rows, [&](const auto& rows) {
        rows_valid = rows_valid && valid(rows) && valid(span_of(rows));
    });
    return rows_valid && in(m.row_count(), 1, 65536);
}
bool valid(const ActivationRows& m) {
    if (!is_activation_type(m.type)) return false;
    if (!in(m.exact_values, 0, m.type == DataType::int8 ? 64 : 0)) return false;
    if (m.type != DataType::f16 && !m.bf16_rows.empty()) return false;
    for (std::size_t i = 0; i < m.bf16_rows.size(); ++i) {
        if (!in(m.bf16_rows[i], i == 0 ? 0 : m.bf16_rows[i - 1] + std::int64_t{1}, m.rows - 1)) {
            return false;
        }
    }
    const auto column = static_cast<std::size_t>(m.rows) * data_type_bytes(m.type);
    return column == 0 ? m.bytes.empty() : !m.bytes.empty() && m.bytes.size() % column == 0;
}
bool valid(const std::vector<RowFault>& faults) {
    return faults.size() <= 4096 &&
           std::all_of(faults.begin(), faults.end(), [](const RowFault& fault) {
               return in(fault.position, 0, (1 << 24) - 1) && fault.stage <= 255 &&
                      static_cast<int>(fault.kind) <= 2;
           });
}
bool valid(const ForwardedPart& m) {
    if (const auto* decode = std::get_if<std::vector<DecodeRows>>(&m.plan.rows)) {
        for (const DecodeRows& rows : *decode) {
            if (!rows.token) return false;
        }
    }
    return valid(m.plan) && valid(m.activations) && m.activations.rows == m.plan.row_count() &&
           m.stage_times.size() <= 256 && valid(m.faults);
}
bool valid(const ReturnedPart& m) {
    std::int64_t rows = 0;
    for (const RowSpan& span : m.spans) {
        if (!valid(span)) return false;
        rows += span.count;
    }
    return in(rows, 1, 65536) && in(m.activations.rows, 0, rows) && valid(m.activations) &&
           static_cast<int>(m.kind) <= 1 && m.stage_times.size() <= 256 && valid(m.faults);
}
bool valid(const RetiredPart& m) {
    for (const SampledRows& rows : m.sampled) {
        if (!in(rows.position, 0, 1 << 24) || !valid(rows.tokens)) return false;
    }
    return static_cast<int>(m.kind) <= 1 && m.stage_times.size() <= 256 && valid(m.faults);
}
bool valid(const TokenFeedback& m) {
    for (const AcceptedTokens& accepted : m.accepted) {
        if (accepted.tokens.empty() || accepted.tokens.size() > 65) return false;
        if (!in(accepted.position, 0, 1 << 24) || !valid(accepted.tokens)) return false;
    }
    return true;
}

}  // namespace

bool within_bounds(const Message& message) {
    return std::visit([](const auto& value) { return valid(value); }, message);
}

}  // namespace molink::test
