// Files that are read: their content, paths that are no regular files, and files that are
// truncated, replaced or written to while they are open.
#include "base/input_file.h"

#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>
#include <utility>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

void check_error(const Status& status, StatusCode code, const std::string& text) {
    INFO(status.to_string());
    CHECK(status.code() == code);
    CHECK(status.message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("bytes of a file are read from any offset", "[input_file]") {
    const TempDir dir;
    write_file(dir / "f", "0123456789");
    auto file = InputFile::open(dir / "f");
    REQUIRE(file.has_value());
    CHECK(file->size() == 10);
    const InputFile moved = std::move(file).value();
    CHECK(moved.path() == (dir / "f").string());
    std::array<std::byte, 3> out{};
    REQUIRE(moved.read(7, out).ok());
    CHECK(out == std::array{std::byte{'7'}, std::byte{'8'}, std::byte{'9'}});
    REQUIRE(moved.read(10, std::span(out).first(0)).ok());
    check_error(moved.read(8, out), StatusCode::data_loss, "ends at byte 10");
    check_error(moved.read(~std::uint64_t{0}, out), StatusCode::data_loss, "too far");
    REQUIRE(moved.check_unchanged(moved.identity()).ok());
    CHECK(read_file_text(dir / "f", 10).value() == "0123456789");
    check_error(read_file_text(dir / "f", 9).status(), StatusCode::data_loss,
                "10 bytes; at most 9");
}

TEST_CASE("a path that is no regular file is named", "[input_file]") {
    const TempDir dir;
    check_error(InputFile::open(dir / "none").status(), StatusCode::not_found,
                "open " + (dir / "none").string() + ": No such file or directory");
    check_error(InputFile::open(dir.path()).status(), StatusCode::invalid_argument, "regular file");
    REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
    check_error(InputFile::open(dir / "pipe").status(), StatusCode::invalid_argument,
                "not a regular file");
    check_error(read_file_text("/dev/zero", 100).status(), StatusCode::invalid_argument,
                "not a regular file");
}

TEST_CASE("a file that is truncated is data loss with the offset", "[input_file]") {
    const TempDir dir;
    write_file(dir / "f", std::string(10'000, 'x'));
    const auto file = InputFile::open(dir / "f");
    REQUIRE(file.has_value());
    std::filesystem::resize_file(dir / "f", 6'000);
    std::array<std::byte, 4'000> out{};
    REQUIRE(file->read(0, out).ok());
    check_error(file->read(4'000, out), StatusCode::data_loss,
                "it ends at byte 6000, but 2000 bytes more are needed; it had 10000 bytes");
    check_error(file->check_unchanged(file->identity()), StatusCode::data_loss,
                "it has 6000 bytes now; it had 10000");
}

TEST_CASE("a file that is replaced or written to is noticed", "[input_file]") {
    const TempDir dir;
    write_file(dir / "f", "old");
    const auto first = InputFile::open(dir / "f");
    REQUIRE(first.has_value());
    write_file(dir / "g", "new");
    std::filesystem::rename(dir / "g", dir / "f");
    const auto second = InputFile::open(dir / "f");
    REQUIRE(second.has_value());
    REQUIRE(first->check_unchanged(first->identity()).ok());  // the old one is unchanged
    check_error(second->check_unchanged(first->identity()), StatusCode::data_loss,
                "another file took its place");
    std::filesystem::last_write_time(
        dir / "f", std::filesystem::last_write_time(dir / "f") + std::chrono::milliseconds(1500));
    check_error(second->check_unchanged(second->identity()), StatusCode::data_loss,
                "it was written to since it was opened (its time of modification moved by 1.500 s");
}
