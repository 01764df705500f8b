"""The colours that the views of the Inside page share: which colour a code has, on the scale that was chosen, and the thumbnails it is taken from.

A shared scale ends at the greatest weight of all heads (of both captures where there are two), so that a colour means the same everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from playground.gui import theme
from playground.gui.palette import Palette
from playground.gui.widgets.inside_state import InsideState
from playground.inside import atlas, colours, look, pooling, scales
from playground.inside.capture import Capture
from playground.inside.scales import Spread


class Shades:
    """One for all views. Remembers what it has computed for the captures of now. The colours of a difference follow the theme."""

    def __init__(self, state: InsideState) -> None:
        self._state = state
        self._kept: dict[tuple[Any, ...], Any] = {}
        self.ahead: dict[tuple[Any, ...], Any] = {}
        """of the capture that was opened last: what `read_ahead` found"""
        state.captures_changed.connect(self.forget)  # made before the views: this is the first to know

    def forget(self) -> None:
        """Other captures are shown."""
        self._kept.clear()

    def base(self, palette: Palette | None = None) -> np.ndarray:
        """[256, 3], the colours in their order, for the theme that is in force or for another."""
        dark = (palette or theme.palette()).dark
        return colours.blue_orange(dark) if self._state.signed else colours.sequential(self._state.scale.colours)

    def of(self, spread: Spread, palette: Palette | None = None) -> np.ndarray:
        """[256, 3], the colour of each code."""
        return self.base(palette)[scales.code_places(self._state.scale.kind, spread)]

    def thumbs(self) -> np.ndarray:
        """Codes [layers, heads, side, side] of the view of now; of two captures the difference of their maxima."""
        state = self._state
        view = state.view
        return self._once(("thumbs", view), lambda: self._difference() if view == "difference" else self._of(state.capture))

    def fitted(self, side: int) -> np.ndarray:
        """The thumbnails halved to at most `side` cells, without the first column where it is hidden."""
        state, hide = self._state, self._state.scale.hide_sink

        def make() -> np.ndarray:
            thumbs = self.thumbs()
            if hide:
                thumbs = thumbs.copy()
                thumbs[..., 0] = look.NO_DIFFERENCE if state.signed else 0
            return atlas.fitted(thumbs, side, state.signed)

        return self._once(("fitted", state.view, hide, side), make)

    def graded(self, side: int) -> np.ndarray:
        """Every head's own percentiles, [layers, heads, 256]: where its codes lie among the cells that are drawn, as `fitted` has them."""
        state, hide = self._state, self._state.scale.hide_sink

        def make() -> np.ndarray:
            found = scales.each_spread(self.fitted(side), False, state.signed, False)  # what is hidden is 0 there already
            return np.array([scales.percentile_places(row) for row in found])

        return self._once(("graded", state.view, hide, side), make)

    def greatest(self) -> np.ndarray:
        """Where every head's own scale ends, [layers, heads]: for the scales that need no more."""
        state, hide = self._state, self._state.scale.hide_sink
        causal = state.header is not None and state.header.causal
        return self._once(
            ("greatest", state.view, hide), lambda: scales.each_greatest(self.thumbs(), causal, state.signed, hide)
        )

    def spread(self) -> Spread:
        """The shared scale's."""
        state, hide = self._state, self._state.scale.hide_sink
        if state.signed:
            return self._once(("spread", hide), lambda: scales.spread(self.thumbs(), signed=True, hide_sink=hide))
        return self._once(("together", hide), self._together)

    def _together(self) -> Spread:
        found = [self._spread_of(each) for each in (self._state.a, self._state.b) if each is not None]
        return found[0] if len(found) == 1 else scales.together(*found)

    def _spread_of(self, capture: Capture) -> Spread:
        hide = self._state.scale.hide_sink
        return self._once(
            ("spread of", str(capture.path), hide),
            lambda: scales.spread(self._of(capture), capture.header.causal, hide_sink=hide),
        )

    def _of(self, capture: Capture | None) -> np.ndarray:
        assert capture is not None
        return self._once(("of", str(capture.path)), capture.thumbnails)

    def _difference(self) -> np.ndarray:
        a, b = self._state.a, self._state.b
        assert a is not None
        assert b is not None
        one, other = self._of(a), self._of(b)
        if a.header.length != b.header.length:
            count = look.compared(a.header, b.header)
            one, other = (atlas.beginning(self._of(each), each.header.length, count) for each in (a, b))
        return look.encode_difference(pooling.decode(other) - pooling.decode(one))

    def _once(self, key: tuple[Any, ...], make: Any) -> Any:
        if key not in self._kept:
            read = self.ahead.pop(key, None)
            self._kept[key] = make() if read is None else read
        return self._kept[key]


def read_ahead(capture: Capture, hide_sink: bool, into: dict[tuple[Any, ...], Any]) -> None:
    """What of a large capture takes its time, before it is shown: on whatever thread, which therefore knows no widget."""
    thumbs, path = capture.thumbnails(), str(capture.path)
    spread = scales.spread(thumbs, capture.header.causal, hide_sink=hide_sink)
    into.clear()
    into.update({("of", path): thumbs, ("spread of", path, hide_sink): spread})
