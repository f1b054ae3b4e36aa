// The built-in partitioners: the same exact search under two ideas
// of what a stage costs. Kept together because each is a few lines
// on top of split_search.
#include <molink/partitioner.h>

#include "partition/split_search.h"

namespace molink {
namespace {

class EvenPartitioner final : public Partitioner {
public:
    std::string_view name() const override { return "even"; }
    Result<PartitionPlan> partition(const PartitionInput& input) override {
        return search_split(input, [](std::size_t, LayerRange layers) {
            return static_cast<double>(layers.size());
        });
    }
};

class CostPartitioner final : public Partitioner {
public:
    std::string_view name() const override { return "cost"; }
    Result<PartitionPlan> partition(const PartitionInput& input) override {
        return search_split(input, [&](std::size_t index, LayerRange layers) {
            return stage_decode_us(input, index, layers);
        });
    }
};

}  // namespace

std::unique_ptr<Partitioner> make_even_partitioner() {
    return std::make_unique<EvenPartitioner>();
}
std::unique_ptr<Partitioner> make_cost_partitioner() {
    return std::make_unique<CostPartitioner>();
}

}  // namespace molink
