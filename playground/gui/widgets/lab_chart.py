"""The next token's distribution as a table painted by hand: a row for each candidate, a column for each stage of the sampler chain.

Bars in one column are the distribution if the chain ended there; a token that a stage cuts off has a cross there and nothing behind it.
Over the bars stands what each stage leaves: tokens, the share of the model's own probability, entropy, perplexity. Takes steps of a
`LiveChain`; knows no session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from playground.gui import theme
from playground.gui.widgets.next_token import readable

if TYPE_CHECKING:
    from playground.decoding.live_chain import Step

ROWS = 20
ROW = 21
LINE = 17
HEAD = 24
NAME = 84
NUMBER = 48
NARROW = 38
"""pixels of a column below which only the first and the last stage are shown"""
LIFTED = 5
"""of the likeliest at the end that the model itself had further down, so many get a row"""
NAMES = {
    "model": "Model",
    "penalties": "Penal.",
    "top_k": "Top-k",
    "top_p": "Top-p",
    "min_p": "Min-p",
    "temperature": "Temp.",
}
_LINES = (
    ("tokens left", "Tokens that are still in the draw after each stage"),
    ("of its mass", "How much of the model's own probability they hold together"),
    ("entropy, bits", "How undecided the draw would be: 0 is sure, 1 a coin, 10 a thousand equal candidates"),
    ("perplexity", "As many equally likely tokens would be as undecided"),
)


@dataclass(frozen=True)
class LabRow:
    """A candidate: its chances stage by stage, 0 from the stage on that cut it off."""

    token_id: int
    text: str
    chances: tuple[float, ...]
    cut_by: str = ""
    """the stage, empty while it is in the draw"""


class LabChart(QWidget):
    """See the module's docstring. Room for all rows is kept."""

    chosen = Signal(int)
    """a candidate was clicked, or Enter pressed on it"""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lab.chart")
        self.setAccessibleName("Distribution of the next token, stage by stage")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.can_choose = False
        """whether a candidate can be taken in the drawn one's place"""
        self.rows: tuple[LabRow, ...] = ()
        self.steps: tuple[Step, ...] = ()
        self.paints = 0
        """how often it was painted: the benchmark waits for that"""
        self._names: tuple[str, ...] = ()
        self._columns: tuple[int, ...] = ()
        """the stages that there is room for"""
        self._drawn = -1
        self._current = -1
        self._hovered = -1
        theme.notifier().changed.connect(self.update)

    # -- what it shows

    def show_steps(self, steps: Sequence[Step], text_of: Callable[[int], str], drawn: int = -1) -> None:
        """Shows what a chain leaves. `drawn`: the token that was taken here, -1 for none."""
        self.steps = tuple(steps)
        self._names = tuple(step.name for step in steps)
        ids = _ids(steps, drawn)
        columns = [step.probabilities(ids) for step in steps]
        self._show(ids, [text_of(each) for each in ids], columns, drawn)

    def show_recorded(
        self, ids: Sequence[int], texts: Sequence[str], own: Sequence[float], now: Sequence[float], drawn: int
    ) -> None:
        """Shows only what came with a token: the model's own probabilities and those under the settings."""
        self.steps, self._names = (), ("model", "draw")
        self._show(ids, texts, [own, now], drawn)

    def clear(self) -> None:
        self.rows, self.steps, self._names, self._drawn = (), (), (), -1
        self.setAccessibleDescription("")
        self.update()

    def _show(self, ids: Sequence[int], texts: Sequence[str], columns: Sequence[Sequence[float]], drawn: int) -> None:
        rows = []
        for place, (token, text) in enumerate(zip(ids, texts, strict=True)):
            chances = tuple(column[place] for column in columns)
            cut = next((self._names[at] for at in range(1, len(chances)) if chances[at] <= 0), "")
            rows.append(LabRow(token, text, chances, cut))
        self.rows, self._drawn = tuple(rows), drawn
        self._current = min(self._current, len(rows) - 1)
        self.update()

    # -- size

    def sizeHint(self) -> QSize:
        return QSize(360, HEAD + len(_LINES) * LINE + 10 + ROWS * ROW + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.sizeHint().height())

    def _top(self) -> int:
        return HEAD + len(_LINES) * LINE + 10

    def _row_at(self, y: float) -> int:
        place = int((y - self._top()) // ROW)
        return place if y >= self._top() and 0 <= place < len(self.rows) else -1

    def row_point(self, token_id: int) -> QPoint:
        """The middle of a candidate's row. ValueError if it has none."""
        place = [row.token_id for row in self.rows].index(token_id)
        return QPoint(self.width() // 2, self._top() + place * ROW + ROW // 2)

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colors = theme.palette()
        if not self.rows:
            self._paint_empty(painter)
        else:
            self._columns = tuple(range(len(self._names)))
            if (self.width() - NAME - NUMBER) / len(self._columns) < NARROW:
                self._columns = (0, len(self._names) - 1)
            track = (self.width() - NAME - NUMBER) / len(self._columns)
            self._paint_head(painter, colors, track)
            self._paint_rows(painter, colors, track)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QColor(colors.accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.end()
        self.paints += 1

    def _paint_head(self, painter: QPainter, colors: theme.Palette, track: float) -> None:
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.setFont(theme.font("small"))
        for place, column in enumerate(self._columns):
            name = self._names[column]
            last = column == len(self._names) - 1
            painter.setPen(QColor(colors.accent if last else colors.muted))
            area = QRectF(NAME + place * track, 0, track - 4, HEAD)
            painter.drawText(
                area,
                right,
                "Draw" if name == "draw" or (last and len(self._columns) < len(self._names)) else NAMES.get(name, name),
            )
        if not self.steps:
            return
        for line, (label, _tip) in enumerate(_LINES):
            top = HEAD + line * LINE
            painter.setPen(QColor(colors.muted))
            painter.drawText(QRectF(6, top, NAME, LINE), Qt.AlignmentFlag.AlignVCenter, label)
            for place, column in enumerate(self._columns):
                step = self.steps[column]
                value = (
                    _count(step.kept),
                    _share(step.mass),
                    f"{step.entropy / math.log(2):.2f}",
                    _perplexity(step.perplexity),
                )[line]
                before = self.steps[self._columns[place - 1]] if place else None
                same = before is not None and _values(before)[line] == _values(step)[line]
                painter.setPen(QColor(colors.faint if same else colors.text))
                painter.drawText(QRectF(NAME + place * track, top, track - 4, LINE), right, value)
        painter.fillRect(QRectF(0, self._top() - 6, self.width(), 1), QColor(colors.line))

    def _paint_rows(self, painter: QPainter, colors: theme.Palette, track: float) -> None:
        columns = len(self._columns)
        most = max((max(row.chances) for row in self.rows), default=0.0) or 1.0
        quiet, loud, sunken = QColor(colors.faint), QColor(colors.accent), QColor(colors.sunken)
        cross = QPen(QColor(colors.muted), 1.2)
        for place, row in enumerate(self.rows):
            top = self._top() + place * ROW
            if place in (self._current, self._hovered) and (self.hasFocus() or place == self._hovered):
                painter.fillRect(QRectF(0, top, self.width(), ROW), QColor(colors.hover))
            painter.setFont(theme.font("mono_small"))
            painter.setPen(QColor(colors.faint if row.cut_by else colors.text))
            text = painter.fontMetrics().elidedText(readable(row.text), Qt.TextElideMode.ElideRight, NAME - 16)
            painter.drawText(QRectF(8, top, NAME - 8, ROW), Qt.AlignmentFlag.AlignVCenter, text)
            if row.token_id == self._drawn:
                painter.fillRect(QRectF(0, top + 4, 3, ROW - 8), loud)
            for column, chance in enumerate(row.chances[each] for each in self._columns):
                left = NAME + column * track
                if chance > 0:
                    painter.fillRect(QRectF(left, top + 6, track - 6, ROW - 12), sunken)
                    width = max(1.0, (track - 6) * chance / most)
                    painter.fillRect(QRectF(left, top + 6, width, ROW - 12), loud if column == columns - 1 else quiet)
                else:  # cut off here
                    middle = top + ROW / 2
                    painter.setPen(cross)
                    painter.drawLine(QPoint(int(left) + 1, int(middle) - 3), QPoint(int(left) + 7, int(middle) + 3))
                    painter.drawLine(QPoint(int(left) + 1, int(middle) + 3), QPoint(int(left) + 7, int(middle) - 3))
                    break
            painter.setFont(theme.font("small"))
            painter.setPen(QColor(colors.muted if row.cut_by else colors.text))
            said = NAMES.get(row.cut_by, "cut").lower() if row.cut_by else _chance(row.chances[-1])
            area = QRectF(self.width() - NUMBER, top, NUMBER - 4, ROW)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, said)

    def _paint_empty(self, painter: QPainter) -> None:
        colors = theme.palette()
        for place in range(ROWS):
            tone = QColor(colors.sunken)
            tone.setAlphaF(max(0.0, 0.9 - 0.05 * place))
            top = self._top() + place * ROW
            painter.fillRect(QRectF(NAME, top + 6, (self.width() - NAME) * 0.86 ** (place + 1), ROW - 12), tone)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor(colors.muted))

    # -- mouse and keys

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(event.pos()), self)
            return True
        return super().event(event)

    def tip_at(self, point: QPoint) -> str:
        """What is to be said of the place under the mouse."""
        place = self._row_at(point.y())
        if place < 0:
            line = (point.y() - HEAD) // LINE
            return _LINES[line][1] if self.steps and 0 <= line < len(_LINES) else ""
        row = self.rows[place]
        lines = [f"{readable(row.text)}   token {row.token_id:,}"]
        for name, chance in zip(self._names, row.chances, strict=True):
            if chance <= 0:
                lines.append(f"{NAMES.get(name, name)}: cut off")
                break
            lines.append(f"{NAMES.get(name, 'Draw')}: {chance:.4%}")
        if self.can_choose and row.token_id != self._drawn:
            lines.append("Click: the reply forks here with this token")
        return "\n".join(lines)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self._row_at(event.position().y()))

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)

    def _hover(self, place: int) -> None:
        if place != self._hovered:
            self._hovered = place
            self.setCursor(Qt.CursorShape.PointingHandCursor if place >= 0 and self.can_choose else Qt.CursorShape.ArrowCursor)
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = self._row_at(event.position().y())
        if event.button() == Qt.MouseButton.LeftButton and place >= 0:
            self._current = place
            self._choose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        if event.key() in steps and self.rows:
            self._current = max(0, min(len(self.rows) - 1, self._current + steps[Qt.Key(event.key())]))
            row = self.rows[self._current]
            self.setAccessibleDescription(
                f"{readable(row.text)}: {'cut off by ' + row.cut_by if row.cut_by else _chance(row.chances[-1])}"
            )
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self._choose()
        else:
            super().keyPressEvent(event)

    def _choose(self) -> None:
        self.update()
        row = self.rows[self._current]
        if self.can_choose and row.token_id != self._drawn:
            self.chosen.emit(row.token_id)


def _ids(steps: Sequence[Step], drawn: int) -> list[int]:
    """The model's likeliest, in its order; at the end those that the settings have lifted over them, and the one that was drawn."""
    ids = [token for token, _ in steps[0].likeliest(ROWS)]
    lifted = [token for token, _ in steps[-1].likeliest(LIFTED) if token not in ids]
    if drawn >= 0 and drawn not in ids and drawn not in lifted:
        lifted.append(drawn)
    return ids[: ROWS - len(lifted)] + lifted


def _values(step: Step) -> tuple[float, ...]:
    return step.kept, step.mass, step.entropy, step.entropy


def _count(number: int) -> str:
    return f"{number:,}" if number < 10_000 else f"{number / 1000:.0f}k"


def _share(value: float) -> str:
    return "100 %" if value >= 0.99995 else f"{value:.1%}".replace("%", " %")


def _perplexity(value: float) -> str:
    return f"{value:.2f}" if value < 100 else _count(round(value))


def _chance(value: float) -> str:
    return f"{value:.1%}".replace("%", " %") if value >= 0.0005 else "<0.1 %"
