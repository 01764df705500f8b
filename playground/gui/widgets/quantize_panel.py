"""The part of the Models page that makes a model of another number format: types to choose from, how, and what becomes of it.

Opens for one model and stands in the page like any other part; nothing waits for it. Knows the workshop's intents and its jobs, not how they
are done. Object names begin with `quantize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.form import line
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import duration, size
from playground.gui.widgets.glossary import known
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead, scroll_column
from playground.gui.widgets.quantize_options import QuantizeOptions
from playground.gui.widgets.quantize_types import TypesModel, TypesTable
from playground.gui.widgets.state_view import StateView

if TYPE_CHECKING:
    from playground.session.workshop_jobs import Making, Plan, TypeRow

SIDE = 336
ADAPTER_MS = 400
"""after which another adapter's path is taken for typed"""
FLOATS = ("F32", "F16", "BF16")
FOLDER_TYPES = ("nf4", "int8")
WHY = {
    "Q4_K_M": "It usually gives the best quality for its size.",
    "Q6_K": "A model this small loses more to four bits, and there is room for it.",
    "Q8_0": "A model this small loses more to four bits, and there is room for it.",
}
_SHORT = {
    "Merging the adapter": "merge the adapter",
    "Converting to GGUF": "convert to GGUF",
    "Computing the importance matrix": "compute the importance matrix",
}


