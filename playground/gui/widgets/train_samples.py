"""What the model says to the probe prompts: as it was before beside as it is at an evaluation, and back through the evaluations.

Knows samples and no session. Object names begin with `train.samples`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.value_slider import Travel, ValueSlider
from playground.history.runs import SampleRow

UNBROKEN = 16
"""letters in a row, after which a line may end where no space comes: a label is never narrower than its longest word"""


class TrainSamples(QWidget):
    """`add` takes samples as they come; the newest evaluation is shown unless an earlier one was chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.samples")
        self._base: dict[int, SampleRow] = {}
        self._tuned: dict[int, dict[int, SampleRow]] = {}
        self._cards: dict[int, _Card] = {}
        head = QHBoxLayout()
        title = QLabel("Samples")
        theme.mark(title, role="heading")
        self.when = QLabel()
        self.when.setObjectName("train.samples.when")
        theme.mark(self.when, role="small")
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self.when)
        self.slider = ValueSlider(Travel(0, 1))
        self.slider.setObjectName("train.samples.step")
        self.slider.setAccessibleName("Evaluation")
        self.slider.setToolTip("Which evaluation's replies are shown")
        self.slider.setEnabled(False)
        self.slider.valueChanged.connect(lambda _value: self._show())
        self._empty = QLabel("Replies to the probe prompts come with the first evaluation.")
        self._empty.setWordWrap(True)
        theme.mark(self._empty, role="muted")
        inner = QWidget()
        theme.mark(inner, scrolled=True)
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(16)
        self._column.addWidget(self._empty)
        self._column.addStretch(1)
        area = QScrollArea()
        area.setObjectName("train.samples.list")
        area.setAccessibleName("Replies to the probe prompts")
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.slider)
        column.addWidget(area, 1)

    def clear(self) -> None:
        self._base.clear()
        self._tuned.clear()
        for card in self._cards.values():
            card.hide()
            card.deleteLater()
        self._cards.clear()
        self._show()

    def add(self, samples: Iterable[SampleRow]) -> None:
        latest = round(self.slider.value()) >= len(self._tuned) - 1
        for each in samples:
            if each.base:
                self._base[each.probe] = each
            else:
                self._tuned.setdefault(each.step, {})[each.probe] = each
        last = max(0, len(self._tuned) - 1)
        self.slider.travel = Travel(0, max(1, last))
        self.slider.setEnabled(last > 0)
        if latest:
            self.slider.setValue(last)
        self._show()

    def shown(self) -> list[tuple[str, str, str]]:
        """(prompt, reply before, reply at the chosen evaluation), in the order of the probes."""
        return [card.said for _, card in sorted(self._cards.items())]

    def _show(self) -> None:
        steps = sorted(self._tuned)
        step = steps[min(round(self.slider.value()), len(steps) - 1)] if steps else 0
        self.when.setText(f"after step {step:,}" if steps else "")
        probes = sorted({*self._base, *(probe for found in self._tuned.values() for probe in found)})
        self._empty.setVisible(not probes)
        for probe in probes:
            if probe not in self._cards:
                self._cards[probe] = _Card(probe)
                self._column.insertWidget(self._column.count() - 1, self._cards[probe])
            base, tuned = self._base.get(probe), self._tuned.get(step, {}).get(probe)
            known = tuned or base
            self._cards[probe].say(known.prompt if known else "", base.reply if base else None, tuned.reply if tuned else None)


class _Card(QWidget):
    """One probe: the prompt, what the model said before, what it says now."""

    def __init__(self, probe: int) -> None:
        super().__init__()
        self.setObjectName(f"train.samples.{probe}")
        self.said = ("", "", "")
        """prompt, reply before, reply now"""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.prompt, self.base, self.tuned = QLabel(), QLabel(), QLabel()
        self.prompt.setWordWrap(True)
        self.prompt.setTextFormat(Qt.TextFormat.PlainText)
        theme.mark(self.prompt, role="strong")
        column.addWidget(self.prompt)
        for name, label in (("Before", self.base), ("Now", self.tuned)):
            row = QHBoxLayout()
            row.setSpacing(8)
            word = QLabel(name)
            word.setFixedWidth(48)
            word.setAlignment(Qt.AlignmentFlag.AlignTop)
            theme.mark(word, role="small")
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            row.addWidget(word)
            row.addWidget(label, 1)
            column.addLayout(row)
        theme.mark(self.base, role="muted")

    def say(self, prompt: str, base: str | None, tuned: str | None) -> None:
        before, now = ("not yet" if text is None else text.strip() or "(said nothing)" for text in (base, tuned))
        self.said = (prompt, before, now)
        for label, text in zip((self.prompt, self.base, self.tuned), self.said, strict=True):
            label.setText(_breakable(text))


def _breakable(text: str) -> str:
    """With zero-width spaces in words so long that a column would be cut at its edge because of them."""
    return re.sub(rf"\S{{{UNBROKEN}}}(?=\S)", "\\g<0>\u200b", text)
