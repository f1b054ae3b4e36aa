// Tests what the benchmark computes without running anything: names of links and loads, limits of
// known rings, and the results that follow from the tokens of a run.
#include <stdexcept>

#include "support/catch.h"
#include "weak_link/flags.h"
#include "weak_link/limits.h"
#include "weak_link/report.h"
#include "weak_link/service_times.h"
#include "weak_link/simulated.h"
#include "weak_link/streams.h"

using namespace molink;
using namespace molink::bench;

namespace {

/// Stages of four layers. A layer takes 100 us and the LM head 200 us for any number of rows.
RingLoad ring(std::size_t stages, const LinkShape& link) {
    RingLoad shape;
    shape.link = link;
    shape.device.decode = {{1, 100}, {2, 100}};
    shape.device.prefill = {{1, 10}, {2, 20}};
    shape.device.lm_head = {{1, 200}, {2, 200}};
    shape.layers.assign(stages, 4);
    shape.row_bytes = 8192;
    return shape;
}

/// A line of the journal with the values that tables show.
nlohmann::json row_of(const char* scheduler, double tokens_per_s, double ttft_ms, double gap_ms,
                      int cores = 0) {
    return {{"system", "toy"},
            {"nodes", 2},
            {"local_stage", true},
            {"direct_feedback", true},
            {"link", "50M-20ms"},
            {"workload", "mixed"},
            {"scheduler", scheduler},
            {"transmit", "fifo"},
            {"step_tokens", 0},
            {"cores", cores},
            {"prompts", 5},
            {"tokens_per_s", tokens_per_s},
            {"ttft_ms", {{"p50", ttft_ms}}},
            {"tpot_ms", 20.0},
            {"gap_ms", {{"p99", 1.0}}},
            {"gap_beside_prefill_ms", {{"p99", gap_ms}}}};
}

}  // namespace

TEST_CASE("weak_link: the tolerance of the simulator does not depend on the spread of the runs") {
    // Two runs that differ by 80 % do not permit 36 %.
    const Rounds two{row_of("depth", 100, 60, 9, 2), row_of("depth", 100, 140, 9, 2)};
    const std::string table = comparison_table({{two, row_of("depth", 114, 136, 9, 2)}});
    REQUIRE(table.find("+36.0 % |") != std::string::npos);
    REQUIRE(table.find("| TTFT |\n") != std::string::npos);
    REQUIRE(table.find("within 15 % in 0 of 1 cells") != std::string::npos);
    REQUIRE(table.find("1 of them have fewer than 5 rounds") != std::string::npos);
    REQUIRE(table.find("- toyx2, 50M-20ms, load mixed, depth+fifo: TTFT\n") != std::string::npos);
    // The tolerance of timed stages is 10 %.
    const Rounds five(5, row_of("depth", 100, 100, 9));
    const std::string timed = comparison_table(
        {{five, row_of("depth", 109, 91, 9)}, {five, row_of("depth", 111, 100, 9)}});
    REQUIRE(timed.find("within 10 % in 1 of 2 cells") != std::string::npos);
    REQUIRE(timed.find("fewer than") == std::string::npos);
    REQUIRE(timed.find(": tokens/s\n") != std::string::npos);
}

TEST_CASE("weak_link: the table of policies says in what each is as good as the best") {
    const std::string table =
        policy_table({{row_of("single", 14, 7500, 3200)},
                      {row_of("depth", 140, 900, 400), row_of("depth", 144, 800, 380)},
                      {row_of("adaptive", 143, 750, 170)}});
    REQUIRE(table.find("toyx2, 50M-20ms, load mixed:") != std::string::npos);
    REQUIRE(table.find("| single+fifo | 1 | 14.0 | 7500 | 3200 | - |") != std::string::npos);
    REQUIRE(table.find("| depth+fifo | 2 | 142.0 | 850 | 390 | tokens/s |") != std::string::npos);
    REQUIRE(table.find("| adaptive+fifo | 1 | 143.0 | 750 | 170 | tokens/s, TTFT, gap |") !=
            std::string::npos);
}

