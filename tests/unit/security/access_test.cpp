// Who may join: the access file, its edits and its tokens.
#include <sys/stat.h>

#include <fstream>

#include "security/access_file.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

PublicKey new_key() {
    return make_key_pair().public_key;
}

Result<AccessList> parse(const std::string& text) {
    const auto lines = parse_lines(text);
    REQUIRE(lines.has_value());
    return AccessList::parse(*lines);
}

/// Looks twice, as a head does: a change counts when it lasts.
Result<bool> refresh(AccessFile& file) {
    const auto first = file.refresh();
    if (!first || *first) return first;
    return file.refresh();
}

std::string refusal(const std::string& text) {
    const auto list = parse(text);
    REQUIRE_FALSE(list.has_value());
    CHECK(list.error().code() == StatusCode::data_loss);
    return list.error().message();
}

}  // namespace

TEST_CASE("an access list knows keys, and tokens until they expire") {
    const PublicKey a = new_key();
    const PublicKey pass = new_key();
    const std::string text = "# people\n" + permit_line(a, "desk 1") + "  # upstairs\n\n" +
                             token_line(pass, {1000, false}) + "\n";
    const auto list = parse(text);
    REQUIRE(list.has_value());
    CHECK(list->access(a, 5000) == Access::member);
    CHECK(list->access(pass, 999) == Access::token);
    CHECK(list->access(pass, 1000) == Access::none);
    CHECK(list->access(new_key(), 0) == Access::none);
}

TEST_CASE("a line that is not understood is refused with its number") {
    const std::string key = key_text(new_key());
    CHECK(refusal("\nkeys " + key).find("line 2: 'keys' is neither") == 0);
    CHECK(refusal("key").find("line 1: 'key' without a key") == 0);
    CHECK(refusal("key abc").find("line 1: the public key has 3 characters") == 0);
    CHECK(refusal("key " + key + " two words").find("a name is one word") != std::string::npos);
    CHECK(refusal("key " + key + "\nkey " + key).find("is there twice") != std::string::npos);
    CHECK(refusal("token " + key).find("a token's line is") != std::string::npos);
    CHECK(refusal("token " + key + " until soon").find("'soon' is not a number") !=
          std::string::npos);
    CHECK(refusal("token " + key + " until 5 twice").find("a token's line is") !=
          std::string::npos);
}

TEST_CASE("edits of an access file keep the other lines and are seen by a head that runs") {
    const TempDir dir;
    const std::string path = (dir.path() / "head.access").string();
    const PublicKey a = new_key();
    const PublicKey b = new_key();
    REQUIRE(allow_key(path, a, "a").ok());
    std::ofstream(path, std::ios::app) << "# a comment\n";
    auto file = AccessFile::open(path);
    REQUIRE(file.has_value());
    CHECK((*file)->access(a) == Access::member);
    CHECK(refresh(**file).value() == false);
    REQUIRE(allow_key(path, b, "").ok());
    CHECK(allow_key(path, b, "").code() == StatusCode::failed_precondition);
    CHECK((*file)->access(b) == Access::none);
    CHECK(refresh(**file).value() == true);
    CHECK((*file)->access(b) == Access::member);
    REQUIRE(revoke_key(path, a).ok());
    CHECK(revoke_key(path, a).code() == StatusCode::not_found);
    CHECK(refresh(**file).value() == true);
    CHECK((*file)->access(a) == Access::none);
    std::ifstream text(path);
    const std::string all{std::istreambuf_iterator<char>(text), {}};
    CHECK(all == "# a comment\n" + permit_line(b, "") + "\n");

    std::ofstream(path) << "nonsense\n";
    CHECK(refresh(**file).error().code() == StatusCode::data_loss);
    CHECK((*file)->access(b) == Access::member);  // the former answers stay
    REQUIRE(::chmod(path.c_str(), 0622) == 0);
    CHECK(AccessFile::open(path).error().code() == StatusCode::failed_precondition);
    CHECK(AccessFile::open(path + "x").error().code() == StatusCode::not_found);
}

TEST_CASE("a revocation is seen although a key was introduced in between") {
    const TempDir dir;
    const std::string path = (dir.path() / "head.access").string();
    const auto token = add_join_token(path, new_key(), "tcp://h:1", 60, true);
    const PublicKey gone = new_key();
    REQUIRE(token.has_value());
    REQUIRE(allow_key(path, gone, "").ok());
    auto file = AccessFile::open(path);
    REQUIRE(file.has_value());
    REQUIRE(revoke_key(path, gone).ok());
    REQUIRE((*file)->enrol(token->pass.public_key, new_key(), "x").ok());
    CHECK((*file)->access(gone) == Access::none);
    CHECK(refresh(**file).value() == true);
    CHECK(refresh(**file).value() == false);
}

TEST_CASE("a token introduces one key, a reusable one several") {
    const TempDir dir;
    const std::string path = (dir.path() / "head.access").string();
    const auto once = add_join_token(path, new_key(), "tcp://h:1", 60, false);
    const auto often = add_join_token(path, new_key(), "tcp://h:1", 60, true);
    REQUIRE(once.has_value());
    REQUIRE(often.has_value());
    CHECK(add_join_token(path, new_key(), "tcp://h:1", 0, false).error().code() ==
          StatusCode::invalid_argument);
    CHECK(add_join_token(path, new_key(), "", 60, false).error().code() ==
          StatusCode::invalid_argument);
    auto file = AccessFile::open(path);
    REQUIRE(file.has_value());
    const PublicKey a = new_key();
    const PublicKey b = new_key();
    const PublicKey pass = once->pass.public_key;
    CHECK((*file)->access(pass) == Access::token);
    REQUIRE((*file)->enrol(pass, a, "a").ok());
    CHECK((*file)->access(a) == Access::member);
    CHECK((*file)->access(pass) == Access::none);
    CHECK((*file)->enrol(pass, b, "b").code() == StatusCode::failed_precondition);
    CHECK((*file)->access(b) == Access::none);
    for (const PublicKey& key : {b, new_key()}) {
        REQUIRE((*file)->enrol(often->pass.public_key, key, "x").ok());
        CHECK((*file)->access(key) == Access::member);
    }
    REQUIRE((*file)->enrol(often->pass.public_key, b, "again").ok());
    for (const PublicKey& bad : {often->pass.public_key, pass}) {
        if (bad == pass) REQUIRE(allow_key(path, bad, "a used token's key is a key as any").ok());
        const Status enrolled = (*file)->enrol(often->pass.public_key, bad, "x");
        INFO(enrolled.message());
        CHECK(enrolled.ok() == (bad == pass));
    }
    CHECK((*file)->access(often->pass.public_key) == Access::token);
    auto reopened = AccessFile::open(path);
    REQUIRE(reopened.has_value());
    CHECK((*reopened)->access(a) == Access::member);
    REQUIRE(revoke_key(path, often->pass.public_key).ok());
    REQUIRE(refresh(**file).value() == true);
    CHECK((*file)->enrol(often->pass.public_key, new_key(), "").code() ==
          StatusCode::failed_precondition);
}
