// Compares the KV capacity of a stage with sums done by hand. Every kind of memory counts, and a
// refusal names each of them.
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

TEST_CASE("KV blocks get the memory that weights and workspace leave") {
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

TEST_CASE("layers without KV have room for all blocks that can be used") {
    StageMemory memory = sample();
    memory.kv_block_bytes = 0;
    CHECK(kv_capacity(memory) == std::numeric_limits<std::int64_t>::max());
    memory.max_blocks = 7;
    CHECK(kv_capacity(memory) == 7);
    memory.memory_bytes = 599;
    CHECK(kv_capacity(memory) == -1);
}

TEST_CASE("a stage that does not fit is refused with the bytes of each kind") {
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

TEST_CASE("the state of every sequence counts") {
    StageMemory memory = sample();
    memory.sequence_state_bytes = 20;
    memory.sequences = 8;
    CHECK(state_bytes(memory) == 160);
    CHECK(kv_capacity(memory) == 8);
    CHECK(check_capacity("it", memory, 9).message() ==
          "it needs 1030 bytes: weights 500 bytes, workspace 100 bytes, state of 8 sequences 160 "
          "bytes, 9 KV blocks 270 bytes; 1000 bytes are available");
}

TEST_CASE("the sizes of a stage are sums over its layers") {
    PartitionModel model;
    model.layers = {{.weight_bytes = 100, .kv_block_bytes = 4},
                    {.weight_bytes = 10, .state_bytes = 3},
                    {.weight_bytes = 30, .kv_block_bytes = 1}};
    model.embedding_bytes = 1000;
    model.lm_head_bytes = 2000;
    model.workspace_bytes = 7;
    model.min_blocks = 2;
    model.max_blocks = 50;
    model.max_sequences = 5;
    StageMemory memory = stage_memory(model, {1, 3}, false, true);
    CHECK(memory.weight_bytes == 2040);
    CHECK(memory.kv_block_bytes == 1);
    CHECK(state_bytes(memory) == 15);
    CHECK(needed_bytes(memory, 2) == 2040 + 7 + 15 + 2);
    memory.memory_bytes = 3000;
    CHECK(kv_capacity(memory) == 50);
    CHECK(stage_memory(model, {0, 1}, true, false).weight_bytes == 1100);
    CHECK(smallest_layer(model) == 1);
    model.max_sequences = 8;  // layer 1 has 10 + 24 bytes, layer 2 has 30 + 2
    CHECK(smallest_layer(model) == 2);
}

TEST_CASE("the bounds on KV blocks follow from context and sequences") {
    PartitionModel model;
    model.block_tokens = 48;
    set_kv_bounds(model, 1000, 4);
    CHECK(model.min_blocks == 6);  // 256 positions
    CHECK(model.max_blocks == 4 * 21);
    CHECK(model.max_sequences == 4);
    set_kv_bounds(model, 100, 4);
    CHECK(model.min_blocks == 3);
}
