"""How a model is quantized, beside the table of types: adapter, importance matrix, and, folded away, what few need.

Knows what can be asked for and no workshop. `settings()` gives the fields of a `QuantizeRequest` that are set here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QLabel, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.glossary import known
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.path_row import PathRow

OFF, SHIPPED, MINE, FILE = "off", "shipped", "text", "file"
MATRICES = (
    (OFF, "None"),
    (SHIPPED, "From the text that ships with it"),
    (MINE, "From a text of my own"),
    (FILE, "From a matrix file"),
)
NO_ADAPTER, A_FOLDER = "None", "A folder…"
AS_TYPE = "As the type says"
TENSOR_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "Q5_0", "Q4_0", "IQ4_NL")
"""what the two outer tensors can be given by hand: those that are worth it"""


class QuantizeOptions(QWidget):
    """`changed` tells of any change by hand, `adapter_changed` of another adapter (sizes and steps are others then)."""

    changed = Signal()
    adapter_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = self._quantized = self._needed = self._turned_on = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self._column = column
        self._adapter_part()
        self._matrix_part()
        self._target_part()
        self._advanced_part()
        column.addStretch(1)
        self._show_parts()

    # -- parts

    def _adapter_part(self) -> None:
        self._adapter_term = known("lora_adapter", "Merge an adapter first")
        self.adapter = _combo("quantize.adapter", "Adapter", "An adapter that is merged into the weights first")
        self.adapter.activated.connect(self._adapter_chosen)
        self.adapter_folder = PathRow(
            "quantize.adapter.folder", "Adapter folder", "A folder in PEFT layout", QFileDialog.FileMode.Directory
        )
        self.adapter_folder.changed.connect(lambda _text: self.adapter_changed.emit())
        self.scale = NumberBox(0.0, 2.0, 0.05)
        self.scale.setObjectName("quantize.scale")
        self.scale.setAccessibleName("How much of the adapter")
        self.scale.setToolTip("How much of the adapter goes into the weights: 1 is what it was trained for")
        self.scale.setValue(1.0)
        self.scale.setFixedWidth(72)
        theme.mark(self.scale, compact=True, filled=True)
        self.scale.valueChanged.connect(lambda _value: self.changed.emit())
        self._scale_row = _row(_small("How much of it"), self.scale)
        for each in (self._adapter_term, self.adapter, self.adapter_folder, self._scale_row):
            self._column.addWidget(each)
        self.set_adapters(())

    def _matrix_part(self) -> None:
        self._matrix_term = known("imatrix")
        self.imatrix = _combo(
            "quantize.imatrix", "Importance matrix", "Below five bits it buys quality for a few minutes of reading"
        )
        for key, said in MATRICES:
            self.imatrix.addItem(said, key)
        self.imatrix.currentIndexChanged.connect(lambda _place: self._take())
        self.calibration = PathRow(
            "quantize.calibration",
            "Calibration text",
            "A text file like what the model will be used for",
            kinds="Text (*.txt *.md);;All files (*)",
        )
        self.calibration.set_hint("A text file")
        self.matrix_file = PathRow(
            "quantize.imatrix.file",
            "Matrix file",
            "An importance matrix that was computed before",
            kinds="GGUF (*.gguf);;All files (*)",
        )
        self.matrix_file.set_hint("A GGUF file with a matrix")
        self.matrix_note = QLabel()
        self.matrix_note.setObjectName("quantize.imatrix.note")
        self.matrix_note.setWordWrap(True)
        theme.mark(self.matrix_note, role="muted")
        for each in (self.calibration, self.matrix_file):
            each.changed.connect(lambda _text: self.changed.emit())
        for widget in (self._matrix_term, self.imatrix, self.calibration, self.matrix_file, self.matrix_note):
            self._column.addWidget(widget)

    def _target_part(self) -> None:
        self._column.addSpacing(4)
        self._column.addWidget(_small("Where to"))
        self.target = PathRow(
            "quantize.target",
            "Target",
            "Where the result will lie; empty for the folder of models",
            QFileDialog.FileMode.AnyFile,
        )
        self.target.set_hint("In the folder of models")
        self.target.changed.connect(lambda _text: self.changed.emit())
        self._column.addWidget(self.target)

    def _advanced_part(self) -> None:
        self.more = QToolButton()
        self.more.setObjectName("quantize.advanced")
        self.more.setText("Advanced")
        self.more.setAccessibleName("Advanced")
        self.more.setToolTip("Types of single tensors, and what is refused unless you insist")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(self.more.toolButtonStyle().ToolButtonTextBesideIcon)
        theme.mark(self.more, role="section")
        theme.bind_icon(self.more, "chevron-right", "muted")
        self.more.toggled.connect(self._unfold)
        self._column.addWidget(self.more)
        self._rest = QWidget()
        rest = QVBoxLayout(self._rest)
        rest.setContentsMargins(0, 0, 0, 0)
        rest.setSpacing(8)
        self.output_type = _combo("quantize.output_type", "Output tensor", "The tensor that turns the last state into logits")
        self.embedding_type = _combo("quantize.embedding_type", "Token embedding", "The table of the tokens' vectors")
        for combo, said in ((self.output_type, "Output tensor"), (self.embedding_type, "Token embedding")):
            combo.addItems((AS_TYPE, *TENSOR_TYPES))
            combo.currentIndexChanged.connect(lambda _place: self.changed.emit())
            combo.setFixedWidth(160)
            rest.addWidget(_row(_small(said), combo))
        self.keep_output = _check(
            "quantize.keep_output", "Leave the output tensor as it is", "It stays in the source's number format"
        )
        self.requantize = _check(
            "quantize.requantize",
            "Start from a quantized file",
            "What is quantized already loses twice; take the original instead if you can",
        )
        self.double = _check(
            "quantize.double", "Quantize the scales as well (NF4)", "Saves about 0.4 bits a weight at hardly any loss"
        )
        self.double.setChecked(True)
        for box in (self.keep_output, self.requantize, self.double):
            box.toggled.connect(lambda _on: self.changed.emit())
            rest.addWidget(box)
        self._rest.hide()
        self._column.addWidget(self._rest)

    def _unfold(self, shown: bool) -> None:
        theme.bind_icon(self.more, "chevron-down" if shown else "chevron-right", "muted")
        self._rest.setVisible(shown)

    # -- what is shown

    def set_source(self, folder: bool) -> None:
        """Whether the source is a model folder: only then can an adapter be merged in, and NF4 be made."""
        self._folder, self._quantized = folder, False
        self.target.set_text("")
        self._show_parts()

    def set_adapters(self, adapters: Sequence[tuple[str, str]]) -> None:
        """(name, path) of the adapters at hand; the choice stays."""
        before = self.adapter_path()
        self.adapter.blockSignals(True)
        self.adapter.clear()
        self.adapter.addItem(NO_ADAPTER, "")
        for name, path in adapters:
            self.adapter.addItem(name, path)
            self.adapter.setItemData(self.adapter.count() - 1, path, 3)  # the tooltip
        self.adapter.addItem(A_FOLDER, None)
        self.adapter.blockSignals(False)
        self.choose_adapter(before)

    def choose_adapter(self, path: str) -> None:
        """Shows an adapter, telling nobody."""
        place = self.adapter.findData(path) if path else 0
        self.adapter.blockSignals(True)
        self.adapter_folder.blockSignals(True)
        if place >= 0:
            self.adapter.setCurrentIndex(place)
        else:
            self.adapter.setCurrentIndex(self.adapter.count() - 1)
            self.adapter_folder.set_text(path)
        self.adapter_folder.blockSignals(False)
        self.adapter.blockSignals(False)
        self._show_parts()

    def adapter_path(self) -> str:
        """The chosen adapter's folder; empty for none."""
        if not hasattr(self, "adapter_folder") or not self.adapter.count():
            return ""
        found = self.adapter.currentData()
        return self.adapter_folder.text() if found is None else str(found)

    def set_quantized(self, quantized: bool) -> None:
        """Whether the source is quantized already, which one has to insist on starting from."""
        self._quantized = quantized
        self.requantize.setChecked(quantized and self.requantize.isChecked())
        self._show_parts()

    def show_types(self, needs_matrix: bool, llama: bool, several: bool, target: str) -> None:
        """What is chosen in the table: whether a matrix is needed, whether it is a type of llama.cpp's, whether there is more than one."""
        self._need_matrix(needs_matrix)
        self._matrix_term.setEnabled(llama)
        self.imatrix.setEnabled(llama)
        if needs_matrix:
            note = "llama.cpp does not make this type without one."
        elif not llama:
            note = "NF4 and int8 are made without one."
        elif self.imatrix.currentData() == SHIPPED:
            note = "A mixed text: prose, talk, code, tables."
        else:
            note = ""
        self.matrix_note.setText(note)
        self.matrix_note.setVisible(bool(note))
        theme.mark(self.matrix_note, role="warn" if needs_matrix and self.imatrix.currentData() == OFF else "muted")
        self.target.setEnabled(not several)
        self.target.set_hint("Each under its own name" if several else target or "In the folder of models")
        for widget in (self.output_type, self.embedding_type, self.keep_output, self.requantize):
            widget.setEnabled(llama)
        self.double.setEnabled(self._folder)

    def _need_matrix(self, needed: bool) -> None:
        """A type that cannot do without a matrix turns the usual one on, and off again when another type is chosen."""
        if needed == self._needed:
            return
        self._needed = needed
        before, now = (OFF, SHIPPED) if needed else (SHIPPED, OFF)
        if self.imatrix.currentData() == before and (needed or self._turned_on):
            self.imatrix.blockSignals(True)
            self.imatrix.setCurrentIndex(self.imatrix.findData(now))
            self.imatrix.blockSignals(False)
            self._show_parts()
        self._turned_on = needed and self.imatrix.currentData() == SHIPPED and before == OFF

    def _adapter_chosen(self, _place: int) -> None:
        self._show_parts()
        if self.adapter.currentData() is None and not self.adapter_folder.text():
            self.adapter_folder.ask()
        self.adapter_changed.emit()

    def _take(self) -> None:
        self._show_parts()
        self.changed.emit()

    def _show_parts(self) -> None:
        if not hasattr(self, "double"):
            return  # still being built
        for widget in (self._adapter_term, self.adapter):
            widget.setVisible(self._folder)
        by_hand = self.adapter.currentData() is None
        self.adapter_folder.setVisible(self._folder and by_hand)
        self._scale_row.setVisible(self._folder and bool(by_hand or self.adapter.currentData()))
        kind = self.imatrix.currentData()
        self.calibration.setVisible(kind == MINE)
        self.matrix_file.setVisible(kind == FILE)
        self.double.setVisible(self._folder)
        self.requantize.setVisible(self._quantized)

    # -- what is asked for

    def settings(self) -> dict[str, Any]:
        """Fields of `QuantizeRequest` by name, without source and type."""
        kind = self.imatrix.currentData()
        matrix = {SHIPPED: "auto", MINE: "auto", FILE: self.matrix_file.text()}.get(kind, "")
        return {
            "out": self.target.text() if self.target.isEnabled() else "",
            "adapter": self.adapter_path() if self._folder else "",
            "scale": float(self.scale.value()),
            "imatrix": matrix,
            "calibration": self.calibration.text() if kind == MINE else "",
            "output_type": _chosen(self.output_type),
            "embedding_type": _chosen(self.embedding_type),
            "keep_output": self.keep_output.isChecked(),
            "allow_requantize": self.requantize.isChecked(),
            "double": self.double.isChecked(),
        }

    def missing(self) -> str:
        """What has to be chosen before it can start; empty if nothing has."""
        kind = self.imatrix.currentData()
        if self.imatrix.isEnabled() and self._needed and kind == OFF:
            return "Choose an importance matrix: this type needs one."
        if self.imatrix.isEnabled() and kind == MINE and not self.calibration.text():
            return "Choose the text that the importance matrix is computed from."
        if self.imatrix.isEnabled() and kind == FILE and not self.matrix_file.text():
            return "Choose the file with the importance matrix."
        if self._folder and self.adapter.currentData() is None and not self.adapter_folder.text():
            return "Choose the adapter's folder."
        return ""


def _chosen(combo: QComboBox) -> str:
    return combo.currentText() if combo.currentIndex() > 0 else ""


def _small(text: str) -> QLabel:
    label = QLabel(text)
    theme.mark(label, role="small")
    return label


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    made = line(widgets[0], 1, *widgets[1:])
    holder.setLayout(made)
    return holder


def _combo(name: str, said: str, tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setObjectName(name)
    combo.setAccessibleName(said)
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    theme.mark(combo, compact=True)
    return combo


def _check(name: str, said: str, tip: str) -> QCheckBox:
    box = QCheckBox(said)
    box.setObjectName(name)
    box.setAccessibleName(said)
    box.setToolTip(tip)
    theme.mark(box, compact=True)
    return box
