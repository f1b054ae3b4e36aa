// Reads the cluster file of molink-plan. Every value is read by name and checked. Unknown names are
// refused, so that a typing error does not lead to a wrong plan.
#include "plan/cluster_file.h"

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <molink/engine.h>

namespace molink::examples {
namespace {

using Json = nlohmann::json;

constexpr double kMiB = 1 << 20;
constexpr double kLargest = 1e15;             // largest number in a file; bytes stay far below 2^63
constexpr std::int32_t kMostLayers = 10'000;  // largest group; the planner has its own limit

std::int64_t mib_bytes(double mib) {
    return std::llround(std::min(mib, 1e9) * kMiB);
}

/// An object of the file. It remembers the first error and the names that were read.
class Reader {
public:
    Reader(const Json& json, std::string place, Status& error)
        : json_(json), place_(std::move(place)), error_(error) {
        if (!json_.is_object()) fail(fmt::format("{} is not an object", place_));
    }

    double number(const char* name, std::optional<double> fallback = {}) {
        const Json* value = find(name, !fallback);
        if (value == nullptr) return fallback.value_or(0);
        const double number = value->is_number() ? value->get<double>() : -1;
        if (number >= 0 && number <= kLargest) return number;
        fail(fmt::format("{}.{} is {}; a number from 0 to 1e15 is needed", place_, name,
                         value->dump()));
        return 0;
    }
    std::int32_t count(const char* name, std::optional<double> fallback = {}) {
        const double value = number(name, fallback);
        if (value == std::floor(value) && value <= 1e9) return static_cast<std::int32_t>(value);
        fail(fmt::format("{}.{} is {}; a whole number up to 1e9 is needed", place_, name, value));
        return 0;
    }
    std::int64_t mib(const char* name, std::optional<double> fallback = {}) {
        return mib_bytes(number(name, fallback));
    }
    /// Reads a number that may also have its former name.
    double renamed(const char* name, const char* old_name, double fallback) {
        const bool is_old = find(old_name, false) != nullptr;
        if (is_old && find(name, false) != nullptr) {
            fail(fmt::format("{} has both '{}' and '{}'; they are one value", place_, name,
                             old_name));
        }
        return number(is_old ? old_name : name, fallback);
    }
    std::string text(const char* name, std::optional<std::string> fallback = {}) {
        const Json* value = find(name, !fallback);
        if (value == nullptr) return fallback.value_or("");
        if (value->is_string()) return value->get<std::string>();
        fail(fmt::format("{}.{} is {}; a string is needed", place_, name, value->dump()));
        return {};
    }
    bool flag(const char* name) {
        const Json* value = find(name, false);
        if (value == nullptr) return false;
        if (value->is_boolean()) return value->get<bool>();
        fail(fmt::format("{}.{} is {}; true or false is needed", place_, name, value->dump()));
        return false;
    }
    /// Returns the value of `name`, or null if there is none.
    const Json& part(const char* name, bool needed) {
        static const Json none;
        const Json* value = find(name, needed);
        return value == nullptr ? none : *value;
    }
    void finish() {
        if (!json_.is_object()) return;
        for (const auto& item : json_.items()) {
            if (known_.contains(item.key())) continue;
            std::string names;
            for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
            fail(fmt::format("{} has '{}'; known are {}", place_, item.key(), names));
        }
    }
    void fail(const std::string& text) {
        if (error_.ok()) error_ = Status(StatusCode::invalid_argument, text);
    }
    const std::string& place() const { return place_; }

private:
    const Json* find(const char* name, bool needed) {
        known_.insert(name);
        if (!json_.is_object()) return nullptr;
        const auto found = json_.find(name);
        if (found != json_.end()) return &*found;
        if (needed) fail(fmt::format("{}.{} is missing", place_, name));
        return nullptr;
    }

    const Json& json_;
    std::string place_;
    Status& error_;
    std::set<std::string> known_;
};

class ClusterFile {
public:
    ClusterFile(const Json& root, EngineOptions options)
        : root_(root, "the cluster", error_), options_(std::move(options)) {}

    Result<PartitionInput> read() {
        read_model();
        read_nodes();
        if (error_.ok()) read_links();
        input_.fixed_order = root_.flag("fixed_order");
        input_.keep_all = root_.flag("keep_all");
        root_.finish();
        if (!error_.ok()) return error_;
        return std::move(input_);
    }

private:
    void read_model() {
        Reader model(root_.part("model", true), "model", error_);
        const std::string folder = model.text("folder", "");
        if (!folder.empty()) {
            options_.model_dir = folder;
            auto described = describe_partition(options_);
            if (!described) {
                if (error_.ok()) error_ = described.error().with_context("model.folder");
                return;
            }
            input_ = *described;
            model.finish();
            return;
        }
        PartitionModel& sizes = input_.model;
        read_layers(model);
        sizes.embedding_bytes = model.mib("embedding_mib", 0);
        sizes.lm_head_bytes = mib_bytes(model.renamed("lm_head_mib", "head_mib", 0));
        sizes.tied_embeddings = model.flag("tied");
        sizes.workspace_bytes = model.mib("workspace_mib", 0);
        sizes.block_tokens = options_.block_tokens;
        set_kv_bounds(sizes, model.count("context"), options_.max_running);
        sizes.activation_row_bytes =
            activation_row_bytes(options_.wire_type, model.count("hidden"));
        input_.objective = options_.objective;
        input_.lm_head = options_.lm_head;
        input_.workload = options_.workload();
        model.finish();
    }

