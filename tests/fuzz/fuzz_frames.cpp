// Runs a node's channel against a hostile peer. The input is a program: connections open and close,
// frames arrive (raw, well-formed with arbitrary fields, or the next one that is due), the node
// sends and closes, and time advances. Payload bytes name lane and message number, so that a
// message that is mixed up, out of order or delivered twice is noticed.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/limits.h"
#include "byte_transport.h"
#include "channel/channel_hub.h"
#include "fuzz_input.h"
#include "wire/protocol.h"

using namespace molink;
using namespace molink::fuzz;

namespace {

constexpr std::size_t kMaxLinks = 4;
constexpr int kMaxSteps = 400;
/// How far the peer's clock and counter advance from one acknowledgement to the next.
constexpr std::array<std::uint32_t, 4> kToldUs{0, 1'300, 40'000, 0x7fffffff};
constexpr std::array<std::uint32_t, 8> kToldBytes{0,      1,           16'448,     65'792,
                                                  60'000, 0xffff'0000, 0x7fffffff, 0x80000000};

/// Returns the byte at `position` of a message. The byte at 0 names lane and number.
std::byte payload_byte(std::uint32_t first, std::size_t position) {
    return static_cast<std::byte>(first + position * 37);
}

Bytes payload_of(const FrameHeader& header, std::size_t size) {
    const std::uint32_t first = static_cast<std::uint32_t>(header.lane) * 50 + header.message % 50;
    Bytes payload(size);
    for (std::size_t i = 0; i < size; ++i) payload[i] = payload_byte(first, header.offset + i);
    return payload;
}

/// Checks the events that the hub reports to its node.
class Node final : public HubSink {
public:
    bool permits(const PublicKey&) override { return true; }
    void on_link_up(PeerLinkId link, bool) override {
        FUZZ_CHECK(!up.contains(link) && !gone.contains(link));
        up.insert(link);
        if (link.value % 4 != 0) hub->trust(link);  // the others may say little
    }
    ChannelHub* hub = nullptr;
    void on_link_interrupted(PeerLinkId link) override {
        FUZZ_CHECK(up.contains(link) && interrupted.insert(link).second);
    }
    void on_link_resumed(PeerLinkId link) override {
        FUZZ_CHECK(up.contains(link) && interrupted.erase(link) == 1);
    }
    void on_link_lost(PeerLinkId link, const Status& reason) override {
        FUZZ_CHECK(!reason.ok() && gone.insert(link).second);
        up.erase(link);
        interrupted.erase(link);
    }
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override {
        FUZZ_CHECK(up.contains(link));
        const Epoch least = current[{link, epoch.pipeline}];
        FUZZ_CHECK(lane == Lane::control || epoch.epoch >= least);
        FUZZ_CHECK(static_cast<std::size_t>(lane) < kLaneCount);
        ++messages;
        if (message.empty()) return;
        const auto value = static_cast<std::uint32_t>(message.front());
        FUZZ_CHECK(value / 50 == static_cast<std::uint32_t>(lane));
        for (std::size_t i = 0; i < message.size(); ++i) {
            FUZZ_CHECK(message[i] == payload_byte(value, i));
        }
        // Numbers rise by less than 50, because a program is too short to drop that many messages.
        auto& next = due[{link, lane}];
        const std::uint32_t ahead = (value % 50 + 50 - next % 50) % 50;
        FUZZ_CHECK(ahead <= 40);
        next += ahead + 1;
    }

    std::set<PeerLinkId> up, gone, interrupted;
    std::map<std::pair<PeerLinkId, Lane>, std::uint32_t> due;
    std::map<std::pair<PeerLinkId, PipelineId>, Epoch> current;
    std::size_t messages = 0;
};

/// The peer's state of a link, from which it makes the frames that are due next.
struct PeerLink {
    std::array<std::uint64_t, kTrackCount> sent{};
    std::array<std::uint64_t, kTrackCount> received{};
    std::array<std::uint32_t, kLaneCount> message{};
    std::array<std::uint32_t, kLaneCount> offset{};
    std::array<std::uint32_t, kLaneCount> total{};
};

struct PeerConnection {
    ConnectionId id;
    std::uint64_t token = 0;
    Track track = Track::urgent;
};

class Program {
public:
    Program(const std::uint8_t* data, std::size_t size) : input_(data, size) {
        HubOptions options;
        options.max_links = kMaxLinks;
        options.seed = 7;
        options.channel.max_queued_bytes = 1u << 18;
        hub_ = make_channel_hub(transport_, transport_, node_, options);
        node_.hub = hub_.get();
        transport_.on_sent = [this](ConnectionId id, const FrameHeader& header) {
            note_sent(id, header);
        };
    }

