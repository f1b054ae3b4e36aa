"""Writes data/sampling/cases.json: the tokens that transformers' logits processors keep, and their
probabilities, for seeded random rows. Needs torch and transformers; the tests need only the file.

    python3 tests/golden/make_sampling_golden.py
"""

import json
import pathlib

import torch
from transformers import (LogitsProcessorList, MinPLogitsWarper,
                          RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                          TopKLogitsWarper, TopPLogitsWarper)

OUT = pathlib.Path(__file__).parent / "data" / "sampling" / "cases.json"

OPTIONS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.3, "top_k": 5},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 0.5, "top_p": 0.3},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 2.0, "top_k": 30, "top_p": 0.9, "min_p": 0.05},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 0.9, "repetition_penalty": 0.7, "top_k": 12, "top_p": 0.95},
    {"temperature": 1.0, "top_k": 1},
]


def processors(options):
    chain = LogitsProcessorList()
    if "repetition_penalty" in options:
        chain.append(RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    chain.append(TemperatureLogitsWarper(options.get("temperature", 1.0)))
    if "top_k" in options:
        chain.append(TopKLogitsWarper(options["top_k"]))
    if "top_p" in options:
        chain.append(TopPLogitsWarper(options["top_p"]))
    if "min_p" in options:
        chain.append(MinPLogitsWarper(options["min_p"]))
    return chain


def main():
    torch.manual_seed(20261123)
    cases = []
    for number, options in enumerate(OPTIONS):
        for size in (40, 700):
            logits = (torch.randn(1, size) * 3).float()
            history = torch.randint(0, size, (1, 25))
            scores = processors(options)(history, logits.clone())
            probabilities = torch.softmax(scores.double(), -1)[0]
            plain = torch.log_softmax(logits.double(), -1)[0]
            cases.append({
                "options": options,
                "logits": [float(value) for value in logits[0]],
                "history": history[0].tolist(),
                "kept": {str(i): float(p) for i, p in enumerate(probabilities) if p > 0},
                "logprobs": [float(plain[i]) for i in range(0, size, 13)],
            })
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(OUT, len(cases), "cases")


if __name__ == "__main__":
    main()
