// The file of a key pair: a line for each half, and one for each head that a token has introduced
// the key to. A file that others may read is refused, as ssh does, because it would be a secret no
// longer.
#include "security/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "base/error.h"
#include "base/limits.h"
#include "security/keys.h"
#include "security/text_file.h"

namespace molink {
namespace {

constexpr std::string_view kPublic = "public";
constexpr std::string_view kSecret = "secret";
constexpr std::string_view kHead = "head";

/// Which halves of the pair have been read.
struct Halves {
    bool has_public = false;
    bool has_secret = false;
};

/// Reads one half of the pair, which may be there once.
Status read_half(std::string_view what, const std::string& word, std::span<std::uint8_t> bytes,
                 bool& seen) {
    if (seen) return invalid_argument("a second {}", what);
    seen = true;
    return parse_bytes(what, word, bytes);
}

Status read_line(const TextLine& line, KeyFile& file, Halves& halves) {
    if (line.words.size() != 2) {
        return invalid_argument("a line of a key file has two words, not {}", line.words.size());
    }
    const std::string& kind = line.words[0];
    const std::string& text = line.words[1];
    if (kind == kPublic) {
        return read_half("public key", text, file.pair.public_key.bytes, halves.has_public);
    }
    if (kind == kSecret) {
        return read_half("secret key", text, file.pair.secret_key.bytes, halves.has_secret);
    }
    if (kind != kHead) {
        return invalid_argument("'{}' is none of '{}', '{}' and '{}'", kind, kPublic, kSecret,
                                kHead);
    }
    MOLINK_ASSIGN_OR_RETURN(const PublicKey head, parse_public_key(text));
    file.heads.insert(head);
    return {};
}

Result<KeyFile> read_file(const std::string& path) {
    MOLINK_ASSIGN_OR_RETURN(const TextFile text, read_text_file("key file", path));
    if ((text.mode & (S_IRWXG | S_IRWXO)) != 0) {
        return make_error(StatusCode::failed_precondition,
                          "the key file {} may be read or written by others (mode {:04o}); "
                          "change it to 0600",
                          path, text.mode & 07777);
    }
    auto file = parse_key_file(text.lines);
    if (!file) return file.error().with_context("read the key file " + path);
    return file;
}

/// Writes to an open file and closes it.
Status write_and_close(int file, const std::string& path, std::string_view text) {
    const ssize_t written = ::write(file, text.data(), text.size());
    int error = written < 0 ? errno : 0;
    if (error == 0 && written != std::ssize(text)) error = ENOSPC;
    if (::close(file) != 0 && error == 0) error = errno;
    return error == 0 ? Status() : cannot_write("key file", path, error);
}

}  // namespace

Result<KeyFile> parse_key_file(std::span<const TextLine> lines) {
    KeyFile file;
    Halves halves;
    for (const TextLine& line : lines) {
        const Status read = read_line(line, file, halves);
        if (!read.ok()) {
            return make_error(StatusCode::data_loss, "line {}: {}", line.number, read.message());
        }
    }
    if (!halves.has_public || !halves.has_secret) {
        return make_error(StatusCode::data_loss, "it has no {} key",
                          halves.has_public ? kSecret : kPublic);
    }
    if (!belong_together(file.pair)) {
        return Status(StatusCode::data_loss, "the public key is not that of the secret key");
    }
    return file;
}

Status write_key_file(const std::string& path, const KeyPair& pair) {
    std::string secret = bytes_text(pair.secret_key.bytes);
    const WipedAtEnd secret_wiped(secret);
    std::string text = fmt::format(
        "# A key pair of molink. Keep it secret; give others only the public key.\n"
        "{} {}\n{} {}\n",
        kPublic, key_text(pair.public_key), kSecret, secret);
    const WipedAtEnd text_wiped(text);
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 && errno == EEXIST) {
        return make_error(StatusCode::failed_precondition,
                          "write the key file {}: it exists and is not replaced", path);
    }
    if (file < 0) return cannot_write("key file", path, errno);
    const Status written = write_and_close(file, path, text);
    if (!written.ok()) ::unlink(path.c_str());
    return written;
}

Result<KeyPair> read_key_file(const std::string& path) {
    MOLINK_ASSIGN_OR_RETURN(const KeyFile file, read_file(path));
    return file.pair;
}

Result<bool> knows_head(const std::string& path, const PublicKey& head) {
    MOLINK_ASSIGN_OR_RETURN(const KeyFile file, read_file(path));
    return file.heads.contains(head);
}

Status remember_head(const std::string& path, const PublicKey& head) {
    const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0) return cannot_write("key file", path, errno);
    return write_and_close(file, path, fmt::format("\n{} {}\n", kHead, key_text(head)));
}

}  // namespace molink
