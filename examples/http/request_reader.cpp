// Requests on the parser of Boost.Beast. The limits of line, head and fields are checked before and
// while it parses; it gets a head only when the head is complete. Beast accepts some things that
// servers and proxies read differently, and these are refused here: folded fields, repeated
// Content-Length, codings other than "chunked", and a missing or repeated Host.
#include "http/request_reader.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace molink::examples {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

std::string_view view(string_view text) {
    return {text.data(), text.size()};
}

/// The share of one body. Returned when the last copy of the request is gone.
struct BodyLease {
    explicit BodyLease(std::shared_ptr<BodyBudget> from) : budget(std::move(from)) {}
    ~BodyLease() { budget->give(bytes); }
    BodyLease(const BodyLease&) = delete;
    BodyLease& operator=(const BodyLease&) = delete;

    std::shared_ptr<BodyBudget> budget;
    std::size_t bytes = 0;
};

HttpFault fault_of(const error_code& error, const HttpLimits& limits) {
    if (error == beast_http::error::body_limit) {
        return {413, fmt::format("the body has more than {} bytes", limits.body_bytes)};
    }
    if (error == beast_http::error::header_limit) {
        return {431, fmt::format("the head has more than {} bytes", limits.head_bytes)};
    }
    if (error == beast_http::error::bad_version) {
        return {505, "the request is not HTTP/1.0 or HTTP/1.1"};
    }
    return {400, fmt::format("the request is not valid HTTP: {}", error.message())};
}

}  // namespace

bool BodyBudget::take(std::size_t bytes) {
    std::size_t left = left_.load();
    while (left >= bytes) {
        if (left_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
}

struct RequestReader::Impl final : beast_http::basic_parser<true> {
    Impl(const HttpLimits& with, std::shared_ptr<BodyBudget> from)
        : limits(with), lease(std::make_shared<BodyLease>(std::move(from))) {
        header_limit(static_cast<std::uint32_t>(limits.head_bytes + 4));
        body_limit(limits.body_bytes);
        eager(true);
    }

    Step feed(std::string_view input, std::size_t& used);
    Step read_head(std::string_view input, std::size_t& used);
    Step read_body(std::string_view input, std::size_t& used);
    bool check_lines(std::string_view head, std::size_t from, bool complete);
    Step fail(int status, std::string message);
    bool check_head();
    error_code add_body(string_view bytes);

    // Called by the parser.
    void on_request_impl(beast_http::verb verb, string_view method, string_view target, int version,
                         error_code& error) override;
    void on_response_impl(int, string_view, int, error_code&) override {}
    void on_field_impl(beast_http::field field, string_view name, string_view value,
                       error_code& error) override;
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view bytes, error_code& error) override;
    void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code& error) override;
    void on_finish_impl(error_code&) override {}

    const HttpLimits& limits;
    std::shared_ptr<BodyLease> lease;
    HttpRequest request;
    HttpFault fault;
    std::size_t scanned = 0;  // bytes of the input in which no head ends
    bool begun = false;
    bool head_done = false;
    bool head_told = false;
};

RequestReader::Step RequestReader::Impl::fail(int status, std::string message) {
    fault = {status, std::move(message)};
    return Step::bad;
}

void RequestReader::Impl::on_request_impl(beast_http::verb, string_view method, string_view target,
                                          int version, error_code&) {
    request.method = view(method);
    request.target = view(target);
    request.minor_version = version - 10;
}

void RequestReader::Impl::on_field_impl(beast_http::field, string_view name, string_view value,
                                        error_code& error) {
    if (head_done) return;  // a trailer, which nothing here needs
    if (request.fields.size() == limits.fields) {
        fault = {431, fmt::format("the head has more than {} fields", limits.fields)};
        error = beast_http::error::header_limit;
        return;
    }
    request.fields.push_back({lower_case(view(name)), std::string(view(value))});
}

error_code RequestReader::Impl::add_body(string_view bytes) {
    if (request.body.size() + bytes.size() > limits.body_bytes) {
        return beast_http::error::body_limit;
    }
    if (!lease->budget->take(bytes.size())) {
        fault = {503, "the server holds too many large requests; try again later"};
        return beast_http::error::buffer_overflow;
    }
    lease->bytes += bytes.size();
    request.body.append(bytes.data(), bytes.size());
    return {};
}

std::size_t RequestReader::Impl::on_body_impl(string_view bytes, error_code& error) {
    error = add_body(bytes);
    return bytes.size();
}

std::size_t RequestReader::Impl::on_chunk_body_impl(std::uint64_t, string_view bytes,
                                                    error_code& error) {
    error = add_body(bytes);
    return bytes.size();
}

/// Checks the lines of a head, or of its part that is there; those before `from` were checked.
/// Returns false with a fault. The same heads pass in one piece and in many.
bool RequestReader::Impl::check_lines(std::string_view head, std::size_t from, bool complete) {
    const std::size_t line = head.substr(0, limits.request_line_bytes + 2).find("\r\n");
    // A part may already have one or three bytes of what ends the line or the head.
    if (line == std::string_view::npos &&
        head.size() > limits.request_line_bytes + (complete ? 0 : 1)) {
        fault = {414,
                 fmt::format("the request line has more than {} bytes", limits.request_line_bytes)};
    } else if (head.size() > limits.head_bytes + (complete ? 0 : 3)) {
        fault = {431, fmt::format("the head has more than {} bytes", limits.head_bytes)};
    } else if (!std::isalpha(static_cast<unsigned char>(head.front()))) {
        fault = {400, "the request does not begin with a method of HTTP"};
    }
    for (std::size_t at = head.find('\n', from); at != std::string_view::npos;
         at = head.find('\n', at + 1)) {
        if (at == 0 || head[at - 1] != '\r') fault = {400, "a line of the head ends without CR"};
    }
    if (head.find("\r\n ", from) != std::string_view::npos ||
        head.find("\r\n\t", from) != std::string_view::npos) {
        fault = {400, "the head has a folded field"};
    }
    return fault.message.empty();
}

