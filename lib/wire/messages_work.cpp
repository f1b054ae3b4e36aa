// Messages for parts and their retirement. They are sent in every step and have most of the bytes.
// Activations are copied once on each side, and only their size is checked. All values that are
// used as indices (rows, positions, counts) are bounded here, so that a stage can rely on them.
#include "tensor/activation_codec.h"
#include "tensor/dtype.h"
#include "tensor/int8_rows.h"
#include "wire/generated.h"
#include "wire/wire_codec.h"

namespace molink {
namespace {

template <typename T>
using Tables = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<T>>>;

/// Writes each element with `write_one` and then their list. An empty list is not written.
template <typename Table, typename T, typename WriteOne>
Tables<Table> write_tables(Builder& builder, const std::vector<T>& values, WriteOne write_one) {
    if (values.empty()) return 0;
    std::vector<flatbuffers::Offset<Table>> offsets;
    offsets.reserve(values.size());
    for (const T& value : values) offsets.push_back(write_one(builder, value));
    return builder.CreateVector(offsets);
}

/// Reads each element with `read_one`. The reader has the list's name and index for errors.
template <typename T, typename Vector, typename ReadOne>
std::vector<T> read_tables(WireReader& reader, const char* name, const Vector* from,
                           std::size_t most, ReadOne read_one) {
    std::vector<T> out(reader.length(name, from, most, kTableBytes));
    for (std::size_t i = 0; i < out.size() && reader.ok(); ++i) {
        reader.enter(name, i);
        read_one(reader, *from->Get(static_cast<flatbuffers::uoffset_t>(i)), out[i]);
        reader.leave();
    }
    return out;
}

flatbuffers::Offset<wire::SequenceOpen> write_open(Builder& builder, const SequenceOpen& open) {
    const SamplingParams& sampling = open.sampling;
    std::vector<Token> bias_tokens;
    std::vector<float> bias_values;
    for (const LogitBias& bias : sampling.logit_bias) {
        bias_tokens.push_back(bias.token);
        bias_values.push_back(bias.bias);
    }
    const auto prompt = write_list<std::int32_t>(builder, open.prompt);
    const auto biased = write_list<std::int32_t>(builder, bias_tokens);
    const auto biases = write_reals(builder, bias_values);
    const auto stops = write_list<std::int32_t>(builder, open.stop_tokens);
    const bool whole = open.prompt_count == static_cast<std::int32_t>(open.prompt.size());
    wire::SequenceOpenBuilder out(builder);
    out.add_id(open.id.value);
    out.add_prompt(prompt);
    out.add_temperature(sampling.temperature);
    out.add_seed(sampling.seed.value_or(0));
    out.add_hash_logits(open.hash_logits);
    out.add_prompt_count(whole ? 0 : open.prompt_count);
    out.add_top_k(sampling.top_k);
    out.add_top_p(sampling.top_p);
    out.add_min_p(sampling.min_p);
    out.add_repetition_penalty(sampling.repetition_penalty);
    out.add_presence_penalty(sampling.presence_penalty);
    out.add_frequency_penalty(sampling.frequency_penalty);
    out.add_bias_tokens(biased);
    out.add_biases(biases);
    out.add_min_tokens(open.min_tokens);
    out.add_stop_tokens(stops);
    out.add_logprob_count(open.logprobs + 1);
    return out.Finish();
}

void read_bias(WireReader& reader, const wire::SequenceOpen& from, SamplingParams& to) {
    const std::vector<Token> tokens = reader.tokens(from.bias_tokens(), limits::kMaxLogitBiases);
    const std::vector<float> biases =
        reader.reals("biases", from.biases(), limits::kMaxLogitBiases, limits::kMaxLogitBias);
    if (tokens.size() != biases.size()) {
        reader.fail("biases", fmt::format("has {} entries for {} biased tokens", biases.size(),
                                          tokens.size()));
        return;
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) to.logit_bias.push_back({tokens[i], biases[i]});
}

void read_sampling(WireReader& reader, const wire::SequenceOpen& from, SamplingParams& to) {
    to.temperature =
        static_cast<float>(reader.real("temperature", from.temperature(), limits::kMaxTemperature));
    to.seed = from.seed();
    to.top_k = reader.integer("top_k", from.top_k(), 0, limits::kMaxVocabulary);
    to.top_p = static_cast<float>(reader.real("top_p", from.top_p(), 1));
    to.min_p = static_cast<float>(reader.real("min_p", from.min_p(), 1));
    to.repetition_penalty = static_cast<float>(
        reader.real("repetition_penalty", from.repetition_penalty(), limits::kMaxPenalty));
    to.presence_penalty = static_cast<float>(
        reader.signed_real("presence_penalty", from.presence_penalty(), limits::kMaxPenalty));
    to.frequency_penalty = static_cast<float>(
        reader.signed_real("frequency_penalty", from.frequency_penalty(), limits::kMaxPenalty));
    read_bias(reader, from, to);
}

void read_open(WireReader& reader, const wire::SequenceOpen& from, SequenceOpen& to) {
    to.id = SequenceId(from.id());
    to.prompt = reader.tokens(from.prompt(), limits::kMaxContext);
    const auto known = static_cast<std::int32_t>(to.prompt.size());
    to.prompt_count = reader.integer("prompt_count", from.prompt_count(), 0, known);
    if (to.prompt_count == 0) to.prompt_count = known;
    read_sampling(reader, from, to.sampling);
    to.min_tokens = reader.integer("min_tokens", from.min_tokens(), 0, limits::kMaxContext);
    to.stop_tokens = reader.tokens(from.stop_tokens(), limits::kMaxStopTokens);
    to.logprobs =
        reader.integer("logprob_count", from.logprob_count(), 0, limits::kMaxLogprobs + 1) - 1;
    to.hash_logits = from.hash_logits();
}

flatbuffers::Offset<wire::DecodeRows> write_decode(Builder& builder, const DecodeRows& rows) {
    const auto drafts = write_list<std::int32_t>(builder, rows.drafts);
    const auto new_blocks = write_list<std::uint32_t>(builder, rows.new_blocks);
    wire::DecodeRowsBuilder out(builder);
    out.add_sequence(rows.sequence.value);
    out.add_position(rows.position);
    out.add_token(rows.token ? *rows.token + 1 : 0);
    out.add_drafts(drafts);
    out.add_new_blocks(new_blocks);
    return out.Finish();
}

void read_decode(WireReader& reader, const wire::DecodeRows& from, DecodeRows& to) {
    to.sequence = SequenceId(from.sequence());
    const std::int32_t token = reader.integer("token", from.token(), 0, limits::kMaxVocabulary);
    if (token > 0) to.token = token - 1;
    to.drafts = reader.tokens(from.drafts(), limits::kMaxDrafts);
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext - to.count());
    to.new_blocks = reader.list<BlockId>("new_blocks", from.new_blocks(), limits::kMaxContext);
}

flatbuffers::Offset<wire::PrefillRows> write_prefill(Builder& builder, const PrefillRows& rows) {
    const auto new_blocks = write_list<std::uint32_t>(builder, rows.new_blocks);
    return wire::CreatePrefillRows(builder, rows.sequence.value, rows.position, rows.rows,
                                   rows.ends_prompt, new_blocks);
}

void read_prefill(WireReader& reader, const wire::PrefillRows& from, PrefillRows& to) {
    to.sequence = SequenceId(from.sequence());
    to.rows = reader.integer("rows", from.rows(), 1, limits::kMaxPartRows);
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext - to.rows);
    to.ends_prompt = from.ends_prompt();
    to.new_blocks = reader.list<BlockId>("new_blocks", from.new_blocks(), limits::kMaxContext);
}

