// Parts and their retirement: the messages of every step, where the bytes are. Activations are
// copied once on each side and looked at by size only; everything that indexes something (rows,
// positions, counts) is bounded here, so that a stage can use it without a second look.
#include "tensor/dtype.h"
#include "wire/generated.h"
#include "wire/wire_codec.h"

namespace molink {
namespace {

template <typename T>
using Tables = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<T>>>;

/// Writes each element with `write_one` and then the list of them; an empty list is left out.
template <typename Table, typename T, typename WriteOne>
Tables<Table> write_tables(Builder& builder, const std::vector<T>& values, WriteOne write_one) {
    if (values.empty()) return 0;
    std::vector<flatbuffers::Offset<Table>> offsets;
    offsets.reserve(values.size());
    for (const T& value : values) offsets.push_back(write_one(builder, value));
    return builder.CreateVector(offsets);
}

/// Reads each element with `read_one`, which sees the list's name and index in the reader.
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
        reader.fail("biases", fmt::format("has {} entries, {} tokens are biased", biases.size(),
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

flatbuffers::Offset<wire::SequenceRun> write_run(Builder& builder, const SequenceRun& run) {
    const auto tokens = write_list<std::int32_t>(builder, run.tokens);
    const auto new_blocks = write_list<std::uint32_t>(builder, run.new_blocks);
    wire::SequenceRunBuilder out(builder);
    out.add_id(run.id.value);
    out.add_position(run.position);
    out.add_count(run.count);
    out.add_tokens(tokens);
    out.add_new_blocks(new_blocks);
    out.add_sample_count(run.sample_count);
    return out.Finish();
}

void read_run(WireReader& reader, const wire::SequenceRun& from, SequenceRun& to) {
    to.id = SequenceId(from.id());
    to.count = reader.integer("count", from.count(), 1, limits::kMaxPartRows);
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext - to.count);
    to.tokens = reader.tokens(from.tokens(), limits::kMaxPartRows);
    if (!to.tokens.empty() && to.tokens.size() != static_cast<std::size_t>(to.count)) {
        reader.fail("tokens", fmt::format("has {} entries, must be 0 or the run's count {}",
                                          to.tokens.size(), to.count));
    }
    to.new_blocks = reader.list<BlockId>("new_blocks", from.new_blocks(), limits::kMaxContext);
    to.sample_count = reader.integer("sample_count", from.sample_count(), 0, to.count);
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

flatbuffers::Offset<wire::SampledRun> write_sampled(Builder& builder, const SampledRun& run) {
    const auto tokens = write_list<std::int32_t>(builder, run.tokens);
    const auto hashes = write_list<std::uint64_t>(builder, run.logit_hashes);
    const auto logprobs = write_tables<wire::TokenLogprobs>(builder, run.logprobs, write_logprobs);
    return wire::CreateSampledRun(builder, run.id.value, run.position, tokens, hashes, logprobs);
}

void read_sampled(WireReader& reader, const wire::SampledRun& from, SampledRun& to) {
    to.id = SequenceId(from.id());
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext);
    to.tokens = reader.tokens(from.tokens(), limits::kMaxPartRows);
    to.logit_hashes =
        reader.list<std::uint64_t>("logit_hashes", from.logit_hashes(), limits::kMaxPartRows);
    to.logprobs = read_tables<TokenLogprobs>(reader, "logprobs", from.logprobs(),
                                             limits::kMaxPartRows, read_logprobs);
}

std::int64_t count_rows(const std::vector<SequenceRun>& runs) {
    std::int64_t rows = 0;
    for (const SequenceRun& run : runs) rows += run.count;
    return rows;
}

/// [rows, hidden] of the part's type, for some hidden size that a model can have. A part without
/// any is on its way to the first stage, unless it returns and the LM head wants rows.
void read_activations(WireReader& reader, const flatbuffers::Vector<std::uint8_t>* from, Part& to) {
    const std::size_t bytes = reader.length("activations", from, limits::kMaxMessageBytes, 1);
    if (bytes == 0 && to.head_rows <= 0) return;
    const auto rows = static_cast<std::size_t>(to.returns() ? to.head_rows : count_rows(to.runs));
    const std::size_t column_bytes = rows * data_type_bytes(to.activation_type);
    if (column_bytes == 0 || bytes == 0 || bytes % column_bytes != 0 ||
        bytes / column_bytes > static_cast<std::size_t>(limits::kMaxHidden)) {
        reader.fail("activations", fmt::format("has {} bytes, not a multiple of {} rows of {}",
                                               bytes, rows, data_type_name(to.activation_type)));
        return;
    }
    const auto* first = reinterpret_cast<const std::byte*>(from->data());
    to.activations.assign(first, first + bytes);
}

}  // namespace

std::int32_t Part::row_count() const {
    return static_cast<std::int32_t>(count_rows(runs));
}

flatbuffers::Offset<wire::Part> write(Builder& builder, const Part& message) {
    const auto opens = write_tables<wire::SequenceOpen>(builder, message.opens, write_open);
    const auto runs = write_tables<wire::SequenceRun>(builder, message.runs, write_run);
    const auto releases = write_list<std::uint64_t>(builder, message.releases);
    const auto times = write_tables<wire::StageTime>(builder, message.stage_times, write_time);
    flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> activations;
    if (!message.activations.empty()) {
        activations =
            builder.CreateVector(reinterpret_cast<const std::uint8_t*>(message.activations.data()),
                                 message.activations.size());
    }
    wire::PartBuilder part(builder);
    part.add_epoch(message.epoch.value);
    part.add_step(message.step.value);
    part.add_id(message.id.value);
    part.add_kind(static_cast<wire::PartKind>(message.kind));
    part.add_opens(opens);
    part.add_runs(runs);
    part.add_releases(releases);
    part.add_stage_times(times);
    part.add_activation_type(static_cast<wire::DataType>(message.activation_type));
    part.add_activations(activations);
    part.add_head_row_count(message.head_rows + 1);
    return part.Finish();
}

void read(WireReader& reader, const wire::Part& from, Part& to) {
    to.epoch = Epoch(from.epoch());
    to.step = StepId(from.step());
    to.id = PartId(from.id());
    to.kind = reader.enumerator("kind", from.kind(), PartKind::prefill);
    to.opens = read_tables<SequenceOpen>(reader, "opens", from.opens(), limits::kMaxPartSequences,
                                         read_open);
    to.runs =
        read_tables<SequenceRun>(reader, "runs", from.runs(), limits::kMaxPartSequences, read_run);
    const std::int64_t rows =
        reader.integer("row count", count_rows(to.runs), 0, limits::kMaxPartRows);
    to.releases = reader.list<SequenceId>("releases", from.releases(), limits::kMaxPartSequences);
    to.stage_times = read_tables<StageTime>(reader, "stage_times", from.stage_times(),
                                            limits::kMaxNodes, read_time);
    to.activation_type = reader.activation_type(static_cast<std::uint8_t>(from.activation_type()));
    to.head_rows = reader.integer("head_row_count", from.head_row_count(), 0, rows + 1) - 1;
    read_activations(reader, from.activations(), to);
}

flatbuffers::Offset<wire::Retire> write(Builder& builder, const Retire& message) {
    const auto sampled = write_tables<wire::SampledRun>(builder, message.sampled, write_sampled);
    const auto times = write_tables<wire::StageTime>(builder, message.stage_times, write_time);
    return wire::CreateRetire(builder, message.epoch.value, message.step.value, message.part.value,
                              sampled, times);
}

void read(WireReader& reader, const wire::Retire& from, Retire& to) {
    to.epoch = Epoch(from.epoch());
    to.step = StepId(from.step());
    to.part = PartId(from.part());
    to.sampled = read_tables<SampledRun>(reader, "sampled", from.sampled(),
                                         limits::kMaxPartSequences, read_sampled);
    to.stage_times = read_tables<StageTime>(reader, "stage_times", from.stage_times(),
                                            limits::kMaxNodes, read_time);
}

}  // namespace molink
