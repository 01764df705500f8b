"""The tab with the map: what is looked at as a heat map, what is under the pointer in words, the legend. Fetches what is not at hand on a thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from playground.gui import theme
from playground.gui.palette import LIGHT
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.heat_figure import Figure
from playground.gui.widgets.heat_legend import HeatLegend
from playground.gui.widgets.heat_map import HeatMap
from playground.gui.widgets.heat_paint import token_name
from playground.gui.widgets.inside_shades import Shades
from playground.gui.widgets.inside_state import InsideState, stopped
from playground.inside import look as looks
from playground.inside import pooling, scales
from playground.inside.layout import Header
from playground.inside.look import Levels
from playground.inside.scales import Spread

KEPT = 64 << 20
"""bytes of codes that are kept with their halvings"""
MASK = "cannot be seen: later tokens"
HIDDEN = "left out: the first token"


class Seen(NamedTuple):
    """A map ready to be shown."""

    levels: Levels
    spread: Spread
    weights: np.ndarray | None
    """the numbers of it, but of a head: that is at hand"""

    @property
    def bytes(self) -> int:
        return sum(each.nbytes for each in self.levels.codes) + (0 if self.weights is None else self.weights.nbytes)


class MapView(QFrame):
    """Object names: `inside.map`, `inside.readout`, `inside.legend`, `inside.title`."""

    def __init__(self, state: InsideState, shades: Shades, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.mark(self, surface="surface")
        self._state, self.shades = state, shades
        self._kept: OrderedDict[tuple[Any, ...], Seen] = OrderedDict()
        self._seen: Seen | None = None
        self._fetched: tuple[Any, ...] = ()
        """the key of what is seen, or asked for"""
        self._named: tuple[Header, tuple[str, ...], tuple[str, ...]] | None = None
        self._row: tuple[tuple[Any, ...], np.ndarray] | None = None
        self.map = HeatMap()
        self.title = ElidedLabel()
        self.title.setObjectName("inside.title")
        theme.mark(self.title, role="strong")
        self.readout = ElidedLabel()
        self.readout.setObjectName("inside.readout")
        self.readout.setAccessibleName("Under the pointer")
        self.readout.setAlignment(Qt.AlignmentFlag.AlignRight)
        theme.mark(self.readout, role="mono_small")
        for label in (self.title, self.readout):  # tokens are anybody's text
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.legend = HeatLegend()
        head = QHBoxLayout()
        head.setSpacing(16)
        head.addWidget(self.title, 2)
        head.addWidget(self.readout, 3)
        self.wait = QLabel(self.map)
        self.wait.setObjectName("inside.wait")
        self.wait.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.wait.setWordWrap(True)
        theme.mark(self.wait, role="muted")
        self.wait.hide()
        over = QVBoxLayout(self.map)
        over.addWidget(self.wait, 0, Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 8, 16, 8)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.map, 1)
        column.addWidget(self.legend)
        self.map.pointed.connect(self._pointed)
        self.map.picked.connect(lambda row, _column: state.set_token(row, "from"))
        self.map.let_go.connect(lambda: state.set_token(None))
        self.map.framed.connect(self._tell_factor)
        state.captures_changed.connect(self._captures_changed)
        state.look_changed.connect(self._look_changed)
        state.scale_changed.connect(self._scale_changed)
        state.token_changed.connect(self._token_changed)
        state.pointed_changed.connect(self._pointed_elsewhere)
        theme.notifier().changed.connect(self._dress)
        self._captures_changed()

    # -- what the state says

    def _captures_changed(self) -> None:
        self._kept.clear()
        self._look_changed()

    def _look_changed(self) -> None:
        self._row = None
        self._name_axes()
        self._fetch()
        self._token_changed()
        self._tell_cell()

    def _scale_changed(self) -> None:
        self.map.set_hidden_sink(self._state.scale.hide_sink)
        if self._key() != self._fetched:
            self._fetch()
        self._dress()

    def _token_changed(self) -> None:
        token, to = self._state.token, self._state.direction == "to"
        self.map.choose(None if to else token, token if to else None)

    def _pointed_elsewhere(self) -> None:
        place, cell = self._state.pointed, self.map.cursor_cell
        if cell is None or cell[0] != place:
            header = self._state.header
            there = place is not None and header is not None and place < min(header.length, header.width)
            self.map.point((place, place) if there and place is not None else None)

    def _name_axes(self) -> None:
        state = self._state
        header = state.header
        if header is None:
            self.map.set_names((), (), False)
            self.title.setText("")
            return
        self.map.set_names(*self._names(), header.causal)
        some = f", the first {header.length:,} tokens" if state.partly else ""
        which = {"a": "", "b": "  ·  B", "difference": f"  ·  B − A{some}"}[state.view]
        self.title.setText(looks.words(state.look) + which)
        self.title.setToolTip(", ".join(each for each in (header.model, header.engine, header.precision) if each))
        self.map.setAccessibleDescription(f"{looks.words(state.look)}, {header.length} rows, {header.width} columns")

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of rows and columns; made once for a capture, since a long text has thousands."""
        header = self._state.header
        assert header is not None
        if self._named is None or self._named[0] is not header:
            rows = tuple(token_name(each.text) for each in header.tokens)
            columns = tuple(token_name(each.text) for each in header.columns) or rows
            self._named = header, rows, columns
        return self._named[1:]

    # -- fetching

    def _key(self) -> tuple[Any, ...]:
        state = self._state
        # What a look leaves out does not tell two maps apart.
        mode, layer, head = state.look.mode, state.look.layer, state.look.head
        layer = -1 if mode == "all" else layer
        head = head if mode == "head" else -1
        return state.view, mode, layer, head, state.scale.hide_sink

    def _fetch(self) -> None:
        state = self._state
        if state.header is None:
            self._seen = None
            state.forget("map")
            self.map.set_coarse(None)
            self.legend.show_scale(None, (), ())
            return
        key = self._fetched = self._key()
        # What was seen before is no reason to be silent about a file that is gone.
        if key in self._kept and state.capture is not None and state.capture.whole:
            state.forget("map")
            self._kept.move_to_end(key)
            self._show(self._kept[key])
        elif state.quick:
            state.forget("map")
            try:
                self._take(key, self._work()())
            except Exception as error:  # a file that is gone: the page says so
                self._failed(error)
        else:
            self._seen = None
            try:
                self._show_coarse()
            except Exception as error:
                self._failed(error)
                return
            state.ask("map", self._work(), self, lambda seen: self._take(key, seen), self._failed)

    def _work(self) -> Callable[[], Seen]:
        """How the map of now is computed, on whatever thread."""
        state = self._state
        a, b, view, look, hide = state.a, state.b, state.view, state.look, state.scale.hide_sink

        def work() -> Seen:
            capture = b if view == "b" else a
            assert capture is not None
            signed, causal = view == "difference", capture.header.causal
            weights = None
            if signed:
                assert b is not None
                weights = looks.difference_of(capture, b, look, stopped)
                codes = looks.encode_difference(weights)
            elif look.mode == "head":
                codes = capture.codes(look.layer, look.head)
            else:
                weights = looks.weights(capture, look, stopped)
                codes = pooling.encode(np.clip(weights, 0, 1))
            return Seen(looks.levels(codes, signed, hide), scales.spread(codes, causal, signed, hide), weights)

        return work

    def _take(self, key: tuple[Any, ...], seen: Seen) -> None:
        self._kept[key] = seen
        total = sum(each.bytes for each in self._kept.values())
        while total > KEPT and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            total -= old.bytes
        if key == self._key():
            self._show(seen)

    def _failed(self, error: BaseException) -> None:
        self._seen = None
        self.map.set_coarse(None)
        message = getattr(error, "message", "")
        self._wait_for(f"{message} {getattr(error, 'hint', '')}".strip() if message else "")
        self._state.failed.emit(error)

    def _show_coarse(self) -> None:
        """Until the map is there: its thumbnail, which every capture has of every head."""
        state, header = self._state, self._state.header
        assert header is not None
        if state.look.mode == "head":
            thumb = self.shades.thumbs()[header.layers.index(state.look.layer), header.heads.index(state.look.head)]
            self.map.set_coarse(thumb)
            self._wait_for("")
        else:
            self.map.set_coarse(None)
            self._wait_for(f"Computing: {looks.words(state.look).lower()}…")
        self._dress()

    def _show(self, seen: Seen) -> None:
        self._seen = seen
        self._wait_for("")
        self.map.set_hidden_sink(self._state.scale.hide_sink)
        self.map.set_levels(seen.levels.codes)
        self._dress()
        self._tell_cell()  # a pointer that rested there was told to wait

    def _wait_for(self, text: str) -> None:
        self.wait.setText(text)
        self.wait.setVisible(bool(text))

    # -- colours and words

    @property
    def spread(self) -> Spread:
        """What the colours are made for."""
        if self._seen is not None and not self._state.scale.shared:
            return self._seen.spread
        return self.shades.spread()

    def _dress(self) -> None:
        if self._state.header is None:
            return
        try:
            spread = self.spread
        except Exception as error:
            self._failed(error)
            return
        self.map.set_table(self.shades.of(spread))
        self.legend.show_scale(self.shades.base(), self.ticks(spread), self.notes())
        self._tell_factor()

    def shared_spread(self) -> Spread:
        """What the colours are made for where one scale is shared."""
        return self.shades.spread()

    @property
    def ready(self) -> bool:
        """Whether the map is there"""
        return self._seen is not None

    def figure(self) -> Figure:
        """What is seen of the map, for a file. The map must be `ready`."""
        state, header, seen = self._state, self._state.header, self._seen
        assert header is not None
        assert seen is not None
        frame = self.map.frame()
        return Figure(
            f"{header.model}: {self.title.text()}",
            seen.levels.codes,
            self.shades.of(self.spread, LIGHT),
            *self._names(),
            frame.span(False),
            frame.span(True),
            header.causal,
            state.scale.hide_sink,
            self.shades.base(LIGHT),
            self.ticks(self.spread),
            self.notes(),
        )

    def ticks(self, spread: Spread) -> list[tuple[float, str]]:
        """Places on the table of colours, from 0 to 1, with their weights."""
        found = scales.ticks(self._state.scale.kind, spread)
        if self._state.signed:
            kept = [*[each for each in found if 0.35 <= each[0] <= 0.7][-1:], found[-1]]
            low = [(0.5 - place / 2, f"−{scales.said(value)}") for place, value in reversed(kept)]
            high = [(0.5 + place / 2, f"+{scales.said(value)}") for place, value in kept]
            return [*low, (0.5, "0"), *high]
        said = [(place, scales.said(value)) for place, value in found]
        if spread.beyond:
            said[-1] = (1.0, f"≥ {said[-1][1]}")
        if self._state.scale.kind == "log":
            said[0] = (said[0][0], f"≤ {said[0][1]}")
        return said

    def notes(self) -> list[str]:
        """What hatched cells are."""
        header, found = self._state.header, []
        if header is not None and header.causal:
            found.append(MASK)
        if self._state.scale.hide_sink:
            found.append(HIDDEN)
        return found

    def _tell_factor(self) -> None:
        factor = self.map.factor
        if self._state.header is None:
            self.legend.show_text("")
        elif factor > 1:
            what = "Greatest differences" if self._state.signed else "Maxima"
            self.legend.show_text(f"{what} of {factor} × {factor} cells are shown")
        elif factor == 0 and self._state.look.mode == "head":
            self.legend.show_text("Maxima of a thumbnail are shown while the head is computed…")
        else:
            self.legend.show_text("")

    # -- under the pointer

    def _pointed(self, cell: tuple[int, int] | None) -> None:
        self._state.set_pointed(None if cell is None else cell[0])
        self._tell_cell()

    def _tell_cell(self) -> None:
        cell, state = self.map.cursor_cell, self._state
        if cell is None or state.header is None:
            self.readout.setText("")
            return
        if self._seen is not None and self._seen.weights is not None:
            self.readout.setText(self._words(cell, float(self._seen.weights[cell])))
            return
        key = (*self._key()[:4], cell[0])
        if self._row is None or self._row[0] != key:
            work = state.row_work(cell[0])
            if not state.quick:
                self.readout.setText(self._words(cell, None))
                state.ask("readout", work, self, lambda row: self._take_row(key, row), kind="rows")
                return
            try:
                self._row = key, work()
            except Exception as error:
                state.failed.emit(error)
                return
        self.readout.setText(self._words(cell, float(self._row[1][cell[1]])))

    def _take_row(self, key: tuple[Any, ...], row: np.ndarray) -> None:
        self._row = key, row
        cell = self.map.cursor_cell
        if cell is not None and key == (*self._key()[:4], cell[0]):
            self.readout.setText(self._words(cell, float(row[cell[1]])))

    def _words(self, cell: tuple[int, int], weight: float | None) -> str:
        header = self._state.header
        assert header is not None
        row, column = cell
        names = f"{token_name(header.tokens[row].text)} ({row}) → {token_name(header.column_tokens[column].text)} ({column})"
        if header.causal and column > row:
            return f"{names}  comes later: masked"
        if weight is None:
            return f"{names}  …"
        return f"{names}  {weight:+.4f}" if self._state.signed else f"{names}  {exactly(weight)}"


def exactly(weight: float) -> str:
    """A weight with the digits that a file has."""
    return f"{weight:.4f}" if weight >= 0.001 or weight == 0 else f"{weight:.1e}"
