"""A map as numbers in a file, for other programs: `.npy` as it is, CSV with its tokens. Knows arrays and paths, no capture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


def write_npy(path: Path, numbers: Map) -> None:
    """float32 [rows, columns]. OSError where the disk will not."""
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(numbers, "<f4"), allow_pickle=False)


def write_csv(path: Path, numbers: Map, rows: Sequence[str], columns: Sequence[str]) -> None:
    """A line for each row: its number, its token, its weights to seven digits; above them the tokens of the columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", "token", *columns])
        for place, (token, line) in enumerate(zip(rows, numbers, strict=True)):
            writer.writerow([place, token, *(f"{value:.7g}" for value in line.tolist())])
