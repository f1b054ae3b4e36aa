// The public Worker: composes a worker node and its thread. The calling threads
// only read published copies and wait; the node itself decides when its work is
// over.
#include <molink/worker.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/foreign.h"
#include "base/random.h"
#include "base/resources.h"
#include "base/seconds.h"
#include "base/timeout.h"
#include "node/address.h"
#include "node/node_loop.h"
#include "node/node_parts.h"
#include "node/node_security.h"
#include "node/open_nodes.h"
#include "node/worker_node.h"
#include "security/keys.h"

namespace molink {
namespace {

class WorkerImpl final : public Worker {
public:
    ~WorkerImpl() override { close(); }

    static Result<std::unique_ptr<Worker>> open(const WorkerOptions& options);

    Status wait(std::int64_t timeout_us) override;
    WorkerView view() const override;
    void close() override;

private:
    Status build(const WorkerOptions& options);
    void tick();
    void end(const Status& outcome);

    NodeParts parts_;
    KeyLock key_lock_;
    StageExecutors executors_;
    std::unique_ptr<WorkerNode> node_;
    std::unique_ptr<ChannelHub> hub_;
    std::unique_ptr<NodeLoop> loop_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Status> outcome_;  // under mutex_
    bool closed_ = false;            // under mutex_
};

Result<std::unique_ptr<Worker>> WorkerImpl::open(const WorkerOptions& options) {
    MOLINK_RETURN_IF_ERROR(check_worker_options(options));
    const std::string what = "open a worker for " + options.model_dir;
    return call_foreign(what, [&]() -> Result<std::unique_ptr<Worker>> {
        MOLINK_RETURN_IF_ERROR(check_resources(what, kNodeResources));
        auto worker = std::make_unique<WorkerImpl>();
        MOLINK_RETURN_IF_ERROR(worker->build(options));
        return std::unique_ptr<Worker>(std::move(worker));
    });
}

Status WorkerImpl::build(const WorkerOptions& options) {
    const std::string name = fmt::format("worker-{:06x}", system_seed() & 0xffffff);
    WorkerConfig config;
    MOLINK_ASSIGN_OR_RETURN(config.identity, make_identity(options, name, true));
    config.join_within_us = options.join_within_us;
    config.give_up_after_us = options.give_up_after_us;
    config.head_lost_after_us = options.node_lost_after_us;
    config.reconnect_within_us = options.reconnect_within_us;
    MOLINK_ASSIGN_OR_RETURN(parts_, open_node_parts(options));
    MOLINK_ASSIGN_OR_RETURN(key_lock_, lock_node_keys(options.security));
    MOLINK_ASSIGN_OR_RETURN(HeadAccess head, open_head_target(options, parts_.keys));
    config.join = std::move(head.target);
    config.introduced = head.introduced;
    config.on_enrolled = std::move(head.on_enrolled);
    config.self = self_identity(parts_);
    log_warnings(config.identity, parts_.log);
    MOLINK_ASSIGN_OR_RETURN(executors_, make_node_executors(options, config.identity, parts_));
    node_ = std::make_unique<WorkerNode>(std::move(config), *parts_.clock, pointers(executors_),
                                         parts_.log);
    hub_ = make_node_hub(parts_, *node_);
    MOLINK_RETURN_IF_ERROR(node_->attach(*hub_, parts_.advertise));
    loop_ = std::make_unique<NodeLoop>(
        *hub_, *parts_.clock, [this] { tick(); }, [this] { return node_->next_timer_us(); },
        [this](const Status& reason) {
            parts_.log(LogLevel::error, "the worker ends: {}", reason.message());
            end(reason);
        });
    loop_->start();
    return {};
}

void WorkerImpl::tick() {
    node_->tick();
    if (node_->over()) end(node_->outcome());
}

void WorkerImpl::end(const Status& outcome) {
    {
        const std::lock_guard lock(mutex_);
        if (outcome_) return;
        outcome_ = outcome;
    }
    changed_.notify_all();
}

Status WorkerImpl::wait(std::int64_t timeout_us) {
    MOLINK_RETURN_IF_ERROR(check_timeout(timeout_us));
    std::unique_lock lock(mutex_);
    const auto over = [&] { return outcome_.has_value() || closed_; };
    if (!wait_until(changed_, lock, timeout_us, over)) {
        return make_error(StatusCode::deadline_exceeded, "the worker still runs after {:.1f} s",
                          seconds(timeout_us));
    }
    return outcome_ ? *outcome_ : Status();
}

WorkerView WorkerImpl::view() const {
    WorkerView view;
    view.state = NodeState::lost;  // unless the loop still runs
    loop_->call([&] { view = node_->view(); });
    return view;
}

void WorkerImpl::close() {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        closed_ = true;
    }
    if (loop_ != nullptr) {
        loop_->stop([this] { node_->farewell(); }, [this] { return node_->flushed(); });
    }
    changed_.notify_all();
    executors_.clear();
    key_lock_ = KeyLock();
}

}  // namespace

Result<std::unique_ptr<Worker>> open_worker(WorkerOptions options) {
    const WipedAtEnd token(options.security.token);
    return WorkerImpl::open(options);
}

}  // namespace molink
