// The bytes of a frame. All types have one fixed header, which keeps the parser small. The checksum
// covers header and payload, because a relay or a faulty driver may flip bits that TCP's checksum
// does not detect.
#include "channel/frame_header.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"

namespace molink {
namespace {

constexpr std::uint32_t kMagic = 0x314b4c4d;  // "MLK1"
constexpr std::size_t kLaneOffset = 6;
constexpr std::size_t kStampOffset = 24;
constexpr std::size_t kPayloadOffset = 52;
constexpr std::size_t kChecksumOffset = 60;

std::uint32_t checksum(ByteSpan frame) {
    const std::uint64_t head = hash_bytes(frame.first(kChecksumOffset));
    return static_cast<std::uint32_t>(hash_bytes(frame.subspan(kFrameHeaderBytes), head));
}

Status check_data(const FrameHeader& header) {
    if (static_cast<std::size_t>(header.lane) >= kLaneCount ||
        track_of(header.lane) != header.track) {
        return make_error(StatusCode::data_loss, "a frame of lane {} came on track {}",
                          static_cast<int>(header.lane), static_cast<int>(header.track));
    }
    if (header.total > limits::kMaxMessageBytes ||
        std::uint64_t{header.offset} + header.payload > header.total) {
        return make_error(
            StatusCode::data_loss,
            "a frame of {1} bytes at offset {0} does not fit a message of {2} bytes (limit {3})",
            header.offset, header.payload, header.total, limits::kMaxMessageBytes);
    }
    return {};
}

}  // namespace

Frame encode_frame(const FrameHeader& header, ByteSpan payload, std::size_t padding) {
    Frame frame(kFrameHeaderBytes + payload.size());
    const std::span<std::byte> out(frame);
    write_le(out, 0, kMagic);
    write_le(out, 4, static_cast<std::uint8_t>(header.type));
    write_le(out, 5, static_cast<std::uint8_t>(header.track));
    write_le(out, kLaneOffset, static_cast<std::uint8_t>(header.lane));
    write_le(out, 7, header.flags);
    write_le(out, 8, header.link);
    write_le(out, 16, header.sequence);
    write_le(out, kStampOffset, header.stamp_us);
    write_le(out, 32, header.epoch);
    write_le(out, 36, header.message);
    write_le(out, 40, header.offset);
    write_le(out, 44, header.total);
    write_le(out, 48, header.hold_us);
    write_le(out, kPayloadOffset, static_cast<std::uint32_t>(payload.size() + padding));
    write_le(out, 56, header.version);
    write_le(out, 58, header.pipeline);
    if (!payload.empty())
        std::memcpy(out.data() + kFrameHeaderBytes, payload.data(), payload.size());
    write_le(out, kChecksumOffset, checksum(frame));
    return frame;
}

void stamp_frame(Frame& frame, std::int64_t now_us) {
    const auto stamp = static_cast<std::uint64_t>(now_us);
    if (read_le<std::uint64_t>(frame, kStampOffset) == stamp) return;
    const std::span<std::byte> out(frame);
    write_le(out, kStampOffset, stamp);
    write_le(out, kChecksumOffset, checksum(frame));
}

std::size_t frame_bytes(const Frame& frame) {
    return kFrameHeaderBytes + read_le<std::uint32_t>(frame, kPayloadOffset);
}

Lane frame_lane(const Frame& frame) {
    return static_cast<Lane>(read_le<std::uint8_t>(frame, kLaneOffset));
}

Result<FrameHeader> decode_frame(ByteSpan frame, ByteSpan& payload, bool padded) {
    if (frame.size() < kFrameHeaderBytes || read_le<std::uint32_t>(frame, 0) != kMagic) {
        return make_error(StatusCode::data_loss, "{} bytes are not a frame", frame.size());
    }
    FrameHeader header;
    const auto type = read_le<std::uint8_t>(frame, 4);
    const auto track = read_le<std::uint8_t>(frame, 5);
    header.lane = static_cast<Lane>(read_le<std::uint8_t>(frame, kLaneOffset));
    header.flags = read_le<std::uint8_t>(frame, 7);
    header.link = read_le<std::uint64_t>(frame, 8);
    header.sequence = read_le<std::uint64_t>(frame, 16);
    header.stamp_us = read_le<std::uint64_t>(frame, kStampOffset);
    header.epoch = read_le<std::uint32_t>(frame, 32);
    header.message = read_le<std::uint32_t>(frame, 36);
    header.offset = read_le<std::uint32_t>(frame, 40);
    header.total = read_le<std::uint32_t>(frame, 44);
    header.hold_us = read_le<std::uint32_t>(frame, 48);
    header.payload = read_le<std::uint32_t>(frame, kPayloadOffset);
    header.version = read_le<std::uint16_t>(frame, 56);
    header.pipeline = read_le<std::uint16_t>(frame, 58);
    const std::size_t held = frame.size() - kFrameHeaderBytes;
    if (padded ? header.payload < held : header.payload != held) {
        return make_error(StatusCode::data_loss,
                          "a frame with a payload of {} bytes says that it has {}", held,
                          header.payload);
    }
    if (read_le<std::uint32_t>(frame, kChecksumOffset) != checksum(frame)) {
        return make_error(StatusCode::data_loss, "a frame of {} bytes fails its checksum",
                          frame.size());
    }
    if (type < 1 || type > 6 || track >= kTrackCount) {
        return make_error(StatusCode::data_loss,
                          "a frame has an unknown type or track: type {}, track {}", type, track);
    }
    header.type = static_cast<FrameType>(type);
    header.track = static_cast<Track>(track);
    if (header.type == FrameType::data) MOLINK_RETURN_IF_ERROR(check_data(header));
    payload = frame.subspan(kFrameHeaderBytes);
    return header;
}

}  // namespace molink