flatbuffers::Offset<wire::RowSpan> write_span(Builder& builder, const RowSpan& span) {
    return wire::CreateRowSpan(builder, span.sequence.value, span.position, span.count,
                               span.sampled);
}

void read_span(WireReader& reader, const wire::RowSpan& from, RowSpan& to) {
    to.sequence = SequenceId(from.sequence());
    to.count = reader.integer("count", from.count(), 1, limits::kMaxPartRows);
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext - to.count);
    to.sampled = reader.integer("sampled", from.sampled(), 0, to.count);
}

flatbuffers::Offset<wire::StageTime> write_time(Builder& builder, const StageTime& time) {
    return wire::CreateStageTime(builder, time.compute_us, time.wait_us);
}

void read_time(WireReader&, const wire::StageTime& from, StageTime& to) {
    to.compute_us = from.compute_us();
    to.wait_us = from.wait_us();
}

flatbuffers::Offset<wire::TokenLogprobs> write_logprobs(Builder& builder,
                                                        const TokenLogprobs& logprobs) {
    std::vector<Token> tokens;
    std::vector<float> values;
    for (const TokenLogprob& top : logprobs.top) {
        tokens.push_back(top.token);
        values.push_back(top.logprob);
    }
    const auto top_tokens = write_list<std::int32_t>(builder, tokens);
    const auto top_values = write_reals(builder, values);
    return wire::CreateTokenLogprobs(builder, logprobs.logprob, top_tokens, top_values);
}

