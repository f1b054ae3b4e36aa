#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace molink::tidy {

/// A breach of a rule; to_string() gives "path:line: what".
struct Violation {
    std::string path;
    std::size_t line = 0;  ///< from 1; 0: the file as a whole
    std::string what;
    std::string to_string() const;
};
using Violations = std::vector<Violation>;

/// A file of the tree, as it is and without what is not code.
struct SourceFile {
    SourceFile(std::string file_path, std::string_view text);

    std::string path;                ///< from the root of the repository, with '/'
    std::vector<std::string> lines;  ///< without newline
    std::vector<std::string> code;   ///< the same, comments and contents of literals blanked

    bool is_under(std::string_view folder) const { return path.starts_with(folder); }
    bool has_extension(std::string_view extension) const { return path.ends_with(extension); }
    bool is_cpp() const;
    /// The last part of the path.
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
/// Functions (and test cases) outside other functions. A brace matcher for this house style, not a
/// parser: preprocessor lines are skipped, and a block is a function when its head has a parameter
/// list and is no type, namespace or initialiser.
std::vector<Function> functions_of(const SourceFile& file);

}  // namespace molink::tidy
