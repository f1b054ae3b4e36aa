// Reads the files of studies: machines, links and load. Units are those that people write: Mbit/s,
// ms, GiB and seconds. A device is a built-in name, or an object that may start from one (`like`).
// Measured times take precedence over the roofline.
#include <algorithm>

#include <molink/study.h>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "sim/json_reader.h"
#include "sim/study_load.h"

namespace molink {
namespace {

using sim::Json;
using sim::JsonReader;

void read_number(JsonReader& reader, const char* key, double low, double high, double& to) {
    reader.number(key, to);
    if (to >= low && to <= high) return;
    reader.fail(key, fmt::format("is {}; {} to {} are permitted", to, low, high));
}

void read_count(JsonReader& reader, const char* key, std::int32_t most, std::int32_t& to) {
    reader.integer(key, to);
    if (to >= 1 && to <= most) return;
    reader.fail(key, fmt::format("is {}; 1 to {} are permitted", to, most));
}

void read_points(JsonReader& reader, const char* key, std::vector<ProfilePoint>& to) {
    const Json* list = reader.get(key);
    if (list == nullptr) return;
    to.clear();
    const auto is_point = [](const Json& item) {
        return item.is_array() && item.size() == 2 && item[0].is_number() && item[1].is_number();
    };
    if (!list->is_array() || !std::all_of(list->begin(), list->end(), is_point)) {
        reader.fail(key, "is not a list of [rows, us] pairs");
        return;
    }
    for (const Json& item : *list) to.push_back({item[0].get<double>(), item[1].get<double>()});
}

void read_device_name(JsonReader& reader, const char* key, DeviceProfile& device) {
    std::string name;
    reader.text(key, name);
    if (name.empty()) return;
    auto found = device_profile(name);
    if (found) {
        device = std::move(*found);
    } else {
        reader.fail(key, "is '" + name + "': " + found.error().message());
    }
}

void read_device(JsonReader& reader, DeviceProfile& device) {
    read_device_name(reader, "like", device);
    reader.text("name", device.name);
    read_number(reader, "memory_gib", 0, 1e6, device.memory_gib);
    read_number(reader, "memory_gb_per_s", 0, 1e6, device.memory_gb_per_s);
    read_number(reader, "tflops", 0, 1e6, device.tflops);
    read_number(reader, "memory_efficiency", 0, 1, device.memory_efficiency);
    read_number(reader, "compute_efficiency", 0, 1, device.compute_efficiency);
    read_number(reader, "launch_us", 0, 1e6, device.launch_us);
    read_points(reader, "decode_us", device.decode);
    read_points(reader, "prefill_us", device.prefill);
    read_points(reader, "lm_head_us", device.lm_head);
}

void read_layers(JsonReader& reader, std::optional<LayerRange>& layers) {
    const Json* pair = reader.get("layers");
    if (pair == nullptr) return;
    if (pair->is_array() && pair->size() == 2 && (*pair)[0].is_number_unsigned() &&
        (*pair)[1].is_number_unsigned() && (*pair)[1] <= limits::kMaxLayers) {
        layers = LayerRange{(*pair)[0].get<std::int32_t>(), (*pair)[1].get<std::int32_t>()};
    }
    if (!layers || layers->empty()) reader.fail("layers", "is not a range [begin, end) of layers");
}

void read_study_node(JsonReader& reader, StudyNode& node) {
    reader.text("name", node.name);
    const Json* device = reader.get("device");
    if (device == nullptr) {
        reader.fail("device", "is missing; give a name or an object");
    } else if (device->is_object()) {
        reader.object("device", [&](JsonReader& item) { read_device(item, node.device); });
    } else {
        read_device_name(reader, "device", node.device);
    }
    read_number(reader, "memory_gib", 0, 1e6, node.memory_gib);
    reader.text("host", node.host);
    read_layers(reader, node.layers);
}

void read_study_link(JsonReader& reader, LinkModel& link) {
    double rate = link.bytes_per_s * 8e-6;
    double delay = static_cast<double>(link.delay_us) * 1e-3;
    double jitter = static_cast<double>(link.jitter_us) * 1e-3;
    read_number(reader, "mbit_per_s", 0, 1e7, rate);
    read_number(reader, "delay_ms", 0, 60'000, delay);
    read_number(reader, "jitter_ms", 0, 60'000, jitter);
    link.bytes_per_s = rate / 8e-6;
    link.delay_us = static_cast<std::int64_t>(delay * 1e3 + 0.5);
    link.jitter_us = static_cast<std::int64_t>(jitter * 1e3 + 0.5);
}

/// Reads links. An entry sets both directions, unless it has `one_way`.
void read_links(JsonReader& reader, StudyCluster& cluster) {
    std::vector<std::pair<SimLink, bool>> list;
    reader.list("links", list, [&](JsonReader& item, std::pair<SimLink, bool>& link) {
        link.first.model = cluster.link;
        item.text("from", link.first.from);
        item.text("to", link.first.to);
        item.boolean("one_way", link.second);
        read_study_link(item, link.first.model);
    });
    for (auto& [link, one_way] : list) {
        cluster.links.push_back(link);
        if (!one_way) cluster.links.push_back({link.to, link.from, link.model});
    }
}

void read_cluster(JsonReader& reader, StudyCluster& cluster) {
    reader.list("nodes", cluster.nodes, read_study_node);
    reader.list("hosts", cluster.hosts, [](JsonReader& item, StudyHost& host) {
        item.text("name", host.name);
        read_count(item, "cores", limits::kMaxThreads, host.cores);
        read_number(item, "part_us", 0, 1e6, host.part_us);
        read_number(item, "contention", 1, 100, host.contention);
    });
    reader.object("link", [&](JsonReader& link) { read_study_link(link, cluster.link); });
    read_links(reader, cluster);
    reader.text("split", cluster.split);
    reader.text("membership", cluster.membership);
    reader.text("lm_head", cluster.lm_head);
    reader.boolean("head_stage", cluster.head_stage);
    reader.boolean("direct_feedback", cluster.direct_feedback);
    reader.boolean("probe_links", cluster.probe_links);
    reader.integer("max_frame_bytes", cluster.max_frame_bytes);
    if (cluster.max_frame_bytes < 0 || cluster.max_frame_bytes > (1 << 24)) {
        reader.fail("max_frame_bytes",
                    fmt::format("is {}; 0 to {} are permitted", cluster.max_frame_bytes, 1 << 24));
    }
    read_count(reader, "max_running", limits::kMaxRunning, cluster.max_running);
    read_count(reader, "max_step_tokens", limits::kMaxStepTokens, cluster.max_step_tokens);
    read_count(reader, "max_slice_tokens", limits::kMaxStepTokens, cluster.max_slice_tokens);
    read_count(reader, "block_tokens", limits::kMaxBlockTokens, cluster.block_tokens);
}

/// Reads a number, {"uniform": [low, high]} or {"quantiles": [[share, tokens], ...]}.
void read_tokens(JsonReader& reader, const char* key, TokenQuantiles& to) {
    const Json* value = reader.get(key);
    if (value == nullptr) return;
    if (value->is_number()) {
        to = {{0, value->get<double>()}};
        return;
    }
    if (!value->is_object()) {
        reader.fail(key, "is neither a number nor an object");
        return;
    }
    to.clear();
    reader.object(key, [&](JsonReader& item) {
        const Json* uniform = item.get("uniform");
        if (uniform != nullptr && uniform->is_array() && uniform->size() == 2 &&
            (*uniform)[0].is_number() && (*uniform)[1].is_number()) {
            to = {{0, (*uniform)[0].get<double>()}, {1, (*uniform)[1].get<double>()}};
        }
        std::vector<ProfilePoint> points;
        read_points(item, "quantiles", points);
        for (const ProfilePoint& point : points) to.emplace_back(point.rows, point.us);
    });
    if (to.empty()) reader.fail(key, "has neither uniform [low, high] nor quantiles");
}

void read_arrivals(JsonReader& reader, StudyWorkload& workload) {
    reader.number("poisson", workload.poisson_per_s);
    reader.integer("streams", workload.streams);
    reader.integer("burst", workload.burst);
    reader.number("every_s", workload.burst_every_s);
    reader.text("trace", workload.trace_file);
    const int kinds = (workload.poisson_per_s != 0 ? 1 : 0) + (workload.streams != 0 ? 1 : 0) +
                      (workload.burst != 0 ? 1 : 0) + (workload.trace_file.empty() ? 0 : 1);
    if (kinds != 1) {
        reader.fail("poisson", "excludes streams, burst and trace; give exactly one of the four");
    }
}

void read_study_workload(JsonReader& reader, StudyWorkload& workload) {
    if (reader.get("arrivals") == nullptr) {
        reader.fail(
            "arrivals",
            "is missing; give {\"poisson\": 2}, {\"streams\": 16}, {\"burst\": 8, \"every_s\": 1} "
            "or {\"trace\": \"file.csv\"}");
    }
    reader.object("arrivals", [&](JsonReader& item) { read_arrivals(item, workload); });
    read_tokens(reader, "prompt_tokens", workload.prompt);
    read_tokens(reader, "output_tokens", workload.output);
    reader.integer("count", workload.count);
    reader.number("stop_s", workload.stop_s);
    reader.number("settle_s", workload.settle_s);
    reader.integer("seed", workload.seed);
}

template <typename Value, typename Read>
Result<Value> parse(std::string_view json, const char* what, Read read) {
    auto document = parse_json(json, what);
    if (!document) return Status(StatusCode::invalid_argument, document.error().message());
    Value value;
    Status status;
    {
        JsonReader reader(*document, what, "", status);
        read(reader, value);
    }
    MOLINK_RETURN_IF_ERROR(status);
    return value;
}

}  // namespace

Result<StudyCluster> parse_study_cluster(std::string_view json) {
    return parse<StudyCluster>(json, "cluster", read_cluster);
}

Result<StudyWorkload> parse_study_workload(std::string_view json) {
    MOLINK_ASSIGN_OR_RETURN(auto workload,
                            parse<StudyWorkload>(json, "workload", read_study_workload));
    if (workload.trace_file.empty()) MOLINK_RETURN_IF_ERROR(sim::check_workload(workload));
    return workload;
}

}  // namespace molink
