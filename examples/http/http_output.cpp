// The answers of a connection, and HttpExchange, through which handlers on any thread give them.
// Output waits in a queue and is written in pieces; each piece has a deadline. A stream whose queue
// grows beyond its bound belongs to a client that is too slow, and is cut off.
#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "http/http_connection.h"

namespace molink::examples {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kPieceBytes = 64u << 10;

}  // namespace

bool HttpConnection::is_current(std::uint64_t number, State state) const {
    return number == number_ && state == state_;
}

void HttpConnection::reply(std::uint64_t number, HttpReply reply) {
    run([number, reply = std::move(reply)](HttpConnection& self) mutable {
        if (self.is_current(number, State::answering)) self.send(std::move(reply));
    });
}

void HttpConnection::start(std::uint64_t number, HttpReply head) {
    run([number, head = std::move(head)](HttpConnection& self) mutable {
        if (!self.is_current(number, State::answering)) return;
        const int version = self.answered_.minor_version;
        self.state_ = State::streaming;
        self.is_chunked_ = version == 1;
        self.keep_alive_ = self.keep_alive_ && self.is_chunked_ && !self.shared_.closing;
        self.shared_.handler.on_reply(self.answered_, head);
        self.push(head_text(head, version, self.keep_alive_,
                            self.is_chunked_ ? BodyFraming::chunked : BodyFraming::until_close));
    });
}

void HttpConnection::write(std::uint64_t number, std::string piece) {
    run([number, piece = std::move(piece)](HttpConnection& self) mutable {
        if (!self.is_current(number, State::streaming) || piece.empty()) return;
        if (self.output_bytes_ + piece.size() > self.shared_.limits.output_bytes) {
            return self.close();
        }
        self.push(self.is_chunked_ ? fmt::format("{:x}\r\n{}\r\n", piece.size(), piece)
                                   : std::move(piece));
    });
}

void HttpConnection::finish(std::uint64_t number) {
    run([number](HttpConnection& self) {
        if (!self.is_current(number, State::streaming)) return;
        self.state_ = State::flushing;
        self.gone_ = nullptr;
        if (self.is_chunked_) self.push("0\r\n\r\n");
        self.write_next();
    });
}

void HttpConnection::abandon(std::uint64_t number) {
    run([number](HttpConnection& self) {
        if (self.is_current(number, State::answering) ||
            self.is_current(number, State::streaming)) {
            self.close();
        }
    });
}

void HttpConnection::on_gone(std::uint64_t number, std::function<void()> gone) {
    asio::dispatch(executor_, [self = shared_from_this(), number, gone = std::move(gone)] {
        if (self->is_current(number, State::answering) ||
            self->is_current(number, State::streaming)) {
            self->gone_ = gone;
        } else if (number == self->number_ && self->state_ == State::closed) {
            gone();
        }
    });
}

void HttpConnection::send(HttpReply reply) {
    keep_alive_ = keep_alive_ && !reply.close && !shared_.closing;
    shared_.handler.on_reply(answered_, reply);
    state_ = State::flushing;
    gone_ = nullptr;
    push(head_text(reply, answered_.minor_version, keep_alive_, BodyFraming::length));
    if (answered_.method != "HEAD") push(std::move(reply.body));
    write_next();
}

void HttpConnection::push(std::string bytes) {
    if (bytes.empty()) return;
    output_bytes_ += bytes.size();
    const bool joins = output_.size() > (is_writing_ ? 1u : 0u) &&
                       output_.back().size() + bytes.size() <= kPieceBytes;
    if (joins) {
        output_.back() += bytes;
    } else {
        output_.push_back(std::move(bytes));
    }
    if (state_ != State::flushing) write_next();
}

void HttpConnection::write_next() {
    if (is_writing_) return;
    const bool reading = state_ == State::reading;  // then the request has the deadline
    if (output_.empty()) {
        if (!reading) stop_waiting();
        if (state_ == State::flushing) end_answer();
        return;
    }
    is_writing_ = true;
    if (!reading) wait_for_client(steady_ms(), shared_.limits.write_ms);
    const std::string& front = output_.front();
    stream_->write(asio::buffer(front.data() + front_written_,
                                std::min(kPieceBytes, front.size() - front_written_)),
                   [self = shared_from_this()](const error_code& error, std::size_t count) {
                       self->on_written(error, count);
                   });
}

void HttpConnection::on_written(const error_code& error, std::size_t count) {
    is_writing_ = false;
    if (state_ == State::closed) return;
    if (error) return close();
    front_written_ += count;
    output_bytes_ -= count;
    if (front_written_ == output_.front().size()) {
        output_.pop_front();
        front_written_ = 0;
    }
    write_next();
}

void HttpConnection::end_answer() {
    probe_.cancel();
    const bool more = keep_alive_ && !(input_ended_ && input_.empty());
    // Posted, so that many requests at once do not nest.
    asio::post(executor_, [self = shared_from_this(), more] {
        if (self->state_ != State::flushing) return;
        if (more) return self->next_request();
        self->linger();
    });
}

/// A client that has closed its side may still read, or may be gone. Interim answers tell: the
/// system of a client that is gone answers the first with a reset, and the next one fails.
void HttpConnection::probe_client(int sent) {
    if (state_ != State::answering || answered_.minor_version == 0) return;
    const HttpLimits& limits = shared_.limits;
    probe_.expires_after(
        std::chrono::milliseconds(sent < 2 ? limits.first_probe_ms : limits.probe_ms));
    probe_.async_wait([self = shared_from_this(), sent, number = number_](const error_code& error) {
        if (error || !self->is_current(number, State::answering)) return;
        self->push("HTTP/1.1 102 Processing\r\n\r\n");
        self->probe_client(sent + 1);
    });
}

HttpExchange::HttpExchange(std::shared_ptr<HttpConnection> connection, std::uint64_t number,
                           HttpRequest request)
    : connection_(std::move(connection)), number_(number), request_(std::move(request)) {}

HttpExchange::~HttpExchange() {
    connection_->abandon(number_);
}

void HttpExchange::drop_body() {
    request_.body = std::string();
    request_.body_lease.reset();
}

void HttpExchange::reply(HttpReply reply) {
    connection_->reply(number_, std::move(reply));
}

void HttpExchange::start(HttpReply head) {
    connection_->start(number_, std::move(head));
}

void HttpExchange::write(std::string piece) {
    connection_->write(number_, std::move(piece));
}

void HttpExchange::finish() {
    connection_->finish(number_);
}

void HttpExchange::on_gone(std::function<void()> gone) {
    connection_->on_gone(number_, std::move(gone));
}

}  // namespace molink::examples
