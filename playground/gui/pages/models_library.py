"""The models page's first view: what is on this computer, with the details of one. Knows the shelf and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QFile, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QFrame, QLabel, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from playground.errors import StorageError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import size
from playground.gui.widgets.library_model import LibraryModel
from playground.gui.widgets.library_table import LibraryTable
from playground.gui.widgets.state_view import StateView

if TYPE_CHECKING:
    from playground.gui.widgets.library_detail import LibraryDetail
    from playground.models.library import Row


class LibraryView(QWidget):
    """`chat_wanted(path)`, `hub_wanted`; the page gives it the shelf's events."""

    chat_wanted = Signal(str)
    adapter_wanted = Signal(object)
    """an adapter's row: its model is to be loaded with it on"""
    quantize_wanted = Signal(object)
    report_wanted = Signal(object)
    hub_wanted = Signal()
    summary = Signal(str)
    """how many there are, for the page's bar"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._shelf: Any = None
        self._detail: LibraryDetail | None = None
        self._held: dict[str, int] = {}
        self._request = 0
        self._wanted_path = ""
        self.model = LibraryModel(self)
        self.complete = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        self._stack = QStackedWidget(self)
        column.addWidget(self._stack)
        self._stack.addWidget(self._content())
        self.state = StateView("models.library", self._stack)
        self._stack.addWidget(self.state)
        self._filter_timer = QTimer(self)
        self._filter_timer.setSingleShot(True)
        self._filter_timer.setInterval(120)
        self._filter_timer.timeout.connect(self._apply_filter)
        self._words = ""
        self.setFocusProxy(self.table)
        self.state.say("Looking for models…", "", busy=True)
        self._stack.setCurrentWidget(self.state)

    def _content(self) -> QWidget:
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self._stack)
        self._splitter.setChildrenCollapsible(False)
        holder = QFrame(self._splitter)
        theme.mark(holder, surface="surface")
        self.table = LibraryTable(self.model, holder)
        self.table.chosen.connect(self._choose)
        self.table.opened.connect(lambda row: self._chat(row))
        self.table.rows_seen.connect(self._ask_verdicts)
        self.notices = QLabel(holder)
        self.notices.setObjectName("models.notices")
        self.notices.setWordWrap(True)
        theme.mark(self.notices, role="muted")
        self.notices.hide()
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(16, 0, 8, 0)
        inner.setSpacing(0)
        inner.addWidget(self.table, 1)
        inner.addWidget(self.notices)
        return self._splitter

    @property
    def detail(self) -> LibraryDetail:
        """The details, made when they are first wanted."""
        if self._detail is None:
            from playground.gui.widgets.library_detail import LibraryDetail

            made = LibraryDetail(self._shelf.fits if self._shelf is not None else None, self._splitter)
            made.hide()
            self._detail = made
            made.closed.connect(self.table.clearSelection)
            made.chat_wanted.connect(self._chat)
            made.quantize_wanted.connect(self.quantize_wanted)
            made.report_wanted.connect(self.report_wanted)
            made.copy_wanted.connect(self._copy)
            made.reveal_wanted.connect(self._reveal)
            made.remove_wanted.connect(self._remove)
            made.details_wanted.connect(self._read_details)
            made.setMinimumWidth(376)
            made.setMaximumWidth(520)
            self._splitter.addWidget(made)
            self._splitter.setStretchFactor(0, 1)
            self._splitter.setSizes([760, 400])
        return self._detail

    # -- events of the shelf

    def set_shelf(self, shelf: Any) -> None:
        """The shelf is there; None where there is none."""
        self._shelf = shelf
        if shelf is None:
            self.complete = True
            self._show_state()

    def take(self, event: Any) -> None:
        """Rows, as they are found or all of them."""
        if event.complete:
            self.complete = True
            self.model.settle(event.rows)
            self.notices.setText(
                "  ".join(event.notices[:3]) + (f"  And {len(event.notices) - 3} more." if event.notices[3:] else "")
            )
            self.notices.setToolTip("\n".join(event.notices))
            self.notices.setVisible(bool(event.notices))
        else:
            self.model.merge(event.rows)
        self._show_state()
        if self._wanted_path and self.table.select(self._wanted_path):
            self._wanted_path = ""
        shown = self._detail.row if self._detail is not None else None
        if event.complete and shown is not None:
            now = self.model.row_at(shown.path)
            if now is None:
                self.table.clearSelection()
                self.detail.hide()
                self.detail.row = None
            elif now != shown:
                self._choose(now)

    def take_verdicts(self, event: Any) -> None:
        self.model.set_verdicts(event.verdicts)

    def set_held(self, held: dict[str, int]) -> None:
        """Another model is loaded now: what it holds counts as free."""
        if held != self._held:
            self._held = held
            self.model.forget_verdicts()
            if self._detail is not None:
                self._detail.fit.set_held(held)
            self._ask_verdicts(self.table.seen())

    def show_measured(self, fit: Any) -> None:
        """What a load took (`FitRow`), beside the prediction, if it is the model that is shown."""
        if self._detail is None:
            return
        row = self.detail.row
        self.detail.fit.show_measured(fit if fit is not None and row is not None and fit.model_path == row.path else None)

    # -- what is shown

    def set_words(self, text: str) -> None:
        """Filters, as is typed."""
        self._words = text
        self._filter_timer.start()

    def select(self, path: str) -> None:
        """Selects a model, now or once it is found."""
        if not self.table.select(path):
            self._wanted_path = path

    def _apply_filter(self) -> None:
        chosen = self.table.row()
        self.model.set_words(self._words)
        if chosen is not None:
            self.table.select(chosen.path)
        self._show_state()

    def _show_state(self) -> None:
        total, shown = self.model.total, self.model.rowCount()
        if not total and self.complete:
            self.state.say(
                "No models on this computer yet",
                "Get one from the hub, or drop a GGUF file or a folder here. Models of LM Studio, Ollama and the Hugging Face cache "
                "appear by themselves.",
                "Search the hub",
                self.hub_wanted.emit,
                "boxes",
            )
            self._stack.setCurrentWidget(self.state)
        elif not total:
            self.state.say("Looking for models…", "", busy=True)
            self._stack.setCurrentWidget(self.state)
        elif not shown:
            self.state.say("No model has all these words", "", icon="search")
            self._stack.setCurrentWidget(self.state)
        elif self._stack.currentIndex() != 0:
            self._stack.setCurrentIndex(0)
            focused = self.window().focusWidget()
            if self.isVisible() and (focused is None or not self._page().isAncestorOf(focused)):
                self.table.setFocus()  # the table was not there yet when the page was opened
        what = "model" if total == 1 else "models"
        text = f"{total:,} {what}, {size(self.model.bytes())}" if shown == total else f"{shown:,} of {total:,} {what}"
        self.summary.emit(text + ("" if self.complete else "…") if total else "")

    def _page(self) -> QWidget:
        """What the focus may be anywhere in without being taken away: the page around this view."""
        stack = self.parentWidget()
        return (stack.parentWidget() if stack is not None else None) or self

    def _choose(self, row: Row | None) -> None:
        if row is None:
            if self._detail is not None:
                self._detail.hide()
                self._detail.row = None
            return
        self.detail.show()
        before = self.detail.row
        if before is not None and (before.path, before.changed, before.problem) == (row.path, row.changed, row.problem):
            self.detail.show_row(row)
            return
        self.detail.show_row(row)
        self._request += 1
        request = self._request
        self.detail.fit.show_measured(None)
        if row.problem:
            self.detail.fit.show_message("A damaged model is not estimated.")
            return
        if row.kind not in ("gguf", "safetensors"):
            self.detail.fit.show_message("It is loaded beside its model; what that takes is estimated there.")
            return
        if self._shelf is None:
            return

        def take(subject: Any) -> None:
            if request == self._request:
                self.detail.fit.show_subject(subject, self._held, row.path)

        def fail(error: BaseException) -> None:
            if request == self._request:
                self.detail.fit.show_message(f"{getattr(error, 'message', error)} {getattr(error, 'hint', '')}".strip())

        self._desk.when_done(self._shelf.fits.of_row(row), self, take, fail)
        fits = getattr(self._desk.session, "fits", None)
        if fits is not None:
            self._desk.when_done(fits(row.path, 1), self, lambda found: self._show_last(request, found), lambda error: None)

    def _show_last(self, request: int, found: Any) -> None:
        state = self._desk.session.model
        if request == self._request and found and state.info is not None:
            self.show_measured(found[0] if found[0].model_path == state.info.path else None)

    def _ask_verdicts(self, rows: list[Row]) -> None:
        unknown = [row for row in rows if self.model.verdict_of(row) is None and not row.problem]
        if unknown and self._shelf is not None:
            self._shelf.fits.verdicts(unknown, self._held)

    def _read_details(self, row: Row) -> None:
        if self._shelf is None:
            return

        def still() -> bool:
            return self.detail.row is not None and self.detail.row.path == row.path

        self._desk.when_done(
            self._shelf.details(row),
            self,
            lambda details: self.detail.show_details(details) if still() else None,
            lambda error: self.detail.show_details_problem(str(error)) if still() else None,
        )

    # -- what can be done

    def _chat(self, row: Row | None) -> None:
        if row is None or row.problem:
            return
        if row.kind in ("gguf", "safetensors"):
            self.chat_wanted.emit(row.path)
        elif row.kind == "adapter":
            self.adapter_wanted.emit(row)

    def _copy(self, row: Row) -> None:
        QGuiApplication.clipboard().setText(row.path)
        self._desk.notify("The path is in the clipboard.", key="models.copy")

    def _reveal(self, row: Row) -> None:
        folder = Path(row.path)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder if folder.is_dir() else folder.parent)))

    def _remove(self, row: Row) -> None:
        if self._shelf is None:
            return
        taken_off = row.place == "added" and not row.removable
        said = f"{row.name} is off the list." if taken_off else f"{row.name} is in the trash."
        self.detail.remove_button.setEnabled(False)

        def fail(error: BaseException) -> None:
            if self.detail.row == row:  # another one may not be ours to remove
                self.detail.remove_button.setEnabled(True)
            self._desk.notify(getattr(error, "message", str(error)), getattr(error, "hint", ""), "error", key="models.remove")

        self._desk.when_done(
            self._shelf.remove(row, to_trash), self, lambda _none: self._desk.notify(said, key="models.remove"), fail
        )

    def ask_for_folder(self) -> None:
        """Lets a folder be chosen whose models belong to the library from now on."""
        dialog = QFileDialog(self.window(), "Add a folder of models", str(Path.home()))
        dialog.setObjectName("models.folder")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda folder: self.add([folder]))
        dialog.open()

    def add(self, paths: list[str]) -> None:
        """Adds files and folders where they lie; each that is no model is told in a sentence."""
        if self._shelf is None:
            return
        for path in paths:
            self._desk.when_done(self._shelf.add(path), self, self._added)

    def _added(self, row: Row | None) -> None:
        if row is not None:
            self.select(row.path)
        self._desk.notify(f"{row.name} is in the list." if row is not None else "The folder is in the list.", key="models.add")


def to_trash(path: Path) -> None:
    """The system's trash. StorageError where there is none."""
    done = QFile.moveToTrash(str(path))
    if not (done[0] if isinstance(done, tuple) else done):
        raise StorageError(f"{path.name} could not be moved to the trash.", f"It lies at {path}.")
