"""Training data: a file is looked at, imported, and shown as the tokens that a model would be trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LookAtData:
    """Go through a file or folder of examples; answered by `DataLooked` and `Finished`.

    `guess`: fields of `training.scan.Guess`, as somebody corrected it; none for our own. One without schema and columns is recognised
    anew under its reading. `fixes`: by kind of problem. `edits`: rows, as
    `rows.to_json` writes them, by the number of the row they replace. `sample`: how many rows come with the answer.
    """

    request: int
    path: str
    guess: dict[str, Any] = field(default_factory=dict)
    fixes: dict[str, str] = field(default_factory=dict)
    edits: dict[str, Any] = field(default_factory=dict)
    sample: int = 50


@dataclass(frozen=True)
class DataLooked:
    """Answer to `LookAtData`. `problems` are the first of them (`Problem.to_dict`), `counts` is of all; `rows` as `rows.to_json` writes them.

    `read`: rows of the file, `kept`: those to learn from, `mixed`: those of other columns than most. `lengths`: characters of the rows, by
    powers of two: `lengths[n]` is how many have fewer than 2**n, and not fewer than half of that.
    """

    request: int
    guess: dict[str, Any]
    read: int
    kept: int
    mixed: int
    characters: int
    counts: dict[str, int]
    problems: tuple[dict[str, Any], ...]
    rows: tuple[dict[str, Any], ...]
    lengths: tuple[int, ...]
    summary: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportData:
    """Write the rows of a file or folder as a version of a dataset under the folder `root`; answered by `DataImported` and `Finished`."""

    request: int
    path: str
    root: str
    name: str
    guess: dict[str, Any] = field(default_factory=dict)
    fixes: dict[str, str] = field(default_factory=dict)
    edits: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    """what is noted down as its origin; empty for the path"""


@dataclass(frozen=True)
class DataImported:
    """Answer to `ImportData`: the folder of the version. `problems` are the first of them, as sentences."""

    request: int
    folder: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreviewData:
    """Rows as a model's tokens; answered by `DataPreviewed` and `Finished`.

    `path` is a dataset's `data.jsonl`, or with a `guess` the file or folder that it is of. The rows from `start` on come with their tokens,
    `count` of them; lengths and problems are those of the first `limit`.
    """

    request: int
    model: str
    path: str
    guess: dict[str, Any] = field(default_factory=dict)
    fixes: dict[str, str] = field(default_factory=dict)
    edits: dict[str, Any] = field(default_factory=dict)
    encode: dict[str, Any] = field(default_factory=dict)
    start: int = 0
    count: int = 20
    limit: int = 2000
    share: float = 0.0
    seed: int = 0
    """which of the rows a run with these settings holds out is told too, where there are no more than `limit` of them"""


@dataclass(frozen=True)
class RowTokens:
    """A row exactly as it is trained: ids, labels (-100: no loss) and what becomes readable with each token. `cut`: tokens that were cut off.

    `row` is its number in the file. A row that nothing can be learned from has no ids and says why in `problem`.
    """

    row: int
    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pieces: tuple[str, ...]
    cut: int = 0
    problem: str = ""


@dataclass(frozen=True)
class DataPreviewed:
    """Answer to `PreviewData`. `lengths` and `learned`: tokens of each sequence as trained, and how many carry loss; `cut`: rows too long.

    `packed`: how many sequences packing would make of them. `template`: where the rows' form comes from, in words.
    """

    request: int
    rows: tuple[RowTokens, ...]
    lengths: tuple[int, ...]
    learned: tuple[int, ...]
    cut: int
    packed: int
    problems: tuple[dict[str, Any], ...]
    template: str = ""
    whole: tuple[int, ...] = ()
    """`lengths` before anything was cut"""
    held_out: tuple[int, ...] = ()
    """numbers of the rows shown that are held out for validation"""
    held: int = -1
    """how many are held out in all; -1 where that was not asked, or there are too many rows to tell"""


@dataclass(frozen=True)
class ReadRow:
    """One row as its file has it; answered by `RowRead` and `Finished`. `file`: its file's name where the data is a folder."""

    request: int
    path: str
    number: int
    guess: dict[str, Any] = field(default_factory=dict)
    file: str = ""


@dataclass(frozen=True)
class RowRead:
    """Answer to `ReadRow`: the record as JSON, cut at some length, and the row (`rows.to_json`) where one can be made of it.

    Both are empty where the file has no such record, or one that cannot be read.
    """

    request: int
    raw: str
    row: dict[str, Any] = field(default_factory=dict)
