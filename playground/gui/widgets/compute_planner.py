"""What training a model takes: floating-point operations, days on so many devices, and the 20-tokens-per-parameter point.

FLOPs = 6 N D (Kaplan et al. 2020): a forward pass takes 2 for each parameter and token, a backward pass twice that. The point of 20 tokens
per parameter is Hoffmann et al. 2022. Knows no model; it opens from the fit panel with one's number of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amount_row import AmountRow
from playground.gui.widgets.amounts import count
from playground.gui.widgets.value_slider import Travel

TOKENS_PER_PARAMETER = 20


@dataclass(frozen=True)
class Compute:
    """A training run: `parameters`, `tokens`, devices of `tflops` each at `utilisation` (0 to 1)."""

    parameters: float
    tokens: float
    devices: int = 1
    tflops: float = 300.0
    utilisation: float = 0.4

    @property
    def flops(self) -> float:
        return 6 * self.parameters * self.tokens

    @property
    def days(self) -> float:
        return self.flops / (self.devices * self.tflops * 1e12 * self.utilisation) / 86400

    @property
    def best_tokens(self) -> float:
        """Tokens at which a given amount of compute is spent best, for this many parameters."""
        return TOKENS_PER_PARAMETER * self.parameters


def span(days: float) -> str:
    """Days as a person would say them."""
    for unit, length in (("years", 365.0), ("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440)):
        if days >= length or unit == "minutes":
            value = days / length
            return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return ""


class ComputePlanner(QFrame):
    """The card; it goes with a click beside it, or Esc. Object names: `models.planner` and its rows `models.planner.parameters` ..."""

    changed = Signal(object)

    def __init__(self, parameters: float = 1e9, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("models.planner")
        self.setAccessibleName("Training compute")
        theme.mark(self, surface="raised")
        self.setFixedWidth(400)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 20)
        column.setSpacing(8)
        column.addWidget(theme.mark(QLabel("Training from scratch"), role="strong"))
        millions = max(1.0, parameters / 1e6)
        rows = (
            (
                "parameters",
                "Parameters, millions",
                "How many numbers the model learns.",
                Travel(1, 1_000_000, 1, log=True),
                millions,
            ),
            (
                "tokens",
                "Tokens, billions",
                "How much text it reads, all passes together.",
                Travel(0.01, 30_000, 0.01, log=True),
                max(0.02, millions * TOKENS_PER_PARAMETER / 1000),
            ),
            ("devices", "Devices", "How many share the work evenly.", Travel(1, 4096, 1, log=True), 8),
            (
                "tflops",
                "TFLOP/s a device",
                "What one device can do at its best, in the format you train in.",
                Travel(1, 3000, 1, log=True),
                400,
            ),
            (
                "utilisation",
                "Utilisation, %",
                "How much of its best a device keeps up: 30 to 50 % is usual.",
                Travel(1, 100, 1),
                40,
            ),
        )
        self.rows: dict[str, AmountRow] = {}
        for name, title, help, travel, value in rows:
            row = AmountRow(f"models.planner.{name}", title, help, travel, value)
            row.changed.connect(self._show)
            self.rows[name] = row
            column.addWidget(row)
        grid = QGridLayout()
        grid.setContentsMargins(0, 8, 0, 0)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        self._results: dict[str, QLabel] = {}
        for place, (name, title) in enumerate(
            (
                ("flops", "Operations, 6 × N × D"),
                ("days", "Time"),
                ("ratio", "Tokens a parameter"),
                ("best", "20 tokens a parameter would be"),
            )
        ):
            grid.addWidget(theme.mark(QLabel(title), role="muted"), place, 0)
            result = QLabel()
            result.setObjectName(f"models.planner.{name}")
            theme.mark(result, role="strong")
            grid.addWidget(result, place, 1, Qt.AlignmentFlag.AlignRight)
            self._results[name] = result
        column.addLayout(grid)
        self._show()

    def plan(self) -> Compute:
        """What the sliders say."""
        value = {name: row.slider.value() for name, row in self.rows.items()}
        return Compute(
            value["parameters"] * 1e6,
            value["tokens"] * 1e9,
            round(value["devices"]),
            value["tflops"],
            value["utilisation"] / 100,
        )

    def _show(self) -> None:
        plan = self.plan()
        digits, _, power = f"{plan.flops:.1e}".partition("e")
        self._results["flops"].setText(f"{digits} × 10{str(int(power)).translate(_RAISED)}")
        self._results["days"].setText(span(plan.days))
        self._results["ratio"].setText(f"{plan.tokens / plan.parameters:,.1f}")
        self._results["best"].setText(f"{count(plan.best_tokens)} tokens")
        self.changed.emit(plan)


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
