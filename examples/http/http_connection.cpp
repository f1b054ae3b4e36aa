// The life of a connection and its input. Each wait for the client has a deadline, and the server
// can see how long it lasts, so that the connection that has waited longest gives way to a new one.
// While a request is answered, input is read on within a bound: this is how a client that hangs up
// is noticed. Relies on the executor of the stream to run one handler at a time.
#include "http/http_connection.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>

namespace molink::examples {

namespace asio = boost::asio;
using boost::system::error_code;

std::int64_t steady_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

HttpConnection::HttpConnection(HttpShared& shared, asio::any_io_executor executor,
                               std::shared_ptr<ByteStream> stream, bool from_loopback,
                               std::function<void()> closed)
    : shared_(shared),
      executor_(std::move(executor)),
      stream_(std::move(stream)),
      from_loopback_(from_loopback),
      closed_(std::move(closed)),
      deadline_(executor_),
      probe_(executor_) {}

HttpConnection::~HttpConnection() {
    if (state_ != State::closed) closed_();
}

void HttpConnection::begin() {
    run([](HttpConnection& self) {
        self.wait_for_client(steady_ms(), self.shared_.limits.head_ms);
        self.stream_->begin([shared = self.shared_from_this()](const error_code& error, auto) {
            if (error) return shared->close();
            if (shared->state_ == State::reading) shared->next_request();
        });
    });
}

void HttpConnection::abort() {
    run([](HttpConnection& self) { self.close(); });
}

void HttpConnection::close_soon() {
    run([](HttpConnection& self) {
        self.keep_alive_ = false;
        if (self.state_ == State::reading || self.state_ == State::lingering) self.close();
    });
}

void HttpConnection::next_request() {
    if (state_ == State::closed) return;
    if (shared_.closing) return linger();
    state_ = State::reading;
    reader_ = std::make_unique<RequestReader>(shared_.limits, shared_.budget);
    is_checked_ = false;
    had_begun_ = false;
    body_seen_bytes_ = 0;
    phase_began_ms_ = steady_ms();
    parse();
}

void HttpConnection::read_more() {
    const bool wanted = state_ == State::reading || state_ == State::answering ||
                        state_ == State::streaming || state_ == State::flushing;
    const bool ahead = state_ != State::reading && input_.size() >= shared_.limits.ahead_bytes;
    if (!wanted || ahead || is_reading_ || input_ended_) return;
    is_reading_ = true;
    stream_->read(asio::buffer(chunk_),
                  [self = shared_from_this()](const error_code& error, std::size_t count) {
                      self->on_read(error, count);
                  });
}

void HttpConnection::on_read(const error_code& error, std::size_t count) {
    is_reading_ = false;
    if (state_ == State::closed || state_ == State::lingering) return;
    if (error) {
        const bool ended = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
        if (!ended || state_ == State::reading) return close();
        input_ended_ = true;
        return probe_client(0);
    }
    input_.append(chunk_.data(), count);
    if (state_ == State::reading) return parse();
    read_more();
}

void HttpConnection::parse() {
    while (true) {
        std::size_t used = 0;
        const RequestReader::Step step = reader_->feed(input_, used);
        input_.erase(0, used);
        if (reader_->has_head()) body_seen_bytes_ += static_cast<std::int64_t>(used);
        switch (step) {
            case RequestReader::Step::bad: return refuse(reader_->fault());
            case RequestReader::Step::done:
                if (check_head()) on_request();
                return;
            case RequestReader::Step::head:
                if (!check_head()) return;
                had_begun_ = false;  // the body is a phase of its own
                if (reader_->request().expects_continue && input_.empty()) {
                    push("HTTP/1.1 100 Continue\r\n\r\n");
                }
                break;
            case RequestReader::Step::more:
                if (input_ended_) return close();
                set_read_deadline();
                return read_more();
        }
    }
}

/// Shows the head to the handler. Returns false when it refused the request.
bool HttpConnection::check_head() {
    if (is_checked_) return true;
    is_checked_ = true;
    HttpRequest& request = reader_->request();
    request.from_loopback = from_loopback_;
    auto refused = shared_.handler.check(request);
    if (!refused) return true;
    refused->close = refused->close || request.has_body;
    begin_answer(request);
    send(std::move(*refused));
    return false;
}

void HttpConnection::refuse(const HttpFault& fault) {
    HttpRequest& request = reader_->request();
    request.keep_alive = false;
    begin_answer(request);
    send(shared_.handler.refuse(request, fault));
}

void HttpConnection::begin_answer(const HttpRequest& request) {
    stop_waiting();
    state_ = State::answering;
    ++number_;
    answered_ = HttpRequest();
    answered_.method = request.method;
    answered_.path = request.path;
    answered_.minor_version = request.minor_version;
    if (const std::string* origin = request.find("origin")) {
        answered_.fields.push_back({"origin", *origin});
    }
    keep_alive_ = request.keep_alive;
}

void HttpConnection::on_request() {
    HttpRequest request = std::move(reader_->request());
    reader_.reset();
    begin_answer(request);
    if (input_ended_) probe_client(0);
    read_more();
    shared_.handler.handle(
        std::make_shared<HttpExchange>(shared_from_this(), number_, std::move(request)));
}

void HttpConnection::set_read_deadline() {
    const HttpLimits& limits = shared_.limits;
    const bool in_body = reader_->has_head();
    if ((in_body || reader_->has_begun()) && !had_begun_) {
        had_begun_ = true;
        phase_began_ms_ = steady_ms();
    }
    std::int64_t limit_ms = had_begun_ ? limits.head_ms : limits.idle_ms;
    if (in_body) limit_ms = limits.body_ms + body_seen_bytes_ * 1000 / limits.body_bytes_per_s;
    wait_for_client(phase_began_ms_, limit_ms);
}

void HttpConnection::on_deadline() {
    if (state_ == State::reading && reader_ != nullptr && had_begun_) {
        return refuse({408, "the request did not arrive in time"});
    }
    close();
}

void HttpConnection::wait_for_client(std::int64_t since_ms, std::int64_t limit_ms) {
    waits_since_ms_ = since_ms;
    const std::uint64_t number = ++deadline_number_;
    deadline_.expires_at(
        std::chrono::steady_clock::time_point(std::chrono::milliseconds(since_ms + limit_ms)));
    deadline_.async_wait([self = shared_from_this(), number](const error_code& error) {
        if (!error && number == self->deadline_number_) self->on_deadline();
    });
}

void HttpConnection::stop_waiting() {
    waits_since_ms_ = 0;
    ++deadline_number_;
    deadline_.cancel();
}

void HttpConnection::linger() {
    state_ = State::lingering;
    stream_->end_output();
    if (input_ended_) return close();
    const std::int64_t limit_ms = shared_.limits.linger_ms;
    wait_for_client(steady_ms(), shared_.closing ? limit_ms / 10 : limit_ms);
    discard();
}

void HttpConnection::discard() {
    stream_->discard(asio::buffer(chunk_),
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                         if (self->state_ == State::closed) return;
                         if (error) return self->close();
                         self->discard();
                     });
}

void HttpConnection::close() {
    if (state_ == State::closed) return;
    state_ = State::closed;
    stop_waiting();
    probe_.cancel();
    stream_->close();
    const std::function<void()> gone = std::exchange(gone_, nullptr);
    if (gone) gone();
    closed_();
}

}  // namespace molink::examples
