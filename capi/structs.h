#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include <molink.h>
#include <molink/status.h>

namespace molink::capi {

inline Status struct_error(const char* name, std::size_t size, const std::string& reason) {
    return Status(StatusCode::invalid_argument,
                  std::string(name) + ": struct_size " + std::to_string(size) + " " + reason);
}

/// Returns whether `size` can be the size of this struct in some version. Other values mean that
/// the struct was not initialised.
template <typename T>
bool is_plausible(std::size_t size) {
    return size >= sizeof(std::size_t) && size % alignof(T) == 0 && size <= 16 * sizeof(T);
}

/// Copies a client's struct over `out`, which holds the defaults. The client may have an older or a
/// newer version of the struct. Fields that this library does not know must be zero, because they
/// would ask for something that it cannot do.
template <typename T>
Status read_struct(const char* name, const T* in, T& out) {
    if (in == nullptr) {
        return Status(StatusCode::invalid_argument, std::string(name) + " is NULL");
    }
    const std::size_t size = in->struct_size;
    if (!is_plausible<T>(size)) {
        return struct_error(name, size, "is not set; start from its INIT macro");
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(in);
    for (std::size_t i = sizeof(T); i < size; ++i) {
        if (bytes[i] == 0) continue;
        return struct_error(name, size,
                            "includes byte " + std::to_string(i) +
                                ", which is not 0; this library knows " +
                                std::to_string(sizeof(T)) + " bytes");
    }
    std::memcpy(&out, in, std::min(size, sizeof(T)));
    out.struct_size = sizeof(T);
    return {};
}

/// Fills the fields of a client's struct that both sides know. Keeps its struct_size.
template <typename T>
Status write_struct(const char* name, const T& value, T* out) {
    if (out == nullptr) {
        return Status(StatusCode::invalid_argument, std::string(name) + " is NULL");
    }
    const std::size_t size = out->struct_size;
    if (!is_plausible<T>(size)) {
        return struct_error(name, size, "is not set; start from its INIT macro");
    }
    std::memcpy(out, &value, std::min(size, sizeof(T)));
    out->struct_size = size;
    return {};
}

/// Implements the _init functions: sets the defaults, and zeros in fields that only the client
/// knows.
template <typename T>
Status init_struct(const char* name, const T& defaults, T* out, std::size_t size) {
    if (out == nullptr) {
        return Status(StatusCode::invalid_argument, std::string(name) + " is NULL");
    }
    if (!is_plausible<T>(size)) {
        return struct_error(name, size, "is not the size of this struct in any version");
    }
    std::memset(static_cast<void*>(out), 0, size);
    std::memcpy(out, &defaults, std::min(size, sizeof(T)));
    out->struct_size = size;
    return {};
}

/// Errors: not_found.
inline Status check_index(const char* function, std::size_t index, std::size_t count) {
    if (index < count) return {};
    return Status(StatusCode::not_found,
                  std::string(function) + ": index " + std::to_string(index) +
                      " is out of range; there are " + std::to_string(count));
}

}  // namespace molink::capi
