"""What a quality report is to measure: the original, the models held against it, the text. Knows library rows and no workshop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.amounts import size
from playground.gui.widgets.glossary import known
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.path_row import PathRow

if TYPE_CHECKING:
    from playground.models.library import Row

SHIPPED, FILE, PASTED = "shipped", "file", "pasted"
TEXTS = ((SHIPPED, "The text that ships with it"), (FILE, "A text file"), (PASTED, "Text pasted here"))
KINDS = ("gguf", "safetensors")
WINDOWS = 32
TYPES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""what can be made for the measurement where it is not there yet"""
LEAST_TEXT = 2000
"""characters of a pasted text, below which its figures would be mostly noise"""
_PATH = Qt.ItemDataRole.UserRole
_TYPE = Qt.ItemDataRole.UserRole + 1


class ReportForm(QWidget):
    """`changed` tells of any change by hand."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, Row] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(_small("Original"))
        self.original = QComboBox()
        self.original.setObjectName("report.original")
        self.original.setAccessibleName("Original")
        self.original.setToolTip("What all others are held against: the model in the most bits that there is")
        self.original.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        theme.mark(self.original, compact=True)
        self.original.activated.connect(lambda _place: self._list_models())
        column.addWidget(self.original)
        column.addSpacing(4)
        column.addWidget(_small("Compare with it"))
        self.models = QListWidget()
        self.models.setObjectName("report.models")
        self.models.setAccessibleName("Models to compare")
        self.models.setToolTip("Versions of the same model; those with a tick are measured")
        self.models.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.models.setMinimumHeight(72)
        theme.mark(self.models, well=True, checks=True)
        self.models.itemChanged.connect(self._ticked)
        column.addWidget(self.models, 1)
        self.add_button = QPushButton("Add a file…")
        self.add_button.setObjectName("report.add")
        self.add_button.setToolTip("A GGUF file that is not among the models here")
        theme.mark(self.add_button, role="link")
        self.add_button.clicked.connect(self._ask_for_file)
        self.keep = QCheckBox("Keep what is made")
        self.keep.setObjectName("report.keep")
        self.keep.setAccessibleName("Keep what is made")
        self.keep.setToolTip(
            "Types that are made for the measurement stay in the folder of models; else they go when it is over"
        )
        theme.mark(self.keep, compact=True)
        column.addLayout(line(self.add_button, 1, self.keep))
        self._text_part(column)
        terms = line(known("kl_divergence"), known("perplexity"), 1, spacing=16)
        column.addSpacing(4)
        column.addLayout(terms)
        column.addLayout(line(known("pareto"), known("top1"), 1, spacing=16))
        self._show_parts()

    def _text_part(self, column: QVBoxLayout) -> None:
        column.addWidget(_small("On which text"))
        self.text = QComboBox()
        self.text.setObjectName("report.text")
        self.text.setAccessibleName("Text")
        self.text.setToolTip("What is read while measuring; text like yours says most about your use")
        for key, said in TEXTS:
            self.text.addItem(said, key)
        theme.mark(self.text, compact=True)
        self.text.currentIndexChanged.connect(lambda _place: self._take())
        self.file = PathRow("report.text.file", "Text file", "Plain text, UTF-8", kinds="Text (*.txt *.md);;All files (*)")
        self.file.set_hint("A text file")
        self.file.changed.connect(lambda _text: self.changed.emit())
        self.pasted = QPlainTextEdit()
        self.pasted.setObjectName("report.text.pasted")
        self.pasted.setAccessibleName("Pasted text")
        self.pasted.setPlaceholderText("Paste a page or more…")
        self.pasted.setTabChangesFocus(True)
        self.pasted.setFixedHeight(72)
        self.pasted.textChanged.connect(self.changed)
        for widget in (self.text, self.file, self.pasted):
            column.addWidget(widget)
        self.windows = NumberBox(0, 100_000, 1, {0: "all"})
        self.windows.setObjectName("report.chunks")
        self.windows.setAccessibleName("Windows")
        self.windows.setToolTip("At most so many windows of 512 tokens: more take longer and make the error smaller")
        self.windows.setValue(WINDOWS)
        self.windows.setFixedWidth(72)
        theme.mark(self.windows, compact=True, filled=True)
        self.windows.valueChanged.connect(lambda _value: self.changed.emit())
        column.addLayout(line(_small("Windows of 512 tokens"), 1, self.windows))

    # -- what is shown

    def show_rows(self, rows: Iterable[Row], original: str, chosen: Sequence[str] | None = None) -> None:
        """The library, the path of the original, and which others have a tick (None: all that are versions of it)."""
        self._rows = {row.path: row for row in rows if row.kind in KINDS and not row.problem}
        first = self._rows.get(original)
        family = [row for row in self._rows.values() if first is not None and same_model(first, row)]
        family.sort(key=lambda row: -row.size)
        self.original.clear()
        for row in family:
            self.original.addItem(f"{row.name}  {row.quantization}  {size(row.size)}", row.path)
            self.original.setItemData(self.original.count() - 1, row.path, Qt.ItemDataRole.ToolTipRole)
        self.original.setCurrentIndex(max(0, self.original.findData(original)))
        self._list_models(chosen)

    def best_original(self, rows: Iterable[Row], path: str) -> str:
        """Of the versions of a model, the one in the most bits: what the others were made of."""
        rows = [row for row in rows if row.kind in KINDS and not row.problem]
        first = next((row for row in rows if row.path == path), None)
        family = [row for row in rows if first is not None and same_model(first, row)]
        return max(family, key=lambda row: (row.size, row.kind == "gguf")).path if family else path

    def _list_models(self, chosen: Sequence[str] | None = None) -> None:
        original = self._rows.get(self.original_path())
        ticked = None if chosen is None else set(chosen)
        self.models.blockSignals(True)
        self.models.clear()
        versions = [
            row
            for row in sorted(self._rows.values(), key=lambda row: -row.size)
            if original is not None and row.path != original.path and same_model(original, row)
        ]
        for row in versions:
            usual = row.kind == "gguf"  # a folder takes transformers, which is slow: only if it is wanted
            where = "" if usual else "  folder"
            self._add(
                f"{row.name}  {size(row.size)}{where}", row.path, usual if ticked is None else row.path in ticked, row.path
            )
        there = {row.quantization for row in versions} | ({original.quantization} if original is not None else set())
        for kind in TYPES if original is not None and original.quantization not in TYPES else ():
            if kind not in there:
                self._add(f"{kind}  to be made", "", not versions and ticked is None, "Made, measured and removed", kind)
        self.models.blockSignals(False)
        self._ticked()

    def _add(self, text: str, path: str, ticked: bool, tip: str, kind: str = "") -> None:
        item = QListWidgetItem(text)
        item.setData(_PATH, path)
        item.setData(_TYPE, kind)
        item.setToolTip(tip)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.models.addItem(item)

    def _ticked(self, *_: object) -> None:
        self.keep.setEnabled(bool(self.types()))
        self.changed.emit()

    def add_file(self, path: str) -> None:
        """A file that the library does not list."""
        if path not in [item.data(_PATH) for item in self._items()]:
            self._add(Path(path).name, path, True, path)
            self._ticked()

    def _ask_for_file(self) -> None:
        dialog = QFileDialog(self.window(), "A model to compare", "", "GGUF (*.gguf);;All files (*)")
        dialog.setObjectName("report.add.dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.add_file)
        dialog.open()

    def _take(self) -> None:
        self._show_parts()
        self.changed.emit()

    def _show_parts(self) -> None:
        self.file.setVisible(self.text.currentData() == FILE)
        self.pasted.setVisible(self.text.currentData() == PASTED)

    # -- what is asked for

    def original_path(self) -> str:
        return str(self.original.currentData() or "")

    def chosen(self) -> list[str]:
        """Paths with a tick."""
        return [str(item.data(_PATH)) for item in self._items() if item.data(_PATH) and _is_ticked(item)]

    def types(self) -> list[str]:
        """Types with a tick, which are made for the measurement."""
        return [str(item.data(_TYPE)) for item in self._items() if item.data(_TYPE) and _is_ticked(item)]

    def _items(self) -> list[QListWidgetItem]:
        return [self.models.item(place) for place in range(self.models.count())]

    def chunks(self) -> int:
        return round(self.windows.value())

    def missing(self) -> str:
        """What has to be given before it can start; empty if nothing has."""
        if not self.original_path():
            return "Choose the original."
        if not self.chosen() and not self.types():
            return "Tick at least one model to compare, or add a file."
        if self.text.currentData() == FILE and not self.file.text():
            return "Choose the text file."
        if self.text.currentData() == PASTED and len(self.pasted.toPlainText()) < LEAST_TEXT:
            return "Paste more text: figures from less than a page are mostly noise."
        return ""


def same_model(one: Row, other: Row) -> bool:
    """Whether two files can be versions of one model: the same layers, widths and vocabulary."""
    facts = lambda row: (row.architecture, row.layers, row.embedding, row.heads, row.vocabulary)  # noqa: E731
    return facts(one) == facts(other)


def _is_ticked(item: QListWidgetItem) -> bool:
    return item.checkState() == Qt.CheckState.Checked


def _small(text: str) -> QLabel:
    label = QLabel(text)
    theme.mark(label, role="small")
    return label
