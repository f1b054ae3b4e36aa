// Flags from a file and from variables. The file has the form of TOML without sections: a line is
// KEY = VALUE, where the key is the name of a flag and the value a word, a text in quotes, or a
// list in brackets. CLI11 has a reader of its own, but it ignores keys that it does not know, and
// lets the file win over variables.
#include "common/flag_sources.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <istream>
#include <memory>
#include <set>

#include <fmt/format.h>

#include <molink/version.h>

namespace molink::examples {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

[[noreturn]] void refuse(std::size_t line, const std::string& what) {
    throw CLI::ConfigError(fmt::format("line {}: {}", line, what));
}

/// Takes a value off the front of `rest`: a text in quotes, or what comes before one of `ends`.
std::string take_value(std::string_view& rest, std::string_view ends, std::size_t line) {
    rest = trimmed(rest);
    const char quote = rest.empty() ? ' ' : rest.front();
    if (quote != '"' && quote != '\'') {
        const std::size_t end = std::min(rest.find_first_of(ends), rest.size());
        const std::string value(trimmed(rest.substr(0, end)));
        rest.remove_prefix(end);
        return value;
    }
    const std::size_t end = rest.find(quote, 1);
    if (end == std::string_view::npos) refuse(line, "the quote is not closed");
    const std::string value(rest.substr(1, end - 1));
    rest = trimmed(rest.substr(end + 1));
    return value;
}

/// Parses what follows `KEY =`.
std::vector<std::string> parse_values(std::string_view text, std::size_t line) {
    std::vector<std::string> values;
    std::string_view rest = trimmed(text);
    const bool list = rest.starts_with('[');
    if (list) {
        do {
            rest.remove_prefix(1);
            values.push_back(take_value(rest, ",]#", line));
        } while (rest.starts_with(','));
        if (!rest.starts_with(']')) refuse(line, "the list is not closed on its line");
        rest = trimmed(rest.substr(1));
    } else {
        values.push_back(take_value(rest, "#", line));
    }
    if (!rest.empty() && rest.front() != '#') {
        refuse(line, fmt::format("'{}' follows the value", rest));
    }
    return values;
}

std::string variable_of(const std::string& flag) {
    std::string name = "MOLINK_" + flag;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
        return c == '-' ? '_' : static_cast<char>(std::toupper(c));
    });
    return name;
}

/// Returns the name of a flag that may come from elsewhere, or an empty text.
std::string name_of(const CLI::Option& option) {
    const bool named = option.get_configurable() && !option.get_lnames().empty();
    return named ? option.get_lnames().front() : std::string();
}

/// Reads the file of --config. CLI11 calls it.
class FlagFile final : public CLI::ConfigBase {
public:
    FlagFile(const CLI::App& app, FlagSources sources) : app_(app), sources_(std::move(sources)) {}

    std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
        std::vector<CLI::ConfigItem> items;
        std::set<std::string> seen;
        std::string text;
        for (std::size_t line = 1; std::getline(input, text); ++line) {
            const std::string_view content = trimmed(text);
            if (content.empty() || content.front() == '#') continue;
            CLI::ConfigItem item = parse(content, line);
            if (!seen.insert(item.name).second) {
                refuse(line, fmt::format("'{}' is there twice", item.name));
            }
            if (!comes_from_variable(item.name)) items.push_back(std::move(item));
        }
        return items;
    }

private:
    CLI::ConfigItem parse(std::string_view content, std::size_t line) const {
        if (content.front() == '[') refuse(line, fmt::format("{}: there are no sections", content));
        const std::size_t equals = content.find('=');
        if (equals == std::string_view::npos) refuse(line, "it is not KEY = VALUE");
        CLI::ConfigItem item;
        item.name = trimmed(content.substr(0, equals));
        const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
        if (option == nullptr || name_of(*option) != item.name) {
            refuse(line, fmt::format("'{}' is unknown; keys are names of flags, such as '{}'",
                                     item.name, "threads"));
        }
        if (contains(sources_.secrets, item.name)) {
            refuse(line, fmt::format("'{}' is a secret, which a file must not hold; use the "
                                     "variable {}",
                                     item.name, variable_of(item.name)));
        }
        item.inputs = parse_values(content.substr(equals + 1), line);
        if (contains(sources_.key_files, item.name)) check_files(item, line);
        return item;
    }

    static void check_files(const CLI::ConfigItem& item, std::size_t line) {
        for (const std::string& path : item.inputs) {
            std::error_code error;
            if (std::filesystem::exists(path, error)) continue;
            // The value may be a key: it is not shown.
            refuse(line, fmt::format("'{}' does not name a file; a file of flags may hold names of "
                                     "key files, but no keys",
                                     item.name));
        }
    }

    static bool contains(const std::vector<std::string>& names, const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    }

    bool comes_from_variable(const std::string& name) const {
        if (!sources_.variables) return false;
        const char* value = std::getenv(variable_of(name).c_str());
        return value != nullptr && *value != '\0';
    }

    const CLI::App& app_;
    FlagSources sources_;
};

}  // namespace

void add_flag_sources(CLI::App& app, const FlagSources& sources) {
    app.set_version_flag("--version", version_text());
    for (CLI::Option* option : app.get_options()) {
        const std::string name = name_of(*option);
        // A variable has one value.
        if (name.empty() || !sources.variables || option->get_expected_min() > 1) continue;
        option->envname(variable_of(name));
    }
    const std::string variable = variable_of("config");
    const char* file = sources.variables ? std::getenv(variable.c_str()) : nullptr;
    const bool given = file != nullptr && *file != '\0';
    app.set_config("--config", given ? file : "",
                   sources.variables
                       ? "file of flags, one 'NAME = VALUE' a line (Env:" + variable + ")"
                       : "file of flags, one 'NAME = VALUE' a line",
                   given);
    app.config_formatter(std::make_shared<FlagFile>(app, sources));
}

std::optional<int> parse_flags(CLI::App& app, int argc, const char* const* argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ConfigError& error) {
        const auto file = app.get_config_ptr()->as<std::string>();
        return app.exit(CLI::ConfigError(fmt::format("--config {}: {}", file, error.what()))) == 0
                   ? 0
                   : 2;
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return std::nullopt;
}

}  // namespace molink::examples
