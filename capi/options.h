#pragma once

#include <molink.h>
#include <molink/options.h>
#include <molink/request.h>

namespace molink::capi {

/// A client's options by today's layout, checked as far as the C++ types cannot tell.
Status read_options(const molink_engine_options* in, molink_engine_options& out);
Status read_options(const molink_worker_options* in, molink_worker_options& out);

/// What the two sides share; callbacks, policies and transports are the caller's business.
EngineOptions engine_options(const molink_engine_options& options);
WorkerOptions worker_options(const molink_worker_options& options);
/// The options of one worker of a local cluster, made like its head.
WorkerOptions local_worker_options(const molink_engine_options& options);

/// A request in C++ terms. Errors: invalid_argument.
Status read_request(const molink_request* in, GenerateRequest& out);

}  // namespace molink::capi
