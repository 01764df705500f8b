"""Prompts from a file or from pasted text: one a line, JSON Lines, or CSV. Pure: text in, prompts out; a row that is none is named.

Knows no model and no database.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playground.errors import DataError

Form = Literal["lines", "jsonl", "csv", "tsv"]

NAMES = ("prompt", "question", "instruction", "input", "text")
"""fields that hold the prompt, the first of them that a row has"""

_SUFFIXES: dict[str, Form] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv"}


@dataclass(frozen=True)
class Prompt:
    """One prompt; `more` is what else stood in its row."""

    prompt: str
    system: str = ""
    more: dict[str, Any] = field(default_factory=dict)


def read(path: Path) -> list[Prompt]:
    """The prompts of a file, by its suffix: `.jsonl`, `.csv`, `.tsv`; lines of text else. DataError names the file and the row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.", "Check its name.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", "Choose a text file in UTF-8.") from None
    try:
        return parse(text, _SUFFIXES.get(path.suffix.lower(), "lines"))
    except DataError as error:
        raise DataError(f"{path.name}: {error.message}", error.hint) from None


def parse(text: str, form: Form = "lines") -> list[Prompt]:
    """The prompts in a text; DataError for none at all and for a row that is none."""
    found = {"lines": _lines, "jsonl": _jsonl, "csv": _csv, "tsv": _tsv}[form](text)
    if not found:
        raise DataError("There is no prompt in it.", "Write one a line.")
    return found


@dataclass(frozen=True)
class Recognised:
    """Prompts, and how they were found in what was given."""

    prompts: tuple[Prompt, ...]
    form: Form
    field: str = ""
    """the column or field that holds the prompt; empty where a line is one"""
    others: tuple[str, ...] = ()
    """the columns or fields that are carried on"""


def guess(text: str) -> Form:
    """What a pasted text looks like: its first line says so."""
    first = text.lstrip("\ufeff \t\r\n").partition("\n")[0].strip()
    if first.startswith(("{", "[")):
        try:
            json.loads(text if first.startswith("[") else first)
            return "jsonl"
        except (ValueError, RecursionError):
            return "jsonl" if first.startswith('{"') else "lines"
    for form, separator in (("tsv", "\t"), ("csv", ",")):
        names = [name.strip().strip('"').lower() for name in first.split(separator)]
        if len(names) > 1 and all(names) and set(names) & set(NAMES) and max(map(len, names)) <= 40:
            return form  # type: ignore[return-value]
    return "lines"


def recognise(text: str, form: Form | None = None) -> Recognised:
    """The prompts in a text, with what was recognised. DataError as `parse`."""
    form = form or guess(text)
    prompts = parse(text, form)
    field = ""
    if form in ("csv", "tsv"):
        row = next(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter="\t" if form == "tsv" else ","))
        header = [name.strip().lower() for name in row]
        field = next((name for name in NAMES if name in header), "")
    elif form == "jsonl":
        rows = [json.loads(text)[0]] if text.lstrip().startswith("[") else [json.loads(text.lstrip().partition("\n")[0])]
        first = rows[0]
        if isinstance(first, dict):
            field = "messages" if isinstance(first.get("messages"), list) else next((n for n in NAMES if n in first), "")
    others = tuple(dict.fromkeys(name for prompt in prompts for name in prompt.more))
    return Recognised(tuple(prompts), form, field, others)


def recognise_file(path: Path) -> Recognised:
    """The same of a file, by its suffix."""
    read(path)  # says what is wrong, with the file's name
    return recognise(path.read_text(encoding="utf-8-sig"), _SUFFIXES.get(path.suffix.lower(), "lines"))


def _lines(text: str) -> list[Prompt]:
    return [Prompt(line.strip()) for line in text.splitlines() if line.strip()]


def _jsonl(text: str) -> list[Prompt]:
    if text.lstrip().startswith("["):  # a whole list in one
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"This is no JSON: {error}.", "Write one object a line.") from None
        return [_of_json(row, f"entry {number}") for number, row in enumerate(rows, 1)]
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"Line {number} is no JSON: {error}.", "Write one object a line.") from None
            found.append(_of_json(row, f"line {number}"))
    return found


def _of_json(row: Any, where: str) -> Prompt:
    if isinstance(row, str) and row.strip():
        return Prompt(row)
    if isinstance(row, dict):
        if isinstance(row.get("messages"), list):
            return _of_messages(row, where)
        return _of_fields(row, where)
    raise DataError(f"In {where} there is no prompt.", f'Write an object with "{NAMES[0]}", or a string.')


def _of_messages(row: dict[str, Any], where: str) -> Prompt:
    """The system message and the only user message of a conversation in the usual form."""
    said = [each for each in row["messages"] if isinstance(each, dict) and isinstance(each.get("content"), str)]
    users = [each["content"] for each in said if each.get("role") == "user"]
    if len(users) != 1 or not users[0].strip():
        raise DataError(f"In {where} there are {len(users)} user messages.", "A prompt set takes one a conversation.")
    system = next((each["content"] for each in said if each.get("role") == "system"), "")
    return Prompt(users[0], system, {name: value for name, value in row.items() if name != "messages"})


def _of_fields(row: dict[str, Any], where: str) -> Prompt:
    name = next((name for name in NAMES if isinstance(row.get(name), str) and row[name].strip()), "")
    if not name:
        raise DataError(f"In {where} there is no prompt.", f"Name the field with it one of: {', '.join(NAMES)}.")
    system = row.get("system")
    rest = {each: value for each, value in row.items() if each not in (name, "system")}
    return Prompt(row[name], system if isinstance(system, str) else "", rest)


def _tsv(text: str) -> list[Prompt]:
    return _csv(text, "\t")


def _csv(text: str, delimiter: str = ",") -> list[Prompt]:
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise DataError(f"This is no CSV: {error}.", "Quote fields that hold quotation marks, and double those.") from None
    if not rows:
        return []
    header = [name.strip().lower() for name in rows[0]]
    if not set(header) & set(NAMES):
        if len(header) == 1:  # a list without a header
            return [Prompt(row[0]) for row in rows]
        raise DataError(f"No column is called {NAMES[0]}.", f"Name the column with the prompts one of: {', '.join(NAMES)}.")
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(
                f"Row {number} has {len(row)} fields, the header {len(header)}.", "Quote fields that hold the separator."
            )
        found.append(_of_fields(dict(zip(header, row, strict=True)), f"row {number}"))
    return found
