#pragma once

#include <cstdint>
#include <memory>

#include <molink/model_spec.h>

#include "model/sublayer.h"

namespace molink {

/// One layer: its two halves in the order in which they run.
struct Layer {
    std::unique_ptr<Mixer> mixer;
    std::unique_ptr<FeedForward> feed_forward;

    std::uint64_t weight_bytes(const Backend& backend, DataType matrix_type) const {
        return mixer->weight_bytes(backend, matrix_type) +
               feed_forward->weight_bytes(backend, matrix_type);
    }
    std::size_t scratch_bytes(const Backend& backend, std::int64_t rows) const;
};

/// Makes layer `index` with the halves that the spec names, without weights. check_supported() must
/// accept the spec.
Layer make_layer(const ModelSpec& spec, std::int32_t index);

}  // namespace molink
