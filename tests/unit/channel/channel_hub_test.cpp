// Two hubs over a simulated network in virtual time. Messages arrive whole, once and in order, also
// after cuts; urgent lanes go first on a slow link; memory is bounded when a peer does not answer.
#include "base/random.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"
#include "wire/protocol.h"

using namespace molink;
using namespace molink::test;

TEST_CASE("messages of all sizes arrive whole and in order per lane", "[channel]") {
    Pair pair;
    pair.net.set_link(0, 1000);
    REQUIRE(pair.join());
    std::vector<Bytes> sent[kLaneCount];
    const std::size_t sizes[] = {0, 1, 16383, 16384, 16385, 100'000, 0, 10'000'000};
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
        for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
            sent[lane].push_back(pattern(sizes[i], i * 8 + lane));
            REQUIRE(
                pair.a.hub->send(pair.link, static_cast<Lane>(lane), epoch_of(7), sent[lane].back())
                    .ok());
        }
    }
    REQUIRE(pair.until([&] { return pair.b.sink.messages.size() == 5 * std::size(sizes); }));
    std::size_t next[kLaneCount] = {};
    for (const auto& message : pair.b.sink.messages) {
        const auto lane = static_cast<std::size_t>(message.lane);
        CHECK(message.epoch == epoch_of(7));
        CHECK((message.bytes == sent[lane][next[lane]++]));
    }
    REQUIRE(pair.until([&] { return pair.a.hub->pending_bytes(pair.link) == 0; }));
    CHECK(pair.a.hub->stats(pair.link).resent_bytes == 0);
}

