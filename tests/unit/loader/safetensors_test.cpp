// Safetensors files that are valid, and many that are not. Each hostile file must be refused with
// data_loss and a message that names the file. A file that changes after its header was read is
// refused, with the tensor and the offset.
#include "loader/safetensors.h"

#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "loader/safetensors_header.h"
#include "safetensors_builder.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

// Returns a file with two tensors of 16 and 6 bytes.
std::string small_file() {
    std::string data(22, '\0');
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i + 1);
    return safetensors_file("{\"__metadata__\":{\"format\":\"pt\"}," +
                                tensor_entry("a", "F32", "[2,2]", "[0,16]") + "," +
                                tensor_entry("b", "BF16", "[3]", "[16,22]") + "}",
                            data);
}

Status open_text(const TempDir& dir, const std::string& content) {
    write_file(dir / "x.safetensors", content);
    return SafetensorsFile::open(dir / "x.safetensors").status();
}

Bytes bytes_of(const SafetensorsFile& file, const std::string& name) {
    const StoredTensor tensor = file.find(name).value();
    const auto reader = file.reader(tensor);
    REQUIRE(reader.has_value());
    Bytes bytes(static_cast<std::size_t>(tensor.bytes));
    REQUIRE((*reader)->read(0, tensor.rows(), bytes.data()).ok());
    REQUIRE((*reader)->finish().ok());
    return bytes;
}

// Reads every byte of every tensor whose type is supported.
std::uint64_t read_everything(const SafetensorsFile& file) {
    std::uint64_t sum = 0;
    for (const TensorInfo& info : file.tensors()) {
        if (!file.find(info.name)) continue;
        for (const std::byte byte : bytes_of(file, info.name))
            sum += static_cast<std::uint64_t>(byte);
    }
    return sum;
}

void require_refused(const TempDir& dir, const std::string& content, const std::string& text) {
    const Status status = open_text(dir, content);
    INFO(status.to_string());
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message().find("x.safetensors") != std::string::npos);
    CHECK(status.message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("a file gives its tensors", "[safetensors]") {
    const TempDir dir;
    write_file(dir / "x.safetensors", small_file());
    const auto file = SafetensorsFile::open(dir / "x.safetensors");
    REQUIRE(file.has_value());
    CHECK(file->tensors().size() == 2);
    const auto a = file->find("a");
    REQUIRE(a.has_value());
    CHECK(a->type == DataType::f32);
    CHECK(a->shape == std::vector<std::int64_t>{2, 2});
    CHECK(a->bytes == 16);
    CHECK(static_cast<int>(bytes_of(*file, "a")[0]) == 1);
    const auto b = file->find("b");
    REQUIRE(b.has_value());
    CHECK(b->type == DataType::bf16);
    CHECK(b->bytes == 6);
    CHECK(static_cast<int>(bytes_of(*file, "b")[5]) == 22);
    CHECK(static_cast<int>(bytes_of(*file, "a")[15]) == 16);
    CHECK(read_everything(*file) == 22 * 23 / 2);
}

TEST_CASE("a missing tensor is named", "[safetensors]") {
    const TempDir dir;
    write_file(dir / "x.safetensors", small_file());
    const auto file = SafetensorsFile::open(dir / "x.safetensors");
    REQUIRE(file.has_value());
    const auto missing = file->find("model.norm.weight");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code() == StatusCode::not_found);
    CHECK(missing.error().message().find("model.norm.weight") != std::string::npos);
    CHECK(missing.error().message().find("x.safetensors") != std::string::npos);
}

TEST_CASE("other stored types are an error only when asked for", "[safetensors]") {
    const TempDir dir;
    write_file(dir / "x.safetensors",
               safetensors_file("{" + tensor_entry("i", "I64", "[1]", "[0,8]") + "," +
                                    tensor_entry("h", "F16", "[]", "[8,10]") + "," +
                                    tensor_entry("f4", "F4", "[2,3]", "[10,13]") + "}",
                                std::string(13, 'x')));
    const auto file = SafetensorsFile::open(dir / "x.safetensors");
    REQUIRE(file.has_value());
    CHECK(file->find("h")->type == DataType::f16);
    CHECK(file->find("h")->shape.empty());
    const auto other = file->find("i");
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().code() == StatusCode::unimplemented);
    CHECK(other.error().message().find("I64") != std::string::npos);
    require_refused(dir, safetensors_file("{" + tensor_entry("q", "Q9", "[1]", "[0,1]") + "}", "x"),
                    "Q9");
}

TEST_CASE("empty tensors and an empty header are fine", "[safetensors]") {
    const TempDir dir;
    CHECK(open_text(dir, safetensors_file("{}", "")).ok());
    CHECK(open_text(dir, safetensors_file("{}   ", "")).ok());
    CHECK(open_text(dir, safetensors_file("{" + tensor_entry("e", "F32", "[0,5]", "[0,0]") + "," +
                                              tensor_entry("a", "U8", "[1]", "[0,1]") + "}",
                                          "x"))
              .ok());
}

