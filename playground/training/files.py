"""Data files as records, one after another, with bounded memory: JSON Lines, JSON, CSV, TSV, Parquet, text and Markdown, folders of these.

A record that cannot be read is told of by row and passed over; only a file that is no data at all raises. Knows no columns.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from playground.errors import DataError
from playground.training.json_stream import elements, is_turn
from playground.training.problems import Problem

Form = Literal["jsonl", "json", "csv", "tsv", "parquet", "text"]

SUFFIXES: dict[str, Form] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".parquet": "parquet", ".txt": "text", ".md": "text", ".markdown": "text",
}  # fmt: skip
HEAD = 1 << 18
"""bytes of a file that are looked at to tell what it is"""
MAX_LINE = 1 << 26
"""bytes of one line; a longer one is no row"""
PIECE = 8_000
"""characters of a long text that make a row of their own, about; a text is cut between paragraphs"""
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""how zip, gzip, 7z, bzip2, xz and zstd files begin"""
_SEPARATOR = re.compile(r"sep=(.)\r?\n")
"""how spreadsheets say in a first line what separates cells"""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Reading:
    """How a file is read. `header`: whether the first row of a table names its columns."""

    form: Form
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True


@dataclass(frozen=True)
class Record:
    """One row as its file has it. `number`: its line in JSON Lines, else its place, from 1; `file`: its file's name in a folder."""

    number: int
    value: Any
    file: str = ""


def sources(path: Path) -> list[Path]:
    """The data files that a path stands for: itself, or those of a folder in the order of their names. DataError for none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}.", "Check its name.")
    found = sorted(
        each
        for each in path.rglob("*")
        if each.suffix.lower() in SUFFIXES
        and each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    )
    if not found:
        raise DataError(f"There is no data file in {path}.", f"Known are: {', '.join(SUFFIXES)}.")
    structured = [each for each in found if SUFFIXES[each.suffix.lower()] != "text"]
    return structured or found  # beside a table, a text is its description


def recognise(path: Path) -> Reading:
    """How a file is most likely read, by its content and its suffix. DataError for an empty file and for what is no text."""
    with opened(path) as file:
        head = file.read(HEAD)
    if head[:4] == b"PAR1":
        return Reading("parquet")
    if not head.strip(b"\0 \r\n\t\xef\xbb\xbf"):
        raise DataError(f"{path.name} is empty.", "Choose another file.")
    encoding = _encoding(head, path)
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    form = SUFFIXES.get(path.suffix.lower())
    if form == "parquet":
        raise DataError(f"{path.name} is no Parquet file.", "Choose another file, or write it again.")
    if form != "text" or text.lstrip()[:1] == "{":
        form = _json_form(text) or form
    if form is None:
        form = "text" if path.suffix.lower() not in (".csv", ".tsv") and not _delimiter(text) else "csv"
    if form in ("csv", "tsv"):
        named = _SEPARATOR.match(text)
        text = text[named.end() :] if named else text
        delimiter = named[1] if named else _delimiter(text) or ("\t" if form == "tsv" else ",")
        return Reading(form, encoding, delimiter, _has_header(text, delimiter))
    return Reading(form, encoding)


def records(path: Path, reading: Reading, tell: list[Problem], file: str = "") -> Iterator[Record]:
    """The rows of a file; what cannot be read is appended to `tell`. `file`: the name that rows and problems carry."""
    readers = {"jsonl": _jsonl, "json": _json, "csv": _table, "tsv": _table, "parquet": _parquet, "text": _text}
    return readers[reading.form](path, reading, tell, file)


def opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Choose another file.") from None


# -- what a file is


def _encoding(head: bytes, path: Path) -> str:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if head.startswith(_PACKED):
        raise DataError(f"{path.name} is a packed file.", "Unpack it, and choose a file from within.")
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):  # no mark at its begin: every other byte tells
        if zeros.count(0) * 2 > len(zeros) and _is_text(head, name):
            return name
    if b"\0" in head:
        raise DataError(f"{path.name} is no text file.", f"Choose a file of one of these kinds: {', '.join(SUFFIXES)}.")
    lines = [line for line in head[: head.rfind(b"\n") + 1 or len(head)].split(b"\n") if any(byte > 127 for byte in line)]
    broken = sum(1 for line in lines if not _is_utf8(line))
    return "windows-1252" if broken and broken * 2 > len(lines) and len(lines) > 1 else "utf-8"


def _is_text(head: bytes, encoding: str) -> bool:
    try:
        text = head[: len(head) // 4 * 4].decode(encoding)
    except UnicodeDecodeError:
        return False
    return not any(letter < " " and letter not in "\t\r\n\f" for letter in text)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _json_form(text: str) -> Form | None:
    """`jsonl` or `json` if a text looks like either: by its first character, and by whether its first line is whole in itself."""
    begin = text.lstrip()
    if begin[:1] not in ("[", "{"):
        return None
    first = begin.partition("\n")[0].strip()
    rest = begin.partition("\n")[2].strip()
    try:
        value = json.loads(first.rstrip(","))
    except (ValueError, RecursionError):
        if begin[:1] == "{" and first[-1:] == "}" and rest[:1] == "{":
            return "jsonl"  # a line by itself, if not one that can be read
        return "json" if begin[:1] == "[" or begin[1:].lstrip()[:1] == '"' else None
    if not rest and isinstance(value, dict) and any(_rows(name, each) for name, each in value.items()):
        return "json"
    if not rest and value == []:
        return "json"
    if not isinstance(value, list) or rest or not value:
        return "jsonl"
    inner = value[0][0] if isinstance(value[0], list) and value[0] else value[0]
    return "jsonl" if value[0] is inner and isinstance(inner, dict) and is_turn("", inner) else "json"


def _rows(name: str, value: Any) -> bool:
    """Whether a field of a lone object holds the file's rows; a list of turns makes the object a row itself."""
    return isinstance(value, list) and len(value) > 0 and isinstance(value[0], dict) and not is_turn(name, value[0])


