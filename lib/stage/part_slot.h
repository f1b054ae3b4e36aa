#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <molink/status.h>

#include "backend/backend.h"
#include "backend/device_batch.h"
#include "work/part.h"

namespace molink {

/// One part under way on a device, and the memory that belongs to it alone: its batch, its hidden
/// rows, and the results that the host fetches. A stage has one slot for each part that may be
/// under way. Move-only. Thread: the stage's compute thread.
class PartSlot {
public:
    struct Bounds {
        DeviceBatch::Bounds batch;
        std::int64_t hidden = 0;  ///< width of a row
        std::int64_t vocabulary = 0;
        bool has_lm_head = false;
        bool checks_rows = false;
    };
    /// Errors: resource_exhausted.
    static Result<PartSlot> make(Backend& backend, const Bounds& bounds);

    DeviceBatch& batch() { return batch_; }
    float* hidden() { return static_cast<float*>(hidden_->data()); }
    std::size_t width() const { return static_cast<std::size_t>(bounds_.hidden); }

    /// Returns hidden rows in host memory, [count, hidden].
    std::span<float> host_rows(std::size_t count) {
        return {static_cast<float*>(host_rows_->data()), count * width()};
    }
    /// Enqueues the copy of host_rows(count) to hidden().
    void upload_rows(Stream& stream, std::size_t count);
    /// Enqueues the copy of the listed rows of hidden() to host_rows(), in that order.
    void download_rows(Stream& stream, std::vector<std::int32_t> rows);
    /// Enqueues the search for values of hidden() [rows, hidden] that are not finite.
    void check_rows(Stream& stream, std::int64_t rows);
    /// Returns for each row that was checked whether all its values are finite. Valid after the
    /// wait for `done`.
    std::span<const std::int32_t> row_checks() const;
    void forget_checks() { checked_ = 0; }

    /// Decides that the first `host_rows` rows with logits are sampled on the host and the others
    /// by an argmax on the device. Makes room for the logits. Errors: resource_exhausted.
    Status split_sampling(Backend& backend, std::int64_t host_rows);
    /// Enqueues the copy to the host or the argmax for `logits` [count, vocabulary]. `first` is the
    /// index of their first row among all rows with logits.
    void enqueue_sampling(Stream& stream, const float* logits, std::int64_t first,
                          std::int64_t count);
    /// Enqueues the copy of the tokens of all argmax rows to the host.
    void download_best(Stream& stream);
    /// Logits of the rows that the host samples, [host rows, vocabulary], and the tokens of the
    /// argmax rows, in order, -1 where logits are not finite. Valid after the wait for `done`.
    const float* host_logits() const;
    const std::int32_t* host_best() const;

    StageInput input;
    std::vector<RowSpan> spans;
    std::vector<RowFault> faults;
    std::vector<std::int32_t> rows_out;  ///< rows of the part in host_rows(), for another stage
    Stream* last = nullptr;              ///< the stream with the last op of the part
    Mark done;                           ///< recorded after that op

private:
    PartSlot(const Bounds& bounds, DeviceBatch batch) : bounds_(bounds), batch_(std::move(batch)) {}

    Bounds bounds_;
    DeviceBatch batch_;
    std::unique_ptr<DeviceBuffer> hidden_;     // [rows, hidden]
    std::unique_ptr<PinnedBuffer> host_rows_;  // [rows, hidden]
    std::unique_ptr<DeviceBuffer> best_;       // [rows] tokens
    std::unique_ptr<PinnedBuffer> host_best_;
    std::unique_ptr<DeviceBuffer> row_checks_;  // [rows] results of argmax
    std::unique_ptr<PinnedBuffer> host_row_checks_;
    std::size_t checked_ = 0;                    // rows
    std::unique_ptr<PinnedBuffer> host_logits_;  // [host rows, vocabulary]; grows
    std::int64_t host_sampled_ = 0;              // rows that the host samples
};

}  // namespace molink
