"""Training: rows are measured and made into tokens, a run folder is trained and steered, and what happens in it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class MeasureRows:
    """How long a dataset's rows are as tokens of a model; answered by `RowsMeasured` and `Finished`.

    `data` is a dataset's file of rows, `encode` the fields of `EncodeSettings`; at most `limit` rows are looked at, spread evenly (0: all).
    """

    request: int
    model: str
    data: str
    encode: dict[str, Any] = field(default_factory=dict)
    limit: int = 0


@dataclass(frozen=True)
class RowsMeasured:
    """Answer to `MeasureRows`: tokens of each row, uncut, and how many of them carry loss. `rows`: how many there are in all.

    `skipped`: (number, why) of rows that nothing can be learned from.
    """

    request: int
    rows: int
    lengths: tuple[int, ...]
    learned: tuple[int, ...]
    skipped: tuple[tuple[int, str], ...] = ()
    starts: tuple[int, ...] = ()
    """of each row the place of the first token that carries loss"""


@dataclass(frozen=True)
class PrepareRun:
    """Write the tokens of a dataset, split and packed, and the probe prompts into a run folder; answered by `RunPrepared` and `Finished`.

    `probes` are questions; none takes the first of the rows that are held out.
    """

    request: int
    folder: str
    model: str
    data: str
    encode: dict[str, Any] = field(default_factory=dict)
    validation_share: float = 0.1
    seed: int = 42
    packing: bool = False
    probes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunPrepared:
    """Answer to `PrepareRun`. Rows are sequences as trained (packed ones count once); `stop` are the token ids that end a reply."""

    request: int
    rows: int
    validation_rows: int
    tokens: int
    learned: int
    longest: int
    cut: int
    """rows that were too long"""
    probes: tuple[str, ...]
    stop: tuple[int, ...]
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Train:
    """Train a run folder, from its last checkpoint if it has one; answered by `RunEvent` for all that happens, then `Finished` or `Failed`."""

    request: int
    folder: str
    model: str = ""
    """its folder, where that is not the one that the run folder names"""


@dataclass(frozen=True)
class SteerRun:
    """What a training run should do: `run`, `pause`, `stop` (and keep a result), `end` (with a checkpoint only)."""

    request: int
    want: str


@dataclass(frozen=True)
class RunEvent:
    """Something that happened in a run, as its events.jsonl has it: `event`, `time`, and what belongs to that kind."""

    request: int
    event: dict[str, Any]