/// Checks what the parser leaves open. Returns false with a fault.
bool RequestReader::Impl::check_head() {
    const auto count = [&](std::string_view name) {
        return std::count_if(request.fields.begin(), request.fields.end(),
                             [&](const HttpField& field) { return field.name == name; });
    };
    const auto bad = [&](int status, std::string message) {
        fault = {status, std::move(message)};
        return false;
    };
    const std::string* length = request.find("content-length");
    if (count("content-length") > 1 || (length && length->find(',') != std::string::npos)) {
        return bad(400, "the head has more than one Content-Length");
    }
    if (const std::string* coding = request.find("transfer-encoding")) {
        if (length != nullptr) return bad(400, "the head has Content-Length and Transfer-Encoding");
        if (request.minor_version == 0) return bad(400, "HTTP/1.0 has no Transfer-Encoding");
        if (count("transfer-encoding") > 1 || lower_case(*coding) != "chunked") {
            return bad(400, "a Transfer-Encoding other than 'chunked' is not supported");
        }
    }
    if (count("host") > 1 || (count("host") == 0 && request.minor_version == 1)) {
        return bad(400, "the head must have one Host field");
    }
    if (const std::string* expect = request.find("expect")) {
        if (lower_case(*expect) != "100-continue") {
            return bad(417, fmt::format("the expectation '{}' is not supported", *expect));
        }
        request.expects_continue = request.minor_version == 1;
    }
    if (request.path.empty()) return bad(400, "the request target is not a path");
    request.keep_alive = keep_alive();
    request.has_body = !is_done();
    return true;
}

RequestReader::Step RequestReader::Impl::read_head(std::string_view input, std::size_t& used) {
    // Some clients send an empty line behind the body of the request before.
    while (!begun && input.substr(used, 2) == "\r\n") used += 2;
    input.remove_prefix(used);
    begun = begun || !(input.empty() || input == "\r");
    if (!begun) return Step::more;
    const std::size_t from = scanned - std::min<std::size_t>(scanned, 3);
    const std::size_t end = input.find("\r\n\r\n", from);
    const bool complete = end != std::string_view::npos;
    if (!check_lines(input.substr(0, end), from, complete)) return Step::bad;
    if (!complete) {
        scanned = input.size();
        return Step::more;
    }
    error_code error;
    eager(false);  // the body waits until the head was checked
    used += put({input.data(), end + 4}, error);
    eager(true);
    if (auto path = path_of(request.target)) request.path = std::move(*path);
    if (error && fault.message.empty()) fault = fault_of(error, limits);
    if (error) return Step::bad;
    if (!is_header_done()) return fail(400, "the request is not valid HTTP");
    if (!check_head()) return Step::bad;
    head_done = true;
    return is_done() ? Step::done : Step::head;
}

RequestReader::Step RequestReader::Impl::read_body(std::string_view input, std::size_t& used) {
    while (!is_done() && used < input.size()) {
        // The parser never sees more than the longest line, so that a line has the same limit in
        // one piece and in many.
        const std::string_view window = input.substr(used, limits.chunk_line_bytes);
        error_code error;
        const std::size_t taken = put({window.data(), window.size()}, error);
        used += taken;
        if (error == beast_http::error::need_more) {
            if (taken > 0) continue;
            if (window.size() < limits.chunk_line_bytes) return Step::more;
            return fail(400, fmt::format("a line of the chunked body has more than {} bytes",
                                         limits.chunk_line_bytes));
        }
        if (error) {
            if (fault.message.empty()) fault = fault_of(error, limits);
            return Step::bad;
        }
    }
    return is_done() ? Step::done : Step::more;
}

RequestReader::Step RequestReader::Impl::feed(std::string_view input, std::size_t& used) {
    used = 0;
    if (!head_done) {
        const Step step = read_head(input, used);
        if (step != Step::done) return step;
    } else {
        const Step step = read_body(input, used);
        if (step != Step::done) return step;
    }
    request.body_lease = lease;
    return Step::done;
}

RequestReader::RequestReader(const HttpLimits& limits, std::shared_ptr<BodyBudget> budget)
    : impl_(std::make_unique<Impl>(limits, std::move(budget))) {}

RequestReader::~RequestReader() = default;

RequestReader::Step RequestReader::feed(std::string_view input, std::size_t& used) {
    return impl_->feed(input, used);
}

bool RequestReader::has_begun() const {
    return impl_->begun;
}

bool RequestReader::has_head() const {
    return impl_->head_done;
}

HttpRequest& RequestReader::request() {
    return impl_->request;
}

const HttpFault& RequestReader::fault() const {
    return impl_->fault;
}

}  // namespace molink::examples
