#pragma once

#include <optional>

#include <molink/worker.h>

#include "http/http_message.h"

namespace molink::examples {

/// Returns whether a worker does all that its head asks of it: its stages serve, or it has joined
/// and is asked for none.
bool is_ready(const WorkerView& view);

/// What is known of a worker.
struct WorkerState {
    std::optional<WorkerView> view;  ///< none: it starts
    bool stalled = false;            ///< it has not answered for a while, and the view is old
};

/// What /readyz and /health of a worker answer. `details`: with all of the view.
HttpReply worker_page(const WorkerState& state, bool details);

}  // namespace molink::examples
