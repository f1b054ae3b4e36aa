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
    const auto prompt = write_list<std::int32_t>(builder, open.prompt);
    return wire::CreateSequenceOpen(builder, open.id.value, prompt, open.temperature, open.seed,
                                    open.hash_logits);
}

void read_open(WireReader& reader, const wire::SequenceOpen& from, SequenceOpen& to) {
    to.id = SequenceId(from.id());
    to.prompt = reader.tokens(from.prompt(), limits::kMaxContext);
    to.temperature =
        static_cast<float>(reader.real("temperature", from.temperature(), limits::kMaxTemperature));
    to.seed = from.seed();
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

flatbuffers::Offset<wire::SampledRun> write_sampled(Builder& builder, const SampledRun& run) {
    const auto tokens = write_list<std::int32_t>(builder, run.tokens);
    const auto hashes = write_list<std::uint64_t>(builder, run.logit_hashes);
    return wire::CreateSampledRun(builder, run.id.value, run.position, tokens, hashes);
}

void read_sampled(WireReader& reader, const wire::SampledRun& from, SampledRun& to) {
    to.id = SequenceId(from.id());
    to.position = reader.integer("position", from.position(), 0, limits::kMaxContext);
    to.tokens = reader.tokens(from.tokens(), limits::kMaxPartRows);
    to.logit_hashes =
        reader.list<std::uint64_t>("logit_hashes", from.logit_hashes(), limits::kMaxPartRows);
}

std::int64_t count_rows(const std::vector<SequenceRun>& runs) {
    std::int64_t rows = 0;
    for (const SequenceRun& run : runs) rows += run.count;
    return rows;
}

/// [rows, hidden] of the part's type, for some hidden size that a model can have.
void read_activations(WireReader& reader, const flatbuffers::Vector<std::uint8_t>* from, Part& to) {
    const std::size_t bytes = reader.length("activations", from, limits::kMaxMessageBytes, 1);
    if (bytes == 0) return;
    const auto rows = static_cast<std::size_t>(count_rows(to.runs));
    const std::size_t column_bytes = rows * data_type_bytes(to.activation_type);
    if (column_bytes == 0 || bytes % column_bytes != 0 ||
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
    reader.integer("row count", count_rows(to.runs), 0, limits::kMaxPartRows);
    to.releases = reader.list<SequenceId>("releases", from.releases(), limits::kMaxPartSequences);
    to.stage_times = read_tables<StageTime>(reader, "stage_times", from.stage_times(),
                                            limits::kMaxNodes, read_time);
    to.activation_type =
        reader.enumerator("activation_type", from.activation_type(), DataType::bf16);
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
