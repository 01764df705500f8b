"""The Inside page: what a model looks at. Opens captures for the views, asks for new ones, says what is wrong with either.

The views share an `InsideState` and know nothing of each other; this page alone opens and closes captures. Further tabs and the panel at the
right are lines in `TABS` and `PANEL`: a class made as `Class(state)`, or as `Class(state, desk)`, when it is first shown.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any, NamedTuple

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from playground import events
from playground.errors import Cancelled, PlaygroundError
from playground.gui import theme
from playground.gui.actions import Action
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk
from playground.gui.widgets.amounts import size
from playground.gui.widgets.inside_controls import InsideControls
from playground.gui.widgets.inside_grid import HeadGrid
from playground.gui.widgets.inside_map import MapView
from playground.gui.widgets.inside_new import InsideNew
from playground.gui.widgets.inside_pickers import InsidePickers, name_of
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.job_strip import Job
from playground.gui.widgets.segments import Segments
from playground.gui.widgets.state_view import StateView
from playground.inside.capture import Capture
from playground.inside.store import Entry


class Part(NamedTuple):
    """A view that is made when it is first shown."""

    name: str
    title: str
    place: str
    """`module:class`"""
    tip: str
    desk: bool = False
    """whether it needs the desk beside the state"""


TABS: tuple[Part, ...] = (
    Part("text", "Text", "playground.gui.widgets.inside_text:InsideText", "The text, shaded by what a token of it looks at"),
    Part(
        "heads", "Heads", "playground.gui.widgets.head_finder:HeadFinder", "Which head does what: all of them by their patterns"
    ),
    Part("layers", "Layers", "playground.gui.widgets.lens_view:LensView", "What each layer would have said next", True),
    Part(
        "embeddings",
        "Embeddings",
        "playground.gui.widgets.embeddings_view:EmbeddingsView",
        "Words in the model's token table",
        True,
    ),
)
"""the tabs behind the map"""
JOB = "inside"
SCALE = "inside.scale"
EXPLAIN = "inside.explain"


class InsidePage(QWidget):
    """Object names: `inside.tabs`, `inside.state.way_out`, and those of the parts."""

    title = "Inside"
    icon = "scan-eye"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.state = InsideState(self)
        self.state.set_scale(**_kept_scale(desk))
        self._shades = Shades(self.state)
        self._entries: dict[str, Entry] = {}
        self._made: dict[str, str] = {}
        """generation or message -> the capture that was made of it"""
        self._explain: QWidget | None = None
        self._listed = False
        self._running: Future[Entry] | None = None
        self._wanted: tuple[str, int | None] = ("", None)
        self._build()
        self.state.failed.connect(self._view_failed)
        self.state.scale_changed.connect(lambda: desk.preferences.set(SCALE, asdict(self.state.scale)))
        self.refresh()

    # -- parts

    def _build(self) -> None:
        self.pickers = InsidePickers(self.state)
        self.pickers.chosen.connect(self.show_capture)
        self.pickers.other_chosen.connect(self.compare_with)
        self.pickers.delete_wanted.connect(self.ask_delete)
        self.pickers.export_wanted.connect(self._export_menu)
        self.pickers.new_wanted.connect(lambda: self.new_capture())
        self.controls = InsideControls(self.state)
        self.grid = HeadGrid(self.state, self._shades)
        self.map = MapView(self.state, self._shades)
        names = (("map", "Map", "What every token looks at"), *((part.name, part.title, part.tip) for part in TABS))
        self.tabs = Segments("inside.tabs", "Views", names)
        self.tabs.changed.connect(self.show_tab)
        self._views: dict[str, QWidget] = {"map": self.map}
        self._tab_stack = QStackedWidget()
        self._tab_stack.addWidget(self.map)
        middle = QFrame()
        theme.mark(middle, surface="surface")
        above = QHBoxLayout()
        above.setContentsMargins(16, 8, 16, 0)
        above.addWidget(self.tabs)
        above.addStretch(1)
        self.explain_button = QToolButton()
        self.explain_button.setObjectName("inside.explain_button")
        self.explain_button.setText("Explain")
        self.explain_button.setAccessibleName("Explain what is seen")
        self.explain_button.setToolTip("Says beside the view what it shows, with the numbers of this model (Ctrl+Shift+X)")
        self.explain_button.setCheckable(True)
        theme.mark(self.explain_button, role="segment")
        self.explain_button.clicked.connect(self.show_explanation)
        above.addWidget(self.explain_button)
        inner = QVBoxLayout(middle)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        inner.addLayout(above)
        inner.addWidget(self._tab_stack, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        left = QFrame()
        theme.mark(left, surface="window")
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 8, 0, 0)
        column.addWidget(self.grid)
        self.splitter.addWidget(left)
        self.splitter.addWidget(middle)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([320, 880])
        if self._desk.preferences.get(EXPLAIN, False) is True:
            self.show_explanation(True)
        looked = QWidget()
        below = QVBoxLayout(looked)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self.controls)
        below.addWidget(self.splitter, 1)
        self.says = StateView("inside")
        self.new = InsideNew(self._desk, self.state)
        self.new.wanted.connect(self.capture)
        self.new.closed.connect(self._leave_new)
        self.stack = QStackedWidget()
        self._looked = looked
        for each in (self.says, looked):
            self.stack.addWidget(each)
        main = QWidget()
        whole = QVBoxLayout(main)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.pickers)
        whole.addWidget(self.stack, 1)
        self._outer = QStackedWidget()
        self._outer.addWidget(main)
        self._outer.addWidget(self.new)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self._outer)
        self.setFocusProxy(self.grid)

    def _made_of(self, part: Part) -> QWidget:
        module, _, name = part.place.partition(":")
        made: QWidget = getattr(importlib.import_module(module), name)(
            *((self.state, self._desk) if part.desk else (self.state,))
        )
        return made

    def show_explanation(self, shown: bool) -> None:
        """Opens or closes what is explained beside the view."""
        if shown and self._explain is None:
            from playground.gui.widgets.inside_explain import InsideExplain

            self._explain = InsideExplain(self.state)
            self.splitter.addWidget(self._explain)
        if self._explain is not None:
            self._explain.setVisible(shown)
        self.explain_button.setChecked(shown)
        self._desk.preferences.set(EXPLAIN, shown)

    def toggle_explanation(self) -> None:
        self.show_explanation(not self.explain_button.isChecked())

    def show_tab(self, name: str) -> None:
        """`map`, or one of `TABS`."""
        if name not in self._views:
            part = next((each for each in TABS if each.name == name), None)
            if part is None:
                return
            self._views[name] = self._made_of(part)
            self._tab_stack.addWidget(self._views[name])
        self.tabs.set_value(name)
        self._tab_stack.setCurrentWidget(self._views[name])

    def actions(self) -> Sequence[Action]:
        """Keys and menu lines of this page."""
        return (
            Action(
                "inside.new", "New capture", "Ctrl+Shift+I", "inside", "new_capture", "Inside", "Of any text, with any model"
            ),
            Action("inside.fit", "Show all of the map", "Ctrl+0", "inside", "fit", "Inside", "As a double click on it"),
            Action(
                "inside.explain",
                "Explain what is seen",
                "Ctrl+Shift+X",
                "inside",
                "toggle_explanation",
                "Inside",
                "Beside the view, with the numbers of this model",
            ),
            Action(
                "inside.swap", "A, B, difference", "Ctrl+D", "inside", "next_view", "Inside", "What is seen of two captures"
            ),
        )

    # -- what there is

    def refresh(self) -> None:
        """Reads the folder of captures."""
        if not self._listed:
            self.says.say("Looking for captures…", busy=True)
        inside = self._desk.session.inside
        self.state.ask("list", inside.list, self, self._show_entries, self._list_failed, "disk")

    def _show_entries(self, entries: list[Entry]) -> None:
        self._listed = True
        self._entries = {each.id: each for each in entries}
        self.pickers.show_entries(entries)
        wanted, token = self._wanted
        if wanted:
            self._wanted = ("", None)
            self.show_capture(wanted, token)
        elif self.state.a is None:
            if entries:
                self.show_capture(entries[0].id)
            else:
                self._show_empty()

    def _list_failed(self, error: BaseException) -> None:
        message = getattr(error, "message", "") or str(error)
        self.says.say("The captures cannot be read", message, "Try again", self.refresh, "triangle-alert")
        self.stack.setCurrentWidget(self.says)

    def _show_empty(self) -> None:
        if self._running is not None:
            self.says.say("Capturing…", "The maps are shown here once they are whole.", "Stop", self.stop, busy=True)
        else:
            self.says.say(
                "Nothing has been captured yet",
                "A capture keeps what every head of every layer looks at while the model reads a text: one of your own, or a reply of a chat.",
                "New capture",
                self.new_capture,
                self.icon,
            )
        self.stack.setCurrentWidget(self.says)

    def show_capture(self, capture_id: str, token: int | None = None) -> None:
        """Looks at a capture, and at a token of it (negative: from the end)."""
        if not capture_id:
            return
        if self.state.a is None:
            self.says.say("Opening…", busy=True)

        def opened(capture: Capture) -> None:
            keep = self.state.b if self.state.id_b != capture_id else None
            self.state.set_captures(capture, capture_id, keep, self.state.id_b if keep is not None else "")
            self.stack.setCurrentWidget(self._looked)
            if token is not None:
                place = capture.header.length + token if token < 0 else token
                self.state.set_token(min(max(0, place), capture.header.length - 1), "from")

        self._open(capture_id, opened)

    def compare_with(self, capture_id: str) -> None:
        """Puts a second capture beside the first; an empty id takes it away."""
        state = self.state
        if not capture_id or capture_id == state.id_a:
            state.set_captures(state.a, state.id_a)
            return

        def opened(capture: Capture) -> None:
            state.set_captures(state.a, state.id_a, capture, capture_id)
            state.set_view("b" if state.no_difference else "difference")

        self._open(capture_id, opened)

    def _open(self, capture_id: str, then: Any) -> None:
        inside = self._desk.session.inside
        self.state.ask("open", lambda: inside.open(capture_id), self, then, self._open_failed, "disk")

    def _open_failed(self, error: BaseException) -> None:
        self._tell(error)
        if self.state.a is None:
            self._show_empty()
        self.refresh()

    def _view_failed(self, error: BaseException) -> None:
        """A view could not read what it was to show: the file is gone or spoilt, or the mode needs what was not captured."""
        self._tell(error)
        # Not while a view paints or answers a signal.
        QTimer.singleShot(0, self, self._drop_gone)

    def _drop_gone(self) -> None:
        state = self.state
        a = state.a if state.a is not None and state.a.path.exists() else None
        b = state.b if state.b is not None and state.b.path.exists() else None
        if a is state.a and b is state.b:
            return
        if a is None:
            state.set_captures(None)
            self._show_empty()
        else:
            state.set_captures(a, state.id_a, b, state.id_b if b is not None else "")
        self.refresh()

    # -- new captures

    def new_capture(self, text: str = "") -> None:
        """Opens the form."""
        if text:
            self.new.text.setPlainText(text)
        self.new.show_models()
        self._outer.setCurrentWidget(self.new)
        self.new.text.setFocus()

    def _leave_new(self) -> None:
        self._outer.setCurrentIndex(0)

    def capture(self, request: Any) -> None:
        """Begins a capture; how far it is stands in the job strip."""
        self._begin(lambda tell: self._desk.session.inside.capture(request, tell), "")

    def _begin(self, start: Any, made_of: str, token: int | None = None) -> None:
        if self._running is not None:
            self._desk.notify(
                "Another capture is under way.", "Wait for it, or stop it in the strip below.", "warning", key="inside"
            )
            return

        def tell(fraction: float) -> None:
            on_window_thread(lambda: self._show_job(fraction))

        try:
            future = start(tell)
        except PlaygroundError as error:
            self._tell(error)
            return
        self._running = future
        self._leave_new()
        self._show_job(-1.0)
        if self.state.a is None:
            self._show_empty()
        self._desk.when_done(
            future, self, lambda entry: self._captured(entry, made_of, token), lambda error: self._capture_failed(error)
        )

    def stop(self) -> None:
        """Ends the capture that is under way."""
        self._desk.session.inside.stop()

    def _captured(self, entry: Entry, made_of: str, token: int | None) -> None:
        self._end_job()
        if made_of:
            self._made[made_of] = entry.id
        self._wanted = (entry.id, token)
        if not self.isVisible() or entry.header.left_out:
            said = f"{entry.header.length:,} tokens are captured, {size(entry.bytes)}."
            self._desk.notify(said, " ".join(entry.header.left_out), key="inside")
        self.refresh()

    def _capture_failed(self, error: BaseException) -> None:
        self._end_job()
        if not isinstance(error, Cancelled):
            self._tell(error)
        if self.state.a is None:
            self._show_empty()
        self.refresh()

    def _show_job(self, fraction: float) -> None:
        strip = getattr(self.window(), "jobs", None)
        if strip is not None and self._running is not None:
            strip.put(Job(JOB, "Capturing attention", fraction, cancel=self.stop))

    def _end_job(self) -> None:
        self._running = None
        strip = getattr(self.window(), "jobs", None)
        if strip is not None:
            strip.remove(JOB)

    # -- deleting and saving

    def ask_delete(self) -> None:
        """Asks in a notice, without holding anything up."""
        entry = self._entries.get(self.state.id_a)
        if entry is None:
            return
        self._desk.notify(
            f"Delete this capture of {entry.header.length:,} tokens?",
            name_of(entry),
            "warning",
            f"Delete {size(entry.bytes)}",
            "inside.delete",
            lambda: self.delete(entry.id),
        )

    def delete(self, capture_id: str) -> None:
        """Deletes a capture; what is looked at then is the newest of the others."""
        state = self.state
        if state.id_a == capture_id:
            state.set_captures(state.b, state.id_b) if state.b is not None else state.set_captures(None)
        elif state.id_b == capture_id:
            state.set_captures(state.a, state.id_a)
        try:
            self._desk.session.inside.delete(capture_id)
        except PlaygroundError as error:
            self._tell(error)
        self._desk.notify("", key="inside.delete")
        self.refresh()

    def _export_menu(self, button: QWidget) -> None:
        self.export().open_below(button)

    def export(self) -> Any:
        """What writes pictures and numbers of what is seen: an `InsideExport`."""
        from playground.gui.widgets.inside_export import InsideExport

        return InsideExport(self, self._desk, self.state, self.map, self.grid)

    # -- what the window asks

    def open(
        self,
        capture_id: str = "",
        generation_id: str = "",
        message_id: str = "",
        text: str = "",
        token: int | None = None,
        tab: str = "",
        compare: str = "",
    ) -> None:
        """Shows a capture; a logged generation or a message, which is captured if it was not before; or the form with a text.

        `token`: a place in the text of the capture, negative ones from its end. `tab`: `map` or one of `TABS`. `compare`: a second capture's id.
        """
        if tab:
            self.show_tab(tab)
        inside = self._desk.session.inside
        made_of = generation_id or message_id
        known = self._made.get(made_of, "")
        if made_of and not (known and known in self._entries):
            if generation_id:
                self._begin(lambda tell: inside.capture_generation(generation_id, None, tell), made_of, token)
            else:
                self._begin(lambda tell: inside.capture_message(message_id, None, tell), made_of, token)
        elif capture_id or known:
            self._leave_new()
            self.show_capture(capture_id or known, token)
        elif text:
            self.new_capture(text)
        if compare:
            self.compare_with(compare)

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, events.ModelState):
            self.new.handle_model()

    def fit(self) -> None:
        """Shows all of the map."""
        self.map.map.fit()

    def next_view(self) -> None:
        """From A to B to the difference."""
        order = ["a", "b", "difference"]
        for step in (1, 2):
            before = self.state.view
            self.state.set_view(order[(order.index(before) + step) % 3])
            if self.state.view != before:
                return

    def _tell(self, error: BaseException) -> None:
        message = getattr(error, "message", "")
        if not message:
            raise error
        self._desk.notify(message, getattr(error, "hint", ""), "error", key="inside")


def _kept_scale(desk: Desk) -> dict[str, Any]:
    """The scale that was chosen the last time, as far as it is one."""
    from playground.gui.widgets.inside_state import COLOURS, SCALES

    kept = desk.preferences.get(SCALE, {})
    found: dict[str, Any] = {}
    if isinstance(kept, dict):
        found = {name: kept[name] for name in ("hide_sink", "shared") if isinstance(kept.get(name), bool)}
        found |= {"kind": kept["kind"]} if kept.get("kind") in SCALES else {}
        found |= {"colours": kept["colours"]} if kept.get("colours") in COLOURS else {}
    return found
