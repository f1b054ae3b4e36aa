// Reads model.safetensors.index.json with two small shards. Whatever the index says, no file
// outside the folder is opened, and a tensor is returned only when the named shard has it.
#include <string>

#include "fuzz_input.h"
#include "loader/checkpoint.h"
#include "scratch_dir.h"

using namespace molink;

namespace {

std::string shard(const std::string& tensor) {
    const std::string header = "{\"" + tensor +
                               "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                               "\"both\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[8,9]}}";
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    return file + header + std::string(9, '\1');
}

bool known(StatusCode code) {
    return code == StatusCode::data_loss || code == StatusCode::not_found ||
           code == StatusCode::unimplemented || code == StatusCode::invalid_argument;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static fuzz::ScratchDir scratch;
    static const bool prepared = [] {
        scratch.write("a.safetensors", shard("a"));
        scratch.write("b.safetensors", shard("b"));
        return true;
    }();
    FUZZ_CHECK(prepared);
    scratch.write("model.safetensors.index.json", fuzz::FuzzInput(data, size).rest());
    const auto checkpoint = Checkpoint::open(scratch.path());
    if (!checkpoint) {
        FUZZ_CHECK(checkpoint.error().code() == StatusCode::data_loss);
        return 0;
    }
    for (const std::string& file : checkpoint->files()) {
        FUZZ_CHECK(file.starts_with(scratch.path() + "/"));
        const std::string name = file.substr(scratch.path().size() + 1);
        FUZZ_CHECK(name.find('/') == name.npos && name != ".." && name != ".");
    }
    for (const std::string& name : checkpoint->names()) {
        FUZZ_CHECK(checkpoint->has(name));
        const auto tensor = checkpoint->tensor(name);
        if (!tensor) {
            FUZZ_CHECK(known(tensor.error().code()));
            continue;
        }
        FUZZ_CHECK((name == "a" || name == "b") && tensor->bytes == 8);
        const auto bytes = read_tensor(*checkpoint, *tensor);
        FUZZ_CHECK(bytes.has_value() && (*bytes)[7] == std::byte{1});
        const std::int64_t other[] = {3};
        FUZZ_CHECK(!checkpoint->tensor(name, other).has_value());
    }
    const auto conflicts = checkpoint->conflicts();
    FUZZ_CHECK(conflicts.has_value() || known(conflicts.error().code()));
    const auto hash = checkpoint->content_hash();
    FUZZ_CHECK(hash.has_value() || known(hash.error().code()));
    return 0;
}
