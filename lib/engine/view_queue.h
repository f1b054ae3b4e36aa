#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace molink {

/// A queue of pointers that can be shown as a span at any time. Taking from the front is amortised
/// constant; taking from within is linear in what stands before it.
template <typename T>
class ViewQueue {
public:
    void push_back(const T* item) { items_.push_back(item); }

    /// Puts `item` before the first one for which `later` holds.
    template <typename Later>
    void insert_before(const T* item, Later later) {
        const auto begin = items_.begin() + static_cast<std::ptrdiff_t>(head_);
        const auto place =
            std::find_if(begin, items_.end(), [&](const T* other) { return later(*other); });
        items_.insert(place, item);
    }

    /// Removes `item`; false when it is not there.
    bool remove(const T* item) {
        const auto begin = items_.begin() + static_cast<std::ptrdiff_t>(head_);
        const auto found = std::find(begin, items_.end(), item);
        if (found == items_.end()) return false;
        std::move_backward(begin, found, found + 1);
        ++head_;
        if (head_ > 64 && head_ * 2 > items_.size()) {
            items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
            head_ = 0;
        }
        return true;
    }

    void clear() {
        items_.clear();
        head_ = 0;
    }

    std::span<const T* const> span() const {
        return std::span<const T* const>(items_).subspan(head_);
    }
    std::size_t size() const { return items_.size() - head_; }

private:
    std::vector<const T*> items_;
    std::size_t head_ = 0;
};

}  // namespace molink
