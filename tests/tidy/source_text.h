#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace molink::tidy {

/// A breach of a rule.
struct Violation {
    std::string path;
    std::size_t line = 0;  ///< from 1; 0: the whole file
    std::string what;
    /// Returns "path:line: what".
    std::string to_string() const;
};
using Violations = std::vector<Violation>;

/// A file of the tree, as it is and as code only.
struct SourceFile {
    SourceFile(std::string file_path, std::string_view text);

    std::string path;                ///< from the root of the repository, with '/'
    std::vector<std::string> lines;  ///< without newline
    std::vector<std::string> code;   ///< with spaces for comments and contents of literals

    bool is_under(std::string_view folder) const { return path.starts_with(folder); }
    bool has_extension(std::string_view extension) const { return path.ends_with(extension); }
    bool is_cpp() const;
    /// Returns the last part of the path.
    std::string_view name() const;
};

/// An #include directive.
struct Include {
    std::size_t line = 0;
    bool is_angled = false;
    std::string target;
};
std::vector<Include> includes_of(const SourceFile& file);

/// The body of a function, with the lines of its declaration.
struct Function {
    std::size_t first_line = 0;
    std::size_t line_count = 0;
};
/// Returns the functions (and test cases) outside other functions. This is a brace matcher for this
/// house style and no parser. It skips preprocessor lines. A block is a function when the text
/// before it has a parameter list and is no type, namespace or initialiser.
std::vector<Function> functions_of(const SourceFile& file);

}  // namespace molink::tidy
