// Implements molink_worker_*: a node that joins a head.
// The handle keeps a copy of the address, so that the string lives as long as the handle.
// No thread is started here; the worker has its own.
#include "guard.h"
#include "handles.h"
#include "options.h"
#include "structs.h"

namespace molink::capi {
namespace {

Status close_worker(const char* function, molink_worker& worker) {
    if (worker.callbacks.inside()) {
        return Status(
            StatusCode::failed_precondition,
            std::string(function) +
                " was called inside a callback of the same handle; call it from another thread");
    }
    worker.worker->close();
    return {};
}

}  // namespace
}  // namespace molink::capi

using namespace molink::capi;
using molink::Status;

extern "C" {

molink_error* molink_worker_create(const molink_worker_options* options,
                                   molink_worker** out_worker) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_NOT_NULL("molink_worker_create", out_worker);
        molink_worker_options known;
        if (auto status = read_options(options, known); !status.ok()) return status;
        auto handle = std::make_unique<molink_worker>();
        molink::WorkerOptions node = worker_options(known);
        if (known.log != nullptr) {
            handle->log =
                std::make_unique<LogCallback>(known.log, known.log_user_data, handle->callbacks);
            node.log = handle->log.get();
        }
        auto worker = molink::Worker::open(std::move(node));
        if (!worker) return worker.error();
        handle->worker = std::move(*worker);
        handle->address = handle->worker->view().address;
        handle->log_finalizer = known.log_finalizer;
        handle->log_user_data = known.log_user_data;
        *out_worker = handle.release();
        return {};
    });
}

molink_error* molink_worker_wait(molink_worker* worker, int64_t timeout_us) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_worker_wait", worker);
        return worker->worker->wait(timeout_us);
    });
}

molink_error* molink_worker_get(const molink_worker* worker, molink_worker_info* out_info) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_worker_get", worker);
        const molink::WorkerView view = worker->worker->view();
        molink_worker_info info = MOLINK_WORKER_INFO_INIT;
        info.address = worker->address.c_str();
        info.state = static_cast<std::int32_t>(view.state);
        info.welcomed = view.welcomed ? 1 : 0;
        for (const molink::WorkerStageView& stage : view.stages) {
            info.weight_bytes += stage.weight_bytes;
            info.loaded_bytes += stage.loaded_bytes;
            if (info.layers_end > 0 || stage.layers.empty()) continue;
            info.layers_begin = stage.layers.begin;
            info.layers_end = stage.layers.end;
            info.kv_blocks = stage.kv_blocks;
        }
        info.epoch = view.epoch;
        return write_struct("molink_worker_info", info, out_info);
    });
}

molink_error* molink_worker_close(molink_worker* worker) {
    return guarded([&]() -> Status {
        MOLINK_CAPI_USABLE("molink_worker_close", worker);
        return close_worker("molink_worker_close", *worker);
    });
}

molink_error* molink_worker_destroy(molink_worker* worker) {
    return guarded([&]() -> Status {
        if (worker == nullptr || !worker->owner.check().ok()) return {};
        if (auto status = close_worker("molink_worker_destroy", *worker); !status.ok()) {
            return status;
        }
        const molink_finalizer finalizer = worker->log_finalizer;
        void* const user_data = worker->log_user_data;
        delete worker;
        if (finalizer != nullptr) finalizer(user_data);
        return {};
    });
}

}  // extern "C"
