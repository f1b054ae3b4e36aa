"""Writes data/tokenizer/: small tokenizer files, and what the reference library returns for texts.

Run it by hand with the `tokenizers` package (0.23.x) when cases are added. The results are
committed, so that building and testing need no Python. For each NAME.json there is NAME.cases.json,
a list of {text, ids (with special tokens), ids_plain (without), decoded (from ids), decoded_plain
(special tokens skipped)}.
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models
from tokenizers import normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).parent / "data" / "tokenizer"

# Written for this purpose. Only the variety of scripts and spacing matters, not the content.
TRAINING = [
    "The ferry leaves at seven, and the children who live on the island take it to school.",
    "It's raining; we'll wait until they've closed the windows, then I'd walk home. Don't worry!",
    "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n\tprint(add(i, 12345))\n",
    "In 1984 there were 1,234,567 of them; by 2023 only 42 (0.003 %) were left.\r\n",
    "D\xe9j\xe0 vu \xe0 l'\xe9t\xe9. Stra\xdfe, \xc4pfel, \xd6l und M\xfcll.",
    "\u041f\u0430\u0440\u043e\u043c \u0443\u0445\u043e\u0434\u0438\u0442 \u0432 \u0441\u0435"
    "\u043c\u044c \u0447\u0430\u0441\u043e\u0432 \u0443\u0442\u0440\u0430.",
    "\u6e21\u8239\u4e03\u70b9\u51fa\u53d1\uff0c\u5b69\u5b50\u4eec\u53bb\u4e0a\u5b66\u3002",
    "\u5cf6\u306e\u5b50\u4f9b\u305f\u3061\u306f\u8239\u3067\u5b66\u6821\u3078\u884c\u304d\u307e"
    "\u3059\u3002",
    "\u0627\u0644\u0639\u0628\u0627\u0631\u0629 \u062a\u063a\u0627\u062f\u0631 \u0641\u064a "
    "\u0627\u0644\u0633\u0627\u0628\u0639\u0629.",
    "\u0928\u093e\u0935 \u0938\u093e\u0924 \u092c\u091c\u0947 \u091c\u093e\u0924\u0940 \u0939"
    "\u0948\u0964",
    "\ubc30\ub294 \uc77c\uacf1 \uc2dc\uc5d0 \ub5a0\ub0a9\ub2c8\ub2e4.",
] * 8

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")

TEXTS = TRAINING[:11] + [
    "", " ", "  ", "\n", "a", " a", "a ", "\t\ta", "\xa0", "\u3000x", "\x00", "a\x00b",
    "\ufeffbom", "IT'S, it'S, I'LL, can'T, 'tis, ''s, \u2019s, '\u017f", "end.\n\n\n  Next",
    "a  b   c    d", " \n \n", "\r\n\r\n", "x\r\ny", "\u180ex \u180e",
    "a\u2003b\u200bc\u2028d\x85e", "1 12 123 1234 12345 1234567", "3.14159e-10",
    "\u0663\u0664\u0665 \u216b \xb2\xbd", "v1.2.3-rc4", "caf\xe9 cafe\u0301",
    "\ufb01ne \u210c \uff21\uff22", "\uac01 \u1100\u1161\u11a8", "q\u0307\u0323 q\u0323\u0307",
    "\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "e\u0301\u0301\u0301\u0301", "\U00031350\U0002ebf0 \U0001e4d0",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u05e9\u05dc\u05d5\u05dd",
    "\u0ba8\u0ba9\u0bcd\u0bb1\u0bbf", "<|endoftext|>", "<|begin_of_text|>Hi<|eot_id|>",
    "<|begin_of_text", "<|endoftext|><|endoftext|>", "a <mask> b", "a  <mask>", "<mask>.",
    "island islands an island, Island", "[R]   x [R]", "<|im_start|>user\nHi<|im_end|>\n",
    "!!??!!", "{\"a\": [1, 2, {\"b\": null}]}", "https://example.org/a?b=c&d=%20#e",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "=" * 79, " " * 100 + "x", "\n" * 50, "ab" * 100, "\u4e00" * 40,
]


def random_texts(count):
    rng = random.Random(20240501)
    frequent = "eeettaaoin shrdlu ETA  \n\t0123456789.,;:!?'\"-_()"
    odd = ("\u00a0\u3000\u180e\u2003\u0085\u200d\u200b\x0b\x1c\ufeff\u017f\u212a"
           "\u00df\ufb01\u0301\u0323\u00b2\u2167\u4e00\u0130")
    special = ["<|endoftext|>", "<|eot_id|>", "<|im_end|>", "<mask>", "island", "[R]", "'ll", "'S",
               "  "]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 32)):
            kind = rng.random()
            if kind < 0.5:
                text += rng.choice(frequent)
            elif kind < 0.6:
                text += rng.choice(odd)
            elif kind < 0.7:
                text += rng.choice(special)
            else:
                first, last = rng.choice([(0x80, 0x800), (0x800, 0xD800), (0x10000, 0x32400)])
                text += chr(rng.randrange(first, last))
        texts.append(text)
    return texts


def train(tokenizer, special, size):
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TRAINING, trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, ["<|endoftext|>"], 700)
    t.add_tokens([AddedToken("<mask>", lstrip=True, normalized=False),
                  AddedToken("island", single_word=True), AddedToken("[R]", rstrip=True)])
    return t


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = split(LLAMA3)
    train(t, [], 700)
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="$A $B",
                                      special_tokens=[("<|begin_of_text|>", begin)])])
    return t


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = split(QWEN2)
    train(t, [], 700)
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return t


def steps():
    """Returns a tokenizer with most of the steps that the other three do not use."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([
        normalizers.NFKC(), normalizers.Replace("x", "yy"), normalizers.Prepend("_")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"[\r\n]"), "removed"),
        pre_tokenizers.Split("-", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"\w+|\b"), "contiguous", invert=True),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=True)])
    train(t, ["<s>", "</s>"], 400)
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="$A $B", special_tokens=[("<s>", 0), ("</s>", 1)])
    return t


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = TEXTS + random_texts(150)
    for make in (gpt2, llama3, qwen2, steps):
        path = OUT / f"{make.__name__}.json"
        path.write_text(json.dumps(json.loads(make().to_str()), separators=(",", ":")) + "\n")
        t = Tokenizer.from_file(str(path))
        cases = []
        for text in texts:
            ids = t.encode(text).ids
            cases.append({"text": text, "ids": ids,
                          "ids_plain": t.encode(text, add_special_tokens=False).ids,
                          "decoded": t.decode(ids, skip_special_tokens=False),
                          "decoded_plain": t.decode(ids, skip_special_tokens=True)})
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        (OUT / f"{make.__name__}.cases.json").write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