    void run() {
        for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) {
            one_step();
            if (input_.left() % 2 == 0) poll();
        }
        transport_.full = false;
        for (int i = 0; i < 3; ++i) {
            transport_.now += limits::kHelloWithinUs;
            poll();
        }
        FUZZ_CHECK(node_.up.size() <= kMaxLinks + dialed_);
    }

private:
    void one_step() {
        switch (input_.below(16)) {
            case 0: accept(); break;
            case 1: raw_frame(); break;
            case 2: arbitrary_frame(); break;
            case 3: hello(); break;
            case 4: dial(); break;
            case 5: up_or_down(); break;
            case 6: send(); break;
            case 7: close(); break;
            case 8: set_epoch(); break;
            case 9: transport_.now += std::int64_t{input_.u16()} * 100; break;
            case 10: transport_.full = input_.coin(); break;
            case 11: acknowledge(); break;
            case 12: poll(); break;
            default: next_data(); break;
        }
    }

    void poll() {
        hub_->poll(0);
        for (const PeerLinkId link : node_.up) {
            const ChannelStats stats = hub_->stats(link);
            FUZZ_CHECK(stats.min_rtt_us >= 0 && stats.smoothed_rtt_us >= stats.min_rtt_us);
            FUZZ_CHECK(stats.link.bytes_per_s >= 0 && stats.link.bytes_per_s < 1e15);
            FUZZ_CHECK(hub_->pending_bytes(link) < (1u << 20));
        }
        for (const PeerLinkId link : node_.gone) FUZZ_CHECK(hub_->pending_bytes(link) == 0);
    }

    PeerConnection* connection() {
        return peers_.empty() ? nullptr : &peers_[input_.below(peers_.size())];
    }

    PeerLinkId link() { return PeerLinkId(input_.below(8)); }

    /// The peer learns the node's tokens from the frames that the node sends.
    void note_sent(ConnectionId id, const FrameHeader& header) {
        for (PeerConnection& peer : peers_) {
            if (peer.id != id) continue;
            if (header.type == FrameType::hello) {
                peer.token = header.link;
                peer.track = header.track;
            }
            PeerLink& known = links_[header.link];
            auto& received = known.received[static_cast<std::size_t>(header.track)];
            if (header.type == FrameType::data) received = std::max(received, header.sequence);
        }
    }

    void accept() {
        if (peers_.size() < 16) peers_.push_back({transport_.accept()});
    }