TEST_CASE("names that could garble a terminal are made printable", "[safetensors]") {
    const TempDir dir;
    const Status status = open_text(
        dir, safetensors_file("{" + tensor_entry("\\u001b[2J\\u0000", "F32", "[1]", "[0,3]") + "}",
                              "xyz"));
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message().find('\x1b') == std::string::npos);
    CHECK(status.message().find('\0') == std::string::npos);
}

TEST_CASE("a file cut at any byte is refused", "[safetensors]") {
    const TempDir dir;
    const std::string whole = small_file();
    REQUIRE(open_text(dir, whole).ok());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        INFO("cut to " << size << " of " << whole.size());
        const Status status = open_text(dir, whole.substr(0, size));
        CHECK(status.code() == StatusCode::data_loss);
    }
    require_refused(dir, whole + "x", "end at byte 22 of 23");
}

TEST_CASE("a wrong header length is refused", "[safetensors]") {
    const TempDir dir;
    const std::string whole = small_file();
    for (const std::uint64_t length :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{whole.size() - 7},
          std::uint64_t{whole.size()}, std::uint64_t{100'000'001}, std::uint64_t{1} << 32,
          std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
        std::string changed = whole;
        std::memcpy(changed.data(), &length, 8);
        require_refused(dir, changed, "read");
    }
}

TEST_CASE("offsets and shapes that do not fit are refused", "[safetensors]") {
    struct Case {
        const char* dtype;
        const char* shape;
        const char* offsets;
        const char* text;
    };
    const Case cases[] = {
        {"F32", "[2]", "[0,12]", "exceed the data section of 8"},
        {"F32", "[2]", "[8,16]", "exceed the data section of 8"},
        {"F32", "[2]", "[8,0]", "the begin is after the end"},
        {"F32", "[2]", "[1,8]", "has 8 bytes"},
        {"F32", "[3]", "[0,8]", "has 12 bytes"},
        {"F32", "[1]", "[0,4]", "end at byte 4 of 8"},
        {"F32", "[1]", "[4,8]", "after a hole"},
        {"F32", "[2]", "[0,9223372036854775808]", "exceed"},
        {"F32", "[2]", "[0,18446744073709551615]", "exceed"},
        {"F32", "[2]", "[18446744073709551608,0]", "the begin is after the end"},
        {"F32", "[2]", "[0,18446744073709551616]", "unexpected"},
        {"F32", "[9223372036854775807]", "[0,8]", "below 2^61"},
        {"F32", "[9223372036854775808]", "[0,8]", "too large"},
        {"F32", "[4611686018427387904,4]", "[0,8]", "below 2^61"},
        {"F32", "[4294967296,4294967296,2]", "[0,8]", "below 2^61"},
        {"U8", "[2305843009213693953]", "[0,8]", "below 2^61"},
        {"U8", "[2305843009213693951]", "[0,8]", "has 2305843009213693951 bytes"},
        {"F4", "[3]", "[0,8]", "whole number"},
        {"F32", "[-2]", "[0,8]", "negative"},
        {"F32", "[2.0]", "[0,8]", "unexpected"},
        {"F32", "[2e0]", "[0,8]", "unexpected"},
        {"F32", "[1e999]", "[0,8]", "header"},
        {"F32", "[\"2\"]", "[0,8]", "unexpected"},
        {"F32", "[[2]]", "[0,8]", "unexpected"},
        {"F32", "[null]", "[0,8]", "unexpected"},
        {"F32", "2", "[0,8]", "unexpected"},
        {"F32", "{}", "[0,8]", "unexpected"},
        {"F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]", "dimensions"},
        {"F32", "[2]", "[0]", "expected 2"},
        {"F32", "[2]", "[]", "expected 2"},
        {"F32", "[2]", "[0,8,8]", "more than 2"},
        {"F32", "[2]", "[0,-8]", "negative"},
        {"F32", "[2]", "8", "unexpected"},
        {"F32", "[2]", "null", "unexpected"},
        {"f32", "[2]", "[0,8]", "unknown dtype"},
        {"", "[2]", "[0,8]", "unknown dtype"},
    };
    const TempDir dir;
    for (const Case& c : cases) {
        INFO(c.dtype << " " << c.shape << " " << c.offsets);
        require_refused(dir,
                        safetensors_file("{" + tensor_entry("a", c.dtype, c.shape, c.offsets) + "}",
                                         "12345678"),
                        c.text);
    }
}

TEST_CASE("tensors that overlap or leave a hole are refused", "[safetensors]") {
    const TempDir dir;
    const auto two = [](const char* first, const char* second) {
        return safetensors_file("{" + tensor_entry("a", "U8", "[4]", first) + "," +
                                    tensor_entry("b", "U8", "[4]", second) + "}",
                                "123456789");
    };
    require_refused(dir, two("[0,4]", "[3,7]"), "inside the one that ends at 4");
    require_refused(dir, two("[0,4]", "[0,4]"), "inside the one that ends at 4");
    require_refused(dir, two("[0,4]", "[5,9]"), "after a hole at 4");
    require_refused(dir, two("[4,8]", "[0,4]"), "end at byte 8 of 9");
}

