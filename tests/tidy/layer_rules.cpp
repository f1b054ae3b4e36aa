// Compares the layers of lib/CMakeLists.txt with the includes of each file, checks the places of
// third-party headers, and finds files that no target or include reaches.
#include "layer_rules.h"

#include <algorithm>
#include <regex>
#include <sstream>

namespace molink::tidy {
namespace {

/// A third-party header (by prefix) and the places that may include it (by prefix).
struct Place {
    std::string_view header;
    std::vector<std::string_view> folders;
};

const std::vector<Place>& places() {
    static const std::vector<Place> table = {
        {"zmq", {"lib/transport/zmq_"}},
        {"sodium", {"lib/security/keys.cpp"}},
        {"flatbuffers/", {"lib/wire/"}},
        {"wire/molink_generated.h", {"lib/wire/"}},
        {"cuda", {"lib/backend/cuda/"}},
        {"cublas", {"lib/backend/cuda/"}},
        {"hwy/", {"lib/backend/cpu/"}},
        {"nlohmann/", {"lib/loader/", "lib/tokenizer/", "lib/sim/", "examples/"}},
        {"pcre2", {"lib/tokenizer/"}},
        {"utf8proc", {"lib/tokenizer/"}},
        {"boost/", {"examples/http/", "examples/serve/"}},
        {"openssl/", {"examples/http/", "examples/serve/"}},
        {"CLI/", {"examples/"}},
        {"catch2/", {"tests/support/catch.h"}},
        {"fmt/", {"lib/", "examples/"}},
    };
    return table;
}

/// Returns whether `target` is a header of the C or C++ library or of the system.
bool is_system_header(const std::string& target) {
    static const std::regex system(
        R"(^(sys/|linux/|netinet/|arpa/|[a-z]*intrin\.h$|(dlfcn|errno|fcntl|ifaddrs|netdb|poll)"
        R"(|pthread|sched|signal|stdbool|stddef|stdint|stdio|stdlib|string|unistd)\.h$))");
    const bool is_standard = target.find_first_of("./") == std::string::npos;
    return is_standard || std::regex_search(target, system);
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](std::string_view prefix) { return text.starts_with(prefix); });
}

const Place* place_of(const std::string& target) {
    for (const Place& place : places()) {
        if (target.starts_with(place.header)) return &place;
    }
    return nullptr;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line.substr(0, line.find('#')) + " ";
    return text;
}

std::string folder_of(const std::string& path) {
    return path.substr(0, path.find_last_of('/'));
}

/// Returns whether a CMakeLists.txt in or above the file's folder names the file or its glob.
bool is_in_target(const SourceFile& file, const std::vector<SourceFile>& files) {
    if (file.is_under("tests/unit/")) {
        // tests/CMakeLists.txt globs tests/unit/<module>/*.cpp.
        return std::count(file.path.begin(), file.path.end(), '/') == 3;
    }
    for (const SourceFile& cmake : files) {
        if (cmake.name() != "CMakeLists.txt") continue;
        const std::string folder = folder_of(cmake.path);
        if (!file.is_under(folder + "/")) continue;
        const std::string relative = file.path.substr(folder.size() + 1);
        const std::string glob = relative.substr(0, relative.size() - file.name().size()) + "*.cpp";
        const std::string text = joined(cmake.lines);
        if (text.find(relative) != std::string::npos) return true;
        if (text.find(" " + glob) != std::string::npos) return true;
    }
    return false;
}

}  // namespace

LayerTable parse_layers(const SourceFile& cmake) {
    static const std::regex call(R"(molink_module\(([^)]*)\))");
    const std::string text = joined(cmake.lines);
    LayerTable layers;
    for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it) {
        std::istringstream words((*it)[1]);
        std::string word, key, name;
        while (words >> word) {
            if (word == "NAME" || word == "DEPS" || word == "LINKS" || word == "LIBRARIES") {
                key = word;
            } else if (key == "NAME") {
                name = word;
                layers[name].insert(name);
            } else if (key == "DEPS") {
                layers[name].insert(word);
            }
        }
    }
    return layers;
}

