// A device batch: ops read what the host wrote for each part, always at the same addresses.
#include <optional>

#include "backend/device_batch.h"
#include "op_fixture.h"

namespace molink::test {
namespace {

TEST_CASE("ops read what the host wrote, also for a shorter part after a longer one") {
    on_every_backend([](OpFixture& f) {
        auto made = DeviceBatch::make(f.backend(), {6, 3, 9});
        REQUIRE(made);
        DeviceBatch& batch = *made;
        const std::vector<std::uint32_t> first{7, 1, 4};
        const std::vector<std::uint32_t> second{2};
        batch.clear();
        batch.add_sequence(first);
        for (std::int32_t i = 0; i < 4; ++i) batch.add_row(33 + i, 100 + i);
        batch.add_sequence(second);
        batch.add_row(5, 90);
        batch.add_wanted(3);
        batch.add_wanted(4);
        batch.upload(f.stream());
        const BatchArgs args = batch.args();
        REQUIRE(args.rows == 5);
        REQUIRE(args.sequences == 2);
        REQUIRE(args.longest == 37);
        REQUIRE(!args.decode());
        REQUIRE(f.get(args.positions, 5) == std::vector<std::int32_t>{33, 34, 35, 36, 5});
        REQUIRE(f.get(args.sequence_of_row, 5) == std::vector<std::int32_t>{0, 0, 0, 0, 1});
        REQUIRE(f.get(args.block_offsets, 3) == std::vector<std::int64_t>{0, 3, 4});
        REQUIRE(f.get(args.block_ids, 4) == std::vector<std::uint32_t>{7, 1, 4, 2});
        REQUIRE(f.get(batch.tokens(), 5) == std::vector<std::int32_t>{100, 101, 102, 103, 90});
        REQUIRE(batch.wanted_count() == 2);
        REQUIRE(f.get(batch.wanted(), 2) == std::vector<std::int32_t>{3, 4});

        batch.clear();
        batch.add_sequence(second);
        batch.add_row(0, 1);
        batch.upload(f.stream());
        REQUIRE(batch.args().decode());
        REQUIRE(batch.args().longest == 1);
        REQUIRE(batch.args().positions == args.positions);
        REQUIRE(batch.wanted_count() == 0);
        REQUIRE(f.get(args.positions, 1) == std::vector<std::int32_t>{0});
        REQUIRE(f.get(args.block_ids, 1) == std::vector<std::uint32_t>{2});
    });
}

TEST_CASE("a stream waits for the mark of another stream") {
    on_every_backend([](OpFixture& f) {
        const std::vector<float> values = f.values(1000);
        float* const from = f.put(values);
        float* const to = f.out(1000);
        auto copied = f.backend().allocate_host(4000);
        REQUIRE(copied);
        const std::unique_ptr<Stream> other = f.backend().make_stream();
        ConvertArgs args;
        args.in = from;
        args.out = to;
        args.count = 1000;
        f.stream().convert(args);
        const Mark converted = f.stream().record();
        other->after(f.stream(), converted);
        other->download((*copied)->data(), to, 4000);
        REQUIRE(other->wait(other->record()).ok());
        const auto* got = static_cast<const float*>((*copied)->data());
        REQUIRE(std::vector<float>(got, got + 1000) == values);
        REQUIRE(f.stream().wait(converted).ok());
        REQUIRE(f.stream().elapsed_us(converted, converted) == 0);
    });
}

}  // namespace
}  // namespace molink::test
