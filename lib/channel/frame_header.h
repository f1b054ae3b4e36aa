#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <molink/status.h>
#include <molink/transport.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// A peer link has two connections, so that a lost segment of a bulky message does not delay decode
/// messages.
enum class Track : std::uint8_t { urgent = 0, bulky = 1 };
inline constexpr std::size_t kTrackCount = 2;

constexpr Track track_of(Lane lane) {
    return lane >= Lane::prefill ? Track::bulky : Track::urgent;
}

enum class FrameType : std::uint8_t {
    hello = 1,    ///< first frame on a dialled connection: peer link, track and last received frame
    welcome = 2,  ///< accepts a hello, with the same data
    reject = 3,   ///< refuses a hello; the peer link has ended
    data = 4,
    ack = 5,
    bye = 6,  ///< the sender closes the peer link
};

/// Why a hello was rejected.
enum class RejectReason : std::uint8_t { version = 1, unknown_link = 2, full = 3 };

/// The header of every frame: 64 bytes, little-endian. Fields that a type does not use are zero.
struct FrameHeader {
    FrameType type = FrameType::data;
    Track track = Track::urgent;
    Lane lane = Lane::control;  ///< data
    /// hello: 1 = resumes; ack: 1 = resend from `sequence` + 1; reject: RejectReason; data:
    /// kProbeFlag.
    std::uint8_t flags = 0;
    std::uint16_t version = 0;   ///< hello, reject: protocol major of the sender
    std::uint16_t pipeline = 0;  ///< data: pipeline of the message
    std::uint64_t link = 0;      ///< token of the peer link
    /// data: number on the track, from 1; hello, welcome, ack: last received number.
    std::uint64_t sequence = 0;
    std::uint32_t epoch = 0;    ///< data: epoch of that pipeline
    std::uint32_t message = 0;  ///< data: number of the message on its lane
    /// data: offset of the payload in its message; ack: arrival of the newest frame, by the
    /// receiver's clock in us, modulo 2^32.
    std::uint32_t offset = 0;
    /// data: bytes of the message; ack: bytes of all data frames of the peer link that had arrived
    /// by then, modulo 2^32.
    std::uint32_t total = 0;
    /// data: sender's clock; ack: stamp of the newest frame, or of the frame that did not follow if
    /// it asks to resend.
    std::uint64_t stamp_us = 0;
    std::uint32_t hold_us = 0;  ///< ack: time from arrival to acknowledgement
    std::uint32_t payload = 0;  ///< data: bytes that follow, including padding
};

inline constexpr std::size_t kFrameHeaderBytes = 64;

/// Flag of a data frame without a message. It is numbered and acknowledged like others. Its bytes
/// only take time on the link.
inline constexpr std::uint8_t kProbeFlag = 2;

/// Makes a frame of header and payload with its checksum. `padding`: see ChannelOptions.
Frame encode_frame(const FrameHeader& header, ByteSpan payload = {}, std::size_t padding = 0);

/// Sets the stamp of a frame, because it is sent at another time.
void stamp_frame(Frame& frame, std::int64_t now_us);

/// Returns the bytes that a frame counts for, including padding.
std::size_t frame_bytes(const Frame& frame);
/// Returns the lane of a frame; control for frames other than data.
Lane frame_lane(const Frame& frame);

/// Reads and checks a frame. On success `payload` is a part of `frame`. With `padded`, the payload
/// may hold fewer bytes than the header says. Errors: data_loss, saying what is wrong.
Result<FrameHeader> decode_frame(ByteSpan frame, ByteSpan& payload, bool padded = false);

}  // namespace molink
