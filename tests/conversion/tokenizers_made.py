"""Tokenizers in the structure of real families, trained on the spot, and strings that are hard to cut."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

Split = pre_tokenizers.Split
Sequence = pre_tokenizers.Sequence

_C = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = _C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _END
QWEN2 = _C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _END
QWEN35 = _C + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + _END
SEED = _C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + _END
_U, _L = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORD, _WORD2 = r"[^\r\n\p{L}\p{N}]?" + _U + "*" + _L + "+", r"[^\r\n\p{L}\p{N}]?" + _U + "+" + _L + "*"
_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|" + _END
GPT4O = _WORD + _C + "?|" + _WORD2 + _C + r"?|\p{N}{1,3}|" + _SLASH
TEKKEN = _WORD + "|" + _WORD2 + r"|\p{N}|" + _SLASH
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|""" + _END
)

SPECIAL = ["<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>"]


def _cut(*patterns: str) -> Any:
    splits = [Split(Regex(pattern), "isolated", invert=False) for pattern in patterns]
    return Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _bytes() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _digits() -> Any:
    return Sequence([pre_tokenizers.Digits(individual_digits=True), _bytes()])


BYTE_LEVEL: dict[str, tuple[Callable[[], Any], str, bool]] = {
    # family: (pre-tokenizer, llama.cpp's name for it, ignore_merges)
    "gpt2": (_bytes, "gpt-2", False),
    "smollm": (_digits, "smollm", False),
    "llama3": (lambda: _cut(LLAMA3), "llama-bpe", True),
    "olmo2": (lambda: _cut(LLAMA3), "smaug-bpe", False),
    "qwen2": (lambda: _cut(QWEN2), "qwen2", False),
    "qwen35": (lambda: _cut(QWEN35), "qwen35", False),
    "seed-coder": (lambda: _cut(SEED), "seed-coder", False),
    "gpt-4o": (lambda: _cut(GPT4O), "gpt-4o", False),
    "tekken": (lambda: _cut(TEKKEN), "tekken", True),
    "deepseek-v3": (lambda: _cut(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3), "deepseek-v3", False),
}


