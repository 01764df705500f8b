"""The widgets of a transcript's rows: made when needed, filled, used again.

Knows which widget shows which kind of row; where it stands is the transcript's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget

from playground.gui.widgets.code_part import CodePart
from playground.gui.widgets.message_edit import MessageEdit
from playground.gui.widgets.message_foot import MessageFoot
from playground.gui.widgets.reading_view import ReadingView, plain_text
from playground.gui.widgets.text_part import TextPart
from playground.gui.widgets.token_track import TokenTrack
from playground.gui.widgets.transcript_blocks import Block, Row
from playground.gui.widgets.wait_part import WaitPart

if TYPE_CHECKING:
    from playground.gui.widgets.transcript import Transcript

KEPT = 12
"""unused widgets kept of each kind"""
WARM_MS = 60
WARM = (("foot", 5), ("text", 6), ("code", 3), ("wait", 1))
"""widgets made ahead of their need, one at a time, while nothing happens"""


class RowPool:
    """See the module's docstring."""

    def __init__(self, parent: QWidget, transcript: Transcript) -> None:
        self._parent = parent
        self._transcript = transcript
        self._free: dict[str, list[Any]] = {}
        self._warm = QTimer(transcript, interval=WARM_MS)
        self._warm.timeout.connect(self._warm_up)
        self._warm.start()

    def show(self, row: Row, block: Block, width: int) -> None:
        """Gives a row its widget, fills it and measures it."""
        kind = "text" if row.kind in ("prose", "plain") else row.kind
        if row.widget is None:
            row.widget = self._take(kind)
            row.stale = True
        if row.stale or not row.exact:
            self._fill(row, block)
            row.stale = False
            if kind != "foot":
                row.height = float(row.widget.height_for(width))
            row.exact = True

    def _fill(self, row: Row, block: Block) -> None:
        entry, widget, part = block.entry, row.widget, row.part
        if row.kind == "foot":
            widget.show_entry(entry, self._transcript.busy)
        elif row.kind == "wait":
            widget.show_live(entry.live, self._transcript.loading)
        elif part is not None:
            last = part is block.parts[-1] if block.parts else True
            streaming = entry.streaming and last
            marks = [
                (each.offset - part.start if row.kind == "prose" else each.offset - part.lead, each.label, each.tip)
                for each in entry.marks
                if part.start <= each.offset < part.end or (last and each.offset >= part.end)
            ]
            if row.kind == "code":
                code = part.text
                if not (row.first and row.last):
                    code = "\n".join(each.text for each in block.parts if each.kind == "code" and each.block == part.block)
                widget.show_part(
                    part, marks, streaming=streaming and not part.closed, first=row.first, last=row.last, code=code
                )
            else:
                widget.show_part(part, marks, streaming=streaming)
        self._transcript.fill_tokens(row, block)

    def give_back(self, row: Row) -> None:
        """Takes a row's widget away from it."""
        kind = "text" if row.kind in ("prose", "plain") else row.kind
        widget, row.widget = row.widget, None
        row.exact = row.exact and kind in ("text", "code", "foot")
        free = self._free.setdefault(kind, [])
        widget.hide()
        if kind == "edit" or len(free) >= KEPT:
            widget.deleteLater()
        else:
            free.append(widget)

    def in_use(self, row: Row) -> bool:
        """Whether the user is in the middle of something with it."""
        if row.kind == "edit":
            return True
        return bool(
            row.kind != "wait" and row.widget.isAncestorOf(self._transcript.focusWidget() or self._transcript.viewport())
        )

    def selected_text(self, row: Row) -> str:
        view = self.view(row)
        return plain_text(view.textCursor()) if view is not None and view.textCursor().hasSelection() else ""

    def view(self, row: Row) -> ReadingView | None:
        """The text of a row, if it has one."""
        if isinstance(row.widget, TextPart):
            return row.widget
        return row.widget.view if isinstance(row.widget, CodePart) else None

    def _warm_up(self) -> None:
        transcript = self._transcript
        seen = transcript.isVisibleTo(transcript.window()) or transcript.window().isVisible()
        if (
            seen
            and transcript.settled
            and not transcript.busy
            and not any(self._make_ahead(kind, count) for kind, count in WARM)
        ):
            self._warm.stop()

    def _make_ahead(self, kind: str, count: int) -> bool:
        """Makes one widget, unless there are `count` already. Says whether it did."""
        free = self._free.setdefault(kind, [])
        if len(free) >= count:
            return False
        free.append(self._make(kind))
        return True

    def restyle(self) -> None:
        """The theme is another one: what is kept is of no use, what is shown is asked for anew."""
        for widgets in self._free.values():
            for widget in widgets:
                widget.deleteLater()
        self._free.clear()
        for widget in self._parent.findChildren(QWidget):
            if isinstance(widget, (TextPart, CodePart)):
                widget.restyle()
        self._warm.start()

    def _take(self, kind: str) -> Any:
        free = self._free.get(kind)
        if free:
            widget = free.pop()
            view = widget if kind == "text" else getattr(widget, "view", None)
            if view is not None:
                cursor = view.textCursor()
                cursor.clearSelection()
                view.setTextCursor(cursor)
            return widget
        return self._make(kind)

    def _make(self, kind: str) -> Any:
        transcript = self._transcript
        widget: Any
        if kind == "text":
            widget = TextPart(self._parent)
            self._connect_view(widget, widget)
        elif kind == "code":
            widget = CodePart(self._parent)
            self._connect_view(widget.view, widget)
        elif kind == "wait":
            widget = WaitPart(self._parent)
        elif kind == "track":
            widget = TokenTrack(self._parent)
            widget.picked.connect(lambda mark: transcript.track_picked(widget, mark))
        elif kind == "edit":
            widget = MessageEdit(self._parent)
            widget.kept.connect(lambda text: transcript.edit_kept(widget, text))
            widget.left.connect(lambda: transcript.edit_left(widget))
            widget.resized.connect(lambda: transcript._row_resized(widget))
        else:
            widget = MessageFoot(self._parent)
            widget.pressed.connect(lambda action: transcript.foot_pressed(widget, action))
        widget.hide()
        if hasattr(widget, "entered"):
            widget.entered.connect(lambda: transcript.set_hovered(transcript.block_of(widget)))
        return widget

    def _connect_view(self, view: ReadingView, widget: QWidget) -> None:
        transcript = self._transcript
        view.menu_wanted.connect(lambda where: transcript.text_menu(view, widget, where))
        view.pressed.connect(lambda: transcript.selection_begun(view))
        view.dragged_out.connect(lambda where: transcript.selection_drawn(view, where))
        view.moved.connect(lambda point: transcript.token_moved(view, widget, point))
        view.clicked.connect(lambda point: transcript.token_clicked(view, widget, point))
        view.left.connect(transcript.token_left)
