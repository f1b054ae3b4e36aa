// The text of heads, and the path of a request target. Paths are normalised here once, so that the
// router compares plain strings: clients often join a base address and a path with two slashes.
#include "http/http_message.h"

#include <array>
#include <ctime>

#include <fmt/format.h>
#include <boost/beast/http/status.hpp>

namespace molink::examples {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Decodes %XX. Returns nothing for a wrong or a zero byte.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]);
        const int low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::string date_text() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                       kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                       kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                       parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

const std::string* HttpRequest::find(std::string_view name) const {
    for (const HttpField& field : fields) {
        if (field.name == name) return &field.value;
    }
    return nullptr;
}

std::string head_text(const HttpReply& reply, int minor_version, bool keep_alive,
                      BodyFraming framing) {
    const auto reason = boost::beast::http::obsolete_reason(
        boost::beast::http::int_to_status(static_cast<unsigned>(reply.status)));
    std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", reply.status,
                                   std::string_view(reason.data(), reason.size()), date_text());
    if (!reply.type.empty()) text += fmt::format("Content-Type: {}\r\n", reply.type);
    for (const HttpField& field : reply.fields) {
        text += fmt::format("{}: {}\r\n", field.name, field.value);
    }
    if (framing == BodyFraming::chunked) {
        text += "Transfer-Encoding: chunked\r\n";
    } else if (framing == BodyFraming::length && reply.status != 204) {
        text += fmt::format("Content-Length: {}\r\n", reply.body.size());
    }
    if (!keep_alive) {
        text += "Connection: close\r\n";
    } else if (minor_version == 0) {
        text += "Connection: keep-alive\r\n";
    }
    return text + "\r\n";
}

std::optional<std::string> path_of(std::string_view target) {
    if (const std::size_t scheme = target.find("://");
        scheme != std::string_view::npos && target.front() != '/') {
        const std::size_t slash = target.find('/', scheme + 3);
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    if (target == "*") return std::string("*");
    target = target.substr(0, target.find_first_of("?#"));
    if (target.empty() || target.front() != '/') return std::nullopt;
    const auto plain = decoded(target);
    if (!plain) return std::nullopt;
    std::string path;
    for (char c : *plain) {
        if (c != '/' || path.empty() || path.back() != '/') path += c;
    }
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

}  // namespace molink::examples
