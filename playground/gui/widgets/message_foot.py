"""The line under a message: how it was made, its versions, and what can be done with it.

Its room is reserved from the start, so nothing moves when numbers or buttons come. It says what was pressed; it does nothing itself.
"""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from playground.gui import theme
from playground.gui.widgets.conversation import Entry
from playground.gui.widgets.elided_label import ElidedLabel

COPY, EDIT, REGENERATE, CONTINUE, PREVIOUS, NEXT, COPY_SOURCE, LOG, TOKENS, INSIDE = (
    "copy", "edit", "regenerate", "continue", "previous", "next", "copy_source", "log", "tokens", "inside",
)  # fmt: skip
_ICONS = {COPY: "copy", EDIT: "pencil", REGENERATE: "refresh-cw", CONTINUE: "step-forward"}
_TIPS = {
    COPY: "Copies this message (C)",
    EDIT: "Edits this message; the earlier version stays (E)",
    REGENERATE: "Writes another version of this reply (R)",
    CONTINUE: "Goes on with this reply where it ended",
}
_NAMES = {
    COPY: "Copy the message",
    EDIT: "Edit the message",
    REGENERATE: "Write another version",
    CONTINUE: "Continue the reply",
}


class MessageFoot(QWidget):
    """See the module's docstring."""

    pressed = Signal(str)
    """one of the words above"""
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entry: Entry | None = None
        self._busy = False
        self._active = False
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.note = QLabel()
        theme.mark(self.note, role="warn")
        self.resume = QToolButton()
        self.resume.setObjectName("chat.message.resume")
        self.resume.setAccessibleName("Continue")
        self.resume.setToolTip("Goes on where the reply ended")
        theme.mark(self.resume, role="link")
        self.resume.setCursor(Qt.CursorShape.PointingHandCursor)
        self.stats = ElidedLabel()
        theme.mark(self.stats, role="muted")
        self.back = self._tool("chevron-left", PREVIOUS, "Shows the version before this one (Left)", "Earlier version")
        self.count = QLabel()
        theme.mark(self.count, role="muted")
        self.forth = self._tool("chevron-right", NEXT, "Shows the version after this one (Right)", "Later version")
        self.tools = {name: self._tool(_ICONS[name], name, _TIPS[name], _NAMES[name]) for name in _ICONS}
        self.more = self._tool("ellipsis", "", "More that can be done with this message", "More")
        self.resume.clicked.connect(self._resume)
        self.more.clicked.connect(lambda: self.menu(self.more.mapToGlobal(QPoint(0, self.more.height()))))
        row.addWidget(self.note)
        row.addWidget(self.resume)
        row.addWidget(self.stats, 1)
        for widget in (*self.tools.values(), self.more, self.back, self.count, self.forth):
            row.addWidget(widget)
        for button in self.buttons():
            policy = button.sizePolicy()
            policy.setRetainSizeWhenHidden(button in (*self.tools.values(), self.more))
            button.setSizePolicy(policy)
        self.set_active(False)

    def _tool(self, icon: str, action: str, tip: str, name: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(f"chat.message.{action or 'more'}")
        button.setToolTip(tip)
        button.setAccessibleName(name)
        button.setFixedSize(26, 26)
        theme.bind_icon(button, icon, "muted", 15)
        if action:
            button.clicked.connect(lambda: self.pressed.emit(action))
        return button

    def buttons(self) -> list[QToolButton]:
        """In the order in which the Tab key goes."""
        return [self.resume, *self.tools.values(), self.more, self.back, self.forth]

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.entered.emit()

    # -- what it shows

    def show_entry(self, entry: Entry, busy: bool) -> None:
        """Shows a message's numbers. `busy`: a reply is being written, nothing can be begun now."""
        self._entry, self._busy = entry, busy
        assistant = entry.role == "assistant"
        self.stats.setText(stats_line(entry))
        self.stats.setToolTip(stats_tip(entry))
        note, tip, way_on = outcome(entry)
        self.note.setText(note)
        self.note.setToolTip(tip)
        theme.mark(self.note, role="bad" if entry.message.state in ("interrupted", "failed") else "muted")
        self.note.setVisible(bool(note))
        self.resume.setText(way_on)
        self.resume.setAccessibleName(way_on or "Continue")
        self.resume.setVisible(bool(way_on))
        self.resume.setEnabled(not busy)
        for button in (self.back, self.forth, self.count):
            button.setVisible(entry.versions > 1)
        self.count.setText(f"{entry.version}/{entry.versions}")
        self.count.setAccessibleName(f"Version {entry.version} of {entry.versions}")
        self.back.setEnabled(entry.version > 1 and not busy)
        self.forth.setEnabled(entry.version < entry.versions and not busy)
        self.tools[REGENERATE].setEnabled(assistant and not busy)
        self.tools[EDIT].setEnabled(not busy)
        self.tools[CONTINUE].setEnabled(assistant and not busy and bool(entry.message.content))
        self._show_actions()

    def set_active(self, active: bool, reachable: bool = False) -> None:
        """Shows the buttons (the mouse is over the message, or it is the current one); `reachable` by the Tab key."""
        self._active = active
        policy = Qt.FocusPolicy.TabFocus if reachable else Qt.FocusPolicy.NoFocus
        for button in self.buttons():
            button.setFocusPolicy(policy)
        self._show_actions()

    def _show_actions(self) -> None:
        entry = self._entry
        shown = self._active and entry is not None and not entry.streaming
        assistant = entry is not None and entry.role == "assistant"
        for name, button in self.tools.items():
            button.setVisible(shown and (assistant or name in (COPY, EDIT)))
        self.more.setVisible(shown)

    def _resume(self) -> None:
        failed = self._entry is not None and not self._entry.message.content
        self.pressed.emit(REGENERATE if failed else CONTINUE)

    # -- everything, as a menu

    def menu(self, where: QPoint) -> None:
        """All actions at a point of the screen."""
        entry = self._entry
        if entry is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        assistant, busy = entry.role == "assistant", self._busy
        menu.addAction("Copy").triggered.connect(lambda: self.pressed.emit(COPY))
        self._add(menu, "Edit", EDIT, not busy)
        if assistant:
            self._add(menu, "Write another version", REGENERATE, not busy)
            self._add(menu, "Continue", CONTINUE, not busy and bool(entry.message.content))
            menu.addSeparator()
            self._add(menu, "Show in the log", LOG, entry.generation is not None)
        self._add(menu, "See its tokens", TOKENS, not busy)
        self._add(menu, "Look inside", INSIDE, not busy and bool(entry.message.content))
        if entry.versions > 1:
            menu.addSeparator()
            self._add(menu, "Earlier version", PREVIOUS, entry.version > 1 and not busy)
            self._add(menu, "Later version", NEXT, entry.version < entry.versions and not busy)
        menu.popup(where)

    def _add(self, menu: QMenu, text: str, action: str, enabled: bool) -> None:
        added = menu.addAction(text)
        added.setEnabled(enabled)
        added.triggered.connect(lambda: self.pressed.emit(action))


def stats_line(entry: Entry) -> str:
    """`38 tok/s · prefill 0.1 s · 12 cached · 57 tokens`; nothing under what the user wrote."""
    live, row = entry.live, entry.generation
    if entry.role != "assistant":
        return ""
    if live is not None:
        if live.phase != "writing" or not live.tokens:
            return ""
        rate = f"{live.rate:.0f} tok/s" if live.rate else ""
        cached = f"{live.cached:,} cached" if live.cached else ""
        return " · ".join(each for each in (rate, f"prefill {live.prefill_s:.1f} s", cached, f"{live.tokens:,} tokens") if each)
    if row is None or not row.completion_tokens:
        return "edited" if row is None and entry.message.content else ""
    speed = row.completion_tokens / row.decode_s if row.decode_s > 1e-4 else 0.0
    parts = [
        f"{speed:.0f} tok/s" if speed >= 10 else f"{speed:.1f} tok/s" if speed else "",
        f"prefill {row.prefill_s:.1f} s",
        f"{row.cached_tokens:,} cached" if row.cached_tokens else "",
        f"{row.completion_tokens:,} token" + ("s" if row.completion_tokens != 1 else ""),
    ]
    return " · ".join(each for each in parts if each)


def stats_tip(entry: Entry) -> str:
    row = entry.generation
    if row is None or entry.live is not None or not row.completion_tokens:
        return ""
    return (
        f"{row.model_name or 'Model'} on {row.device or 'this machine'}, {row.engine} {row.engine_build}\n"
        f"Prompt: {row.prompt_tokens:,} tokens, {row.cached_tokens:,} of them still in the cache, read in {row.prefill_s:.2f} s\n"
        f"Reply: {row.completion_tokens:,} tokens in {row.decode_s:.2f} s\n"
        f"Temperature {row.settings.temperature:g}, seed {row.seed}"
    )


def outcome(entry: Entry) -> tuple[str, str, str]:
    """What is to be said of an end that was not the model's own: the words, more words, and the button that goes on."""
    state, row = entry.message.state, entry.generation
    if entry.role != "assistant" or entry.streaming:
        return "", "", ""
    if state == "interrupted":
        return (
            "Interrupted",
            (row.error if row else "") or "The engine ended while it wrote. What it wrote is kept.",
            "Continue",
        )
    if state == "failed":
        return (row.error if row and row.error else "This reply could not be written."), "", "Try again"
    if row is not None and row.state == "context":
        return (
            "Context full",
            (
                "The context window has no room left. Begin a new chat, shorten an earlier message,\nor load the model with a larger window."
            ),
            "",
        )
    if row is not None and row.state == "length":
        return "Length limit", f"“Longest reply” was {row.settings.max_tokens:,} tokens. Continue, or raise it.", "Continue"
    if state == "stopped":
        return "Stopped", "You stopped this reply.", "Continue"
    return "", "", ""
