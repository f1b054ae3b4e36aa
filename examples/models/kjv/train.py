#!/usr/bin/env python3
"""Trains the bundled model: a small Llama on the King James Bible (public domain).

Needs Debian's packages bible-kjv and bible-kjv-text for the text, and torch, transformers,
tokenizers and safetensors from PyPI. They are not needed to use the model.

    python3 train.py --out . --steps 3000

The text is prose without verse numbers, one chapter after the other. The last two percent of the
chapters, after a fixed shuffle, are kept for validation. Each new best checkpoint is written.
"""
import argparse
import json
import math
import random
import re
import subprocess
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers,
                        processors, trainers)
from transformers import LlamaConfig, LlamaForCausalLM

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def chapters():
    """The text of every chapter, verses joined by spaces."""
    lines = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    found = {}
    for line in lines:
        match = re.match(r"^(\S+?)(\d+):(\d+) (.*)$", line.strip())
        if match:
            found.setdefault((match[1], int(match[2])), []).append(match[4].strip())
    return [" ".join(verses) for verses in found.values()]


def train_tokenizer(texts, vocabulary):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False,
                                  special_tokens=[AddedToken(BOS, special=True),
                                                  AddedToken(EOS, special=True)],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B",
                                      special_tokens=[(BOS, tokenizer.token_to_id(BOS))])])
    return tokenizer


def encode(tokenizer, texts):
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    ids = []
    for text in texts:
        ids += [bos] + tokenizer.encode(text, add_special_tokens=False).ids + [eos]
    return torch.tensor(ids)


def batch_of(data, rows, length, generator):
    starts = torch.randint(len(data) - length - 1, (rows,), generator=generator)
    return torch.stack([data[s:s + length + 1] for s in starts.tolist()])


def loss_of(model, batch, autocast):
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(batch[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def validate(model, data, length, autocast):
    model.eval()
    count = (len(data) - 1) // length
    rows = torch.stack([data[i * length:(i + 1) * length + 1] for i in range(count)
                        if (i + 1) * length + 1 <= len(data)])
    losses = [loss_of(model, part, autocast).item() * len(part) for part in rows.split(16)]
    model.train()
    return sum(losses) / len(rows)


def save(model, config, out):
    state = {name: tensor.detach().to(torch.bfloat16).contiguous()
             for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    text = config.to_dict()
    text.update(architectures=["LlamaForCausalLM"], dtype="bfloat16")
    (out / "config.json").write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
    generation = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0, help="stop early; 0: never")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16 while training")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(2)
    args.out.mkdir(parents=True, exist_ok=True)

    texts = chapters()
    random.Random(3).shuffle(texts)
    held = max(1, len(texts) // 50)
    tokenizer = train_tokenizer(texts[held:], args.vocabulary)
    tokenizer.save(str(args.out / "tokenizer.json"))
    valid, train = encode(tokenizer, texts[:held]), encode(tokenizer, texts[held:])
    print(f"{len(texts)} chapters, {len(train)} training tokens, {len(valid)} validation tokens")

    config = LlamaConfig(vocab_size=args.vocabulary, hidden_size=256, num_hidden_layers=8,
                         num_attention_heads=8, num_key_value_heads=4, intermediate_size=640,
                         max_position_embeddings=2048, rope_theta=10000.0, rms_norm_eps=1e-5,
                         tie_word_embeddings=True, bos_token_id=tokenizer.token_to_id(BOS),
                         eos_token_id=tokenizer.token_to_id(EOS), attention_dropout=0.0)
    model = LlamaForCausalLM(config)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1},
                                   {"params": plain, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.95))
    best, begin, warm = math.inf, time.time(), 100
    for step in range(args.steps):
        done = step / args.steps
        if args.minutes > 0:
            done = max(done, (time.time() - begin) / 60 / args.minutes)
        if done >= 1:
            break
        cosine = (1 + math.cos(math.pi * done)) / 2
        rate = args.rate * min(1, (step + 1) / warm) * (0.05 + 0.95 * cosine)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, batch_of(train, args.rows, args.length, generator), args.bf16)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            speed = (step + 1) * args.rows * args.length / (time.time() - begin)
            print(f"step {step} loss {loss.item():.3f} {speed:.0f} tokens/s", flush=True)
        if (step + 1) % 100 == 0:
            measured = validate(model, valid, args.length, args.bf16)
            print(f"step {step + 1} validation {measured:.4f}", flush=True)
            if measured < best:
                best = measured
                save(model, config, args.out)
    measured = validate(model, valid, args.length, args.bf16)
    if measured < best:
        best = measured
        save(model, config, args.out)
    print(f"best validation loss {best:.4f} nats per token")


if __name__ == "__main__":
    main()
