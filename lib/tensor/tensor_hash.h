#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace molink {

/// A 128-bit hash of stored weights. It finds faults of disks, copies and downloads. It is no
/// defence against someone who makes up weights to match it.
struct TensorHash {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    TensorHash& operator+=(const TensorHash& other) {
        low += other.low;
        high += other.high;
        return *this;
    }
    friend bool operator==(const TensorHash&, const TensorHash&) = default;
    /// Returns 32 hexadecimal digits.
    std::string text() const;
};

/// Returns the hash of `count` rows of `row_bytes` bytes that are stored one after the other at
/// `data`. The first of them is row `first` of its tensor. The hash of a tensor is the sum over its
/// rows, so its rows can be read in any order and by several threads.
TensorHash hash_rows(const std::byte* data, std::int64_t first, std::int64_t count,
                     std::size_t row_bytes);

/// A tensor that a stage has loaded, or rows [begin, end) of it, and their hash.
struct LoadedTensor {
    std::string name;
    std::int64_t begin = 0;
    std::int64_t end = 0;  ///< 0: all rows
    TensorHash hash;

    /// Returns "NAME" or "NAME rows 0-63". Equal for the same rows of the same tensor.
    std::string text() const;
    friend bool operator==(const LoadedTensor&, const LoadedTensor&) = default;
};

/// Returns the same text for rows [begin, end) of a tensor, or for all when `end` is 0.
std::string tensor_rows_text(const std::string& name, std::int64_t begin, std::int64_t end);

}  // namespace molink
