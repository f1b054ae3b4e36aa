// Weight files that change between the reading of a header and that of a tensor. None of it may
// end the process or give wrong bytes: each is data loss that names file, tensor and offset.
#include <filesystem>
#include <string>

#include "loader/checkpoint.h"
#include "support/catch.h"
#include "support/limited_child.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

constexpr const char* kName = "model.layers.3.mlp.up_proj.weight";

void check_lost(const Status& status, const std::string& text) {
    INFO(status.to_string());
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message().find(text) != std::string::npos);
    CHECK(status.message().find("model.safetensors") != std::string::npos);
    CHECK(status.message().find(kName) != std::string::npos);
}

/// A model whose header was read.
struct OpenModel {
    OpenModel() {
        REQUIRE(write_tiny_model(dir.path()).ok());
        checkpoint.emplace(Checkpoint::open(dir.path()).value());
        tensor = checkpoint->tensor(kName).value();
    }
    std::filesystem::path file() const { return dir / "model.safetensors"; }

    TempDir dir;
    std::optional<Checkpoint> checkpoint;
    StoredTensor tensor;
};

}  // namespace

TEST_CASE("a tensor of a file that was truncated before is lost", "[changing_model]") {
    const OpenModel model;
    std::filesystem::resize_file(model.file(), model.tensor.offset + 100);
    check_lost(read_tensor(*model.checkpoint, model.tensor).status(), "when it was opened");
}

TEST_CASE("a tensor of a file that is truncated while it is read is lost", "[changing_model]") {
    const OpenModel model;
    const auto reader = model.checkpoint->reader(model.tensor);
    REQUIRE(reader.has_value());
    Bytes row(model.tensor.row_bytes());
    REQUIRE((*reader)->read(0, 1, row.data()).ok());
    std::filesystem::resize_file(model.file(), model.tensor.offset + row.size() + 10);
    const Status status = (*reader)->read(1, 1, row.data());
    check_lost(status, std::to_string(model.tensor.offset + row.size() + 10));
    check_lost((*reader)->finish(), "bytes now");
}

TEST_CASE("a tensor of a file that was replaced is lost", "[changing_model]") {
    const OpenModel model;
    std::filesystem::copy_file(model.file(), model.dir / "copy");
    std::filesystem::rename(model.dir / "copy", model.file());
    check_lost(read_tensor(*model.checkpoint, model.tensor).status(), "took its place");
}

TEST_CASE("a tensor of a file that is written to while it is read is lost", "[changing_model]") {
    const OpenModel model;
    const auto reader = model.checkpoint->reader(model.tensor);
    REQUIRE(reader.has_value());
    Bytes rows(static_cast<std::size_t>(model.tensor.bytes));
    REQUIRE((*reader)->read(0, model.tensor.rows(), rows.data()).ok());
    REQUIRE((*reader)->finish().ok());
    std::filesystem::last_write_time(
        model.file(), std::filesystem::last_write_time(model.file()) + std::chrono::seconds(2));
    check_lost((*reader)->finish(), "written to");
}

TEST_CASE("a tensor that cannot be opened for want of descriptors is named", "[changing_model]") {
    const OpenModel model;
    const test::ChildResult result = test::run_limited(
        3, 0, [&] { return read_tensor(*model.checkpoint, model.tensor).status(); });
    INFO(result.message);
    CHECK(result.signal == 0);
    CHECK(result.code == StatusCode::resource_exhausted);
    CHECK(result.message.find(kName) != std::string::npos);
    CHECK(result.message.find("model.safetensors: Too many open files") != std::string::npos);
}

TEST_CASE("the hash of a tensor is that of its rows in any order", "[changing_model]") {
    const OpenModel model;
    const TensorHash whole = hash_tensor(*model.checkpoint, model.tensor).value();
    const std::int64_t rows = model.tensor.rows();
    TensorHash sum;
    for (const TensorRows range : {TensorRows{70, rows}, TensorRows{0, 1}, TensorRows{1, 70}}) {
        const auto part = model.checkpoint->find(TensorRef(kName, range));
        REQUIRE(part.has_value());
        sum += hash_tensor(*model.checkpoint, *part).value();
    }
    CHECK(sum == whole);
    CHECK(hash_tensor(*model.checkpoint, model.tensor, [] { return false; }).status().code() ==
          StatusCode::cancelled);
}
