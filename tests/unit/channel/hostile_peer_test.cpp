// Strangers and broken peers that send raw frames can end only their own connection or link.
#include <algorithm>

#include "base/random.h"
#include "channel/frame_header.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"
#include "wire/protocol.h"

using namespace molink;
using namespace molink::test;

namespace {

/// Sends frames that a test makes by hand, and records the answers.
struct Stranger final : TransportSink {
    explicit Stranger(SimNetwork& net) : transport(net.network, "stranger") {}
    bool permits(const PublicKey&) override { return true; }
    void on_connected(ConnectionId connection, const PeerIdentity&) override {
        up.push_back(connection);
    }
    void on_disconnected(ConnectionId) override { ++down; }
    void on_frame(ConnectionId, std::span<const std::byte> bytes) override {
        ByteSpan payload;
        auto header = decode_frame(bytes, payload);
        REQUIRE(header.has_value());
        heard.push_back(*header);
    }
    sim::SimTransport transport;
    std::vector<ConnectionId> up;
    std::vector<FrameHeader> heard;
    int down = 0;
};

struct World {
    World() {
        REQUIRE(b.transport.listen("inproc://b").has_value());
        link = *a.hub->dial("inproc://b");
        REQUIRE(run([&] { return !a.sink.up.empty() && !b.sink.up.empty(); }));
    }
    template <typename Done>
    bool run(Done done, std::int64_t limit_us = 1'000'000) {
        return run_until(
            net, {&a, &b},
            [&] {
                stranger.transport.poll(0, stranger);
                return done();
            },
            limit_us, 1000);
    }
    ConnectionId connect() {
        const std::size_t before = stranger.up.size();
        REQUIRE(stranger.transport.connect("inproc://b").has_value());
        REQUIRE(run([&] { return stranger.up.size() > before; }));
        return stranger.up.back();
    }
    void send(ConnectionId connection, Frame frame) {
        stranger.transport.send(connection, std::move(frame));
        run([] { return false; }, 3'000);
    }
    FrameHeader hello(std::uint64_t token, Track track) {
        FrameHeader header;
        header.type = FrameType::hello;
        header.version = kProtocolMajor;
        header.link = token;
        header.track = track;
        return header;
    }
    /// Opens a link and returns its urgent connection.
    ConnectionId open(std::uint64_t token) {
        const std::size_t before = b.sink.up.size();
        const ConnectionId urgent = connect();
        send(urgent, encode_frame(hello(token, Track::urgent)));
        send(connect(), encode_frame(hello(token, Track::bulky)));
        REQUIRE(b.sink.up.size() == before + 1);
        return urgent;
    }
    bool others_work() {
        const std::size_t before = b.sink.messages.size();
        return a.hub->send(link, Lane::decode, epoch_of(1), Bytes(40'000)).ok() &&
               run([&] { return b.sink.messages.size() > before; });
    }
    SimNetwork net;
    SimHost a{net, 1};
    SimHost b{net, 2};
    Stranger stranger{net};
    PeerLinkId link;
};

FrameHeader data(std::uint64_t token, std::uint64_t sequence) {
    FrameHeader header;
    header.link = token;
    header.sequence = sequence;
    header.lane = Lane::decode;
    header.total = 100;
    return header;
}

}  // namespace

TEST_CASE("random bytes and frames with a flipped bit are not accepted", "[channel]") {
    Random random(4);
    ByteSpan payload;
    const Frame good = encode_frame(data(9, 1), Bytes(100, std::byte{3}));
    REQUIRE(decode_frame(good, payload).has_value());
    CHECK(payload.size() == 100);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Frame bad = good;
        bad[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
        CHECK_FALSE(decode_frame(bad, payload).has_value());
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK_FALSE(decode_frame(ByteSpan(good).first(size), payload).has_value());
    }
    const Frame padded = encode_frame(data(9, 1), Bytes(60, std::byte{3}), 40);
    CHECK_FALSE(decode_frame(padded, payload).has_value());
    CHECK(decode_frame(padded, payload, true).has_value());
    for (int i = 0; i < 10'000; ++i) {
        Frame noise(random.below(200));
        for (std::byte& byte : noise) byte = static_cast<std::byte>(random.next());
        CHECK_FALSE(decode_frame(noise, payload).has_value());
    }
}

TEST_CASE("garbage from strangers does not disturb other links", "[channel]") {
    World world;
    Random random(5);
    for (int i = 0; i < 300; ++i) {
        const ConnectionId connection = world.connect();
        Frame noise(random.below(300));
        for (std::byte& byte : noise) byte = static_cast<std::byte>(random.next());
        world.send(connection, std::move(noise));
    }
    CHECK(world.b.sink.up.size() == 1);
    CHECK(world.b.sink.lost.empty());
    CHECK(world.others_work());
}

TEST_CASE("a peer that breaks the protocol loses its own link only", "[channel]") {
    World world;
    const ConnectionId urgent = world.open(77);
    FrameHeader header = data(77, 1);
    Bytes payload(50);
    SECTION("an offset beyond the bytes received") {
        header.offset = 10;
    }
    SECTION("another message") {
        header.message = 3;
    }
    SECTION("another link") {
        header.link = 78;
    }
    SECTION("a payload beyond the end of the message") {
        header.total = 20;
    }
    SECTION("a message that is too large") {
        header.total = 0xffffffff;
    }
    SECTION("an empty payload") {
        payload.clear();
    }
    SECTION("a lane of the other track") {
        header.lane = Lane::bulk;
    }
    SECTION("an acknowledgement of frames that were never sent") {
        header = FrameHeader{};
        header.type = FrameType::ack;
        header.link = 77;
        header.sequence = 1'000'000;
    }
    SECTION("garbage") {
        world.send(urgent, Frame(64, std::byte{9}));
        header.type = FrameType::bye;
    }
    world.send(urgent, encode_frame(header, payload));
    REQUIRE(world.b.sink.lost.size() == 1);
    CHECK(world.b.sink.lost[0].code() == StatusCode::data_loss);
    CHECK(world.b.sink.messages.empty());
    CHECK(world.others_work());
}

TEST_CASE("the frames of a message must agree on its size", "[channel]") {
    World world;
    const ConnectionId urgent = world.open(77);
    world.send(urgent, encode_frame(data(77, 1), Bytes(50)));
    FrameHeader header = data(77, 2);
    header.offset = 50;
    SECTION("a frame that comes twice is ignored") {
        world.send(urgent, encode_frame(data(77, 1), Bytes(50)));
        world.send(urgent, encode_frame(header, Bytes(50)));
        CHECK(world.b.sink.lost.empty());
        CHECK(world.b.sink.messages.size() == 1);
    }
    SECTION("a frame with another size ends the link") {
        header.total = 200;
        world.send(urgent, encode_frame(header, Bytes(50)));
        CHECK(world.b.sink.lost.size() == 1);
    }
}

TEST_CASE("data on one connection of a link waits for the other connection", "[channel]") {
    World world;
    const ConnectionId urgent = world.connect();
    world.send(urgent, encode_frame(world.hello(88, Track::urgent)));
    FrameHeader header = data(88, 1);
    header.total = 50;
    world.send(urgent, encode_frame(header, Bytes(50)));
    CHECK(world.b.sink.messages.empty());
    // It is asked for when it can be accepted, and not at once and again for each time it comes.
    CHECK(world.stranger.heard.back().type == FrameType::welcome);
    world.send(world.connect(), encode_frame(world.hello(88, Track::bulky)));
    REQUIRE(world.b.sink.up.size() == 2);
    const auto& heard = world.stranger.heard;
    CHECK(std::count_if(heard.begin(), heard.end(), [](const FrameHeader& answer) {
              return answer.type == FrameType::ack && answer.sequence == 0 && answer.flags == 1;
          }) == 1);
    world.send(urgent, encode_frame(header, Bytes(50)));
    CHECK(world.b.sink.messages.size() == 1);
    CHECK(world.others_work());
}

TEST_CASE("a second welcome resumes nothing", "[channel]") {
    World world;
    REQUIRE(world.stranger.transport.listen("inproc://s").has_value());
    REQUIRE(world.b.hub->dial("inproc://s").has_value());
    auto& heard = world.stranger.heard;
    REQUIRE(world.run([&] { return heard.size() == 2; }));
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < 2; ++i) {
            FrameHeader welcome = world.hello(heard[i].link, heard[i].track);
            welcome.type = FrameType::welcome;
            world.send(world.stranger.up[i], encode_frame(welcome));
        }
    }
    CHECK(world.b.sink.up.size() == 2);
    CHECK(world.b.sink.resumed == 0);
    CHECK(world.b.sink.lost.empty());
    CHECK(world.others_work());
}

TEST_CASE("another protocol version is refused with its number", "[channel]") {
    World world;
    const ConnectionId connection = world.connect();
    FrameHeader hello = world.hello(5, Track::urgent);
    hello.version = kProtocolMajor + 3;
    world.send(connection, encode_frame(hello));
    REQUIRE(world.stranger.heard.size() == 1);
    CHECK(world.stranger.heard[0].type == FrameType::reject);
    CHECK(world.stranger.heard[0].version == kProtocolMajor);
    CHECK(world.b.sink.up.size() == 1);

    // In the other direction, the peer that was dialled has the newer version.
    REQUIRE(world.stranger.transport.listen("inproc://s").has_value());
    REQUIRE(world.a.hub->dial("inproc://s").has_value());
    REQUIRE(world.run([&] { return world.stranger.heard.size() >= 3; }));
    FrameHeader reject = world.stranger.heard[1];
    reject.type = FrameType::reject;
    reject.flags = static_cast<std::uint8_t>(RejectReason::version);
    reject.version = kProtocolMajor + 3;
    world.send(world.stranger.up[1], encode_frame(reject));
    REQUIRE(world.a.sink.lost.size() == 1);
    CHECK(world.a.sink.lost[0].message().find(std::to_string(kProtocolMajor + 3)) !=
          std::string::npos);
    CHECK(world.others_work());
}

TEST_CASE("half-open links make place for others, and are dropped after a while", "[channel]") {
    World world;
    for (std::uint64_t token = 100; token < 100 + 600; ++token) {
        world.send(world.connect(), encode_frame(world.hello(token, Track::urgent)));
    }
    CHECK(world.others_work());
    world.run([] { return false; }, 12'000'000);
    world.open(1000);
    CHECK(world.others_work());
}

TEST_CASE("a second hello on a connection ends the connection", "[channel]") {
    World world;
    const ConnectionId urgent = world.open(77);
    world.send(urgent, encode_frame(world.hello(78, Track::urgent)));
    CHECK(world.b.sink.interrupted == 1);
    CHECK(world.others_work());
}

TEST_CASE("a peer that was dialled and sends hello loses its link", "[channel]") {
    World world;
    REQUIRE(world.stranger.transport.listen("inproc://s").has_value());
    REQUIRE(world.b.hub->dial("inproc://s").has_value());
    REQUIRE(world.run([&] { return world.stranger.heard.size() == 2; }));
    world.send(world.stranger.up[0], encode_frame(world.hello(5, Track::urgent)));
    REQUIRE(world.b.sink.lost.size() == 1);
    CHECK(world.b.sink.lost[0].code() == StatusCode::data_loss);
    CHECK(world.others_work());
}

TEST_CASE("a refused peer that sends more frames gets no further answer", "[channel]") {
    World world;
    const ConnectionId connection = world.connect();
    FrameHeader hello = world.hello(5, Track::urgent);
    hello.version = kProtocolMajor + 3;
    for (int i = 0; i < 20; ++i) world.send(connection, encode_frame(hello));
    REQUIRE(world.stranger.heard.size() == 1);
    CHECK(world.stranger.heard[0].type == FrameType::reject);
    CHECK(world.stranger.down == 0);  // the peer has time to read the reason
    CHECK(world.run([&] { return world.stranger.down == 1; }));
    CHECK(world.others_work());
}

TEST_CASE("a node may close a link in the callback that reports its interruption", "[channel]") {
    World world;
    (void)world.open(77);
    world.b.sink.at_interruption = [&](PeerLinkId link) { world.b.hub->close(link); };
    world.stranger.heard.clear();
    const Track track = GENERATE(Track::urgent, Track::bulky);
    FrameHeader again = world.hello(77, track);
    again.flags = 1;
    world.send(world.connect(), encode_frame(again));
    CHECK(world.b.sink.interrupted == 1);
    const auto& heard = world.stranger.heard;
    REQUIRE_FALSE(heard.empty());
    CHECK(heard.back().type == FrameType::reject);
    CHECK(heard.back().flags == static_cast<std::uint8_t>(RejectReason::unknown_link));
    CHECK(world.others_work());
}

TEST_CASE("rates stay within bounds for any acknowledgements", "[channel]") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        INFO("seed " << seed);
        Random random(seed);
        World world;
        (void)world.open(77);
        const ConnectionId bulky = world.stranger.up.back();
        const PeerLinkId link = world.b.sink.up.back();
        REQUIRE(world.b.hub->send(link, Lane::bulk, epoch_of(1), Bytes(4'000'000)).ok());
        FrameHeader ack;
        ack.type = FrameType::ack;
        ack.track = Track::bulky;
        ack.link = 77;
        const std::uint32_t steps_us[] = {0, 3'500, 40'000, 0x7fffffff};
        const std::uint32_t steps_bytes[] = {0, 1, 16'448, 0x7fffffff, 0xffff0000, 0x80000000};
        const std::uint32_t always_bytes = steps_bytes[random.below(6)];
        for (int i = 0; i < 80; ++i) {
            for (const FrameHeader& data : world.stranger.heard) {
                if (data.type != FrameType::data || data.sequence != ack.sequence + 1) continue;
                ack.sequence = data.sequence;
                ack.stamp_us = data.stamp_us;
                ack.offset += seed % 2 == 0 ? 3'500 : steps_us[random.below(4)];
                ack.total += seed % 2 == 0 ? always_bytes : steps_bytes[random.below(6)];
                world.stranger.transport.send(bulky, encode_frame(ack));
            }
            world.stranger.heard.clear();
            world.run([] { return false; }, 2'000);
            const LinkModel model = world.b.hub->stats(link).link;
            CHECK((model.bytes_per_s >= 0 && model.bytes_per_s <= 1e12));
        }
        CHECK(ack.sequence > 3);
    }
}
