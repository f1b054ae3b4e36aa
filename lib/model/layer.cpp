// Chooses the mixer and the feed-forward of a layer. A new kind of either has a file of its own and
// a case here; no other code depends on kinds. Relies on check_supported(), which refuses kinds
// that are not implemented.
#include "model/layer.h"

#include <algorithm>

#include "model/attention_mixer.h"
#include "model/dense_feed_forward.h"

namespace molink {

std::size_t Layer::scratch_bytes(const Backend& backend, std::int64_t rows) const {
    return std::max(mixer->scratch_bytes(backend, rows),
                    feed_forward->scratch_bytes(backend, rows));
}

Layer make_layer(const ModelSpec& spec, std::int32_t index) {
    const LayerSpec& kinds = spec.layer_specs[static_cast<std::size_t>(index)];
    Layer layer;
    layer.mixer = std::make_unique<AttentionMixer>(spec, kinds);
    layer.feed_forward = std::make_unique<DenseFeedForward>(spec);
    return layer;
}

}  // namespace molink
