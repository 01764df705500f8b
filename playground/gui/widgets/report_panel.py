"""The part of the Models page that measures what quantizations cost: choices at the left, picture and table at the right.

Nothing waits for a measurement: rows come into picture and table as they are measured, and earlier reports open again. Knows the workshop's
intents and its jobs. Object names begin with `report`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import amount, duration, size
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead
from playground.gui.widgets.report_form import FILE, PASTED, ReportForm
from playground.gui.widgets.report_plot import Point, ReportPlot, loss_text
from playground.gui.widgets.report_table import ReportModel, ReportTable, shown_name, to_csv, to_markdown
from playground.gui.widgets.state_view import StateView

if TYPE_CHECKING:
    from playground.protocol import QualityRow
    from playground.session.workshop_jobs import Making

SIDE = 304


class ReportPanel(QWidget):
    """`open` shows a model and what can be held against it, `take` a change of a job."""

    closed = Signal()
    chat_wanted = Signal(str)
    library_wanted = Signal(str)
    make_wanted = Signal(str, str)
    """the original's path, and a type that was made for the measurement only"""

    def __init__(self, desk: Desk, form: ReportForm | None = None, table: ReportTable | None = None) -> None:
        """Form and table may be made before, to have shorter steps."""
        super().__init__()
        self.setObjectName("report")
        self.form = form or ReportForm()
        self.table = table or ReportTable(ReportModel(self))
        self.model = self.table.rows
        self._desk = desk
        self._workshop: Any = None
        self._job = ""
        self._making: Making | None = None
        self._shown: tuple[QualityRow, ...] = ()
        self._kept: list[Any] = []
        self._chosen = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._make_head())
        across = QHBoxLayout()
        across.setSpacing(0)
        column.addLayout(across, 1)
        across.addWidget(self._left())
        across.addWidget(self._right(), 1)
        self.foot = JobFoot("report")
        column.addWidget(self.foot)
        self.setFocusProxy(self.form.models)
        self._show_rows(())
        self._show_foot()

    # -- parts

    def _make_head(self) -> PartHead:
        self.head = PartHead("report", "Back to the models")
        self.head.closed.connect(self.closed)
        self.earlier = QComboBox()
        self.earlier.setObjectName("report.earlier")
        self.earlier.setAccessibleName("Earlier reports")
        self.earlier.setToolTip("Reports that were made before")
        self.earlier.setMinimumWidth(216)
        theme.mark(self.earlier, compact=True)
        self.earlier.activated.connect(self._open_earlier)
        self.export = QPushButton("Export")
        self.export.setObjectName("report.export")
        self.export.setAccessibleName("Export")
        self.export.setToolTip("The table as CSV or Markdown, the picture as PNG or SVG")
        theme.bind_icon(self.export, "file-down", "muted")
        menu = QMenu(self.export)
        menu.setObjectName("report.export.menu")
        for name, text, run in (
            ("csv", "Table as CSV…", lambda: self._ask_save("csv")),
            ("md", "Table as Markdown…", lambda: self._ask_save("md")),
            ("copy", "Copy table as Markdown", self._copy),
            ("png", "Picture as PNG…", lambda: self._ask_save("png")),
            ("svg", "Picture as SVG…", lambda: self._ask_save("svg")),
        ):
            action = menu.addAction(text)
            action.setObjectName(f"report.export.{name}")
            action.triggered.connect(lambda _checked=False, run=run: run())
        self.export.setMenu(menu)
        self.head.row.addWidget(self.earlier)
        self.head.row.addWidget(self.export)
        return self.head

    def _left(self) -> QWidget:
        holder = QFrame(self)
        theme.mark(holder, surface="window", line="right")
        holder.setFixedWidth(SIDE)
        column = QVBoxLayout(holder)
        column.setContentsMargins(24, 16, 24, 12)
        self.form.changed.connect(self._show_foot)
        column.addWidget(self.form)
        return holder

    def _right(self) -> QWidget:
        self.plot = ReportPlot()
        self.plot.picked.connect(self._pick)
        self.table.picked.connect(self._pick)
        self.table.doubleClicked.connect(lambda index: self.library_wanted.emit(self.model.row(index.row()).path))
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        self._stack = QStackedWidget(self)
        splitter = QSplitter(Qt.Orientation.Vertical, self._stack)
        above, below = QFrame(splitter), QFrame(splitter)
        for frame, widget, margins in ((above, self.plot, (12, 8, 12, 4)), (below, self.table, (16, 0, 8, 4))):
            theme.mark(frame, surface="surface")
            inner = QVBoxLayout(frame)
            inner.setContentsMargins(*margins)
            inner.addWidget(widget)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(above)
        splitter.addWidget(below)
        splitter.setSizes([272, 224])
        for place in (0, 1):
            splitter.setStretchFactor(place, 1)
        below.setMinimumHeight(112)
        self._stack.addWidget(splitter)
        self.state = StateView("report")
        self._stack.addWidget(self.state)
        return self._stack

    # -- what is shown

    def set_workshop(self, workshop: Any) -> None:
        """Who measures."""
        self._workshop = workshop
        self._ask_earlier()
        self._show_foot()

    def open(self, rows: Sequence[Any], path: str, chosen: Sequence[str] | None = None) -> None:
        """The library's rows, a model of them, and the paths to measure (None: all versions that there are).

        With `chosen` the model is the original; without, the one in the most bits is.
        """
        original = path if chosen is not None else self.form.best_original(rows, path)
        self.form.show_rows(rows, original, chosen)
        for each in chosen or ():
            if each not in self.form.chosen():
                self.form.add_file(each)  # just made: the library will list it in a moment
        name = next((row.name for row in rows if row.path == original), Path(original).name)
        self.head.show_title("Quality report", name)
        if self._shown and self._shown[0].path != original and self._at_work() is None:
            self._show_rows(())
        self._ask_earlier()
        self._show_foot()

    def rows(self) -> tuple[QualityRow, ...]:
        """What is shown, the original first."""
        return self._shown

    def _show_rows(self, rows: Sequence[QualityRow]) -> None:
        from playground.session.reports import front

        self._shown = tuple(rows)
        self.export.setEnabled(len(rows) > 1)
        if not rows:
            busy = self._at_work() is not None
            text = "" if busy else "Perplexity and the distance to the original's distributions, beside size, speed and memory."
            title = "Measuring…" if busy else "What does it cost to be small?"
            self.state.say(title, text, icon="" if busy else "chart-scatter", busy=busy)
            self._stack.setCurrentWidget(self.state)
            return
        best = front(rows)
        original = rows[0]
        points = [
            Point(
                row.path, row.quantization or row.name, row.size, row.kl_divergence, row.kl_error, row.path in best, _tip(row)
            )
            for row in rows[1:]
        ]
        self.plot.show_points(points, (original.quantization, original.size))
        self.model.show_rows(rows, best, original.path)
        self._stack.setCurrentIndex(0)
        self._pick(self._chosen if self._chosen in {row.path for row in rows} else "")

    def _pick(self, path: str) -> None:
        self._chosen = path
        self.plot.choose(path)
        self.table.choose(path)
        self._show_foot()

    # -- earlier ones

    def _ask_earlier(self) -> None:
        if self._workshop is not None:
            self._desk.when_done(self._workshop.reports(), self, self._list_earlier, lambda error: None)

    def _list_earlier(self, reports: Sequence[Any]) -> None:
        self._kept = list(reports)
        self.earlier.clear()
        self.earlier.addItem("Earlier reports" if reports else "No earlier reports")
        for report in reports:
            when = time.strftime("%d %b, %H:%M", time.localtime(report.made))
            others = len(report.rows) - 1
            what = f"{report.original.name}, {others} model{'s' if others != 1 else ''}"
            self.earlier.addItem(f"{when}  {what}")
            self.earlier.setItemData(self.earlier.count() - 1, f"On {report.text}", Qt.ItemDataRole.ToolTipRole)
        self.earlier.setEnabled(bool(reports))

    def _open_earlier(self, place: int) -> None:
        if place > 0 and self._at_work() is None:
            report = self._kept[place - 1]
            self._making = None
            self.head.show_title("Quality report", f"{report.original.name}  ·  on {report.text}")
            self._show_rows(report.rows)
            self._show_foot()

    # -- the job

    def _at_work(self) -> Making | None:
        return self._making if self._making is not None and not self._making.ended else None

    def _show_foot(self) -> None:
        if not hasattr(self, "foot"):
            return
        making = self._making
        if making is not None and not making.ended:
            step = "Waits for another job" if making.state == "queued" else making.step or "Starting"
            percent = f"{making.fraction:.0%}" if making.fraction >= 0 else ""
            left = f"{duration(making.seconds_left)} left" if making.seconds_left > 0 else ""
            ending = making.state == "cancelling"
            cancel = Press(
                "cancel", "Cancelling…" if ending else "Cancel", "Ends it; what is measured stays on screen", self._cancel
            )
            detail = "  ·  ".join(each for each in (percent, step, left) if each)
            self.foot.show_working(making.title, making.fraction, detail, cancel)
        elif making is not None and making.state == "failed":
            again = Press("again", "Back", "Back to the choices", self._put_away, True)
            self.foot.show_failed(making.message or "It did not work.", making.hint, again)
        else:
            self._show_ready()

    def _show_ready(self) -> None:
        missing = self.form.missing()
        models, types = len(self.form.chosen()), len(self.form.types())
        made = f"Makes {types} type{'s' if types != 1 else ''}, then reads" if types else "Reads"
        count = models + types
        what = f"{made} the text with the original and {count} model{'s' if count != 1 else ''}, one after the other."
        detail = missing or "Speed is measured too: let the machine rest meanwhile."
        tip = missing or "Starts; the window goes on meanwhile"
        enabled = not missing and self._workshop is not None
        row = next((row for row in self._shown if row.path == self._chosen), None)
        if row is None:
            text = "Measure again" if self._shown else "Measure"
            start = Press("start", text, tip, self._start, True, enabled=enabled)
            self.foot.show_ready(what if not missing else "Nothing to measure yet", detail, start)
            return
        kl = f"KL {loss_text(row.kl_divergence)} ± {loss_text(row.kl_error)}"
        said = f"{size(row.size)}  ·  {kl}  ·  {row.top1_agreement * 100:.1f} % the same token"
        presses = [Press("start", "Measure again", tip, self._start, enabled=enabled)]
        if not Path(row.path).exists():  # made for the measurement only, or gone
            make = lambda: self.make_wanted.emit(self._shown[0].path, row.quantization)  # noqa: E731
            presses.append(Press("make", f"Quantize to {row.quantization}", "Opens the choice with this type", make, True))
        else:
            show = lambda: self.library_wanted.emit(row.path)  # noqa: E731
            chat = lambda: self.chat_wanted.emit(row.path)  # noqa: E731
            presses.append(Press("show", "Show in library", "Selects it among the models", show))
            presses.append(Press("chat", "Chat with it", "Loads it and opens the chat", chat, True))
        self.foot.show_ready(shown_name(row), said, *presses)

    def _start(self) -> None:
        if self._workshop is None or self.form.missing() or self._at_work() is not None:
            return
        try:
            text = self._text()
            more = {"types": tuple(self.form.types()), "keep": self.form.keep.isChecked()}
            original, models, chunks = self.form.original_path(), self.form.chosen(), self.form.chunks()
            self._job = self._workshop.report(original, models, text, chunks=chunks, **more)
        except (PlaygroundError, OSError) as error:
            self._desk.notify(getattr(error, "message", str(error)), getattr(error, "hint", ""), "error", key="report")
            return
        self._making = next((each for each in self._workshop.list() if each.id == self._job), None)
        self._chosen = ""
        self.earlier.setCurrentIndex(0)
        self._show_rows(self._making.rows if self._making is not None else ())
        self._show_foot()

    def _text(self) -> str:
        """The text's file; a pasted one is put into the cache, named by what it says."""
        kind = self.form.text.currentData()
        if kind == FILE:
            return self.form.file.text()
        if kind != PASTED:
            return ""
        words = self.form.pasted.toPlainText().encode("utf-8", "replace")
        file = self._desk.home.cache / "texts" / f"pasted-{hashlib.sha256(words).hexdigest()[:12]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(words)
        return str(file)

    def _cancel(self) -> None:
        if self._at_work() is not None:
            self._workshop.cancel(self._job)

    def _put_away(self) -> None:
        self._making = None
        self._show_rows(self._shown)
        self._show_foot()

    def take(self, event: Any) -> None:
        """A job of the workshop is new, further, or gone (`JobChanged`)."""
        making = event.making
        if making.id != self._job:
            return
        before, self._making = self._making, making
        if making.rows != self._shown or (making.ended and (before is None or not before.ended)):
            self._show_rows(making.rows)
        if making.state in ("done", "cancelled"):
            self._making = None
        if making.state == "done":
            self._ask_earlier()
        self._show_foot()

    # -- out

    def _ask_save(self, form: str) -> None:
        name = f"quality of {self._shown[0].name}.{form}" if self._shown else f"quality.{form}"
        dialog = QFileDialog(self.window(), "Export", str(Path.home() / name), f"{form.upper()} (*.{form})")
        dialog.setObjectName("report.export.dialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(form)
        dialog.fileSelected.connect(self.save)
        dialog.open()

    def save(self, file: str) -> None:
        """Writes the table (`.csv`, `.md`) or the picture (`.png`, `.svg`), told by the ending."""
        ending = Path(file).suffix.lower()
        rows = self.model.rows()
        writers: dict[str, Callable[[], Any]] = {
            ".csv": lambda: Path(file).write_text(to_csv(rows), encoding="utf-8"),
            ".md": lambda: Path(file).write_text(to_markdown(rows), encoding="utf-8"),
        }
        try:
            written = bool(writers[ending]()) if ending in writers else self.plot.save(file)
        except OSError as error:
            self._desk.notify(
                f"{file} cannot be written: {error.strerror or error}.", "Choose another place.", "error", key="report"
            )
            return
        if written:
            self._desk.notify(f"{Path(file).name} is written.", key="report")
        else:
            self._desk.notify(f"{file} cannot be written.", "Choose another place.", "error", key="report")

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(to_markdown(self.model.rows()))
        self._desk.notify("The table is in the clipboard.", key="report")


def _tip(row: QualityRow) -> str:
    """All that is known of a row, a line each."""
    parts = (
        shown_name(row),
        f"{size(row.size)}, {row.bits_per_weight:.2f} bits a weight",
        f"KL {loss_text(row.kl_divergence)} ± {loss_text(row.kl_error)} nats, worst 1 % {loss_text(row.kl_p99)}",
        f"perplexity {row.perplexity:.3f} ± {row.perplexity_error:.3f}",
        f"same top-1 {row.top1_agreement * 100:.1f} %",
        f"{row.decode_tokens_per_s:.0f} tok/s, {amount(row.resident)}" if row.resident else "",
    )
    return "\n".join(each for each in parts if each)
