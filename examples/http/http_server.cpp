// Listener, threads and the set of connections. When the places run short, the connection that has
// waited longest for its client gives way, so that a new client is served however many slow ones
// there are. No SO_REUSEPORT: a second server on a port in use must fail.
#include "http/http_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>

#include "http/http_connection.h"

namespace molink::examples {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::int64_t kAcceptRetryMs = 100;
/// Descriptors that the rest of the process may need: sockets to workers, model files, logs.
constexpr std::size_t kOtherDescriptors = 128;
constexpr std::size_t kFewestConnections = 16;
/// Connections above the limit while others end to make room.
constexpr std::size_t kSparePlaces = 64;

/// Raises the limit of open files as far as it goes. Returns the connections that it permits.
std::size_t connections_permitted() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kFewestConnections;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const auto open = static_cast<std::size_t>(limit.rlim_cur);
    return open < kOtherDescriptors ? 0 : open - kOtherDescriptors;
}

/// Connections that are open. Shared with them, because the last one may end after the server.
struct Registry {
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t next = 1;                                                 // under mutex
    std::unordered_map<std::uint64_t, std::weak_ptr<HttpConnection>> open;  // under mutex

    void remove(std::uint64_t id) {
        {
            const std::lock_guard lock(mutex);
            open.erase(id);
        }
        changed.notify_all();
    }
    std::vector<std::shared_ptr<HttpConnection>> all() {
        const std::lock_guard lock(mutex);
        std::vector<std::shared_ptr<HttpConnection>> found;
        for (const auto& [id, weak] : open) {
            if (auto connection = weak.lock()) found.push_back(std::move(connection));
        }
        return found;
    }
    std::size_t size() {
        const std::lock_guard lock(mutex);
        return open.size();
    }
};

}  // namespace

struct HttpServer::Impl {
    Impl(const HttpLimits& limits, HttpHandler& handler, std::shared_ptr<asio::ssl::context> with)
        : tls(std::move(with)), shared(limits, handler) {}

    error_code bind(const tcp::endpoint& endpoint);
    void accept();
    void accept_later();
    void on_accepted(tcp::socket socket);
    void make_room();
    void run();
    bool wait_empty(std::int64_t limit_ms);

    std::shared_ptr<asio::ssl::context> tls;
    HttpShared shared;
    std::shared_ptr<Registry> registry = std::make_shared<Registry>();
    std::size_t most_connections = 0;
    asio::io_context io;
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    tcp::acceptor acceptor{asio::make_strand(io)};
    asio::steady_timer retry{acceptor.get_executor()};
    std::vector<std::thread> threads;
    bool stopped = false;
};

error_code HttpServer::Impl::bind(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    error_code ignored;
    if (error) acceptor.close(ignored);
    return error;
}

void HttpServer::Impl::accept() {
    acceptor.async_accept(asio::make_strand(io),
                          [this](const error_code& error, tcp::socket socket) {
                              if (!acceptor.is_open()) return;
                              if (!error) {
                                  on_accepted(std::move(socket));
                                  return accept();
                              }
                              // Without descriptors the client waits in the queue of the system
                              // until some are free.
                              make_room();
                              accept_later();
                          });
}

void HttpServer::Impl::accept_later() {
    retry.expires_after(std::chrono::milliseconds(kAcceptRetryMs));
    retry.async_wait([this](const error_code& error) {
        if (!error && acceptor.is_open()) accept();
    });
}

void HttpServer::Impl::on_accepted(tcp::socket socket) {
    error_code error;
    socket.set_option(tcp::no_delay(true), error);
    const auto remote = socket.remote_endpoint(error);
    if (error) return;  // the client has gone already
    const bool loopback =
        remote.address().is_loopback() ||
        (remote.address().is_v6() && remote.address().to_v6().is_v4_mapped() &&
         asio::ip::make_address_v4(asio::ip::v4_mapped, remote.address().to_v6()).is_loopback());
    if (registry->size() >= most_connections) make_room();
    if (registry->size() >= most_connections + kSparePlaces) return;
    auto executor = socket.get_executor();
    auto stream =
        tls ? make_tls_stream(std::move(socket), *tls) : make_plain_stream(std::move(socket));
    std::shared_ptr<HttpConnection> connection;
    {
        const std::lock_guard lock(registry->mutex);
        const std::uint64_t id = registry->next++;
        connection = std::make_shared<HttpConnection>(shared, executor, std::move(stream), loopback,
                                                      [set = registry, id] { set->remove(id); });
        registry->open[id] = connection;
    }
    connection->begin();
}

