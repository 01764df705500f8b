"""A run folder seen from outside: what is written before it is trained, and what its events say so far. Trains nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
SETTINGS, EVENTS, CHECKPOINTS = "settings.json", "events.jsonl", "checkpoints"
Event = Mapping[str, Any]

CURVES = ("loss", "validation_loss", "learning_rate", "grad_norm", "tokens_per_s", "memory")
"""names of a run's metrics"""


@dataclass(frozen=True)
class Progress:
    """Where a run is. Losses are means over labelled tokens, in nats; memory in bytes; NaN and -1 where nothing is known yet."""

    step: int = 0
    steps: int = 0
    doing: str = ""
    """what it does before the first step"""
    loss: float = math.nan
    validation_loss: float = math.nan
    first_validation_loss: float = math.nan
    best_loss: float = math.nan
    best_step: int = -1
    learning_rate: float = math.nan
    grad_norm: float = math.nan
    tokens_per_s: float = math.nan
    memory: int = 0
    peak_memory: int = 0
    runtime_memory: int = 0
    """what the libraries take in main memory before a model is loaded"""
    loaded_memory: int = 0
    trained_parameters: int = 0
    parameters: int = 0
    device: str = ""
    base_unchanged: bool | None = None
    seconds_left: float = -1.0
    began: float = 0.0
    """when the present process took its first step, and `first`: which"""
    first: int = 0

    @property
    def fraction(self) -> float:
        """0 to 1, or -1 before the first step."""
        return self.step / self.steps if self.steps else -1.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what is not known is left out."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and not (isinstance(value, float) and math.isnan(value))
        }


def after(progress: Progress, event: Event) -> Progress:
    """Where a run is once this has happened as well."""
    known = {name: event[name] for name in (each.name for each in dataclasses.fields(Progress)) if name in event}
    match event["event"]:
        case "loading":
            return dataclasses.replace(progress, doing=str(event.get("what", "")))
        case "started":
            return dataclasses.replace(progress, **known, doing="", began=event["time"], first=event["step"])
        case "step":
            done = event["step"] - progress.first
            rate = (event["time"] - progress.began) / done if done > 0 else 0.0
            return dataclasses.replace(progress, **known, seconds_left=rate * (progress.steps - event["step"]))
        case "evaluation":
            loss, changes = event["loss"], {"validation_loss": event["loss"]}
            if event["step"] == 0:
                changes["first_validation_loss"] = loss
            elif not progress.best_loss <= loss:
                changes |= {"best_loss": loss, "best_step": event["step"]}
            return dataclasses.replace(progress, **changes)
        case "finished" | "stopped" | "ended":
            known.pop("best_step", None)
            return dataclasses.replace(progress, **known, seconds_left=0.0)
    return progress


def points(event: Event) -> list[tuple[str, int, float, float]]:
    """What an event adds to the curves, as (name, step, value, time)."""
    if event["event"] == "step":
        return [(name, event["step"], float(event[name]), event["time"]) for name in CURVES if name in event]
    if event["event"] == "evaluation":
        return [("validation_loss", event["step"], float(event["loss"]), event["time"])]
    return []


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """All whole lines of a run's events, in order. A step that was computed again after a kill is there again, and the later one counts."""
    try:
        with (folder / EVENTS).open("rb") as file:
            for line in file:
                try:
                    found = json.loads(line)
                except ValueError:
                    continue  # cut by a kill
                if isinstance(found, dict) and "event" in found:
                    yield found
    except OSError:
        return


def curves(events: Iterable[Event]) -> dict[str, list[tuple[int, float]]]:
    """Metrics by name as (step, value), each step once, in order."""
    found: dict[str, dict[int, float]] = {}
    for event in events:
        for name, step, value, _ in points(event):
            found.setdefault(name, {})[step] = value
    return {name: sorted(values.items()) for name, values in found.items()}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """settings.json, whole or as it was."""
    part = folder / f".{SETTINGS}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(record, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / SETTINGS)


def read_record(folder: Path) -> dict[str, Any]:
    """settings.json, or nothing where there is none."""
    try:
        found = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
