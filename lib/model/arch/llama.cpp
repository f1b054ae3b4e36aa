// The Llama family: 2, 3 and 3.1. decoder_config.h describes it without any difference. A related
// architecture (another bias, a norm of queries and keys, tensors stored as one) has a file like
// this one, which states only its differences.
#include "model/arch_table.h"
#include "model/decoder_config.h"

namespace molink {

const Architecture& architecture_llama();

const Architecture& architecture_llama() {
    static const Architecture architecture{
        {"LlamaForCausalLM"},   &decoder_spec, &decoder_layer_tensors,
        &decoder_outer_tensors, {"llama"},     &decoder_warnings};
    return architecture;
}

}  // namespace molink