def _delimiter(text: str) -> str:
    """What separates the cells of a table; nothing if the text is none."""
    try:
        rows = [line for line in text.splitlines()[:50] if line.strip()]
        best = max(",\t;|", key=lambda mark: (min(line.count(mark) for line in rows[:1]), rows[0].count(mark)))
        return best if rows[0].count(best) and sum(best in line for line in rows) * 2 > len(rows) else ""
    except (ValueError, IndexError):
        return ""


def _has_header(text: str, delimiter: str) -> bool:
    """Whether the first row names columns: short, different, filled cells without a sentence's end."""
    first = next(csv.reader(text.splitlines()[:1], delimiter=delimiter), [])
    names = [cell.strip() for cell in first]
    while names and not names[-1]:  # a separator at the end of each line
        names.pop()
    return (
        bool(names) and len(set(names)) == len(names) and all(0 < len(name) <= 40 and name[-1] not in ".?!" for name in names)
    )


# -- readers


def _decoded(line: bytes, reading: Reading, number: int, tell: list[Problem], file: str) -> str | None:
    """A line as text; where bytes are no UTF-8, a problem, and replacement marks in their place."""
    try:
        return line.decode(reading.encoding)
    except UnicodeDecodeError as error:
        what = f"byte 0x{error.object[error.start]:02X} at place {error.start + 1} is not {reading.encoding.upper().removesuffix('-SIG')}."
        tell.append(Problem("encoding", number, "", what, file))
        return line.decode(reading.encoding, "replace")


def _opened_text(path: Path, reading: Reading) -> io.TextIOWrapper:
    """A file's text, line ends as they are; bytes that cannot be read become replacement marks."""
    return io.TextIOWrapper(opened(path), reading.encoding, errors="replace", newline="")


