"""What is looked at of a capture: one head, the mean of a layer, the mean of everything, or rollout; as weights, as a row, as a column, in words.

A difference is `other - one`, kept in 8 bits with its sign: 128 is no difference, 1 is -1, 255 is +1, square roots in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from playground.errors import DataError
from playground.inside import pooling
from playground.inside.capture import Capture, Stop, never
from playground.inside.layout import SHORT, Header
from playground.inside.rollout import difference

MODES = ("head", "layer", "all", "rollout")

Map = NDArray[np.float32]
Codes = NDArray[np.uint8]

NO_DIFFERENCE = 128


@dataclass(frozen=True)
class Look:
    """`layer` and `head` are the model's numbers. `head` says nothing in the other modes, `layer` nothing in `all`; rollout goes up to `layer`."""

    mode: str = "head"
    layer: int = 0
    head: int = 0


class Levels(NamedTuple):
    """A map for the eyes: its codes and their halvings, the finest first."""

    codes: list[Codes]
    signed: bool
    """whether these are the codes of a difference"""


def words(look: Look) -> str:
    """What is looked at, for a heading."""
    return {
        "head": f"Layer {look.layer}, head {look.head}",
        "layer": f"Layer {look.layer}, mean of its heads",
        "all": "Mean of all layers and heads",
        "rollout": f"Rollout up to layer {look.layer}",
    }[look.mode]


def quick(capture: Capture, look: Look) -> bool:
    """Whether a look costs a few milliseconds at most: the others are for a thread of their own."""
    header = capture.header
    return look.mode == "head" and not header.recomputed and header.length <= SHORT


def weights(capture: Capture, look: Look, stop: Stop = never) -> Map:
    """[tokens, tokens], shared: not to be written to. SettingError where the mode needs what was not captured."""
    if look.mode == "head":
        return capture.map(look.layer, look.head)
    if look.mode == "layer":
        return capture.mean(look.layer, stop)
    if look.mode == "all":
        return capture.mean_of_all(stop)
    return capture.rollout(look.layer, stop)


def row(capture: Capture, look: Look, index: int, stop: Stop = never) -> Map:
    """What token `index` looks at, [tokens], computing no more than is needed for it."""
    if look.mode == "head":
        return capture.row(look.layer, look.head, index)
    if look.mode == "layer":
        return capture.mean_row(look.layer, index)
    if look.mode == "all":
        rows = [capture.mean_row(layer, index) for layer in capture.header.layers]
        return np.asarray(np.mean(rows, axis=0), np.float32)
    return capture.rollout_row(index, look.layer, stop)


def column(capture: Capture, look: Look, index: int, stop: Stop = never) -> Map:
    """How much each token looks at token `index`, [tokens]: the whole map is needed for it."""
    return np.array(weights(capture, look, stop)[:, index])


def levels(found: Codes, signed: bool = False, hide_sink: bool = False) -> Levels:
    """Codes with their halvings: by maximum, or for those of a difference (`signed`) by the greater amount. `hide_sink`: without the first column."""
    if hide_sink:
        found = found.copy()
        found[:, 0] = NO_DIFFERENCE if signed else 0
    return Levels(signed_pyramid(found) if signed else pooling.pyramid(found), signed)


def compared(one: Header, other: Header) -> int:
    """Tokens that a difference is of: all of two texts of one length, else those that both begin with, word for word.

    What stands behind a token tells nothing of what it looks at, where none sees a later one.
    """
    if (one.length, one.width) == (other.length, other.width):
        return one.length
    pairs = enumerate(zip(one.tokens, other.tokens, strict=False))
    return next((place for place, (here, there) in pairs if here.text != there.text), min(one.length, other.length))


def shared(one: Header, other: Header) -> Header:
    """What a difference is of: `one` with as many of its tokens as are compared."""
    count = compared(one, other)
    return one if count == one.length else replace(one, tokens=one.tokens[:count])


