#!/usr/bin/env python3
"""Writes tiny seeded Llama models and the logits that transformers computes for them.

    python3 make_logits_golden.py [--out data/logits]

Needs torch, transformers and safetensors from PyPI. The tests need only the files. Each folder
holds config.json, model.safetensors (or shards) and golden.safetensors: prompt [48] int32, prefill
[48, vocab] float32 logits of the whole prompt, output [32] int32 greedy tokens, steps [32, vocab]
float32 logits, the first of which follows the prompt. Computed in float32 from the stored weights
with eager attention.
"""
import argparse
import json
import platform
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

COMMON = dict(vocab_size=320, hidden_size=64, num_hidden_layers=6, num_attention_heads=4,
              intermediate_size=96, max_position_embeddings=256, rms_norm_eps=1e-5,
              bos_token_id=None, eos_token_id=None, pad_token_id=None)
PROMPT, STEPS = 48, 32

MODELS = {
    "llama2_mha_f32": (dict(num_key_value_heads=4, tie_word_embeddings=False),
                       torch.float32, "old", None),
    "llama3_gqa_bf16": (dict(num_key_value_heads=2, tie_word_embeddings=True),
                        torch.bfloat16, "new", None),
    "llama31_rope_f16": (dict(num_key_value_heads=2, tie_word_embeddings=False,
                              rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0,
                                                   low_freq_factor=1.0, high_freq_factor=4.0,
                                                   original_max_position_embeddings=32)),
                         torch.float16, "new", None),
    "llama_linear_f32": (dict(num_key_value_heads=1, tie_word_embeddings=False,
                              rope_parameters=dict(rope_type="linear", rope_theta=1000.0,
                                                   factor=4.0)),
                         torch.float32, "old", None),
    "llama_bias_sharded_f32": (dict(num_key_value_heads=2, tie_word_embeddings=False,
                                    attention_bias=True,
                                    mlp_bias=True, head_dim=24), torch.float32, "new", "150KB"),
}


def old_form(path):
    """Rewrites a configuration into the form of transformers before version 5."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters", {}) or {}
    config["rope_theta"] = rope.pop("rope_theta", 10000.0)
    if rope.get("rope_type", "default") != "default":
        rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype", "float32")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write(name, out):
    extra, dtype, form, shard = MODELS[name]
    for seed in range(1, 200):
        torch.manual_seed(seed)
        config = LlamaConfig(**COMMON, **extra)
        config._attn_implementation = "eager"
        model = LlamaForCausalLM(config).eval()
        with torch.no_grad():
            for key, tensor in model.named_parameters():
                if "norm" in key:
                    tensor.copy_(1 + 0.2 * torch.randn_like(tensor))
                elif "embed" in key:
                    # A tied model with larger embeddings repeats its last token.
                    scale = 0.15 if config.tie_word_embeddings else 1.0
                    tensor.copy_(scale * torch.randn_like(tensor))
                else:
                    gain = 2.0 if "q_proj.weight" in key or "k_proj.weight" in key else 1.0
                    tensor.copy_(gain * torch.randn_like(tensor) / tensor.shape[-1] ** 0.5)
        stored = model.to(dtype)
        exact = LlamaForCausalLM(config).eval()
        exact.load_state_dict({k: v.float() for k, v in stored.state_dict().items()})
        prompt = torch.randint(config.vocab_size, (1, PROMPT),
                               generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            prefill = exact(prompt).logits[0]
            ids, output, steps = prompt, [], []
            for _ in range(STEPS):
                row = exact(ids).logits[0, -1]
                steps.append(row)
                output.append(int(row.argmax()))
                ids = torch.cat([ids, torch.tensor([[output[-1]]])], 1)
        if len(set(output)) >= 16:
            break
    else:
        raise SystemExit(f"{name}: no seed gives 16 different tokens")
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    stored.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if form == "old":
        old_form(folder / "config.json")
    save_file({"prompt": prompt[0].to(torch.int32), "prefill": prefill.contiguous(),
               "output": torch.tensor(output, dtype=torch.int32), "steps": torch.stack(steps)},
              folder / "golden.safetensors")
    print(f"{name}: seed {seed}, {len(set(output))} different tokens of {STEPS}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data" / "logits")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for name in MODELS:
        write(name, out)
    (out / "ORIGIN.json").write_text(json.dumps(
        {"script": "make_logits_golden.py", "python": platform.python_version(),
         "torch": torch.__version__, "transformers": transformers.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main()
