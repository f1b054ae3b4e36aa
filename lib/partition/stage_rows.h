#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "partition/split_search.h"

namespace molink {

/// Values of the stages of one node that begin with the same layer, indexed by their end.
struct StageRow {
    const double* values;  // [layers + 1], valid until the next call of StageRows::row()
    std::int32_t last;     // the last permitted end
};

/// The stage values of a pass. Rows are computed on request. With `keep`, rows are requested often
/// and stay in memory, provided that all of them fit into limits::kMaxKeptStageValues.
class StageRows {
public:
    StageRows(const SearchPass& pass, bool keep)
        : pass_(pass), width_(static_cast<std::size_t>(pass.layers) + 1) {
        const std::size_t rows = pass.nodes * static_cast<std::size_t>(pass.layers);
        keep_ = keep && rows * width_ <= limits::kMaxKeptStageValues;
        values_.resize(keep_ ? rows * width_ : width_);
        last_.resize(keep_ ? rows : 0, kUnknown);
    }

    StageRow row(std::size_t node, std::int32_t begin) {
        if (!keep_) return {values_.data(), pass_.stages->fill(node, begin, values_.data())};
        const std::size_t at =
            node * static_cast<std::size_t>(pass_.layers) + static_cast<std::size_t>(begin);
        double* values = &values_[at * width_];
        if (last_[at] == kUnknown) last_[at] = pass_.stages->fill(node, begin, values);
        return {values, last_[at]};
    }

private:
    static constexpr std::int32_t kUnknown = -1;

    const SearchPass& pass_;
    std::size_t width_;
    bool keep_ = false;
    std::vector<double> values_;      // [nodes, layers, layers + 1], or of one row
    std::vector<std::int32_t> last_;  // [nodes, layers]; empty when rows are not kept
};

}  // namespace molink
