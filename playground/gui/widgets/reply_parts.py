"""Cuts a message's source into the parts that are shown one below the other: prose, code, plain text.

Pure text in, slices out, so that it can be tested without a window; it knows no widget and no colour. Two rules make it fit for
streaming and for very long messages: a cut, once made, does not move when more text follows, and no part is so long that laying it
out would be felt. Lines that could still turn into a fence are held back until they are whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PROSE_LIMIT = 4000
"""characters after which the next blank line ends a part of prose; three times as many end it anywhere"""
CODE_LIMIT = 6000

_OPENER = re.compile(r"^([ \t]*)(`{3,}(?=[^`\n]*$)|~{3,})[ \t]*([^\n]*)$", re.MULTILINE)
_LIST_ITEM = re.compile(r"^ {0,12}(?:[-*+]|\d{1,9}[.)])[ \t]", re.MULTILINE)
_BLANK = re.compile(r"\n[ \t\r]*\n")
_FENCE_TAIL = re.compile(r"^[ \t]*(?:`{2,}|~{2,})[^\n]*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A slice of a message. `start` and `end` are characters of the source, `lead` where the shown text begins in it."""

    kind: str
    """`prose` (Markdown), `code` or `plain`"""
    start: int
    end: int
    lead: int
    text: str
    """what is shown: line ends as \\n, code without its fence and indentation"""
    language: str = ""
    block: int = -1
    """of code: where its fence stands; a long block is cut into parts that share it"""
    closed: bool = True
    """False while more text may still be added to this part"""
    indent: int = 0
    """how far the fence was indented, of code its own, of prose that of the code before it: in a list, what goes on stands there too"""


def split(source: str, *, final: bool = True, start: int = 0, indent: int = 0) -> list[Part]:
    """The parts of a reply, from `start` on (where a part of prose, with its `indent`, or a fence begins). `final`: nothing follows."""
    parts: list[Part] = []
    position = start
    while position < len(source):
        fence = _next_fence(source, position, final, indent)
        stop = fence.start() if fence else len(source)
        held = len(source) if final or fence else _held_back(source, position)
        parts += _prose(source, position, min(stop, held), final or fence is not None, indent)
        if fence is None:
            break
        code, position, indent = _code(source, fence, final)
        parts += code
    return parts


def plain(source: str) -> list[Part]:
    """The parts of a text that is shown as it was typed."""
    parts = []
    position = 0
    while position < len(source):
        end = len(source)
        if end - position > PROSE_LIMIT:
            cut = source.find("\n", position + PROSE_LIMIT, position + 2 * PROSE_LIMIT)
            end = cut + 1 if cut >= 0 else _word_end(source, position + 2 * PROSE_LIMIT)
        text = _unix(source[position:end])
        parts.append(Part("plain", position, end, position, text.removesuffix("\n") if end < len(source) else text))
        position = end
    return parts


def place(source: str, offset: int, shown: str) -> int:
    """Where the character `offset` of a part's source is in the text that its Markdown became.

    Letters and digits of the shown text are found again in the source, in order; what the source has besides (marks, addresses) is
    skipped. Earliest matches never run ahead of the true place, and a look for the word itself mends most of a lag behind it.
    """
    at = 0
    found = len(shown)
    for index, character in enumerate(shown):
        if not character.isalnum():
            continue
        step = source.find(character, at)
        if step < 0:
            continue
        at = step + 1
        if at > offset:
            found = index
            break
    word = re.compile(r"\w{2,}").search(source, offset, offset + 24)
    if word:
        text = word.group()
        near = [m.start() for m in re.finditer(re.escape(text), shown[max(0, found - 80) : found + 200])]
        base = max(0, found - 80)
        if near:
            found = min((base + each for each in near), key=lambda each: abs(each - found))
    return found


def _next_fence(source: str, position: int, final: bool, indent: int) -> re.Match[str] | None:
    for found in _OPENER.finditer(source, position):
        if found.end() == len(source) and not final:
            return None
        width = len(found.group(1).expandtabs(4))
        if width <= 3 + indent or _in_list(source, position, found.start()):
            return found
    return None


