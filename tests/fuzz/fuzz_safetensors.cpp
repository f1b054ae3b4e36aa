// Reads weight files. The first byte chooses what the rest is: a whole file, or (which reaches more
// code) four bytes with the size of the data section and then only the header. Accepted headers are
// checked again: sizes, types, and tensors that cover the data without gaps.
#include <map>
#include <set>
#include <vector>

#include "base/limits.h"
#include "fuzz_input.h"
#include "loader/safetensors.h"
#include "loader/safetensors_header.h"
#include "scratch_dir.h"

using namespace molink;

namespace {

__extension__ typedef unsigned __int128 Wide;

unsigned type_bits(const std::string& type) {
    static const std::map<std::string, unsigned> bits = {
        {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8},
        {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
        {"U16", 16},    {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
        {"F32", 32},    {"C64", 64}, {"F64", 64},    {"I64", 64},    {"U64", 64}};
    const auto found = bits.find(type);
    return found == bits.end() ? 0 : found->second;
}

void check_tensors(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes) {
    std::uint64_t reached = 0;
    std::set<std::string> names;
    for (const TensorInfo& tensor : tensors) {
        FUZZ_CHECK(names.insert(tensor.name).second);
        FUZZ_CHECK(tensor.begin == reached && tensor.begin <= tensor.end);
        FUZZ_CHECK(tensor.end <= data_bytes);
        FUZZ_CHECK(tensor.shape.size() <= limits::kMaxTensorDims);
        Wide size = type_bits(tensor.stored_type);
        FUZZ_CHECK(size > 0);
        for (const std::int64_t dim : tensor.shape) {
            FUZZ_CHECK(dim >= 0);
            size *= static_cast<Wide>(dim);
            if (size == 0) break;
            FUZZ_CHECK(size < (static_cast<Wide>(1) << 64));
        }
        FUZZ_CHECK(size == static_cast<Wide>(tensor.end - tensor.begin) * 8);
        reached = tensor.end;
    }
    FUZZ_CHECK(reached == data_bytes);
}

void open_file(const std::string& path, std::uint64_t readable) {
    const auto file = SafetensorsFile::open(path);
    if (!file) return;
    check_tensors(file->tensors(), file->data_bytes());
    std::uint64_t sum = 0;
    for (const TensorInfo& info : file->tensors()) {
        const auto tensor = file->find(info.name);
        if (!tensor) {
            FUZZ_CHECK(tensor.error().code() == StatusCode::unimplemented);
            continue;
        }
        FUZZ_CHECK(tensor->bytes == info.end - info.begin && tensor->shape == info.shape);
        const auto reader = file->reader(*tensor);
        FUZZ_CHECK(reader.has_value());
        if (tensor->bytes > 0 && info.end <= readable) {
            std::vector<std::byte> row(tensor->row_bytes());
            FUZZ_CHECK((*reader)->read(tensor->rows() - 1, 1, row.data()).ok());
            sum += static_cast<std::uint64_t>(row.front()) + static_cast<std::uint64_t>(row.back());
        }
        FUZZ_CHECK((*reader)->finish().ok());
    }
    FUZZ_CHECK(sum <= 510 * file->tensors().size());
    FUZZ_CHECK(!file->find("no such tensor").has_value() || file->has("no such tensor"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static fuzz::ScratchDir scratch;
    fuzz::FuzzInput input(data, size);
    if (input.coin()) {
        open_file(scratch.write("model.safetensors", input.rest()), size);
        return 0;
    }
    const std::uint32_t data_bytes = input.u32();
    const std::string_view header = input.rest();
    const auto tensors = parse_safetensors_header(header, data_bytes, "input");
    if (!tensors) {
        FUZZ_CHECK(tensors.error().code() == StatusCode::data_loss);
        return 0;
    }
    check_tensors(*tensors, data_bytes);
    std::string file(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i));
    open_file(scratch.write("model.safetensors", file.append(header), data_bytes), data_bytes);
    return 0;
}
