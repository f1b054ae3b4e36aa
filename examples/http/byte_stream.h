#pragma once

#include <functional>
#include <memory>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

namespace molink::examples {

/// The bytes of one connection, plain or encrypted. Calls return at once; `done` runs on the
/// socket's executor. One read and one write may be under way at a time. Thread: that executor.
class ByteStream : public std::enable_shared_from_this<ByteStream> {
public:
    using Done = std::function<void(const boost::system::error_code&, std::size_t)>;

    virtual ~ByteStream() = default;

    /// Agrees on keys. Done at once without encryption.
    virtual void begin(Done done) = 0;
    /// Reads what arrives next.
    virtual void read(boost::asio::mutable_buffer to, Done done) = 0;
    /// Writes all of `from`.
    virtual void write(boost::asio::const_buffer from, Done done) = 0;
    /// Tells the client that no output follows.
    virtual void end_output() = 0;
    /// Reads and drops raw input. Only after end_output().
    virtual void discard(boost::asio::mutable_buffer to, Done done) = 0;
    /// Closes the socket. What is under way ends with an error.
    virtual void close() = 0;
};

std::shared_ptr<ByteStream> make_plain_stream(boost::asio::ip::tcp::socket socket);
/// `context` must outlive the stream.
std::shared_ptr<ByteStream> make_tls_stream(boost::asio::ip::tcp::socket socket,
                                            boost::asio::ssl::context& context);

}  // namespace molink::examples
