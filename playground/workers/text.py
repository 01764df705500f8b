"""From tokens' bytes to text that can be shown: characters that span tokens, and stop strings that span tokens.

Knows no vocabulary and no engine: bytes in, readable text out.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence


class Utf8:
    """Bytes to text across tokens: an incomplete character waits for its other bytes, an invalid one becomes U+FFFD."""

    def __init__(self, before: Iterable[bytes] = ()) -> None:
        """`before`: pieces already shown, whose last character may still be incomplete."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in before:
            self._decoder.decode(piece)

    def add(self, piece: bytes) -> str:
        return self._decoder.decode(piece)

    def rest(self) -> str:
        """What is left of a character that will never be completed."""
        return self._decoder.decode(b"", True)


def token_texts(pieces: Iterable[bytes]) -> list[str]:
    """Each token's share of the text: joined they give the whole of it."""
    utf8 = Utf8()
    texts = [utf8.add(piece) for piece in pieces]
    if texts:
        texts[-1] += utf8.rest()
    return texts


class Stops:
    """Looks for stop strings in a text that arrives in pieces; tells how much of it may be shown already."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max((len(each) for each in self._stops), default=0)
        self._text = ""
        self._start = 0
        """of `_text`, in characters since the beginning"""

    def change(self, stops: Sequence[str]) -> None:
        """Other stop strings from here on; text that was let go stays."""
        self._stops = tuple(stops)
        self._longest = max((len(each) for each in self._stops), default=0)

    def add(self, text: str) -> tuple[int, bool]:
        """Takes more text; (how many characters since the beginning may be shown, whether a stop string begins right there)."""
        self._text += text
        found = min((place for each in self._stops if (place := self._text.find(each)) >= 0), default=-1)
        if found >= 0:
            return self._start + found, True
        held = self._held()
        free = len(self._text) - held
        self._text = self._text[free:]
        self._start += free
        return self._start, False

    def _held(self) -> int:
        """The length of the longest ending that could still become a stop string."""
        for length in range(min(self._longest - 1, len(self._text)), 0, -1):
            ending = self._text[-length:]
            if any(each.startswith(ending) for each in self._stops):
                return length
        return 0
