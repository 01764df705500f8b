"""What a training run is made of: data, model, the settings with the reason for each, probe prompts. Nothing has to be chosen but the data.

Only the data's part is there at once, the rest comes by `pieces`; whoever asks for something of it has it made.
Knows plans and tells wishes; who plans and trains is another's matter. Object names begin with `train`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.ahead import Pieces, make_soon
from playground.gui.form import Form
from playground.gui.widgets.fit_bar import FitBar
from playground.gui.widgets.glossary import Term
from playground.gui.widgets.path_row import PathRow
from playground.gui.widgets.train_sweep import TrainSweep
from playground.params import settings_of
from playground.session.training_jobs import TrainPlan
from playground.training.settings import TrainSettings

SHOWN = ("method", "rank", "learning_rate", "epochs", "batch", "sequence_length", "checkpointing", "precision")
"""settings whose reasons are shown; the rest are among all settings"""
LINES = 4
"""lines of settings that are made at a time"""
TERM = 20
"""height of a term's line"""
NOTHING = "Your data stays on this computer."
CHOSEN = "Settings are chosen for the model, the data and the memory that is free."
KINDS = "Training data (*.jsonl *.json *.csv *.tsv *.parquet *.txt *.md);;All files (*)"


class TrainSetup(QWidget):
    """`changed` tells that something else would be trained, `swept` of another sweep, `look_wanted` that the rows want to be seen."""

    changed = Signal()
    swept = Signal()
    look_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.setup")
        self._wishes: dict[str, Any] = {}
        self._planned = TrainSettings()
        self._models: list[tuple[str, str]] = []
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(area)
        inner = QWidget(area.viewport())
        area.setWidget(inner)
        theme.mark(inner, scrolled=True)
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(24)
        self._column.addStretch(1)
        self.reasons: dict[str, tuple[QLabel, QLabel]] = {}
        self.form: Form | None = None
        self._make_data()
        self.setFocusProxy(self.file)
        self.pieces = Pieces(self._make_model, self._make_reasons, self._make_more, self._make_sweep, self._make_probes)

    # -- parts

    def _part(self, title: str) -> QVBoxLayout:
        """A part with its heading, below those that are there."""
        part = QVBoxLayout()
        part.setSpacing(8)
        self._column.insertLayout(self._column.count() - 1, part)
        head = QLabel(title, self._column.parentWidget())
        theme.mark(head, role="heading")
        part.addWidget(head)
        return part

    def _make_data(self) -> None:
        part = self._part("Data")
        self.file = PathRow("train.data", "File or folder of training data", "Choose a file, or drop one here", kinds=KINDS)
        self.file.set_hint("Drop a file here: JSONL, JSON, CSV, Parquet, text …")
        self.file.changed.connect(lambda _text: self._other_data())
        self.facts = QLabel(NOTHING)
        self.facts.setObjectName("train.data.facts")
        self.facts.setWordWrap(True)
        theme.mark(self.facts, role="muted")
        self.look = QPushButton("Look at the rows")
        self.look.setObjectName("train.data.look")
        self.look.setToolTip("How the file is read, what is wrong with it, and exactly what would be trained")
        theme.bind_icon(self.look, "scan-eye", "muted")
        self.look.setEnabled(False)
        self.look.clicked.connect(self.look_wanted)
        row = QHBoxLayout()
        row.addWidget(self.facts, 1)
        row.addWidget(self.look, 0, Qt.AlignmentFlag.AlignTop)
        self.datasets_menu = QMenu(self)
        self.datasets_menu.setToolTipsVisible(True)
        datasets = QToolButton()
        datasets.setObjectName("train.data.datasets")
        datasets.setAccessibleName("Datasets")
        datasets.setToolTip("Datasets that were imported before, and your own chats")
        datasets.setFixedSize(28, 28)
        datasets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        datasets.setMenu(self.datasets_menu)
        theme.bind_icon(datasets, "history", "muted")
        first = QHBoxLayout()
        first.setSpacing(4)
        first.addWidget(self.file, 1)
        first.addWidget(datasets)
        self.notes = QLabel(self._column.parentWidget())
        self.notes.setObjectName("train.data.notes")
        self.notes.setWordWrap(True)
        theme.mark(self.notes, role="warn")
        self.notes.hide()
        part.addLayout(first)
        part.addLayout(row)
        part.addWidget(self.notes)

    def _make_model(self) -> None:
        part = self._part("Model")
        self.model_box = QComboBox()
        self.model_box.setObjectName("train.model")
        self.model_box.setAccessibleName("Model")
        self.model_box.setToolTip("Which model learns: models in Hugging Face layout (a GGUF file cannot be trained)")
        theme.mark(self.model_box, compact=True)
        self.model_box.activated.connect(lambda _place: self.changed.emit())
        self.bar = FitBar()
        self.bar.hide()
        self.why = QLabel(CHOSEN)
        self.why.setObjectName("train.fit")
        self.why.setWordWrap(True)
        theme.mark(self.why, role="muted")
        for widget in (self.model_box, self.bar, self.why):
            part.addWidget(widget)

    def _make_reasons(self) -> bool:
        """A few lines of the settings at a time; whether there are more."""
        if not self.reasons:
            self._settings = self._part("Settings")
            self._grid = QGridLayout()
            self._grid.setHorizontalSpacing(16)
            self._grid.setVerticalSpacing(4)
            self._grid.setColumnStretch(2, 1)
            self._settings.addLayout(self._grid)
        for place, name in [*enumerate(SHOWN)][len(self.reasons) :][:LINES]:
            about = TrainSettings.__dataclass_fields__[name].metadata
            label, value, reason = Term(name, about["label"], about["help"]), QLabel("–"), QLabel()
            value.setObjectName(f"train.chosen.{name}")
            value.setAccessibleName(about["label"])
            value.setMinimumHeight(TERM)
            reason.setContentsMargins(0, 2, 0, 2)
            reason.setObjectName(f"train.reason.{name}")
            reason.setWordWrap(True)
            theme.mark(value, role="small")
            theme.mark(reason, role="muted")
            for at, widget in enumerate((label, value, reason)):
                self._grid.addWidget(widget, place, at, Qt.AlignmentFlag.AlignTop)
            self.reasons[name] = (value, reason)
        return len(self.reasons) < len(SHOWN)

    def _make_more(self) -> None:
        self.more = QToolButton()
        self.more.setObjectName("train.more")
        self.more.setText("All settings")
        self.more.setAccessibleName("All settings")
        self.more.setToolTip("Every setting of a run; what you change stays as you want it")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.bind_icon(self.more, "chevron-right", "muted", 14)
        self.more.toggled.connect(self._open_form)
        self.anew = QToolButton()
        self.anew.setObjectName("train.suggested")
        self.anew.setText("As suggested")
        self.anew.setAccessibleName("As suggested")
        self.anew.setToolTip("Forgets what you changed: every setting is chosen for you again")
        self.anew.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.bind_icon(self.anew, "rotate-ccw", "muted", 14)
        self.anew.clicked.connect(self._forget)
        self.anew.hide()
        row = QHBoxLayout()
        row.addWidget(self.more)
        row.addWidget(self.anew)
        row.addStretch(1)
        self.refused = QLabel()
        self.refused.setObjectName("train.refused")
        self.refused.setWordWrap(True)
        theme.mark(self.refused, role="bad")
        self.refused.hide()
        self._form_place = QVBoxLayout()
        self._form_place.addWidget(self.refused)
        self._settings.addLayout(row)
        self._settings.addLayout(self._form_place)

    def _make_sweep(self) -> None:
        self.sweep = TrainSweep(self._column.parentWidget())
        self.sweep.changed.connect(self.swept)
        self._settings.addWidget(self.sweep)

    def _make_probes(self) -> None:
        part = self._part("Probe prompts")
        said = QLabel(
            "Asked at every evaluation, before and while it learns. One a line; none takes three of the rows held out."
        )
        said.setWordWrap(True)
        theme.mark(said, role="muted")
        self.probe_box = QPlainTextEdit()
        self.probe_box.setObjectName("train.probes")
        self.probe_box.setAccessibleName("Probe prompts")
        self.probe_box.setToolTip("One prompt a line")
        self.probe_box.setTabChangesFocus(True)
        self.probe_box.setFixedHeight(72)
        part.addWidget(said)
        part.addWidget(self.probe_box)

    def _open_form(self, wanted: bool) -> None:
        if wanted and self.form is None:
            form = self.form = Form(self._planned, "train.setting", (), False, self._column.parentWidget())
            form.changed.connect(self._wish)
            form.problem.connect(self._refuse)
            self._form_place.addWidget(form)
            names = [each.name for each in settings_of(TrainSettings)]
            parts = [names[at : at + LINES] for at in range(0, len(names), LINES)]
            make_soon(form, Pieces(*(functools.partial(self._add, form, part) for part in parts)))
        if self.form is not None:
            self.form.setVisible(wanted)
        theme.bind_icon(self.more, "chevron-down" if wanted else "chevron-right", "muted", 14)

    def _add(self, form: Form, names: Sequence[str]) -> None:
        for name in names:
            form.add(name)

    # -- what is chosen

    def data(self) -> str:
        return self.file.text()

    def set_data(self, path: str) -> None:
        self.file.set_text(path)

    def _other_data(self) -> None:
        """What was said is of another file. Its rows can be looked at before they were all read."""
        self._say(self.facts, NOTHING, "muted")
        self.show_notes(())
        self.look.setEnabled(bool(self.data()))
        self.changed.emit()

    def model(self) -> str:
        """The path of the chosen model's folder, "" where there is none."""
        self.pieces.finish()
        return str(self.model_box.currentData() or "")

    def set_models(self, models: Sequence[tuple[str, str]], chosen: str = "") -> None:
        """Names and paths of what can be trained. The choice stays while it is there."""
        if list(models) == self._models and not chosen:
            return
        self.pieces.finish()
        before = self.model()
        self._models = list(models)
        self.model_box.clear()
        for name, path in models:
            self.model_box.addItem(name, path)
        place = self.model_box.findData(chosen or before)
        self.model_box.setCurrentIndex(max(0, place) if models else -1)
        if self.model() != before:
            self.changed.emit()

    def wishes(self) -> dict[str, Any]:
        """Settings that were changed by hand, by name."""
        return dict(self._wishes)

    def set_wishes(self, wishes: Mapping[str, Any]) -> None:
        self.pieces.finish()
        self._wishes = dict(wishes)
        self.anew.setVisible(bool(self._wishes))
        self.changed.emit()

    def probes(self) -> tuple[str, ...]:
        self.pieces.finish()
        return tuple(line.strip() for line in self.probe_box.toPlainText().splitlines() if line.strip())

    def _wish(self, settings: TrainSettings) -> None:
        for name in TrainSettings.__dataclass_fields__:
            value = getattr(settings, name)
            if value != getattr(self._planned, name):
                self._wishes[name] = value
        self.set_wishes(self._wishes)

    def _forget(self) -> None:
        if self.form is not None:
            self.form.set_value(self._planned)
        self.set_wishes({})

    def _refuse(self, why: str) -> None:
        self.refused.setText(why)
        self.refused.setVisible(bool(why))

    # -- what comes of it

    def show_nothing(self) -> None:
        """No data yet, or nothing that can be said of it."""
        self.pieces.finish()
        self._say(self.facts, NOTHING, "muted")
        self.show_notes(())
        self.look.setEnabled(bool(self.data()))
        for value, reason in self.reasons.values():
            value.setText("–")
            reason.setText("")
        self.bar.hide()
        self._say(self.why, CHOSEN, "muted")

    def show_problem(self, message: str, hint: str) -> None:
        """Why this cannot be trained, in a sentence with a way out."""
        self.show_nothing()
        self._say(self.facts, f"{message} {hint}".strip(), "bad")

    def show_plan(self, plan: TrainPlan) -> None:
        """Settings and reasons, memory, and what the data comes to."""
        self.pieces.finish()
        about, (tokens, learned) = "about " if plan.each > 1 else "", plan.tokens
        said = [f"{plan.rows:,} row{'s' if plan.rows != 1 else ''}, {about}{tokens:,} tokens, {learned:,} of them learned"]
        if plan.skipped:
            said.append(f"{len(plan.skipped):,} left out: {plan.skipped[0][1]}")
        if plan.cut:
            said.append(f"{about.capitalize()}{plan.cut:,} longer than {plan.settings.sequence_length:,} tokens are cut")
        self._say(self.facts, ".  ".join(said) + ".", "warn" if plan.skipped else "muted")
        self.look.setEnabled(True)
        self._planned = plan.settings
        for name, (value, reason) in self.reasons.items():
            value.setText(shown(getattr(plan.settings, name)))
            reason.setText("as you want it" if name in self._wishes else plan.reasons.get(name, "as usual"))
        if self.form is not None:
            self.form.set_value(plan.settings)
        fit = plan.fit
        terms = {name: int(number) for name, number in fit.terms.to_dict().items()}
        self.bar.show_device(fit.device.name, fit.device.label, terms, fit.device.free, fit.device.total, fit.basis)
        self.bar.show()
        self._say(self.why, fit.why, {"does not fit": "bad", "tight": "warn"}.get(fit.verdict, "muted"))

    def show_notes(self, notes: Sequence[str]) -> None:
        """What was seen while the data was read: rows left out, secrets."""
        self.notes.setText("  ".join(notes))
        self.notes.setVisible(bool(notes))

    def _say(self, label: QLabel, text: str, role: str) -> None:
        label.setText(text)
        theme.mark(label, role=role)


def shown(value: Any) -> str:
    """A setting's value in a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, float):
        if value and abs(value) < 1e-2:
            digits = -math.floor(math.log10(abs(value)))
            return f"{value * 10**digits:.3g}e-{digits}"
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
