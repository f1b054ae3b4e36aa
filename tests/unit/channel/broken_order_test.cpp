// Frames that are sent again: over a transport that does not keep their order, after cuts, and over
// a link that was frozen. Every message arrives once and in order, and a cut costs at most a
// window.
#include "base/random.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"

using namespace molink;
using namespace molink::test;

namespace {

constexpr std::int64_t kForever = 1'000'000'000'000;

/// Sends numbered messages in all lanes and both directions, and compares them on arrival.
class Exchange {
public:
    Exchange(Pair& pair, std::uint64_t seed) : pair_(pair), random_(seed), seed_(seed) {}

    void send(bool forth, std::size_t bytes) {
        const auto lane = random_.below(kLaneCount);
        const std::uint64_t id = seed_ * 1'000'000 + count_++;
        Bytes message = pattern(8 + bytes, id);
        write_le(std::span<std::byte>(message), 0, id);
        sent_[forth ? 1 : 0][lane].push_back(id);
        SimHost& from = forth ? pair_.a : pair_.b;
        REQUIRE(from.hub
                    ->send(forth ? pair_.link : pair_.b.sink.up[0], static_cast<Lane>(lane),
                           epoch_of(1), std::move(message))
                    .ok());
    }
    bool all_arrived() const {
        return pair_.a.sink.messages.size() + pair_.b.sink.messages.size() >= count_;
    }
    void check() const {
        std::vector<std::uint64_t> got[2][kLaneCount];
        for (int to = 0; to < 2; ++to) {
            for (const auto& message : (to == 1 ? pair_.b : pair_.a).sink.messages) {
                const auto id = read_le<std::uint64_t>(message.bytes, 0);
                got[to][static_cast<std::size_t>(message.lane)].push_back(id);
                Bytes right = pattern(message.bytes.size(), id);
                write_le(std::span<std::byte>(right), 0, id);
                CHECK((message.bytes == right));
            }
            for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
                CHECK(got[to][lane] == sent_[to][lane]);
            }
        }
        CHECK(pair_.a.sink.lost.empty());
        CHECK(pair_.b.sink.lost.empty());
    }

private:
    Pair& pair_;
    Random random_;
    std::uint64_t seed_;
    std::uint64_t count_ = 0;
    std::vector<std::uint64_t> sent_[2][kLaneCount];
};

/// Queues `bytes` in each of the lanes prefill and bulk.
void fill(Pair& pair, std::size_t bytes) {
    for (Lane lane : {Lane::prefill, Lane::bulk}) {
        REQUIRE(pair.a.hub->send(pair.link, lane, epoch_of(1), Bytes(bytes)).ok());
    }
}

}  // namespace

