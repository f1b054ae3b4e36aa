// Tests that the frozen messages of every released protocol decode to their structs, and that the
// bytes of the current version do not change by accident. With MOLINK_WRITE_GOLDEN in the
// environment it first writes the files; data/wire/README.md says when that is right.
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "support/catch.h"
#include "wire/protocol.h"
#include "wire_samples.h"

namespace molink {
namespace {

const std::string kData = std::string(MOLINK_SOURCE_DIR) + "/tests/golden/data/wire/";

std::string path_of(const std::string& version, const std::string& name) {
    return kData + version + "/" + name + ".bin";
}

Bytes read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    INFO(path);
    REQUIRE(file);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return Bytes(bytes.begin(), bytes.end());
}

void write_file(const std::string& path, const Bytes& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    REQUIRE(file.good());
}

void check_decoding(const std::string& version, const std::vector<test::WireSample>& samples) {
    const bool write = std::getenv("MOLINK_WRITE_GOLDEN") != nullptr;
    for (const auto& sample : samples) {
        const std::string path = path_of(version, sample.name);
        if (write) write_file(path, encode_message(sample.message));
        const Bytes bytes = read_file(path);
        INFO(path);
        const auto decoded = decode_message(bytes);
        if (!decoded) FAIL(decoded.error().to_string());
        CHECK(decoded.value() == sample.message);
    }
}

}  // namespace

TEST_CASE("the samples cover every message once") {
    const auto samples = test::wire_samples_3_1();
    REQUIRE(samples.size() == std::variant_size_v<Message>);
    for (std::size_t i = 0; i < samples.size(); ++i) CHECK(samples[i].message.index() == i);
}

TEST_CASE("messages of protocol 3.0 decode to their structs") {
    check_decoding("3.0", test::wire_samples_3_0());
}

TEST_CASE("messages of protocol 3.1 decode to their structs") {
    check_decoding("3.1", test::wire_samples_3_1());
}

TEST_CASE("the current version's bytes are stable") {
    // For a new minor version, use the samples and the folder of that version here.
    REQUIRE(kProtocolMajor == 3);
    REQUIRE(kProtocolMinor == 1);
    for (const auto& sample : test::wire_samples_3_1()) {
        INFO(sample.name);
        const Bytes frozen = read_file(path_of("3.1", sample.name));
        CHECK(encode_message(sample.message) == frozen);
        const auto decoded = decode_message(frozen);
        REQUIRE(decoded);
        CHECK(encode_message(decoded.value()) == frozen);
    }
}

}  // namespace molink
