// molink-serve: a head with an HTTP server. Accepts workers, serves OpenAI's completions from the
// pipeline, and shows its state at /health, /livez, /readyz, /cluster and /metrics. While nodes are
// missing, it answers requests with 503. Exit status: 0 after SIGINT or SIGTERM, 2 wrong flags or
// an address in use, 3 when clients or the engine had to be left behind, 128 + signal after a
// second signal.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include <molink/engine.h>

#include "common/console.h"
#include "common/flag_sources.h"
#include "serve/serve_flags.h"
#include "serve/server.h"

namespace molink::examples {
namespace {

/// Time for clients to take what was answered when the server ends.
constexpr double kFlushS = 2;
/// Time after --drain at which the process ends whatever hangs.
constexpr int kLastResortS = 5;

int fail(const Status& status, int code) {
    say(fmt::format("molink-serve: {}\n", status.message()));
    return code;
}

/// Ends the process after that many seconds. A prompt of megabytes cannot be interrupted.
void end_after(int seconds) {
    struct sigaction action {};
    action.sa_handler = [](int) { ::_exit(3); };
    ::sigaction(SIGALRM, &action, nullptr);
    ::alarm(static_cast<unsigned>(seconds));
}

/// Waits until the pipeline is ready, shows its split, and waits for a signal.
void serve_until_interrupted(const ServeFlags& flags, Engine& engine, const NodeOptions& shown) {
    const Status ready = wait_with_progress(engine, flags.head.wait_s);
    if (ready.ok()) {
        print_split(engine.cluster(), engine.model(), shown);
    } else if (!interrupted()) {
        say(fmt::format("molink-serve: {}\n", ready.message()));
    }
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

int serve(const ServeFlags& flags) {
    EngineOptions options;
    const Status applied = apply_head_flags(flags.head, options);
    if (!applied.ok()) return fail(applied, 2);
    auto server_options = make_server_options(flags);
    if (!server_options) return fail(server_options.error(), 2);
    const std::string warning = exposure(*server_options);
    const std::string model_name = server_options->model_name;
    const char* scheme = server_options->tls ? "https" : "http";
    options.max_waiting = flags.max_waiting;
    ConsoleLog log("molink-serve");
    options.log = &log;
    options.log_level = flags.head.node.verbose ? LogLevel::info : LogLevel::warning;
    NodeOptions shown;
    shown.block_tokens = options.block_tokens;
    shown.kv_type = options.kv_type;
    Server server(std::move(*server_options));
    const auto address = server.bind();
    if (!address) return fail(address.error(), 2);
    auto engine = Engine::open(std::move(options));
    if (!engine) return fail(engine.error(), 2);
    const Status written = write_address(flags.head, **engine);
    if (!written.ok()) return fail(written, 2);
    catch_interrupts();
    server.start(**engine);
    say(fmt::format("molink-serve: model '{}' at {}://{}/v1, workers join at {}\n", model_name,
                    scheme, tcp_address_text(*address), (*engine)->address()));
    if (!warning.empty()) say(fmt::format("molink-serve: {}\n", warning));
    serve_until_interrupted(flags, **engine, shown);
    end_after(static_cast<int>(flags.drain_s) + kLastResortS);
    server.drain(flags.drain_s);
    const Status closed = (*engine)->close();
    server.stop(kFlushS);
    return closed.ok() ? 0 : fail(closed, 1);
}

int run(int argc, char** argv) {
    CLI::App app{"Serves a model over HTTP. The model is split over this node and its workers."};
    app.footer(
        "Example: molink-serve --model DIR --stages 3 --listen tcp://127.0.0.1:7100 \\\n"
        "             --http 127.0.0.1:8080");
    ServeFlags flags;
    add_serve_flags(app, flags);
    if (const auto status = parse_flags(app, argc, argv)) return *status;
    std::signal(SIGPIPE, SIG_IGN);
    return serve(flags);
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