TEST_CASE("frames that arrive out of order or twice change nothing", "[channel]") {
    std::uint64_t late = 0;
    std::uint64_t twice = 0;
    std::uint64_t doubled_data = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        INFO("seed " << seed);
        Random random(seed);
        Pair pair;
        pair.net.set_link(random.below(2) == 0 ? 0 : 5e6,
                          static_cast<std::int64_t>(random.below(20'000)));
        if (random.below(2) == 0) {  // including the frames of join()
            pair.net.network.disorder("host-1", "host-2", kForever);
            pair.net.network.disorder("host-2", "host-1", kForever);
        }
        REQUIRE(pair.join());
        pair.net.network.disorder("host-1", "host-2", kForever);
        pair.net.network.disorder("host-2", "host-1", kForever);
        Exchange exchange(pair, seed);
        int left = 80;
        REQUIRE(pair.until(
            [&] {
                if (left > 0 && random.below(10) == 0) {
                    exchange.send(random.below(2) == 0, random.below(60'000));
                    --left;
                }
                return left == 0 && exchange.all_arrived();
            },
            120'000'000));
        pair.wait(200'000);
        exchange.check();
        late += pair.net.network.frames_late();
        twice += pair.net.network.frames_twice();
        doubled_data += pair.a.hub->stats(pair.link).duplicate_frames;
    }
    CHECK(late > 500);
    CHECK(twice > 500);
    CHECK(doubled_data > 200);
}

TEST_CASE("a frame that arrives late costs at most one window", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 15'000);
    REQUIRE(pair.join());
    fill(pair, 20'000'000);
    pair.wait(1'000'000);
    const std::uint64_t before = pair.net.network.frames_late();
    while (pair.net.network.frames_late() == before) {
        pair.net.network.disorder("host-1", "host-2", pair.net.clock.now + 1'000);
        pair.wait(1'000);
    }
    pair.wait(1'000'000);
    const std::uint64_t events = pair.net.network.frames_late() - before;
    const std::uint64_t again = pair.a.hub->stats(pair.link).resent_bytes;
    CHECK(again > 0);
    CHECK(again < events * 750'000);
}

TEST_CASE("a cut costs less than a window", "[channel]") {
    struct Link {
        double bytes_per_s;
        std::int64_t delay_us;
    };
    const Link links[] = {{12.5e6, 15'000}, {12.5e6, 30'000}, {3.75e6, 50'000}, {125e6, 1'000}};
    for (const Link& link : links) {
        INFO(link.bytes_per_s << " bytes/s, " << link.delay_us << " us");
        Random random(static_cast<std::uint64_t>(link.delay_us));
        HubOptions options;
        options.channel.padding = [](ByteSpan message) {
            return message.size() == 100 ? std::size_t{200'000'000} : 0;
        };
        Pair pair(options);
        pair.net.set_link(link.bytes_per_s, link.delay_us);
        pair.net.network.padded = true;
        REQUIRE(pair.join());
        pair.wait(1'000'000);
        fill(pair, 100);
        pair.wait(1'000'000);
        constexpr int kCuts = 20;
        for (int i = 0; i < kCuts; ++i) {
            pair.net.network.cut("host-1", "host-2", pair.net.clock.now + 20'000);
            for (int k = 0; k < 10; ++k) {
                REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(1), Bytes(3'000)).ok());
                pair.wait(20'000 + static_cast<std::int64_t>(random.below(10'000)));
            }
            REQUIRE(pair.until([&] { return pair.a.sink.resumed == i + 1; }));
            pair.wait(link.delay_us + static_cast<std::int64_t>(random.below(200'000)));
        }
        pair.wait(1'000'000);
        const double window =
            std::max(65'536.0, 4e-6 * link.bytes_per_s * static_cast<double>(link.delay_us));
        const ChannelStats stats = pair.a.hub->stats(pair.link);
        CHECK(stats.resent_bytes > 0);
        CHECK(static_cast<double>(stats.resent_bytes) < kCuts * window);
        CHECK(std::count_if(pair.b.sink.messages.begin(), pair.b.sink.messages.end(),
                            [](const auto& message) { return message.lane == Lane::decode; }) ==
              10 * kCuts);
    }
}

TEST_CASE("a link that was frozen for 8 s continues and sends nothing again", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 30'000);
    REQUIRE(pair.join());
    fill(pair, 100'000'000);
    pair.wait(2'000'000);
    for (const auto& [from, to] : {std::pair("host-1", "host-2"), {"host-2", "host-1"}}) {
        pair.net.network.stall(from, to, pair.net.clock.now + 8'000'000);
    }
    pair.wait(10'000'000);
    CHECK(pair.a.hub->stats(pair.link).resent_bytes == 0);
    const std::uint64_t before = pair.a.transport.sent_bytes;
    pair.wait(1'000'000);
    CHECK(static_cast<double>(pair.a.transport.sent_bytes - before) > 0.9 * 12.5e6);
}

TEST_CASE("urgent messages overtake what is sent again after a cut", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 30'000);
    REQUIRE(pair.join());
    pair.wait(1'000'000);
    fill(pair, 100'000'000);
    pair.wait(2'000'000);
    pair.net.network.cut_all();
    REQUIRE(pair.until([&] { return pair.a.sink.resumed == 1 && pair.b.sink.resumed == 1; }));
    const std::int64_t sent = pair.net.clock.now;
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(1), Bytes(2'000)).ok());
    REQUIRE(pair.until([&] { return !pair.b.sink.messages.empty(); }, 1'000'000));
    CHECK(pair.net.clock.now - sent < 30'000 + 11'500);
    CHECK(pair.a.hub->stats(pair.link).resent_bytes > 0);
}
