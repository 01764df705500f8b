"""Training and validation rows: drawn by content, so that the order of a file does not matter and no row is on both sides.

Knows rows by their digests and by what is left of them without case, punctuation and spaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from playground.training.rows import Row

_MARKS = bytes(each for each in range(128) if not chr(each).isalnum())


def near_digest(row: Row) -> bytes:
    """8 bytes that are the same for rows which differ in case, spaces and ASCII's punctuation only."""
    said = row.text or "\n".join(f"{each.role}:{each.content}" for each in row.messages)
    letters = said.casefold().encode("utf-8", "surrogatepass")
    return hashlib.blake2b(letters.translate(None, _MARKS) or letters, digest_size=8).digest()


def split(rows: Iterable[Row], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The places of the rows to learn from and of those held out, each in order.

    Rows that are (almost) duplicates fall on one side together. At least one row is left on either side where there are two to tell apart;
    with a `share` of 0, or rows that are all alike, nothing is held out. The held-out rows are those whose hash with the seed is lowest.
    The rows are gone through once, and none is kept.
    """
    groups: dict[bytes, list[int]] = {}
    count = 0
    for row in rows:
        groups.setdefault(near_digest(row), []).append(count)
        count += 1
    held: set[int] = set()
    if share > 0 and len(groups) > 1:
        wanted = min(max(1, round(count * share)), count - 1)
        for key in _drawn(groups, seed):
            if len(held) + len(groups[key]) <= wanted:
                held.update(groups[key])
            if len(held) == wanted:
                break
        if not held:  # every group is larger than the share: the smallest goes
            held.update(groups[min(_drawn(groups, seed), key=lambda key: len(groups[key]))])
    return [place for place in range(count) if place not in held], sorted(held)


def _drawn(keys: Iterable[bytes], seed: int) -> list[bytes]:
    return sorted(keys, key=lambda key: hashlib.blake2b(key + seed.to_bytes(8, "little", signed=True), digest_size=8).digest())
