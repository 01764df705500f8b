"""What a face sees of training: a plan before the start, a run and how far it is, what happens in it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.history.runs import RunRow
from playground.memory.training_fit import TrainingFit
from playground.training.runs import Progress
from playground.training.settings import TrainSettings


@dataclass(frozen=True)
class DataRef:
    """A dataset as training needs it: its file of rows (`training.rows`), its name, its SHA-256, where it came from."""

    path: str
    name: str
    sha256: str = ""
    source: str = ""


@dataclass(frozen=True)
class TrainPlan:
    """What a run would be: settings with reasons, what they take, and what the data comes to. Lengths in tokens, rows uncut."""

    model_path: str
    model_name: str
    data: DataRef
    settings: TrainSettings
    reasons: dict[str, str]
    """why, by the setting's name; none for what was wished for"""
    fit: TrainingFit
    rows: int
    lengths: tuple[int, ...]
    learned: tuple[int, ...]
    """tokens of each row that carry loss"""
    skipped: tuple[tuple[int, str], ...]
    """(number, why) of rows that nothing can be learned from"""
    steps: int
    cut: int
    """rows that are longer than a sequence"""
    wishes: Mapping[str, Any] = field(default_factory=dict)
    encode: Mapping[str, Any] = field(default_factory=dict)
    each: int = 1
    """of so many rows one was measured: `lengths` and `learned` are of those, what is told of all rows is about"""

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of all rows, and how many of them carry loss."""
        return sum(self.lengths) * self.each, sum(self.learned) * self.each

    def to_dict(self) -> dict[str, Any]:
        from playground.params import to_dict

        return {
            "model": self.model_name,
            "data": self.data.name,
            "settings": to_dict(self.settings),
            "reasons": dict(self.reasons),
            "fit": self.fit.to_dict(),
            "rows": self.rows,
            "tokens": self.tokens[0],
            "learned": self.tokens[1],
            "longest": max(self.lengths, default=0),
            "skipped": len(self.skipped),
            "cut": self.cut,
            "steps": self.steps,
        }


@dataclass(frozen=True)
class RunChanged:
    """A run is new, in another state or further, or is `removed`."""

    run: RunRow
    progress: Progress = Progress()
    removed: bool = False


@dataclass(frozen=True)
class RunNoted:
    """What happened in a run since the last such event, as in its events.jsonl: what curves and samples are drawn from."""

    run_id: str
    events: tuple[dict[str, Any], ...]
