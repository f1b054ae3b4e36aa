// Implements molink_engine_*. A handle holds a head and, with local_workers, its workers. No thread
// is started here: a caller that waits also reports progress. A close inside a callback is
// recognised by its thread before any lock is taken.
#include <algorithm>
#include <cstring>
#include <limits>

#include "guard.h"
#include "handles.h"
#include "options.h"
#include "plugin_scheduler.h"
#include "structs.h"

#include <molink/clock.h>

namespace molink::capi {
namespace {

constexpr const char* kLocalHead = "inproc://head";
/// For a worker in the process of its head. It is far more than joining takes.
constexpr std::int64_t kJoinWithinUs = 60'000'000;
constexpr std::int64_t kProgressEvery_us = 20'000;

Status inside_callback(const char* function) {
    return Status(
        StatusCode::failed_precondition,
        std::string(function) +
            " was called inside a callback of the same handle; call it from another thread");
}

/// Connects a node to the log and, in a local cluster, to the links.
void connect_node(molink_engine& handle, NodeOptions& node) {
    node.log = handle.log.get();
    if (handle.network == nullptr) return;
    node.transport = [network = handle.network]() -> Result<std::unique_ptr<Transport>> {
        return network->make_transport();
    };
}

Status open_workers(molink_engine& handle) {
    for (std::int32_t i = 0; i < handle.options.local_workers; ++i) {
        WorkerOptions worker = local_worker_options(handle.options);
        worker.name = "worker-" + std::to_string(i + 1);
        worker.listen = "inproc://" + worker.name;
        worker.join = kLocalHead;
        worker.join_within_us = kJoinWithinUs;
        worker.give_up_after_us = 0;
        connect_node(handle, worker);
        auto opened = Worker::open(std::move(worker));
        if (!opened) return opened.error().with_context("local worker " + std::to_string(i + 1));
        handle.workers.push_back(std::move(*opened));
    }
    return {};
}

Status open_engine(molink_engine& handle) {
    const molink_engine_options& options = handle.options;
    EngineOptions head = engine_options(options);
    if (options.log != nullptr) {
        handle.log =
            std::make_unique<LogCallback>(options.log, options.log_user_data, handle.callbacks);
    }
    if (options.local_workers > 0) {
        handle.network = make_inproc_hub();
        head.listen = kLocalHead;
    }
    connect_node(handle, head);
    PluginScheduler* plugin = nullptr;
    if (options.scheduler != nullptr) {
        auto scheduler =
            make_plugin_scheduler(options.scheduler, options.scheduler_user_data, handle.callbacks);
        if (!scheduler) return scheduler.error();
        plugin = scheduler->get();
        head.scheduler = std::move(*scheduler);
    }
    auto engine = Engine::open(std::move(head));
    if (!engine) return engine.error();
    handle.engine = std::move(*engine);
    handle.address = handle.engine->address();
    if (auto status = open_workers(handle); !status.ok()) return status;
    if (plugin != nullptr) plugin->own();
    return {};
}

molink_progress progress_of(const ClusterView& view) {
    molink_progress progress{};
    progress.struct_size = sizeof(progress);
    progress.state = static_cast<std::int32_t>(view.state);
    progress.node_count = static_cast<std::int32_t>(view.nodes.size());
    for (const NodeInfo& node : view.nodes) {
        progress.loaded_bytes += node.loaded_bytes;
        progress.weight_bytes += node.weight_bytes;
    }
    return progress;
}

void report(molink_engine& handle, const ClusterView& view, molink_progress& reported) {
    const molink_progress progress = progress_of(view);
    if (std::memcmp(&progress, &reported, sizeof(progress)) == 0) return;
    reported = progress;
    const CallbackThreads::Scope scope(handle.callbacks);
    handle.options.progress(handle.options.progress_user_data, &progress);
}

/// Returns the error of a local worker that ended. The head knows only that the worker is missing.
Status check_workers(const molink_engine& handle) {
    for (const auto& worker : handle.workers) {
        const Status status = worker->wait(0);
        if (!status.ok() && status.code() != StatusCode::deadline_exceeded) return status;
    }
    return {};
}

Status wait_ready(molink_engine& handle, std::int64_t timeout_us) {
    const bool reports = handle.options.progress != nullptr;
    if (!reports && handle.workers.empty()) return handle.engine->wait_ready(timeout_us);
    if (auto status = check_timeout(timeout_us); !status.ok()) return status;
    const std::int64_t limit_us =
        timeout_us == kWaitForever ? std::numeric_limits<std::int64_t>::max() : timeout_us;
    const std::int64_t start_us = steady_clock().now_us();
    molink_progress reported{};
    while (true) {
        const std::int64_t left_us = limit_us - (steady_clock().now_us() - start_us);
        const Status status =
            handle.engine->wait_ready(std::clamp<std::int64_t>(left_us, 0, kProgressEvery_us));
        const ClusterView view = handle.engine->cluster();
        if (reports) report(handle, view, reported);
        if (status.code() != StatusCode::deadline_exceeded) return status;
        if (auto failed = check_workers(handle); !failed.ok()) return failed;
        if (left_us > kProgressEvery_us) continue;
        std::string text =
            "the pipeline is not ready after " + std::to_string(limit_us) + " us: " + view.missing;
        if (!view.last_error.empty()) text += "; " + view.last_error;
        return Status(StatusCode::deadline_exceeded, text);
    }
}

void finalize(molink_finalizer finalizer, void* user_data) {
    if (finalizer != nullptr) finalizer(user_data);
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::Status;
using molink::StatusCode;

extern "C" {

molink_error* molink_engine_create(const molink_engine_options* options,
                                   molink_engine** out_engine) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_engine_create", out_engine);
        auto handle = std::make_unique<molink_engine>();
        if (auto status = read_options(options, handle->options); !status.ok()) return status;
        if (auto status = open_engine(*handle); !status.ok()) return status;
        *out_engine = handle.release();
        return {};
    });
}

molink_error* molink_engine_wait_ready(molink_engine* engine, int64_t timeout_us) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_wait_ready", engine);
        return wait_ready(*engine, timeout_us);
    });
}

