"""The rows of the chat list: chats under the day they were last used, or what a search found."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

from playground.history.records import SearchHit, SessionRow

ROW = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class ListRow:
    """A day's name, a chat, or a hit."""

    kind: str
    text: str
    chat_id: str = ""
    message_id: str = ""
    snippet: str = ""
    when: float = 0.0


def day_name(when: float, today: datetime.date) -> str:
    """`Today`, `Yesterday`, `Last 7 days`, `Last 30 days`, then the month."""
    day = datetime.date.fromtimestamp(when)
    age = (today - day).days
    if age <= 0:
        return "Today"
    if age == 1:
        return "Yesterday"
    if age < 7:
        return "Last 7 days"
    if age < 30:
        return "Last 30 days"
    return day.strftime("%B") if day.year == today.year else day.strftime("%B %Y")


class ChatListModel(QAbstractListModel):
    """See the module's docstring."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[ListRow] = []
        self._sessions: dict[str, SessionRow] = {}
        self._hits: list[SearchHit] | None = None
        self.running = ""
        """the chat whose reply is being written"""

    # -- what is known

    def set_sessions(self, sessions: Iterable[SessionRow]) -> None:
        self._sessions = {each.id: each for each in sessions if each.kind == "chat" and each.deleted is None}
        self._rebuild()

    def put(self, session: SessionRow) -> None:
        """A chat is new, different, or gone."""
        if session.kind != "chat":
            return
        before = self._sessions.get(session.id)
        if session.deleted is not None:
            if self._sessions.pop(session.id, None) is not None:
                self._rebuild()
            return
        self._sessions[session.id] = session
        if before is None or (before.title, before.updated) != (session.title, session.updated):
            self._rebuild()

    def set_hits(self, hits: Sequence[SearchHit] | None) -> None:
        """Shows what a search found, or (None) all chats again."""
        self._hits = list(hits) if hits is not None else None
        self._rebuild()

    def set_running(self, chat_id: str) -> None:
        if chat_id != self.running:
            before, self.running = self.running, chat_id
            for each in (before, chat_id):
                index = self.index_of(each)
                if index.isValid():
                    self.dataChanged.emit(index, index)

    def session(self, chat_id: str) -> SessionRow | None:
        return self._sessions.get(chat_id)

    def newest(self) -> str:
        """The chat used last."""
        return max(self._sessions.values(), key=lambda each: each.updated).id if self._sessions else ""

    def index_of(self, chat_id: str) -> QModelIndex:
        for number, row in enumerate(self._rows):
            if row.kind == "chat" and row.chat_id == chat_id:
                return self.index(number)
        return QModelIndex()

    @property
    def searching(self) -> bool:
        return self._hits is not None

    def __len__(self) -> int:
        return len(self._sessions)

    # -- rows

    def _rebuild(self) -> None:
        rows = self._hit_rows() if self._hits is not None else self._chat_rows()
        if rows == self._rows:
            return
        same_places = [(r.kind, r.chat_id, r.message_id) for r in rows] == [
            (r.kind, r.chat_id, r.message_id) for r in self._rows
        ]
        if same_places:
            changed = [number for number, (new, old) in enumerate(zip(rows, self._rows, strict=True)) if new != old]
            self._rows = rows
            for number in changed:
                self.dataChanged.emit(self.index(number), self.index(number))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _chat_rows(self) -> list[ListRow]:
        rows: list[ListRow] = []
        today = datetime.date.today()
        day = ""
        for each in sorted(self._sessions.values(), key=lambda each: each.updated, reverse=True):
            name = day_name(each.updated, today)
            if name != day:
                day = name
                rows.append(ListRow("day", name))
            rows.append(ListRow("chat", each.title or "New chat", each.id, when=each.updated))
        return rows

    def _hit_rows(self) -> list[ListRow]:
        return [
            ListRow(
                "hit", each.session_title or "New chat", each.session_id, each.message_id, _one_line(each.snippet), each.created
            )
            for each in self._hits or ()
        ]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == ROW:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.text
        if role == Qt.ItemDataRole.ToolTipRole and row.kind == "chat":
            when = datetime.datetime.fromtimestamp(row.when)
            return f"{row.text}\n{when:%Y-%m-%d %H:%M}"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            snippet = row.snippet.replace("\x02", "").replace("\x03", "")
            return f"{row.text}: {snippet}" if row.kind == "hit" else row.text
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        row = self._rows[index.row()]
        if row.kind == "day":
            return Qt.ItemFlag.NoItemFlags
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return usual | Qt.ItemFlag.ItemIsEditable if row.kind == "chat" else usual


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
