"""Damaged copies of a file, each from a number: truncated, bits flipped, bytes overwritten, pieces left out or repeated."""

from __future__ import annotations

import random

HEADER = 70_000
"""bytes at the beginning that most damage goes to: the rest of the starter model is weights"""


def mutant(data: bytes, number: int) -> bytes:
    rng = random.Random(number)
    changed = bytearray(data)
    end = min(HEADER, len(data))
    kind = number % 6
    if kind == 0:
        return data[: rng.randrange(1, len(data)) if rng.random() < 0.5 else rng.randrange(1, end)]
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        place = rng.randrange(end if kind != 5 else len(data))
        if kind in (1, 5):
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[place] = rng.choice((0, 0xFF, 0x7F, 0x80))
        elif kind == 3:
            changed[place : place + 4] = rng.randbytes(4)
        elif rng.random() < 0.5:
            del changed[place : place + rng.randrange(1, 64)]
        else:
            changed[place:place] = changed[place : place + rng.randrange(1, 64)]
    if kind in (1, 2, 3) and number % 4 == 0:  # also where the shape of the model stands
        place = rng.randrange(4, 1200)
        changed[place] = rng.randrange(256)
    return bytes(changed)
