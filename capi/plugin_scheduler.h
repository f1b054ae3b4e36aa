#pragma once

#include <memory>
#include <string>

#include <molink.h>
#include <molink/scheduler.h>
#include <molink/status.h>
#include <molink_plugin.h>

#include "callbacks.h"

namespace molink::capi {

/// A table of C functions as a Scheduler. It calls the table's destroy only after own().
class PluginScheduler final : public Scheduler {
public:
    PluginScheduler(const molink_scheduler_vtable& table, void* user_data,
                    CallbackThreads& threads);
    ~PluginScheduler() override;

    /// The engine was created: user_data is the engine's from now on.
    void own() { owned_ = true; }

    std::string_view name() const override { return name_; }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override;

private:
    const molink_scheduler_vtable table_;
    void* const user_data_;
    CallbackThreads& threads_;  ///< of the engine's handle, which outlives it
    const std::string name_;
    bool owned_ = false;
};

/// Errors: invalid_argument (an entry that must not be NULL, a later version).
Result<std::unique_ptr<PluginScheduler>> make_plugin_scheduler(const molink_scheduler_vtable* table,
                                                               void* user_data,
                                                               CallbackThreads& threads);

}  // namespace molink::capi
