"""All generations as a table: fetched in pages while one scrolls, kept up to date by events, sorted and filtered by a proxy.

Knows rows and how they read, no session: `fetch(limit, offset)` is given, and asked again when there is more.
"""

from __future__ import annotations

import re
import time
from dataclasses import fields
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal

from playground.gui import theme
from playground.gui.widgets.table_columns import Column, ColumnsModel, side
from playground.history.records import GenerationRow
from playground.params import SamplingSettings

Index = QModelIndex | QPersistentModelIndex
PAGE = 200
SORT = Qt.ItemDataRole.UserRole
ROW = Qt.ItemDataRole.UserRole + 1

STATES = {
    "streaming": "Writing…",
    "end": "Finished",
    "stop": "Stop string",
    "length": "Length",
    "context": "Context full",
    "cancelled": "Stopped",
    "interrupted": "Interrupted",
    "failed": "Failed",
}
TROUBLE = ("interrupted", "failed")
SHORT = {
    "temperature": "temp",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "repetition_penalty": "rep",
    "repeat_last_n": "window",
    "frequency_penalty": "freq",
    "presence_penalty": "pres",
    "adapter_scale": "adapter",
    "max_tokens": "length",
    "stop": "stop",
    "stages": "order",
}
_TAG = re.compile(r"<\|[^|>]*\|>|</?[a-z_]+>|\[/?[A-Z]+\]|<</?SYS>>")
_ROLES = {"user", "assistant", "system", "model", "human"}


def asked(row: GenerationRow) -> str:
    """The message that was answered, on one line."""
    return " ".join(row.asked.split()) or prompt_start(row.prompt)


def prompt_start(rendered: str, tail: int = 4000) -> str:
    """What the user asked last, as far as it can be told from a rendered prompt."""
    lines = [line.strip() for line in _TAG.sub("\n", rendered[-tail:]).splitlines()]
    asked = [line for line in lines if line and line.rstrip(":").lower() not in _ROLES]
    return asked[-1][:200] if asked else ""


def rate(row: GenerationRow) -> float:
    """Tokens a second, 0 where it cannot be said."""
    return row.completion_tokens / row.decode_s if row.decode_s > 1e-3 and row.completion_tokens else 0.0