def _lines(path: Path, reading: Reading) -> Iterator[tuple[int, bytes]]:
    if reading.encoding.startswith("utf-16"):
        with _opened_text(path, reading) as lines:
            for number, text in enumerate(lines, 1):
                yield number, text.encode(reading.encoding, "surrogatepass")
        return
    number = 0
    with opened(path) as file:
        while line := file.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                yield number, line
                while (more := file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                    pass
                continue
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _jsonl(path: Path, reading: Reading, tell: list[Problem], file: str) -> Iterator[Record]:
    for number, line in _lines(path, reading):
        if len(line) >= MAX_LINE:
            tell.append(Problem("unreadable", number, "", f"the line is longer than {MAX_LINE >> 20} MiB.", file))
            continue
        text = _decoded(line, reading, number, tell, file)
        if text is None or not text.strip().strip("\ufeff"):
            continue
        try:
            yield Record(number, json.loads(text.strip().strip("\ufeff").rstrip(",")), file)
        except RecursionError:
            tell.append(Problem("unreadable", number, "", "its JSON is nested too deeply.", file))
        except ValueError as error:
            tell.append(Problem("unreadable", number, "", f"it is no JSON ({_said(error)}).", file))


def _json(path: Path, reading: Reading, tell: list[Problem], file: str) -> Iterator[Record]:
    number = 0
    try:
        with _opened_text(path, reading) as text:
            for number, value in enumerate(elements(text), 1):
                if broken := _unread(value):
                    tell.append(Problem("encoding", number, broken[0], _ENCODING.format(_shown(reading)), file))
                yield Record(number, value, file)
    except RecursionError:
        tell.append(Problem("unreadable", number + 1, "", "its JSON is nested too deeply; nothing behind it was read.", file))
    except ValueError as error:
        tell.append(
            Problem(
                "unreadable", number + 1, "", f"here the JSON breaks off ({_said(error)}); nothing behind it was read.", file
            )
        )


def _unread(value: Any) -> tuple[str, ...]:
    """The fields of a value that have a replacement mark in them."""
    if "\ufffd" not in json.dumps(value, ensure_ascii=False):
        return ()
    if isinstance(value, dict):
        return tuple(str(name) for name, each in value.items() if "\ufffd" in json.dumps([name, each], ensure_ascii=False))
    return ("",)


_ENCODING = "it has bytes that are not {}."


def _shown(reading: Reading) -> str:
    return reading.encoding.upper().removesuffix("-SIG")


def _said(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at character {error.pos + 1}"
    return str(error)[:80]


class _Again:
    """Lines, of which those that were taken since the last `mark` can be given out once more, but for the first."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self._taken.append(line)
        return line

    def mark(self) -> None:
        self._taken.clear()

    def back(self) -> None:
        self._waiting.extendleft(reversed(self._taken[1:]))
        self._taken.clear()


def _cells(path: Path, reading: Reading) -> Iterator[list[str] | str]:
    """The rows of a table; for one that cannot be read, why. A quote that nothing closes costs its own line, not all that follow."""
    csv.field_size_limit(MAX_LINE)
    with _opened_text(path, reading) as text:
        first = text.readline()
        head = [] if _SEPARATOR.match(first.lstrip("\ufeff")) else [first]
        lines = _Again(line.replace("\0", "") for line in chain(head, text))
        rows = csv.reader(lines, delimiter=reading.delimiter, strict=True)
        while True:
            lines.mark()
            try:
                cells = next(rows, None)
            except csv.Error as error:
                lines.back()
                yield str(error)
                continue
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield cells


def _table(path: Path, reading: Reading, tell: list[Problem], file: str) -> Iterator[Record]:
    names: list[str] = []
    number = 0
    for cells in _cells(path, reading):
        if isinstance(cells, list) and not names:
            if reading.header:
                names = [cell.strip().strip("\ufeff") for cell in cells]
                continue
            names = [f"column {at}" for at in range(1, len(cells) + 1)]
        number += 1
        if isinstance(cells, str):
            tell.append(Problem("unreadable", number, "", f"its quotes are not closed as they were opened ({cells}).", file))
            continue
        if len(cells) != len(names):
            what = f"it has {len(cells)} cells, and there are {len(names)} columns."
            tell.append(Problem("cells", number, "", what, file))
            continue
        if broken := next((name for name, cell in zip(names, cells, strict=True) if "\ufffd" in cell), ""):
            tell.append(Problem("encoding", number, broken, _ENCODING.format(_shown(reading)), file))
        yield Record(number, dict(zip(names, cells, strict=True)), file)


def _parquet(path: Path, reading: Reading, tell: list[Problem], file: str) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            "Parquet files are read by pyarrow, which is not installed.", "Install it: pip install pyarrow."
        ) from None
    number = 0
    try:
        with ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(number, value, file)
    except (ArrowException, OSError) as error:
        said = str(error).partition("\n")[0][:120]
        if not number:
            raise DataError(
                f"{path.name} cannot be read as Parquet ({said}).", "Write it again, or choose another file."
            ) from None
        tell.append(Problem("unreadable", number + 1, "", f"the file is damaged from here on ({said}).", file))


def _text(path: Path, reading: Reading, tell: list[Problem], file: str) -> Iterator[Record]:
    """A text in pieces of some thousand characters, cut at empty lines, so that a part of it can be held out."""
    number, piece, most = 1, "", 4 * PIECE
    for at, line in _lines(path, reading):
        if len(line) >= MAX_LINE:
            tell.append(
                Problem("unreadable", number, f"line {at}", f"it is longer than {MAX_LINE >> 20} MiB, and cut there.", file)
            )
        found: list[Problem] = []
        piece += (_decoded(line, reading, at, found, file) or "").replace("\r\n", "\n")
        tell.extend(replace(each, row=number, field=f"line {each.row}") for each in found)
        whole = len(piece) if len(piece) >= PIECE and piece.endswith("\n\n") else len(piece) - len(piece) % most
        for begin in range(0, whole, most):
            yield Record(number, piece[begin : min(whole, begin + most)].strip("\n"), file)
            number += 1
        piece = piece[whole:]
    if piece.strip() or number == 1:
        yield Record(number, piece.strip("\n"), file)
