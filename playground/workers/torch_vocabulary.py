"""A model folder's tokenizer: text to tokens, tokens to bytes, which tokens end a reply.

Bytes, not text: a character may span tokens. Knows no weights.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TorchVocabulary:
    """`sequence.Vocabulary` of a folder. `n_vocab` is the width of the model's logits, which may be more than there are tokens."""

    def __init__(self, path: Path, n_vocab: int, end_tokens: set[int]) -> None:
        """`end_tokens`: those that the model's own settings say. ModelFileError without a tokenizer that can be read."""
        from transformers import AutoTokenizer

        self.n_vocab = n_vocab
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever a damaged tokenizer raises
            said = str(error).strip().partition("\n")[0][:160]
            raise ModelFileError(
                f"The tokenizer of {path.name} cannot be read ({said}).", "Download tokenizer.json of this model again."
            ) from None
        self._special: set[int] = {each for each, token in self._tokenizer.added_tokens_decoder.items() if token.special} | set(
            self._tokenizer.all_special_ids
        )
        self._added = {each: token.content for each, token in self._tokenizer.added_tokens_decoder.items()}
        self._end = end_tokens | ({self._tokenizer.eos_token_id} - {None})
        self._kind = _kind(self._tokenizer)
        self._pieces: dict[int, bytes] = {}
        self._labels: dict[int, str] = {}
        template = self._tokenizer.chat_template
        self.template: str | None = template.get("default") if isinstance(template, dict) else template

    def piece(self, token: int) -> bytes:
        """The bytes of a token in the text; none for control tokens."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = b"" if token in self._special else self._bytes(token)
        return found

    def label(self, token: int) -> str:
        """A token to show: control tokens by name, incomplete characters as a replacement mark."""
        found = self._labels.get(token)
        if found is None:
            found = self._labels[token] = self._bytes(token).decode("utf-8", "replace")
        return found

    def is_end(self, token: int) -> bool:
        return token in self._end

    def is_special(self, token: int) -> bool:
        return token in self._special

    def bos(self) -> str:
        return str(self._tokenizer.bos_token or "")

    def eos(self) -> str:
        return str(self._tokenizer.eos_token or "")

    def first_token(self) -> int:
        """What a prompt of no tokens is replaced with: a model must be asked something."""
        tokenizer = self._tokenizer
        known = (tokenizer.bos_token_id, tokenizer.eos_token_id, *sorted(self._end), 0)
        return next(int(each) for each in known if each is not None)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special ones recognised. A beginning-of-text token comes first where the model wants one and has none."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        bare = self._ids(text, False)
        bos = self.bos()
        if bos and text.startswith(bos):
            return bare
        ids = self._ids(text, True)
        ends = ids[-1:] != bare[-1:] and len(ids) > len(bare) and ids[-1] in self._end
        return ids[:-1] if ends else ids  # some append the end of the text, behind which nothing would be said

    def _ids(self, text: str, add_special: bool) -> list[int]:
        return [int(each) for each in self._tokenizer(text, add_special_tokens=add_special)["input_ids"]]

    def _bytes(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].encode("utf-8", "replace")
        word = self._tokenizer.convert_ids_to_tokens(token) if token < len(self._tokenizer) else None
        if word is None:  # logits are often padded to a round number
            return b""
        return token_bytes(word, self._kind)


def token_bytes(word: str, kind: str) -> bytes:
    """The bytes that a vocabulary's entry stands for. `kind`: `bytes` (byte-level), `metaspace` (SentencePiece), `words` (WordPiece)."""
    if kind == "bytes":
        table = _byte_of_character()
        if all(each in table for each in word):
            return bytes(table[each] for each in word)
        return word.encode("utf-8", "replace")
    if kind == "words":
        return (word[2:] if word.startswith("##") else f" {word}").encode("utf-8", "replace")
    if match := _BYTE.fullmatch(word):
        return bytes([int(match[1], 16)])
    return word.replace("\u2581", " ").encode("utf-8", "replace")


def _kind(tokenizer: Any) -> str:
    """How the vocabulary spells bytes, by what its decoder undoes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return "metaspace"
    return spelling(backend.to_str())


def spelling(tokenizer_json: str) -> str:
    """How a vocabulary spells bytes, as `token_bytes` wants it: by what its decoder undoes."""
    data = json.loads(tokenizer_json)
    decoders = [data.get("decoder") or {}, data.get("pre_tokenizer") or {}]
    kinds = {
        part.get("type") for each in decoders for part in (each, *each.get("decoders", ()), *each.get("pretokenizers", ()))
    }
    if "ByteLevel" in kinds:
        return "bytes"
    return "words" if "WordPiece" in kinds else "metaspace"


@cache
def _byte_of_character() -> dict[str, int]:
    """Byte-level vocabularies spell each byte as a printable character: itself where it is one, else from 256 on in order.

    Source: GPT-2 (Radford et al. 2019), as in `openai/gpt-2`, encoder.py.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [each for each in range(256) if each not in printable]
    return {chr(each): each for each in printable} | {chr(256 + place): each for place, each in enumerate(others)}
