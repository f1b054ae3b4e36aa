#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <molink.h>
#include <molink/engine.h>
#include <molink/owner_process.h>
#include <molink/transport.h>
#include <molink/worker.h>

#include "callbacks.h"

/// The types behind the opaque handles. Members are in the order of their lifetimes: the nodes
/// write to the log until they are destroyed. Only the process of `owner` may use a handle.
struct molink_engine {
    const molink::OwnerProcess owner{"the engine"};
    molink_engine_options options{};  ///< its strings are valid only during molink_engine_create()
    molink::capi::CallbackThreads callbacks;
    std::unique_ptr<molink::capi::LogCallback> log;
    std::shared_ptr<molink::InprocHub> network;  ///< used by a local cluster
    std::unique_ptr<molink::Engine> engine;
    std::vector<std::unique_ptr<molink::Worker>> workers;
    std::string address;
    std::mutex closing;

    ~molink_engine() { static_cast<void>(close_nodes()); }
    /// Closes the head first, so that the workers are told.
    molink::Status close_nodes() {
        const std::lock_guard lock(closing);
        if (engine == nullptr) return {};
        const molink::Status status = engine->close();
        if (status.ok()) {
            for (auto& worker : workers) worker->close();
        }
        return status;
    }
};

struct molink_worker {
    const molink::OwnerProcess owner{"the worker"};
    molink::capi::CallbackThreads callbacks;
    std::unique_ptr<molink::capi::LogCallback> log;
    molink_finalizer log_finalizer = nullptr;
    void* log_user_data = nullptr;
    std::unique_ptr<molink::Worker> worker;
    std::string address;
};

struct molink_cluster {
    molink::ClusterView view;
};

struct molink_metrics {
    molink::MetricsSnapshot snapshot;
};