def _in_list(source: str, start: int, end: int) -> bool:
    """Whether an indented line at `end` may belong to a list item above it (otherwise four spaces make it indented code)."""
    items = list(_LIST_ITEM.finditer(source, max(start, end - 4000), end))
    if not items:
        return False
    between = source[items[-1].end() : end]
    return not re.search(r"\n[ \t]*\n(?=\S)", between)


def _held_back(source: str, position: int) -> int:
    """Where the last line begins, if it might yet become a fence; else the end."""
    tail = _FENCE_TAIL.search(source, max(position, source.rfind("\n") + 1))
    return tail.start() if tail else len(source)


def _prose(source: str, start: int, end: int, closed: bool, indent: int) -> list[Part]:
    parts = []
    while end - start > PROSE_LIMIT:
        cut = _prose_cut(source, start, end, closed)
        if cut is None:
            break
        parts.append(_prose_part(source, start, cut, True, indent))
        start, indent = cut, 0
    if source[start:end].strip() or (not closed and start < end):
        parts.append(_prose_part(source, start, end, closed, indent))
    return parts


def _prose_cut(source: str, start: int, end: int, closed: bool) -> int | None:
    """Where a long stretch is cut: after a blank line that no list goes on behind, else at a line, else at a word."""
    first, second, third = (start + PROSE_LIMIT * times for times in (1, 2, 3))
    for blank in _BLANK.finditer(source, first, min(second, end)):
        after = source[blank.end() : blank.end() + 4]
        if blank.end() + 4 > end and not closed:
            return None
        if after and not after[0].isspace() and not _LIST_ITEM.match(source, blank.end()):
            return blank.end()
    if end <= second:
        return None
    line = source.find("\n", second, min(third, end))
    if line >= 0:
        return line + 1
    return _word_end(source, third) if end > third + 64 else None


def _prose_part(source: str, start: int, end: int, closed: bool, indent: int) -> Part:
    text = _unix(source[start:end])
    return Part("prose", start, end, start, _dedent(text, indent) if indent else text, closed=closed, indent=indent)


def _code(source: str, fence: re.Match[str], final: bool) -> tuple[list[Part], int, int]:
    """The parts of a fenced block, where the text goes on, and how far its fence was indented."""
    indent = len(fence.group(1).expandtabs(4))
    mark = fence.group(2)
    closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t\r]*$", re.MULTILINE)
    words = fence.group(3).split()
    language = words[0].strip("{}.").lower() if words else ""
    lead = min(fence.end() + 1, len(source))
    close = closing.search(source, lead)
    if close and close.end() == len(source) and not final and not source.endswith("\n"):
        close = None
    stop = close.start() if close else len(source) if final else max(lead, _held_back(source, lead))
    after = min(close.end() + 1, len(source)) if close else len(source)
    closed = close is not None or final
    parts: list[Part] = []
    start, at = fence.start(), lead
    while stop - at > CODE_LIMIT:
        cut = source.rfind("\n", at, at + CODE_LIMIT) + 1
        cut = cut if cut > at else at + CODE_LIMIT
        parts.append(Part("code", start, cut, at, _code_text(source[at:cut], indent), language, fence.start(), True, indent))
        start = at = cut
    text = _code_text(source[at:stop], indent, keep_end=not closed)
    parts.append(Part("code", start, after if closed else stop, at, text, language, fence.start(), closed, indent))
    return parts, after, indent


def _code_text(text: str, indent: int, keep_end: bool = False) -> str:
    text = _unix(text)
    if not keep_end:
        text = text.removesuffix("\n")
    return _dedent(text, indent, every=True) if indent else text


def _dedent(text: str, indent: int, every: bool = False) -> str:
    """Takes up to `indent` spaces from each line; of prose only until a line stands further left, where the list has ended."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        width = len(line) - len(line.lstrip(" "))
        if not every and line.strip() and width < indent:
            break
        lines[number] = line[min(width, indent) :]
    return "\n".join(lines)


def _word_end(source: str, position: int) -> int:
    """A place near `position` that no character and, if possible, no word is torn at."""
    space = source.rfind(" ", position - 200, position)
    if space > 0:
        return space + 1
    while position < len(source) and not source[position].isascii():
        position += 1
    return min(position, len(source))


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
