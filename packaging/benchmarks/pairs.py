"""Two sides measured in turn, and what their ratio is."""

from __future__ import annotations

import statistics
from collections.abc import Callable


def in_turn(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """`rounds` pairs after one unmeasured warm-up of each; which side goes first alternates."""
    ours()
    theirs()
    mine, other = [], []
    for number in range(rounds):
        for side, values in ((ours, mine), (theirs, other)) if number % 2 else ((theirs, other), (ours, mine)):
            values.append(side())
    return mine, other


def ratio(mine: list[float], other: list[float]) -> dict[str, float]:
    """Median, lowest and highest of the pairs' ratios, and the ratio of the best of each side (the least disturbed)."""
    ratios = sorted(a / b for a, b in zip(mine, other, strict=True))
    return {"ratio": statistics.median(ratios), "ratio_low": ratios[0], "ratio_high": ratios[-1]}
