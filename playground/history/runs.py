"""The part of the database that belongs to training runs: a row a run, its metrics by step, what it said at its evaluations.

All of it stands in the run's own folder too (`events.jsonl`); this is the copy that can be searched, compared and plotted. A step that is
computed again after a kill replaces what was noted for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.history import rows
from playground.history.connected import Connected
from playground.history.owner import alive

ENDED = ("finished", "stopped", "ended", "failed", "interrupted")
"""`stopped`: by a person, with a result; `ended`: with a checkpoint only; `interrupted`: its process is gone"""
RESUMABLE = ("ended", "failed", "interrupted")


@dataclass(frozen=True)
class RunRow:
    """A training run. Times in seconds since 1970."""

    id: str
    kind: str = "train"
    title: str = ""
    folder: str = ""
    model_path: str = ""
    model_name: str = ""
    data_path: str = ""
    state: str = "queued"
    """`queued`, `preparing`, `running`, `pausing`, `paused`, `stopping`, or one of `ENDED`"""
    error: str = ""
    owner: str = ""
    started: float = 0.0
    finished: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    data_name: str = ""
    data_sha256: str = ""
    adapter: str = ""
    """the result: an adapter's folder, or (of method `full`) a model's"""
    step: int = 0
    steps: int = 0
    hint: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    """last and best losses, rates, predicted and measured memory: see `training.runs.Progress`"""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE


RUN = tuple(each.name for each in dataclasses.fields(RunRow))


@dataclass(frozen=True)
class SampleRow:
    """A reply to a probe prompt at an evaluation; `base`: of the model as it was before."""

    step: int
    probe: int
    prompt: str
    reply: str
    base: bool = False


class Runs(Connected):
    """What `Store` can do for training runs."""

    def put_run(self, run: RunRow) -> None:
        """Adds a run, or replaces what was said of it."""
        columns = rows.to_columns(run)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "id")
        self._run(
            f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT (id) DO UPDATE SET {changes}",
            list(columns.values()),
        )

    def run(self, run_id: str) -> RunRow:
        """NotFoundError if there is none."""
        return _row(self._one("runs", "run", RUN, run_id))

    def runs(self, limit: int = 1000) -> list[RunRow]:
        """The newest first. One whose process is gone is `interrupted`, whatever it noted last."""
        return [_row(row) for row in self._select("runs", RUN, "ORDER BY started DESC, id DESC LIMIT ?", [limit])]

    def delete_run(self, run_id: str) -> None:
        """With metrics and samples; the folder is not touched."""
        self._run("DELETE FROM runs WHERE id = ?", [run_id])

    def put_metrics(self, run_id: str, points: Iterable[tuple[str, int, float, float]]) -> None:
        """Points as (name, step, value, time)."""
        with self.atomic(), self._told():
            self._open_connection.executemany(
                "INSERT OR REPLACE INTO metrics (run_id, name, step, value, time) VALUES (?, ?, ?, ?, ?)",
                [(run_id, name, step, rows.finite(value), when) for name, step, value, when in points],
            )

    def metrics(self, run_id: str) -> dict[str, list[tuple[int, float | None]]]:
        """Curves by name, each as (step, value) in the order of steps."""
        found: dict[str, list[tuple[int, float | None]]] = {}
        for name, step, value in self._query(
            "SELECT name, step, value FROM metrics WHERE run_id = ? ORDER BY name, step", [run_id]
        ):
            found.setdefault(name, []).append((step, value))
        return found

    def put_samples(self, run_id: str, samples: Iterable[SampleRow]) -> None:
        with self.atomic(), self._told():
            self._open_connection.executemany(
                "INSERT OR REPLACE INTO samples (run_id, step, probe, base, prompt, reply) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (run_id, each.step, each.probe, int(each.base), rows.clean(each.prompt), rows.clean(each.reply))
                    for each in samples
                ],
            )

    def samples(self, run_id: str) -> list[SampleRow]:
        """By step, then by probe."""
        found = self._query(
            "SELECT step, probe, prompt, reply, base FROM samples WHERE run_id = ? ORDER BY step, probe", [run_id]
        )
        return [SampleRow(step, probe, prompt, reply, bool(base)) for step, probe, prompt, reply, base in found]


def _row(row: Mapping[str, Any]) -> RunRow:
    values = dict(row)
    for name in ("settings", "summary"):
        values[name] = rows.load(values[name], {})
    found = RunRow(**values)
    return found if found.ended or alive(found.owner) else dataclasses.replace(found, state="interrupted")
