// All peer links of a node over one transport. The first frame on a dialled connection names the
// peer link and the track that it carries and the last received frame. The answer has the same data
// for the other direction. A broken connection does not end its peer link. A peer link ends when
// the peer says so, no longer knows it, or sends invalid frames.
#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "channel/channel_hub.h"
#include "channel/link_channel.h"
#include "wire/protocol.h"

namespace molink {
namespace {

class Hub final : public ChannelHub, private TransportSink {
public:
    Hub(Transport& transport, const Clock& clock, HubSink& sink, const HubOptions& options)
        : transport_(transport), clock_(clock), sink_(sink), options_(options) {
        if (options_.channel.max_frame_bytes == 0) {
            options_.channel.max_frame_bytes = limits::kMaxFrameBytes;
        }
        if (options_.channel.hol_bound_us == 0) {
            options_.channel.hol_bound_us = limits::kHeadOfLineBoundUs;
        }
        if (options_.max_links == 0) options_.max_links = limits::kMaxPeerLinks;
        if (!options_.policy) options_.policy = [] { return make_fair_transmit_policy(); };
    }

    Result<PeerLinkId> dial(const DialTarget& target) override;
    PeerIdentity identity(PeerLinkId link) const override {
        const auto found = peers_.find(link);
        return found == peers_.end() ? PeerIdentity() : found->second.identity;
    }
    void trust(PeerLinkId link) override;
    Status send(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
    void probe(PeerLinkId link, bool on) override;
    void close(PeerLinkId link) override;
    void set_epoch(PeerLinkId link, PipelineEpoch epoch) override;
    std::size_t poll(std::int64_t timeout_us) override;
    void wake() override { transport_.wake(); }

    std::size_t pending_bytes(PeerLinkId link) const override {
        const auto found = links_.find(link);
        return found == links_.end() ? 0 : found->second->pending_bytes();
    }
    ChannelStats stats(PeerLinkId link) const override {
        const auto found = links_.find(link);
        return found == links_.end() ? ChannelStats{} : found->second->stats();
    }

private:
    struct Carried {
        PeerLinkId link;
        Track track = Track::urgent;
        bool dialed = false;
        std::uint64_t peer_received = 0;  // accepted: as the peer's hello says
    };

    /// Who is at the other end of a peer link.
    struct Peer {
        PeerIdentity identity;
        bool trusted = false;
        std::string unresolved;  // why its host name cannot be resolved
    };

    bool permits(const PublicKey& key) override { return sink_.permits(key); }
    void on_connected(ConnectionId connection, const PeerIdentity& peer) override;
    void on_disconnected(ConnectionId connection) override;
    void on_frame(ConnectionId connection, std::span<const std::byte> bytes) override;
    void on_resolved(ConnectionId connection, const Status& outcome) override;

    PeerLinkId add_link(std::uint64_t token, bool dialed, const PeerIdentity& identity);
    std::uint64_t draw_token();
    bool make_room();
    void close_connection(ConnectionId connection);
    Status check_untrusted(PeerLinkId link, const FrameHeader& header) const;
    LinkChannel* find(PeerLinkId link);
    void on_hello(ConnectionId connection, const FrameHeader& header);
    void on_welcome(ConnectionId connection, const FrameHeader& header);
    void on_reject(ConnectionId connection, const FrameHeader& header);
    void on_linked(const Carried& carried, const FrameHeader& header, ByteSpan payload);
    void reject(ConnectionId connection, const FrameHeader& hello, RejectReason reason);
    void attach(PeerLinkId link, Track track, ConnectionId connection, std::uint64_t peer_received);
    void greet(ConnectionId connection);
    void retry_greetings();
    void lose(PeerLinkId link, const Status& reason);
    void forget(PeerLinkId link, bool say_bye);
    bool lingers(ConnectionId connection) const;
    void close_lingering(std::int64_t now_us);
    void drop_half_open(std::int64_t now_us);
    std::int64_t next_timer_us(std::int64_t now_us) const;

    Transport& transport_;
    const Clock& clock_;
    HubSink& sink_;
    HubOptions options_;
    std::map<PeerLinkId, std::unique_ptr<LinkChannel>> links_;
    std::map<PeerLinkId, Peer> peers_;                        // of links_
    std::unordered_map<ConnectionId, PeerIdentity> callers_;  // of accepted connections
    std::unordered_map<std::uint64_t, PeerLinkId> by_token_;
    std::unordered_map<ConnectionId, Carried> carried_;
    std::vector<ConnectionId> ungreeted_;  // the transport was full; tried again by poll()
    std::vector<std::pair<ConnectionId, std::int64_t>> lingering_;
    std::deque<std::pair<PeerLinkId, std::int64_t>>
        accepted_;  // links that may be half open; deadlines
    std::uint64_t next_link_ = 1;
    std::uint64_t next_token_ = 0;
};

LinkChannel* Hub::find(PeerLinkId link) {
    const auto found = links_.find(link);
    return found == links_.end() ? nullptr : found->second.get();
}

PeerLinkId Hub::add_link(std::uint64_t token, bool dialed, const PeerIdentity& identity) {
    const PeerLinkId link(next_link_++);
    peers_[link] = {identity, dialed, {}};
    auto channel =
        std::make_unique<LinkChannel>(token, dialed, options_.channel, options_.policy());
    by_token_[token] = link;
    links_[link] = std::move(channel);
    return link;
}

/// Returns whether there is a place for another link. If there is none, the oldest link whose peer
/// is not trusted makes place.
bool Hub::make_room() {
    if (links_.size() < options_.max_links) return true;
    const auto found = std::find_if(peers_.begin(), peers_.end(),
                                    [](const auto& entry) { return !entry.second.trusted; });
    if (found == peers_.end()) return false;
    lose(found->first, Status(StatusCode::resource_exhausted, "another peer needed its place"));
    return true;
}

/// Returns a token for a new link: who knows one must not know the next.
std::uint64_t Hub::draw_token() {
    if (options_.draw_token) return options_.draw_token();
    return counter_random(options_.seed, next_token_++);
}

void Hub::close_connection(ConnectionId connection) {
    callers_.erase(connection);
    transport_.close(connection);
}

void Hub::trust(PeerLinkId link) {
    LinkChannel* channel = find(link);
    if (channel == nullptr) return;
    peers_.at(link).trusted = true;
    for (const Track track : {Track::urgent, Track::bulky}) {
        const auto connection = channel->connection(track);
        if (connection && !channel->dialed()) transport_.trust(*connection);
    }
}

Result<PeerLinkId> Hub::dial(const DialTarget& target) {
    std::vector<ConnectionId> connections;
    for (std::size_t i = 0; i < kTrackCount; ++i) {
        auto connection = transport_.connect(target);
        if (!connection) {
            for (ConnectionId made : connections) close_connection(made);
            return connection.error();
        }
        connections.push_back(*connection);
    }
    const PeerLinkId link = add_link(draw_token(), true, {target.key});
    for (std::size_t i = 0; i < kTrackCount; ++i) {
        carried_[connections[i]] = {link, static_cast<Track>(i), true, 0};
    }
    return link;
}

Status Hub::send(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) {
    LinkChannel* channel = find(link);
    if (channel == nullptr) {
        return make_error(StatusCode::not_found, "send on link {}: it does not exist", link.value);
    }
    const std::int64_t now = clock_.now_us();
    MOLINK_RETURN_IF_ERROR(channel->queue(lane, epoch, std::move(message), now));
    channel->pump(transport_, now);
    return {};
}

void Hub::set_epoch(PeerLinkId link, PipelineEpoch epoch) {
    if (LinkChannel* channel = find(link)) channel->set_epoch(epoch);
}

/// Sends the hello of a dialled connection, or the welcome of an accepted one, which carries its
/// track from then on. Does so later if the transport is full: nobody would send it again.
void Hub::greet(ConnectionId connection) {
    const auto found = carried_.find(connection);
    LinkChannel* channel = found == carried_.end() ? nullptr : find(found->second.link);
    if (channel == nullptr) return;
    const Carried carried = found->second;
    FrameHeader header;
    header.type = carried.dialed ? FrameType::hello : FrameType::welcome;
    header.track = carried.track;
    header.link = channel->token();
    header.sequence = channel->received(carried.track);
    header.version = kProtocolMajor;
    header.flags = channel->was_up ? 1 : 0;
    if (transport_.send(connection, encode_frame(header)) == SendOutcome::full) {
        ungreeted_.push_back(connection);
    } else if (!carried.dialed) {
        attach(carried.link, carried.track, connection, carried.peer_received);
    }
}

void Hub::retry_greetings() {
    for (ConnectionId connection : std::exchange(ungreeted_, {})) greet(connection);
}

void Hub::on_connected(ConnectionId connection, const PeerIdentity& peer) {
    if (carried_.contains(connection)) {
        greet(connection);
    } else {
        callers_[connection] = peer;  // on an accepted connection the peer sends first
    }
}

void Hub::on_disconnected(ConnectionId connection) {
    callers_.erase(connection);
    const auto found = carried_.find(connection);
    if (found == carried_.end()) return;
    const Carried carried = found->second;
    std::erase(ungreeted_, connection);
    if (!carried.dialed) carried_.erase(found);
    LinkChannel* channel = find(carried.link);
    if (channel == nullptr || channel->connection(carried.track) != connection) return;
    const bool was_whole = channel->attached();
    channel->detach(carried.track);
    if (was_whole) sink_.on_link_interrupted(carried.link);
}

void Hub::on_resolved(ConnectionId connection, const Status& outcome) {
    const auto found = carried_.find(connection);
    if (found == carried_.end()) return;
    const PeerLinkId link = found->second.link;
    std::string& told = peers_.at(link).unresolved;
    if (std::exchange(told, outcome.message()) != outcome.message()) {
        sink_.on_resolved(link, outcome);
    }
}

void Hub::on_frame(ConnectionId connection, std::span<const std::byte> bytes) {
    ByteSpan payload;
    const auto header = decode_frame(bytes, payload, options_.channel.padding != nullptr);
    const auto found = carried_.find(connection);
    if (found == carried_.end() && lingers(connection))
        return;  // our last frame is still under way
    if (!header) {
        if (found == carried_.end()) {
            close_connection(connection);
        } else {
            const Carried carried = found->second;
            lose(carried.link, header.error());
        }
        return;
    }
    if (header->type == FrameType::hello) {
        on_hello(connection, *header);
    } else if (found == carried_.end()) {
        close_connection(connection);
    } else if (header->type == FrameType::welcome) {
        on_welcome(connection, *header);
    } else if (header->type == FrameType::reject) {
        on_reject(connection, *header);
    } else {
        const Carried carried = found->second;
        on_linked(carried, *header, payload);
    }
}

void Hub::reject(ConnectionId connection, const FrameHeader& hello, RejectReason reason) {
    FrameHeader header;
    header.type = FrameType::reject;
    header.track = hello.track;
    header.link = hello.link;
    header.flags = static_cast<std::uint8_t>(reason);
    header.version = kProtocolMajor;
    transport_.send(connection, encode_frame(header));
    lingering_.emplace_back(connection, clock_.now_us() + limits::kLingerUs);
}

void Hub::on_hello(ConnectionId connection, const FrameHeader& header) {
    if (header.version != kProtocolMajor) {
        reject(connection, header, RejectReason::version);
        return;
    }
    if (const auto found = carried_.find(connection); found != carried_.end()) {
        const Carried carried = found->second;
        if (carried.dialed) {
            lose(carried.link,
                 Status(StatusCode::data_loss,
                        "the peer sent hello on a connection that this node dialled"));
            return;
        }
        on_disconnected(connection);  // only one hello is allowed per connection
        close_connection(connection);
        return;
    }
    const auto known = by_token_.find(header.link);
    PeerLinkId link;
    if (known == by_token_.end()) {
        if (header.flags != 0 || !make_room()) {
            reject(connection, header,
                   header.flags != 0 ? RejectReason::unknown_link : RejectReason::full);
            return;
        }
        link = add_link(header.link, false, callers_[connection]);
        accepted_.emplace_back(link, clock_.now_us() + limits::kHelloWithinUs);
    } else {
        link = known->second;
        // A token of this node that another one sent, or a token that belongs to another key.
        if (find(link)->dialed() || callers_[connection] != identity(link)) {
            close_connection(connection);
            return;
        }
    }
    const auto before = find(link)->connection(header.track);
    if (before && *before != connection) {
        on_disconnected(*before);  // the peer noticed the cut before this node
        close_connection(*before);
        if (find(link) == nullptr) {  // the sink closed it when it was told of the cut
            reject(connection, header, RejectReason::unknown_link);
            return;
        }
    }
    carried_[connection] = {link, header.track, false, header.sequence};
    if (peers_.at(link).trusted) transport_.trust(connection);
    greet(connection);
}

void Hub::on_welcome(ConnectionId connection, const FrameHeader& header) {
    const Carried carried = carried_.at(connection);
    LinkChannel* channel = find(carried.link);
    if (channel == nullptr || !carried.dialed || header.link != channel->token()) return;
    if (channel->connection(carried.track) == connection)
        return;  // only one welcome is allowed per connection
    attach(carried.link, carried.track, connection, header.sequence);
}

void Hub::attach(PeerLinkId link, Track track, ConnectionId connection,
                 std::uint64_t peer_received) {
    LinkChannel* channel = find(link);
    const Status attached = channel->attach(track, connection, peer_received, clock_.now_us());
    if (!attached.ok()) {
        lose(link, attached);
        return;
    }
    if (!channel->attached()) return;
    const bool first = !std::exchange(channel->was_up, true);
    if (first) {
        sink_.on_link_up(link, channel->dialed());
    } else {
        sink_.on_link_resumed(link);
    }
    channel = find(link);
    if (channel == nullptr) return;
    if (peers_.at(link).trusted) trust(link);  // the connections of a resumed link are new
    channel->pump(transport_, clock_.now_us());
}

void Hub::on_reject(ConnectionId connection, const FrameHeader& header) {
    const Carried carried = carried_.at(connection);
    LinkChannel* channel = find(carried.link);
    if (channel == nullptr || !carried.dialed || header.link != channel->token()) return;
    switch (static_cast<RejectReason>(header.flags)) {
        case RejectReason::version:
            lose(carried.link,
                 make_error(StatusCode::failed_precondition,
                            "the peer speaks protocol version {}; this node speaks {}",
                            header.version, kProtocolMajor));
            return;
        case RejectReason::full:
            lose(carried.link,
                 Status(StatusCode::resource_exhausted, "the peer accepts no more links"));
            return;
        case RejectReason::unknown_link: break;
    }
    lose(carried.link,
         Status(StatusCode::unavailable, "the peer no longer knows this link; it was restarted"));
}

void Hub::on_linked(const Carried& carried, const FrameHeader& header, ByteSpan payload) {
    LinkChannel* channel = find(carried.link);
    if (channel == nullptr || header.link != channel->token() || header.track != carried.track) {
        lose(carried.link, Status(StatusCode::data_loss, "the peer sent a frame of another link"));
        return;
    }
    if (header.type == FrameType::bye) {
        lose(carried.link, Status(StatusCode::unavailable, "the peer closed the link"));
        return;
    }
    const std::int64_t now = clock_.now_us();
    if (header.type == FrameType::ack) {
        const Status taken = channel->on_ack(header, now);
        if (!taken.ok()) lose(carried.link, taken);
        return;
    }
    if (!channel->was_up) {
        // The frame overtook the welcome on the other connection. The sink does not know the link
        // yet.
        channel->put_off(header);
        return;
    }
    const Status permitted = check_untrusted(carried.link, header);
    if (!permitted.ok()) {
        lose(carried.link, permitted);
        return;
    }
    auto message = channel->on_data(header, payload, now);
    if (!message) {
        lose(carried.link, message.error());
    } else if (message->has_value()) {
        const PipelineEpoch epoch{PipelineId(header.pipeline), Epoch(header.epoch)};
        sink_.on_message(carried.link, header.lane, epoch, std::move(**message));
    }
}

/// Refuses what a peer that is not trusted may not send, before any of it is kept.
Status Hub::check_untrusted(PeerLinkId link, const FrameHeader& header) const {
    if (peers_.at(link).trusted || header.type != FrameType::data) return {};
    if (header.lane == Lane::control && header.total <= limits::kMaxUntrustedMessageBytes)
        return {};
    return make_error(StatusCode::data_loss,
                      "the peer sent a message of {} bytes in lane {} before it introduced itself",
                      header.total, lane_name(header.lane));
}

void Hub::lose(PeerLinkId link, const Status& reason) {
    if (find(link) == nullptr) return;
    forget(link, false);
    sink_.on_link_lost(link, reason);
}

void Hub::probe(PeerLinkId link, bool on) {
    if (LinkChannel* channel = find(link)) channel->probe(on, clock_.now_us());
}

void Hub::close(PeerLinkId link) {
    if (find(link) != nullptr) forget(link, true);
}

void Hub::forget(PeerLinkId link, bool say_bye) {
    LinkChannel* channel = find(link);
    const auto urgent = channel->connection(Track::urgent);
    if (say_bye && urgent) {
        FrameHeader header;
        header.type = FrameType::bye;
        header.link = channel->token();
        transport_.send(*urgent, encode_frame(header));
    }
    const std::int64_t until = clock_.now_us() + (say_bye ? limits::kLingerUs : 0);
    for (auto it = carried_.begin(); it != carried_.end();) {
        if (it->second.link != link) {
            ++it;
            continue;
        }
        lingering_.emplace_back(it->first, until);
        it = carried_.erase(it);
    }
    by_token_.erase(channel->token());
    peers_.erase(link);
    links_.erase(link);
}

bool Hub::lingers(ConnectionId connection) const {
    return std::any_of(lingering_.begin(), lingering_.end(),
                       [&](const auto& entry) { return entry.first == connection; });
}

void Hub::close_lingering(std::int64_t now_us) {
    std::erase_if(lingering_, [&](const auto& entry) {
        if (entry.second > now_us) return false;
        close_connection(entry.first);
        return true;
    });
}

/// Drops links with only one track after a while, so that such peers do not use up the limit of
/// links.
void Hub::drop_half_open(std::int64_t now_us) {
    while (!accepted_.empty() && accepted_.front().second <= now_us) {
        const PeerLinkId link = accepted_.front().first;
        accepted_.pop_front();
        const LinkChannel* channel = find(link);
        if (channel != nullptr && !channel->was_up) forget(link, false);
    }
}

std::int64_t Hub::next_timer_us(std::int64_t now_us) const {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const auto& [link, channel] : links_) {
        next = std::min(next, channel->next_timer_us(now_us));
    }
    if (!ungreeted_.empty()) next = std::min(next, now_us + limits::kFullRetryUs);
    for (const auto& [connection, until] : lingering_) next = std::min(next, until);
    if (!accepted_.empty()) next = std::min(next, accepted_.front().second);
    return next;
}

std::size_t Hub::poll(std::int64_t timeout_us) {
    const std::int64_t before = clock_.now_us();
    const std::int64_t due = next_timer_us(before) - before;
    const std::size_t events =
        transport_.poll(std::max<std::int64_t>(0, std::min(timeout_us, due)), *this);
    const std::int64_t now = clock_.now_us();
    if (!ungreeted_.empty()) retry_greetings();
    for (auto& [link, channel] : links_) {
        channel->send_acks(transport_, now);
        channel->pump(transport_, now);
    }
    drop_half_open(now);
    if (!lingering_.empty()) close_lingering(now);
    return events;
}

}  // namespace

void HubSink::on_resolved(PeerLinkId, const Status&) {}

std::unique_ptr<ChannelHub> make_channel_hub(Transport& transport, const Clock& clock,
                                             HubSink& sink, const HubOptions& options) {
    return std::make_unique<Hub>(transport, clock, sink, options);
}

}  // namespace molink
