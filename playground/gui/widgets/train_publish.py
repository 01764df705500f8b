"""What of a result would go to the hub, looked at before anything is sent: where, which files, what stays, its card.

Knows plans and tells wishes; who sends is another's matter. Object names begin with `train.publishing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.widgets.amounts import size
from playground.gui.widgets.job_foot import JobFoot, Press
from playground.gui.widgets.part_head import PartHead, scroll_column
from playground.gui.widgets.token_field import TokenField

if TYPE_CHECKING:
    from playground.session.publishing import Published, PublishPlan

SETTLE_MS = 300
LEFT = 400
NO_TOKEN = "This needs a token of yours that may write, from huggingface.co/settings/tokens."


class TrainPublish(QFrame):
    """`changed` when another plan is wanted, answered by `show_plan` or `show_problem`; `sent` when the button was pressed."""

    changed = Signal()
    sent = Signal()
    cancelled = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.publishing")
        theme.mark(self, surface="surface")
        self._card = ""
        """as the folder has it: what stands there otherwise was written by hand"""
        self._no_token = False
        self._plan: PublishPlan | None = None
        self.head = PartHead("train.publishing", "Back to the run")
        self.head.closed.connect(self.closed)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self.changed)
        both = QHBoxLayout()
        both.setContentsMargins(0, 0, 0, 0)
        both.setSpacing(0)
        both.addWidget(self._where())
        both.addLayout(self._text(), 1)
        self.foot = JobFoot("train.publishing", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.head)
        column.addLayout(both, 1)
        column.addWidget(self.foot)

    # -- parts

    def _where(self) -> QWidget:
        left = QFrame(self)
        theme.mark(left, surface="surface", line="right")
        left.setFixedWidth(LEFT)
        area, column = scroll_column(left, 16)
        area.setFrameShape(QFrame.Shape.NoFrame)
        column.setSpacing(8)
        outer = QVBoxLayout(left)
        outer.setContentsMargins(24, 16, 8, 8)
        outer.addWidget(area)
        self.gate = TokenField("train.publishing", area.widget())
        self.gate.field.setMinimumWidth(144)
        self.repo = self._field("repo", "Repository", "Where it goes on the hub; it is made if it is not there", "owner/name")
        self.private = QCheckBox("Private")
        self.private.setObjectName("train.publishing.private")
        self.private.setToolTip("Only you can see it; a repository that is there already stays as it is")
        self.private.toggled.connect(lambda _on: self._later())
        self.base = self._field(
            "base", "Base model", "The name on the hub of the model that was trained: others need it", "owner/name"
        )
        self._base_head = _heading("Base model on the hub")
        self.files, self.held = _list("files", "Files that are sent"), _list("held", "Files that stay")
        self._held_head = _heading("What stays here")
        self.notes = QLabel()
        self.notes.setObjectName("train.publishing.notes")
        self.notes.setWordWrap(True)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        theme.mark(self.notes, role="warn")
        self.notes.hide()
        for each in (
            self.gate, _heading("Repository"), self.repo, self.private, self._base_head, self.base, self.notes,
            _heading("What is sent"), self.files, self._held_head, self.held,
        ):  # fmt: skip
            column.addWidget(each)
        column.addStretch(1)
        return left

    def _text(self) -> QVBoxLayout:
        self.card = QPlainTextEdit(self)
        self.card.setObjectName("train.publishing.card")
        self.card.setAccessibleName("Model card")
        self.card.setToolTip(
            "README.md as it will stand there; what you change here is sent so, and your folder stays as it is"
        )
        self.card.setTabChangesFocus(True)
        self.card.textChanged.connect(self._later)
        column = QVBoxLayout()
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        column.addWidget(_heading("Model card"))
        column.addWidget(self.card, 1)
        return column

    def _field(self, role: str, said: str, tip: str, hint: str) -> QLineEdit:
        field = QLineEdit()
        field.setObjectName(f"train.publishing.{role}")
        field.setAccessibleName(said)
        field.setToolTip(tip)
        field.setPlaceholderText(hint)
        theme.mark(field, compact=True)
        field.textChanged.connect(lambda _text: self._later())
        return field

    # -- what is chosen

    def text(self) -> str | None:
        """The card where it was written anew, None where it is the folder's."""
        text = self.card.toPlainText()
        return None if text == self._card else text

    def _later(self) -> None:
        """Until what would be sent is known anew, nothing can be."""
        self._plan = None
        self.foot.show_ready("Looking at what would be sent", "Nothing has been sent.", self._press(False))
        self._settle.start()

    # -- what is shown

    def begin(self, title: str, repo: str) -> None:
        """Another result; its plan is asked for."""
        self._card = ""
        for each, text in ((self.repo, repo), (self.base, "")):
            each.setText(text)
        self.card.setPlainText("")
        self.private.setChecked(False)
        self.gate.hide()
        self._no_token = False
        self._lock(False)
        self.head.show_title("Publish", title)
        self._show_files((), ())
        self._settle.stop()
        self.changed.emit()

    def plan(self) -> PublishPlan | None:
        """What the button would send, None while that is not known."""
        return self._plan

    def show_plan(self, plan: PublishPlan, ready: bool) -> None:
        """`ready`: whether it has a place to go to."""
        parcel = plan.parcel
        adapter = parcel.kind == "adapter"
        self._base_head.setVisible(adapter)
        self.base.setVisible(adapter)
        self._show_files(parcel.files, parcel.held_back)
        self.notes.setText("\n".join(parcel.notes))
        self.notes.setVisible(bool(parcel.notes))
        if self.text() is None:
            self._card = parcel.card
            self.card.blockSignals(True)
            self.card.setPlainText(parcel.card)
            self.card.blockSignals(False)
        self._plan = plan if ready else None
        what = f"{len(parcel.files)} files, {size(parcel.bytes)}"
        if not ready:
            self.foot.show_ready(what, "Write where they go, as owner/name.", self._press(False))
            return
        seen = "only you will see it" if plan.private else "everybody will see it"
        self.foot.show_ready(
            f"{what} to {plan.repo}", f"Nothing has been sent; {seen}: {plan.url}", self._press(not self._no_token)
        )

    def show_problem(self, message: str, hint: str) -> None:
        """Why this cannot be sent as it is."""
        self.foot.show_failed(message, hint, self._press(False))

    def ask_token(self) -> None:
        """There is none that may write: nothing can be sent until there is."""
        self._know_token(False)
        self.gate.ask(NO_TOKEN, "")

    def token_is_there(self) -> None:
        self._know_token(True)
        self.gate.hide()

    def _know_token(self, there: bool) -> None:
        self._no_token = not there
        if self._plan is not None and self.foot.state in ("ready", "failed"):
            self.show_plan(self._plan, True)

    def show_sending(self, fraction: float, what: str) -> None:
        assert self._plan is not None
        self._lock(True)
        stop = Press("stop", "Stop", "Nothing can be seen there before all of it is", self.cancelled.emit)
        self.foot.show_working(f"Publishing to {self._plan.repo}", fraction, what, stop)

    def show_failed(self, message: str, hint: str) -> None:
        """Why it was not sent; the button tries it again."""
        self._lock(False)
        self.foot.show_failed(message, hint, self._press(not self._no_token))

    def show_sent(self, done: Published) -> None:
        self._lock(False)
        url = done.url
        look = Press("open", "Open its page", "Opens it in the browser", lambda: open_page(url), True)
        self.foot.show_done(f"Published: {url}", f"{len(done.files)} files, {size(done.bytes)}", look)

    def _show_files(self, files: Iterable[tuple[str, int]], held: Iterable[tuple[str, str]]) -> None:
        _fill(self.files, [f"{name}  ·  {size(bytes_)}" for name, bytes_ in files])
        stays = [f"{name}  ·  {why}" for name, why in held]
        _fill(self.held, stays)
        self.files.setVisible(bool(self.files.count()))
        self.held.setVisible(bool(stays))
        self._held_head.setVisible(bool(stays))

    def _lock(self, sending: bool) -> None:
        for each in (self.repo, self.private, self.base):
            each.setEnabled(not sending)
        self.card.setReadOnly(sending)

    def _press(self, enabled: bool) -> Press:
        return Press("send", "Publish", "Sends these files, and this card, now", self.sent.emit, True, enabled)


def open_page(url: str) -> None:
    QDesktopServices.openUrl(QUrl(url))


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    theme.mark(label, role="heading")
    return label


def _list(role: str, said: str) -> QListWidget:
    made = QListWidget()
    made.setObjectName(f"train.publishing.{role}")
    made.setAccessibleName(said)
    made.setToolTip(said)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    made.setTextElideMode(Qt.TextElideMode.ElideRight)
    return made


def _fill(into: QListWidget, lines: list[str]) -> None:
    into.clear()
    into.addItems(lines)
    into.setFixedHeight(max(1, into.sizeHintForRow(0)) * len(lines) + 2 * into.frameWidth() + 4)
