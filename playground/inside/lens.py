"""The logit lens as its readers have it: what each layer would have said next, at each position of a text.

Row 0 is the state before the first layer, row l that after layer l (counted from 1); the last row is the model's own prediction. Each is the
state put through the model's final norm and its output layer, as if the layers above it did nothing.
Source: nostalgebraist 2020, interpreting GPT: the logit lens. It reads a middle layer in the last layer's language, which early layers of some
models do not speak: what looks like nonsense there need not be.

Written and read as one `.npz` file. Knows no engine.
"""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import DataError, SettingError, StorageError
from playground.inside.layout import Token
from playground.inside.store import STALE_S

_ARRAYS = ("positions", "top_ids", "top_probabilities", "entropy", "rank", "probability")


@dataclass(frozen=True)
class Prediction:
    """What one layer would have said after one token. `rank` (1 for the likeliest) and `probability` are of the token that came next in the text."""

    top: tuple[tuple[int, str, float], ...]
    """token id, text and probability of the likeliest, the likeliest first"""
    entropy: float
    """nats"""
    rank: int
    """0 where the text ends"""
    probability: float
    """NaN where the text ends"""


@dataclass(frozen=True)
class LensReading:
    """[rows, positions, ...] of a text of T tokens read through L layers: rows = L + 1."""

    tokens: tuple[Token, ...]
    positions: NDArray[np.int32]
    """places in the text whose next token is predicted, ascending"""
    top_ids: NDArray[np.int32]
    """[rows, positions, k]"""
    top_probabilities: NDArray[np.float32]
    """[rows, positions, k]"""
    entropy: NDArray[np.float32]
    """nats"""
    rank: NDArray[np.int32]
    """of the token that came next; 1 for the likeliest, 0 where the text ends"""
    probability: NDArray[np.float32]
    """of the token that came next; NaN where the text ends"""
    labels: dict[int, str]
    """texts of all tokens in `top_ids`"""
    gap: float = 0.0
    """largest difference of the last row's logits to the model's own, over the spread of these"""
    model: str = ""

    @property
    def layers(self) -> int:
        return len(self.top_ids) - 1

    def at(self, row: int, position: int) -> Prediction:
        """`position`: a place in the text. SettingError where there is none in the reading."""
        column = int(np.searchsorted(self.positions, position))
        if not 0 <= row <= self.layers or column >= len(self.positions) or self.positions[column] != position:
            raise SettingError(f"There is no reading of layer {row} at token {position}.", "Read all of the text.")
        ids = self.top_ids[row, column].tolist()
        chances = self.top_probabilities[row, column].tolist()
        top = tuple((each, self.labels.get(each, ""), chance) for each, chance in zip(ids, chances, strict=True))
        return Prediction(
            top, float(self.entropy[row, column]), int(self.rank[row, column]), float(self.probability[row, column])
        )

    def settled(self, position: int) -> int:
        """The first row from which on the likeliest token stays what the last row says."""
        column = int(np.searchsorted(self.positions, position))
        same = self.top_ids[:, column, 0] == self.top_ids[-1, column, 0]
        differ = np.flatnonzero(~same)
        return int(differ[-1]) + 1 if len(differ) else 0


class Table:
    """Takes predictions as they are computed, and writes them. Holds the likeliest tokens only: never a row of logits."""

    def __init__(self, rows: int, positions: Sequence[int], top: int) -> None:
        count = len(positions)
        self.positions = np.array(positions, np.int32)
        self.top_ids = np.zeros((rows, count, top), np.int32)
        self.top_probabilities = np.zeros((rows, count, top), np.float32)
        self.entropy = np.zeros((rows, count), np.float32)
        self.rank = np.zeros((rows, count), np.int32)
        self.probability = np.full((rows, count), np.nan, np.float32)

    def save(self, target: Path) -> None:
        """Beside its name, and renamed when whole. StorageError where the disk will not."""
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, **{name: getattr(self, name) for name in _ARRAYS})
            os.replace(part, target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StorageError(
                f"The reading could not be written ({error.strerror or error}).", "Make room on the disk, and try again."
            ) from None


def sweep(folder: Path) -> None:
    """Throws away readings that nobody came for in an hour, as after a worker's death: a younger one may be another program's."""
    for path in folder.glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def read(path: Path, tokens: Sequence[Token], labels: dict[int, str], gap: float = 0.0, model: str = "") -> LensReading:
    """What `Table.save` wrote. DataError where it is not there, or something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found: dict[str, Any] = {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise DataError(f"The reading {path.name} cannot be read.", "Read the text again.") from None
    return LensReading(tuple(tokens), labels=labels, gap=gap, model=model, **found)
