#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

namespace molink {

/// A line of a file of keys, cut at spaces and tabs. `#` begins a comment.
struct TextLine {
    std::size_t number = 0;  ///< from 1
    std::vector<std::string> words;
};

/// What was read of a file at once. It may hold secrets: the destructor overwrites it.
struct TextFile {
    std::string text;             ///< as it is
    std::vector<TextLine> lines;  ///< of the text, without empty ones
    unsigned mode = 0;            ///< of stat()

    TextFile() = default;
    TextFile(TextFile&&) = default;
    TextFile& operator=(TextFile&&) = delete;
    ~TextFile();
};

/// Cuts text into lines and words. Errors: data_loss for a byte that is not printable ASCII.
Result<std::vector<TextLine>> parse_lines(std::string_view text);

/// Reads a small file. `what` names its kind in errors. Errors: not_found, unavailable (cannot be
/// read), data_loss (not text), resource_exhausted (more than limits::kMaxKeyFileBytes).
Result<TextFile> read_text_file(std::string_view what, const std::string& path);

/// The error of writing such a file, from `errno`.
Status cannot_write(std::string_view what, const std::string& path, int error);

}  // namespace molink
