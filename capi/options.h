#pragma once

#include <molink.h>
#include <molink/options.h>
#include <molink/request.h>

namespace molink::capi {

/// Converts a client's options to the current layout. Checks what the C++ types cannot express.
Status read_options(const molink_engine_options* in, molink_engine_options& out);
Status read_options(const molink_worker_options* in, molink_worker_options& out);

/// Converts the options that have a C++ equivalent. The caller sets callbacks, policies and
/// transports.
EngineOptions engine_options(const molink_engine_options& options);
WorkerOptions worker_options(const molink_worker_options& options);
/// Returns the options of one worker of a local cluster, taken from those of its head.
WorkerOptions local_worker_options(const molink_engine_options& options);

/// Converts a request. Errors: invalid_argument.
Status read_request(const molink_request* in, GenerateRequest& out);

}  // namespace molink::capi