TEST_CASE("malformed headers are refused", "[safetensors]") {
    const std::string entry = "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}";
    const std::pair<std::string, std::string> cases[] = {
        {"", "begin"},
        {" {}", "begin"},
        {"[]", "begin"},
        {"{", "byte"},
        {"{}}", "byte"},
        {"{} x", "byte"},
        {"{\"a\":" + entry + ",}", "byte"},
        {"{\"a\":" + entry + ",\"a\":" + entry + "}", "twice"},
        {"{\"a\":1}", "unexpected number 1"},
        {"{\"a\":null}", "unexpected null"},
        {"{\"a\":[]}", "unexpected list"},
        {"{\"a\":{}}", "dtype is missing"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", "data_offsets is missing"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", "shape is missing"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", "twice"},
        {"{\"a\":{\"shape\":[1],\"shape\":[1]}}", "twice"},
        {"{\"a\":{\"dtype\":5}}", "unexpected number 5"},
        {"{\"a\":{\"dtype\":{}}}", "unexpected object"},
        {"{\"a\":{\"colour\":\"red\"}}", "unknown field 'colour'"},
        {"{\"__metadata__\":{\"a\":1},\"a\":" + entry + "}", "__metadata__"},
        {"{\"__metadata__\":{\"a\":{}},\"a\":" + entry + "}", "__metadata__"},
        {"{\"__metadata__\":{\"a\":[]},\"a\":" + entry + "}", "__metadata__"},
        {"{\"__metadata__\":{\"a\":\"x\",\"a\":\"y\"},\"a\":" + entry + "}", "twice"},
        {"{\"__metadata__\":\"x\",\"a\":" + entry + "}", "__metadata__"},
        {"{\"\xff\xfe\":" + entry + "}", "UTF-8"},
        {"{\"\xc0\xaf\":" + entry + "}", "UTF-8"},
        {"{\"\\ud800\":" + entry + "}", "byte"},
        {"{\"a\":" + entry + "}" + std::string(1, '\0') + "{\"b\":1}", "NUL"},
    };
    const TempDir dir;
    for (const auto& [header, text] : cases) {
        INFO(header);
        require_refused(dir, safetensors_file(header, "x"), text);
    }
}

TEST_CASE("deep nesting does not overflow the call stack", "[safetensors]") {
    const TempDir dir;
    const std::string deep(4u << 20, '[');
    require_refused(dir, safetensors_file("{\"a\":{\"dtype\":\"U8\",\"shape\":" + deep, "x"),
                    "unexpected list");
    std::string objects = "{";
    for (int i = 0; i < 200'000; ++i) objects += "\"a\":{";
    require_refused(dir, safetensors_file(objects, "x"), "");
}

TEST_CASE("data may begin at any address", "[safetensors]") {
    const TempDir dir;
    for (int pad = 0; pad < 8; ++pad) {
        const std::string header = "{" + tensor_entry("a", "F32", "[1]", "[0,4]") + "}" +
                                   std::string(static_cast<std::size_t>(pad), ' ');
        write_file(dir / "x.safetensors", safetensors_file(header, "abcd"));
        const auto file = SafetensorsFile::open(dir / "x.safetensors");
        REQUIRE(file.has_value());
        CHECK(std::memcmp(bytes_of(*file, "a").data(), "abcd", 4) == 0);
    }
}

TEST_CASE("bytes changed at random never crash the reader", "[safetensors]") {
    const std::string whole = small_file();
    const std::size_t header_end = whole.size() - 22;
    int refused = 0;
    for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
        Random random(seed);
        std::string changed = whole.substr(8);
        const std::uint64_t flips = 1 + random.below(4);
        for (std::uint64_t i = 0; i < flips; ++i) {
            changed[random.below(header_end - 8)] = static_cast<char>(random.next());
        }
        const std::string_view header = std::string_view(changed).substr(0, header_end - 8);
        const auto tensors = parse_safetensors_header(header, 22, "x");
        if (!tensors) {
            INFO("repeat with seed " << seed);
            CHECK(tensors.error().code() == StatusCode::data_loss);
            ++refused;
            continue;
        }
        for (const TensorInfo& info : *tensors) {
            REQUIRE(info.begin <= info.end);
            REQUIRE(info.end <= 22);
        }
    }
    CHECK(refused > 10'000);
    CHECK(refused < 20'000);
}

TEST_CASE("whole files changed at random can be read to the end or are refused", "[safetensors]") {
    const TempDir dir;
    const std::string whole = small_file();
    for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
        Random random(seed);
        std::string changed = whole;
        changed[random.below(changed.size())] = static_cast<char>(random.next());
        if (random.below(4) == 0) changed.resize(random.below(changed.size() + 1));
        write_file(dir / "x.safetensors", changed);
        const auto file = SafetensorsFile::open(dir / "x.safetensors");
        if (file) read_everything(*file);
        if (!file) {
            INFO("repeat with seed " << seed);
            CHECK(file.error().code() == StatusCode::data_loss);
        }
    }
}
