"""A worker that looks words up in a model's token table: its tokenizer and one tensor are read, and the model is not loaded.

A GGUF file's tokenizer is llama.cpp's, opened without weights; a folder's is that of its tokenizer.json, without transformers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from playground.errors import ModelFileError, NotFoundError, SettingError
from playground.inside import embeddings
from playground.models.token_table import TokenTable, open_table
from playground.protocol import Embed, Embedded, EmbeddedPoint, EmbeddedWord, Neighbour, Progress
from playground.workers.base import Link

MOST_WORDS = 64
MOST_NEIGHBOURS = 100
MOST_POINTS = 240
"""neighbours in the picture; each word has as many of them"""


class Words(Protocol):
    """A tokenizer by itself."""

    n_vocab: int

    def tokenize(self, text: str) -> list[int]:
        """Without the marks of a text's beginning and end."""

    def label(self, token: int) -> str: ...


class TokenTables:
    """The role. Keeps the last model's tokenizer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._words: tuple[Path, Words] | None = None

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Embed: self.embed}

    def close(self) -> None:
        self._words = None

    def embed(self, command: Embed) -> None:
        path = Path(command.model).absolute()
        texts = [each for each in dict.fromkeys(command.words) if each.strip()]
        if not texts:
            raise SettingError("There is no word to look up.", "Give at least one.")
        if len(texts) > MOST_WORDS:
            raise SettingError(f"{len(texts)} words are too many for one picture.", f"Take at most {MOST_WORDS}.")
        if not path.exists():
            raise NotFoundError(f"There is no model {path}.", "It may have been moved or deleted; choose it again.")
        table = open_table(path, command.table)
        self._link.send(Progress(command.request, 0.0, "tokens"))
        if self._words is None or self._words[0] != path:
            self._words = None
            self._words = path, (FolderWords(path) if path.is_dir() else GgufWords(path))
        words = self._words[1]
        cut = [_cut(words, each) for each in texts]
        for text, ids in zip(texts, cut, strict=True):
            if not ids or max(ids) >= table.rows:
                raise SettingError(f"The tokenizer of {path.name} makes nothing of '{text}'.", "Leave it out.")
        rows = np.stack([table.take(ids).mean(axis=0) for ids in cut])
        count = max(0, min(command.count, MOST_NEIGHBOURS, table.rows))
        ids, cosines = self._nearest(command.request, table, words, rows, count, cut)
        neighbours = tuple(
            tuple(
                Neighbour(number, words.label(number), float(cosine))
                for number, cosine in zip(line.tolist(), values.tolist(), strict=True)
                if number >= 0
            )
            for line, values in zip(ids, cosines, strict=True)
        )
        points, explained = _points(table, texts, rows, neighbours)
        found = tuple(
            EmbeddedWord(text, tuple(own), tuple(map(words.label, own)), float(np.linalg.norm(row)))
            for text, own, row in zip(texts, cut, rows, strict=True)
        )
        matrix = tuple(map(tuple, embeddings.similarities(rows).tolist()))
        self._link.send(
            Embedded(
                command.request,
                found,
                neighbours,
                matrix,
                points,
                explained,
                table.name,
                table.rows,
                table.width,
                table.kind,
                table.tied,
            )
        )

    def _nearest(
        self, request: int, table: TokenTable, words: Words, rows: Any, count: int, cut: list[list[int]]
    ) -> tuple[Any, Any]:
        known = min(table.rows, words.n_vocab)  # tables are often padded with rows that no token has
        told = 0.0

        def tell(row: int) -> None:
            nonlocal told
            if row / table.rows - told >= 0.02:
                told = row / table.rows
                self._link.send(Progress(request, min(1.0, told), "neighbours"))

        def stop() -> bool:
            return self._link.pending and self._link.cancelled(request)

        blocks = ((start, block[: max(0, known - start)]) for start, block in table.blocks() if start < known)
        # A word of several tokens is none of them, but they are no news.
        return embeddings.nearest(blocks, rows, count, cut, stop, tell)


def _cut(words: Words, text: str) -> list[int]:
    """A word's tokens as it stands, or as within a sentence (a space in front) where these are not more."""
    plain = words.tokenize(text)
    if text[0].isspace():
        return plain
    within = words.tokenize(f" {text}")
    return within if within and len(within) <= len(plain) else plain


def _points(
    table: TokenTable, texts: list[str], rows: Any, neighbours: tuple[tuple[Neighbour, ...], ...]
) -> tuple[tuple[EmbeddedPoint, ...], tuple[float, float]]:
    """Words and their neighbours in the plane; a neighbour of several words is the nearest one's."""
    whose: dict[int, tuple[float, int, str]] = {}
    for place, line in enumerate(neighbours):
        for each in line[: max(1, MOST_POINTS // len(texts))]:
            if each.token_id not in whose or whose[each.token_id][0] < each.similarity:
                whose[each.token_id] = each.similarity, place, each.text
    ids = list(whose)
    every = np.concatenate([rows, table.take(ids)]) if ids else rows
    places, explained = embeddings.projection(every)
    named = [(text, -1, place) for place, text in enumerate(texts)] + [(whose[each][2], each, whose[each][1]) for each in ids]
    points = tuple(
        EmbeddedPoint(text, number, word, float(x), float(y))
        for (text, number, word), (x, y) in zip(named, places, strict=True)
    )
    return points, explained


class FolderWords:
    """The tokenizer of a model folder. ModelFileError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        from playground.workers.folder_tokenizer import open_tokenizer
        from playground.workers.torch_vocabulary import spelling, token_bytes

        self._tokenizer = open_tokenizer(path)
        self._kind = spelling(self._tokenizer.to_str())
        self._bytes = token_bytes
        self._added = {number: each.content for number, each in self._tokenizer.get_added_tokens_decoder().items()}
        self.n_vocab = int(self._tokenizer.get_vocab_size())

    def tokenize(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def label(self, token: int) -> str:
        if token in self._added:
            return str(self._added[token])
        word = self._tokenizer.id_to_token(token)
        return "" if word is None else self._bytes(word, self._kind).decode("utf-8", "replace")


class GgufWords:
    """The tokenizer of a GGUF file. ModelFileError where llama.cpp cannot open it."""

    def __init__(self, path: Path) -> None:
        from playground.workers import llama_lib
        from playground.workers.llama_file import check_model_file
        from playground.workers.llama_lib import C

        check_model_file(path)
        llama_lib.start()
        self._c = C
        params = C.llama_model_default_params()
        params.vocab_only = True
        self._handle = C.llama_model_load_from_file(os.fsencode(path), params)
        if not self._handle:
            raise ModelFileError(f"The tokenizer of {path.name} cannot be read.", "Download the file again.")
        self._vocab = C.llama_model_get_vocab(self._handle)
        self.n_vocab = int(C.llama_vocab_n_tokens(self._vocab))

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._c.llama_model_free(self._handle)

    def tokenize(self, text: str) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        found = (self._c.llama_token * room)()
        count = self._c.llama_tokenize(self._vocab, data, len(data), found, room, False, False)
        return list(found[: max(0, count)])

    def label(self, token: int) -> str:
        for size in (64, 4096):
            buffer = ctypes.create_string_buffer(size)
            count = self._c.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            if count >= 0:
                return buffer.raw[:count].decode("utf-8", "replace")
        return ""


def make(link: Link) -> TokenTables:
    return TokenTables(link)
