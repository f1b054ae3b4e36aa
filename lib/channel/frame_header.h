#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <molink/status.h>
#include <molink/transport.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// Two connections carry a link, so that a lost bulky segment does not stall a decode.
enum class Track : std::uint8_t { urgent = 0, bulky = 1 };
inline constexpr std::size_t kTrackCount = 2;

constexpr Track track_of(Lane lane) {
    return lane >= Lane::prefill ? Track::bulky : Track::urgent;
}

enum class FrameType : std::uint8_t {
    hello = 1,    ///< first on a dialled connection: which link, which track, where to go on
    welcome = 2,  ///< its answer
    reject = 3,   ///< its other answer; the link is over
    data = 4,
    ack = 5,
    bye = 6,  ///< the sender closes the link for good
};

/// Why a hello was rejected.
enum class RejectReason : std::uint8_t { version = 1, unknown_link = 2, full = 3 };

/// The fixed part of every frame, 64 bytes, little-endian. Fields that a type does not use are
/// zero.
struct FrameHeader {
    FrameType type = FrameType::data;
    Track track = Track::urgent;
    Lane lane = Lane::control;   ///< data
    std::uint8_t flags = 0;      ///< hello: 1 = resumes; ack: 1 = send again from `sequence` + 1;
                                 ///< reject: RejectReason
    std::uint16_t version = 0;   ///< hello, reject: protocol major of the sender
    std::uint16_t pipeline = 0;  ///< data: the message belongs to this pipeline ...
    std::uint64_t link = 0;      ///< token of the link
    std::uint64_t sequence =
        0;                    ///< data: number on this track, from 1; hello, welcome, ack: received
    std::uint32_t epoch = 0;  ///< data: ... and to this epoch of it
    std::uint32_t message = 0;  ///< data: number on this lane
    std::uint32_t offset = 0;   ///< data: of the payload in its message; ack: when its newest
                                ///< frame arrived, receiver's clock in us, modulo 2^32
    std::uint32_t total = 0;    ///< data: bytes of the whole message; ack: bytes of all data
                                ///< frames of the link that had arrived then, modulo 2^32
    std::uint64_t stamp_us =
        0;                      ///< data: sender's clock; ack: echoed, of the newest frame received
                                ///< or, when it asks for more, of the one that did not fit
    std::uint32_t hold_us = 0;  ///< ack: time between arrival and acknowledgement
    std::uint32_t payload = 0;  ///< data: bytes that follow, padding included
};

inline constexpr std::size_t kFrameHeaderBytes = 64;

/// Flag of a data frame that carries no message: numbered and acknowledged like any other, its
/// bytes are there to take time on the link.
inline constexpr std::uint8_t kProbeFlag = 2;

/// A frame of header and payload, checksummed. `padding`: see ChannelOptions.
Frame encode_frame(const FrameHeader& header, ByteSpan payload = {}, std::size_t padding = 0);

/// A frame made by encode_frame, or another of its kind, goes out at another time.
void stamp_frame(Frame& frame, std::int64_t now_us);

/// What a frame made by encode_frame counts for, padding included.
std::size_t frame_bytes(const Frame& frame);
/// Its lane; of what is no data: control.
Lane frame_lane(const Frame& frame);

/// Reads and checks a frame. Errors: data_loss naming what is wrong. On success `payload` lies in
/// `frame`. `padded`: it may hold fewer bytes than it says.
Result<FrameHeader> decode_frame(ByteSpan frame, ByteSpan& payload, bool padded = false);

}  // namespace molink
