"""The strip at the bottom: what is running, how far it is, and a way to end it. With nothing running it says what is loaded.

Its height is always kept, so that nothing above it moves when a job comes or goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from playground.gui import theme


@dataclass(frozen=True)
class Job:
    """Something that is under way. `fraction` -1: nobody knows how far it is."""

    id: str
    title: str
    fraction: float = -1.0
    detail: str = ""
    cancel: Callable[[], None] | None = None
    hold: Callable[[], None] | None = None
    """pauses it, or goes on if it is `held`; None for what cannot be paused"""
    held: bool = False


class _JobView(QWidget):
    def __init__(self, job: Job, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(f"jobs.{job.id}")
        self._cancel: Callable[[], None] | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self._title = QLabel()
        theme.mark(self._title, role="small")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(144)
        self._bar.setAccessibleName("Progress")
        self._bar.setToolTip("How far this is")
        self._detail = QLabel()
        self._detail.setMinimumWidth(40)
        theme.mark(self._detail, role="muted")
        self._held: bool | None = None
        self._hold_job: Callable[[], None] | None = None
        self._hold = QToolButton()
        self._hold.setObjectName(f"jobs.{job.id}.hold")
        self._hold.setFixedSize(24, 24)
        self._hold.clicked.connect(lambda: self._hold_job and self._hold_job())
        self._stop = QToolButton()
        self._stop.setObjectName(f"jobs.{job.id}.cancel")
        self._stop.setFixedSize(24, 24)
        theme.bind_icon(self._stop, "x", "muted", 14)
        self._stop.clicked.connect(lambda: self._cancel and self._cancel())
        for each in (self._title, self._bar, self._detail, self._hold, self._stop):
            row.addWidget(each, 0, Qt.AlignmentFlag.AlignVCenter)
        self.show_job(job)

    def show_job(self, job: Job) -> None:
        self._title.setText(job.title)
        if job.fraction < 0:
            self._bar.setRange(0, 0)
        else:
            self._bar.setRange(0, 1000)
            self._bar.setValue(round(job.fraction * 1000))
        percent = "" if job.fraction < 0 else f"{job.fraction:.0%}"
        self._detail.setText("  ".join(each for each in (percent, job.detail) if each))
        self._hold_job = job.hold
        self._hold.setVisible(job.hold is not None)
        if job.held != self._held:
            self._held = job.held
            theme.bind_icon(self._hold, "play" if job.held else "pause", "muted", 14)
        said = f"{'Go on' if job.held else 'Pause'}: {job.title}"
        self._hold.setAccessibleName(said)
        self._hold.setToolTip(said)
        self._cancel = job.cancel
        self._stop.setVisible(job.cancel is not None)
        self._stop.setAccessibleName(f"Cancel: {job.title}")
        self._stop.setToolTip(f"Cancel: {job.title}")


class JobStrip(QFrame):
    """`put` shows a job or its progress, `remove` takes it away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("jobs")
        self.setFixedHeight(theme.STRIP)
        theme.mark(self, surface="window", line="top")
        self._jobs: dict[str, _JobView] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(24)
        self._summary = QLabel("")
        self._summary.setObjectName("jobs.summary")
        theme.mark(self._summary, role="muted")
        row.addWidget(self._summary)
        self._row = QHBoxLayout()
        self._row.setSpacing(24)
        row.addLayout(self._row)
        row.addStretch(1)
        self._warning = QLabel("")
        self._warning.setObjectName("jobs.warning")
        theme.mark(self._warning, role="warn")
        row.addWidget(self._warning)

    def put(self, job: Job) -> None:
        if job.id in self._jobs:
            self._jobs[job.id].show_job(job)
            return
        view = _JobView(job, self)
        self._jobs[job.id] = view
        self._row.addWidget(view)
        self._summary.hide()

    def remove(self, name: str) -> None:
        view = self._jobs.pop(name, None)
        if view is not None:
            view.hide()
            view.deleteLater()
        self._summary.setVisible(not self._jobs)

    def jobs(self) -> tuple[str, ...]:
        return tuple(self._jobs)

    def show_summary(self, text: str) -> None:
        """What stands there while nothing runs."""
        self._summary.setText(text)

    def show_warning(self, text: str, why: str = "") -> None:
        """A lasting state that the user should not forget."""
        self._warning.setText(text)
        self._warning.setToolTip(why)
