"""Which captures are looked at: one, a second one beside it, and the difference of the two. Knows entries of the folder, opens none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPaintEvent, QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.amounts import size
from playground.gui.widgets.icon_button import icon_button
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.log_model import when_text
from playground.gui.widgets.segments import Segments
from playground.inside import look as looks
from playground.inside.spelling import lines
from playground.inside.store import Entry

HIGH = 56
TEXT_AT_MOST = 32
_TIP = Qt.ItemDataRole.ToolTipRole


class InsidePickers(QFrame):
    """Object names: `inside.captures`, `inside.other`, `inside.view`, `inside.delete`, `inside.export`, `inside.new`."""

    chosen = Signal(str)
    """a capture to look at, by its id"""
    other_chosen = Signal(str)
    """one to compare it with; empty for none"""
    delete_wanted = Signal()
    export_wanted = Signal(object)
    """the button, below which a menu may open"""
    new_wanted = Signal()

    def __init__(self, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._entries: tuple[Entry, ...] = ()
        theme.mark(self, surface="surface")
        self.setFixedHeight(HIGH)
        title = QLabel("Inside")
        theme.mark(title, role="title")
        self.captures = _box("inside.captures", "Capture", "What is looked at")
        self.other = _box("inside.other", "Compare with", "A second capture: of another model, or of another text")
        self.view = Segments(
            "inside.view",
            "Seen",
            (("a", "A", "The capture at the left"), ("b", "B", "The one it is compared with"), ("difference", "B − A", "")),
        )
        self.delete = icon_button("inside.delete", "trash-2", "Delete this capture")
        self.export = icon_button("inside.export", "file-down", "Save the picture or the numbers")
        self.new = QPushButton("New capture")
        self.new.setObjectName("inside.new")
        self.new.setAccessibleName("New capture")
        self.new.setToolTip("Computes the attention over a text, in every layer and head")
        theme.mark(self.new, role="primary")
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 0, 16, 0)
        row.setSpacing(8)
        row.addWidget(title)
        row.addSpacing(8)
        row.addWidget(self.captures, 3)
        row.addWidget(self.other, 2)
        row.addWidget(self.view)
        row.addStretch(1)
        for each in (self.delete, self.export, self.new):
            row.addWidget(each)
        self.captures.activated.connect(lambda place: self.chosen.emit(self.captures.itemData(place) or ""))
        self.other.activated.connect(lambda place: self.other_chosen.emit(self.other.itemData(place) or ""))
        self.view.changed.connect(self._set_view)
        self.delete.clicked.connect(self.delete_wanted)
        self.export.clicked.connect(lambda: self.export_wanted.emit(self.export))
        self.new.clicked.connect(self.new_wanted)
        state.captures_changed.connect(self._show_captures)
        state.look_changed.connect(self._show_state)
        self.show_entries(())

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """All captures that there are, the newest first."""
        self._entries = tuple(entries)
        for box, first in ((self.captures, ""), (self.other, "Compare with…")):
            box.clear()
            if first:
                box.addItem(first, "")
            for entry in entries:
                box.addItem(name_of(entry), entry.id)
                box.setItemData(box.count() - 1, facts(entry), _TIP)
        self._show_captures()

    def _show_captures(self) -> None:
        """What cannot be compared with what is looked at cannot be chosen, and says why."""
        state, items = self._state, self.other.model()
        assert isinstance(items, QStandardItemModel)
        for place, entry in enumerate(self._entries, 1):
            why, some = "", ""
            if state.a is not None:
                one, other = state.a.header, entry.header
                why = "This is the one that is looked at." if entry.id == state.id_a else looks.no_difference(one, other)
                some = looks.partly(one, other)
            items.item(place).setEnabled(not why)
            self.other.setItemData(place, "\n".join(filter(None, (why or some, facts(entry)))), _TIP)
        self._show_state()

    def _set_view(self, view: str) -> None:
        self._state.set_view(view)
        self._show_state()

    def _show_state(self) -> None:
        state = self._state
        there = state.a is not None
        self.captures.setCurrentIndex(self.captures.findData(state.id_a) if there else -1)
        self.captures.setEnabled(self.captures.count() > 0)
        self.captures.setToolTip(self.captures.currentData(_TIP) or "What is looked at")
        self.other.setCurrentIndex(max(0, self.other.findData(state.id_b)) if state.b is not None else 0)
        self.other.setEnabled(there and self.other.count() > 2)
        self.view.set_value(state.view)
        self.view.buttons["a"].setEnabled(there)
        self.view.buttons["b"].setEnabled(state.b is not None)
        none = state.no_difference
        self.view.buttons["difference"].setEnabled(not none)
        what = "How much more (orange) or less (blue) weight B gives than A"
        self.view.buttons["difference"].setToolTip(none or "\n".join(filter(None, (what, state.partly))))
        for button in (self.delete, self.export):
            button.setEnabled(there)


def name_of(entry: Entry) -> str:
    """A capture in a list: its text, what was captured, when."""
    header = entry.header
    # The beginning is enough: each token has a character at least, and control tokens are left out.
    beginning = lines(replace(header, tokens=header.tokens[: 2 * TEXT_AT_MOST], columns=()))
    text = " ".join("".join(piece.text for piece in line if not piece.kind) for line in beginning)
    text = " ".join(text.split())
    text = text[: TEXT_AT_MOST - 1] + "…" if len(text) >= TEXT_AT_MOST else text
    what = f"{header.model} {part}" if (part := header.part) else header.model
    return f"{text or 'no text'}  ·  {header.length:,} tokens  ·  {what}  ·  {when_text(header.created)}"


def facts(entry: Entry) -> str:
    """What is to be known of a capture, a line each."""
    header = entry.header
    lines = [
        f"{header.model}, {header.engine} {header.engine_build}".strip(),
        f"{len(header.layers)} layers of {len(header.heads)} heads, {header.length:,} tokens, {header.kind}",
        f"{size(entry.bytes)}, {WORDS.get(header.encoding, header.encoding)}, computed in {header.precision or 'an unknown format'}",
    ]
    if header.adapter:
        strength = (
            "" if header.adapter_scale == 1 or header.adapter_scale != header.adapter_scale else f" at {header.adapter_scale:g}"
        )
        lines.append(f"with the adapter {header.adapter}{strength}")
    return "\n".join((*lines, *header.left_out))


WORDS = {
    "u8": "weights in 8 bits, to 0.004",
    "f32": "weights as computed",
    "qk32": "queries and keys, heads computed again when looked at",
    "qk16": "queries and keys in 16 bits, heads computed again when looked at",
}


class ElidedBox(QComboBox):
    """A choice that ends in an ellipsis where it does not fit: a styled one is cut."""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        style, part = self.style(), QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self).width() - 8
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


def _box(name: str, title: str, tip: str) -> QComboBox:
    box = ElidedBox()
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setToolTip(tip)
    box.setMinimumContentsLength(8)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