def value_text(value: Any) -> str:
    """A setting's value in a few characters."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, tuple):
        return "›".join(each[:4] if each.isidentifier() else repr(each)[1:-1] for each in value) or "none"
    return str(value)


def differences(settings: SamplingSettings, base: SamplingSettings | None = None) -> str:
    """The settings that are not the usual ones (or those of `base`), in a line."""
    base = base or SamplingSettings()
    found = []
    for field in fields(SamplingSettings):
        value = getattr(settings, field.name)
        if field.name != "seed" and value != getattr(base, field.name):
            found.append(f"{SHORT[field.name]} {value_text(value)}")
    return ", ".join(found)


def when_text(moment: float, now: float | None = None) -> str:
    """A moment, as short as it can be said."""
    now = time.time() if now is None else now
    local, today = time.localtime(moment), time.localtime(now)
    if local[:3] == today[:3]:
        return time.strftime("%H:%M:%S", local)
    if local.tm_year == today.tm_year:
        return time.strftime("%d %b  %H:%M", local)
    return time.strftime("%d %b %Y", local)


COLUMNS: tuple[Column[GenerationRow], ...] = (
    Column("When", "When it was asked for", lambda g: when_text(g.started), lambda g: g.started, 136),
    Column("Prompt", "What was asked", asked, lambda g: asked(g).lower(), 240),
    Column("Model", "Which model answered", lambda g: g.model_name, lambda g: g.model_name.lower(), 112),
    Column(
        "Settings", "What differs from the defaults", lambda g: differences(g.settings), lambda g: differences(g.settings), 152
    ),
    Column("Tokens", "Length of the reply", lambda g: f"{g.completion_tokens:,}", lambda g: g.completion_tokens, 72, True),
    Column("tok/s", "Tokens a second", lambda g: f"{rate(g):.1f}" if rate(g) else "–", rate, 72, True),
    Column("Prefill", "Time to read the prompt", lambda g: f"{g.prefill_s:.2f} s", lambda g: g.prefill_s, 72, True),
    Column("Ended", "How the reply ended", lambda g: STATES.get(g.state, g.state), lambda g: STATES.get(g.state, g.state), 96),
    Column("Seed", "The seed of the draw", lambda g: str(g.seed), lambda g: g.seed, 120, True),
)
WHEN, PROMPT, MODEL, SETTINGS, TOKENS, RATE, PREFILL, ENDED, SEED = range(len(COLUMNS))


class LogModel(ColumnsModel):
    """`more_wanted(limit, offset)` when the next page is to be fetched; `add_page` takes it."""

    columns = COLUMNS

    more_wanted = Signal(int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[GenerationRow] = []
        self._texts: list[list[str] | None] = []
        self._place: dict[str, int] = {}
        self._complete = False
        self._waiting = False

    # -- rows

    def reset(self) -> None:
        self.beginResetModel()
        self._rows, self._texts, self._place = [], [], {}
        self._complete, self._waiting = False, False
        self.endResetModel()

    def add_page(self, rows: list[GenerationRow], limit: int = PAGE) -> None:
        """What `more_wanted` asked for."""
        self._waiting = False
        self._complete = len(rows) < limit
        new = [row for row in rows if row.id not in self._place]
        if new:
            first = len(self._rows)
            self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
            for row in new:
                self._place[row.id] = len(self._rows)
                self._rows.append(row)
                self._texts.append(None)
            self.endInsertRows()

    def put(self, row: GenerationRow) -> None:
        """A generation that is new or has changed."""
        place = self._place.get(row.id)
        if place is None:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows))
            self._place[row.id] = len(self._rows)
            self._rows.append(row)
            self._texts.append(None)
            self.endInsertRows()
        else:
            self._rows[place], self._texts[place] = row, None
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))

    def row(self, place: int) -> GenerationRow:
        return self._rows[place]

    def place_of(self, generation_id: str) -> int:
        return self._place.get(generation_id, -1)

    @property
    def complete(self) -> bool:
        """Everything that there is has been fetched."""
        return self._complete

    # -- Qt

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def canFetchMore(self, parent: Index) -> bool:
        return not parent.isValid() and not self._complete and not self._waiting

    def fetchMore(self, parent: Index) -> None:
        if self.canFetchMore(parent):
            self._waiting = True
            self.more_wanted.emit(PAGE, len(self._rows))  # those that are here are the newest ones, however they came

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(index.row())[column]
        if role == SORT:
            return COLUMNS[column].sort(row)
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return side(COLUMNS[column].number)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._text(index.row())[column] if column in (PROMPT, SETTINGS, MODEL) else None
        if role == Qt.ItemDataRole.ForegroundRole:
            from PySide6.QtGui import QColor

            colors = theme.palette()
            if column == ENDED and row.state in TROUBLE:
                return QColor(colors.bad)
            return QColor(colors.text if column in (PROMPT, TOKENS) else colors.muted)
        return None

    def _text(self, place: int) -> list[str]:
        texts = self._texts[place]
        if texts is None:
            texts = [column.text(self._rows[place]) for column in COLUMNS]
            self._texts[place] = texts
        return texts

    def has_words(self, place: int, words: list[str]) -> bool:
        text = " ".join(self._text(place)).lower()
        return all(word in text for word in words)


class LogProxy(QSortFilterProxyModel):
    """Sorts by value, keeps the rows that have all words."""

    def __init__(self, model: LogModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self._log = model
        self.setSourceModel(model)
        self.setSortRole(SORT)
        self.setDynamicSortFilter(True)

    def set_words(self, text: str) -> None:
        self._words = text.lower().split()
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        return not self._words or self._log.has_words(row, self._words)

    def lessThan(self, left: Index, right: Index) -> bool:
        mine, other = left.data(SORT), right.data(SORT)
        return bool(mine < other) if mine != other else left.row() < right.row()