/// Ends the connection that has waited longest for its client, if there is one.
void HttpServer::Impl::make_room() {
    std::shared_ptr<HttpConnection> longest;
    for (auto& connection : registry->all()) {
        const std::int64_t since = connection->waits_since_ms();
        if (since == 0) continue;
        if (!longest || since < longest->waits_since_ms()) longest = std::move(connection);
    }
    if (longest) longest->abort();
}

void HttpServer::Impl::run() {
    while (true) {
        try {
            io.run();
            return;
        } catch (const std::exception&) {
            // Out of memory for one connection: it ends with its deadline, the others go on.
            continue;
        }
    }
}

bool HttpServer::Impl::wait_empty(std::int64_t limit_ms) {
    std::unique_lock lock(registry->mutex);
    return registry->changed.wait_for(lock, std::chrono::milliseconds(limit_ms),
                                      [&] { return registry->open.empty(); });
}

HttpServer::HttpServer(const HttpLimits& limits, HttpHandler& handler,
                       std::shared_ptr<asio::ssl::context> tls)
    : impl_(std::make_unique<Impl>(limits, handler, std::move(tls))) {}

HttpServer::~HttpServer() {
    stop(0);
}

Result<TcpAddress> HttpServer::bind(const TcpAddress& address) {
    const auto failed = [&](StatusCode code, const std::string& what) {
        return Status(code,
                      fmt::format("listen for HTTP at {}: {}", tcp_address_text(address), what));
    };
    impl_->most_connections = std::min(impl_->shared.limits.connections, connections_permitted());
    if (impl_->most_connections < kFewestConnections) {
        return failed(StatusCode::resource_exhausted,
                      fmt::format("the limit of open files permits {} connections, and at least "
                                  "{} are needed; raise it (ulimit -n)",
                                  impl_->most_connections, kFewestConnections));
    }
    const auto hosts = resolve_host(address.host, AddressUse::listen);
    if (!hosts) return failed(hosts.error().code(), hosts.error().message());
    error_code error;
    for (const std::string& host : *hosts) {
        error = impl_->bind(tcp::endpoint(asio::ip::make_address(host), address.port));
        if (!error) return TcpAddress{address.host, impl_->acceptor.local_endpoint().port()};
    }
    return failed(StatusCode::unavailable, error == asio::error::address_in_use
                                               ? "another program uses this port"
                                               : error.message());
}

void HttpServer::start() {
    asio::post(impl_->acceptor.get_executor(), [impl = impl_.get()] { impl->accept(); });
    for (int i = 0; i < impl_->shared.limits.threads; ++i) {
        impl_->threads.emplace_back([impl = impl_.get()] { impl->run(); });
    }
}

void HttpServer::stop(std::int64_t grace_ms) {
    if (impl_->stopped) return;
    impl_->stopped = true;
    impl_->shared.closing = true;
    if (!impl_->threads.empty()) {
        asio::post(impl_->acceptor.get_executor(), [impl = impl_.get()] {
            error_code ignored;
            impl->acceptor.close(ignored);
            impl->retry.cancel();
        });
        for (const auto& connection : impl_->registry->all()) connection->close_soon();
        if (!impl_->wait_empty(grace_ms)) {
            for (const auto& connection : impl_->registry->all()) connection->abort();
            impl_->wait_empty(kAcceptRetryMs);
        }
    }
    impl_->io.stop();
    for (std::thread& thread : impl_->threads) thread.join();
    impl_->threads.clear();
}

}  // namespace molink::examples
