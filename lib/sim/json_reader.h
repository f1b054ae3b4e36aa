#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <molink/link.h>
#include <molink/status.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace molink::sim {

using Json = nlohmann::json;

/// Reads one JSON object of a file key by key. `status` keeps the first error, which names the file
/// and the key. A key that no call asked for is an error, so that a misspelt key does not silently
/// leave the default. The reading methods leave `to` as it is when the key is absent.
class JsonReader {
public:
    /// `what` names the file in errors, as in "scenario". `path` names the object in it, as in
    /// "nodes[2].". `object` and `status` must outlive the reader.
    JsonReader(const Json& object, std::string what, std::string path, Status& status)
        : object_(object), what_(std::move(what)), path_(std::move(path)), status_(status) {
        if (!object.is_object()) fail("", "is not an object");
    }
    /// Reports a key that no call asked for.
    ~JsonReader() {
        if (!object_.is_object()) return;
        for (const auto& [key, value] : object_.items()) {
            if (!known_.contains(key)) fail(key, "is not a key of a " + what_);
        }
    }
    JsonReader(const JsonReader&) = delete;
    JsonReader& operator=(const JsonReader&) = delete;

    template <typename T>
    void integer(const char* key, T& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (!value->is_number_integer()) {
            fail(key, "is not an integer");
            return;
        }
        const bool fits = value->is_number_unsigned()
                              ? value->get<std::uint64_t>() <=
                                    static_cast<std::uint64_t>(std::numeric_limits<T>::max())
                              : value->get<std::int64_t>() >=
                                    static_cast<std::int64_t>(std::numeric_limits<T>::min());
        if (!fits) {
            fail(key, "is " + value->dump() + ", which is out of range");
            return;
        }
        to = value->get<T>();
    }
    void number(const char* key, double& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (value->is_number()) {
            to = value->get<double>();
        } else {
            fail(key, "is not a number");
        }
    }
    void text(const char* key, std::string& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (value->is_string()) {
            to = value->get<std::string>();
        } else {
            fail(key, "is not a string");
        }
    }
    void boolean(const char* key, bool& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (value->is_boolean()) {
            to = value->get<bool>();
        } else {
            fail(key, "is neither true nor false");
        }
    }
    template <typename Read>
    void object(const char* key, Read read) {
        const Json* value = find(key);
        if (value == nullptr) return;
        JsonReader reader(*value, what_, path_ + key + ".", status_);
        read(reader);
    }
    template <typename T, typename Read>
    void list(const char* key, std::vector<T>& to, Read read) {
        const Json* value = find(key);
        if (value == nullptr) return;
        if (!value->is_array()) {
            fail(key, "is not a list");
            return;
        }
        to.clear();
        for (std::size_t i = 0; i < value->size(); ++i) {
            JsonReader reader((*value)[i], what_, fmt::format("{}{}[{}].", path_, key, i), status_);
            read(reader, to.emplace_back());
        }
    }
    void texts(const char* key, std::vector<std::string>& to) {
        const Json* value = find(key);
        if (value == nullptr) return;
        const auto is_text = [](const Json& item) { return item.is_string(); };
        if (value->is_array() && std::all_of(value->begin(), value->end(), is_text)) {
            to = value->get<std::vector<std::string>>();
        } else {
            fail(key, "is not a list of strings");
        }
    }
    /// Returns the value of `key`, of any type, or null when the object has no such key.
    const Json* get(const char* key) { return find(key); }
    /// Records an error about `key`, unless there is one already. `what` goes on, as in "is not 3".
    void fail(const std::string& key, const std::string& what) {
        if (!status_.ok()) return;
        std::string where = path_ + key;
        if (key.empty() && !where.empty()) where.pop_back();  // "nodes[2]." is an object's prefix
        const char* const space = where.empty() ? "" : " ";
        status_ = invalid_argument("{}: {}{}{}", what_, where, space, what);
    }

private:
    const Json* find(const char* key) {
        known_.insert(key);
        if (!object_.is_object()) return nullptr;
        const auto found = object_.find(key);
        return found == object_.end() ? nullptr : &*found;
    }

    const Json& object_;
    std::string what_;
    std::string path_;
    Status& status_;
    std::set<std::string> known_;
};

}  // namespace molink::sim
