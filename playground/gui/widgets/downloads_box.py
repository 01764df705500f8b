"""All downloads of the shelf, one under the other, at the foot of the models page; not there while there are none."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.widgets.download_row import DownloadRow

MOST_ROWS = 3
"""in sight at once; more are scrolled to"""


class DownloadsBox(QFrame):
    """Object name: `models.downloads`. `put` shows a download or its progress, `remove` takes it away."""

    action = Signal(str, str)
    """(`pause`, `resume`, `cancel`, `delete` or `forget`, id)"""
    open_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.downloads")
        theme.mark(self, surface="window", line="top")
        self._rows: dict[str, DownloadRow] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 12, 24, 8)
        column.setSpacing(4)
        self._title = QLabel("Downloads")
        theme.mark(self._title, role="heading")
        column.addWidget(self._title)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        holder = QWidget()
        theme.mark(holder, scrolled=True)
        self._list = QVBoxLayout(holder)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(0)
        self._list.addStretch(1)
        self._area.setWidget(holder)
        column.addWidget(self._area)
        self.hide()

    def put(self, download: Any) -> None:
        row = self._rows.get(download.id)
        if row is not None:
            row.show_download(download)
            return
        row = DownloadRow(download)
        row.pause_wanted.connect(lambda number: self.action.emit("pause", number))
        row.resume_wanted.connect(lambda number: self.action.emit("resume", number))
        row.cancel_wanted.connect(lambda number: self.action.emit("cancel", number))
        row.delete_wanted.connect(lambda number: self.action.emit("delete", number))
        row.forget_wanted.connect(lambda number: self.action.emit("forget", number))
        row.open_wanted.connect(self.open_wanted)
        self._rows[download.id] = row
        self._list.insertWidget(0, row)
        self._fit()

    def remove(self, number: str) -> None:
        row = self._rows.pop(number, None)
        if row is not None:
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
            self._fit()

    def rows(self) -> dict[str, DownloadRow]:
        return dict(self._rows)

    def _fit(self) -> None:
        self._area.setFixedHeight(48 * min(MOST_ROWS, len(self._rows)))
        self.setVisible(bool(self._rows))