class QuantizePanel(QWidget):
    """`open` shows a model, `take` a change of a job."""

    closed = Signal()
    chat_wanted = Signal(str)
    library_wanted = Signal(str)
    report_wanted = Signal(str, object)
    """the original's path, and those to measure against it"""

    def __init__(self, desk: Desk, options: QuantizeOptions | None = None, types: TypesTable | None = None) -> None:
        """Options and table may be made before, to have shorter steps."""
        super().__init__()
        self.setObjectName("quantize")
        self.options = options or QuantizeOptions()
        self.types = types or TypesTable(TypesModel(self))
        self.model = self.types.rows
        self._desk = desk
        self._workshop: Any = None
        self.source = ""
        self.plan: Plan | None = None
        self._jobs: dict[str, list[str]] = {}
        self._makings: dict[str, Making] = {}
        self._put_away: set[str] = set()
        self._asked = 0
        self._wanted = ""
        self._everything = False
        self._adapter_timer = QTimer(self)
        self._adapter_timer.setSingleShot(True)
        self._adapter_timer.setInterval(ADAPTER_MS)
        self._adapter_timer.timeout.connect(self._ask_plan)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.head = PartHead("quantize", "Back to the models")
        self.head.closed.connect(self.closed)
        column.addWidget(self.head)
        across = QHBoxLayout()
        across.setSpacing(0)
        column.addLayout(across, 1)
        across.addWidget(self._left(), 1)
        across.addWidget(self._right())
        self.foot = JobFoot("quantize")
        column.addWidget(self.foot)
        self.setFocusProxy(self.types)

    # -- parts

    def _left(self) -> QWidget:
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        self._stack = QStackedWidget(self)
        holder = QFrame(self._stack)
        theme.mark(holder, surface="surface")
        column = QVBoxLayout(holder)
        column.setContentsMargins(16, 0, 8, 8)
        column.setSpacing(4)
        self.types.chosen.connect(lambda _names: self._show_chosen())
        self.types.opened.connect(self._start)
        column.addWidget(self.types, 1)
        self.all_button = QPushButton()
        self.all_button.setObjectName("quantize.all")
        self.all_button.setToolTip("Every type that llama.cpp offers, or those that are usually right")
        theme.mark(self.all_button, role="link")
        self.all_button.clicked.connect(lambda: self.show_all(not self.model.everything))
        self.reason = QLabel()
        self.reason.setObjectName("quantize.reason")
        self.reason.setWordWrap(True)
        theme.mark(self.reason, role="muted")
        foot = line(self.reason, self.all_button, spacing=8)
        foot.setStretch(0, 1)
        foot.setContentsMargins(11, 0, 8, 0)
        column.addLayout(foot)
        self._stack.addWidget(holder)
        self.state = StateView("quantize")
        self._stack.addWidget(self.state)
        return self._stack

    def _right(self) -> QWidget:
        holder = QFrame(self)
        theme.mark(holder, surface="window", line="left")
        holder.setFixedWidth(SIDE)
        column = QVBoxLayout(holder)
        column.setContentsMargins(24, 12, 4, 8)
        column.setSpacing(8)
        terms = line(known("quantization"), known("k_quants"), known("nf4"), 1, spacing=16)
        column.addLayout(terms)
        self.options.changed.connect(self._show_chosen)
        self.options.adapter_changed.connect(lambda: self._adapter_timer.start())
        area, inside = scroll_column(holder)
        column.addWidget(area, 1)
        inside.addWidget(self.options)
        return holder

    # -- the model

    def set_workshop(self, workshop: Any) -> None:
        """Who does the work."""
        self._workshop = workshop
        if self.source:
            self._ask_plan()

    def open(self, row: Any, adapters: Sequence[tuple[str, str]] = (), adapter: str = "", kind: str = "") -> None:
        """Shows a model of the library (a `Row`), the adapters at hand as (name, path), and the type that is wanted, if one is."""
        self._wanted = kind
        same = row.path == self.source and adapter == self.options.adapter_path()
        self.source = row.path
        folder = row.kind == "safetensors"
        facts = "  ·  ".join(each for each in (row.quantization, size(row.size), "folder" if folder else "") if each)
        self.head.show_title(("Convert and quantize " if folder else "Quantize ") + row.name, facts)
        if not same:
            self.options.set_source(folder)
            self.options.choose_adapter("")
        self.options.set_adapters(adapters)
        if adapter:
            self.options.choose_adapter(adapter)
        self._put_away |= {number for number in self._jobs.get(row.path, ()) if self._makings[number].ended}
        self._ask_plan()

    def _ask_plan(self) -> None:
        self._adapter_timer.stop()
        self._asked += 1
        number = self._asked
        if self.plan is None or self.plan.source != self.source:
            self.plan = None
            self.state.say("Reading the model…", "", busy=True)
            self._stack.setCurrentWidget(self.state)
        self._show_chosen()
        if self._workshop is None:
            return

        def take(plan: Plan) -> None:
            if number == self._asked:
                self._show_plan(plan)

        def fail(error: BaseException) -> None:
            if number == self._asked:
                self._fail_plan(getattr(error, "message", str(error)), getattr(error, "hint", ""))

        self._desk.when_done(self._workshop.plan(self.source, self.options.adapter_path()), self, take, fail)

    def _fail_plan(self, message: str, hint: str) -> None:
        self.plan = None
        self.state.say("This cannot be quantized", f"{message} {hint}".strip(), "Try again", self._ask_plan, "circle-alert")
        self._stack.setCurrentWidget(self.state)
        self._show_chosen()

    def _show_plan(self, plan: Plan) -> None:
        if not plan.rows:
            self._fail_plan(plan.problem or "There is no type that it could be quantized to.", plan.hint)
            return
        before = self.types.names()
        fresh = self.plan is None
        self.plan = plan
        self.options.set_quantized(bool(plan.problem))
        everything = self._everything and not fresh
        self.model.show_all(everything)
        self.model.show_rows(plan.rows, "" if plan.kind == "gguf" else plan.quantization)
        self._stack.setCurrentIndex(0)
        best = self.model.recommended()
        names = [row.name for row in plan.rows]
        candidates = (self._wanted, before[0] if before and not fresh else "", best.name if best is not None else "", names[0])
        chosen = next(each for each in candidates if each in names)
        self._wanted = ""
        self.show_all(everything or self.model.place_of(chosen) < 0)
        self.types.choose(chosen)
        why = WHY.get(best.name, "The largest kind that fits this machine.") if best is not None else ""
        said = [f"★ {best.name}: {why}" if best is not None else "", f"{plan.problem} {plan.hint}".strip()]
        self.reason.setText("\n".join(each for each in said if each))
        theme.mark(self.reason, role="warn" if plan.problem else "muted")

    def show_all(self, everything: bool) -> None:
        """All types, or the few that are usually right."""
        self._everything = everything
        chosen = self.types.names()
        self.model.show_all(everything)
        for name in chosen[:1]:
            self.types.choose(name)
        if chosen and not self.types.names():
            best = self.model.recommended()
            self.types.choose(best.name if best is not None else self.model.row(0).name)
        self.all_button.setText("Fewer types" if self.model.everything else f"All {self.model.total} types")
        self.all_button.setAccessibleName(self.all_button.text())
        self.all_button.ensurePolished()
        self.all_button.setMinimumWidth(self.all_button.sizeHint().width())  # else the wrapped reason takes its room

    # -- what will happen

    def chosen(self) -> list[TypeRow]:
        """The types that are selected."""
        names = self.types.names()
        return [row for row in (self.plan.rows if self.plan is not None else ()) if row.name in names]

    def _show_chosen(self) -> None:
        rows = self.chosen()
        llama = not rows or any(row.name not in FOLDER_TYPES for row in rows)
        target = self._target(rows[0].name, ".gguf" if llama else "") if len(rows) == 1 else ""
        self.options.show_types(any(row.needs_imatrix for row in rows), llama, len(rows) > 1, target)
        self._show_foot()

    def _target(self, kind: str, ending: str) -> str:
        """How the result will be called, unless that is taken."""
        from playground.session.workshop_files import merged_name, short_name

        adapter = self.options.adapter_path()
        return f"{merged_name(self.source, adapter) if adapter else short_name(self.source)}-{kind}{ending}"

    def _steps(self, row: TypeRow) -> list[str]:
        assert self.plan is not None
        before = [_SHORT.get(each, each.lower()) for each in self.plan.steps[:-1]]
        if row.name in FOLDER_TYPES:
            return [*(each for each in before if "GGUF" not in each), f"quantize to {row.name}"]
        if self.plan.kind != "gguf" and row.name.upper() in FLOATS:
            return before
        matrix = ["compute the importance matrix"] if self.options.settings()["imatrix"] == "auto" else []
        return [*before, *matrix, f"quantize to {row.name}"]

    def _show_foot(self) -> None:
        jobs = [self._makings[number] for number in self._jobs.get(self.source, ()) if number not in self._put_away]
        at_work = [job for job in jobs if not job.ended]
        if at_work:
            self._show_working(jobs, at_work)
        elif jobs and jobs[-1].state == "failed":
            job = jobs[-1]
            again = Press("again", "Try again", "Back to the choice of types", self._back_to_choice, True)
            self.foot.show_failed(job.message or "It did not work.", job.hint, again)
        elif jobs and any(job.state == "done" for job in jobs):
            self._show_done([job for job in jobs if job.state == "done"])
        else:
            self._show_ready()

    def _show_ready(self) -> None:
        rows = self.chosen()
        plan = self.plan
        if plan is None or not rows:
            start = Press("start", "Quantize", "Choose a type first", self._start, True, enabled=False)
            self.foot.show_ready("" if plan is None else "Choose a type.", "", start)
            return
        steps = self._steps(rows[0])
        what = " → ".join(steps) if len(rows) == 1 else f"{len(rows)} types, one after the other"
        disk = sum(row.size for row in rows[1:]) + rows[0].disk
        short = 0 < plan.disk_free < disk
        left = f"{size(plan.disk_free)} are free" if plan.disk_free else ""
        result = sum(row.size for row in rows)
        parts = (f"Result {size(result)}", f"takes {size(disk)} of disk while it runs" if disk > result else "", left)
        detail = "  ·  ".join(each for each in parts if each)
        missing = self.options.missing()
        word = "Convert" if steps and steps[-1].startswith("convert") else "Quantize"
        text = word if len(rows) == 1 else f"{word} to {len(rows)} types"
        tip = missing or (
            "The disk is too full for that" if short else "Starts; the chat and the rest of the window go on meanwhile"
        )
        start = Press("start", text, tip, self._start, True, enabled=not missing and not short)
        self.foot.show_ready(what[:1].upper() + what[1:], missing or detail, start, warn=bool(missing) or short)

    def _show_working(self, jobs: Sequence[Making], at_work: Sequence[Making]) -> None:
        job = next((each for each in at_work if each.running), at_work[0])
        number = f"{len(jobs) - len(at_work) + 1} of {len(jobs)}: " if len(jobs) > 1 else ""
        step = "Waits for another job" if job.state == "queued" else job.step or "Starting"
        percent = f"{job.fraction:.0%}" if job.fraction >= 0 else ""
        left = f"{duration(job.seconds_left)} left" if job.seconds_left > 0 else ""
        detail = "  ·  ".join(each for each in (percent, step, left) if each)
        ending = job.state == "cancelling"
        cancel = Press(
            "cancel",
            "Cancelling…" if ending else "Cancel",
            "Ends it; nothing half-made stays",
            self._cancel,
            enabled=not ending,
        )
        self.foot.show_working(f"{number}{job.title}", job.fraction, detail, cancel)

    def _show_done(self, jobs: Sequence[Making]) -> None:
        job = jobs[-1]
        took = f" in {duration(job.seconds)}" if job.seconds >= 1 else ""
        name = Path(job.path).name
        what = f"{name} is here: {size(job.bytes)}{took}" if len(jobs) == 1 else f"{len(jobs)} models are here, {name} the last"
        buttons = [
            Press("again", "Make another", "Back to the choice of types", self._back_to_choice),
            Press("measure", "Measure the loss", "Compares it with the original on a text", self._measure),
            Press("show", "Show in library", "Selects it among the models", lambda: self.library_wanted.emit(job.path)),
            Press("chat", "Chat with it", "Loads it and opens the chat", lambda: self.chat_wanted.emit(job.path), True),
        ]
        self.foot.show_done(what, "  ".join(job.notes), *buttons)

    # -- intents

    def _start(self) -> None:
        rows = self.chosen()
        if self._workshop is None or not rows or self.options.missing() or self.foot.state != "ready":
            return
        from playground.session.workshop_jobs import QuantizeRequest

        settings = self.options.settings()
        for row in rows:
            mine = (
                settings
                if row.name not in FOLDER_TYPES
                else settings | {"imatrix": "", "output_type": "", "embedding_type": ""}
            )
            if row.name.upper() in FLOATS:
                mine = mine | {"imatrix": ""}
            try:
                number = self._workshop.quantize(QuantizeRequest(self.source, row.name, **mine))
            except PlaygroundError as error:
                self._desk.notify(error.message, error.hint, "error", key="quantize")
                return
            self._jobs.setdefault(self.source, []).append(number)
            if number not in self._makings:
                self._makings[number] = next(each for each in self._workshop.list() if each.id == number)
        self._show_foot()

    def _cancel(self) -> None:
        for number in self._jobs.get(self.source, ()):
            if not self._makings[number].ended:
                self._workshop.cancel(number)

    def _measure(self) -> None:
        made = [self._makings[number] for number in self._jobs.get(self.source, ())]
        paths = [job.path for job in made if job.state == "done" and job.path]
        self.report_wanted.emit(self.source, paths)

    def _back_to_choice(self) -> None:
        self._put_away |= set(self._jobs.get(self.source, ()))
        self._show_foot()
        self._ask_plan()
        self.types.setFocus()

    # -- events

    def take(self, event: Any) -> None:
        """A job of the workshop is new, further, or gone (`JobChanged`)."""
        making = event.making
        self._makings[making.id] = making
        if making.id in self._jobs.get(self.source, ()):
            self._show_foot()
            if making.state == "cancelled" and all(self._makings[each].ended for each in self._jobs[self.source]):
                self._put_away |= set(self._jobs[self.source])
                self._show_foot()