TEST_CASE("weak_link: links by name and by shape") {
    for (const std::string& name : link_names()) REQUIRE(parse_link(name).name == name);
    const LinkShape plain = parse_link("50M-20ms");
    REQUIRE(plain.up_mbit_per_s == 50);
    REQUIRE(plain.down_mbit_per_s == 50);
    REQUIRE(plain.delay_ms == 20);
    REQUIRE(plain.jitter_ms == 0);
    const LinkShape odd = parse_link("2.5/0.5M-1.5ms-7ms");
    REQUIRE(odd.up_mbit_per_s == 2.5);
    REQUIRE(odd.down_mbit_per_s == 0.5);
    REQUIRE(odd.delay_ms == 1.5);
    REQUIRE(odd.jitter_ms == 7);
    for (const char* wrong : {"", "fast", "50M", "50-20ms", "0M-20ms", "50M-20", "50M--2ms",
                              "50M-20ms-", "50/M-20ms", "50M-20ms!"}) {
        INFO(wrong);
        REQUIRE_THROWS_AS(parse_link(wrong), std::runtime_error);
    }
}

TEST_CASE("weak_link: loads by name and by numbers") {
    for (const std::string& name : workload_names()) REQUIRE(parse_workload(name).name == name);
    REQUIRE(parse_workload("12").streams == 12);
    REQUIRE_FALSE(parse_workload("12").mixed());
    const Workload rate = parse_workload("mixed:16:1.2");
    REQUIRE(rate.streams == 16);
    REQUIRE(rate.prompts_per_s == 1.2);
    REQUIRE(rate.load == 0);
    const Workload share = parse_workload("mixed:128:20%");
    REQUIRE(share.streams == 128);
    REQUIRE(share.prompts_per_s == 0);
    REQUIRE(share.load == Approx(0.2));
    for (const char* wrong :
         {"", "0", "-3", "4x", "mixed", "mixed:16", "mixed:0:1", "mixed:16:0", "mixed:16:1:2"}) {
        INFO(wrong);
        REQUIRE_THROWS_AS(parse_workload(wrong), std::runtime_error);
    }
}

TEST_CASE("weak_link: cells") {
    Flags flags;
    flags.systems = {"gpu-7b"};
    flags.links = {"100M-30ms"};
    flags.workloads = {"32", "mixed45"};
    flags.pairs = {"single+fifo", "adaptive+fair"};
    flags.step_tokens = {64, 256};
    flags.rounds = 2;
    const std::vector<Cell> cells = cells_of(flags);
    // Budgets matter in the mixed load, to the scheduler that has one.
    REQUIRE(cells.size() == 2 * (2 + 3));
    REQUIRE(cells[0].key() != cells[5].key());
    REQUIRE(cells[0].group() == cells[5].group());
    flags.pairs = {"single"};
    REQUIRE_THROWS_AS(cells_of(flags), std::runtime_error);
}

