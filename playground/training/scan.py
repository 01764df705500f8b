"""A file or folder gone through once: recognised, converted, checked; rows out, problems counted. Bounded memory, whatever its size.

This is the one way from a file to rows: a look and an import see the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from playground.errors import DataError
from playground.training import sensitive
from playground.training.columns import TITLES, Columns, guess
from playground.training.convert import Converter, _Wrong, as_fields
from playground.training.files import Form, Reading, Record, recognise, records, sources
from playground.training.problems import KINDS, Fix, Problem
from playground.training.rows import Row, from_json
from playground.training.split import near_digest

LOOKED_AT = 200
"""rows by which the columns are recognised"""
NAMED = 500
"""problems that are named one by one; all are counted"""
REMEMBERED = 1_000_000
"""rows among which duplicates are found"""
SHORT_TEXT = 16


@dataclass(frozen=True)
class Guess:
    """How a file is understood; every field can be corrected. `columns`: the names that there are, for that."""

    path: str
    reading: Reading
    schema: str
    names: dict[str, str] = field(default_factory=dict)
    sure: bool = True
    columns: tuple[str, ...] = ()
    files: int = 1
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return TITLES[self.schema]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Guess:
        more = {name: tuple(data[name]) for name in ("columns", "notes") if name in data}
        return Guess(**{**data, **more, "reading": Reading(**data["reading"])})


def recognised(
    path: Path, form: Form | None = None, encoding: str = "", delimiter: str = "", header: bool | None = None
) -> Guess:
    """A guess at a file or folder, under what is already known of it. DataError if there is nothing to read."""
    files = sources(path)
    reading = recognise(files[0])
    known = {"form": form, "encoding": encoding, "delimiter": delimiter, "header": header}
    reading = replace(reading, **{name: value for name, value in known.items() if value not in (None, "")})  # type: ignore[arg-type]
    unread: list[Problem] = []
    fields = []
    for record in islice(records(files[0], reading, unread), LOOKED_AT):
        try:
            fields.append(as_fields(record.value))
        except _Wrong:
            continue
    columns = Columns("text", {"text": "text"}) if reading.form == "text" else guess(fields)
    names = dict.fromkeys(name for each in fields for name in each)
    notes = _notes(files, path, reading, columns)
    return Guess(
        str(path),
        reading,
        columns.schema,
        dict(columns.names),
        columns.sure,
        tuple(islice(names, 200)),
        len(files),
        tuple(notes),
    )


def _notes(files: list[Path], path: Path, reading: Reading, columns: Columns) -> list[str]:
    notes = []
    if len(files) > 1:
        notes.append(f"{len(files)} files are read, in the order of their names.")
    if reading.encoding == "windows-1252":
        notes.append("It is not UTF-8; it is read as Windows-1252.")
    if columns.schema == "pairs":
        notes.append("The preferred answers are learned; the rejected ones are kept with them, and not trained on.")
    if columns.schema and not columns.sure:
        notes.append("The columns were told by their looks only: check them.")
    return notes


class Scan:
    """The rows of a file as they will be trained on. Iterate once; afterwards (and meanwhile) the counts hold.

    `fixes`: by kind of problem, what to do in place of the default. `edits`: rows in place of those with these numbers.
    """

    def __init__(
        self, looked: Guess, fixes: Mapping[str, Fix] | None = None, edits: Mapping[int, Mapping[str, Any]] | None = None
    ) -> None:
        for kind, fix in (fixes or {}).items():
            if kind not in KINDS or fix not in KINDS[kind].fixes:
                raise DataError(f"'{kind}' cannot be mended by '{fix}'.", _known_fixes(kind))
        self.guess = looked
        self._fixes, self._edits = dict(fixes or {}), dict(edits or {})
        self.counts: Counter[str] = Counter()
        self.problems: list[Problem] = []
        """the first of them"""
        self.read = self.kept = self.mixed = 0
        self.characters = 0
        self._seen: set[bytes] = set()
        self._near: set[bytes] = set()

    def __iter__(self) -> Iterator[Row]:
        path = Path(self.guess.path)
        files = sources(path)
        columns = Columns(self.guess.schema, self.guess.names)  # type: ignore[arg-type]
        for file in files:
            name = str(file.relative_to(path)) if file != path else ""
            reading = self.guess.reading if file == files[0] or len(files) == 1 else self._reading(file)
            converter = Converter(columns, self._fixes)
            unread: list[Problem] = []
            for record in records(file, reading, unread, name):
                broken = self._told(unread, record.number)
                self.read += 1
                row = None if broken and self._fixes.get("encoding") != "trim" else self._row(record, converter)
                if row is not None and self._passes(row, record):
                    self.kept += 1
                    self.characters += len(row.text) + sum(len(each.content) for each in row.messages)
                    yield row
            self._told(unread, -1)
            self.mixed += converter.mixed

    def find(self, number: int, name: str = "") -> tuple[Record | None, Row | None]:
        """The record with a number (in the file `name` of a folder), and the row that comes of it as it stands, unedited."""
        path = Path(self.guess.path)
        files = sources(path)
        for file in files:
            if name and str(file.relative_to(path)) != name:
                continue
            reading = self.guess.reading if file == files[0] or len(files) == 1 else self._reading(file)
            for record in records(file, reading, []):
                if record.number == number:
                    return record, Converter(Columns(self.guess.schema, self.guess.names), {}).convert(record)[0]  # type: ignore[arg-type]
        return None, None

    def _reading(self, file: Path) -> Reading:
        """Of a further file of a folder: its own, in the encoding that was chosen for all."""
        try:
            return recognise(file)
        except DataError:
            return replace(self.guess.reading, form="text")

    def _told(self, unread: list[Problem], number: int) -> bool:
        """Takes over what a reader could not read; whether the row with this number is among it."""
        for each in unread:
            self._tell(each)
        self.read += sum(1 for each in unread if each.kind in ("unreadable", "cells"))
        broken = any(each.kind == "encoding" and each.row == number for each in unread)
        unread.clear()
        return broken

    def _tell(self, problem: Problem) -> Fix:
        self.counts[problem.kind] += 1
        if len(self.problems) < NAMED:
            self.problems.append(problem)
        return self._fixes.get(problem.kind, problem.fix)

    def _row(self, record: Record, converter: Converter) -> Row | None:
        if record.number in self._edits:
            return from_json({**self._edits[record.number], "row": record.number})
        row, found = converter.convert(record)
        for each in found:
            self._tell(each)
        return row

    def _passes(self, row: Row, record: Record) -> bool:
        """Whether a row stays, once it is checked for what rows have in common and for secrets."""
        found = [Problem(kind, record.number, field, what, record.file) for kind, field, what in self._checked(row)]
        fixes = [self._tell(each) for each in found]  # all are told, also behind one that skips
        return "skip" not in fixes

    def _checked(self, row: Row) -> Iterator[tuple[str, str, str]]:
        if row.text and len(row.text.strip()) < SHORT_TEXT:
            yield "near-empty", "text", f"the text is '{row.text.strip()}'."
        if row.messages and not any(letter.isalnum() for answer in row.answers for letter in answer):
            yield "near-empty", f"messages[{len(row.messages) - 1}].content", f"the answer is '{row.answers[-1].strip()[:20]}'."
        if len(self._seen) < REMEMBERED:
            exact, near = bytes.fromhex(row.digest()[:16]), near_digest(row)
            if exact in self._seen:
                yield "duplicate", "", "it says the same as an earlier row."
            elif near in self._near:
                yield "near duplicate", "", "but for case, spaces and punctuation it says the same as an earlier row."
            self._seen.add(exact)
            self._near.add(near)
        told = set()
        parts = [("text", row.text), *((f"messages[{at}].content", each.content) for at, each in enumerate(row.messages))]
        for name, text in parts:
            for kind, what in sensitive.find(text):
                if (kind, what) not in told:
                    told.add((kind, what))
                    yield kind, name, what

    def summary(self) -> list[str]:
        """A sentence for each kind of problem that there was, the commonest first."""
        lines = []
        for kind, count in self.counts.most_common():
            about = KINDS[kind]
            fix = self._fixes.get(kind, about.fixes[0])
            done = {"skip": "left out", "trim": "mended", "keep": "kept"}[fix]
            lines.append(f"{about.title}: {count:,} {'row' if count == 1 else 'rows'}, {done}.")
        return lines


def _known_fixes(kind: str) -> str:
    return f"Choose one of: {', '.join(KINDS[kind].fixes)}." if kind in KINDS else f"Kinds are: {', '.join(KINDS)}."
