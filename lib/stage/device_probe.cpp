// What a node tells about its machine. Profiles are measured, not looked up: the
// same processor is twice as fast or slow with other memory, other neighbours,
// another power plan.
#include "stage/device_probe.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace molink {
namespace {

constexpr std::int32_t kSliceRows = 64;
constexpr std::int32_t kDecodeRows = 16;
/// A slope that noise makes flat is still a measured one.
constexpr double kLeastRowUs = 0.001;
constexpr std::int32_t kBlockTokens = 64;
constexpr std::int64_t kBudgetUs = 300'000;
/// Weights that no cache holds: a stage reads each of its layers once per part, and a layer that is
/// run again and again would look faster than that.
constexpr std::uint64_t kColdBytes = std::uint64_t{96} << 20;

/// Time of run() when little else runs, from 3 to 15 repetitions: their lower quartile. Nodes are
/// profiled while they start, often several on one machine, and a plan made from what they took
/// from each other would stay.
template <typename Run>
double quiet_us(const Clock& clock, const Run& run) {
    run();  // pages and caches
    std::vector<double> times;
    const std::int64_t begin = clock.now_us();
    while (times.size() < 3 || (times.size() < 15 && clock.now_us() - begin < kBudgetUs)) {
        const std::int64_t before = clock.now_us();
        run();
        times.push_back(static_cast<double>(clock.now_us() - before));
    }
    const auto quartile = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
    std::nth_element(times.begin(), quartile, times.end());
    return std::max(*quartile, 1.0);
}

std::int64_t read_number(const char* path, std::int64_t missing) {
    std::ifstream file(path);
    std::int64_t value = 0;
    return file >> value ? value : missing;
}

}  // namespace

Result<NodeProfile> probe_node(Backend& backend, const Checkpoint& checkpoint,
                               const Described& described, WeightStorage storage,
                               const Clock& clock) {
    const ModelSpec& spec = described.spec;
    const std::uint64_t layer_bytes =
        part_weight_bytes(backend, spec, {{0, 1}, false, false}, storage);
    const std::uint64_t cold = (kColdBytes + layer_bytes - 1) / layer_bytes;
    const auto layers = static_cast<std::int32_t>(
        std::min<std::uint64_t>(cold, static_cast<std::uint64_t>(spec.layers)));
    const ModelPart part{{0, layers}, false, false};
    const std::int32_t rows = std::min(kSliceRows, spec.context);
    MOLINK_ASSIGN_OR_RETURN(
        auto model, Model::load(backend, checkpoint, described, part, storage, {rows, rows}));
    KvPages pages;
    pages.block_tokens = kBlockTokens;
    pages.kv_heads = spec.attention.kv_heads;
    pages.head_dim = spec.attention.head_dim;
    const std::size_t block =
        backend.kv_block_bytes(kBlockTokens, pages.kv_heads, pages.head_dim, pages.type);
    pages.block_bytes = static_cast<std::int64_t>(block);
    MOLINK_ASSIGN_OR_RETURN(auto page, backend.allocate(block));
    pages.base = page->data();
    const auto width = static_cast<std::size_t>(spec.hidden);
    MOLINK_ASSIGN_OR_RETURN(
        auto hidden, backend.allocate(static_cast<std::size_t>(rows) * width * sizeof(float)));
    const std::vector<float> ones(static_cast<std::size_t>(rows) * width, 1.0f);
    std::vector<std::int32_t> positions(static_cast<std::size_t>(rows));
    for (std::int32_t i = 0; i < rows; ++i) positions[static_cast<std::size_t>(i)] = i;
    const std::vector<std::int32_t> sequence(positions.size(), 0);
    const std::vector<KvPages> all_pages(static_cast<std::size_t>(layers), pages);  // one for all
    const std::int64_t offsets[2] = {0, 1};
    const std::uint32_t blocks[1] = {0};
    const auto run = [&](std::int64_t count) {
        backend.copy_to_device(hidden->data(), ones.data(), ones.size() * sizeof(float));
        const BatchArgs batch{positions.data(), sequence.data(), offsets, blocks, count, 1};
        model->run_layers(batch, all_pages, static_cast<float*>(hidden->data()));
    };
    // Rows of as many sequences; they may share a block, since each has a position of its own.
    std::vector<std::int64_t> own_offsets(positions.size() + 1);
    std::iota(own_offsets.begin(), own_offsets.end(), 0);
    const std::vector<std::uint32_t> shared(positions.size(), 0);
    const auto run_decode = [&](std::int64_t count) {
        backend.copy_to_device(hidden->data(), ones.data(), ones.size() * sizeof(float));
        const BatchArgs batch{
            positions.data(), positions.data(), own_offsets.data(), shared.data(), count, count};
        model->run_layers(batch, all_pages, static_cast<float*>(hidden->data()));
    };
    NodeProfile profile;
    profile.prefill_row_layer_us = quiet_us(clock, [&] { run(rows); }) / layers / rows;
    profile.decode_layer_us = quiet_us(clock, [&] { run(1); }) / layers;
    if (const std::int32_t batch = std::min(kDecodeRows, rows); batch > 1) {
        const double batch_us = quiet_us(clock, [&] { run_decode(batch); }) / layers;
        profile.decode_row_layer_us =
            std::max((batch_us - profile.decode_layer_us) / (batch - 1), kLeastRowUs);
    }
    const ModelPart head{{0, 0}, false, true};
    profile.lm_head_row_us = profile.decode_layer_us *
                             static_cast<double>(part_weight_bytes(backend, spec, head, storage)) /
                             static_cast<double>(layer_bytes);
    return profile;
}

std::int64_t available_memory_bytes() {
    std::int64_t available = std::numeric_limits<std::int64_t>::max();
    std::ifstream info("/proc/meminfo");
    std::string key;
    std::int64_t kib = 0;
    std::string unit;
    while (info >> key >> kib) {
        if (key == "MemAvailable:") {
            available = kib * 1024;
            break;
        }
        std::getline(info, unit);
    }
    const std::int64_t limit = read_number("/sys/fs/cgroup/memory.max", -1);
    const std::int64_t used = read_number("/sys/fs/cgroup/memory.current", 0);
    if (limit >= 0) available = std::min(available, std::max<std::int64_t>(limit - used, 0));
    return available == std::numeric_limits<std::int64_t>::max() ? std::int64_t{1} << 30
                                                                 : available;
}

std::string host_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    if (!(file >> id)) id = "unknown";
    return id;
}

}  // namespace molink
