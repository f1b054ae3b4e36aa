// The built-in links and loads, the syntax of others, and the name of a measurement, by which a
// later run finds it in the file.
#include "cell.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

namespace molink::bench {
namespace {

std::vector<LinkShape> known_links() {
    return {
        {"1000M-1ms", 1000, 1000, 1, 0},  {"100M-15ms", 100, 100, 15, 0},
        {"100M-30ms", 100, 100, 30, 0},   {"30M-50ms", 30, 30, 50, 0},
        {"100/10M-15ms", 100, 10, 15, 0}, {"100M-30ms-jitter", 100, 100, 30, 15},
    };
}

std::vector<Workload> known_workloads() {
    return {
        {"1", 1, 0, 0},     {"8", 8, 0, 0},           {"32", 32, 0, 0},
        {"128", 128, 0, 0}, {"mixed45", 16, 0.45, 0}, {"mixed75", 16, 0.75, 0},
    };
}

template <typename T>
std::vector<std::string> names_of(const std::vector<T>& all) {
    std::vector<std::string> names;
    for (const T& one : all) names.push_back(one.name);
    return names;
}

template <typename T>
const T* find_name(const std::vector<T>& all, const std::string& name) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const T& one) { return one.name == name; });
    return found == all.end() ? nullptr : &*found;
}

/// Reads a text from the front. The methods return false when the text does not go on as wanted.
class Reader {
public:
    explicit Reader(std::string_view rest) : rest_(rest) {}
    template <typename Number>
    bool number(Number& to) {
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), to);
        if (error != std::errc() || to < 0) return false;
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return true;
    }
    bool word(std::string_view expected) {
        if (rest_.substr(0, expected.size()) != expected) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }
    bool over() const { return rest_.empty(); }

private:
    std::string_view rest_;
};

bool read_link(Reader reader, LinkShape& link) {
    if (!reader.number(link.up_mbit_per_s)) return false;
    link.down_mbit_per_s = link.up_mbit_per_s;
    if (reader.word("/") && !reader.number(link.down_mbit_per_s)) return false;
    if (!reader.word("M-") || !reader.number(link.delay_ms) || !reader.word("ms")) return false;
    if (reader.word("-") && (!reader.number(link.jitter_ms) || !reader.word("ms"))) return false;
    return reader.over() && std::min(link.up_mbit_per_s, link.down_mbit_per_s) > 0;
}

bool read_workload(Reader reader, Workload& workload) {
    if (!reader.word("mixed:")) return reader.number(workload.streams) && reader.over();
    double rate = 0;
    if (!reader.number(workload.streams) || !reader.word(":") || !reader.number(rate)) return false;
    (reader.word("%") ? workload.load : workload.prompts_per_s) = rate;
    workload.load /= 100;
    return reader.over() && workload.mixed();
}

}  // namespace

std::string Cell::group() const {
    return fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}{}", system.name, system.nodes, system.wire,
                       system.local_stage, system.direct_feedback, link.name, workload.name,
                       scheduler, transmit, step_tokens, keys ? "|keys" : "");
}

std::string Cell::key() const {
    return fmt::format("{}|{}", group(), round);
}

std::vector<std::string> link_names() {
    return names_of(known_links());
}

std::vector<std::string> workload_names() {
    return names_of(known_workloads());
}

LinkShape parse_link(const std::string& text) {
    const std::vector<LinkShape> known = known_links();
    if (const LinkShape* found = find_name(known, text)) return *found;
    LinkShape link;
    link.name = text;
    if (read_link(Reader(text), link)) return link;
    throw std::runtime_error(
        fmt::format("link '{}' is neither a known name nor UP[/DOWN]M-DELAYms[-JITTERms]", text));
}

Workload parse_workload(const std::string& text) {
    const std::vector<Workload> known = known_workloads();
    if (const Workload* found = find_name(known, text)) return *found;
    Workload workload;
    workload.name = text;
    if (read_workload(Reader(text), workload) && workload.streams > 0) return workload;
    throw std::runtime_error(fmt::format(
        "load '{}' is neither a known name, nor a number of streams, nor mixed:STREAMS:RATE",
        text));
}

}  // namespace molink::bench
