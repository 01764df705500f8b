"""What a plot of curves computes: smoothing, thinning to pixels, round ticks. Knows numpy and no widget."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def smoothed(values: Floats, weight: float) -> Floats:
    """An exponential moving average without the pull of its beginning: `weight` of what was, the rest of what is.

    values [n], any of them may be no number (kept as it is, and passed over); weight in [0, 1), 0 changes nothing. The bias of the
    first values is divided out as in Adam (Kingma and Ba, 2015, section 3), as TensorBoard does.
    """
    if weight <= 0 or not len(values):
        return values
    made = np.array(values, np.float64)
    places = np.flatnonzero(np.isfinite(made))
    fresh = made[places] * (1 - weight)
    # Chunks in which weight ** -n stays a number: within one, the recursion is a cumulative sum.
    chunk = int(np.clip(200 / -math.log(weight), 1, 4096))
    falls = weight ** np.arange(1, chunk + 1)
    mean = 0.0
    for begin in range(0, len(fresh), chunk):
        part = fresh[begin : begin + chunk]
        fall = falls[: len(part)]
        part[:] = fall * (mean + np.cumsum(part / fall))
        mean = float(part[-1])
    made[places] = fresh / (1 - weight ** np.arange(1, len(fresh) + 1))
    return made


def thinned(x: Floats, y: Floats, low: float, high: float, columns: int) -> tuple[Floats, Floats]:
    """The part of a curve between `low` and `high`, with at most four points a pixel column: its first, least, greatest and last there.

    x [n] rising, y [n]. One neighbour on either side is kept, so that lines reach the edge. What is no number breaks the line and is
    left in.
    """
    first = max(0, int(np.searchsorted(x, low, "left")) - 1)
    last = min(len(x), int(np.searchsorted(x, high, "right")) + 1)
    x, y = x[first:last], y[first:last]
    if len(x) <= 4 * max(1, columns) or high <= low:
        return x, y
    column = np.clip(((x - low) / (high - low) * columns).astype(np.int64), -1, columns)
    starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    kept = set(starts.tolist()) | set((np.append(starts[1:], len(x)) - 1).tolist())
    shown = np.where(np.isfinite(y), y, np.nan)
    for begin, end in zip(starts, np.append(starts[1:], len(x)), strict=True):
        part = shown[begin:end]
        gaps = np.flatnonzero(np.isnan(part))
        if len(gaps) < len(part):
            kept |= {int(begin + np.nanargmin(part)), int(begin + np.nanargmax(part))}
        if len(gaps):
            kept.add(int(begin + gaps[0]))
    places = np.array(sorted(kept))
    return x[places], y[places]


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, at most `most` of them."""
    span = high - low
    if not span > 0 or most < 1:
        return [low] if low == high else []
    rough = 10.0 ** math.floor(math.log10(span / most))
    for part in (1, 2, 5, 10, 20, 50):
        step = part * rough
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [place * step for place in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """The same for a logarithmic axis, from and to powers of ten given by their exponents; the ticks are values."""
    decades = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    for parts in ((1, 2, 5), (1,)):
        found = [part * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for part in parts]
        found = [each for each in found if low - 1e-9 <= math.log10(each) <= high + 1e-9]
        if 2 <= len(found) <= most:
            return found
    if len(decades) < 2:
        return [10**each for each in round_ticks(low, high, most)]
    every = max(1, math.ceil(len(decades) / most))
    return [10.0**power for power in decades if power % every == 0]


def tick_text(value: float, step: float) -> str:
    """A tick with as many decimals as tell it from the next one."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:,.{min(decimals, 8)}f}"


def limits(curves: list[Floats], log: bool) -> tuple[float, float]:
    """From where to where an axis goes that shows these values with a little room (exponents of ten on a logarithmic one)."""
    parts = [each[np.isfinite(each)] for each in curves]
    values = np.concatenate([*parts, np.empty(0)])
    if log:
        values = np.log10(values[values > 0])
    if not len(values):
        return (-1.0, 0.0) if log else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    scale = max(abs(low), abs(high))
    room = (high - low) * 0.06
    if room <= scale * 1e-6:  # one value all along; smoothing leaves the last digits of it different
        room = scale * 0.05 or 0.05
    return low - room, high + room
