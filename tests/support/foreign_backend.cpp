// The foreign device: the ops of the CPU on memory that the host cannot see. A call is queued with
// its arguments. Its addresses are translated into the device's own when the call runs.
#include "support/foreign_backend.h"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include <molink/clock.h>

#include "backend/registry.h"
#include "base/error.h"
#include "support/foreign_memory.h"
#include "support/foreign_queue.h"

namespace molink::test {
namespace {

/// Ranges of host memory that may be copied from and to.
class PinnedRanges {
public:
    void add(const void* begin, std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        ranges_[static_cast<const std::byte*>(begin)] = bytes;
    }
    void remove(const void* begin) {
        const std::lock_guard lock(mutex_);
        ranges_.erase(static_cast<const std::byte*>(begin));
    }
    bool contains(const void* address, std::size_t bytes) const {
        const std::lock_guard lock(mutex_);
        const auto* const at = static_cast<const std::byte*>(address);
        auto range = ranges_.upper_bound(at);
        if (range == ranges_.begin()) return false;
        --range;
        return at + bytes <= range->first + range->second;
    }

private:
    mutable std::mutex mutex_;
    std::map<const std::byte*, std::size_t> ranges_;
};

/// The state that streams and buffers of a device share.
struct ForeignDevice {
    explicit ForeignDevice(const ForeignOptions& chosen)
        : options(chosen),
          label(chosen.name + ":" + chosen.device),
          memory(chosen.memory_bytes),
          worker(chosen.lag) {}

    const ForeignOptions options;
    const std::string label;
    ForeignMemory memory;
    PinnedRanges pinned;
    std::atomic<int> failing_calls{0};
    ForeignWorker worker;  // last: ends first
};

class ForeignBuffer final : public DeviceBuffer {
public:
    ForeignBuffer(ForeignDevice& device, void* address, std::size_t bytes)
        : device_(device), address_(address), bytes_(bytes) {}
    ~ForeignBuffer() override { device_.memory.free(address_); }
    void* data() override { return address_; }
    std::size_t bytes() const override { return bytes_; }

private:
    ForeignDevice& device_;
    void* address_;
    std::size_t bytes_;
};

class ForeignPinned final : public PinnedBuffer {
public:
    ForeignPinned(ForeignDevice& device, std::unique_ptr<PinnedBuffer> inner)
        : device_(device), inner_(std::move(inner)) {
        std::memset(inner_->data(), 0xff, inner_->bytes());
        device_.pinned.add(inner_->data(), inner_->bytes());
    }
    ~ForeignPinned() override { device_.pinned.remove(inner_->data()); }
    void* data() override { return inner_->data(); }
    std::size_t bytes() const override { return inner_->bytes(); }

private:
    ForeignDevice& device_;
    std::unique_ptr<PinnedBuffer> inner_;
};

class ForeignMatrix final : public PackedMatrix {
public:
    ForeignMatrix(ForeignDevice& device, std::unique_ptr<PackedMatrix> inner, std::int64_t reserved)
        : device_(device), inner_(std::move(inner)), reserved_(reserved) {
        n = inner_->n;
        k = inner_->k;
        type = inner_->type;
    }
    ~ForeignMatrix() override { device_.memory.unreserve(reserved_); }
    std::size_t bytes() const override { return inner_->bytes(); }
    const PackedMatrix* inner() const { return inner_.get(); }

private:
    ForeignDevice& device_;
    std::unique_ptr<PackedMatrix> inner_;
    std::int64_t reserved_;
};

class ForeignStream final : public Stream {
public:
    ForeignStream(ForeignDevice& device, std::unique_ptr<Stream> inner)
        : device_(device), inner_(std::move(inner)), queue_(device.worker.open()) {}
    ~ForeignStream() override { device_.worker.close(queue_); }