void read_logprobs(WireReader& reader, const wire::TokenLogprobs& from, TokenLogprobs& to) {
    to.logprob = reader.logarithm("logprob", from.logprob());
    const std::vector<Token> tokens = reader.tokens(from.top_tokens(), limits::kMaxLogprobs);
    const std::vector<float> values =
        reader.logarithms("top_logprobs", from.top_logprobs(), limits::kMaxLogprobs);
    if (tokens.size() != values.size()) {
        reader.fail("top_logprobs",
                    fmt::format("has {} entries for {} tokens", values.size(), tokens.size()));
        return;
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) to.top.push_back({tokens[i], values[i]});
}

flatbuffers::Offset<wire::SampledRows> write_sampled(Builder& builder, const SampledRows& rows) {
    const auto tokens = write_list<std::int32_t>(builder, rows.tokens);
    const auto hashes = write_list<std::uint64_t>(builder, rows.logit_hashes);
    const auto logprobs = write_tables<wire::TokenLogprobs>(builder, rows.logprobs, write_logprobs);
    return wire::CreateSampledRows(builder, rows.sequence.value, rows.position, tokens, hashes,
                                   logprobs);
}

void read_sampled(WireReader& reader, const wire::SampledRows& from, SampledRows& to) {
    to.sequence = SequenceId(from.sequence());
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext);
    to.tokens = reader.tokens(from.tokens(), limits::kMaxPartRows);
    to.logit_hashes =
        reader.list<std::uint64_t>("logit_hashes", from.logit_hashes(), limits::kMaxPartRows);
    to.logprobs = read_tables<TokenLogprobs>(reader, "logprobs", from.logprobs(),
                                             limits::kMaxPartRows, read_logprobs);
}

flatbuffers::Offset<wire::AcceptedTokens> write_accepted(Builder& builder,
                                                         const AcceptedTokens& accepted) {
    const auto tokens = write_list<std::int32_t>(builder, accepted.tokens);
    return wire::CreateAcceptedTokens(builder, accepted.sequence.value, accepted.position, tokens);
}

void read_accepted(WireReader& reader, const wire::AcceptedTokens& from, AcceptedTokens& to) {
    to.sequence = SequenceId(from.sequence());
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext);
    to.tokens = reader.tokens(from.tokens(), limits::kMaxDrafts + 1);
    if (to.tokens.empty()) reader.fail("tokens", "has no entries; at least 1 is needed");
}

flatbuffers::Offset<wire::PartKey> write_key(Builder& builder, const PartKey& key) {
    const auto epoch = write_epoch(builder, key.epoch);
    return wire::CreatePartKey(builder, epoch, key.step.value, key.id.value);
}

PartKey read_key(const wire::PartKey* from) {
    if (from == nullptr) return {};
    return {read_epoch(from->epoch()), StepId(from->step()), PartId(from->part())};
}

flatbuffers::Offset<wire::RowFault> write_fault(Builder& builder, const RowFault& fault) {
    return wire::CreateRowFault(builder, fault.sequence.value, fault.position,
                                static_cast<std::int32_t>(fault.stage),
                                static_cast<wire::RowFaultKind>(fault.kind));
}

void read_fault(WireReader& reader, const wire::RowFault& from, RowFault& to) {
    to.sequence = SequenceId(from.sequence());
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext - 1);
    to.stage = static_cast<std::uint32_t>(
        reader.integer("stage", from.stage(), 0, static_cast<std::int64_t>(limits::kMaxNodes) - 1));
    to.kind = reader.enumerator("kind", from.kind(), RowFaultKind::logits);
}

Tables<wire::RowFault> write_faults(Builder& builder, const std::vector<RowFault>& faults) {
    return write_tables<wire::RowFault>(builder, faults, write_fault);
}

template <typename Vector>
std::vector<RowFault> read_faults(WireReader& reader, const Vector* from) {
    return read_tables<RowFault>(reader, "faults", from, limits::kMaxPartSequences, read_fault);
}

using TimeTables = Tables<wire::StageTime>;

TimeTables write_times(Builder& builder, const std::vector<StageTime>& times) {
    return write_tables<wire::StageTime>(builder, times, write_time);
}

