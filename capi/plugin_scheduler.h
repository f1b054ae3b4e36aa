#pragma once

#include <memory>
#include <string>

#include <molink.h>
#include <molink/scheduler.h>
#include <molink/status.h>
#include <molink_plugin.h>

#include "callbacks.h"

namespace molink::capi {

/// A Scheduler that calls a table of C functions. It calls the table's destroy only after own().
/// What plan and observe throw, against their contract, goes to the engine, which refuses the plan
/// and logs it as that of any scheduler.
class PluginScheduler final : public Scheduler {
public:
    PluginScheduler(const molink_scheduler_vtable& table, void* user_data,
                    CallbackThreads& threads);
    ~PluginScheduler() override;

    /// Takes ownership of user_data. Call this when the engine was created.
    void own() { owned_ = true; }

    std::string_view name() const override { return name_; }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override;

private:
    const molink_scheduler_vtable table_;
    void* const user_data_;
    CallbackThreads& threads_;  ///< belongs to the engine's handle, which outlives this
    const std::string name_;
    bool owned_ = false;
};

/// Errors: invalid_argument (a required entry is NULL, or the table has a later version).
Result<std::unique_ptr<PluginScheduler>> make_plugin_scheduler(const molink_scheduler_vtable* table,
                                                               void* user_data,
                                                               CallbackThreads& threads);

}  // namespace molink::capi