TEST_CASE("cuts neither lose nor duplicate messages", "[channel]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        INFO("seed " << seed);
        Random random(seed);
        Pair pair;
        const auto delay_us = static_cast<std::int64_t>(random.below(20'000));
        pair.net.set_link(random.below(2) == 0 ? 0 : 5e6, delay_us);
        REQUIRE(pair.join());
        const std::int64_t begin = pair.net.clock.now;
        std::vector<std::int64_t> cuts;
        for (int i = 0; i < 4; ++i) {
            cuts.push_back(begin + static_cast<std::int64_t>(random.below(400'000)));
        }
        std::vector<std::uint64_t> sent[2][kLaneCount];
        std::uint64_t next_seed = 0;
        const auto& links = pair.b.sink.up;
        const auto step = [&] {
            std::erase_if(cuts, [&](std::int64_t at) {
                if (at > pair.net.clock.now) return false;
                pair.net.network.cut_all();
                return true;
            });
            if (next_seed < 60 && random.below(20) == 0) {
                const bool forth = random.below(2) == 0;
                const auto lane = random.below(kLaneCount);
                const std::uint64_t id = seed * 1000 + next_seed++;
                Bytes bytes = pattern(8 + random.below(60'000), id);
                write_le(std::span<std::byte>(bytes), 0, id);
                sent[forth ? 1 : 0][lane].push_back(id);
                SimHost& from = forth ? pair.a : pair.b;
                REQUIRE(from.hub
                            ->send(forth ? pair.link : links[0], static_cast<Lane>(lane),
                                   epoch_of(1), std::move(bytes))
                            .ok());
            }
            return next_seed == 60 && cuts.empty() &&
                   pair.a.sink.messages.size() + pair.b.sink.messages.size() >= 60;
        };
        REQUIRE(pair.until(step, 120'000'000));
        pair.until([] { return false; }, 200'000);
        std::vector<std::uint64_t> got[2][kLaneCount];
        for (int to = 0; to < 2; ++to) {
            for (const auto& message : (to == 1 ? pair.b : pair.a).sink.messages) {
                got[to][static_cast<std::size_t>(message.lane)].push_back(
                    read_le<std::uint64_t>(message.bytes, 0));
            }
            for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
                CHECK(got[to][lane] == sent[to][lane]);
            }
        }
        CHECK(pair.a.sink.lost.empty());
        CHECK(pair.b.sink.lost.empty());
        CHECK(pair.a.sink.interrupted > 0);
    }
}

TEST_CASE("urgent frames overtake others on a full link of 100 Mbit/s and 30 ms", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 15'000);
    REQUIRE(pair.join());
    for (int i = 0; i < 8; ++i) {
        REQUIRE(pair.a.hub->send(pair.link, Lane::prefill, epoch_of(1), Bytes(21'000'000)).ok());
    }
    pair.until([] { return false; }, 3'000'000);  // the link finds its rate
    const std::uint64_t bytes_before = pair.a.transport.sent_bytes;
    const std::int64_t begin = pair.net.clock.now;
    std::int64_t worst = 0;
    for (int i = 0; i < 100; ++i) {
        const std::int64_t sent = pair.net.clock.now;
        const std::size_t heard = pair.b.sink.messages.size();
        REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(1), Bytes(2000)).ok());
        const auto arrived = [&] {
            for (std::size_t k = heard; k < pair.b.sink.messages.size(); ++k) {
                if (pair.b.sink.messages[k].lane == Lane::decode) return true;
            }
            return false;
        };
        REQUIRE(pair.until(arrived, 1'000'000, 100));
        worst = std::max(worst, pair.net.clock.now - sent - 15'000);
    }
    const double span = static_cast<double>(pair.net.clock.now - begin);
    const double busy =
        static_cast<double>(pair.a.transport.sent_bytes - bytes_before) / (12.5 * span);
    INFO("worst wait " << worst << " us, busy " << busy);
    INFO("rate " << pair.a.hub->stats(pair.link).link.bytes_per_s);
    CHECK(worst < 10'000 + 1'400 + 1'000);  // the bound, a frame, steps of the test
    CHECK(busy > 0.9);
    CHECK(pair.a.hub->stats(pair.link).link.bytes_per_s == Approx(12.5e6).epsilon(0.1));
}

TEST_CASE("a link that was cut finds its rate again", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 15'000);
    REQUIRE(pair.join());
    for (int i = 0; i < 8; ++i) {
        REQUIRE(pair.a.hub->send(pair.link, Lane::bulk, epoch_of(1), Bytes(21'000'000)).ok());
    }
    pair.until([] { return false; }, 2'000'000);
    pair.net.network.redial_us = 1'500'000;
    pair.net.network.cut_all();
    pair.until([] { return false; }, 2'500'000);
    REQUIRE(pair.a.sink.resumed == 1);
    const std::uint64_t before = pair.a.transport.sent_bytes;
    pair.until([] { return false; }, 2'000'000);
    CHECK(static_cast<double>(pair.a.transport.sent_bytes - before) / (12.5 * 2e6) > 0.85);
}

TEST_CASE("when the delay has grown, no round trip is shorter than the shortest one", "[channel]") {
    Pair pair;
    pair.net.set_link(12.5e6, 1'000);
    REQUIRE(pair.join());
    pair.wait(1'000'000);
    pair.net.network.set_link("host-1", "host-2", {12.5e6, 50'000, 0});
    pair.net.network.set_link("host-2", "host-1", {12.5e6, 50'000, 0});
    for (int i = 0; i < 60; ++i) {
        pair.wait(1'000'000);
        const ChannelStats stats = pair.a.hub->stats(pair.link);
        CHECK(stats.smoothed_rtt_us >= stats.min_rtt_us);
        if (i == 59) CHECK(stats.min_rtt_us >= 100'000);
    }
}

TEST_CASE("a small message on an idle link is sent within send()", "[channel]") {
    Pair pair;
    REQUIRE(pair.join());
    const std::uint64_t before = pair.a.transport.sent_bytes;
    REQUIRE(pair.a.hub->send(pair.link, Lane::token, epoch_of(1), Bytes(100)).ok());
    CHECK(pair.a.transport.sent_bytes > before);
}

TEST_CASE("a peer that never acknowledges costs bounded memory", "[channel]") {
    HubOptions options;
    options.channel.max_queued_bytes = 1 << 20;
    Pair pair(options);
    REQUIRE(pair.join());
    pair.b.transport.mute = true;
    Status last;
    for (int i = 0; i < 200 && last.ok(); ++i) {
        last = pair.a.hub->send(pair.link, Lane::bulk, epoch_of(1), Bytes(100'000));
        pair.until([] { return false; }, 1000);
    }
    CHECK(last.code() == StatusCode::resource_exhausted);
    CHECK(pair.a.hub->pending_bytes(pair.link) <= (1u << 20) + (64u << 10) + 20'000);
    Status empty;
    for (int i = 0; i < 100'000 && empty.ok(); ++i) {
        empty = pair.a.hub->send(pair.link, Lane::bulk, epoch_of(1), {});
    }
    CHECK(empty.code() == StatusCode::resource_exhausted);
}

TEST_CASE("messages of older epochs are dropped, except in the control lane", "[channel]") {
    Pair pair;
    REQUIRE(pair.join());
    pair.b.hub->set_epoch(pair.b.sink.up[0], epoch_of(5));
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(4), Bytes(10)).ok());
    REQUIRE(pair.a.hub->send(pair.link, Lane::control, epoch_of(4), Bytes(11)).ok());
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(5), Bytes(12)).ok());
    REQUIRE(pair.until([&] { return pair.b.sink.messages.size() == 2; }));
    CHECK(pair.b.sink.messages[0].bytes.size() == 11);
    CHECK(pair.b.sink.messages[1].bytes.size() == 12);
}

TEST_CASE("each pipeline has its own epoch on a link", "[channel]") {
    Pair pair;
    REQUIRE(pair.join());
    pair.b.hub->set_epoch(pair.b.sink.up[0], epoch_of(5, 1));
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(4, 1), Bytes(10)).ok());
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(4, 0), Bytes(11)).ok());
    REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(1, 65535), Bytes(12)).ok());
    REQUIRE(pair.until([&] { return pair.b.sink.messages.size() == 2; }));
    CHECK(pair.b.sink.messages[0].epoch == epoch_of(4, 0));
    CHECK(pair.b.sink.messages[1].epoch == epoch_of(1, 65535));
}

TEST_CASE("a link is lost when the peer closes it or restarts", "[channel]") {
    Pair pair;
    REQUIRE(pair.join());
    SECTION("closed by the peer") {
        pair.b.hub->close(pair.b.sink.up[0]);
        REQUIRE(pair.until([&] { return !pair.a.sink.lost.empty(); }, 1'000'000));
    }
    SECTION("restarted") {
        SimHost again(pair.net, 3);
        pair.b.transport.reset_all();
        REQUIRE(again.transport.listen("inproc://b").has_value());
        REQUIRE(run_until(
            pair.net, {&pair.a, &again}, [&] { return !pair.a.sink.lost.empty(); }, 5'000'000));
        CHECK(pair.a.sink.interrupted == 1);
        CHECK(pair.a.sink.resumed == 0);
    }
    CHECK(pair.a.sink.lost[0].code() == StatusCode::unavailable);
    CHECK(pair.a.hub->send(pair.link, Lane::token, epoch_of(1), {}).code() ==
          StatusCode::not_found);
}

TEST_CASE("padding takes as long as the bytes that it stands for", "[channel]") {
    constexpr std::size_t kWhole = 300'000;
    const auto send = [](HubOptions options, std::size_t held) {
        Pair pair(options);
        pair.net.set_link(12.5e6, 5'000);
        pair.net.network.padded = options.channel.padding != nullptr;
        REQUIRE(pair.join());
        for (std::uint64_t i = 0; i < 20; ++i) {
            const Lane lane = i % 3 == 0 ? Lane::decode : Lane::prefill;
            REQUIRE(pair.a.hub->send(pair.link, lane, epoch_of(1), pattern(held, i)).ok());
        }
        REQUIRE(pair.a.hub->pending_bytes(pair.link) >= 20 * kWhole);
        REQUIRE(pair.until([&] { return pair.b.sink.messages.size() == 20; }));
        std::vector<std::int64_t> times;
        std::uint64_t sum = 0;
        for (const auto& message : pair.b.sink.messages) {
            times.push_back(message.at_us);
            REQUIRE(message.bytes.size() == held);
        }
        for (const LaneStats& lane : pair.b.hub->stats(pair.b.sink.up[0]).received) {
            sum += lane.bytes;
        }
        REQUIRE(sum == 20 * kWhole);
        return times;
    };
    HubOptions padded;
    padded.channel.padding = [](ByteSpan message) { return kWhole - message.size(); };
    const auto times = send(HubOptions{}, kWhole);
    REQUIRE(send(padded, 100) == times);
    REQUIRE(send(padded, 20'000) == times);
}
