#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/bytes.h"

// Code that all fuzz targets share: an input that is read as a program of bytes, and a check that
// ends the process, because this is how a fuzzer notices a finding.
namespace molink::fuzz {

/// Reads the input from its front. After its end every read returns zero.
class FuzzInput {
public:
    FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    bool empty() const { return rest_.empty(); }
    std::size_t left() const { return rest_.size(); }

    std::uint8_t u8() { return integer<std::uint8_t>(); }
    std::uint16_t u16() { return integer<std::uint16_t>(); }
    std::uint32_t u32() { return integer<std::uint32_t>(); }
    std::uint64_t u64() { return integer<std::uint64_t>(); }
    /// Returns a number in [0, bound), from one byte of input; bound <= 256.
    std::size_t below(std::size_t bound) { return u8() % bound; }
    bool coin() { return (u8() & 1) != 0; }
    /// Returns `count` bytes, or fewer at the end.
    ByteSpan bytes(std::size_t count) {
        const std::size_t size = count < rest_.size() ? count : rest_.size();
        const auto taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return std::as_bytes(taken);
    }
    std::string_view text(std::size_t count) {
        const ByteSpan taken = bytes(count);
        return {reinterpret_cast<const char*>(taken.data()), taken.size()};
    }
    std::string_view rest() { return text(rest_.size()); }

private:
    template <typename T>
    T integer() {
        std::byte whole[sizeof(T)] = {};
        const ByteSpan taken = bytes(sizeof(T));
        if (!taken.empty()) std::memcpy(whole, taken.data(), taken.size());
        return read_le<T>(ByteSpan(whole), 0);
    }

    std::span<const std::uint8_t> rest_;
};

/// Returns whether `text` is UTF-8 (RFC 3629), without use of the library.
bool is_utf8(std::string_view text);

/// Prints the check that does not hold and its place, and aborts.
[[noreturn]] void fail(const char* what, const char* file, int line);

}  // namespace molink::fuzz

#define FUZZ_CHECK(condition)                                                   \
    do {                                                                        \
        if (!(condition)) ::molink::fuzz::fail(#condition, __FILE__, __LINE__); \
    } while (false)
