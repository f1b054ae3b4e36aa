// The capacity of a stage against sums done by hand: every kind of memory counts, and a refusal
// names each of them.
#include "kv/capacity.h"

#include <limits>

#include "support/catch.h"

using namespace molink;

namespace {

StageMemory sample() {
    StageMemory memory;
    memory.memory_bytes = 1000;
    memory.weight_bytes = 500;
    memory.workspace_bytes = 100;
    memory.kv_block_bytes = 30;
    return memory;
}

}  // namespace

TEST_CASE("blocks are rounded up") {
    CHECK(blocks_for(0, 16) == 0);
    CHECK(blocks_for(1, 16) == 1);
    CHECK(blocks_for(16, 16) == 1);
    CHECK(blocks_for(17, 16) == 2);
    CHECK(blocks_for(std::int64_t{1} << 40, 16) == std::int64_t{1} << 36);
}

TEST_CASE("the KV blocks of a stage are what weights and workspace leave") {
    StageMemory memory = sample();
    CHECK(kv_capacity(memory) == 13);
    CHECK(needed_bytes(memory, 13) == 990);
    CHECK(check_capacity("it", memory, 13).ok());
    CHECK_FALSE(check_capacity("it", memory, 14).ok());
    memory.max_blocks = 5;
    CHECK(kv_capacity(memory) == 5);
    memory.weight_bytes = 900;
    CHECK(kv_capacity(memory) == 0);
    memory.weight_bytes = 901;
    CHECK(kv_capacity(memory) == -1);
    CHECK_FALSE(check_capacity("it", memory, 0).ok());
}

TEST_CASE("layers without KV leave room for every block of use") {
    StageMemory memory = sample();
    memory.kv_block_bytes = 0;
    CHECK(kv_capacity(memory) == std::numeric_limits<std::int64_t>::max());
    memory.max_blocks = 7;
    CHECK(kv_capacity(memory) == 7);
    memory.memory_bytes = 599;
    CHECK(kv_capacity(memory) == -1);
}

TEST_CASE("a stage that does not fit is refused with the bytes by kind") {
    StageMemory memory = sample();
    const Status status = check_capacity("a stage of layers 0-3", memory, 20);
    CHECK(status.code() == StatusCode::resource_exhausted);
    CHECK(status.message() ==
          "a stage of layers 0-3 needs 1200 bytes: weights 500 bytes, workspace 100 bytes, 20 KV "
          "blocks 600 bytes; 1000 bytes are available");
    memory.weight_bytes = std::int64_t{2} << 30;
    CHECK(check_capacity("it", memory, 1).message() ==
          "it needs 2048.0 MiB: weights 2048.0 MiB, workspace 100 bytes, 1 KV block 30 bytes; "
          "1000 bytes are available");
}

TEST_CASE("the bounds on KV blocks follow from context and sequences") {
    PartitionModel model;
    model.block_tokens = 48;
    set_kv_bounds(model, 1000, 4);
    CHECK(model.min_blocks == 6);  // 256 positions
    CHECK(model.max_blocks == 4 * 21);
    set_kv_bounds(model, 100, 4);
    CHECK(model.min_blocks == 3);
}
