// Key pairs, their files and join tokens.
#include <sys/stat.h>

#include <molink/security.h>

#include "security/key_file.h"
#include "security/key_lock.h"
#include "security/keys.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

void write_secret(const std::string& path, const std::string& text) {
    write_file(path, text);
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
}

}  // namespace

TEST_CASE("a public key survives its text") {
    const KeyPair a = make_key_pair();
    const KeyPair b = make_key_pair();
    CHECK(a.public_key != b.public_key);
    const std::string text = key_text(a.public_key);
    CHECK(text.size() == 64);
    CHECK(parse_public_key(text).value() == a.public_key);
    CHECK(parse_public_key(text.substr(1)).error().message() ==
          "the public key has 63 characters; 64 are needed");
    std::string bad = text;
    bad[10] = 'x';
    CHECK(parse_public_key(bad).error().message() ==
          "the public key is not hexadecimal at character 11");
}

TEST_CASE("a key file is for its owner alone and is never replaced") {
    const TempDir dir;
    const std::string path = (dir.path() / "node.key").string();
    const KeyPair pair = make_key_pair();
    REQUIRE(write_key_file(path, pair).ok());
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    const auto read = read_key_file(path);
    REQUIRE(read.has_value());
    CHECK(read->public_key == pair.public_key);
    CHECK(read->secret_key.bytes == pair.secret_key.bytes);
    CHECK(write_key_file(path, make_key_pair()).code() == StatusCode::failed_precondition);
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    CHECK(read_key_file(path).error().code() == StatusCode::failed_precondition);
    CHECK(read_key_file(path + "x").error().code() == StatusCode::not_found);
    CHECK(read_key_file(dir.path().string()).error().code() == StatusCode::unavailable);
}

TEST_CASE("one worker uses a key file at a time") {
    const TempDir dir;
    const std::string path = (dir.path() / "node.key").string();
    CHECK(KeyLock::take(path).error().code() == StatusCode::unavailable);
    REQUIRE(write_key_file(path, make_key_pair()).ok());
    {
        auto first = KeyLock::take(path);
        REQUIRE(first.has_value());
        const KeyLock moved = std::move(*first);
        const Status second = KeyLock::take(path).status();
        CHECK(second.code() == StatusCode::failed_precondition);
        CHECK(second.message().starts_with("the key file " + path + " is used by another worker"));
        CHECK(second.message().find("--key FILE") != std::string::npos);
        CHECK(read_key_file(path).has_value());  // reading takes no lock
    }
    CHECK(KeyLock::take(path).has_value());
}

TEST_CASE("a damaged key file is refused with the line") {
    const TempDir dir;
    const std::string path = (dir.path() / "node.key").string();
    REQUIRE(write_key_file(path, make_key_pair()).ok());
    const std::string good = read_file(path);
    const auto refusal = [&](const std::string& text) {
        write_secret(path, text);
        const auto read = read_key_file(path);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().code() == StatusCode::data_loss);
        return read.error().message();
    };
    const std::size_t secret = good.find("\nsecret") + 1;
    CHECK(refusal("").find("it has no public key") != std::string::npos);
    CHECK(refusal(good.substr(0, secret)).find("it has no secret key") != std::string::npos);
    CHECK(refusal(good + good).find("line 5: a second public key") != std::string::npos);
    CHECK(refusal(good + "x y\n").find("line 4: 'x' is none of") != std::string::npos);
    CHECK(refusal(good + "one\n").find("two words, not 1") != std::string::npos);
    CHECK(refusal(good + "\x01\n").find("byte 0x01") != std::string::npos);
    const std::string other = key_text(make_key_pair().public_key);
    CHECK(refusal("public " + other + "\n" + good.substr(secret))
              .find("not that of the secret key") != std::string::npos);
}

TEST_CASE("a key file remembers the heads that know its key") {
    const TempDir dir;
    const std::string path = (dir.path() / "node.key").string();
    const PublicKey head = make_key_pair().public_key;
    REQUIRE(write_key_file(path, make_key_pair()).ok());
    CHECK(knows_head(path, head).value() == false);
    REQUIRE(remember_head(path, head).ok());
    CHECK(knows_head(path, head).value() == true);
    CHECK(knows_head(path, make_key_pair().public_key).value() == false);
    CHECK(read_key_file(path).has_value());
}

TEST_CASE("a join token is one word, and an incomplete copy is noticed") {
    const JoinToken token{"tcp://192.0.2.1:7100", make_key_pair().public_key, make_key_pair()};
    const std::string text = token_text(token);
    CHECK(text.find_first_of(" \n\t'\"$") == std::string::npos);
    const auto read = parse_token(text);
    REQUIRE(read.has_value());
    CHECK(read->address == token.address);
    CHECK(read->head_key == token.head_key);
    CHECK(read->pass.public_key == token.pass.public_key);
    CHECK(read->pass.secret_key.bytes == token.pass.secret_key.bytes);
    for (std::size_t length = 0; length < text.size(); ++length) {
        const auto part = parse_token(text.substr(0, length));
        REQUIRE_FALSE(part.has_value());
        REQUIRE(part.error().code() == StatusCode::invalid_argument);
    }
    for (std::size_t i = 8; i < text.size(); ++i) {
        std::string changed = text;
        changed[i] = changed[i] == '0' ? '1' : '0';
        REQUIRE_FALSE(parse_token(changed).has_value());
    }
}

TEST_CASE("a secret is overwritten at the end of its scope") {
    std::string text = "a secret that is longer than a small string";
    std::vector<std::uint8_t> bytes{1, 2, 3};
    {
        const WipedAtEnd text_wiped(text);
        const WipedAtEnd bytes_wiped(bytes);
        CHECK(text.front() == 'a');
    }
    CHECK(text == std::string(text.size(), '\0'));
    CHECK(bytes == std::vector<std::uint8_t>(3, 0));
}

TEST_CASE("words of a line are cut at spaces, and a comment ends the line") {
    const auto lines = parse_lines("  a\tbc  d # e\n\n# all\n x\r\n");
    REQUIRE(lines.has_value());
    REQUIRE(lines->size() == 2);
    CHECK(lines->at(0).words == std::vector<std::string>{"a", "bc", "d"});
    CHECK(lines->at(1).number == 4);
    CHECK(lines->at(1).words == std::vector<std::string>{"x"});
    CHECK(parse_lines("ok\nb\x01").error().message() == "line 2 has the byte 0x01, not text");
    CHECK(parse_lines("ok # \x01").has_value());
}
