#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>

#include "http/byte_stream.h"
#include "http/http_handler.h"
#include "http/http_limits.h"
#include "http/request_reader.h"

namespace molink::examples {

/// What the connections of a server share. Outlives them.
struct HttpShared {
    HttpShared(const HttpLimits& with, HttpHandler& to)
        : limits(with), handler(to), budget(std::make_shared<BodyBudget>(with.all_bodies_bytes)) {}

    const HttpLimits limits;
    HttpHandler& handler;
    std::shared_ptr<BodyBudget> budget;
    std::atomic<bool> closing{false};  ///< no request follows the current one
};

/// Milliseconds of a steady clock.
std::int64_t steady_ms();

/// One connection of a client: reads a request, waits for its answer, writes it, and begins again.
/// Requests that are sent ahead wait in the input, so that answers keep their order. Thread: the
/// executor of the stream, unless a method says otherwise.
class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
public:
    /// `closed` is called once when the connection has ended.
    HttpConnection(HttpShared& shared, boost::asio::any_io_executor executor,
                   std::shared_ptr<ByteStream> stream, bool from_loopback,
                   std::function<void()> closed);
    ~HttpConnection();

    /// Thread: any.
    void begin();
    /// Ends the connection without a word. Thread: any.
    void abort();
    /// Ends the connection when its current answer is complete. Thread: any.
    void close_soon();
    /// When the wait for the client began (steady_ms); 0 while it is the server's turn. Thread:
    /// any.
    std::int64_t waits_since_ms() const { return waits_since_ms_; }

    // What HttpExchange passes on for the request with this number. Thread: any.
    void reply(std::uint64_t number, HttpReply reply);
    void start(std::uint64_t number, HttpReply head);
    void write(std::uint64_t number, std::string piece);
    void finish(std::uint64_t number);
    void abandon(std::uint64_t number);
    void on_gone(std::uint64_t number, std::function<void()> gone);

private:
    enum class State {
        reading,    // a request, or the pause before it
        answering,  // the handler has the request; no part of the answer is known
        streaming,  // the answer is written in pieces
        flushing,   // the answer is complete, but not all of it is written
        lingering,  // output has ended, input is dropped
        closed,
    };

    // http_connection.cpp: life and input
    void next_request();
    void read_more();
    void on_read(const boost::system::error_code& error, std::size_t count);
    void parse();
    bool check_head();
    void on_request();
    void refuse(const HttpFault& fault);
    void begin_answer(const HttpRequest& request);
    void set_read_deadline();
    void on_deadline();
    void linger();
    void discard();
    void close();
    void wait_for_client(std::int64_t since_ms, std::int64_t limit_ms);
    void stop_waiting();

    // http_output.cpp: answers
    bool is_current(std::uint64_t number, State state) const;
    void send(HttpReply reply);
    void push(std::string bytes);
    void write_next();
    void on_written(const boost::system::error_code& error, std::size_t count);
    void end_answer();
    void probe_client(int sent);
    template <typename Step>
    void run(Step step);

    HttpShared& shared_;
    boost::asio::any_io_executor executor_;
    std::shared_ptr<ByteStream> stream_;
    const bool from_loopback_;
    std::function<void()> closed_;
    boost::asio::steady_timer deadline_;
    boost::asio::steady_timer probe_;
    std::uint64_t deadline_number_ = 0;  // timers that were replaced know an older one
    std::atomic<std::int64_t> waits_since_ms_{0};
    State state_ = State::reading;

    bool is_reading_ = false;   // a read is under way
    bool input_ended_ = false;  // the client has closed its side
    std::array<char, 8192> chunk_{};
    std::string input_;
    std::unique_ptr<RequestReader> reader_;
    bool is_checked_ = false;          // the handler has seen the head
    std::int64_t phase_began_ms_ = 0;  // of the pause, the head or the body
    bool had_begun_ = false;           // the phase is not the pause
    std::int64_t body_seen_bytes_ = 0;

    std::uint64_t number_ = 0;  // of the current request
    HttpRequest answered_;      // what the answer needs of the current request
    bool keep_alive_ = true;
    bool is_chunked_ = false;
    std::function<void()> gone_;
    bool is_writing_ = false;
    std::deque<std::string> output_;
    std::size_t output_bytes_ = 0;
    std::size_t front_written_ = 0;  // bytes of the first piece
};

template <typename Step>
void HttpConnection::run(Step step) {
    boost::asio::dispatch(executor_, [self = shared_from_this(), step = std::move(step)]() mutable {
        if (self->state_ != State::closed) step(*self);
    });
}

}  // namespace molink::examples