molink_error* molink_engine_close(molink_engine* engine) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_close", engine);
        if (engine->callbacks.inside()) return inside_callback("molink_engine_close");
        return engine->close_nodes();
    });
}

molink_error* molink_engine_destroy(molink_engine* engine) {
    return guarded([&]() -> Status {
        if (engine == nullptr || !engine->owner.check().ok()) return {};
        if (engine->callbacks.inside()) return inside_callback("molink_engine_destroy");
        if (auto status = engine->close_nodes(); !status.ok()) return status;
        const molink_engine_options options = engine->options;
        delete engine;
        finalize(options.progress_finalizer, options.progress_user_data);
        finalize(options.log_finalizer, options.log_user_data);
        return {};
    });
}

const char* molink_engine_address(const molink_engine* engine) {
    const bool usable = engine != nullptr && engine->owner.check().ok();
    return usable ? engine->address.c_str() : "";
}

molink_error* molink_engine_model(const molink_engine* engine, molink_model_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_model", engine);
        const molink::ModelSpec& spec = engine->engine->model();
        molink_model_info info = MOLINK_MODEL_INFO_INIT;
        info.architecture = spec.architecture.c_str();
        info.hidden = spec.hidden;
        info.layers = spec.layers;
        info.vocabulary = spec.vocabulary;
        info.context = spec.context;
        info.bos_token = spec.bos_token;
        info.eos_token = spec.eos_tokens.empty() ? -1 : spec.eos_tokens.front();
        return write_struct("molink_model_info", info, out_info);
    });
}

molink_error* molink_engine_tokenize(const molink_engine* engine, const char* text, size_t size,
                                     int32_t add_special, int32_t* tokens, size_t capacity,
                                     size_t* out_count) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_tokenize", engine);
        MOLINK_CAPI_NOT_NULL("molink_engine_tokenize", out_count);
        if (size > 0) MOLINK_CAPI_NOT_NULL("molink_engine_tokenize", text);
        if (capacity > 0) MOLINK_CAPI_NOT_NULL("molink_engine_tokenize", tokens);
        const std::string_view view = size == 0 ? std::string_view() : std::string_view(text, size);
        const auto found = engine->engine->tokenize(view, add_special != 0);
        if (!found) return found.error();
        std::copy_n(found->begin(), std::min(capacity, found->size()), tokens);
        *out_count = found->size();
        return {};
    });
}

molink_error* molink_engine_detokenize(const molink_engine* engine, const int32_t* tokens,
                                       size_t count, char* text, size_t capacity,
                                       size_t* out_size) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_engine_detokenize", engine);
        MOLINK_CAPI_NOT_NULL("molink_engine_detokenize", out_size);
        if (count > 0) MOLINK_CAPI_NOT_NULL("molink_engine_detokenize", tokens);
        if (capacity > 0) MOLINK_CAPI_NOT_NULL("molink_engine_detokenize", text);
        const auto found = engine->engine->detokenize({tokens, count});
        if (!found) return found.error();
        std::copy_n(found->begin(), std::min(capacity, found->size()), text);
        *out_size = found->size();
        return {};
    });
}

}  // extern "C"
