"""Tokenizers of SentencePiece's kinds: BPE with spaces as ▁ and single bytes for what is not in the vocabulary, and unigram.

From tokenizer.json, or from SentencePiece's own tokenizer.model where that is all there is. llama.cpp merges by the score of what comes out,
tokenizer.json by the rank of the pair: the same where every way to a token is among the merges, which is looked up.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelFileError
from . import merges
from .charsmap import white_space
from .hyperparameters import Header
from .merges import Pair
from .vocabulary import Type, Vocabulary

_SPACE = "▁"
_BYTES = [f"<0x{number:02X}>" for number in range(256)]
_ELSEWHERE = "Use the folder with the transformers engine."
_PREFIX_DIFFERS = {
    "first": "The Hugging Face tokenizer puts a space before a text that has none, and nowhere else; llama.cpp also before one that has, "
    "and after every special token: there it has one space more.",
    "unless there": "The Hugging Face tokenizer puts a space before a text, and after special tokens, where there is none yet; llama.cpp "
    "always: what begins with a space has one more there.",
}
_TIES = "Where two ways to cut are equally likely, as in a row of equal marks, llama.cpp may take the other one than the Hugging Face tokenizer."
_MERGES_DIFFER = "The tokenizer's merges are fewer than its tokens allow, and llama.cpp goes by tokens here: rare words may be cut otherwise."


def from_bpe(header: Header, data: dict[str, Any], model: dict[str, Any]) -> Vocabulary:
    """BPE with byte fallback (Llama 2, Mistral, Gemma). Raises ModelFileError for anything else."""
    vocab = model["vocab"]
    if not model.get("byte_fallback") or any(token not in vocab for token in _BYTES):
        raise ModelFileError("The tokenizer has no single bytes to fall back on, which llama.cpp needs.", _ELSEWHERE)
    prefix, splits = _spaces(data)
    if splits and any(_SPACE in token[1:] for token in vocab):
        raise ModelFileError(
            "The tokenizer has words with spaces in them that it never makes, but llama.cpp would.", _ELSEWHERE
        )
    pairs = merges.pairs(model)
    scores = _scores(pairs)
    vocabulary = Vocabulary.of(vocab, data.get("added_tokens") or [])
    for token in _BYTES:
        vocabulary.types[vocab[token]] = int(Type.BYTE)
    unknown = model.get("unk_token")
    if unknown in vocab:
        vocabulary.types[vocab[unknown]] = int(Type.UNKNOWN)
    closed = scores is not None and _is_closed(vocab, pairs)
    if not closed and not prefix and not any("\n" in token and token.strip("\n") for token in vocab):
        return _as_merges(header, vocabulary, pairs)
    if not closed:
        header.notes.append(_MERGES_DIFFER)
        scores = scores or _first_scores(pairs)
    assert scores is not None
    vocabulary.scores = {number: scores.get(text, -1e6) for text, number in vocab.items()}
    if prefix in _PREFIX_DIFFERS:
        header.notes.append(_PREFIX_DIFFERS[prefix])
    header.writer.add_tokenizer_model("llama")
    header.writer.add_tokenizer_pre("default")
    header.writer.add_add_space_prefix(bool(prefix))
    return vocabulary


def _as_merges(header: Header, vocabulary: Vocabulary, pairs: list[Pair]) -> Vocabulary:
    """The one way of llama.cpp's to merge by pairs on text that is not spelled in bytes; it knows no space in front."""
    header.writer.add_tokenizer_model("gpt2")
    header.writer.add_tokenizer_pre("sarvam-moe")
    header.writer.add_token_merges(merges.spelled(pairs))
    header.writer.add_add_space_prefix(False)
    return vocabulary


