"""One thing that can be downloaded of a model: what it is called, how large and how good it is, whether it fits, and the button for it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import size
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.fit_chip import FitChip

KINDS = {"mmproj": "image projector", "adapter": "adapter"}
RUNNING = ("queued", "asking", "waiting", "checking", "loading", "retrying", "pausing")


class ChoiceRow(QWidget):
    """Object names: `models.choice.<path>` and its button `models.choice.<path>.get`."""

    get_wanted = Signal(object)
    open_wanted = Signal(object)
    picked = Signal(object)
    """the row was clicked: its estimate is wanted"""

    def __init__(self, choice: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"models.choice.{choice.path}")
        self.setFixedHeight(52)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.choice = choice
        self.recommended = self.chosen = False
        self._here = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 8, 0)
        row.setSpacing(12)
        self._star = QLabel()
        self._star.setFixedWidth(16)
        self._label = ElidedLabel(choice.label)
        self._label.setToolTip(choice.path)
        theme.mark(self._label, role="strong")
        self._quality = ElidedLabel(choice.quality or "")
        theme.mark(self._quality, role="muted")
        files = f"{len(choice.files)} files, " if len(choice.files) > 1 else ""
        self._size = QLabel(size(choice.size))
        self._size.setToolTip(f"{files}{choice.size:,} bytes")
        self._size.setFixedWidth(72)
        self._size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        theme.mark(self._size, role="small")
        self.chip = FitChip()
        holder = QWidget()
        holder.setFixedWidth(116)
        inside = QHBoxLayout(holder)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.chip)
        inside.addStretch(1)
        self.button = QPushButton("Download")
        self.button.setObjectName(f"models.choice.{choice.path}.get")
        self.button.setFixedWidth(104)
        self.button.clicked.connect(self._press)
        row.addWidget(self._star)
        words = QVBoxLayout()
        words.setContentsMargins(0, 6, 0, 6)
        words.setSpacing(0)
        words.addWidget(self._label)
        if choice.quality:
            words.addWidget(self._quality)
        row.addLayout(words, 1)
        row.addWidget(self._size)
        row.addWidget(holder)
        row.addWidget(self.button)
        self.show_download(None)

    def show_verdict(self, verdict: Any) -> None:
        """A `Verdict`; None while it is not known."""
        if verdict is None:
            self.chip.show_verdict(None)
        else:
            self.chip.show_verdict(verdict.verdict, verdict.why)

    def mark_recommended(self, why: str) -> None:
        """Marks the one to take; an empty reason takes the mark away."""
        self.recommended = bool(why)
        self._star.setPixmap(theme.pixmap("star", theme.palette().accent, 16, self.devicePixelRatioF()) if why else _nothing())
        self._star.setToolTip(why)
        self._star.setAccessibleName("Recommended" if why else "")
        self._dress()

    def mark_chosen(self, chosen: bool) -> None:
        """Whether the estimate beside the list is this one's."""
        self.chosen = chosen
        self.update()

    def show_download(self, download: Any, here: str = "") -> None:
        """Where its download is; `here` is its path, once it is on this computer."""
        self._here = here
        choice = self.choice
        refused = choice.kind == "pickle" or not choice.complete
        running = download is not None and download.state in RUNNING
        if here:
            self.button.setText("Chat" if choice.kind in ("gguf", "safetensors") else "Here")
        elif running:
            self.button.setText(f"{download.fraction:.0%}" if download.total else "Starting…")
        else:
            self.button.setText(
                "Go on" if download is not None and download.state in ("paused", "failed", "cancelled") else "Download"
            )
        self.button.setEnabled(not refused and not running and (not here or choice.kind in ("gguf", "safetensors")))
        self.button.setAccessibleName(f"{self.button.text()}: {choice.label}")
        if refused:
            tip = (
                "Files of this kind can run code when they are opened"
                if choice.kind == "pickle"
                else "Some of its parts are missing on the hub"
            )
        elif here:
            tip = f"It lies at {here}"
        else:
            tip = f"Gets {size(choice.size)} into the Hugging Face cache, where every program finds it"
        self.button.setToolTip(tip)
        self._dress()

    def _dress(self) -> None:
        theme.mark(self.button, role="primary" if self.recommended and not self._here and self.button.isEnabled() else "plain")

    def _press(self) -> None:
        (self.open_wanted if self._here else self.get_wanted).emit(self.choice)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.picked.emit(self.choice)

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self.chosen and not self.underMouse():
            return
        colors = theme.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.accent_soft if self.chosen else colors.hover))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0, 1, 0, -1), theme.RADIUS, theme.RADIUS)


def _nothing() -> Any:
    from PySide6.QtGui import QPixmap

    return QPixmap()
