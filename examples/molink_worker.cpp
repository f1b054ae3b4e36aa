// molink-worker: joins a head, holds the layers that the head assigns and computes. When the head
// goes it waits for the next one. Exit status: 0 after a signal, or after a head that closed the
// cluster if --give-up-after permits no other; 1 it cannot start or go on (model, memory, address,
// keys); 2 wrong flags; 3 a head refused it for a reason that lasts; 4 no head came in time.
#include <cstdio>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <molink/worker.h>

#include "common/console.h"
#include "common/flag_sources.h"
#include "common/node_flags.h"
#include "worker/worker_health.h"

namespace molink::examples {
namespace {

constexpr std::int64_t kPollUs = 200'000;
constexpr int kCannotRun = 1;
constexpr int kWrongFlags = 2;
constexpr int kRefused = 3;
constexpr int kGaveUp = 4;

int fail(const Status& status, int code) {
    say(fmt::format("molink-worker: {}\n", status.message()));
    return code;
}

/// Returns the exit status of a start that failed.
int code_of(const Status& status) {
    return status.code() == StatusCode::invalid_argument ? kWrongFlags : kCannotRun;
}

/// Answers at --health, if it is given. Errors: those of WorkerHealth::start.
Status start_health(const std::string& text, WorkerHealth& health) {
    if (text.empty()) return {};
    const auto address = parse_tcp_address("--health", text, AddressUse::listen);
    if (!address) return address.error();
    const auto bound = health.start(*address);
    if (!bound) return bound.error();
    say(fmt::format("molink-worker: health at http://{}\n", tcp_address_text(*bound)));
    return {};
}

/// Shows the worker's state until it ends. `links` receives its last counters.
Status follow(Worker& worker, WorkerHealth& health, std::vector<LinkMetrics>& links) {
    std::uint32_t epoch = 0;
    bool waits = false;  // for a head; said already
    while (!interrupted()) {
        const Status over = worker.wait(kPollUs);
        if (over.code() != StatusCode::deadline_exceeded) {
            const WorkerView view = worker.view();
            if (!view.links.empty()) links = view.links;
            if (over.ok() && !view.farewell.empty()) {
                say(fmt::format("molink-worker: stopped: {}\n", view.farewell));
            }
            return over;
        }
        const WorkerView view = worker.view();
        health.publish(view);
        links = view.links;
        if (view.welcomed) {
            waits = false;
        } else if ((epoch != 0 || !view.farewell.empty()) && !std::exchange(waits, true)) {
            epoch = 0;
            say(fmt::format("molink-worker: waits for a head: {}\n", view.absence));
        }
        if (view.epoch == epoch || view.state != NodeState::ready) continue;
        epoch = view.epoch;
        for (const WorkerStageView& stage : view.stages) {
            if (stage.layers.empty()) continue;
            say(fmt::format(
                "molink-worker: serves layers {}-{} on {}, {} of weights, {} KV blocks\n",
                stage.layers.begin, stage.layers.end - 1, stage.device,
                format_bytes(stage.weight_bytes), stage.kv_blocks));
        }
    }
    worker.close();
    return {};
}

constexpr double kNoLimit = -1;

/// Sets `us` to the value of a flag, unless that was not given. Errors: invalid_argument.
Status take_limit(const char* flag, double seconds, std::int64_t& us) {
    if (seconds == kNoLimit) return {};
    if (!(seconds >= 0 && seconds <= 86400)) {
        return Status(StatusCode::invalid_argument,
                      fmt::format("{} is {}; 0 to 86400 are permitted", flag, seconds));
    }
    us = static_cast<std::int64_t>(seconds * 1e6);
    return {};
}

int run(int argc, char** argv) {
    CLI::App app{"Joins a MoLink head and serves a range of layers."};
    app.footer(
        "Examples:\n  molink-worker --model DIR --join tcp://127.0.0.1:7100\n"
        "  molink-worker --model DIR --token TOKEN");
    NodeFlags flags;
    WorkerOptions options;
    double join_within_s = kNoLimit;
    double give_up_after_s = kNoLimit;
    add_node_flags(app, flags);
    app.add_option("--join", options.join, "address of the head");
    app.add_option("--token", options.security.token,
                   "join token of `molink-key token`: address and key of the head, and permission "
                   "to join; the worker's own key is made if --key names no file");
    app.add_option("--head-key", options.security.head_key,
                   "public key of the head, if the head knows the key of --key already");
    app.add_option("--join-within", join_within_s,
                   "seconds to wait for the first head; no limit without it");
    app.add_option("--give-up-after", give_up_after_s,
                   "seconds to wait for a head when one has gone; 0: end with it; no limit without "
                   "it");
    std::string health_address;
    app.add_option("--health", health_address,
                   "answer /livez, /readyz and /health at HOST:PORT (default: nowhere)");
    add_flag_sources(app, {true, {"token"}, {}});
    if (const auto status = parse_flags(app, argc, argv)) return *status;
    const Status applied = apply_node_flags(flags, options);
    if (!applied.ok()) return fail(applied, 2);
    for (const auto& [flag, seconds, us] :
         {std::tuple("--join-within", join_within_s, &options.join_within_us),
          std::tuple("--give-up-after", give_up_after_s, &options.give_up_after_us)}) {
        const Status taken = take_limit(flag, seconds, *us);
        if (!taken.ok()) return fail(taken, 2);
    }
    ConsoleLog log("molink-worker");
    options.log = &log;
    options.log_level = flags.verbose ? LogLevel::info : LogLevel::warning;
    WorkerHealth health;
    const Status answers = start_health(health_address, health);
    if (!answers.ok()) return fail(answers, code_of(answers));
    auto worker = Worker::open(std::move(options));
    if (!worker) return fail(worker.error(), code_of(worker.error()));
    say(fmt::format("molink-worker: listens at {}\n", (*worker)->view().address));
    catch_interrupts();
    ignore_hangups();
    std::vector<LinkMetrics> links;
    const Status over = follow(**worker, health, links);
    print_links(links);
    if (over.ok()) return 0;
    if (over.code() == StatusCode::unavailable) return fail(over, kGaveUp);
    return fail(over, (*worker)->view().farewell.empty() ? kCannotRun : kRefused);
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
