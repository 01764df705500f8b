"""The line over a set of prompts: how far it is, pausing it, which of its prompts are shown, and its export. Knows no session.

Object names `compare.sets.*`.
"""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QMenu, QProgressBar, QPushButton, QWidget

from playground import events
from playground.gui import theme
from playground.gui.widgets.amounts import duration

SETTLE_MS = 200
STATES = (("", "All prompts"), ("different", "Replies differ"), ("open", "Not done yet"), ("failed", "Failed"))
FORMS = (("md", "Markdown"), ("csv", "CSV, a row a prompt"), ("jsonl", "JSON Lines, an object a reply"))


class SetsBar(QWidget):
    """`filtered` when other prompts are to be shown: those with `words`, of the kind `choice`. `export_wanted(form)`."""

    hold_wanted = Signal()
    filtered = Signal()
    export_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._tell)
        self.progress = QProgressBar()
        self.progress.setObjectName("compare.sets.progress")
        self.progress.setAccessibleName("Progress")
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(160)
        self.state = QLabel()
        self.state.setObjectName("compare.sets.state")
        theme.mark(self.state, role="muted")
        self.hold = QPushButton("Pause")
        self.hold.setObjectName("compare.sets.hold")
        self.hold.clicked.connect(self.hold_wanted)
        self.filter = QLineEdit()
        self.filter.setObjectName("compare.sets.filter")
        self.filter.setAccessibleName("Filter prompts and replies")
        self.filter.setPlaceholderText("Words in prompts and replies")
        self.filter.setToolTip("Keeps prompts that have these words, in the prompt or in a reply")
        self.filter.setClearButtonEnabled(True)
        self.filter.setFixedWidth(220)
        self.filter.textChanged.connect(lambda _text: self._settle.start())
        self.which = QComboBox()
        self.which.setObjectName("compare.sets.which")
        self.which.setAccessibleName("Which prompts are shown")
        self.which.setToolTip("Which prompts are shown")
        for name, words in STATES:
            self.which.addItem(words, name)
        self.which.currentIndexChanged.connect(lambda _place: self._tell())
        self.export = QPushButton("Export")
        self.export.setObjectName("compare.sets.export")
        self.export.setToolTip("Writes all prompts and replies to a file")
        theme.bind_icon(self.export, "file-down", "text")
        menu = QMenu(self.export)
        for form, words in FORMS:
            menu.addAction(words).triggered.connect(lambda _on=False, form=form: self.export_wanted.emit(form))
        self.export.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.setSpacing(8)
        row.addWidget(self.hold)
        row.addWidget(self.progress)
        row.addWidget(self.state, 1)
        row.addWidget(self.filter)
        row.addWidget(self.which)
        row.addWidget(self.export)

    @property
    def words(self) -> str:
        return self.filter.text()

    @property
    def choice(self) -> str:
        """One of `STATES`."""
        return str(self.which.currentData())

    def show_all(self) -> None:
        """Neither words nor kind: another set is shown."""
        self.filter.clear()
        self.which.setCurrentIndex(0)
        self._settle.stop()

    def show_progress(self, now: events.PromptSetProgress, shown: int, busy: bool) -> None:
        """How far a set is. `shown`: prompts in sight, -1 for all of them; `busy`: another set runs."""
        going = now.state == "running"
        self.progress.setRange(0, max(1, now.total))
        self.progress.setValue(now.done)
        left = f", {duration(now.seconds_left)} left" if going and now.seconds_left > 0 else ""
        rate = f" · {now.tokens_per_s:.0f} tokens/s{left}" if going and now.tokens_per_s else ""
        ended = {"paused": " · paused", "done": " · done", "failed": " · failed"}.get(now.state, "")
        some = f" · {shown:,} shown" if shown >= 0 else ""
        self.state.setText(f"{now.done:,} of {now.total:,} replies{rate}{ended}{some}")
        self.hold.setVisible(now.state != "done")
        self.hold.setText("Pause" if going else "Go on")
        theme.mark(self.hold, role="plain" if going else "primary")
        self.hold.setEnabled(going or not busy)
        self.hold.setToolTip(
            "Stops at the next token; what is not replied to in full is done again"
            if going
            else "Goes on with what has no reply yet"
        )

    def _tell(self) -> None:
        self._settle.stop()
        self.filtered.emit()
