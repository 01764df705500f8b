"""The curves of a training run: both losses above, what explains them below, all over the same steps.

Knows metrics by name (`training.runs.CURVES`) and no session. Object names: `train.curves`, of the plots `train.loss`,
`train.learning_rate`, ...
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.curve_math import tick_text
from playground.gui.widgets.curve_plot import Curve, CurvePlot
from playground.gui.widgets.glossary import known
from playground.gui.widgets.value_slider import Travel, ValueSlider

LOSSES = ("loss", "validation_loss")
MIB = 1 << 20
SMALL = {
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "tokens_per_s": "Tokens a second",
    "memory": "Memory, MiB",
}
DRAW_MS = 120
"""steps come faster than eyes follow"""


@dataclass
class RunCurves:
    """One run's metrics: name -> step -> value (no number where training diverged)."""

    label: str = ""
    steps: int = 0
    values: dict[str, dict[int, float]] = field(default_factory=dict)

    def add(self, points: Iterable[tuple[str, int, float | None]]) -> None:
        """A step that is there already was computed again, and counts anew."""
        for name, step, value in points:
            self.values.setdefault(name, {})[step] = math.nan if value is None else float(value)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        """X [n] rising steps, y [n]."""
        found = self.values.get(name, {})
        x = np.fromiter(found, np.float64, len(found))
        y = np.fromiter(found.values(), np.float64, len(found))
        if len(x) > 1 and not (np.diff(x) > 0).all():
            order = np.argsort(x, kind="stable")
            x, y = x[order], y[order]
        return x, y


class TrainCurves(QWidget):
    """`show_run` sets what is drawn; `touch()` says that its values have grown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.curves")
        self._run = RunCurves()
        self.loss = CurvePlot("train.loss", "Loss", lambda value: f"{value:.4f}")
        self.loss.setMinimumHeight(176)
        writes = {
            "learning_rate": _power,
            "memory": lambda value: amount(value * MIB),
            "tokens_per_s": lambda value: f"{value:,.0f}",
        }
        ticks = {"learning_rate": lambda value, _step: _power(value)}
        self.small = {
            name: CurvePlot(
                f"train.{name}", title, writes.get(name, lambda value: f"{value:.3g}"), ticks=ticks.get(name, tick_text)
            )
            for name, title in SMALL.items()
        }
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._bar())
        column.addWidget(self.loss, 5)
        grid = QGridLayout()
        grid.setSpacing(8)
        for place, plot in enumerate(self.small.values()):
            grid.addWidget(plot, place // 2, place % 2)
        column.addLayout(grid, 5)
        for plot in self.plots():
            plot.view_changed.connect(self._tie)
            plot.hovered.connect(self._hover)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw)
        self._smooth(self.smoothing.value())

    def _bar(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(8)
        label = QLabel("Smoothing")
        theme.mark(label, role="small")
        self.smoothing = ValueSlider(Travel(0, 0.99, 0.01), 0.6, 0.0)
        self.smoothing.setObjectName("train.smoothing")
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip("Draws a moving average; what was measured stays behind it as a pale line")
        self.smoothing.setFixedWidth(128)
        self.smoothing.valueChanged.connect(self._smooth)
        self._weight = QLabel()
        self._weight.setFixedWidth(32)
        theme.mark(self._weight, role="small")
        self.log = QCheckBox("Logarithmic")
        self.log.setObjectName("train.log")
        self.log.setToolTip("The loss on a logarithmic axis")
        self.log.toggled.connect(self.loss.set_log)
        for widget in (label, self.smoothing, self._weight, self.log):
            row.addWidget(widget)
        row.addStretch(1)
        for name in ("validation_loss", "grad_norm"):
            row.addWidget(known(name))
            row.addSpacing(8)
        return row

    def plots(self) -> tuple[CurvePlot, ...]:
        return (self.loss, *self.small.values())

    def show_run(self, run: RunCurves) -> None:
        self._run = run
        self._draw()

    def touch(self) -> None:
        """Draws what is new, soon."""
        if not self._timer.isActive():
            self._timer.start()

    def _draw(self) -> None:
        end = float(self._run.steps)
        training, validation = (self._run.curve(name) for name in LOSSES)
        self.loss.show_curves(
            [
                Curve("loss", "training", *training),
                Curve("validation_loss", "validation", *validation, smooth=False, dots=True, color=1, dashed=True),
            ],
            end,
        )
        for name, plot in self.small.items():
            x, y = self._run.curve(name)
            plot.show_curves(
                [Curve(name, "", x, y / MIB if name == "memory" else y, smooth=name in ("grad_norm", "tokens_per_s"))], end
            )

    def _smooth(self, weight: float) -> None:
        self._weight.setText(f"{weight:.2f}" if weight else "off")
        for plot in self.plots():
            plot.set_smoothing(weight)

    def _tie(self, low: float, high: float) -> None:
        for plot in self.plots():
            plot.set_view(low, high)

    def _hover(self, step: float) -> None:
        for plot in self.plots():
            plot.set_hover(step)

    def write_csv(self, file: Path) -> None:
        """All metrics, a row for each step."""
        names = (*LOSSES, *SMALL)
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(("run", "step", *names))
            run = self._run
            for step in sorted({step for name in names for step in run.values.get(name, ())}):
                writer.writerow((run.label, step, *(_cell(run.values.get(name, {}), step) for name in names)))


def _power(value: float) -> str:
    """A small number as its first digits and a power of ten."""
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}" if value else "0"


def _cell(values: Mapping[int, float], step: int) -> str:
    return repr(values[step]) if step in values else ""
