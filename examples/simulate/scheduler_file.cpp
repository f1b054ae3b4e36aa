// A scheduler in a shared object, for studies. The functions of molink_plugin.h that a plug-in
// calls are this program's own: it compiles capi/plugin_scheduler.cpp and exports them, so that
// they read the views that this program makes, whatever library the plug-in was linked with.
#include "simulate/scheduler_file.h"

#ifdef MOLINK_PLUGINS
#include <cstdio>
#include <cstdlib>

#include <dlfcn.h>

#include "plugin_scheduler.h"
#endif

namespace molink::examples {

bool is_scheduler_file(const std::string& scheduler) {
    return scheduler.find('/') != std::string::npos || scheduler.ends_with(".so");
}

#ifdef MOLINK_PLUGINS
namespace {

using Open = int32_t (*)(molink_scheduler_vtable* table, void** user_data);

/// One scheduler of a plug-in, and the bookkeeping that the C interface keeps for an engine.
class FileScheduler final : public Scheduler {
public:
    static Result<std::unique_ptr<Scheduler>> make(Open open, const std::string& path) {
        auto made = std::make_unique<FileScheduler>();
        molink_scheduler_vtable table = MOLINK_SCHEDULER_VTABLE_INIT;
        void* user_data = nullptr;
        if (const int32_t failed = open(&table, &user_data); failed != 0) {
            return Status(StatusCode::invalid_argument, "molink_scheduler_open of '" + path +
                                                            "' returned " + std::to_string(failed));
        }
        auto inner = capi::make_plugin_scheduler(&table, user_data, made->threads_);
        if (!inner) return inner.error().with_context(path);
        made->inner_ = std::move(*inner);
        made->inner_->own();
        return std::unique_ptr<Scheduler>(std::move(made));
    }

    std::string_view name() const override { return inner_->name(); }
    void plan(const SchedulerView& view, StepPlan& plan) override { inner_->plan(view, plan); }
    void observe(const PartReport& report) override { inner_->observe(report); }

private:
    capi::CallbackThreads threads_;
    std::unique_ptr<capi::PluginScheduler> inner_;
};

}  // namespace

Result<SchedulerFactory> load_scheduler_file(const std::string& path) {
    const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        return Status(StatusCode::unavailable,
                      std::string("cannot load a scheduler: ") + dlerror());
    }
    const auto open = reinterpret_cast<Open>(dlsym(library, "molink_scheduler_open"));
    if (open == nullptr) {
        return Status(StatusCode::unavailable,
                      "'" + path + "' exports no molink_scheduler_open; see molink_plugin.h");
    }
    const auto first = FileScheduler::make(open, path);
    if (!first) return first.error();
    return SchedulerFactory([open, path]() -> std::unique_ptr<Scheduler> {
        auto made = FileScheduler::make(open, path);
        if (made) return std::move(*made);
        // It made one a moment ago, and a study under another scheduler would be a lie.
        std::fprintf(stderr, "molink-simulate: %s\n", made.error().message().c_str());
        std::fflush(nullptr);
        std::_Exit(2);
    });
}
#else
Result<SchedulerFactory> load_scheduler_file(const std::string& path) {
    return Status(StatusCode::unavailable, "'" + path +
                                               "': this molink-simulate was built without the C "
                                               "interface and loads no plug-ins");
}
#endif

Result<SchedulerFiles> load_scheduler_files(const std::vector<std::string>& schedulers) {
    SchedulerFiles files;
    for (const std::string& scheduler : schedulers) {
        if (!is_scheduler_file(scheduler) || files.contains(scheduler)) continue;
        auto loaded = load_scheduler_file(scheduler);
        if (!loaded) return loaded.error();
        files.emplace(scheduler, std::move(*loaded));
    }
    return files;
}

}  // namespace molink::examples
