"""The text of a quality report as tokens in windows, and the original's logits on it, kept in a folder for the models that follow.

Raw float32, a window after the other: exact, and read back through a memory map. A folder without its description was not finished and
counts for nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from playground.errors import StorageError

DESCRIPTION, LOGITS = "base.json", "base.f32"


@dataclass(frozen=True)
class Text:
    """What is measured on, in the original's tokens."""

    ids: tuple[int, ...]
    """all of the text, with the beginning-of-text token where the model wants one"""
    bos: int | None
    context: int
    count: int
    """windows"""
    n_vocab: int
    original: str
    """its file's name, for sentences"""

    def window(self, number: int) -> list[int]:
        """The tokens of a window, the first of them replaced by the beginning-of-text token where there is one."""
        ids = list(self.ids[number * self.context : (number + 1) * self.context])
        if self.bos is not None:
            ids[0] = self.bos
        return ids

    @property
    def first(self) -> int:
        """The place after which predictions are scored"""
        return self.context // 2

    @property
    def scored(self) -> int:
        """Predictions in a window"""
        return self.context - self.first - 1

    def targets(self, number: int) -> NDArray[np.int64]:
        """The tokens that came where predictions are scored."""
        return np.array(self.window(number)[self.first + 1 :], np.int64)


class Base:
    """The folder. Written once with `begin`, `add` for every part, `end`; read with `text` and `rows`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._text: Text | None = None

    @property
    def whole(self) -> bool:
        return (self._folder / DESCRIPTION).is_file()

    def begin(self, text: Text) -> None:
        self._text = text
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = (self._folder / LOGITS).open("wb")
        except OSError as error:
            raise self._cannot(error) from error

    def add(self, rows: NDArray[np.float32]) -> None:
        assert self._file is not None
        try:
            np.ascontiguousarray(rows, "<f4").tofile(self._file)
        except OSError as error:
            raise self._cannot(error) from error

    def end(self) -> None:
        """StorageError if not everything could be written."""
        assert self._file is not None
        assert self._text is not None
        fresh = self._folder / f"{DESCRIPTION}.new"
        try:
            self._file.close()
            fresh.write_text(json.dumps(asdict(self._text)), "utf-8")
            os.replace(fresh, self._folder / DESCRIPTION)
        except OSError as error:
            raise self._cannot(error) from error

    def text(self) -> Text:
        if self._text is None:
            data = json.loads((self._folder / DESCRIPTION).read_text("utf-8"))
            self._text = Text(**data | {"ids": tuple(data["ids"])})
        return self._text

    def rows(self, number: int) -> NDArray[np.float32]:
        """The original's logits of a window, [predictions, vocabulary]. Only this window is mapped: the rest takes no memory."""
        text = self.text()
        each = text.scored * text.n_vocab * 4
        shape = (text.scored, text.n_vocab)
        return np.memmap(self._folder / LOGITS, "<f4", "r", offset=number * each, shape=shape)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _cannot(self, error: OSError) -> StorageError:
        return StorageError(
            f"The original's numbers could not be written to {self._folder}: {error.strerror or error}.",
            "Make room on the disk, or measure on a shorter text.",
        )