def _spaces(data: dict[str, Any]) -> tuple[str, bool]:
    """Where a space is put in front (`each` part between special tokens, each `unless there` is one, the `first` so, or nowhere), and
    whether words are cut apart at spaces.

    Raises ModelFileError for steps that are not SentencePiece's.
    """
    prefix, replaced, splits = "", False, False
    for step in [*_steps(data.get("normalizer"), "normalizers"), *_steps(data.get("pre_tokenizer"), "pretokenizers")]:
        kind, pattern = step.get("type"), step.get("pattern") or {}
        if kind == "Prepend" and step.get("prepend") == _SPACE:
            prefix = "each"
        elif kind == "Replace" and pattern.get("String") == " " and step.get("content") == _SPACE:
            replaced = True
        elif kind == "Split" and pattern.get("String") == " " and replaced:
            pass  # no space is left to cut at
        elif kind == "Metaspace" and step.get("replacement") == _SPACE:
            scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space") else "never")
            prefix = {"always": "unless there", "first": "first", "never": prefix}.get(scheme, prefix)
            replaced, splits = True, bool(step.get("split", True))
        else:
            raise ModelFileError(f"The tokenizer changes text in a way that llama.cpp has not ({str(kind)[:40]}).", _ELSEWHERE)
    if not replaced:
        raise ModelFileError(
            "The tokenizer keeps spaces as they are, which llama.cpp does not with this kind of tokenizer.", _ELSEWHERE
        )
    return prefix, splits


def _steps(part: Any, inner: str) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    steps = part.get(inner, []) if part.get("type") == "Sequence" else [part]
    return [step for step in steps if isinstance(step, dict)]


