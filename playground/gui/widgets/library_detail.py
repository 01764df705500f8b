"""One model on this computer: what it is, whether it fits, what its headers say, and what can be done with it.

Shows a row at once and the rest when it is there (`show_details`). What an action does is the page's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.amounts import count, size
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.fit_panel import FitPanel
from playground.gui.widgets.part_head import scroll_column
from playground.gui.widgets.segments import tabs
from playground.gui.widgets.table_head import plain_rows
from playground.models.places import NAMES

if TYPE_CHECKING:
    from playground.models.library import Row

TABS = (
    ("fit", "Fit", "Whether it fits, and how to make it"),
    ("metadata", "Metadata", "What its header says"),
    ("tensors", "Tensors", "Its weights by name, shape and number format"),
    ("template", "Template", "How a conversation is written down for it"),
)
MOST_TENSORS = 3000


class LibraryDetail(QFrame):
    """Object names: `models.chat`, `quantize.open`, `report.open`, `models.reveal`, `models.copy_path`, `models.remove`,
    `models.detail.<tab>`.
    """

    chat_wanted = Signal(object)
    quantize_wanted = Signal(object)
    report_wanted = Signal(object)
    reveal_wanted = Signal(object)
    copy_wanted = Signal(object)
    remove_wanted = Signal(object)
    details_wanted = Signal(object)
    closed = Signal()

    def __init__(self, fits: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.detail")
        theme.mark(self, surface="window")
        self.row: Row | None = None
        self._has_details = False
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 8, 8)
        column.setSpacing(12)
        column.addLayout(self._head())
        column.addLayout(self._buttons())
        self.problem = QLabel()
        self.problem.setObjectName("models.problem")
        self.problem.setWordWrap(True)
        theme.mark(self.problem, role="bad")
        column.addWidget(self.problem)
        self.tabs = tabs("models.detail", TABS, self)
        self.tabs.idClicked.connect(self._open_tab)
        column.addLayout(line(*self.tabs.buttons(), 1, spacing=4))
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        self._stack = QStackedWidget(self)
        column.addWidget(self._stack, 1)
        area, inside = scroll_column(self._stack, 16)
        self.fit = FitPanel(fits, parent=area.widget())
        inside.addWidget(self.fit)
        self._stack.addWidget(area)
        self.metadata = _table(("Key", "Value"), "models.detail.metadata.table", "Metadata")
        self.tensors = _table(("Tensor", "Shape", "Format", "Size"), "models.detail.tensors.table", "Tensors")
        self.template = QPlainTextEdit()
        self.template.setObjectName("models.detail.template.text")
        self.template.setAccessibleName("Chat template")
        self.template.setReadOnly(True)
        self.template.setTabChangesFocus(True)
        theme.mark(self.template, mono=True)
        for each in (self.metadata, self.tensors, self.template):
            self._stack.addWidget(each)

    # -- parts

    def _head(self) -> QVBoxLayout:
        self.title = ElidedLabel()
        theme.mark(self.title, role="title")
        close = QToolButton()
        close.setObjectName("models.detail.close")
        close.setAccessibleName("Close details")
        close.setToolTip("Gives the table the whole page")
        theme.bind_icon(close, "x", "muted")
        close.clicked.connect(self.closed)
        top = line(self.title, close)
        top.setStretch(0, 1)
        self.facts = ElidedLabel()
        self.facts.setObjectName("models.facts")
        theme.mark(self.facts, role="muted")
        self.where = ElidedLabel()
        theme.mark(self.where, role="muted")
        self.reveal_button, self.copy_button = QToolButton(), QToolButton()
        place = line(self.where, self.reveal_button, self.copy_button, spacing=0)
        place.setStretch(0, 1)
        head = QVBoxLayout()
        head.setSpacing(2)
        head.setContentsMargins(0, 0, 8, 0)
        head.addLayout(top)
        head.addWidget(self.facts)
        head.addLayout(place)
        return head

    def _buttons(self) -> QHBoxLayout:
        self.chat_button, self.quantize_button, self.report_button = QPushButton("Chat"), QPushButton(), QPushButton("Measure")
        self.quantize_button.setText("Quantize")
        self.remove_button = QPushButton()
        theme.mark(self.chat_button, role="primary")
        theme.mark(self.remove_button, role="quiet")
        for button, name, icon, said, tip, signal in (
            (self.chat_button, "models.chat", "message-square", "Chat", "Loads it and opens the chat", self.chat_wanted),
            (self.quantize_button, "quantize.open", "", "Quantize", "Makes a smaller version of it", self.quantize_wanted),
            (self.report_button, "report.open", "", "Measure", "Measures what its versions lost", self.report_wanted),
            (
                self.reveal_button,
                "models.reveal",
                "folder-open",
                "Show in file manager",
                "Opens its folder",
                self.reveal_wanted,
            ),
            (self.copy_button, "models.copy_path", "copy", "Copy path", "Copies where it lies", self.copy_wanted),
            (self.remove_button, "models.remove", "trash-2", "Remove", "Moves it to the trash", self.remove_wanted),
        ):
            button.setObjectName(name)
            button.setAccessibleName(said)
            button.setToolTip(tip)
            if isinstance(button, QToolButton):
                button.setFixedSize(26, 26)
            if icon:
                theme.bind_icon(button, icon, "accent_text" if button is self.chat_button else "muted")
            button.clicked.connect(lambda _checked=False, signal=signal: signal.emit(self.row))
        row = line(self.chat_button, self.quantize_button, self.report_button, 1, self.remove_button, spacing=8)
        row.setContentsMargins(0, 0, 8, 0)
        return row

    # -- content

    def show_row(self, row: Row) -> None:
        """A row of the library; what the headers say follows when it is asked for."""
        same = self.row is not None and (self.row.path, self.row.changed) == (row.path, row.changed)
        self.row = row
        self.title.setText(row.name)
        facts = (
            row.architecture,
            f"{count(row.parameters)} parameters" if row.parameters else "",
            row.quantization,
            f"{row.context:,} tokens" if row.context else "",
            size(row.size),
        )
        self.facts.setText("  ·  ".join(each for each in facts if each))
        files = f"  ·  {len(row.files)} files" if len(row.files) > 1 and row.kind == "gguf" else ""
        self.where.setText(f"{NAMES[row.place]}{files}  ·  {row.path}")
        self.where.setToolTip(row.path)
        self.problem.setText(f"{row.problem} {row.hint}".strip())
        self.problem.setVisible(bool(row.problem))
        self._show_uses(row)
        self.remove_button.setEnabled(row.removable or row.place == "added")
        if row.removable:
            self.remove_button.setToolTip("Moves it to the trash")
        elif row.place == "added":
            self.remove_button.setToolTip("Takes it off the list; the file stays where it is")
        else:
            self.remove_button.setToolTip(f"It belongs to {NAMES[row.place]} and is not ours to remove")
        if not same:
            self._has_details = False
            for table in (self.metadata, self.tensors):
                table.setRowCount(0)
            self.template.setPlainText("")
            self._open_tab(self.tabs.checkedId())

    def _show_uses(self, row: Row) -> None:
        """What can be done with a model of this kind."""
        adapter = row.kind == "adapter"
        usable = not row.problem and row.kind != "mmproj"
        self.chat_button.setEnabled(usable)
        how = {"adapter": "Loads its model with it on, and opens the chat", "safetensors": "Runs it with transformers"}
        self.chat_button.setToolTip(how.get(row.kind, "Loads it and opens the chat") if usable else _why_not(row))
        self.quantize_button.setText({"adapter": "Merge and convert", "safetensors": "Convert"}.get(row.kind, "Quantize"))
        self.quantize_button.setAccessibleName(self.quantize_button.text())
        self.quantize_button.setEnabled(usable)
        tips = {
            "adapter": "Adds it to its model's weights and makes a GGUF file, or a GGUF adapter",
            "safetensors": "Makes a GGUF file of any type of it, or NF4",
        }
        tip = tips.get(row.kind, "Makes a smaller version of it, with the loss in sight")
        self.quantize_button.setToolTip(tip if usable else _why_not(row))
        self.report_button.setVisible(not adapter)
        self.report_button.setEnabled(usable)
        self.report_button.setToolTip("Measures what its quantizations lost, side by side" if usable else _why_not(row))

    def show_details(self, details: Any) -> None:
        """What the headers say (`RowDetails`)."""
        self._has_details = True
        _fill(self.metadata, [*details.metadata, *details.tokenizer])
        kinds = [(f"{number:,} tensors", "", kind, size(nbytes)) for kind, number, nbytes in details.kinds]
        rows = [
            (name.removesuffix(".weight"), shape, kind, size(nbytes))
            for name, shape, kind, nbytes in details.tensors[:MOST_TENSORS]
        ]
        _fill(self.tensors, [*kinds, *rows], strong=len(kinds))
        self.template.setPlainText(details.template or "This model brings no chat template; a plain one is used.")

    def show_details_problem(self, text: str) -> None:
        self._has_details = True
        self.template.setPlainText(text)
        _fill(self.metadata, [("", text)])
        _fill(self.tensors, [(text, "", "", "")])

    def _open_tab(self, place: int) -> None:
        self._stack.setCurrentIndex(place)
        if place and not self._has_details and self.row is not None:
            if self.row.problem:
                self.show_details_problem(f"{self.row.problem} {self.row.hint}".strip())
            else:
                self.details_wanted.emit(self.row)


def _why_not(row: Row) -> str:
    return row.problem or "An image projector is loaded beside its model"


def _table(heads: tuple[str, ...], name: str, said: str) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setObjectName(name)
    table.setAccessibleName(said)
    table.setHorizontalHeaderLabels(list(heads))
    plain_rows(table, 24)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    theme.mark(table, well=True)
    head = table.horizontalHeader()
    head.setHighlightSections(False)
    head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    if len(heads) == 2:
        table.setColumnWidth(0, 176)
        head.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    else:
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for place, wide in ((1, 112), (2, 64), (3, 72)):
            table.setColumnWidth(place, wide)
    return table


def _fill(table: QTableWidget, rows: list[tuple[str, ...]], strong: int = 0) -> None:
    table.setUpdatesEnabled(False)
    table.setRowCount(len(rows))
    for place, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text.replace("\n", " "))
            item.setToolTip(text if len(text) > 12 else "")
            if place < strong:
                font = theme.font("small")
                font.setWeight(font.Weight.DemiBold)
                item.setFont(font)
            table.setItem(place, column, item)
    table.setUpdatesEnabled(True)
    table.scrollToTop()
