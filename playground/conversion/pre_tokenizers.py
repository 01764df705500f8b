"""How a byte-level BPE tokenizer cuts text before it merges: recognised in tokenizer.json by its structure, named as llama.cpp names it.

Never by the model's name: the same family has been cut in several ways. What is not in the table is refused.
"""

from __future__ import annotations

from typing import Any

from ..errors import ModelFileError

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_QWEN35 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SEED = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+"
_CASED_2 = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_SLASHED = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT4O = rf"{_CASED}{_CONTRACTIONS}?|{_CASED_2}{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_SLASHED}"
_TEKKEN = rf"{_CASED}|{_CASED_2}|\p{{N}}|{_SLASHED}"
_DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)

Signature = tuple[str, ...]

_BYTES, _BYTES_GPT2, _DIGITS = "bytes", f"split {_GPT2}", "digits"

TABLE: dict[tuple[Signature, bool], str] = {
    ((_BYTES_GPT2, _BYTES), False): "gpt-2",
    ((_DIGITS, _BYTES_GPT2, _BYTES), False): "smollm",
    ((f"split {_LLAMA3}", _BYTES), True): "llama-bpe",
    ((f"split {_LLAMA3}", _BYTES), False): "smaug-bpe",
    ((f"split {_QWEN2}", _BYTES), False): "qwen2",
    ((f"split {_QWEN35}", _BYTES), False): "qwen35",
    ((f"split {_SEED}", _BYTES), False): "seed-coder",
    ((f"split {_GPT4O}", _BYTES), True): "granite-embed-multi-97m",
    ((f"split {_TEKKEN}", _BYTES), True): "tekken",
    ((r"split \p{N}{1,3}", "split [一-龥\u3040-ゟ゠-ヿ]+", f"split {_DEEPSEEK3}", _BYTES), False): "deepseek-v3",
}
"""(steps, ignore_merges) -> llama.cpp's name. Where a step cuts by GPT-2's pattern inside ByteLevel, that is spelled out as a split.

What llama.cpp calls gpt-4o cuts before every combining mark, which GPT-4o's pattern does not; the name chosen for it does not either.
"""

INEXACT = {
    "granite-embed-multi-97m": "llama.cpp tells capitals from small letters in Latin script only: words of mixed case in others may be cut apart.",
    "tekken": "llama.cpp cuts words before combining marks (in Indic scripts, in decomposed accents); the Hugging Face tokenizer does not.",
}
"""What is known to come out otherwise than with the Hugging Face tokenizer."""


def signature(data: dict[str, Any]) -> Signature:
    """The steps of a pre-tokenizer as the table writes them; a step that it does not know is told as such."""
    pre = data.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", []) if pre.get("type") == "Sequence" else [pre]
    found: list[str] = []
    for step in steps:
        kind = step.get("type")
        if kind == "ByteLevel" and not step.get("add_prefix_space"):
            found += [_BYTES_GPT2, _BYTES] if step.get("use_regex", True) else [_BYTES]
        elif kind == "Digits" and step.get("individual_digits"):
            found.append(_DIGITS)
        elif kind == "Split" and step.get("behavior") in ("Isolated", "isolated") and not step.get("invert"):
            pattern = step.get("pattern") or {}
            found.append(f"split {pattern.get('Regex', pattern.get('String', ''))}")
        elif kind == "Split" and step.get("behavior") in ("Removed", "removed") and step.get("invert"):
            pattern = step.get("pattern") or {}  # keeping what matches is the same where the pattern matches everything
            found.append(f"split {pattern.get('Regex', '')}")
        else:
            found.append(f"{kind or 'none'}{' with a space in front' if step.get('add_prefix_space') else ''}")
    return tuple(found)


def is_byte_level(data: dict[str, Any]) -> bool:
    """Whether a tokenizer.json spells text in bytes at all."""
    return any("ByteLevel" in step or step == _BYTES for step in signature(data))


def recognised(data: dict[str, Any]) -> tuple[str, bool]:
    """llama.cpp's name for the way a tokenizer.json cuts text, and whether that one takes whole words before it merges.

    Raises ModelFileError for one that llama.cpp has not.
    """
    steps, whole_words = signature(data), bool((data.get("model") or {}).get("ignore_merges"))
    for takes in (whole_words, not whole_words):
        if (steps, takes) in TABLE:
            return TABLE[steps, takes], takes
    told = ", ".join(step[:60] for step in steps) or "nothing"
    raise ModelFileError(
        f"The tokenizer cuts text in a way that llama.cpp is not known to have ({told}).",
        "Use the folder with the transformers engine.",
    )
