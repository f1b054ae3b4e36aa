// Memory of a part under way. A slot is used again only after its part has finished, and slots
// share no memory, so nothing here needs a guard. The device computes logits in pieces, and each
// piece overwrites the one before it. Each piece is therefore fetched or reduced before the next.
#include "stage/part_slot.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace molink {

Result<PartSlot> PartSlot::make(Backend& backend, const Bounds& bounds) {
    MOLINK_ASSIGN_OR_RETURN(DeviceBatch batch, DeviceBatch::make(backend, bounds.batch));
    PartSlot slot(bounds, std::move(batch));
    const auto rows = static_cast<std::size_t>(bounds.batch.rows);
    const std::size_t bytes = rows * slot.width() * sizeof(float);
    MOLINK_ASSIGN_OR_RETURN(slot.hidden_, backend.allocate(bytes));
    MOLINK_ASSIGN_OR_RETURN(slot.host_rows_, backend.allocate_host(bytes));
    if (bounds.checks_rows) {
        const std::size_t results = rows * sizeof(std::int32_t);
        MOLINK_ASSIGN_OR_RETURN(slot.row_checks_, backend.allocate(results));
        MOLINK_ASSIGN_OR_RETURN(slot.host_row_checks_, backend.allocate_host(results));
    }
    if (!bounds.has_lm_head) return slot;
    MOLINK_ASSIGN_OR_RETURN(slot.best_, backend.allocate(rows * sizeof(std::int32_t)));
    MOLINK_ASSIGN_OR_RETURN(slot.host_best_, backend.allocate_host(rows * sizeof(std::int32_t)));
    return slot;
}

void PartSlot::upload_rows(Stream& stream, std::size_t count) {
    const std::span<float> values = host_rows(count);
    stream.upload(hidden_->data(), values.data(), values.size_bytes());
}

/// Copies adjacent rows together.
void PartSlot::download_rows(Stream& stream, std::vector<std::int32_t> rows) {
    for (std::size_t i = 0; i < rows.size();) {
        std::size_t end = i + 1;
        while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
        stream.download(host_rows(rows.size()).data() + i * width(),
                        hidden() + static_cast<std::size_t>(rows[i]) * width(),
                        (end - i) * width() * sizeof(float));
        i = end;
    }
    rows_out = std::move(rows);
}

/// An argmax is the one op that looks at every value and says so when one is not finite.
void PartSlot::check_rows(Stream& stream, std::int64_t rows) {
    ArgmaxArgs args;
    args.x = hidden();
    args.out = static_cast<std::int32_t*>(row_checks_->data());
    args.rows = rows;
    args.width = bounds_.hidden;
    stream.argmax(args);
    checked_ = static_cast<std::size_t>(rows);
    stream.download(host_row_checks_->data(), args.out, checked_ * sizeof(std::int32_t));
}

std::span<const std::int32_t> PartSlot::row_checks() const {
    if (checked_ == 0) return {};
    return {static_cast<const std::int32_t*>(host_row_checks_->data()), checked_};
}

Status PartSlot::split_sampling(Backend& backend, std::int64_t host_rows) {
    host_sampled_ = host_rows;
    const std::size_t bytes = static_cast<std::size_t>(host_rows * bounds_.vocabulary) * 4;
    if (bytes == 0 || (host_logits_ != nullptr && host_logits_->bytes() >= bytes)) return {};
    host_logits_.reset();
    MOLINK_ASSIGN_OR_RETURN(host_logits_, backend.allocate_host(bytes));
    return {};
}

void PartSlot::enqueue_sampling(Stream& stream, const float* logits, std::int64_t first,
                                std::int64_t count) {
    const std::int64_t width = bounds_.vocabulary;
    const std::int64_t host = std::clamp<std::int64_t>(host_sampled_ - first, 0, count);
    if (host > 0) {
        stream.download(static_cast<float*>(host_logits_->data()) + first * width, logits,
                        static_cast<std::size_t>(host * width) * sizeof(float));
    }
    if (host == count) return;
    ArgmaxArgs args;
    args.x = logits + host * width;
    args.out = static_cast<std::int32_t*>(best_->data()) + first + host;
    args.rows = count - host;
    args.width = width;
    stream.argmax(args);
}

void PartSlot::download_best(Stream& stream) {
    const std::int64_t count = batch_.wanted_count() - host_sampled_;
    if (count == 0) return;
    stream.download(host_best_->data(),
                    static_cast<const std::int32_t*>(best_->data()) + host_sampled_,
                    static_cast<std::size_t>(count) * sizeof(std::int32_t));
}

const float* PartSlot::host_logits() const {
    return host_logits_ == nullptr ? nullptr : static_cast<const float*>(host_logits_->data());
}

const std::int32_t* PartSlot::host_best() const {
    return static_cast<const std::int32_t*>(host_best_->data());
}

}  // namespace molink