    void embed(const EmbedArgs& args) override {
        op("embed", &Stream::embed, args,
           [](auto& d, EmbedArgs& a) { return d.into(a.table, a.ids, a.out); });
    }
    void rms_norm(const RmsNormArgs& args) override {
        op("rms_norm", &Stream::rms_norm, args,
           [](auto& d, RmsNormArgs& a) { return d.into(a.x, a.weight, a.out); });
    }
    void add(const AddArgs& args) override {
        op("add", &Stream::add, args, [](auto& d, AddArgs& a) { return d.into(a.x, a.y); });
    }
    void add_bias(const AddBiasArgs& args) override {
        op("add_bias", &Stream::add_bias, args,
           [](auto& d, AddBiasArgs& a) { return d.into(a.x, a.bias); });
    }
    void gate(const GateArgs& args) override {
        op("gate", &Stream::gate, args,
           [](auto& d, GateArgs& a) { return d.into(a.gate, a.up, a.out); });
    }
    void rope(const RopeArgs& args) override {
        op("rope", &Stream::rope, args,
           [](auto& d, RopeArgs& a) { return d.into(a.x, a.positions, a.cos, a.sin); });
    }
    void kv_write(const KvWriteArgs& args) override {
        op("kv_write", &Stream::kv_write, args, [](auto& d, KvWriteArgs& a) {
            return d.into(a.pages.base, a.k, a.v) && d.into_batch(a.batch);
        });
    }
    void attention(const AttentionArgs& args) override {
        op("attention", &Stream::attention, args, [](auto& d, AttentionArgs& a) {
            return d.into(a.pages.base, a.q, a.out) && d.into_batch(a.batch);
        });
    }
    void gather_rows(const GatherRowsArgs& args) override {
        op("gather_rows", &Stream::gather_rows, args,
           [](auto& d, GatherRowsArgs& a) { return d.into(a.x, a.wanted_rows, a.out); });
    }
    void convert(const ConvertArgs& args) override {
        op("convert", &Stream::convert, args,
           [](auto& d, ConvertArgs& a) { return d.into(a.in, a.out); });
    }
    void scale_cap(const ScaleCapArgs& args) override {
        op("scale_cap", &Stream::scale_cap, args,
           [](auto& d, ScaleCapArgs& a) { return d.into(a.x); });
    }
    void argmax(const ArgmaxArgs& args) override {
        op("argmax", &Stream::argmax, args,
           [](auto& d, ArgmaxArgs& a) { return d.into(a.x, a.out); });
    }
    void matmul(const MatmulArgs& args) override {
        op("matmul", &Stream::matmul, args, [](auto& d, MatmulArgs& a) {
            a.weight = static_cast<const ForeignMatrix*>(a.weight)->inner();
            return d.into(a.x, a.y, a.workspace);
        });
    }

    void upload(void* to, const void* from, std::size_t bytes) override {
        call("upload", [this, to, from, bytes]() -> Status {
            void* const inside = device_.memory.inside(to, bytes);
            if (inside == nullptr) return bad_address("upload");
            if (!device_.pinned.contains(from, bytes)) return bad_address("upload");
            std::memcpy(inside, from, bytes);
            return {};
        });
    }
    void download(void* to, const void* from, std::size_t bytes) override {
        call("download", [this, to, from, bytes]() -> Status {
            const void* const inside = device_.memory.inside(from, bytes);
            if (inside == nullptr) return bad_address("download");
            if (!device_.pinned.contains(to, bytes)) return bad_address("download");
            std::memcpy(to, inside, bytes);
            return {};
        });
    }

    Mark record() override {
        const std::uint64_t index = ++marks_;
        const std::uint64_t calls = device_.worker.enqueue(
            *queue_, {[this, index]() -> Status {
                          const std::lock_guard lock(mutex_);
                          times_us_[index % kLiveMarks] = steady_clock().now_us();
                          return {};
                      },
                      nullptr, 0});
        const std::lock_guard lock(mutex_);
        calls_[index % kLiveMarks] = calls;
        return {index};
    }
    void after(Stream& other, Mark mark) override {
        auto& stream = static_cast<ForeignStream&>(other);
        device_.worker.enqueue(*queue_, {nullptr, stream.queue_, stream.calls_before(mark)});
    }
    Status wait(Mark mark) override { return device_.worker.wait(*queue_, calls_before(mark)); }
    std::int64_t elapsed_us(Mark begin, Mark end) const override {
        const std::lock_guard lock(mutex_);
        return times_us_[end.index % kLiveMarks] - times_us_[begin.index % kLiveMarks];
    }