TEST_CASE("weak_link: limits of a ring bound by delay, by a stage, by a link and by cores") {
    const RingLoad far = ring(2, {"", 1e6, 1e6, 100, 0});
    // Two delays of 100 ms, eight layers and the LM head.
    REQUIRE(decode_limits(far, 1).many == Approx(1e6 / 201'000).epsilon(0.001));
    REQUIRE(decode_limits(far, 1).one == Approx(decode_limits(far, 1).many));
    const RingLoad near = ring(2, {"", 1e6, 1e6, 0, 0});
    // Two micro-batches of 16; the stage with the LM head takes 600 us for each.
    REQUIRE(decode_limits(near, 32).many == Approx(32e6 / 1200).epsilon(0.2));
    RingLoad shared = ring(4, {"", 1e6, 1e6, 0, 0});
    const double apart = decode_limits(shared, 64).many;
    shared.cores = 1;
    // All stages in turn: 1,800 us for every micro-batch, and one is best.
    REQUIRE(decode_limits(shared, 64).many < apart);
    REQUIRE(decode_limits(shared, 64).many == Approx(64e6 / 1800).epsilon(0.01));
    shared.contention = {{1, 1.5}};
    REQUIRE(decode_limits(shared, 64).many == Approx(64e6 / 2700).epsilon(0.01));
    const RingLoad thin = ring(2, {"", 1, 1, 0, 0});
    REQUIRE(decode_limits(thin, 64).many < 1.001e6 / (8192 * 8));
    REQUIRE(decode_limits(thin, 64).many > 0.9e6 / (8192 * 8));
}

TEST_CASE("weak_link: prefill rate and propagation") {
    REQUIRE(prefill_rate(ring(2, {"", 1e6, 1e6, 0, 0})) == Approx(1e6 / 40).epsilon(0.01));
    REQUIRE(prefill_rate(ring(2, {"", 1, 1, 0, 0})) == Approx(1e6 / 65536).epsilon(0.01));
    RingLoad shared = ring(3, {"", 1e6, 1e6, 0, 0});
    shared.cores = 2;
    REQUIRE(prefill_rate(shared) == Approx(1e6 / 60).epsilon(0.01));
    const RingLoad far = ring(3, {"", 1e6, 1e6, 10, 0});
    REQUIRE(propagation(far, 1.4 + 30) == Approx(1).epsilon(0.01));
    RingLoad apart = far;
    apart.system.local_stage = false;
    REQUIRE(propagation(apart, 1.4 + 30) == Approx(1).epsilon(0.01));
    apart.system.direct_feedback = false;
    REQUIRE(propagation(apart, 1.4 + 40) == Approx(1).epsilon(0.01));
}

TEST_CASE("weak_link: only what happens during the measurement counts") {
    Streams streams;
    streams.begin = 1;
    streams.end = 2;
    streams.over = 3;
    streams.decoding = {{0, {0.5, 1.0, 1.25, 1.5, 2.5}}, {0, {0.4, 1.1, 1.2}}};
    Measured got = measure(streams);
    // Two gaps in half a second, one in a tenth.
    REQUIRE(got.tokens_per_s == Approx(2 / 0.5 + 1 / 0.1));
    REQUIRE(got.gap.max == Approx(250));
    REQUIRE(got.ttft.max == Approx(500));
    REQUIRE(got.prompts == 0);
    streams.prompts = {{1.3, {1.4, 1.6, 2.4}}, {1.9, {}}};
    got = measure(streams);
    REQUIRE(got.tokens_per_s == Approx(6));
    REQUIRE(got.prompts == 2);
    REQUIRE(got.unfinished == 1);
    REQUIRE(got.ttft.p50 == Approx(100));
    REQUIRE(got.ttft.max == Approx(1100));
    REQUIRE(got.gap_beside.p50 == Approx(250));
}

TEST_CASE("weak_link: a simulated cell comes close to its limit") {
    SimulatedCell cell;
    cell.cell.system.nodes = 2;
    cell.cell.scheduler = "adaptive";
    cell.cell.transmit = "fair";
    cell.cell.link = parse_link("100M-15ms");
    cell.ring = ring(2, cell.cell.link);
    cell.spec.layers = 8;
    cell.spec.hidden = 4096;
    cell.spec.attention.q_heads = cell.spec.attention.kv_heads = 32;
    cell.spec.attention.head_dim = 128;
    cell.spec.mlp.ffn = 11008;
    cell.spec.vocabulary = 32000;
    cell.plan = {8, 2000, 0, 4};
    cell.begin = 3;
    const Measured got = measure(simulate_cell(cell).streams);
    const double limit = decode_limits(cell.ring, 8).many;
    REQUIRE(got.tokens_per_s > 0.85 * limit);
    REQUIRE(got.tokens_per_s < 1.01 * limit);
}
