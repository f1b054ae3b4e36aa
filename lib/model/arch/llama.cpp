// The Llama family: 2, 3 and 3.1. It is what decoder_config describes, and nothing differs. Others
// that start from it (another bias, a norm of queries and keys, tensors stored as one) say in a
// file like this one what does.
#include "model/arch_table.h"
#include "model/decoder_config.h"

namespace molink {

const Architecture& architecture_llama();

const Architecture& architecture_llama() {
    static const Architecture architecture{
        {"LlamaForCausalLM"}, &decoder_spec, &decoder_layer_tensors, &decoder_outer_tensors};
    return architecture;
}

}  // namespace molink
