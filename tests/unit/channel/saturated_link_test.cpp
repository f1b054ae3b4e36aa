// The meter on a link that is full: rate and waits when acknowledgements are late, when the link
// changes and when decode alone fills it. tests/bench/channel_bench measures the same for longer.
#include "base/random.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"

using namespace molink;
using namespace molink::test;

namespace {

struct Figures {
    std::int64_t p99_us = 0;
    double busy = 0;
};

/// A link with queued prefill bytes and a decode message every 25 ms.
struct Saturated {
    Saturated(LinkModel forth_model, LinkModel back_model)
        : forth(forth_model), pair(padded()), back(back_model) {
        pair.net.network.padded = true;
        set(1);
        REQUIRE(pair.join());
        pair.wait(1'000'000);
    }
    static HubOptions padded() {
        HubOptions options;
        options.channel.padding = [](ByteSpan message) {
            return message.size() == 1 ? std::size_t{500'000'000} : 0;
        };
        return options;
    }
    void set(double times) {
        LinkModel model = forth;
        model.bytes_per_s *= times;
        pair.net.network.set_link("host-1", "host-2", model);
        pair.net.network.set_link("host-2", "host-1", back);
    }
    void begin() {
        REQUIRE(pair.a.hub->send(pair.link, Lane::prefill, epoch_of(1), Bytes(1)).ok());
    }
    std::int64_t busy_us() const {
        std::int64_t sum = 0;
        const auto traffic = pair.net.network.traffic();
        for (std::int64_t busy : traffic.at({"host-1", "host-2"}).busy_us) sum += busy;
        return sum;
    }
    Figures measure(int rows) {
        std::vector<std::int64_t> waits;
        const std::int64_t begin_us = pair.net.clock.now;
        const std::int64_t busy = busy_us();
        std::vector<std::int64_t> sent;
        pair.b.sink.messages.clear();
        for (int i = 0; i < rows; ++i) {
            sent.push_back(pair.net.clock.now);
            REQUIRE(pair.a.hub->send(pair.link, Lane::decode, epoch_of(1), Bytes(4'000)).ok());
            pair.wait(25'000);
        }
        const double span = static_cast<double>(pair.net.clock.now - begin_us);
        Figures figures;
        figures.busy = static_cast<double>(busy_us() - busy) / span;
        pair.wait(1'000'000);
        std::erase_if(pair.b.sink.messages,
                      [](const auto& message) { return message.lane != Lane::decode; });
        REQUIRE(pair.b.sink.messages.size() == sent.size());
        for (std::size_t i = 0; i < sent.size(); ++i) {
            waits.push_back(pair.b.sink.messages[i].at_us - sent[i] - forth.delay_us);
        }
        std::sort(waits.begin(), waits.end());
        figures.p99_us = waits[waits.size() * 99 / 100];
        return figures;
    }

    LinkModel forth;
    Pair pair;
    LinkModel back;
};

constexpr std::int64_t kBoundUs = 10'000 + 1'310 + 400;  // the bound, a frame, steps of the test

}  // namespace

TEST_CASE("late acknowledgements cost neither rate nor waits", "[channel]") {
    Saturated link({12.5e6, 30'000, 0}, {12.5e6, 30'000, 15'000});
    link.begin();
    const Figures figures = link.measure(200);
    CHECK(figures.p99_us < kBoundUs);
    CHECK(figures.busy > 0.95);
}

TEST_CASE("a rate that is wrong by a tenth is corrected at once", "[channel]") {
    for (double probed : {1.11, 0.91}) {
        INFO("probed at " << probed);
        Saturated wrong({probed * 12.5e6, 30'000, 0}, {12.5e6, 30'000, 0});
        CHECK(wrong.pair.a.hub->stats(wrong.pair.link).link.bytes_per_s ==
              Approx(probed * 12.5e6).epsilon(0.04));
        wrong.set(1 / probed);
        wrong.begin();
        const Figures figures = wrong.measure(200);
        CHECK(figures.p99_us < kBoundUs);
        CHECK(figures.busy > 0.95);
    }
}

TEST_CASE("decode alone leaves the rate as it is", "[channel]") {
    Saturated link({12.5e6, 15'000, 0}, {12.5e6, 15'000, 0});
    (void)link.measure(400);
    CHECK(link.pair.a.hub->stats(link.pair.link).link.bytes_per_s == Approx(12.5e6).epsilon(0.02));
    link.begin();
    const Figures figures = link.measure(100);
    CHECK(figures.p99_us < kBoundUs);
    CHECK(figures.busy > 0.95);
}

TEST_CASE("the rate of a link that changes is found again", "[channel]") {
    Saturated link({12.5e6, 15'000, 0}, {12.5e6, 15'000, 0});
    link.begin();
    (void)link.measure(40);
    SECTION("half as fast") {
        link.set(0.5);
        link.pair.wait(500'000);
        const Figures figures = link.measure(100);
        CHECK(figures.p99_us < 10'000 + 2'700 + 400);
        CHECK(figures.busy > 0.95);
    }
    SECTION("four times as fast") {
        link.set(4);
        link.pair.wait(5'000'000);
        CHECK(link.measure(40).busy > 0.95);
    }
    SECTION("a longer delay") {
        link.forth.delay_us += 20'000;
        link.set(1);
        link.pair.wait(2'000'000);
        CHECK(link.measure(100).busy > 0.95);
    }
}

TEST_CASE("when decode alone fills the link, fair keeps the share of prefill and strict starves it",
          "[channel]") {
    const auto share = [](const char* policy) {
        HubOptions options = Saturated::padded();
        options.policy = [policy] { return std::move(*make_transmit_policy(policy)); };
        Pair pair(options);
        pair.net.set_link(0.625e6, 30'000);
        pair.net.network.padded = true;
        REQUIRE(pair.join());
        pair.wait(2'000'000);
        for (Lane lane : {Lane::decode, Lane::prefill}) {
            REQUIRE(pair.a.hub->send(pair.link, lane, epoch_of(1), Bytes(1)).ok());
        }
        pair.wait(10'000'000);
        const auto sent = pair.a.hub->stats(pair.link).sent;
        const auto decode = static_cast<double>(sent[2].bytes);
        const auto prefill = static_cast<double>(sent[3].bytes);
        return prefill / (decode + prefill);
    };
    CHECK(share("fair") == Approx(0.2).margin(0.01));
    CHECK(share("strict") < 0.02);
}