    /// Translates addresses into those that the device itself uses; nullptr stays. Returns false
    /// when one of them is not of the device.
    template <typename... T>
    bool into(T*&... addresses) const {
        return (into_one(addresses) && ...);
    }
    bool into_batch(BatchArgs& batch) const {
        return into(batch.positions, batch.sequence_of_row, batch.block_offsets, batch.block_ids);
    }

private:
    template <typename T>
    bool into_one(T*& address) const {
        if (address == nullptr) return true;
        void* const inside = device_.memory.inside(address, 1);
        address = static_cast<T*>(inside);
        return inside != nullptr;
    }
    std::uint64_t calls_before(Mark mark) const {
        const std::lock_guard lock(mutex_);
        return calls_[mark.index % kLiveMarks];
    }
    Status bad_address(const char* name) const {
        return make_error(
            StatusCode::invalid_argument,
            "{}: {} got an address that is not of the device, or not of pinned memory",
            device_.label, name);
    }
    template <typename Args, typename Into>
    void op(const char* name, void (Stream::*run)(const Args&), const Args& args, Into into) {
        call(name, [this, name, run, args, into]() -> Status {
            Args own = args;
            if (!into(*this, own)) return bad_address(name);
            (inner_.get()->*run)(own);
            return {};
        });
    }
    void call(const char* name, std::function<Status()> run) {
        device_.worker.enqueue(
            *queue_,
            {[this, name, run = std::move(run)]() -> Status {
                 const ForeignOptions& options = device_.options;
                 if (options.failing_op == name && ++device_.failing_calls == options.fail_at) {
                     return make_error(StatusCode::unavailable,
                                       "{}: {} failed: made to fail by a test", device_.label,
                                       name);
                 }
                 return run();
             },
             nullptr, 0});
    }

    ForeignDevice& device_;
    std::unique_ptr<Stream> inner_;
    std::shared_ptr<ForeignQueue> queue_;
    mutable std::mutex mutex_;
    std::uint64_t marks_ = 0;
    std::uint64_t calls_[kLiveMarks] = {};  // of mark i at i % kLiveMarks
    std::int64_t times_us_[kLiveMarks] = {};
};

class ForeignBackend final : public Backend {
public:
    ForeignBackend(const ForeignOptions& options, std::unique_ptr<Backend> cpu)
        : device_(options), cpu_(std::move(cpu)), description_(device_.label + " for tests") {}

    std::string_view name() const override { return device_.options.name; }
    std::string_view description() const override { return description_; }
    BackendTraits traits() const override {
        BackendTraits traits;
        traits.logit_rows = 5;
        traits.parts_ahead = 1;
        return traits;
    }
    DeviceMemory memory() const override {
        return {device_.label, device_.options.memory_bytes, device_.memory.free_bytes()};
    }

    Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) override {
        MOLINK_ASSIGN_OR_RETURN(void* const address, device_.memory.allocate(bytes, device_.label));
        return std::unique_ptr<DeviceBuffer>(
            std::make_unique<ForeignBuffer>(device_, address, bytes));
    }
    Result<std::unique_ptr<PinnedBuffer>> allocate_host(std::size_t bytes) override {
        MOLINK_ASSIGN_OR_RETURN(auto inner, cpu_->allocate_host(bytes));
        return std::unique_ptr<PinnedBuffer>(
            std::make_unique<ForeignPinned>(device_, std::move(inner)));
    }
    std::unique_ptr<Stream> make_stream() override {
        return std::make_unique<ForeignStream>(device_, cpu_->make_stream());
    }
    Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                               DataType type) override {
        MOLINK_ASSIGN_OR_RETURN(
            auto inner, device_.worker.exclusive([&] { return cpu_->pack(parts, count, type); }));
        const auto reserved = static_cast<std::int64_t>(inner->bytes());
        MOLINK_RETURN_IF_ERROR(device_.memory.reserve(reserved, device_.label));
        return std::unique_ptr<PackedMatrix>(
            std::make_unique<ForeignMatrix>(device_, std::move(inner), reserved));
    }
    std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const override {
        return cpu_->packed_bytes(n, k, type);
    }
    std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const override {
        return cpu_->matmul_workspace_bytes(rows, k);
    }
    /// More than the CPU needs, because callers must not know the layout of a page.
    std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                               std::int32_t head_dim, ElementType type) const override {
        return cpu_->kv_block_bytes(block_tokens, kv_heads, head_dim, type) + 64;
    }

private:
    ForeignDevice device_;
    std::unique_ptr<Backend> cpu_;
    std::string description_;
};

}  // namespace

std::unique_ptr<Backend> make_foreign_backend(const ForeignOptions& options) {
    BackendOptions cpu;
    cpu.threads = options.threads;
    return std::make_unique<ForeignBackend>(options, make_backend("cpu", cpu).value());
}

void register_foreign_backend(const ForeignOptions& options) {
    BackendEntry entry;
    entry.name = options.name;
    entry.devices = [] { return std::vector<std::string>{"0", "1"}; };
    entry.make = [options](const BackendOptions& chosen) -> Result<std::unique_ptr<Backend>> {
        ForeignOptions own = options;
        own.device = chosen.device;
        own.threads = chosen.threads;
        own.lag = chosen.device == "0" ? -1 : 3;
        return make_foreign_backend(own);
    };
    static_cast<void>(register_backend(std::move(entry)));
}

}  // namespace molink::test
