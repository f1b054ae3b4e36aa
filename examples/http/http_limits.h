#pragma once

#include <cstddef>
#include <cstdint>

namespace molink::examples {

/// Bounds of the HTTP server, with their reasons. Tests make some of them smaller.
struct HttpLimits {
    /// Longest request line. Longer ones are answered with 414. Browsers keep to 8 KiB.
    std::size_t request_line_bytes = 8u << 10;
    /// Longest head: request line and header fields. Longer ones are answered with 431.
    std::size_t head_bytes = 32u << 10;
    /// Most header fields of a request.
    std::size_t fields = 100;
    /// Longest body, counted without the framing of chunks. Longer ones are answered with 413.
    std::size_t body_bytes = 16u << 20;
    /// Longest size line or trailer of a chunked body.
    std::size_t chunk_line_bytes = 16u << 10;
    /// Bytes of all bodies that are held at one time. A request beyond it is answered with 503.
    std::size_t all_bodies_bytes = 256u << 20;
    /// Most bytes of later requests that are read while one is answered.
    std::size_t ahead_bytes = 64u << 10;
    /// Bytes of a stream that may wait for its client. A client that is slower is cut off.
    std::size_t output_bytes = 1u << 20;
    /// Most connections. Beyond it, the one that has waited longest for its client gives way.
    std::size_t connections = 1024;
    /// Time for a TLS handshake, and for the head from its first byte on.
    std::int64_t head_ms = 10'000;
    /// Time between two requests of a connection, and before the first one.
    std::int64_t idle_ms = 30'000;
    /// Time for the body, and the rate that extends it.
    std::int64_t body_ms = 30'000;
    std::int64_t body_bytes_per_s = 32 << 10;
    /// Time in which a client must take a piece of output. A piece has at most 64 KiB.
    std::int64_t write_ms = 20'000;
    /// Time for which the input of a closing connection is still read, so that the client sees the
    /// answer: a socket that is closed with unread input discards its output. A tenth of it when
    /// the server ends.
    std::int64_t linger_ms = 5'000;
    /// When a client that has closed its side is asked whether it still reads: the first two times,
    /// and after that. Most answers are there before the first.
    std::int64_t first_probe_ms = 50;
    std::int64_t probe_ms = 5'000;
    /// Threads for input and output. They never wait for anything else.
    int threads = 2;
};

}  // namespace molink::examples
