"""From weights to places on a scale of colours, and back to the ticks of its legend. Knows numbers, no colours.

    sqrt         root of weight / greatest: small weights are seen, large ones still told apart
    linear       weight / greatest: half as bright is half as much
    log          from LEAST (and below it) to the greatest, equal factors apart
    percentile   how many of the cells that are not 0 have at most this weight: as many cells in every colour

The greatest is that of all heads where one scale is shared, else of the head that is seen. The first row of a causal map is left out of it: the
first token can look at nothing but itself, so it would always be 1. Codes are those of `pooling` (square roots in 8 bits); those of a difference
(`look`) have the same scales for its amount, on both sides of 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.inside.look import NO_DIFFERENCE, decode_difference
from playground.inside.pooling import LEVELS

KINDS = ("sqrt", "linear", "log", "percentile")
LEAST = 1e-4
"""weights that a scale by factors begins with"""

Codes = NDArray[np.uint8]
Places = NDArray[np.float64]

ALL = np.arange(256).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Spread:
    """What the cells of a map hold, as far as a scale needs it."""

    greatest: float
    """weight (or amount of a difference) at the end of the scale; never 0"""
    counts: NDArray[np.int64]
    """cells of each code, [256]"""
    signed: bool = False

    @property
    def beyond(self) -> bool:
        """Whether some cells have more than the end of the scale"""
        return bool(self.counts[amounts(self.signed) > self.greatest * 1.0001].any())


def amounts(signed: bool) -> NDArray[np.float64]:
    """The weight, or the amount of the difference, of each code."""
    return np.abs(decode_difference(ALL)).astype(np.float64) if signed else LEVELS.astype(np.float64)


def spread(codes: Codes, causal: bool = False, signed: bool = False, hide_sink: bool = False) -> Spread:
    """Of maps [..., rows, columns]. `hide_sink`: the first column does not count."""
    return _spreads(codes.reshape(1, -1, *codes.shape[-2:]), causal, signed, hide_sink)[0]


def each_spread(codes: Codes, causal: bool, signed: bool, hide_sink: bool) -> list[list[Spread]]:
    """`spread` of every head of thumbnails [layers, heads, rows, columns], at once."""
    return [_spreads(layer[:, None], causal, signed, hide_sink) for layer in codes]


def each_greatest(codes: Codes, causal: bool, signed: bool, hide_sink: bool) -> NDArray[np.float64]:
    """The ends of the scales of `each_spread`, [layers, heads], without counting."""
    if hide_sink:
        codes = codes[..., 1:]
    if signed:
        high, low = codes.max((2, 3), initial=NO_DIFFERENCE), codes.min((2, 3), initial=NO_DIFFERENCE)
        return np.asarray(np.maximum(np.maximum(amounts(True)[high], amounts(True)[low]), LEVELS[1]), np.float64)
    greatest = codes.max((2, 3), initial=0)
    if causal and not hide_sink:
        greatest = np.maximum(codes[:, :, 1:].max((2, 3), initial=0), codes[:, :, 0, 1:].max(2, initial=0))
    return np.asarray(np.maximum(amounts(False)[greatest], LEVELS[1]), np.float64)


def _spreads(codes: Codes, causal: bool, signed: bool, hide_sink: bool) -> list[Spread]:
    """Of each of [groups, maps, rows, columns], its maps together."""
    counts = _counted(codes)
    if hide_sink:
        counts -= _counted(codes[..., 0])
    without = counts
    if causal and not signed and not hide_sink:
        without = counts - _counted(codes[..., 0, 0])
    greatest = np.where(without > 0, amounts(signed), 0.0).max(axis=1)
    return [Spread(max(float(most), float(LEVELS[1])), mine, signed) for most, mine in zip(greatest, counts, strict=True)]


def _counted(codes: Codes) -> NDArray[np.int64]:
    """[groups, 256]: how often each code is in [groups, ...]."""
    if len(codes) == 1:
        return np.bincount(codes.ravel(), minlength=256)[None]
    shifted = codes.reshape(len(codes), -1) + (np.arange(len(codes)) * 256)[:, None]
    return np.bincount(shifted.ravel(), minlength=256 * len(codes)).reshape(-1, 256)


def together(one: Spread, other: Spread) -> Spread:
    """One scale for both."""
    return Spread(max(one.greatest, other.greatest), one.counts + other.counts, one.signed)


def places(kind: str, weights: NDArray[np.floating], of: Spread) -> Places:
    """Where weights (or amounts) lie on the scale, from 0 to 1."""
    values = np.asarray(weights, np.float64)
    if kind == "percentile":
        grades, known = _cumulative(of)
        return np.asarray(np.interp(values, known, grades), np.float64)
    share = np.clip(values / of.greatest, 0, 1)
    if kind == "linear":
        return share
    if kind == "log":
        least = min(LEAST, of.greatest / 10)
        share = np.clip(np.log(np.maximum(values, least) / least) / np.log(of.greatest / least), 0, 1)
        return np.asarray(share, np.float64)
    return np.asarray(np.sqrt(share), np.float64)


def code_places(kind: str, of: Spread) -> Codes:
    """For each of the 256 codes its place on the scale, as an index into a table of 256 colours."""
    found = places(kind, amounts(of.signed), of)
    if of.signed:
        found = NO_DIFFERENCE + np.sign(ALL.astype(np.int64) - NO_DIFFERENCE) * found * 127
    else:
        found = found * 255
    return np.asarray(np.rint(found), np.uint8)


def percentile_places(spreads: Sequence[Spread]) -> Codes:
    """`code_places` of many heads by percentile, [heads, 256]: for the codes that a head has, the same; for others that of the next lower one."""
    signed = spreads[0].signed
    counts = np.array([each.counts for each in spreads], np.float64)
    side = ALL.astype(np.int64) - (NO_DIFFERENCE if signed else 0)
    amount = np.abs(side)
    by_amount = counts
    if signed:  # both signs of an amount together
        by_amount = counts[:, NO_DIFFERENCE::-1].copy()
        by_amount[:, 1:NO_DIFFERENCE] += counts[:, NO_DIFFERENCE + 1 :]
    by_amount[:, 0] = 0
    grades = np.cumsum(by_amount, axis=1)
    grades = (grades / np.maximum(grades[:, -1:], 1))[:, amount]
    found = NO_DIFFERENCE + np.sign(side) * grades * 127 if signed else grades * 255
    return np.asarray(np.rint(found), np.uint8)


def value_at(kind: str, place: float, of: Spread) -> float:
    """The weight (or amount) at a place from 0 to 1: the other way round."""
    if kind == "linear":
        return place * of.greatest
    if kind == "log":
        least = min(LEAST, of.greatest / 10)
        return float(least * (of.greatest / least) ** place)
    if kind == "percentile":
        grades, known = _cumulative(of)
        return float(np.interp(place, grades, known))
    return place**2 * of.greatest


def ticks(kind: str, of: Spread) -> list[tuple[float, float]]:
    """(place from 0 to 1, weight) of a legend: round weights where they can be told apart, the greatest at the end."""
    if kind == "percentile":
        return [(place, value_at(kind, place, of)) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    if kind == "log":
        found = [(place, value) for value in (1e-4, 1e-3, 1e-2, 1e-1) if (place := _place(kind, value, of)) < 0.9]
        if not found:
            found = [(0.0, value_at(kind, 0.0, of))]
    else:
        found = [(0.0, 0.0)]
        for share in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75):
            value = _round(share * of.greatest)
            place = _place(kind, value, of)
            if found[-1][0] + 0.18 <= place <= 0.86:
                found.append((place, value))
    return [*found, (1.0, of.greatest)]


def _place(kind: str, value: float, of: Spread) -> float:
    return float(places(kind, np.array([value]), of)[0])


def _cumulative(of: Spread) -> tuple[Places, Places]:
    """(share of the cells that are not 0 with at most this amount, the amounts), both rising."""
    values = amounts(of.signed)
    order = np.argsort(values, kind="stable")
    values, counts = values[order], of.counts[order].astype(np.float64)
    counts[values == 0] = 0
    known, first = np.unique(values, return_index=True)
    summed = np.add.reduceat(counts, first)
    total = summed.sum()
    if total == 0:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    some = summed > 0
    grades = np.cumsum(summed)[some] / total
    return np.concatenate([[0.0], grades]), np.concatenate([[0.0], known[some]])


def _round(value: float) -> float:
    """One digit that counts, two below 0.3 of a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    step = power / 2 if value / power < 3 else power
    return float(round(value / step) * step)


def said(value: float) -> str:
    """A weight in few digits."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 0.1 else f"{value:.2f}".rstrip("0").rstrip(".")
