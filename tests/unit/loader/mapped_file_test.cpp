// Mapped files: their content, empty files, and paths that are not regular files.
#include "loader/mapped_file.h"

#include <sys/stat.h>

#include <string>
#include <utility>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

TEST_CASE("a file is mapped as a whole", "[mapped_file]") {
    const TempDir dir;
    const std::string content(10'000, 'm');
    write_file(dir / "f", content);
    auto file = MappedFile::open(dir / "f");
    REQUIRE(file.has_value());
    CHECK(file->size() == content.size());
    CHECK(static_cast<char>(file->data()[9'999]) == 'm');
    MappedFile moved = std::move(file).value();
    CHECK(moved.size() == content.size());
    moved.will_need(4'000, 3'000);
    moved.dont_need(0, content.size());
    moved.dont_need(9'999, ~std::size_t{0});
    moved.dont_need(~std::size_t{0}, 5);
    CHECK(static_cast<char>(moved.data()[5'000]) == 'm');
    MappedFile other;
    other = std::move(moved);
    CHECK(moved.size() == 0);
    CHECK(other.path() == (dir / "f").string());
}

TEST_CASE("an empty file is mapped as no bytes", "[mapped_file]") {
    const TempDir dir;
    write_file(dir / "f", "");
    const auto file = MappedFile::open(dir / "f");
    REQUIRE(file.has_value());
    CHECK(file->size() == 0);
    CHECK(file->bytes().empty());
    file->will_need(0, 100);
}

TEST_CASE("a path that cannot be mapped is named", "[mapped_file]") {
    const TempDir dir;
    const auto missing = MappedFile::open(dir / "none");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code() == StatusCode::not_found);
    CHECK(missing.error().message() ==
          "open " + (dir / "none").string() + ": No such file or directory");
    const auto folder = MappedFile::open(dir.path());
    REQUIRE_FALSE(folder.has_value());
    CHECK(folder.error().code() == StatusCode::invalid_argument);
}

TEST_CASE("a pipe is refused without waiting for a writer", "[mapped_file]") {
    const TempDir dir;
    REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
    const auto file = MappedFile::open(dir / "pipe");
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().message().find("not a regular file") != std::string::npos);
}
