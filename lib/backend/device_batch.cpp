// The record of a part. Arrays have fixed places, sized for the largest part, so that addresses on
// the device never change. The block ids come last, so that the copy can end where they end. Relies
// on its owner to wait before it writes the record again.
#include "backend/device_batch.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/error.h"

namespace molink {
namespace {

constexpr std::size_t kAlignment = 64;

template <typename T>
std::size_t array_bytes(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
}

/// Cuts a record into arrays.
class Cutter {
public:
    explicit Cutter(void* record) : at_(static_cast<std::byte*>(record)) {}
    template <typename T>
    T* next(std::int64_t count) {
        T* array = reinterpret_cast<T*>(at_);
        at_ += array_bytes<T>(count);
        return array;
    }

private:
    std::byte* at_;
};

}  // namespace

std::size_t DeviceBatch::bytes(const Bounds& bounds) {
    return 4 * array_bytes<std::int32_t>(bounds.rows) +
           array_bytes<std::int64_t>(bounds.sequences + 1) +
           array_bytes<std::uint32_t>(bounds.blocks);
}

DeviceBatch::Arrays DeviceBatch::arrays_at(void* record, const Bounds& bounds) {
    Cutter cutter(record);
    Arrays arrays;
    arrays.positions = cutter.next<std::int32_t>(bounds.rows);
    arrays.sequence_of_row = cutter.next<std::int32_t>(bounds.rows);
    arrays.tokens = cutter.next<std::int32_t>(bounds.rows);
    arrays.wanted = cutter.next<std::int32_t>(bounds.rows);
    arrays.block_offsets = cutter.next<std::int64_t>(bounds.sequences + 1);
    arrays.block_ids = cutter.next<std::uint32_t>(bounds.blocks);
    return arrays;
}

Result<DeviceBatch> DeviceBatch::make(Backend& backend, const Bounds& bounds) {
    DeviceBatch batch;
    batch.bounds_ = bounds;
    MOLINK_ASSIGN_OR_RETURN(batch.record_, backend.allocate_host(bytes(bounds)));
    MOLINK_ASSIGN_OR_RETURN(batch.copy_, backend.allocate(bytes(bounds)));
    batch.host_ = arrays_at(batch.record_->data(), bounds);
    batch.device_ = arrays_at(batch.copy_->data(), bounds);
    batch.args_.positions = batch.device_.positions;
    batch.args_.sequence_of_row = batch.device_.sequence_of_row;
    batch.args_.block_offsets = batch.device_.block_offsets;
    batch.args_.block_ids = batch.device_.block_ids;
    batch.clear();
    return batch;
}

void DeviceBatch::clear() {
    args_.rows = args_.sequences = args_.longest = 0;
    wanted_count_ = 0;
    host_.block_offsets[0] = 0;
}

void DeviceBatch::add_sequence(std::span<const std::uint32_t> blocks) {
    const std::int64_t begin = host_.block_offsets[args_.sequences];
    const std::int64_t end = begin + static_cast<std::int64_t>(blocks.size());
    assert(args_.sequences < bounds_.sequences && end <= bounds_.blocks);
    std::copy(blocks.begin(), blocks.end(), host_.block_ids + begin);
    host_.block_offsets[++args_.sequences] = end;
}

void DeviceBatch::add_row(std::int32_t position, std::int32_t token) {
    assert(args_.rows < bounds_.rows && args_.sequences > 0);
    host_.positions[args_.rows] = position;
    host_.sequence_of_row[args_.rows] = static_cast<std::int32_t>(args_.sequences - 1);
    host_.tokens[args_.rows] = token;
    args_.longest = std::max<std::int64_t>(args_.longest, std::int64_t{position} + 1);
    ++args_.rows;
}

void DeviceBatch::add_wanted(std::int32_t row) {
    assert(wanted_count_ < bounds_.rows);
    host_.wanted[wanted_count_++] = row;
}

void DeviceBatch::upload(Stream& stream) {
    const std::uint32_t* end = host_.block_ids + host_.block_offsets[args_.sequences];
    const auto* begin = static_cast<const std::byte*>(record_->data());
    stream.upload(copy_->data(), begin,
                  static_cast<std::size_t>(reinterpret_cast<const std::byte*>(end) - begin));
}

}  // namespace molink
