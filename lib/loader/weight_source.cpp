// Code that all sources of weights share: it checks shapes and selects rows of a tensor by bytes.
// Every stored format has complete rows, even if values share a scale, because such groups lie
// along the innermost dimension.
#include "loader/weight_source.h"

#include <fmt/format.h>

#include "base/error.h"

namespace molink {

std::string shape_text(const std::vector<std::int64_t>& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string TensorRef::text() const {
    return rows ? fmt::format("{} rows {}-{}", name, rows->begin, rows->end - 1) : name;
}

Result<TensorView> WeightSource::tensor(std::string_view name,
                                        std::span<const std::int64_t> shape) const {
    return find(TensorRef(std::string(name)), shape);
}

Result<TensorView> WeightSource::find(const TensorRef& ref,
                                      std::span<const std::int64_t> shape) const {
    MOLINK_ASSIGN_OR_RETURN(TensorView view, tensor(ref.name));
    if (ref.rows) {
        const std::int64_t stored = view.shape.empty() ? 0 : view.shape[0];
        if (ref.rows->begin < 0 || ref.rows->end <= ref.rows->begin || ref.rows->end > stored) {
            return make_error(StatusCode::data_loss,
                              "read model {}: '{}' is out of range; the tensor has {} rows",
                              where(), ref.text(), stored);
        }
        const std::size_t row_bytes = view.bytes / static_cast<std::size_t>(stored);
        view.data += static_cast<std::size_t>(ref.rows->begin) * row_bytes;
        view.shape[0] = ref.rows->end - ref.rows->begin;
        view.bytes = static_cast<std::size_t>(view.shape[0]) * row_bytes;
    }
    const std::vector<std::int64_t> wanted(shape.begin(), shape.end());
    if (view.shape != wanted) {
        return make_error(StatusCode::data_loss,
                          "read model {}: tensor '{}' has shape {}; the configuration asks for {}",
                          where(), ref.text(), shape_text(view.shape), shape_text(wanted));
    }
    return view;
}

}  // namespace molink
