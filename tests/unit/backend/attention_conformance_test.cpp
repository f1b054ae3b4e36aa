// Compares paged attention of every compiled backend with a dense reference in double: page types,
// sizes of heads and blocks, groups of heads, windows, caps and ragged batches. Pages hold NaN
// where nothing was written, so a read of a slot that does not belong to the row is detected.
#include "op_fixture.h"

namespace molink::test {
namespace {

void check_activations(OpFixture& f, const KvShape& shape) {
    INFO("block " << shape.block_tokens << " heads " << shape.q_heads << "/" << shape.kv_heads
                  << " dim " << shape.head_dim << " type " << static_cast<int>(shape.type)
                  << " window " << shape.window << " cap " << shape.soft_cap);
    const double tolerance = tolerance_of(shape.activations, 5e-6);
    PagedKv kv(f, shape, {1, 37, 16, 70, 65});
    const std::vector<TokenRow> all = kv.all_rows();
    kv.write(all);
    require_close(kv.attend(all), kv.reference(all), tolerance);
    // The last token of each sequence (decode), some rows of a prompt and a skipped sequence.
    const std::vector<TokenRow> ragged{{0, 0},  {1, 36}, {3, 40}, {3, 41},
                                       {3, 42}, {3, 43}, {3, 44}, {4, 64}};
    require_close(kv.attend(ragged), kv.reference(ragged), tolerance);
}

void check(OpFixture& f, KvShape shape) {
    for (const ElementType type : f.activation_types()) {
        shape.activations = type;
        check_activations(f, shape);
    }
}

TEST_CASE("attention over block and head sizes") {
    on_every_backend([](OpFixture& f) {
        for (const ElementType type : {ElementType::f32, ElementType::f16}) {
            for (const std::int32_t block_tokens : {16, 32, 64}) {
                for (const std::int32_t head_dim : {16, 40, 64, 80, 128}) {
                    KvShape shape;
                    shape.type = type;
                    shape.block_tokens = block_tokens;
                    shape.head_dim = head_dim;
                    check(f, shape);
                }
            }
        }
    });
}

TEST_CASE("attention does not pass over a key that its page cannot hold") {
    on_every_backend([](OpFixture& f) {
        for (const ElementType type : {ElementType::f32, ElementType::f16}) {
            for (const float key : {INFINITY, -INFINITY, 7e4f, -7e4f}) {
                if (type == ElementType::f32 && std::isfinite(key)) continue;
                KvShape shape;
                shape.type = type;
                shape.q_heads = shape.kv_heads = 1;
                shape.head_dim = 32;
                PagedKv kv(f, shape, {40, 40});
                kv.set_key({0, 20}, key);
                kv.write(kv.all_rows());
                const std::vector<TokenRow> rows{{0, 19}, {0, 20}, {0, 39}, {1, 39}};
                const std::vector<float> out = kv.attend(rows);
                for (std::size_t i = 0; i < out.size(); ++i) {
                    const bool reads_it = i / 32 == 1 || i / 32 == 2;
                    REQUIRE(std::isnan(out[i]) == reads_it);
                }
            }
        }
    });
}

TEST_CASE("attention with one, some and all KV heads") {
    on_every_backend([](OpFixture& f) {
        for (const std::int32_t kv_heads : {1, 2, 3, 6}) {
            KvShape shape;
            shape.q_heads = 6;
            shape.kv_heads = kv_heads;
            shape.head_dim = 24;
            check(f, shape);
        }
    });
}

TEST_CASE("attention with windows and soft caps") {
    on_every_backend([](OpFixture& f) {
        for (const std::int32_t window : {0, 1, 2, 15, 16, 17, 33, 1000}) {
            for (const float soft_cap : {0.0f, 0.8f, 50.0f}) {
                KvShape shape;
                shape.window = window;
                shape.soft_cap = soft_cap;
                shape.head_dim = 32;
                check(f, shape);
            }
        }
    });
}

TEST_CASE("attention with large scores stays finite") {
    on_every_backend([](OpFixture& f) {
        KvShape shape;
        shape.head_dim = 16;
        shape.sharpness = 400;
        PagedKv kv(f, shape, {40});
        kv.write(kv.all_rows());
        const auto rows = kv.all_rows();
        require_close(kv.attend(rows), kv.reference(rows), 2e-4);
    });
}

}  // namespace
}  // namespace molink::test
