// Source files as text: blanks comments and literals, and finds includes and the extent of
// functions. It is made for one house style. It may miss what it does not understand, so rules may
// miss a breach but never invent one.
#include "source_text.h"

#include <algorithm>
#include <cctype>
#include <regex>

namespace molink::tidy {
namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Replaces comments and the contents of literals by spaces; newlines stay.
class Blanker {
public:
    explicit Blanker(std::string_view text) : text_(text), out_(text) {}

    std::string run() {
        while (at_ < text_.size()) step();
        return std::move(out_);
    }

private:
    void step() {
        const std::string_view rest = text_.substr(at_);
        if (rest.starts_with("//")) {
            blank_until(text_.find('\n', at_));
        } else if (rest.starts_with("/*")) {
            blank_past("*/", at_ + 2);
        } else if (rest.starts_with("R\"") && (at_ == 0 || !is_word(text_[at_ - 1]))) {
            const std::size_t open = text_.find('(', at_);
            blank_past(")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"", open);
        } else if (rest[0] == '"') {
            literal('"');
        } else if (rest[0] == '\'' && (at_ == 0 || !is_word(text_[at_ - 1]))) {
            literal('\'');
        } else {
            ++at_;
        }
    }

    void literal(char quote) {
        ++at_;
        while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
            const std::size_t count = text_[at_] == '\\' ? 2 : 1;
            blank_until(std::min(at_ + count, text_.size()));
        }
        ++at_;
    }

    void blank_past(const std::string& end, std::size_t from) {
        const std::size_t found = text_.find(end, from);
        blank_until(found == std::string_view::npos ? found : found + end.size());
    }

    void blank_until(std::size_t end) {
        for (end = std::min(end, text_.size()); at_ < end; ++at_) {
            if (text_[at_] != '\n') out_[at_] = ' ';
        }
    }

    std::string_view text_;
    std::string out_;
    std::size_t at_ = 0;
};

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

/// Finds function bodies in blanked code.
class FunctionFinder {
public:
    std::vector<Function> run(const std::vector<std::string>& code) {
        bool in_directive = false;
        for (line_ = 1; line_ <= code.size(); ++line_) {
            const std::string& text = code[line_ - 1];
            const std::size_t first = text.find_first_not_of(' ');
            const bool is_directive = first != std::string::npos && text[first] == '#';
            if (in_directive || is_directive) {
                in_directive = text.ends_with('\\');
                continue;
            }
            for (const char c : text) read(c);
            if (!head_.empty()) head_.push_back(' ');
        }
        return std::move(found_);
    }

private:
    enum class Block { scope, function, other };

    void read(char c) {
        if (c == '{') {
            open();
        } else if (c == '}') {
            close();
        } else if (depth_of_function_ > 0) {
            return;
        } else if (c == ';' && parens_ == 0) {
            head_.clear();
        } else if (c == ':' && (head_ == "public" || head_ == "private" || head_ == "protected")) {
            head_.clear();
        } else if (c != ' ' || !head_.empty()) {
            if (head_.empty()) head_line_ = line_;
            if (c == '(') ++parens_;
            if (c == ')') --parens_;
            head_.push_back(c);
        }
    }

    void open() {
        const Block block = depth_of_function_ > 0 ? Block::other : classify();
        blocks_.push_back(block);
        if (block == Block::function) {
            depth_of_function_ = blocks_.size();
            start_line_ = head_line_;
        }
        if (block != Block::other) head_.clear();
    }

    void close() {
        if (blocks_.empty()) return;
        if (blocks_.size() == depth_of_function_) {
            found_.push_back(Function{start_line_, line_ - start_line_ + 1});
            depth_of_function_ = 0;
        }
        // After an initialiser the statement continues. Inside a function no text is kept.
        const bool goes_on = blocks_.back() == Block::other && depth_of_function_ == 0;
        if (goes_on) {
            head_.push_back('}');
        } else {
            head_.clear();
            parens_ = 0;
        }
        blocks_.pop_back();
    }

    /// Classifies the block of this brace by head_, the text after the last block or statement.
    Block classify() const {
        static const std::regex scope(R"(^(template\s*<.*>\s*)?(inline\s+|typedef\s+)?)"
                                      R"((namespace|class|struct|union|enum|extern)\b)");
        static const std::regex member_init(R"(\)\s*(noexcept\s*)?:.*[\w>]\s*$)");
        static const std::regex operator_name(R"(operator\s*[=!<>]+)");
        const bool has_parameters = head_.find('(') != std::string::npos;
        const bool is_function_template =
            std::regex_search(head_, std::regex(R"(>\s*\w.*\()")) && head_.starts_with("template");
        if (std::regex_search(head_, scope) && !is_function_template) {
            return head_.starts_with("extern") && has_parameters ? Block::function : Block::scope;
        }
        if (!has_parameters || parens_ > 0) return Block::other;
        if (std::regex_search(head_, member_init)) return Block::other;
        const std::string plain = std::regex_replace(head_, operator_name, "operator");
        const std::string before = plain.substr(0, plain.find('('));
        return before.find('=') == std::string::npos ? Block::function : Block::other;
    }

    std::vector<Function> found_;
    std::vector<Block> blocks_;
    std::string head_;
    std::size_t line_ = 0;
    std::size_t head_line_ = 0;
    std::size_t start_line_ = 0;
    std::size_t depth_of_function_ = 0;  ///< blocks_.size() in the function's block; 0: in none
    int parens_ = 0;
};

}  // namespace

std::string Violation::to_string() const {
    return path + ":" + std::to_string(line) + ": " + what;
}

SourceFile::SourceFile(std::string file_path, std::string_view text)
    : path(std::move(file_path)), lines(split_lines(text)) {
    code = is_cpp() ? split_lines(Blanker(text).run()) : lines;
}

bool SourceFile::is_cpp() const {
    return has_extension(".h") || has_extension(".c") || has_extension(".cpp") ||
           has_extension(".cu") || has_extension(".cuh");
}

std::string_view SourceFile::name() const {
    return std::string_view(path).substr(path.find_last_of('/') + 1);
}

std::vector<Include> includes_of(const SourceFile& file) {
    static const std::regex directive(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
    std::vector<Include> includes;
    std::smatch match;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
        if (!std::regex_search(file.lines[i], match, directive)) continue;
        includes.push_back(Include{i + 1, match[1] == "<", match[2]});
    }
    return includes;
}

std::vector<Function> functions_of(const SourceFile& file) {
    return FunctionFinder().run(file.code);
}

}  // namespace molink::tidy
