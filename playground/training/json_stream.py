"""The rows of a JSON file one after another, without holding the file: the elements of its array, or of the arrays in its object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

CHUNK = 1 << 20
TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat")
"""what lists of turns are called"""
_SPACE = " \t\r\n\ufeff"


class Readable(Protocol):
    def read(self, size: int = ...) -> str: ...


class _Window:
    """A stretch of the text that slides on; grows only as far as one element takes."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._text, self._at, self._done = "", 0, False
        self._decoder = json.JSONDecoder()
        self._chunk = CHUNK

    def peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        found = self.peek()
        if not found or found not in wanted:
            what = f"'{found}'" if found else "its end"
            raise ValueError(f"{what} in place of {' or '.join(wanted)}")
        self._at += 1

    def value(self) -> Any:
        """The next value. ValueError where the JSON breaks off."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if end < len(self._text) or not self._more():  # a number may go on in the next chunk
                self._at = end
                return value

    def _more(self) -> bool:
        if self._done:
            return False
        rest = self._text[self._at :]
        self._chunk = max(CHUNK, len(rest))  # doubling: an element of any size is parsed a few times, not once a chunk
        read = self._file.read(self._chunk)
        self._text, self._at = rest + read, 0
        self._done = not read
        return bool(read)


def elements(file: Readable) -> Iterator[Any]:
    """The elements of the array, or, of an object, those of its arrays of objects; an object without any is the one row.

    Several such, one behind another, are read like one. ValueError where the text stops being JSON, after all elements before.
    """
    window = _Window(file)
    if window.peek() not in ("[", "{"):
        raise ValueError("it begins with neither [ nor {")
    while first := window.peek():
        if first not in ("[", "{"):
            raise ValueError("something follows its end")
        yield from _array(window) if first == "[" else _object(window)


def _array(window: _Window) -> Iterator[Any]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    while True:
        yield window.value()
        if window.peek() == "]":
            window.take("]")
            return
        window.take(",")


def _object(window: _Window) -> Iterator[Any]:
    window.take("{")
    fields: dict[str, Any] = {}
    found = False
    while window.peek() != "}":
        name = window.value()
        window.take(":")
        if window.peek() == "[":
            rows = _array(window)
            head = next(rows, None)
            if isinstance(head, dict) and not is_turn(str(name), head):
                found = True
                yield _unwrapped(head)
                for row in rows:
                    yield _unwrapped(row)
            else:
                fields[str(name)] = [each for each in (head,) if each is not None] + list(rows)
        else:
            fields[str(name)] = window.value()
        if window.peek() == "}":
            break
        window.take(",")
    window.take("}")
    if not found:
        yield fields


def is_turn(name: str, value: dict[str, Any]) -> bool:
    """Whether an object in a list of this name is a turn of a conversation, and not a row."""
    if {"role", "from", "speaker"} & {str(key).lower() for key in value}:
        return True
    return name.lower() in TURNS and all(isinstance(each, str) for each in value.values())


def _unwrapped(row: Any) -> Any:
    """A row out of the wrapping that dataset servers put around it."""
    return row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row