def partly(one: Header, other: Header) -> str:
    """That a difference is of the beginnings of two texts only, in a sentence; empty where it is of all of them, or there is none."""
    if one.length == other.length or no_difference(one, other):
        return ""
    return f"The texts have {one.length:,} and {other.length:,} tokens: the first {compared(one, other):,}, which are alike, are compared."


def no_difference(one: Header, other: Header) -> str:
    """Why two captures have no difference, in a sentence; empty where they have one."""
    if one.kind != other.kind and "cross" in (one.kind, other.kind):
        return "One of the two goes from one text to another and the other does not: their maps have no difference."
    alike = (one.length, one.width) == (other.length, other.width)
    if not alike and not (one.causal and other.causal):
        return f"The two texts have {one.length:,} and {other.length:,} tokens: their maps have no difference."
    if not alike and compared(one, other) < 2:  # the first token alone looks at nothing but itself
        return f"The two texts have {one.length:,} and {other.length:,} tokens and begin differently: their maps have no difference."
    if (one.layers, one.heads) != (other.layers, other.heads):
        return "The two captures have different layers and heads: their maps have no difference."
    if one.causal != other.causal:
        return "One of the two models sees later tokens and the other does not: their maps have no difference."
    return ""


def difference_of(one: Capture, other: Capture, look: Look, stop: Stop = never) -> Map:
    """`other - one`, from -1 to 1, of as many tokens as are `compared`. DataError where there is none."""
    wrong = no_difference(one.header, other.header)
    if wrong:
        raise DataError(wrong, "Compare captures of the same tokens and heads.")
    here, there = weights(one, look, stop), weights(other, look, stop)
    rows = compared(one.header, other.header)
    columns = one.header.width if rows == one.header.length == other.header.length else rows
    return difference(here[:rows, :columns], there[:rows, :columns])


def token_difference(one: Capture, other: Capture, look: Look, index: int, direction: str, stop: Stop = never) -> Map:
    """Of `difference_of` the row of a token (`from`) or its column (`to`)."""
    find = row if direction == "from" else column
    here, there = find(one, look, index, stop), find(other, look, index, stop)
    if one.header.length != other.header.length:
        rows = compared(one.header, other.header)
        here, there = here[:rows], there[:rows]
    return np.asarray(there - here, np.float32)


def encode_difference(values: Map) -> Codes:
    """Codes of differences from -1 to 1: 128 + round(127 * sign * sqrt(amount)); the largest error is 0.008."""
    roots = np.sqrt(np.abs(values), dtype=np.float32)
    np.copysign(roots, values, out=roots)
    return np.asarray(np.rint(np.clip(roots, -1, 1) * 127 + NO_DIFFERENCE), np.uint8)


def decode_difference(codes: Codes) -> Map:
    """The differences of codes."""
    roots = (codes.astype(np.float32) - NO_DIFFERENCE) / np.float32(127)
    return np.asarray(np.copysign(np.square(roots), roots), np.float32)


def signed_pyramid(codes: Codes, least: int = 64) -> list[Codes]:
    """The codes of a difference and their halvings: of four cells the one that differs most."""
    found = [codes]
    while max(found[-1].shape) > least:
        last = found[-1]
        odd = last.shape[0] % 2, last.shape[1] % 2
        if any(odd):
            last = np.pad(last, ((0, odd[0]), (0, odd[1])), constant_values=NO_DIFFERENCE)
        tall = farther(last[0::2], last[1::2])
        found.append(farther(tall[:, 0::2], tall[:, 1::2]))
    return found


def farther(one: Codes, other: Codes) -> Codes:
    """Of two codes of differences the one with the greater amount."""
    high, low = np.maximum(one, other), np.minimum(one, other)
    # Only one of the two can be the farther: above the middle by more than the other is below it.
    return np.asarray(np.where(high.astype(np.int16) + low >= 2 * NO_DIFFERENCE, high, low), np.uint8)
