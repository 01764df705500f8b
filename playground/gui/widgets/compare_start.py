"""The Compare page before anything was asked: what it is for, and ready-made ways to begin."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from playground.decoding import sweeps
from playground.decoding.sweeps import Labelled
from playground.events import ModelState
from playground.gui import theme
from playground.params import PRESETS, SamplingSettings


@dataclass(frozen=True)
class Start:
    """A ready-made set of columns."""

    id: str
    title: str
    words: str


STARTS = (
    Start("temperature", "Temperature sweep", "0 to 1.5 in 4 steps: from the likeliest words to bold ones"),
    Start("grid", "Top-p × temperature", "A grid of six: which of the two changes more?"),
    Start("seeds", "Same settings, 4 seeds", "How much of a reply is chance?"),
    Start("presets", "Presets", "Balanced, Precise and Creative side by side"),
)


def columns_of(start: str, base: SamplingSettings) -> tuple[Labelled, ...]:
    """What a ready-made start makes."""
    if start == "temperature":
        return sweeps.sweep(base, "temperature", sweeps.steps(0.0, 1.5, 4))
    if start == "grid":
        return sweeps.grid(base, {"top_p": (0.5, 0.95), "temperature": (0.4, 0.8, 1.2)})
    if start == "seeds":
        return sweeps.seeds(base, 4)
    if start == "adapter":
        pairs = (("Without the adapter", 0.0), ("With the adapter", 1.0))
        return tuple(Labelled(words, replace(base, adapter_scale=scale)) for words, scale in pairs)
    return sweeps.presets(tuple(PRESETS))


class CompareStart(QWidget):
    """`chosen(start's id)`; `model_wanted` where there is no model. Object names: `compare.start.<id>`."""

    chosen = Signal(str)
    model_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel("One prompt, several settings, side by side")
        theme.mark(self.title, role="title")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setMinimumHeight(40)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        theme.mark(self.words, role="muted")
        self.button = QPushButton("Choose a model")
        self.button.setObjectName("compare.start.model")
        self.button.setToolTip("Shows the starter and the models used lately")
        theme.mark(self.button, role="primary")
        self.button.clicked.connect(self.model_wanted)
        column = QVBoxLayout()
        column.setSpacing(8)
        for widget in (self.title, self.words):
            column.addWidget(widget)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(8)
        grid = QGridLayout()
        grid.setSpacing(8)
        for place, start in enumerate(STARTS):
            grid.addWidget(self._card(start), place // 2, place % 2)
        self.adapter = self._card(
            Start("adapter", "With and without the adapter", "What the tuning changed: its scale at 0 and at 1")
        )
        grid.addWidget(self.adapter, 2, 0)
        column.addLayout(grid)
        holder = QWidget()
        holder.setMaximumWidth(640)
        around = QVBoxLayout(holder)
        around.setContentsMargins(0, 0, 0, 0)
        around.addStretch(2)
        around.addLayout(column)
        around.addStretch(3)
        inside = QWidget()
        inside.setProperty("scrolled", True)
        across = QHBoxLayout(inside)
        across.setContentsMargins(24, 16, 24, 16)
        across.addStretch(1)
        across.addWidget(holder, 100)
        across.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _card(self, start: Start) -> QPushButton:
        card = QPushButton()
        card.setObjectName(f"compare.start.{start.id}")
        card.setAccessibleName(start.title)
        card.setAccessibleDescription(start.words)
        card.setToolTip(start.words)
        card.setCursor(Qt.CursorShape.PointingHandCursor)
        theme.mark(card, role="card")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(14, 10, 14, 10)
        inside.setSpacing(2)
        for text, role in ((start.title, "strong"), (start.words, "muted")):
            label = QLabel(text)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            theme.mark(label, role=role)
            inside.addWidget(label)
        card.clicked.connect(lambda: self.chosen.emit(start.id))
        return card

    def show_state(self, model: ModelState) -> None:
        """What there is to compare with."""
        self.button.setVisible(model.state in ("none", "failed", "lost"))
        self.adapter.setVisible(model.info is not None and bool(model.info.adapter))
        words = {
            "loading": f"{model.name or 'The model'} is being loaded; a run that is started now waits for it.",
            "none": "No model is loaded: choose one first. The starter comes with Playground and needs no download.",
            "failed": " ".join(each for each in (model.message, model.hint) if each),
            "lost": " ".join(each for each in (model.message, model.hint) if each),
        }
        self.words.setText(
            words.get(
                model.state,
                "The prompt is read once, and all columns are written in the same steps. Write one above, choose how the "
                "columns shall differ, and press Run. A slider that is moved while they write changes its column only.",
            )
        )