template <typename Vector>
std::vector<StageTime> read_times(WireReader& reader, const Vector* from) {
    return read_tables<StageTime>(reader, "stage_times", from, limits::kMaxNodes, read_time);
}

flatbuffers::Offset<wire::ActivationRows> write_activations(Builder& builder,
                                                            const ActivationRows& rows) {
    flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> bytes;
    if (!rows.bytes.empty()) {
        bytes = builder.CreateVector(reinterpret_cast<const std::uint8_t*>(rows.bytes.data()),
                                     rows.bytes.size());
    }
    const auto bf16_rows = write_list<std::uint32_t>(builder, rows.bf16_rows);
    return wire::CreateActivationRows(builder, static_cast<wire::DataType>(rows.type), rows.rows,
                                      bytes, rows.exact_values, bf16_rows);
}

/// Reads what is special about the rows of a type.
void read_format(WireReader& reader, const wire::ActivationRows& from, ActivationRows& to) {
    const std::int32_t exact = to.type == DataType::int8 ? kMostExactValues : 0;
    to.exact_values = reader.integer("activations.exact_values", from.exact_values(), 0, exact);
    to.bf16_rows = reader.list<std::uint32_t>(
        "bf16_rows", from.bf16_rows(),
        to.type == DataType::f16 ? static_cast<std::size_t>(to.rows) : 0);
    std::int64_t least = 0;
    for (const std::uint32_t row : to.bf16_rows) {
        reader.integer("activations.bf16_rows", std::int64_t{row}, least, to.rows - 1);
        least = std::int64_t{row} + 1;
    }
}

/// Reads [rows, hidden] values of their type, for any hidden size that a model may have.
void read_activations(WireReader& reader, const wire::ActivationRows* from, std::int64_t most_rows,
                      ActivationRows& to) {
    if (from == nullptr) return;
    to.type = reader.activation_type(static_cast<std::uint8_t>(from->type()));
    to.rows = reader.integer("activations.rows", from->rows(), 0, most_rows);
    read_format(reader, *from, to);
    const std::size_t bytes =
        reader.length("activations", from->bytes(), limits::kMaxMessageBytes, 1);
    const auto rows = static_cast<std::size_t>(to.rows);
    const std::size_t column_bytes = rows * data_type_bytes(to.type);
    if (column_bytes == 0 && bytes == 0) return;
    const std::size_t largest_row =
        activation_bytes({to.type, to.exact_values}, 1, limits::kMaxHidden);
    if (column_bytes == 0 || bytes == 0 || bytes % column_bytes != 0 ||
        bytes / rows > largest_row) {
        reader.fail("activations", fmt::format("has {} bytes, which cannot be {} rows of {}", bytes,
                                               to.rows, data_type_name(to.type)));
        return;
    }
    const auto* first = reinterpret_cast<const std::byte*>(from->bytes()->data());
    to.bytes.assign(first, first + bytes);
}

void check_row_count(WireReader& reader, std::int64_t rows) {
    reader.integer("row count", rows, 1, limits::kMaxPartRows);
}

}  // namespace

flatbuffers::Offset<wire::PartPlan> write(Builder& builder, const PartPlan& message) {
    const auto key = write_key(builder, message.key);
    const auto opens = write_tables<wire::SequenceOpen>(builder, message.opens, write_open);
    Tables<wire::DecodeRows> decode;
    Tables<wire::PrefillRows> prefill;
    if (const auto* rows = std::get_if<std::vector<DecodeRows>>(&message.rows)) {
        decode = write_tables<wire::DecodeRows>(builder, *rows, write_decode);
    } else {
        const auto& prompts = std::get<std::vector<PrefillRows>>(message.rows);
        prefill = write_tables<wire::PrefillRows>(builder, prompts, write_prefill);
    }
    const auto releases = write_list<std::uint64_t>(builder, message.releases);
    return wire::CreatePartPlan(builder, key, static_cast<wire::PartKind>(message.kind()), opens,
                                decode, prefill, releases);
}

