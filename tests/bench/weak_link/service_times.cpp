// Measures the service times of stages. A stage with half of the model's layers is loaded as a
// worker loads it, because fewer layers would stay in the caches and seem too fast. The time of the
// LM head is the additional time of a stage that has it. Times are CPU times of the thread, so that
// they are service times on a busy machine, too. Sequences have the context of the middle of a
// short run.
#include "service_times.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bench_machine.h"
#include "loader/config_file.h"
#include "model/arch_table.h"
#include "stage/model_work.h"

namespace molink::bench {
namespace {

constexpr PipelineEpoch kEpoch{PipelineId(0), Epoch(1)};
constexpr std::int32_t kContext = 64;
constexpr std::int32_t kBlockTokens = 16;
constexpr std::int32_t kLargestSlice = 512;
constexpr std::int32_t kMaxContext = 1024;
constexpr std::int32_t kSequences = 32;
constexpr std::int64_t kMemory = std::int64_t{6} << 30;
constexpr int kDecodeRepeats = 11;
constexpr int kSliceRepeats = 3;
constexpr std::array<std::int32_t, 4> kContendingRows{1, 4, 8, kSequences};
constexpr int kContendingRepeats = 3;
constexpr int kContendingRounds = 15;
constexpr int kMostContending = 4;

template <typename T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error("service times: " + result.status().to_string());
    return std::move(result).value();
}

/// Returns the CPU time of this thread, which other load on the machine does not change.
double cpu_us() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

/// A stage that runs parts on the caller's thread.
class Stage {
public:
    Stage(const std::string& model_dir, std::int32_t layers, bool lm_head) {
        ModelWorkOptions options;
        options.model_dir = model_dir;
        options.weights = WeightFormat::q8_0;
        options.block_tokens = kBlockTokens;
        options.threads = 1;
        work_ = must(make_model_work(options));
        StageConfig config;
        config.epoch = kEpoch;
        // Without the LM head the stage is the first of two.
        config.ring = RingShape(lm_head ? 1 : 2, false, false);
        config.layers = {0, layers};
        config.max_rows = kLargestSlice;
        config.max_sequences = 2 * kSequences;
        config.max_context = kMaxContext;
        config.memory_bytes = kMemory;
        config.max_kv_blocks = 2 * kSequences * kMaxContext / kBlockTokens;
        const auto loaded =
            must(work_->load(config, [](std::uint64_t, std::uint64_t) { return true; }));
        const Status started = work_->start(loaded.kv_block_capacity);
        if (!started.ok()) throw std::runtime_error(started.message());
    }

    /// Opens a sequence with a slice of `rows` rows. Returns the time of the part.
    double open_us(std::int32_t rows) {
        PartPlan part;
        SequenceOpen open;
        open.id = SequenceId(lengths_.size());
        open.prompt.assign(static_cast<std::size_t>(rows), Token{5});
        open.prompt_count = rows;
        open.sampling.seed = 1;
        open.sampling.temperature = 0;
        part.opens.push_back(std::move(open));
        lengths_.push_back(0);
        PrefillRows prompt;
        prompt.sequence = SequenceId(lengths_.size() - 1);
        prompt.rows = rows;
        prompt.ends_prompt = true;
        prompt.new_blocks = grow(lengths_.size() - 1, rows);
        part.rows = std::vector<PrefillRows>{std::move(prompt)};
        return run_us(std::move(part));
    }

    /// Decodes a row of each of the first `rows` sequences. Returns the time of the part.
    double decode_us(std::int32_t rows) {
        std::vector<DecodeRows> decode;
        for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
            DecodeRows row;
            row.sequence = SequenceId(i);
            row.position = lengths_[i];
            row.token = Token{7};
            row.new_blocks = grow(i, 1);
            decode.push_back(std::move(row));
        }
        PartPlan part;
        part.rows = std::move(decode);
        return run_us(std::move(part));
    }

private:
    /// Adds rows to the length of a sequence. Returns the blocks that they need.
    std::vector<BlockId> grow(std::size_t index, std::int32_t rows) {
        std::vector<BlockId> new_blocks;
        for (std::int32_t at = lengths_[index]; at < lengths_[index] + rows; ++at) {
            if (at % kBlockTokens == 0) new_blocks.push_back(BlockId(next_block_++));
        }
        lengths_[index] += rows;
        return new_blocks;
    }

    double run_us(PartPlan part) {
        part.key.epoch = kEpoch;
        part.key.id = PartId(next_part_++);
        const double begin_us = cpu_us();
        const Status begun = work_->begin(std::move(part));
        if (!begun.ok()) throw std::runtime_error(begun.message());
        must(work_->finish());
        return cpu_us() - begin_us;
    }

    std::unique_ptr<StageWork> work_;
    std::vector<std::int32_t> lengths_;  // [sequences]
    std::uint32_t next_block_ = 0;
    std::uint64_t next_part_ = 1;
};

