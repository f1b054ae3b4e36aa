// molink-serve: a head with an HTTP server. Accepts workers, serves OpenAI's completions from the
// pipeline, and shows its state at /health, /cluster and /metrics. While nodes are missing, it
// answers requests with 503. Exit status: 0 after SIGINT or SIGTERM, 2 wrong flags or an address in
// use.
#include <algorithm>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include <molink/engine.h>

#include "common/console.h"
#include "common/head_flags.h"
#include "serve/server.h"

namespace molink::examples {
namespace {

struct ServeFlags {
    HeadFlags head;
    std::string http = "127.0.0.1:8080";
    std::string model_name;
    int max_waiting = 256;
    int http_threads = 0;
};

int fail(const Status& status, int code) {
    fmt::print(stderr, "molink-serve: {}\n", status.message());
    return code;
}

Status bad(const std::string& text) {
    return Status(StatusCode::invalid_argument, text);
}

Status parse_http(const std::string& text, ServerOptions& options) {
    const std::size_t colon = text.rfind(':');
    const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
    const bool digits =
        !port.empty() && port.size() <= 5 &&
        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || colon == 0 || std::stoi(port) > 65535) {
        return bad(fmt::format(
            "--http is '{}'; it must be HOST:PORT, with port 0 for any free port", text));
    }
    options.host = text.substr(0, colon);
    options.port = std::stoi(port);
    return {};
}

bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

/// One thread for each request that the engine may hold, and a few that refuse further requests.
int default_threads(const ServeFlags& flags) {
    const int held = flags.head.max_running + flags.max_waiting;
    return std::min(std::max(4 * flags.head.max_running, held) + 16, 4096);
}

Status check(const ServeFlags& flags, const ServerOptions& server) {
    if (!is_loopback(server.host) && !flags.head.node.insecure) {
        return bad(fmt::format(
            "--http {}: HTTP is neither encrypted nor authenticated; an address that is "
            "not loopback needs --insecure",
            flags.http));
    }
    if (flags.http_threads < 0 || flags.http_threads > 4096) {
        return bad(
            fmt::format("--http-threads is {}; 0 to 4096 are permitted", flags.http_threads));
    }
    return {};
}

int serve(const ServeFlags& flags) {
    ServerOptions server_options;
    Status status = parse_http(flags.http, server_options);
    if (status.ok()) status = check(flags, server_options);
    EngineOptions options;
    if (status.ok()) status = apply_head_flags(flags.head, options);
    if (!status.ok()) return fail(status, 2);
    options.max_waiting = flags.max_waiting;
    ConsoleLog log("molink-serve");
    options.log = &log;
    options.log_level = flags.head.node.verbose ? LogLevel::info : LogLevel::warning;
    NodeOptions shown;
    shown.block_tokens = options.block_tokens;
    shown.kv_type = options.kv_type;
    const std::filesystem::path folder =
        std::filesystem::path(options.model_dir).lexically_normal();
    const std::string folder_name = folder.has_filename()
                                        ? folder.filename().string()
                                        : folder.parent_path().filename().string();
    server_options.model_name = flags.model_name.empty() ? folder_name : flags.model_name;
    server_options.threads = flags.http_threads > 0 ? flags.http_threads : default_threads(flags);
    auto engine = Engine::open(std::move(options));
    if (!engine) return fail(engine.error(), 2);
    status = write_address(flags.head, **engine);
    if (!status.ok()) return fail(status, 2);
    Server server(**engine, server_options);
    const auto port = server.bind();
    if (!port) return fail(port.error(), 2);
    catch_interrupts();
    fmt::print(stderr, "molink-serve: model '{}' at http://{}:{}/v1, workers join at {}\n",
               server_options.model_name, server_options.host, *port, (*engine)->address());
    std::thread http([&] { server.run(); });
    const Status ready = wait_with_progress(**engine, flags.head.wait_s);
    if (ready.ok()) {
        print_split((*engine)->cluster(), (*engine)->model(), shown);
    } else if (!interrupted()) {
        fmt::print(stderr, "molink-serve: {}\n", ready.message());
    }
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    server.stop();
    const Status closed = (*engine)->close();
    http.join();
    return closed.ok() ? 0 : fail(closed, 1);
}

int run(int argc, char** argv) {
    CLI::App app{"Serves a model over HTTP. The model is split over this node and its workers."};
    app.footer(
        "Example: molink-serve --model DIR --stages 3 --listen tcp://127.0.0.1:7100 \\\n"
        "             --http 127.0.0.1:8080");
    ServeFlags flags;
    add_head_flags(app, flags.head);
    app.add_option("--http", flags.http, "serve at HOST:PORT; port 0: any free port")
        ->capture_default_str();
    app.add_option("--served-model-name", flags.model_name,
                   "name of the model in requests (default: the name of its folder)");
    app.add_option(
           "--max-waiting", flags.max_waiting,
           "maximum number of waiting sequences; further requests are refused with status 429")
        ->capture_default_str();
    app.add_option("--http-threads", flags.http_threads,
                   "number of HTTP threads, one per connection; 0: enough for all requests");
    CLI11_PARSE(app, argc, argv);
    return serve(flags);
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
