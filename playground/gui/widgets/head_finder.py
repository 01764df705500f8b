"""Which head does what: all heads by their pattern scores, sorted, filtered, explained, written to a file. A view of `InsideState`.

The scores were added up while the text was captured and lie in its file: nothing is computed here but their difference.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from playground.errors import StorageError
from playground.gui import theme
from playground.gui.widgets import glossary
from playground.gui.widgets.head_table import COLUMNS, HEAD, INDUCTION, HeadTable
from playground.gui.widgets.inside_state import InsideState, stopped
from playground.inside import finding
from playground.inside import look as looks


class HeadFinder(QFrame):
    """Object names: `inside.finder`, `inside.finder_filter`, `inside.finder_count`, `inside.finder_export`."""

    def __init__(self, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.finder_view")
        theme.mark(self, surface="surface")
        self.state = state
        self._sorted = False
        self._waits = False
        """whether the scores of two texts' beginnings are being computed"""
        self.table = HeadTable()
        self.filter = QLineEdit()
        self.filter.setObjectName("inside.finder_filter")
        self.filter.setAccessibleName("Filter heads")
        self.filter.setPlaceholderText("induction > 0.3, layer 2")
        self.filter.setToolTip(
            "Keeps the heads for which all of this is true: a score (induction > 0.3, sink < 0.5, local), layer 2, head < 4, or 3.5 for one head"
        )
        self.filter.setClearButtonEnabled(True)
        self.filter.setFixedWidth(304)
        self.filter.addAction(theme.icon("list-filter", "muted", 16), QLineEdit.ActionPosition.LeadingPosition)
        self.count = QLabel()
        self.count.setObjectName("inside.finder_count")
        theme.mark(self.count, role="muted")
        self.export_button = QPushButton("Export…")
        self.export_button.setObjectName("inside.finder_export")
        self.export_button.setAccessibleName("Export scores")
        self.export_button.setToolTip("Writes the scores of the heads that are seen into a CSV file")
        theme.bind_icon(self.export_button, "download", "muted")
        self._build()
        self.filter.textChanged.connect(self._filter)
        self.table.picked.connect(lambda layer, head: state.set_look("head", layer, head))
        self.export_button.clicked.connect(self._ask_export)
        state.captures_changed.connect(self._show)
        state.look_changed.connect(self._look_changed)
        self._seen = ""
        self._show()

    def _build(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(16, 8, 16, 8)
        bar.setSpacing(16)
        bar.addWidget(self.filter)
        bar.addWidget(self.count)
        bar.addStretch(1)
        bar.addWidget(self.export_button)
        terms = QHBoxLayout()
        terms.setContentsMargins(27, 0, 16, 8)
        terms.setSpacing(16)
        for column in COLUMNS[1:]:
            terms.addWidget(glossary.known(f"head_{column.score}"))
        terms.addStretch(1)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(0, 0, 0, 0)
        column_.setSpacing(0)
        column_.addLayout(bar)
        column_.addLayout(terms)
        holder = QHBoxLayout()
        holder.setContentsMargins(16, 0, 8, 8)
        holder.addWidget(self.table)
        column_.addLayout(holder, 1)

    # -- what it shows

    def _look_changed(self) -> None:
        if self._seen != self.state.view:
            self._show()
        else:
            self._choose()

    def _show(self) -> None:
        state = self.state
        self._seen = state.view
        a, b, rows = state.a, state.b, []
        self._waits = False
        state.forget("heads")
        if state.signed and state.partly and a is not None and b is not None:
            count, self._waits = looks.compared(a.header, b.header), True
            state.ask("heads", lambda: finding.heads_of_beginning(a, b, count, stopped), self, self._take, kind="long")
        elif state.signed and a is not None:
            rows = finding.heads(a, b)
        elif state.capture is not None:
            rows = finding.heads(state.capture)
        self._show_rows(rows)

    def _take(self, rows: list[finding.HeadRow]) -> None:
        self._waits = False
        self._show_rows(rows)

    def _show_rows(self, rows: list[finding.HeadRow]) -> None:
        self.table.rows.show_rows(rows, self.state.signed)
        if rows and not self._sorted:
            self._sorted = True
            told = any(row.scores[COLUMNS[INDUCTION].score] == row.scores[COLUMNS[INDUCTION].score] for row in rows)
            self.table.sortByColumn(
                INDUCTION if told else HEAD, Qt.SortOrder.DescendingOrder if told else Qt.SortOrder.AscendingOrder
            )
        self._say()
        self._choose()
        self.table.scrollToTop()  # what is chosen may stand far below what the order is there for

    def _choose(self) -> None:
        look = self.state.look
        self.table.choose(look.layer, look.head) if look.mode == "head" else self.table.choose(-1, -1)

    def _filter(self) -> None:
        keeps, unread = finding.read_filter(self.filter.text())
        self.table.rows.keep(keeps)
        theme.mark(self.filter, invalid=bool(unread))
        self._say(unread)
        self._choose()

    def _say(self, unread: str = "") -> None:
        shown, total = len(self.table.rows.rows()), self.table.rows.total
        if unread:
            self.count.setText(f"“{unread}” is no filter: write induction > 0.3, layer 2 or 3.5")
        elif self._waits:
            self.count.setText("Computing the scores of what is compared…")
        else:
            self.count.setText(f"{total:,} heads" if shown == total else f"{shown:,} of {total:,} heads")
        theme.mark(self.count, role="warn" if unread else "muted")
        self.export_button.setEnabled(bool(shown))

    # -- out

    def _ask_export(self) -> None:
        dialog = QFileDialog(self.window(), "Export scores", str(Path.home() / "heads.csv"), "CSV (*.csv)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.fileSelected.connect(lambda file: self.export(Path(file)))
        dialog.open()

    def export(self, file: Path) -> None:
        """Writes the scores of the heads that are seen, in their order; what goes wrong is told by the page."""
        from playground.conversion.whole_file import whole_file

        try:
            with whole_file(file) as part:
                part.write_text(finding.to_csv(self.table.rows.rows()), "utf-8")
        except StorageError as error:
            self.state.failed.emit(error)
