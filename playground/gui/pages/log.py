"""The log: everything that was ever generated, with what made it so, and the way back to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import shiboken6
from PySide6.QtCore import QItemSelection, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHeaderView,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk
from playground.gui.widgets import log_model
from playground.gui.widgets.log_detail import LogDetail, record_json
from playground.gui.widgets.log_model import ROW, LogModel, LogProxy
from playground.gui.widgets.page_head import PageHead
from playground.gui.widgets.state_view import StateView
from playground.gui.widgets.table_head import plain_table
from playground.history.records import GenerationRow, TokenRow

FILTERED_AT_MOST = 20_000
"""so many generations are fetched by themselves for a filter or another order; beyond, the newest count"""
PROMPT_ROOM = 220
MARGINS = 40
LEAST_NEEDED = (log_model.SEED, log_model.PREFILL, log_model.SETTINGS, log_model.RATE, log_model.MODEL)
"""the columns that make room for the prompt, the first one first"""


class LogPage(QWidget):
    """Object names: `log.table`, `log.filter`, `log.count`, and those of `LogDetail`."""

    title = "Log"
    icon = "scroll-text"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._request = 0
        self._wanted = ""
        """a generation that is to be selected as soon as it is read"""
        self._model = LogModel(self)
        self._proxy = LogProxy(self._model, self)
        self._model.more_wanted.connect(self._fetch)
        self._filter_timer = QTimer(self, singleShot=True, interval=120)
        self._filter_timer.timeout.connect(self._apply_filter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        tip = "Keeps the rows that have all these words, in any column"
        head = PageHead("log", "Log", "Filter by prompt, model, setting…", tip, 272)
        self.count, self.filter = head.count, head.filter
        self.filter.textChanged.connect(lambda _text: self._filter_timer.start())
        column.addWidget(head)
        self._stack = QStackedWidget()
        column.addWidget(self._stack, 1)
        self._stack.addWidget(self._content())
        self.state = StateView("log")
        self._stack.addWidget(self.state)
        self.setFocusProxy(self.table)
        self.refresh()

    # -- parts

    def _content(self) -> QWidget:
        self.table = QTableView()
        self.table.setObjectName("log.table")
        self.table.setAccessibleName("Generations")
        self.table.setToolTip("")
        self.table.setModel(self._proxy)
        head = plain_table(self.table)
        head.setMinimumSectionSize(56)
        for place, column in enumerate(log_model.COLUMNS):
            head.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
            self.table.setColumnWidth(place, column.width)
        head.setSectionResizeMode(log_model.PROMPT, QHeaderView.ResizeMode.Stretch)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(log_model.WHEN, Qt.SortOrder.DescendingOrder)
        head.sortIndicatorChanged.connect(lambda *_: self._fetch_on())
        self.table.selectionModel().selectionChanged.connect(self._selected)
        self.table.doubleClicked.connect(lambda index: self._open(index.data(ROW)))
        self.detail = LogDetail()
        self.detail.hide()
        self.detail.open_wanted.connect(self._open)
        self.detail.replay_wanted.connect(self._replay)
        self.detail.inside_wanted.connect(lambda row: self._desk.open_page("inside", generation_id=row.id, tab="text"))
        self.detail.export_wanted.connect(self._ask_export)
        self.detail.copy_wanted.connect(lambda text: QGuiApplication.clipboard().setText(text))
        self.detail.closed.connect(self.table.clearSelection)
        holder = QFrame()
        theme.mark(holder, surface="surface")
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(16, 0, 8, 0)
        inner.addWidget(self.table)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(holder)
        self._splitter.addWidget(self.detail)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setSizes([760, 420])
        self.detail.setMinimumWidth(400)
        return self._splitter

    # -- states

    def _say(self, title: str, text: str, button: str = "", way_out: Callable[[], None] | None = None) -> None:
        self.state.say(title, text, button, way_out)
        self._stack.setCurrentWidget(self.state)

    def _show_state(self) -> None:
        total = self._model.rowCount()
        shown = self._proxy.rowCount()
        if not total and self._model.complete:
            self._say(
                "Nothing has been generated yet",
                "Every reply is kept here with its settings, seed and timing,\nand can be decoded again, token for token.",
                "Start a chat",
                lambda: self._desk.open_page("chat"),
            )
        elif total:
            self._stack.setCurrentIndex(0)
        what = "generation" if total == 1 else "generations"
        more = "" if self._model.complete else " so far"
        text = f"{total:,} {what}{more}" if shown == total else f"{shown:,} of {total:,}{more}"
        self.count.setText(text if total else "")

    # -- rows

    def refresh(self) -> None:
        """Reads the log from its beginning."""
        self._model.reset()
        self._say("Reading the log…", "")
        self._model.fetchMore(self.table.rootIndex())

    def _fetch(self, limit: int, offset: int) -> None:
        self._request += 1
        request = self._request

        def take(rows: list[GenerationRow]) -> None:
            if request == self._request:
                self._model.add_page(rows, limit)
                self._show_state()
                self._select_wanted()
                self._fetch_on()

        def fail(error: BaseException) -> None:
            if request == self._request:
                text = getattr(error, "message", "") or "The log could not be read."
                self._say(
                    "The log could not be read", f"{text} {getattr(error, 'hint', '')}".strip(), "Try again", self.refresh
                )

        try:
            future = self._desk.session.generations(limit, offset)
        except PlaygroundError:  # the store is not open yet: `StoreReady` will bring us here again
            return
        self._desk.when_done(future, self, take, fail)

    def _fetch_on(self) -> None:
        """A filter, and any order but the newest first, is only true of what has been fetched, and what is wanted may be older: fetch on."""
        head = self.table.horizontalHeader()
        newest_first = head.sortIndicatorSection() == log_model.WHEN and (
            head.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder
        )
        if (self.filter.text().strip() or not newest_first or self._wanted) and self._model.rowCount() < FILTERED_AT_MOST:
            self._model.fetchMore(self._model.index(-1, -1))

    def _apply_filter(self) -> None:
        self._proxy.set_words(self.filter.text())
        self._show_state()
        self._fetch_on()

    def handle(self, event: Any) -> None:
        """A generation that begins or ends; the store that is open."""
        if isinstance(event, events.StoreReady):
            self.refresh()
        elif isinstance(event, events.GenerationFinished):
            self._model.put(event.generation)
            self._show_state()
            if self.detail.row is not None and self.detail.row.id == event.generation.id:
                self._show_row(event.generation)
        elif isinstance(event, events.GenerationStarted):
            self._desk.when_done(self._desk.session.generation(event.generation_id), self, self._put, lambda error: None)

    def _put(self, row: GenerationRow) -> None:
        if row.state != "streaming" or self._model.place_of(row.id) < 0:
            self._model.put(row)
            self._show_state()

    # -- one of them

    def open(self, generation_id: str = "") -> None:
        """Selects a generation, as soon as it has been read."""
        self._wanted = generation_id
        self._select_wanted()
        self._fetch_on()

    def _select_wanted(self) -> None:
        place = self._model.place_of(self._wanted)
        if place >= 0:
            self._wanted = ""
            index = self._proxy.mapFromSource(self._model.index(place, 0))
            self.table.selectRow(index.row())
            self.table.scrollTo(index)

    def _selected(self, _new: QItemSelection, _old: QItemSelection) -> None:
        rows = self.table.selectionModel().selectedRows()
        self.detail.setVisible(bool(rows))
        self._fit_columns()
        if rows:
            self._show_row(rows[0].data(ROW))

    def _show_row(self, row: GenerationRow) -> None:
        self.detail.show_row(row)

        def take(tokens: list[TokenRow]) -> None:
            if self.detail.row is not None and self.detail.row.id == row.id:
                self.detail.show_tokens(tokens)

        self._desk.when_done(self._desk.session.tokens(row.id), self, take)

    def _open(self, row: GenerationRow) -> None:
        if row.column_id:
            self._desk.open_page("compare", comparison_id=row.session_id)
            return
        self._desk.open_page("chat", chat_id=row.session_id, message_id=row.message_id)

    # -- replay, export

    def _replay(self, row: GenerationRow) -> None:
        self.detail.show_outcome("Decoding it again…", fraction=-1.0)

        def still() -> bool:
            return shiboken6.isValid(self) and self.detail.row is not None and self.detail.row.id == row.id

        def progress(fraction: float) -> None:  # on a thread of the session's
            on_window_thread(lambda: self.detail.show_outcome("Decoding it again…", fraction=fraction) if still() else None)

        def fail(error: BaseException) -> None:
            if still():
                text = getattr(error, "message", "") or str(error)
                self.detail.show_outcome(f"{text} {getattr(error, 'hint', '')}".strip(), "bad")

        answer: Future[events.ReplayResult] = self._desk.session.replay(row.id, progress)
        self._desk.when_done(answer, self, lambda result: self.detail.show_replay(result) if still() else None, fail)

    def _ask_export(self, row: GenerationRow) -> None:
        dialog = QFileDialog(self.window(), "Export", str(Path.home() / f"generation-{row.id}.json"), "JSON (*.json)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.fileSelected.connect(lambda file: self.export(row, Path(file)))
        dialog.open()

    def export(self, row: GenerationRow, file: Path) -> None:
        """Writes a generation with its tokens into a file."""

        def write(tokens: list[TokenRow]) -> None:
            try:
                file.write_text(record_json(row, tokens), encoding="utf-8")
            except OSError as error:
                self._desk.notify(f"{file.name} could not be written: {error.strerror}.", "Choose another place.", "error")
            else:
                self._desk.notify(f"Written to {file}.", key="export")

        self._desk.when_done(self._desk.session.tokens(row.id), self, write)

    # -- Qt

    def _fit_columns(self) -> None:
        """In a narrow table the columns go first that the details show as well."""
        room = self.width() - (430 if self.detail.isVisible() else 0) - MARGINS - PROMPT_ROOM
        widths = {place: column.width for place, column in enumerate(log_model.COLUMNS) if place != log_model.PROMPT}
        for place in LEAST_NEEDED:
            crowded = sum(widths.values()) > room
            if crowded:
                del widths[place]
            self.table.setColumnHidden(place, crowded)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_columns()
