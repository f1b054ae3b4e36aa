// The command line of molink-serve. An address that others can reach needs a key, unless the
// operator says that it may be open.
#include "serve/serve_flags.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "common/flag_sources.h"
#include "http/tls_files.h"

namespace molink::examples {
namespace {

Status bad(const std::string& text) {
    return Status(StatusCode::invalid_argument, text);
}

std::string folder_name(const std::string& model_dir) {
    const auto folder = std::filesystem::path(model_dir).lexically_normal();
    return folder.has_filename() ? folder.filename().string()
                                 : folder.parent_path().filename().string();
}

Status check_numbers(const ServeFlags& flags) {
    if (flags.http_threads < 1 || flags.http_threads > 64) {
        return bad(fmt::format("--http-threads is {}; 1 to 64 are permitted", flags.http_threads));
    }
    if (flags.http_connections < 16 || flags.http_connections > 100'000) {
        return bad(fmt::format("--http-connections is {}; 16 to 100000 are permitted",
                               flags.http_connections));
    }
    if (!(flags.drain_s >= 0 && flags.drain_s <= 86'400)) {
        return bad(fmt::format("--drain is {}; 0 to 86400 are permitted", flags.drain_s));
    }
    if (flags.tls_cert.empty() != flags.tls_key.empty()) {
        return bad("--tls-cert and --tls-key need each other");
    }
    return {};
}

Result<AccessRules> make_access(const ServeFlags& flags) {
    AccessRules access;
    auto keys = ApiKeys::load(flags.api_keys);
    if (!keys) return keys.error();
    access.keys = std::move(*keys);
    const std::string automatic = access.keys.empty() ? "local" : "key";
    auto status = parse_status_access(flags.status == "auto" ? automatic : flags.status);
    if (!status) return status.error();
    access.status = *status;
    if (access.status == StatusAccess::key && access.keys.empty()) {
        return bad("--status key needs --api-key");
    }
    access.origins = flags.cors;
    return access;
}

}  // namespace

void add_serve_flags(CLI::App& app, ServeFlags& flags) {
    add_head_flags(app, flags.head);
    app.add_option(
           "--http", flags.http,
           "serve at HOST:PORT or [IPV6]:PORT; port 0: any free port; host *: all interfaces")
        ->capture_default_str();
    app.add_option("--served-model-name", flags.model_name,
                   "name of the model in requests (default: the name of its folder)");
    app.add_option(
           "--max-waiting", flags.max_waiting,
           "maximum number of waiting sequences; further requests are refused with status 429")
        ->capture_default_str();
    app.add_option("--api-key", flags.api_keys,
                   "a file with one key per line, or a key of at least 16 characters; may be given "
                   "several times. Clients send 'Authorization: Bearer KEY'");
    app.add_option("--tls-cert", flags.tls_cert, "serve HTTPS with this certificate chain (PEM)");
    app.add_option("--tls-key", flags.tls_key, "private key of --tls-cert (PEM, no password)");
    app.add_option("--status", flags.status,
                   "who may see /metrics and /cluster: off, local (clients on this host), key or "
                   "open; auto: key with --api-key, otherwise local")
        ->capture_default_str();
    app.add_option("--cors", flags.cors,
                   "origin of web pages that may use the server, such as https://example.org; '*': "
                   "all; may be given several times");
    app.add_option("--drain", flags.drain_s,
                   "seconds that answers may take to end after SIGTERM; new ones are refused")
        ->capture_default_str();
    app.add_option("--http-threads", flags.http_threads,
                   "threads that read requests and make answers")
        ->capture_default_str();
    app.add_option("--http-connections", flags.http_connections,
                   "maximum number of connections; beyond it the one that has waited longest for "
                   "its client is closed")
        ->capture_default_str();
    FlagSources sources;
    sources.key_files = {"api-key"};
    add_flag_sources(app, sources);
}

Result<ServerOptions> make_server_options(const ServeFlags& flags) {
    ServerOptions options;
    if (auto status = check_numbers(flags); !status.ok()) return status;
    auto address = parse_tcp_address("--http", flags.http, AddressUse::listen);
    if (!address) return address.error();
    options.address = *address;
    auto access = make_access(flags);
    if (!access) return access.error();
    options.access = std::move(*access);
    if (!is_loopback_host(options.address.host) && options.access.keys.empty() &&
        !flags.head.node.insecure) {
        return bad(
            fmt::format("--http {}: an address that is not loopback needs --api-key, or "
                        "--insecure to serve everybody who reaches it",
                        flags.http));
    }
    if (!flags.tls_cert.empty()) {
        auto tls = load_tls(flags.tls_cert, flags.tls_key);
        if (!tls) return tls.error();
        options.tls = std::move(*tls);
    }
    options.model_name =
        flags.model_name.empty() ? folder_name(flags.head.node.model) : flags.model_name;
    options.most_completions = std::int64_t{flags.head.max_running} + flags.max_waiting;
    options.threads = flags.http_threads;
    // Each completion has a client that is not waited for; as many again may be slow.
    options.limits.connections =
        std::max(static_cast<std::size_t>(flags.http_connections),
                 static_cast<std::size_t>(std::max<std::int64_t>(options.most_completions, 0)) * 2);
    return options;
}

std::string exposure(const ServerOptions& options) {
    const bool loopback = is_loopback_host(options.address.host);
    const bool open = options.access.keys.empty();
    if (open) {
        return fmt::format("open without a key: everybody who reaches {} can use the model",
                           loopback ? "this host's loopback address" : options.address.host);
    }
    if (!loopback && options.tls == nullptr) {
        return "keys, prompts and answers are not encrypted: there is no --tls-cert";
    }
    return {};
}

}  // namespace molink::examples