def _first_scores(pairs: list[Pair]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for left, right in pairs:
        scores.setdefault(left + right, -float(len(scores)))
    return scores


def _scores(pairs: list[Pair]) -> dict[str, float] | None:
    """A score for what each merge gives, falling in their order; None where the merges to one token do not follow one another."""
    scores: dict[str, float] = {}
    last = ""
    for left, right in pairs:
        token = left + right
        if token != last:
            if token in scores:
                return None
            scores[token] = -float(len(scores))
            last = token
    return scores


def _is_closed(vocab: dict[str, int], pairs: list[Pair]) -> bool:
    """Whether every pair of tokens that makes a token is among the merges."""
    given = [left in vocab and right in vocab for left, right in dict.fromkeys(pairs)].count(True)
    possible = 0  # ways to a token, of which those among the merges are some, or all
    for token in dict.fromkeys([left + right for left, right in pairs]):
        for cut in range(1, len(token)):
            if token[cut:] in vocab and token[:cut] in vocab:
                possible += 1
    return possible == given


def from_unigram(header: Header, data: dict[str, Any], model: dict[str, Any]) -> Vocabulary:
    """Unigram (T5's kind): the likeliest way to cut. Raises ModelFileError."""
    if model.get("byte_fallback"):
        raise ModelFileError(
            "The tokenizer falls back on single bytes, which llama.cpp's unigram tokenizer does not.", _ELSEWHERE
        )
    prefix, merges_spaces, charsmap = "", False, b""
    for step in [*_steps(data.get("normalizer"), "normalizers"), *_steps(data.get("pre_tokenizer"), "pretokenizers")]:
        kind, pattern = step.get("type"), step.get("pattern") or {}
        if kind == "Precompiled":
            charsmap = base64.b64decode(step.get("precompiled_charsmap") or "")
        elif kind == "WhitespaceSplit":
            merges_spaces = True
        elif kind == "Metaspace" and step.get("replacement") == _SPACE:
            scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
            prefix = "" if scheme == "never" else "each"
            if scheme == "first":
                header.notes.append(_PREFIX_DIFFERS["first"])
        elif kind == "Replace" and pattern.get("Regex") == " {2,}" and step.get("content") in (" ", _SPACE):
            pass  # said by WhitespaceSplit again
        else:
            raise ModelFileError(f"The tokenizer changes text in a way that llama.cpp has not ({str(kind)[:40]}).", _ELSEWHERE)
    if not prefix or not merges_spaces:
        raise ModelFileError(
            "The tokenizer keeps several spaces apart, which llama.cpp's unigram tokenizer does not.", _ELSEWHERE
        )
    header.notes.append(_TIES)
    charsmap = charsmap or white_space()  # without one, line breaks would be characters of their own
    try:
        pieces = [(str(text), float(score)) for text, score in model["vocab"]]
    except (TypeError, ValueError):
        raise ModelFileError("tokenizer.json is damaged: its vocabulary makes no sense.", "Download the model again.") from None
    scores = {number: score for number, (_, score) in enumerate(pieces)}
    vocabulary = Vocabulary.of(
        {text: number for number, (text, _) in enumerate(pieces)}, data.get("added_tokens") or [], scores
    )
    unknown = model.get("unk_id")
    if isinstance(unknown, int) and unknown in vocabulary.types:
        vocabulary.types[unknown] = int(Type.UNKNOWN)
        header.writer.add_unk_token_id(unknown)
    _write_unigram(header, True, True, charsmap)
    return vocabulary


def _write_unigram(header: Header, prefix: bool, merges_spaces: bool, charsmap: bytes) -> None:
    header.writer.add_tokenizer_model("t5")
    header.writer.add_tokenizer_pre("default")
    header.writer.add_add_space_prefix(prefix)
    header.writer.add_remove_extra_whitespaces(merges_spaces)
    if charsmap:
        header.writer.add_precompiled_charsmap(charsmap)


# -- SentencePiece's own file: protocol buffers, of which a few fields are wanted


def from_model_file(header: Header, folder: Path, settings: dict[str, Any]) -> Vocabulary:
    """tokenizer.model, with the added tokens of tokenizer_config.json. Raises ModelFileError.

    Fields by number: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
    """
    try:
        fields = list(_fields((folder / "tokenizer.model").read_bytes()))
        pieces = [_piece(value) for number, value in fields if number == 1 and isinstance(value, bytes)]
        trainer = dict(_fields(next((value for number, value in fields if number == 2 and isinstance(value, bytes)), b"")))
        normalizer = dict(_fields(next((value for number, value in fields if number == 3 and isinstance(value, bytes)), b"")))
    except OSError as error:
        raise ModelFileError(f"tokenizer.model cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    except (ValueError, IndexError, struct.error):
        raise ModelFileError("tokenizer.model is damaged.", "Download the model again.") from None
    if not pieces:
        raise ModelFileError("tokenizer.model is damaged: it has no tokens.", "Download the model again.")
    added = [
        {"id": int(number), **token}
        for number, token in (settings.get("added_tokens_decoder") or {}).items()
        if str(number).isdecimal() and isinstance(token, dict)
    ]
    vocabulary = Vocabulary.of({}, [])
    vocabulary.scores = {}
    for number, (text, score, kind) in enumerate(pieces):
        vocabulary.texts[number], vocabulary.types[number], vocabulary.scores[number] = text, kind, score
    for token in added:
        if isinstance(token.get("content"), str):
            vocabulary.texts[token["id"]] = token["content"]
            if vocabulary.types.get(token["id"]) not in (int(Type.UNKNOWN), int(Type.BYTE)):
                vocabulary.types[token["id"]] = int(Type.CONTROL if token.get("special") else Type.USER_DEFINED)
            vocabulary.added.append(token)
    prefix, merges_spaces = bool(normalizer.get(3, 1)), bool(normalizer.get(4, 1))
    if trainer.get(3, 1) == 2:
        if any(token not in vocabulary.texts.values() for token in _BYTES):
            raise ModelFileError("The tokenizer has no single bytes to fall back on, which llama.cpp needs.", _ELSEWHERE)
        if normalizer.get(2):
            raise ModelFileError("The tokenizer rewrites characters before it cuts, which llama.cpp does not.", _ELSEWHERE)
        header.writer.add_tokenizer_model("llama")
        header.writer.add_tokenizer_pre("default")
        header.writer.add_add_space_prefix(prefix)
    else:
        charsmap = normalizer.get(2, b"")
        _write_unigram(header, prefix, merges_spaces, charsmap if isinstance(charsmap, bytes) else b"")
    return vocabulary


def _piece(data: bytes) -> tuple[str, float, int]:
    """Text, score and type; SentencePiece numbers the types as GGUF does."""
    fields = dict(_fields(data))
    text, score, kind = fields.get(1, b""), fields.get(2, 0.0), fields.get(3, 1)
    if not isinstance(text, bytes) or not isinstance(kind, int) or not 1 <= kind <= 6:
        raise ValueError
    return text.decode("utf-8"), float(np.float32(score)) if isinstance(score, float) else 0.0, kind


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of each field of a message. ValueError or IndexError for bytes that are none."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif wire == 1:
            yield key >> 3, struct.unpack_from("<d", data, place)[0]
            place += 8
        elif wire == 2:
            length, place = _varint(data, place)
            if place + length > len(data):
                raise ValueError
            yield key >> 3, data[place : place + length]
            place += length
        elif wire == 5:
            yield key >> 3, struct.unpack_from("<f", data, place)[0]
            place += 4
        else:
            raise ValueError


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError
