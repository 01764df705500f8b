"""One training run: its curves, its samples, and at the foot how far it is, what can be done about it and what came of it.

Knows a run's row and events, and tells wishes; who trains is another's matter. Object names begin with `train`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QMenu, QPushButton, QSplitter, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount, count, duration
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead
from playground.gui.widgets.train_curves import RunCurves, TrainCurves
from playground.gui.widgets.train_samples import TrainSamples
from playground.history.runs import RunRow
from playground.training.runs import Progress, points

STATES = {
    "queued": "Waits for another run",
    "preparing": "Preparing",
    "pausing": "Pausing after this step",
    "paused": "Paused",
    "stopping": "Stopping after this step",
}


class TrainRun(QWidget):
    """`show_run` opens one, `take_row` and `take_events` bring what is new of it. `wished(what, run_id)` tells what was pressed:

    `pause`, `resume`, `stop`, `end`, `continue`, `lower`, `chat`, `compare`, `export`, `publish`, `reveal`, `delete`.
    """

    wished = Signal(str, str)
    closed = Signal()
    failed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.run")
        self._row = RunRow("")
        self._progress = Progress()
        self.data = RunCurves()
        self.head = PartHead("train.run", "Back to the runs")
        self.head.closed.connect(self.closed)
        self.save = QPushButton("Export")
        self.save.setObjectName("train.save")
        self.save.setAccessibleName("Export")
        self.save.setToolTip("The numbers as CSV, the loss as PNG or SVG")
        theme.bind_icon(self.save, "file-down", "muted")
        menu = QMenu(self.save)
        for ending, text in (("csv", "Numbers as CSV…"), ("png", "Loss as PNG…"), ("svg", "Loss as SVG…")):
            action = menu.addAction(text)
            action.setObjectName(f"train.save.{ending}")
            action.triggered.connect(lambda _checked=False, it=ending: self._ask_save(it))
        self.save.setMenu(menu)
        self.publish = QPushButton("Publish…")
        self.publish.setObjectName("train.publish")
        self.publish.setAccessibleName("Publish")
        self.publish.setToolTip("Shows what would go to Hugging Face; nothing is sent before you say so there")
        theme.bind_icon(self.publish, "globe", "muted")
        self.publish.clicked.connect(lambda: self.wished.emit("publish", self._row.id))
        self.publish.hide()
        self.head.row.addWidget(self.publish)
        self.head.row.addWidget(self.save)
        splitter = QSplitter(Qt.Orientation.Horizontal, self)
        left, right = QFrame(splitter), QFrame(splitter)
        self.curves, self.samples = TrainCurves(left), TrainSamples(right)
        theme.mark(left, surface="surface")
        theme.mark(right, surface="surface", line="left")
        for frame, widget, margins in ((left, self.curves, (8, 8, 8, 8)), (right, self.samples, (24, 12, 16, 12))):
            inner = QVBoxLayout(frame)
            inner.setContentsMargins(*margins)
            inner.addWidget(widget)
        left.setMinimumWidth(400)
        right.setMinimumWidth(264)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 5)
        splitter.setStretchFactor(1, 3)
        self.foot = JobFoot("train", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.head)
        across = QHBoxLayout()
        across.setContentsMargins(0, 0, 0, 0)
        across.addWidget(splitter)
        column.addLayout(across, 1)
        column.addWidget(self.foot)

    # -- what is shown

    def run_id(self) -> str:
        return self._row.id

    def show_run(self, row: RunRow, progress: Progress) -> None:
        """Another run; what is on record of it comes by `take_metrics` and `samples.add`."""
        self.data = RunCurves(row.title, row.steps)
        self.samples.clear()
        self.take_row(row, progress)
        self.curves.show_run(self.data)

    def row(self) -> RunRow:
        return self._row

    def take_metrics(self, metrics: Mapping[str, Iterable[tuple[int, float | None]]]) -> None:
        """What is on record; what came meanwhile counts more."""
        kept, self.data.values = self.data.values, {}
        for name, found in metrics.items():
            self.data.add((name, step, value) for step, value in found)
        for name, values in kept.items():
            self.data.values.setdefault(name, {}).update(values)
        self.save.setEnabled(bool(self.data.values))
        self.curves.touch()

    def take_row(self, row: RunRow, progress: Progress) -> None:
        """The same run in another state, or further."""
        self._row, self._progress = row, progress
        model = row.model_name or Path(row.model_path).name
        shown = f"{model} on {row.data_name}" if model and row.data_name else ""
        self.head.show_title(row.title or "Run", shown if shown != row.title else "")
        if row.steps != self.data.steps:
            self.data.steps = row.steps
            self.curves.touch()
        self.save.setEnabled(bool(self.data.values))
        self.publish.setVisible(row.ended and bool(row.adapter))
        self._show_foot()

    def take_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """What has happened since: new points of curves."""
        for event in events:
            self.data.add((name, step, value) for name, step, value, _ in points(event))
        self.save.setEnabled(bool(self.data.values))
        self.curves.touch()

    # -- the foot

    def _show_foot(self) -> None:
        row, far = self._row, self._progress
        wish = lambda what: lambda: self.wished.emit(what, row.id)  # noqa: E731
        if not row.ended:
            keep = Press("stop", "Stop and keep", "Ends after this step and keeps what was learned so far", wish("stop"))
            away = Press("end", "Stop", "Ends after this step with a checkpoint only; it can be gone on with", wish("end"))
            if row.state in ("paused", "pausing"):
                hold = Press("resume", "Go on", "Goes on where it was", wish("resume"), True, icon="play")
            else:
                tip = "Holds after this step, with a checkpoint"
                hold = Press("pause", "Pause", tip, wish("pause"), enabled=row.state == "running", icon="pause")
            presses = (away,) if row.state in ("queued", "preparing", "stopping") else (away, keep, hold)
            begun = row.step > 0 or far.step > 0
            fraction = far.step / row.steps if begun and row.steps else (0.0 if row.state == "queued" else -1.0)
            self.foot.show_working(self._headline(), fraction, self._detail(), *presses)
        elif row.state in ("finished", "stopped") and row.adapter:
            full = row.settings.get("method") == "full"
            presses_done = [
                Press("reveal", "Show folder", "Opens the result's folder in the file manager", wish("reveal")),
                Press(
                    "export",
                    "Make a GGUF",
                    "Merges the adapter into its model, converts and quantizes it",
                    wish("export"),
                    enabled=not full,
                ),
                Press(
                    "compare",
                    "Compare with base",
                    "The same prompt with and without what was learned, side by side",
                    wish("compare"),
                ),
                Press("chat", "Chat", "Opens a chat with the result", wish("chat"), True),
            ]
            self.foot.show_done(self._result(), self._detail(), *presses_done)
        else:
            offer = row.summary.get("lower") or {}
            presses_failed = [Press("delete", "Remove", "Removes the run and its checkpoints", wish("delete"))]
            if offer:
                presses_failed.append(Press("lower", "Lower and go on", str(offer.get("sentence", "")), wish("lower"), True))
            elif row.resumable:
                presses_failed.append(Press("continue", "Go on", "Goes on from the last checkpoint", wish("continue"), True))
            what = {"interrupted": "Interrupted", "ended": "Stopped, with a checkpoint"}.get(row.state, "It did not work")
            if row.error:
                said = f"{row.error} {offer.get('sentence') or row.hint}".strip()
                self.foot.show_failed(what, said, *presses_failed)
            else:
                self.foot.show_ready(f"{what} at step {row.step:,} of {row.steps:,}", self._detail(), *presses_failed)

    def _headline(self) -> str:
        row, far = self._row, self._progress
        if row.state in ("queued", "preparing") or not row.steps or (not far.step and far.doing):
            return STATES.get(row.state) or (f"Loading {far.doing}" if far.doing else "Starting")
        where = f"Step {far.step:,} of {row.steps:,}"
        left = f"{duration(far.seconds_left)} left" if far.seconds_left > 0 and row.state == "running" else ""
        return "  ·  ".join(each for each in (STATES.get(row.state, ""), where, left) if each)

    def _detail(self) -> str:
        far = self._progress
        memory = f"{amount(far.peak_memory)} of memory" if far.peak_memory else ""
        predicted = (self._row.summary.get("predicted") or {}).get("total")
        if predicted:
            memory = f"{memory}, {amount(predicted)} predicted" if memory else f"{amount(predicted)} of memory predicted"
        shown = [
            memory,
            f"loss {far.loss:.4f}" if far.loss == far.loss else "",
            f"validation {far.validation_loss:.4f}" if far.validation_loss == far.validation_loss else "",
            f"{far.tokens_per_s:,.0f} tokens/s" if far.tokens_per_s == far.tokens_per_s else "",
            f"{count(far.trained_parameters)} of {count(far.parameters)} weights trained" if far.trained_parameters else "",
        ]
        return "  ·  ".join(each for each in shown if each)

    def _result(self) -> str:
        row, far = self._row, self._progress
        took = duration((row.finished or time.time()) - row.started)
        fell = ""
        if far.first_validation_loss == far.first_validation_loss and far.best_loss == far.best_loss:
            fell = f", validation loss {far.first_validation_loss:.3f} → {far.best_loss:.3f}"
        word = "Done" if row.state == "finished" else f"Stopped at step {row.step:,}"
        return f"{word} in {took}{fell}"

    # -- export

    def _ask_save(self, ending: str) -> None:
        name = f"{self._row.title or 'run'}.{ending}".replace("/", "-")
        chosen, _ = QFileDialog.getSaveFileName(self, "Export", name, f"{ending.upper()} (*.{ending})")
        if chosen:
            self.save_as(Path(chosen if chosen.lower().endswith(f".{ending}") else f"{chosen}.{ending}"))

    def save_as(self, file: Path) -> None:
        """Numbers (.csv) or the loss as a picture (.png, .svg), under its name when it is whole."""
        part = file.with_name(f".{file.name}.part{file.suffix}")
        try:
            if file.suffix.lower() == ".csv":
                self.curves.write_csv(part)
            elif not self.curves.loss.save(part):
                raise OSError("the picture could not be written")
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            self.failed.emit(f"{file.name} could not be written ({error.strerror or error}).", "Choose another folder.")
