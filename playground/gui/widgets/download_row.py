"""One download: what, how far, how fast, how long; pause, go on, cancel, and what to do when it has failed or is done."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import duration, size
from playground.gui.widgets.elided_label import ElidedLabel

STATES = {
    "queued": "Waits for another download",
    "asking": "Asking the hub",
    "waiting": "Another program is getting the same file",
    "checking": "Checking what is there",
    "loading": "",
    "retrying": "The line broke; trying again",
    "pausing": "Pausing",
    "paused": "Paused",
    "failed": "Failed",
    "cancelled": "Cancelled; what has arrived is kept",
    "done": "Done",
}


def detail_text(download: Any) -> str:
    """How far a download is, in a line: `1.2 GB of 4.4 GB, 12 MB/s, 20 s left`."""
    if download.state == "failed":
        return f"{download.message} {download.hint}".strip()
    if download.state == "done":
        return f"{size(download.total)}, checked"
    amount = f"{size(download.done)} of {size(download.total)}" if download.total else ""
    parts = [amount, STATES.get(download.state, download.state)]
    if download.state == "loading":
        if download.rate > 0:
            parts.append(f"{size(download.rate)}/s")
        if download.seconds_left > 0:
            parts.append(f"{duration(download.seconds_left)} left")
    elif download.message:
        parts[1] = download.message
    return "  ·  ".join(each for each in parts if each)


class DownloadRow(QWidget):
    """Object names: `models.download.<id>` and, below it, `.pause`, `.resume`, `.cancel`, `.delete`, `.open`."""

    pause_wanted = Signal(str)
    resume_wanted = Signal(str)
    cancel_wanted = Signal(str)
    delete_wanted = Signal(str)
    forget_wanted = Signal(str)
    open_wanted = Signal(object)

    def __init__(self, download: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"models.download.{download.id}")
        self.setFixedHeight(48)
        self.download = download
        self._title = ElidedLabel()
        theme.mark(self._title, role="strong")
        self._percent = QLabel()
        theme.mark(self._percent, role="small")
        self._percent.setFixedWidth(44)
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._bar.setAccessibleName("Progress")
        self._bar.setToolTip("How much has arrived")
        self._detail = ElidedLabel()
        theme.mark(self._detail, role="muted")
        words = QVBoxLayout()
        words.setSpacing(2)
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self._title, 1)
        words.addLayout(top)
        words.addWidget(self._detail)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 4)
        row.setSpacing(12)
        row.addLayout(words, 3)
        row.addWidget(self._bar, 2)
        row.addWidget(self._percent)
        self._buttons: dict[str, QToolButton] = {}
        for role, icon, said in (
            ("open", "message-square", "Chat with"),
            ("pause", "pause", "Pause"),
            ("resume", "play", "Go on with"),
            ("cancel", "x", "Cancel"),
            ("delete", "trash-2", "Throw away what has arrived of"),
            ("forget", "x", "Take off the list:"),
        ):
            button = QToolButton()
            button.setObjectName(f"models.download.{download.id}.{role}")
            button.setFixedSize(28, 28)
            button.setAccessibleName(f"{said} {download.repo} {download.label}")
            button.setToolTip(f"{said} {download.label}")
            theme.bind_icon(button, icon, "accent" if role == "open" else "muted", 16)
            self._buttons[role] = button
        buttons = QWidget()
        buttons.setFixedWidth(2 * 28 + 4)  # two at a time: the bars of all rows end at one line
        tools = QHBoxLayout(buttons)
        tools.setContentsMargins(0, 0, 0, 0)
        tools.setSpacing(4)
        tools.addStretch(1)
        for button in self._buttons.values():
            tools.addWidget(button)
        row.addWidget(buttons)
        self._buttons["pause"].clicked.connect(lambda: self.pause_wanted.emit(self.download.id))
        self._buttons["resume"].clicked.connect(lambda: self.resume_wanted.emit(self.download.id))
        self._buttons["cancel"].clicked.connect(lambda: self.cancel_wanted.emit(self.download.id))
        self._buttons["delete"].clicked.connect(lambda: self.delete_wanted.emit(self.download.id))
        self._buttons["forget"].clicked.connect(lambda: self.forget_wanted.emit(self.download.id))
        self._buttons["open"].clicked.connect(lambda: self.open_wanted.emit(self.download))
        self.show_download(download)

    def show_download(self, download: Any) -> None:
        before, self.download = self.download, download
        self._title.setText(f"{download.repo}  ·  {download.label}" if download.label else download.repo)
        self._title.setToolTip("\n".join(download.files[:8]))
        self._detail.setText(detail_text(download))
        if before.state != download.state or not self._detail.property("role"):
            theme.mark(self._detail, role="bad" if download.state == "failed" else "muted")
        self._bar.setValue(round(1000 * download.fraction))
        self._percent.setText(f"{download.fraction:.0%}" if download.total else "")
        state = download.state
        still = state in ("paused", "failed", "cancelled")
        shown = {
            "open": state == "done" and download.path.lower().endswith(".gguf"),
            "forget": state == "done",
            "resume": still,
            "delete": still,
            "pause": download.running or state == "queued",
            "cancel": download.running or state == "queued",
        }
        focused = next((role for role, button in self._buttons.items() if button.hasFocus()), "")
        for role, visible in shown.items():
            self._buttons[role].setVisible(visible)
        self._buttons["pause"].setEnabled(state != "pausing")
        if focused and not shown[focused]:  # the focus goes on to what stands there now
            next(self._buttons[role] for role, visible in shown.items() if visible).setFocus()
