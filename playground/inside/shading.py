"""Weights of one token as shades from 0 to 1 (of a difference from -1 to 1), and which of them are the strongest. Pure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from playground.inside import pooling, scales

Row = NDArray[np.float32]


def levels(weights: Row, kind: str = "sqrt", hide_sink: bool = False, shared: bool = True) -> Row:
    """Shades of weights, by the same scales as maps have (`scales`): the sign stays, the amount goes by `kind`.

    `shared`: the end of the scale is 1, all that a token has to give; else it is the greatest amount here. `hide_sink` leaves the first token out.
    """
    amounts = np.abs(np.asarray(weights, np.float32))
    if hide_sink and len(amounts) > 1:
        amounts[0] = 0
    most = 1.0 if shared else float(amounts.max(initial=0)) or 1.0
    of = scales.Spread(most, np.bincount(pooling.encode(np.minimum(amounts, 1)), minlength=256))
    return np.copysign(scales.places(kind, amounts, of), weights).astype(np.float32)


def strongest(weights: Row, count: int, leave_out: Collection[int] = ()) -> list[int]:
    """The places of the greatest amounts that are not 0, the greatest first; of equal ones the earlier first."""
    amounts = np.abs(np.asarray(weights))
    order = np.argsort(-amounts, kind="stable")[: count + len(leave_out)]
    return [int(place) for place in order if amounts[place] > 0 and place not in leave_out][:count]
