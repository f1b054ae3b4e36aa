#pragma once

#include <memory>

#include <molink/engine.h>
#include <molink/options.h>
#include <molink/worker.h>

namespace molink {

/// Opens an engine for the process that calls this. What Engine::open returns keeps children of
/// fork() away from it.
Result<std::unique_ptr<Engine>> open_engine(EngineOptions options);

/// Opens a worker, likewise.
Result<std::unique_ptr<Worker>> open_worker(WorkerOptions options);

}  // namespace molink