    void raw_frame() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        const ByteSpan bytes = input_.bytes(input_.u8());
        ByteSpan payload;
        // Data with a right checksum would have a payload without the pattern.
        if (const auto header = decode_frame(bytes, payload);
            header.has_value() && header->type == FrameType::data)
            return;
        transport_.arrive(peer->id, Frame(bytes.begin(), bytes.end()));
    }

    void arbitrary_frame() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        FrameHeader header;
        header.type = static_cast<FrameType>(input_.below(8));
        header.track = static_cast<Track>(input_.below(3));
        header.lane = static_cast<Lane>(input_.below(6));
        header.flags = input_.u8();
        header.version = input_.coin() ? kProtocolMajor : input_.u16();
        header.link = input_.coin() ? peer->token : input_.below(5);
        header.sequence = input_.coin() ? input_.u8() : input_.u64();
        header.epoch = input_.u8();
        header.pipeline = input_.u8();
        header.message = input_.coin() ? input_.u8() : input_.u32();
        header.offset = input_.coin() ? 0 : input_.u32();
        header.total = input_.coin() ? input_.u8() : input_.u32();
        header.stamp_us = input_.coin() ? static_cast<std::uint64_t>(transport_.now) : input_.u64();
        header.hold_us = input_.u16() * std::uint32_t{input_.u16()};
        const Bytes payload = payload_of(header, input_.u8());
        transport_.arrive(peer->id, encode_frame(header, payload));
    }

    void hello() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        const std::uint8_t how = input_.u8();
        FrameHeader header;
        header.type = (how & 1) != 0 ? FrameType::welcome : FrameType::hello;
        if ((how & 1) == 0) {
            peer->token = 1 + (how >> 1) % 6;
            peer->track = static_cast<Track>((how >> 4) % 2);
        }
        header.track = peer->track;
        header.link = peer->token;
        header.version = kProtocolMajor;
        header.flags = how >> 7;
        header.sequence = links_[peer->token].received[static_cast<std::size_t>(peer->track)];
        if ((how & 0x60) == 0x60) header.sequence += input_.u8();
        if ((how & 1) == 0 && header.flags == 0) links_[peer->token] = PeerLink();
        transport_.arrive(peer->id, encode_frame(header));
    }

    /// Lets the frame arrive that continues what this peer has sent, or one that is slightly wrong.
    void next_data() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        const std::uint8_t how = input_.u8();
        PeerLink& known = links_[peer->token];
        FrameHeader header;
        header.track = peer->track;
        header.lane = peer->track == Track::urgent ? static_cast<Lane>(how % 3)
                                                   : static_cast<Lane>(3 + how % 2);
        const auto lane = static_cast<std::size_t>(header.lane);
        if (known.offset[lane] == 0) known.total[lane] = input_.u8() * ((how & 16) != 0 ? 60u : 1);
        const std::uint32_t left = known.total[lane] - known.offset[lane];
        header.link = peer->token;
        header.epoch = 3 + (how >> 2) % 4;
        header.message = known.message[lane];
        header.offset = known.offset[lane];
        header.total = known.total[lane];
        header.sequence = ++known.sent[static_cast<std::size_t>(peer->track)];
        header.stamp_us = static_cast<std::uint64_t>(transport_.now);
        const std::uint32_t size = (how & 32) != 0 ? left : std::min<std::uint32_t>(left, 100);
        if ((how & 0xc0) == 0x40 && input_.u8() < 32) header.offset += input_.u8() % 3u;
        const Bytes payload = payload_of(header, size);
        if ((how & 0xc0) == 0xc0) header.sequence -= input_.below(3);
        known.offset[lane] += size;
        if (known.offset[lane] >= known.total[lane]) {
            known.offset[lane] = 0;
            ++known.message[lane];
        }
        transport_.arrive(peer->id, encode_frame(header, payload));
    }

    void acknowledge() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        FrameHeader header;
        header.type = FrameType::ack;
        header.track = peer->track;
        header.link = peer->token;
        header.sequence = links_[peer->token].received[static_cast<std::size_t>(peer->track)];
        const std::uint8_t how = input_.u8();
        header.sequence -= std::min<std::uint64_t>(header.sequence, how & 3);
        header.flags = (how >> 2) & 1;
        header.stamp_us = static_cast<std::uint64_t>(transport_.now) - input_.u16();
        header.hold_us = input_.u8() * 100u;
        told_us_ += kToldUs[(how >> 3) % kToldUs.size()];
        told_bytes_ += kToldBytes[(how >> 5) % kToldBytes.size()];
        header.offset = told_us_;
        header.total = told_bytes_;
        transport_.arrive(peer->id, encode_frame(header));
    }

    void dial() {
        if (dialed_ >= 3) return;
        std::set<ConnectionId> before;
        for (const auto& [id, connection] : transport_.open) before.insert(id);
        FUZZ_CHECK(hub_->dial("bytes://peer").has_value());
        ++dialed_;
        for (const auto& [id, connection] : transport_.open) {
            if (!before.contains(id)) peers_.push_back({id});
        }
    }

    void up_or_down() {
        PeerConnection* peer = connection();
        if (peer == nullptr) return;
        if (input_.coin()) {
            transport_.bring_down(peer->id);
        } else {
            const auto found = transport_.open.find(peer->id);
            if (found != transport_.open.end() && found->second.dialed && !found->second.up) {
                transport_.bring_up(peer->id);
            }
        }
    }

    void send() {
        const PeerLinkId target = link();
        const auto lane = static_cast<Lane>(input_.below(kLaneCount));
        const std::uint8_t which = input_.u8();
        const PipelineEpoch epoch{PipelineId(which >> 6), Epoch(which % 8u)};
        const std::size_t unit = input_.coin() ? 200 : 1;
        const Bytes message(unit * input_.u8());
        const Status sent = hub_->send(target, lane, epoch, message);
        if (node_.up.contains(target)) {
            FUZZ_CHECK(sent.ok() || sent.code() == StatusCode::resource_exhausted);
        }
        if (node_.gone.contains(target)) FUZZ_CHECK(sent.code() == StatusCode::not_found);
    }

    void close() {
        const PeerLinkId target = link();
        hub_->close(target);
        if (node_.up.erase(target) > 0) node_.gone.insert(target);
        node_.interrupted.erase(target);
    }

    void set_epoch() {
        const PeerLinkId target = link();
        const PipelineId pipeline(input_.u8() % 2);
        Epoch& current = node_.current[{target, pipeline}];
        current = std::max(current, Epoch(static_cast<std::uint32_t>(input_.below(8))));
        hub_->set_epoch(target, {pipeline, current});
    }

    FuzzInput input_;
    ByteTransport transport_;
    Node node_;
    std::unique_ptr<ChannelHub> hub_;
    std::vector<PeerConnection> peers_;
    std::map<std::uint64_t, PeerLink> links_;
    std::uint32_t told_us_ = 0;  // the arrivals that its acknowledgements report
    std::uint32_t told_bytes_ = 0;
    std::size_t dialed_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Program(data, size).run();
    return 0;
}
