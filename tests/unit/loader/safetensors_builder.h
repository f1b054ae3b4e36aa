#pragma once

#include <cstdint>
#include <string>

/// Returns a safetensors file: the length of `header`, `header` as it is, then `data`.
inline std::string safetensors_file(const std::string& header, const std::string& data) {
    std::string out(8, '\0');
    for (int i = 0; i < 8; ++i)
        out[static_cast<std::size_t>(i)] = static_cast<char>(header.size() >> (8 * i));
    return out + header + data;
}

/// Returns the header entry of one tensor, "NAME": {...}.
inline std::string tensor_entry(const std::string& name, const std::string& dtype,
                                const std::string& shape, const std::string& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":" + offsets + "}";
}
