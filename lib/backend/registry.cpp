// The backends that are compiled in. A new one is a
// folder and a row here; the op conformance test then
// runs on it unchanged.
#include "backend/cpu/cpu_backend.h"
#include "base/error.h"

namespace molink {
namespace {

struct Row {
    std::string_view name;
    Result<std::unique_ptr<Backend>> (*make)(const BackendOptions&);
};

constexpr Row kBackends[] = {{"cpu", &CpuBackend::make}};

}  // namespace

std::vector<std::string_view> backend_names() {
    std::vector<std::string_view> names;
    for (const Row& row : kBackends) names.push_back(row.name);
    return names;
}

Result<std::unique_ptr<Backend>> make_backend(std::string_view name,
                                              const BackendOptions& options) {
    std::string known;
    for (const Row& row : kBackends) {
        if (row.name == name) return row.make(options);
        known += (known.empty() ? "" : ", ") + std::string(row.name);
    }
    return make_error(StatusCode::not_found, "no backend '{}'; known: {}", name, known);
}

}  // namespace molink