/// Times of whole parts.
struct Times {
    std::vector<ProfilePoint> decode;
    std::vector<ProfilePoint> prefill;
};

/// Measures stages in turn, so that a busy moment affects all of them.
std::vector<Times> measure(std::span<Stage* const> stages) {
    std::vector<Times> times(stages.size());
    const auto repeat = [&](int count, const auto& run) {
        std::vector<std::vector<double>> parts(stages.size());
        for (int i = 0; i < count; ++i) {
            for (std::size_t s = 0; s < stages.size(); ++s) parts[s].push_back(run(*stages[s]));
        }
        std::vector<double> medians;
        for (const std::vector<double>& each : parts) medians.push_back(median(each));
        return medians;
    };
    const auto open = [&](int count, std::int32_t rows) {
        return repeat(count, [&](Stage& stage) { return stage.open_us(rows); });
    };
    open(1, kContext);  // warms pages and caches
    const std::vector<double> slices = open(kSequences - 1, kContext);
    for (std::int32_t rows : {1, 2, 4, 8, 16, kSequences}) {
        const auto parts =
            repeat(kDecodeRepeats, [&](Stage& stage) { return stage.decode_us(rows); });
        for (std::size_t s = 0; s < stages.size(); ++s) {
            times[s].decode.push_back({static_cast<double>(rows), parts[s]});
        }
    }
    for (std::int32_t rows : {16, kContext, kLargestSlice}) {
        const auto parts = rows == kContext ? slices : open(kSliceRepeats, rows);
        for (std::size_t s = 0; s < stages.size(); ++s) {
            times[s].prefill.push_back({static_cast<double>(rows), parts[s]});
        }
    }
    return times;
}

}  // namespace

DeviceProfile timed_device(const TimedProfile& profile) {
    DeviceProfile device;
    device.name = "timed";
    for (double rows : {1.0, 2.0}) {
        device.decode.push_back(
            {rows, profile.decode_layer_us + rows * profile.decode_row_layer_us});
        device.prefill.push_back(
            {rows, profile.prefill_layer_us + rows * profile.prefill_row_layer_us});
        device.lm_head.push_back({rows, profile.lm_head_us + rows * profile.lm_head_row_us});
    }
    return device;
}

DeviceProfile measure_device(const std::string& model_dir) {
    const std::int32_t layers = std::max(read_spec(model_dir).layers / 2, 1);
    DeviceProfile device;
    device.name = "measured";
    Stage middle(model_dir, layers, false);
    Stage end(model_dir, layers, true);
    const std::array<Stage*, 2> stages{&middle, &end};
    const std::vector<Times> times = measure(stages);
    const Times& plain = times[0];
    const Times& last = times[1];
    for (std::size_t i = 0; i < plain.decode.size(); ++i) {
        const double rows = plain.decode[i].rows;
        device.decode.push_back({rows, plain.decode[i].us / layers});
        device.lm_head.push_back({rows, std::max(last.decode[i].us - plain.decode[i].us, 0.0)});
    }
    for (const ProfilePoint& slice : plain.prefill) {
        device.prefill.push_back({slice.rows, slice.us / layers});
    }
    return device;
}

std::vector<Slowdown> measure_contention(const std::string& model_dir, int cores) {
    const std::int32_t layers = std::max(read_spec(model_dir).layers / 2, 1);
    std::vector<std::unique_ptr<Stage>> stages;
    for (int i = 0; i < std::min(cores, kMostContending); ++i) {
        stages.push_back(std::make_unique<Stage>(model_dir, layers, false));
        for (std::int32_t s = 0; s < kSequences; ++s) stages.back()->open_us(kContext);
    }
    const auto run = [](Stage& stage, std::int32_t rows) {
        std::vector<double> times;
        for (int i = 0; i < kContendingRepeats; ++i) times.push_back(stage.decode_us(rows));
        return median(times);
    };
    const auto run_together = [&](std::int32_t rows) {
        std::vector<double> times(stages.size());
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < stages.size(); ++i) {
            threads.emplace_back([&, i] { times[i] = run(*stages[i], rows); });
        }
        for (std::thread& thread : threads) thread.join();
        return median(times);
    };
    std::vector<Slowdown> slowdowns;
    for (const std::int32_t rows : kContendingRows) {
        run_together(rows);  // warms pages and caches
        std::vector<double> ratios;
        for (int i = 0; i < kContendingRounds; ++i) {
            const double alone = run(*stages[0], rows);
            ratios.push_back(run_together(rows) / alone);
        }
        slowdowns.push_back({static_cast<double>(rows), std::max(median(ratios), 1.0)});
    }
    return slowdowns;
}

ModelSpec read_spec(const std::string& model_dir) {
    const ConfigFile config = must(ConfigFile::load(model_dir));
    return must(describe_model(config)).spec;
}

}  // namespace molink::bench