def plain_bytes(folder: Path) -> None:
    """A tokenizer of single bytes and four special tokens."""
    letters = {letter: place + 3 for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "<s>": 1, "</s>": 2, **letters}, []))
    tokenizer.pre_tokenizer = _bytes()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<|im_end|>"])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def byte_level(folder: Path, family: str, size: int = 1200) -> Tokenizer:
    """A byte-level BPE tokenizer of a family, with a text's beginning put in front as Llama 3 does."""
    pre, _, whole = BYTE_LEVEL[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    _finish(folder, tokenizer)
    if whole:
        _edit(folder, lambda data: data["model"].update(ignore_merges=True))
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def sentencepiece_bpe(folder: Path, layout: str, closed: bool = True, size: int = 900) -> Tokenizer:
    """BPE with byte fallback in the layout of `llama2`, `mistral` (Metaspace at the start) or `gemma` (no space in front).

    `closed`: with every way to each token among the merges, as files converted from SentencePiece have it.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    _space(tokenizer, layout)
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    _space(trained, layout)
    if layout != "mistral":
        trained.pre_tokenizer = Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[], show_progress=False, limit_alphabet=120)
    trained.train_from_iterator(corpus(), trainer)
    model = json.loads(trained.to_str())["model"]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *model["vocab"]]))}
    pairs = [tuple(pair) for pair in model["merges"]]
    if layout == "gemma":  # runs of spaces and of newlines are tokens there
        for letter in ("▁", "\n"):
            vocab.setdefault(letter, len(vocab))
            for length in (2, 3, 4, 8):
                vocab.setdefault(letter * length, len(vocab))
            pairs += [(letter, letter), (letter, letter * 2), (letter * 2, letter * 2), (letter * 4, letter * 4)]
    if closed:
        order = {token: place for place, token in reversed(list(enumerate(left + right for left, right in pairs)))}
        pairs = [
            (token[:cut], token[cut:])
            for token in sorted(order, key=lambda each: order[each])
            for cut in range(1, len(token))
            if token[:cut] in vocab and token[cut:] in vocab
        ]
    tokenizer.model = models.BPE(vocab, pairs, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    _finish(folder, tokenizer, "<s>", "</s>")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _space(tokenizer: Tokenizer, layout: str) -> None:
    if layout == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    elif layout == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def unigram(folder: Path, size: int = 3000) -> Tokenizer:
    """The likeliest way to cut, as T5 does it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    _finish(folder, tokenizer, "", "</s>")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _finish(folder: Path, tokenizer: Tokenizer, begin: str = "<|begin|>", end: str = "<|end|>") -> None:
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": begin or None, "eos_token": end, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data))


_TEXT = (
    "the and was with house river ANSWER iPhone naïve Ünïcödé don't I'LL we've they'Re 'tis it's résumé Москва привет Ελλάδα "
    "שלום مرحبا 東京 こんにちは カタカナ 你好世界 한국어 हिन्दी ไทย naïve def return self.value() x_1 snake_case camelCase "
    "https://example.org/a?b=c&d=1 3.14159 1,000,000 2026-11-21 0xFF 12345678 ½ Ⅷ ² ٣٤ e=mc² <div> </p> {json: true} \\n $x$ "
    "😀 👩‍👩‍👧 🏳️‍🌈 e\u0301 ﬁ ß İ ŉ … — “quoted” ‘s ’s"
)
_WORDS = _TEXT.split(" ")
_GLUE = [
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "\t",
    "\r\n",
    "",
    "",
    ", ",
    ". ",
    "!?",
    "'",
    "-",
    "\u00a0",
    "\u3000",
    "/",
    "    ",
]


def corpus() -> list[str]:
    return strings(400, seed=7)


def strings(count: int, seed: int = 0, special: tuple[str, ...] = ()) -> list[str]:
    """So many strings of words, numbers, spaces and signs, the same for a seed; with the special tokens now and then."""
    source = random.Random(seed)
    found = list(_BY_HAND)
    while len(found) < count:
        parts = []
        for _ in range(source.randint(1, 7)):
            kind = source.random()
            if kind < 0.55:
                parts.append(source.choice(_WORDS))
            elif kind < 0.7:
                parts.append(str(source.randint(0, 10 ** source.randint(1, 9))))
            elif kind < 0.8:
                parts.append("".join(chr(_code(source)) for _ in range(source.randint(1, 5))))
            elif kind < 0.86 and special:
                parts.append(source.choice(special))
            else:
                parts.append(source.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") * source.randint(1, 4))
            parts.append(source.choice(_GLUE))
        found.append("".join(parts))
    return found[:count]


def _code(source: random.Random) -> int:
    return source.choice(
        [
            source.randint(0x20, 0x7E), source.randint(0xA1, 0x17F), source.randint(0x400, 0x45F), source.randint(0x4E00, 0x9FA5),
            source.randint(0x3041, 0x30FE), source.randint(0x1F300, 0x1F64F), source.randint(0x900, 0x970), source.randint(0x300, 0x36F),
        ]
    )  # fmt: skip


_BY_HAND = [
    " ", "  ", "\n", "\n\n\n", " \n \n", "\t\t", "a", " a", "a ", " a ", "a  b", "a\nb", "a \n b", "1", "12", "123", "1234", "1234567", " 1 2 3",
    "x1y22z333", "don't", "DON'T", "I'm I'M i'Ll", "''''", "'s", "''s", " 's", "...", "....\n\n", "! \n", "a.b.c", "foo(bar)[0]{1}", "a//b\\c",
    "\r\n", "\r", "tab\tend", "é", "e\u0301", "ﬃ", "𝒜𝓑", "😀😀", "👩‍👩‍👧‍👦", "🇩🇪", "中文字符", "日本語テキスト", "한글", "العربية", "עברית", "नमस्ते",
    "def f(x):\n    return x  # comment\n", "if a:\n\tb()\n\n\n    c()", '{"a": [1, 2.5e-3, null]}', "<html><body class='x'>", "https://a.b/c?d=e#f",
    "CamelCaseWordsHTTPServer", "snake_case_words", "UPPER lower MiXeD", "naïve café", "a\u00a0b", "a\u3000b", "\u200bzero", "½²Ⅷ", "١٢٣",
]  # fmt: skip
