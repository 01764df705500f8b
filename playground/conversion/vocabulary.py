"""A tokenizer's tokens: text, number, type, and where it has them, scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gguf

from ..errors import ModelFileError

Type = gguf.TokenType


@dataclass
class Vocabulary:
    """Texts and types by number. Texts are spelled as the tokenizer's own file spells them."""

    texts: dict[int, str]
    types: dict[int, int]
    scores: dict[int, float] | None
    added: list[dict[str, Any]]

    @classmethod
    def of(cls, vocab: dict[str, int], added: Iterable[dict[str, Any]], scores: dict[int, float] | None = None) -> Vocabulary:
        """From a BPE's table and the added tokens of tokenizer.json. Raises ModelFileError."""
        texts: dict[int, str] = {}
        for text, number in vocab.items():
            if not isinstance(number, int) or not 0 <= number < 1 << 24 or number in texts:
                raise ModelFileError("tokenizer.json is damaged: its token numbers make no sense.", "Download the model again.")
            texts[number] = text
        types = dict.fromkeys(texts, int(Type.NORMAL))
        kept = []
        for token in added:
            number, text = token.get("id", -1), token.get("content", 0)
            if not isinstance(number, int) or not 0 <= number < 1 << 24 or not isinstance(text, str):
                raise ModelFileError("tokenizer.json is damaged: an added token makes no sense.", "Download the model again.")
            texts[number] = text
            types[number] = int(Type.CONTROL if token.get("special") else Type.USER_DEFINED)
            kept.append(token)
        return cls(texts, types, scores, kept)

    def __len__(self) -> int:
        return max(self.texts, default=-1) + 1

    def id_of(self, text: str) -> int | None:
        """The number of a token by its text."""
        if not hasattr(self, "_ids"):
            self._ids = {text: number for number, text in self.texts.items()}
        return self._ids.get(text)

    def padded(self, rows: int) -> tuple[list[str], list[int]]:
        """Texts and types for a token table of so many rows; rows without a token get a name of their own. Raises ModelFileError."""
        if len(self) > rows:
            raise ModelFileError(
                f"The tokenizer has {len(self)} tokens, but the model's token table has {rows} rows.",
                "Check that the tokenizer belongs to this model.",
            )
        taken = set(self.texts.values())
        if len(taken) != len(self.texts):
            raise ModelFileError(
                "The tokenizer has a token twice, which llama.cpp does not take.",
                "Use the folder with the transformers engine.",
            )
        texts, types = [], []
        unused = int(Type.UNUSED)
        for number, known in enumerate(map(self.texts.get, range(rows))):
            text = known if known is not None else f"[PAD{number}]"
            while known is None and text in taken:
                text = f"[{text}]"
            texts.append(text)
            types.append(self.types.get(number, unused))
        return texts, types

    def note_flags(self, notes: list[str], strips: bool) -> None:
        """Says what added tokens ask for that llama.cpp does not do; `strips`: their flags about spaces are among it."""
        if strips and any(token.get("lstrip") or token.get("rstrip") for token in self.added):
            notes.append(
                "Some special tokens swallow the spaces beside them in the Hugging Face tokenizer; llama.cpp leaves the spaces."
            )
        if any(token.get("single_word") for token in self.added):
            notes.append(
                "Some added tokens are found as whole words only in the Hugging Face tokenizer; llama.cpp finds them anywhere."
            )
