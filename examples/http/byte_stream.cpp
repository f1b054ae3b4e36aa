// Sockets with and without TLS behind one interface, so that the connection is written and compiled
// once. Closing is in two steps: end_output() and, after the client's input was dropped, close(). A
// socket that is closed with unread input sends a reset, and the client may lose the answer.
#include "http/byte_stream.h"

#include <utility>

#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

namespace molink::examples {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class PlainStream final : public ByteStream {
public:
    explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}

    void begin(Done done) override {
        asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
    }
    void read(asio::mutable_buffer to, Done done) override {
        socket_.async_read_some(to, std::move(done));
    }
    void write(asio::const_buffer from, Done done) override {
        asio::async_write(socket_, from, std::move(done));
    }
    void end_output() override {
        error_code ignored;
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
    }
    void discard(asio::mutable_buffer to, Done done) override { read(to, std::move(done)); }
    void close() override {
        error_code ignored;
        socket_.close(ignored);
    }

private:
    tcp::socket socket_;
};

class TlsStream final : public ByteStream {
public:
    TlsStream(tcp::socket socket, asio::ssl::context& context)
        : stream_(std::move(socket), context) {}

    void begin(Done done) override {
        stream_.async_handshake(
            asio::ssl::stream_base::server,
            [done = std::move(done)](const error_code& error) { done(error, 0); });
    }
    void read(asio::mutable_buffer to, Done done) override {
        stream_.async_read_some(to, std::move(done));
    }
    void write(asio::const_buffer from, Done done) override {
        asio::async_write(stream_, from, std::move(done));
    }
    void end_output() override {
        stream_.async_shutdown([self = shared_from_this()](const error_code&) {});
    }
    void discard(asio::mutable_buffer to, Done done) override {
        stream_.next_layer().async_read_some(to, std::move(done));
    }
    void close() override {
        error_code ignored;
        stream_.next_layer().close(ignored);
    }

private:
    asio::ssl::stream<tcp::socket> stream_;
};

}  // namespace

std::shared_ptr<ByteStream> make_plain_stream(tcp::socket socket) {
    return std::make_shared<PlainStream>(std::move(socket));
}

std::shared_ptr<ByteStream> make_tls_stream(tcp::socket socket, asio::ssl::context& context) {
    return std::make_shared<TlsStream>(std::move(socket), context);
}

}  // namespace molink::examples