std::string module_of(const SourceFile& file) {
    if (!file.is_under("lib/")) return "";
    const std::size_t begin = std::string_view("lib/").size();
    const std::size_t end = file.path.find('/', begin);
    return end == std::string::npos ? "" : file.path.substr(begin, end - begin);
}

void check_layers(const SourceFile& file, const LayerTable& layers, Violations& out) {
    if (!file.is_cpp() || !file.is_under("lib/")) return;
    const auto found = layers.find(module_of(file));
    if (found == layers.end()) {
        out.push_back({file.path, 0, "belongs to no module of lib/CMakeLists.txt"});
        return;
    }
    for (const Include& include : includes_of(file)) {
        if (include.is_angled) continue;
        const std::size_t slash = include.target.find('/');
        const std::string module = include.target.substr(0, std::min(slash, include.target.size()));
        if (slash == std::string::npos || layers.count(module) == 0) {
            out.push_back({file.path, include.line,
                           include.target + " is not a path from lib/ into a module"});
        } else if (found->second.count(module) == 0) {
            out.push_back(
                {file.path, include.line, found->first + " may not include " + include.target});
        }
    }
}

void check_unused_layers(const std::vector<SourceFile>& files, const LayerTable& layers,
                         Violations& out) {
    LayerTable used;
    for (const SourceFile& file : files) {
        if (!file.is_cpp()) continue;
        for (const Include& include : includes_of(file)) {
            used[module_of(file)].insert(include.target.substr(0, include.target.find('/')));
        }
    }
    for (const auto& [module, permitted] : layers) {
        for (const std::string& below : permitted) {
            if (below == module || used[module].count(below) != 0) continue;
            out.push_back({"lib/CMakeLists.txt", 0,
                           module + " may include " + below + ", but no file of it does"});
        }
    }
}

void check_third_party(const SourceFile& file, Violations& out) {
    if (!file.is_cpp()) return;
    for (const Include& include : includes_of(file)) {
        const bool is_ours = include.target.starts_with("molink/") ||
                             include.target == "molink.h" || include.target.starts_with("molink_");
        const Place* place = place_of(include.target);
        const bool is_test = file.is_under("tests/") && include.target.find("catch2") != 0;
        if (place != nullptr) {
            if (is_test || starts_with_any(file.path, place->folders)) continue;
            out.push_back(
                {file.path, include.line, include.target + " is included outside its place"});
        } else if (file.is_under("include/") && !is_ours && !is_system_header(include.target)) {
            out.push_back({file.path, include.line, "public header includes " + include.target});
        } else if (include.is_angled && !is_ours && !is_test && !is_system_header(include.target)) {
            out.push_back({file.path, include.line, "unknown header " + include.target});
        }
    }
}

void check_dead_files(const std::vector<SourceFile>& files, Violations& out) {
    std::set<std::string> targets;
    for (const SourceFile& file : files) {
        if (!file.is_cpp()) continue;
        for (const Include& include : includes_of(file)) {
            targets.insert(include.target);
            targets.insert(folder_of(file.path) + "/" + include.target);
        }
    }
    for (const SourceFile& file : files) {
        if (file.has_extension(".h") && (file.is_under("lib/") || file.is_under("tests/"))) {
            const std::string from_root = file.path.substr(file.path.find('/') + 1);
            if (targets.count(from_root) == 0 && targets.count(file.path) == 0) {
                out.push_back({file.path, 0, "no file includes this header"});
            }
        }
        if (file.has_extension(".cpp") && file.is_under("tests/") && !is_in_target(file, files)) {
            out.push_back({file.path, 0, "no CMakeLists.txt names this source"});
        }
    }
}

}  // namespace molink::tidy