    /// Reads the layers: a number of equal layers, or a list of groups.
    void read_layers(Reader& model) {
        const Json& layers = model.part("layers", true);
        if (!layers.is_array()) {
            add_layers(model, model.count("layers"), read_layer(model));
            return;
        }
        for (std::size_t i = 0; i < layers.size(); ++i) {
            Reader group(layers[i], fmt::format("model.layers[{}]", i), error_);
            PartitionLayer layer = read_layer(group);
            layer.state_bytes = group.mib("state_mib", 0);
            layer.decode_cost = group.number("decode_cost", 1);
            layer.prefill_cost = group.number("prefill_cost", 1);
            add_layers(group, group.count("count", 1), layer);
            group.finish();
        }
    }

    PartitionLayer read_layer(Reader& group) {
        PartitionLayer layer;
        layer.weight_bytes = group.mib("layer_mib");
        layer.kv_block_bytes = std::llround(std::min(group.number("kv_layer_token_bytes"), 1e9) *
                                            options_.block_tokens);
        return layer;
    }

    void add_layers(Reader& group, std::int32_t count, const PartitionLayer& layer) {
        auto& layers = input_.model.layers;
        if (count > kMostLayers) {
            group.fail(fmt::format("{} has {} layers; at most {} are permitted", group.place(),
                                   count, kMostLayers));
            return;
        }
        layers.insert(layers.end(), static_cast<std::size_t>(count), layer);
    }

    void read_nodes() {
        const Json& nodes = root_.part("nodes", true);
        if (!nodes.is_array() || nodes.empty()) {
            root_.fail("nodes is not a list of at least one node");
            return;
        }
        const bool apart = root_.flag("head_without_stage");
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            Reader node(nodes[i], fmt::format("nodes[{}]", i), error_);
            PartitionNode read;
            read.id = NodeId(static_cast<std::uint32_t>(i + (apart ? 1 : 0)));
            read.name = node.text("name");
            read.memory_bytes =
                std::llround(std::min(node.number("memory_gib"), 1e6) * kMiB * 1024);
            read.decode_layer_us = node.number("decode_layer_us");
            read.prefill_row_layer_us = node.number("prefill_row_layer_us", 0);
            read.decode_row_layer_us = node.number("decode_row_layer_us", 0);
            read.lm_head_row_us = node.renamed("lm_head_row_us", "head_row_us", 0);
            read_override(node, read);
            node.finish();
            if (!ids_.emplace(read.name, read.id).second) {
                node.fail(fmt::format("{}.name is '{}', which an earlier node has", node.place(),
                                      read.name));
            }
            input_.nodes.push_back(std::move(read));
        }
        input_.pin_first = !apart;
        if (apart) ids_.emplace("head", NodeId(0));
    }

    void read_override(Reader& node, PartitionNode& read) {
        const Json& layers = node.part("layers", false);
        if (layers.is_null()) return;
        if (!layers.is_array() || layers.size() != 2 || !layers[0].is_number_unsigned() ||
            !layers[1].is_number_unsigned()) {
            node.fail(fmt::format("{}.layers is {}; give the first and the last layer, as [0, 7]",
                                  node.place(), layers.dump()));
            return;
        }
        read.fixed = LayerRange{layers[0].get<std::int32_t>(), layers[1].get<std::int32_t>() + 1};
    }

    LinkModel read_link(Reader& link) {
        LinkModel model;
        model.bytes_per_s = link.number("mbit_per_s", 0) * 1e6 / 8;
        model.delay_us = std::llround(std::min(link.number("delay_ms", 0), 1e6) * 1000);
        return model;
    }

    void read_links() {
        LinkModel usual;
        if (const Json& json = root_.part("default_link", false); !json.is_null()) {
            Reader link(json, "default_link", error_);
            usual = read_link(link);
            link.finish();
        }
        for (const auto& [from_name, from] : ids_) {
            for (const auto& [to_name, to] : ids_) {
                if (from != to) input_.links.push_back({from, to, usual});
            }
        }
        const Json& links = root_.part("links", false);
        if (links.is_null()) return;
        if (!links.is_array()) return root_.fail("links is not a list");
        for (std::size_t i = 0; i < links.size(); ++i) {
            Reader link(links[i], fmt::format("links[{}]", i), error_);
            PartitionLink read;
            read.from = id_of(link, "from");
            read.to = id_of(link, "to");
            const bool both = link.flag("both_ways");
            read.model = read_link(link);
            link.finish();
            input_.links.push_back(read);
            if (both) input_.links.push_back({read.to, read.from, read.model});
        }
    }

    NodeId id_of(Reader& link, const char* end) {
        const std::string name = link.text(end);
        const auto found = ids_.find(name);
        if (found != ids_.end()) return found->second;
        link.fail(fmt::format("{}.{} is '{}', which is not a node", link.place(), end, name));
        return {};
    }

    Status error_;
    Reader root_;
    EngineOptions options_;
    PartitionInput input_;
    std::map<std::string, NodeId> ids_;
};

}  // namespace

Result<PartitionInput> read_cluster_file(const std::string& path, EngineOptions options) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    if (!file || !(text << file.rdbuf())) {
        return Status(StatusCode::not_found, fmt::format("{}: cannot be read", path));
    }
    const Json root = Json::parse(text.str(), nullptr, false);
    if (root.is_discarded()) {
        return Status(StatusCode::invalid_argument, fmt::format("{}: it is not valid JSON", path));
    }
    auto input = ClusterFile(root, std::move(options)).read();
    if (!input) return input.error().with_context(path);
    return input;
}

}  // namespace molink::examples
