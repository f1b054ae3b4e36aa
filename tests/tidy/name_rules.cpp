// Checks type names across files. One name for two types misleads the reader, and in one namespace
// it breaks the one-definition rule, which neither compiler nor linker reports. Relies on blanked
// code and on this house style. The matcher may miss a type, but never invents one.
#include "name_rules.h"

#include <algorithm>
#include <map>
#include <regex>

namespace molink::tidy {
namespace {

class TypeFinder {
public:
    std::vector<TypeDefinition> run(const std::vector<std::string>& code) {
        bool in_directive = false;
        for (line_ = 1; line_ <= code.size(); ++line_) {
            const std::string& text = code[line_ - 1];
            const std::size_t first = text.find_first_not_of(' ');
            in_directive = in_directive || (first != std::string::npos && text[first] == '#');
            if (!in_directive) read(text);
            in_directive = in_directive && text.ends_with('\\');
        }
        return std::move(found_);
    }

private:
    enum class Block { scope, local_scope, other };

    void read(const std::string& text) {
        for (const char c : text) {
            if (c == '{') {
                open();
            } else if (c == '}') {
                if (!blocks_.empty()) blocks_.pop_back();
                head_.clear();
            } else if (c == ';') {
                add_alias();
                head_.clear();
            } else if (c != ' ' || !head_.empty()) {
                head_.push_back(c);
            }
        }
        if (!head_.empty()) head_.push_back(' ');
    }

    bool at_namespace_scope() const {
        return std::find(blocks_.begin(), blocks_.end(), Block::other) == blocks_.end();
    }

    void open() {
        static const std::regex scope(R"(^(inline\s+)?namespace\s*([\w:]*)\s*$)");
        static const std::regex type(R"(\b(?:class|struct|union|enum)\s+(?:class\s+)?)"
                                     R"((?:MOLINK_\w+\s+)?(\w+)\s*(?:final\s*)?(?::[^:(][^(]*)?$)");
        std::smatch match;
        Block block = Block::other;
        if (std::regex_search(head_, match, scope)) {
            const std::string name = match[2];
            const bool local = name.empty() || name.ends_with("HWY_NAMESPACE");
            block = local ? Block::local_scope : Block::scope;
        } else if (std::regex_search(head_, match, type)) {
            add(match[1]);
        }
        blocks_.push_back(block);
        head_.clear();
    }

    void add_alias() {
        static const std::regex alias(R"(^(?:template\s*<.*>\s*)?using\s+(\w+)\s*=)");
        std::smatch match;
        if (std::regex_search(head_, match, alias)) add(match[1]);
    }

    void add(const std::string& name) {
        if (!at_namespace_scope()) return;
        const bool local =
            std::find(blocks_.begin(), blocks_.end(), Block::local_scope) != blocks_.end();
        found_.push_back({line_, name, local});
    }

    std::vector<TypeDefinition> found_;
    std::vector<Block> blocks_;
    std::string head_;
    std::size_t line_ = 0;
};

struct Place {
    std::string path;
    TypeDefinition type;
};

}  // namespace

std::vector<TypeDefinition> types_of(const SourceFile& file) {
    return TypeFinder().run(file.code);
}

void check_type_names(const std::vector<SourceFile>& files, Violations& out) {
    std::map<std::string, std::vector<Place>> places;
    for (const SourceFile& file : files) {
        if (!file.is_cpp() || !(file.is_under("lib/") || file.is_under("include/"))) continue;
        for (TypeDefinition& type : types_of(file)) {
            places[type.name].push_back({file.path, std::move(type)});
        }
    }
    for (const auto& [name, found] : places) {
        const auto visible = std::find_if(
            found.begin(), found.end(), [](const Place& place) { return !place.type.file_local; });
        if (visible == found.end()) continue;
        for (auto place = found.begin(); place != found.end(); ++place) {
            if (place == visible) continue;
            out.push_back({place->path, place->type.line,
                           "a type " + name + " is also defined in " + visible->path + ":" +
                               std::to_string(visible->type.line)});
        }
    }
}

}  // namespace molink::tidy
