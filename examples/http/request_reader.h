#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>

#include "http/http_limits.h"
#include "http/http_message.h"

namespace molink::examples {

/// Bytes that all bodies share, so that many clients together cannot fill the memory. Thread: any.
class BodyBudget {
public:
    explicit BodyBudget(std::size_t bytes) : left_(bytes) {}
    /// Returns whether there were as many.
    bool take(std::size_t bytes);
    void give(std::size_t bytes) { left_ += bytes; }
    std::size_t left() const { return left_; }

private:
    std::atomic<std::size_t> left_;
};

/// Parses one request from bytes that arrive in any portions. Strict: what two parsers could
/// understand differently is refused, such as two lengths, a length beside Transfer-Encoding, and
/// folded fields. Memory follows what has arrived, never what a client announces.
/// Thread-compatible.
class RequestReader {
public:
    enum class Step {
        more,  ///< needs more bytes
        head,  ///< the head is complete and a body follows; call feed() again. Said once
        done,  ///< the request is complete
        bad,   ///< fault() says why; the rest of the input has no meaning
    };

    /// The references must outlive it.
    RequestReader(const HttpLimits& limits, std::shared_ptr<BodyBudget> budget);
    ~RequestReader();

    /// Reads from the front of `input` and sets `used` to the bytes that are not needed again.
    Step feed(std::string_view input, std::size_t& used);
    /// Returns whether some byte of a request was seen.
    bool has_begun() const;
    bool has_head() const;
    HttpRequest& request();
    const HttpFault& fault() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace molink::examples
