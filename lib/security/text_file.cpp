// Small files of keys, which people edit: lines, words, comments. The whole file is read before
// anything is parsed, and its permissions are those of what was read, not of what has the name
// later.
#include "security/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/limits.h"
#include "security/keys.h"

namespace molink {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/// Cuts one line. Errors: data_loss naming the line.
Result<TextLine> parse_line(std::string_view text, std::size_t number) {
    text = text.substr(0, text.find('#'));
    const auto bad = std::find_if(text.begin(), text.end(),
                                  [](char c) { return !is_space(c) && (c < ' ' || c > '~'); });
    if (bad != text.end()) {
        return make_error(StatusCode::data_loss, "line {} has the byte 0x{:02x}, not text", number,
                          static_cast<unsigned>(static_cast<unsigned char>(*bad)));
    }
    TextLine line{number, {}};
    while (true) {
        const auto begin = std::find_if_not(text.begin(), text.end(), is_space);
        const auto end = std::find_if(begin, text.end(), is_space);
        if (begin == end) return line;
        line.words.emplace_back(begin, end);
        text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
    }
}

/// Reads a file of at most limits::kMaxKeyFileBytes. Returns errno, 0 or EFBIG.
int read_all(int file, std::string& text) {
    text.resize(limits::kMaxKeyFileBytes + 1);
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(file, text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return size > limits::kMaxKeyFileBytes ? EFBIG : 0;
}

}  // namespace

Result<std::vector<TextLine>> parse_lines(std::string_view text) {
    std::vector<TextLine> lines;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        MOLINK_ASSIGN_OR_RETURN(TextLine line, parse_line(text.substr(0, end), number));
        if (!line.words.empty()) lines.push_back(std::move(line));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

TextFile::~TextFile() {
    wipe(text);
    for (TextLine& line : lines) {
        for (std::string& word : line.words) wipe(word);
    }
}

Result<TextFile> read_text_file(std::string_view what, const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return make_error(errno == ENOENT ? StatusCode::not_found : StatusCode::unavailable,
                          "read the {} {}: {}", what, path, std::strerror(errno));
    }
    TextFile file;
    struct stat info {};
    int error = ::fstat(descriptor, &info) != 0 ? errno : 0;
    const bool regular = S_ISREG(info.st_mode);
    if (error == 0 && regular) error = read_all(descriptor, file.text);
    ::close(descriptor);
    if (error == EFBIG) {
        return make_error(StatusCode::resource_exhausted,
                          "read the {} {}: it has more than {} bytes", what, path,
                          limits::kMaxKeyFileBytes);
    }
    if (error != 0 || !regular) {
        return make_error(StatusCode::unavailable, "read the {} {}: {}", what, path,
                          error == 0 ? "it is not a regular file" : std::strerror(error));
    }
    file.mode = info.st_mode;
    auto lines = parse_lines(file.text);
    if (!lines) return lines.error().with_context(fmt::format("read the {} {}", what, path));
    file.lines = std::move(*lines);
    return file;
}

Status cannot_write(std::string_view what, const std::string& path, int error) {
    return make_error(StatusCode::unavailable, "write the {} {}: {}", what, path,
                      std::strerror(error));
}

}  // namespace molink
