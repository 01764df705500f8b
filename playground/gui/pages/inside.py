"""The Inside page: what a model looks at. Opens captures for the views, asks for new ones, says what is wrong with either.

The views share an `InsideState` and know nothing of each other; this page alone opens and closes captures. Its parts are `inside_layout`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from PySide6.QtCore import QFileSystemWatcher, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

import playground.session.inside
import playground.session.lab  # noqa: F401 - what the session would bring on the window's thread, this module brings off it
from playground import events
from playground.errors import Cancelled, PlaygroundError
from playground.gui.actions import Action
from playground.gui.bridge import on_window_thread
from playground.gui.pages import Desk
from playground.gui.pages.inside_layout import InsideLayout
from playground.gui.widgets.amounts import size
from playground.gui.widgets.inside_pickers import name_of
from playground.gui.widgets.inside_shades import read_ahead
from playground.gui.widgets.inside_state import as_scale
from playground.gui.widgets.job_strip import Job
from playground.inside.capture import Capture
from playground.inside.finding import telling_head
from playground.inside.layout import gone
from playground.inside.store import Entry

JOB = "inside"
SCALE = "inside.scale"
SOON_MS = 200


class InsidePage(InsideLayout):
    """See the module's docstring."""

    title = "Inside"
    icon = "scan-eye"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self._entries: dict[str, Entry] = {}
        self._made: dict[str, str] = {}
        """generation -> the capture that was made of it"""
        self._unopened: set[str] = set()
        """captures that could not be opened: they are not tried again unless somebody chooses them"""
        self._listed = False
        self._watched: QFileSystemWatcher | None = None
        self._soon = QTimer(self, singleShot=True, interval=SOON_MS)
        """until the folder is read again: a capture is several changes of it"""
        self._soon.timeout.connect(self._refresh_if_seen)
        self._running: Future[Entry] | None = None
        self._replaces = False
        """whether what is under way was asked for in the place of what is seen"""
        self._wanted: tuple[str, int | None] = ("", None)
        self.state.set_scale(**as_scale(desk.preferences.get(SCALE, {})))
        self.pickers.chosen.connect(self.show_capture)
        self.pickers.other_chosen.connect(self.compare_with)
        self.pickers.delete_wanted.connect(self.ask_delete)
        self.pickers.export_wanted.connect(lambda button: self.export().open_below(button))
        self.pickers.new_wanted.connect(lambda: self.new_capture())
        self.capture_wanted.connect(self.capture)
        self._views.part_wanted.connect(self.show_part)
        self.state.failed.connect(self._view_failed)
        self.state.scale_changed.connect(lambda: desk.preferences.set(SCALE, asdict(self.state.scale)))
        self._look_for_captures()

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
        inside = self._desk.session.inside
        self.state.ask("list", inside.list, self, self._show_entries, self._list_failed, "disk")

    def _look_for_captures(self) -> None:
        self.say("Looking for captures…", busy=True)
        self.when_made(self.refresh)

    def showEvent(self, event: QShowEvent) -> None:
        """Captures may have been made or deleted elsewhere: by a chat, by the command line, by hand."""
        super().showEvent(event)
        if self._watched is None:
            folder = self._desk.session.inside.folder
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            self._watched = QFileSystemWatcher([str(folder)], self)
            self._watched.directoryChanged.connect(lambda _folder: self._soon.start())
        if self._listed:
            self.refresh()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def _show_entries(self, entries: list[Entry]) -> None:
        self._listed = True
        if list(self._entries.values()) != entries:
            self._entries = {each.id: each for each in entries}
            self.pickers.show_entries(entries)
        wanted, token = self._wanted
        if wanted:
            self._wanted = ("", None)
            self.show_capture(wanted, token)
        elif self.state.a is None and not self.state.asks("open a"):
            newest = next((each.id for each in entries if each.id not in self._unopened), "")
            if newest and self._running is None:  # else another one is on its way
                self.show_capture(newest)
            else:
                self._show_empty()
        elif self.state.a is not None and not self.state.a.path.exists():
            self._view_failed(gone(self.state.a.path))

    def _list_failed(self, error: BaseException) -> None:
        message = getattr(error, "message", "") or str(error)
        self.say("The captures cannot be read", message, "Try again", self._look_for_captures, "triangle-alert")

    def _show_empty(self) -> None:
        if self._running is not None:
            self.say("Capturing…", "The maps are shown here once they are whole.", "Stop", self.stop, busy=True)
        else:
            self.say(
                "Nothing has been captured yet",
                "A capture keeps what every head of every layer looks at while the model reads a text: one of your own, or a reply of a chat.",
                "New capture",
                self.new_capture,
                self.icon,
            )

    def show_capture(self, capture_id: str, token: int | None = None) -> None:
        """Looks at a capture, and at a token of it (negative: from the end)."""
        if not capture_id:
            return
        if self.state.a is None:
            self.say("Opening…", busy=True)

        def opened(capture: Capture) -> None:
            keep = self.state.b if self.state.id_b != capture_id else None
            other = self.state.id_b if keep is not None else ""
            self.state.set_captures(capture, capture_id, keep, other, telling_head(capture))
            self.show_views()
            if token is not None:
                place = capture.header.length + token if token < 0 else token
                self.state.set_token(min(max(0, place), capture.header.length - 1), "from")

        self._open(capture_id, opened)

    def show_part(self, part: str) -> None:
        """Another part of the same pair of texts: `encoder`, `decoder` or `cross`."""
        self.show_capture(self._part_of(part))
        self.views.show_part()  # until it is there, the part that is seen is the one before

    def _part_of(self, part: str) -> str:
        found = f"{self.state.id_a.rpartition('-')[0]}-{part}"
        return found if found in self._entries else ""

    def compare_with(self, capture_id: str) -> None:
        """Puts a second capture beside the first; an empty id takes it away."""
        state = self.state
        if not capture_id or capture_id == state.id_a:
            state.set_captures(state.a, state.id_a)
            self._desk.notify("", key="inside.compare")
            return

        def opened(capture: Capture) -> None:
            state.set_captures(state.a, state.id_a, capture, capture_id)
            state.set_view("b" if state.no_difference else "difference")
            none = state.no_difference
            self._desk.notify(none or state.partly, "They can be seen one after the other." * bool(none), key="inside.compare")

        self._open(capture_id, opened, "b")

    def _open(self, capture_id: str, then: Callable[[Capture], None], which: str = "a") -> None:
        inside, hide, ahead = self._desk.session.inside, self.state.scale.hide_sink, self._shades.ahead

        def work() -> Capture:
            found = inside.open(capture_id)
            read_ahead(found, hide, ahead)
            return found

        def failed(error: BaseException) -> None:
            self._unopened.add(capture_id)
            self._open_failed(error)

        self.when_made(lambda: self.state.ask(f"open {which}", work, self, then, failed, "disk"))

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
        a = state.a if state.a is not None and state.a.whole else None
        b = state.b if state.b is not None and state.b.whole else None
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
        self.show_new()

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
        self._running, self._replaces = future, bool(made_of)
        self.leave_new()
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
        self.show_views() if self.state.a is not None else self._show_empty()
        self.refresh()

    def _show_job(self, fraction: float) -> None:
        if self._replaces and self._running is not None and fraction >= 0:  # one that was made before is there at once
            self._replaces = False
            self._show_empty()
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
            self.when_made(lambda: self.show_tab(tab))
        inside = self._desk.session.inside
        made_of = generation_id or message_id
        # A message can have grown since: what is still the same of it, the session knows.
        known = self._made.get(generation_id, "")
        if made_of and not (known and known in self._entries):
            if generation_id:
                self._begin(lambda tell: inside.capture_generation(generation_id, None, tell), made_of, token)
            else:
                self._begin(lambda tell: inside.capture_message(message_id, None, tell), made_of, token)
        elif capture_id or known:
            self.leave_new()
            self.show_capture(capture_id or known, token)
        elif text:
            self.new_capture(text)
        if compare:
            self.compare_with(compare)

    def handle(self, event: Any) -> None:
        """An event of the session."""
        if isinstance(event, events.ModelState) and self._new is not None:
            self._new.handle_model()

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