void read(WireReader& reader, const wire::PartPlan& from, PartPlan& to) {
    to.key = read_key(from.key());
    to.opens = read_tables<SequenceOpen>(reader, "opens", from.opens(), limits::kMaxPartSequences,
                                         read_open);
    if (reader.enumerator("kind", from.kind(), PartKind::prefill) == PartKind::decode) {
        to.rows = read_tables<DecodeRows>(reader, "decode", from.decode(),
                                          limits::kMaxPartSequences, read_decode);
    } else {
        to.rows = read_tables<PrefillRows>(reader, "prefill", from.prefill(),
                                           limits::kMaxPartSequences, read_prefill);
    }
    std::int64_t rows = 0;
    for_each_sequence(to.rows, [&](const auto& item) { rows += item.count(); });
    check_row_count(reader, rows);
    to.releases = reader.list<SequenceId>("releases", from.releases(), limits::kMaxPartSequences);
}

flatbuffers::Offset<wire::ForwardedPart> write(Builder& builder, const ForwardedPart& message) {
    const auto plan = write(builder, message.plan);
    const auto activations = write_activations(builder, message.activations);
    const auto times = write_times(builder, message.stage_times);
    const auto faults = write_faults(builder, message.faults);
    return wire::CreateForwardedPart(builder, plan, activations, times, faults);
}

void read(WireReader& reader, const wire::ForwardedPart& from, ForwardedPart& to) {
    if (from.plan() == nullptr) {
        reader.fail("plan", "is missing");
        return;
    }
    read(reader, *from.plan(), to.plan);
    if (!reader.ok()) return;
    const std::int32_t rows = to.plan.row_count();
    read_activations(reader, from.activations(), rows, to.activations);
    reader.integer("activations.rows", to.activations.rows, rows, rows);
    if (const auto* decode = std::get_if<std::vector<DecodeRows>>(&to.plan.rows)) {
        for (const DecodeRows& item : *decode) {
            if (!item.token) reader.fail("plan", "has decode rows without a token");
        }
    }
    to.stage_times = read_times(reader, from.stage_times());
    to.faults = read_faults(reader, from.faults());
}

flatbuffers::Offset<wire::ReturnedPart> write(Builder& builder, const ReturnedPart& message) {
    const auto key = write_key(builder, message.key);
    const auto spans = write_tables<wire::RowSpan>(builder, message.spans, write_span);
    const auto activations = write_activations(builder, message.activations);
    const auto times = write_times(builder, message.stage_times);
    const auto faults = write_faults(builder, message.faults);
    return wire::CreateReturnedPart(builder, key, static_cast<wire::PartKind>(message.kind), spans,
                                    activations, times, faults);
}

void read(WireReader& reader, const wire::ReturnedPart& from, ReturnedPart& to) {
    to.key = read_key(from.key());
    to.kind = reader.enumerator("kind", from.kind(), PartKind::prefill);
    to.spans =
        read_tables<RowSpan>(reader, "spans", from.spans(), limits::kMaxPartSequences, read_span);
    std::int64_t rows = 0;
    for (const RowSpan& span : to.spans) rows += span.count;
    check_row_count(reader, rows);
    read_activations(reader, from.activations(), rows, to.activations);
    to.stage_times = read_times(reader, from.stage_times());
    to.faults = read_faults(reader, from.faults());
}

flatbuffers::Offset<wire::RetiredPart> write(Builder& builder, const RetiredPart& message) {
    const auto key = write_key(builder, message.key);
    const auto sampled = write_tables<wire::SampledRows>(builder, message.sampled, write_sampled);
    const auto times = write_times(builder, message.stage_times);
    const auto faults = write_faults(builder, message.faults);
    return wire::CreateRetiredPart(builder, key, static_cast<wire::PartKind>(message.kind), sampled,
                                   times, faults);
}

void read(WireReader& reader, const wire::RetiredPart& from, RetiredPart& to) {
    to.key = read_key(from.key());
    to.kind = reader.enumerator("kind", from.kind(), PartKind::prefill);
    to.sampled = read_tables<SampledRows>(reader, "sampled", from.sampled(),
                                          limits::kMaxPartSequences, read_sampled);
    to.stage_times = read_times(reader, from.stage_times());
    to.faults = read_faults(reader, from.faults());
}

flatbuffers::Offset<wire::TokenFeedback> write(Builder& builder, const TokenFeedback& message) {
    const auto key = write_key(builder, message.key);
    const auto accepted =
        write_tables<wire::AcceptedTokens>(builder, message.accepted, write_accepted);
    return wire::CreateTokenFeedback(builder, key, accepted);
}

void read(WireReader& reader, const wire::TokenFeedback& from, TokenFeedback& to) {
    to.key = read_key(from.key());
    to.accepted = read_tables<AcceptedTokens>(reader, "accepted", from.accepted(),
                                              limits::kMaxPartSequences, read_accepted);
}

}  // namespace molink
