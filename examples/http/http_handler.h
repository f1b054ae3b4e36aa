#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/http_message.h"

namespace molink::examples {

class HttpConnection;

/// One request and the way to its answer: either reply(), or start(), any number of write(), and
/// finish(). Calls behind the end, or on a connection that is gone, do nothing. An exchange that is
/// dropped without an answer closes the connection. Thread: any; calls return at once.
class HttpExchange {
public:
    HttpExchange(std::shared_ptr<HttpConnection> connection, std::uint64_t number,
                 HttpRequest request);
    ~HttpExchange();
    HttpExchange(const HttpExchange&) = delete;
    HttpExchange& operator=(const HttpExchange&) = delete;

    const HttpRequest& request() const { return request_; }
    /// Forgets the body and gives its share of the common budget back. No other call may use
    /// request() at that time.
    void drop_body();

    /// Sends a whole answer.
    void reply(HttpReply reply);
    /// Begins an answer that is written in pieces; the body of `head` is ignored.
    void start(HttpReply head);
    void write(std::string piece);
    void finish();
    /// Sets what is called once when the client is gone before the answer ended; at once if it is
    /// gone already. It must not block. Thread: one of the server's.
    void on_gone(std::function<void()> gone);

private:
    std::shared_ptr<HttpConnection> connection_;
    std::uint64_t number_;
    HttpRequest request_;
};

/// What a server does with requests. Called on the server's threads, several at a time. No method
/// may block.
class HttpHandler {
public:
    virtual ~HttpHandler() = default;

    /// Sees the head before the body is read. An answer refuses the request; the body is not read.
    virtual std::optional<HttpReply> check(const HttpRequest& head) = 0;
    /// Answers a request now or later, on any thread.
    virtual void handle(std::shared_ptr<HttpExchange> exchange) = 0;
    /// Returns the answer to a request that the server refuses.
    virtual HttpReply refuse(const HttpRequest& request, const HttpFault& fault) = 0;
    /// Sees every answer before it is sent and may add fields. `request` has its method, its path
    /// and the field Origin.
    virtual void on_reply(const HttpRequest& request, HttpReply& reply) = 0;
};

}  // namespace molink::examples
