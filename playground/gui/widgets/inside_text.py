"""What a token looks at, in the text itself: hover or choose one, and the others shade by the weight between them, with arcs to the strongest.

A view of `InsideState`: the layer, head, mode, token and direction are the state's, the shades and arcs are made here. The numbers are the capture
file's (`weights`), the shades come of them by `inside.shading.levels` and the colours by `inside_flow.shade`, and by nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolTip, QVBoxLayout, QWidget

from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.widgets.attended import Attended, weight_text
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.inside_flow import Arc, InsideFlow
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.next_token import readable
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.segments import Segments
from playground.inside import look as looks
from playground.inside import shading
from playground.inside.layout import Token
from playground.inside.spelling import lines

LISTED = 64
"""tokens in the list beside the text"""
ARCS = 8
DRAWN = 0.005
"""weights from which on an arc is drawn"""
MOST_ARCS = 48
HOVER_MS = 24
"""for which the pointer rests before a row is looked up: it crosses many tokens on its way"""
BESIDE, BESIDE_LEAST = 288, 216
ROOMY = 720
"""width from which the list beside the text has all its room"""


class InsideText(QWidget):
    """Object names: `inside.text`, `inside.text_direction`, `inside.arcs`, `inside.attended`, `inside.text_says`."""

    def __init__(self, state: InsideState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.text_view")
        self.state = state
        self._weights: NDArray[np.float32] | None = None
        self._of: int | None = None
        self._shown: Any = None
        """the header whose text stands there"""
        self._under: int | None = None
        """where the mouse is in the text"""
        self.flow = InsideFlow()
        self.attended = Attended()
        self.says = ElidedLabel()
        self.says.setObjectName("inside.text_says")
        theme.mark(self.says, role="small")
        self.direction = Segments(
            "inside.text_direction",
            "Direction",
            (
                ("from", "Looks at", "Shades what the chosen token looks at: its row of the map"),
                ("to", "Is seen by", "Shades the tokens that look at the chosen one: its column of the map"),
            ),
        )
        self.arcs = NumberBox(0, MOST_ARCS, 1, {0: "none"})
        self.arcs.setObjectName("inside.arcs")
        self.arcs.setAccessibleName("Arcs")
        self.arcs.setToolTip("Draws arcs to so many of the tokens with the greatest weights; 0 draws none")
        self.arcs.setValue(ARCS)
        self.arcs.setFixedWidth(64)
        self._hint = QLabel("Point at a token, or choose one by a click or the arrow keys")
        self._build()
        self._rest = QTimer(self, singleShot=True, interval=HOVER_MS)
        self._rest.timeout.connect(self._refresh)
        self.flow.pointed.connect(self._point)
        self.flow.picked.connect(self._pick)
        self.attended.pointed.connect(self._point_from_list)
        self.attended.picked.connect(lambda token: self._pick(self._place(token, looking=not self._looking)))
        self.direction.changed.connect(self._turn)
        self.arcs.valueChanged.connect(self._draw_arcs)
        state.captures_changed.connect(self._captures_changed)
        state.look_changed.connect(self._captures_changed)
        state.token_changed.connect(self._token_changed)
        state.pointed_changed.connect(self._pointed_changed)
        state.scale_changed.connect(self._shade)
        theme.notifier().changed.connect(self._restyle)
        self._captures_changed()

    def _build(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(16, 8, 16, 8)
        bar.setSpacing(8)
        bar.addWidget(self.direction)
        bar.addSpacing(8)
        label = QLabel("Arcs")
        theme.mark(label, role="muted")
        label.setBuddy(self.arcs)
        bar.addWidget(label)
        bar.addWidget(self.arcs)
        bar.addSpacing(8)
        bar.addWidget(self.says, 1)
        beside = QFrame()
        theme.mark(beside, surface="window")
        beside.setFixedWidth(BESIDE)
        self._beside = beside
        column = QVBoxLayout(beside)
        column.setContentsMargins(8, 16, 8, 8)
        column.setSpacing(8)
        self._title = QLabel("Greatest weights")
        theme.mark(self._title, role="strong")
        self._title.setContentsMargins(8, 0, 0, 0)
        self._sum = QLabel()
        self._sum.setContentsMargins(8, 0, 0, 0)
        self._sum.setWordWrap(True)
        theme.mark(self._sum, role="muted")
        self._hint.setContentsMargins(8, 0, 8, 0)
        self._hint.setWordWrap(True)
        theme.mark(self._hint, role="muted")
        for each in (self._title, self._hint, self._sum):
            column.addWidget(each)
        column.addWidget(self.attended, 1)
        below = QHBoxLayout()
        below.setSpacing(0)
        below.addWidget(self.flow, 1)
        below.addWidget(beside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(bar)
        outer.addLayout(below, 1)

    def weights(self) -> NDArray[np.float32] | None:
        """The numbers behind the shades, [tokens], as the file has them; of a difference B - A. None while no token is looked at.

        The same as `flow.weights()`; `flow.levels()` and `flow.colours()` are what was made of them.
        """
        return self._weights

    def _levels(self) -> NDArray[np.float32]:
        """The shade of each token, [tokens], from -1 to 1."""
        assert self._weights is not None
        scale = self.state.scale
        return shading.levels(self._weights, scale.kind, self._sink_hidden, scale.shared)

    @property
    def _sink_hidden(self) -> bool:
        """What looks at the first token is a column of its own: there is no sink in it to hide."""
        return self.state.scale.hide_sink and self._looking

    @property
    def token(self) -> int | None:
        """The token that the shades are about: the chosen one, else the one under the pointer."""
        return self.state.token if self.state.token is not None else self.state.pointed

    # -- places: of a cross attention, the source's text stands before the target's

    @property
    def _offset(self) -> int:
        header = self.state.header
        return len(header.columns) if header is not None else 0

    def _place(self, token: int | None, *, looking: bool) -> int | None:
        """Where a token stands in the text; `looking`: a row of the map (else a column)."""
        return None if token is None else token + (self._offset if looking else 0)

    @property
    def _looking(self) -> bool:
        """Whether the chosen token is a row."""
        return self.state.direction == "from"

    @property
    def _others(self) -> tuple[Token, ...]:
        """The tokens that the weights are of."""
        header = self.state.header
        return () if header is None else header.column_tokens if self._looking else header.tokens

    # -- changes

    def _captures_changed(self) -> None:
        header = self.state.header
        if header is not self._shown:
            self._shown, self._under = header, None
            count = self._offset + len(self.state.tokens)
            self.flow.set_lines(lines(header) if header is not None else (), count)
        self._token_changed()

    def _token_changed(self) -> None:
        self.direction.set_value(self.state.direction)
        self._mark()
        chosen = self._place(self.state.token, looking=self._looking)
        if chosen is not None and not self.flow.hasFocus():
            self.flow.reveal(chosen)
        self._refresh()

    def _mark(self) -> None:
        marked = self._under if self._under is not None else self._place(self.state.pointed, looking=True)
        self.flow.set_chosen(self._place(self.state.token, looking=self._looking), marked)

    def _pointed_changed(self) -> None:
        self._mark()
        if self.state.token is None:
            self._rest.start()

    def _point(self, place: int | None) -> None:
        """The mouse is on another token of the text."""
        self._under = place
        looking = place is not None and place >= self._offset
        self.state.set_pointed(place - self._offset if place is not None and looking else None)
        self._mark()
        self._tell_weight()

    def _pick(self, place: int | None) -> None:
        """A token of the text was chosen; of two texts, the one that it is in says in which direction one looks."""
        if place is None:
            self.state.set_token(None)
        elif self._offset:
            looking = place >= self._offset
            self.state.set_token(place - self._offset if looking else place, "from" if looking else "to")
        else:
            self.state.set_token(place)
        if place is not None:
            self.flow.reveal(place)

    def _turn(self, direction: str) -> None:
        """Of two texts the other one is looked from: no token of it is chosen yet."""
        self.state.set_token(None if self._offset else self.state.token, direction)

    def _point_from_list(self, token: int | None) -> None:
        if self.state.token is not None:  # else the list would run away under the pointer
            self._under = self._place(token, looking=not self._looking)
            self._mark()
            if self._under is not None:
                self.flow.reveal(self._under)

    def _tell_weight(self) -> None:
        """The number of the token under the pointer, beside the pointer."""
        values = self._weights
        at = None if self._under is None else self._under - (0 if self._looking else self._offset)
        if at is None or values is None or self.state.token is None or not 0 <= at < len(values):
            QToolTip.hideText()
            return
        rect = self.flow.rect_of(self._under or 0)
        if rect is not None and self.flow.underMouse():
            where = self.flow.viewport().mapToGlobal(rect.bottomLeft().toPoint() + QPoint(0, 4))
            said = f"{readable(self._others[at].text)}  {weight_text(float(values[at]), self.state.signed)}"
            QToolTip.showText(where, said, self.flow)

    # -- numbers

    def _refresh(self) -> None:
        self._rest.stop()
        state, token = self.state, self.token
        header = state.header
        if token is None or header is None or token >= (header.length if self._looking else header.width):
            state.forget("text")
            self._take(None, None)
            return
        work = state.row_work(token, state.direction)
        if state.quick:
            try:
                self._take(token, work())
            except PlaygroundError as error:
                self._take(None, None)
                state.failed.emit(error)
            return
        kind = "rows" if state.direction == "from" else "maps"
        state.ask("text", work, self, lambda found: self._take(token, found), self._failed, kind)

    def _failed(self, error: BaseException) -> None:
        self._take(None, None)
        self.state.failed.emit(error)

    def _take(self, token: int | None, values: NDArray[np.float32] | None) -> None:
        self._of, self._weights = token, values
        self._shade()

    def _shade(self) -> None:
        levels = self._levels() if self._weights is not None else None
        start = 0 if self._looking else self._offset
        self.flow.set_levels(levels, self.state.signed, self._weights, start)
        self._draw_arcs()
        self._list(levels)
        self._say()

    def _draw_arcs(self) -> None:
        values, of = self._weights, self._of
        if values is None or of is None:
            self.flow.set_arcs(())
            return
        levels = self._levels()
        hidden = ({of} if not self._offset else set()) | ({0} if self._sink_hidden else set())
        ends = [end for end in shading.strongest(values, round(self.arcs.value()), hidden) if abs(values[end]) >= DRAWN]
        start, shift = of + (self._offset if self._looking else 0), 0 if self._looking else self._offset
        self.flow.set_arcs([Arc(start, end + shift, float(levels[end])) for end in ends])

    def _list(self, levels: NDArray[np.float32] | None) -> None:
        values, tokens = self._weights, self._others
        self._hint.setVisible(values is None)
        self._sum.setVisible(values is not None)
        if values is None or levels is None:
            self.attended.show_rows([], False)
            return
        self._title.setText("Greatest differences" if self.state.signed else "Greatest weights")
        best = shading.strongest(values, LISTED, (0,) if self._sink_hidden else ())
        self.attended.show_rows(
            [(place, tokens[place].text, float(values[place]), float(levels[place])) for place in best], self.state.signed
        )
        self._sum.setText(self._summary(values))

    def _summary(self, values: NDArray[np.float32]) -> str:
        if self.state.signed:
            moved = f"B minus A; together {float(np.abs(values).sum()) / 2:.1%} of the attention moved".replace("%", " %")
            return f"{moved}. {self._different()}".strip(" .")
        if self.state.direction == "to":
            return f"Together {float(values.sum()):.2f}: a column need not sum to 1"
        first = float(values[0])
        part = "" if self._of == 0 or self._offset else f", {first:.1%} of it on the first token".replace("%", " %")
        return f"Together {float(values.sum()):.3f}{part}"

    def _different(self) -> str:
        """Where the two texts of a difference are no longer the same."""
        a, b = self.state.a, self.state.b
        assert a is not None
        assert b is not None
        if self.state.partly:
            return self.state.partly
        pairs = zip(a.header.column_tokens, b.header.column_tokens, strict=False)
        first = next((place for place, (one, other) in enumerate(pairs) if one.text != other.text), None)
        return "" if first is None else f"The texts differ from token {first:,} on: other words are compared there"

    def _say(self) -> None:
        of, state = self._of, self.state
        if of is None or self._weights is None:
            self.says.setText(looks.words(state.look) if state.capture is not None else "")
            self.flow.setAccessibleDescription("")
            return
        what = "looks at" if state.direction == "from" else "is seen by"
        header = state.header
        assert header is not None
        name = (header.tokens if self._looking else header.column_tokens)[of].text
        text = f"Token {of:,} {readable(name)} {what}…  {looks.words(state.look)}"
        self.says.setText(text)
        first = self.attended.rows.rows[:3]
        self.flow.setAccessibleDescription(
            f"{text}: " + ", ".join(f"{readable(name)} {weight:.2f}" for _, name, weight, _ in first)
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._beside.setFixedWidth(BESIDE if self.width() >= ROOMY else BESIDE_LEAST)

    def _restyle(self) -> None:
        self.flow.viewport().update()
