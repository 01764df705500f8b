"""A set of prompts with its results as Markdown to read, CSV for a spreadsheet, JSON Lines for a program. Knows no database."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from playground.errors import StorageError
from playground.history.records import Column, PromptRow, ResultRow, SessionRow
from playground.params import to_dict


def as_jsonl(session: SessionRow, prompts: Sequence[PromptRow], results: Sequence[ResultRow]) -> str:
    """One object for each cell that has a result, in the order of prompts and columns."""
    cells = (
        cell(session, prompt, column, row[column.id])
        for prompt, row in _by_prompt(prompts, results)
        for column in session.columns
        if column.id in row
    )
    return "".join(json.dumps(each, ensure_ascii=False, allow_nan=False) + "\n" for each in cells)


def cell(session: SessionRow, prompt: PromptRow, column: Column, result: ResultRow) -> dict[str, object]:
    """What is exported of one cell; numbers that JSON lacks are null."""
    return {
        "index": prompt.index,
        "prompt": prompt.prompt,
        "system": prompt.system or session.system,
        "column": name_of(session, column),
        "text": result.text,
        "finish_reason": result.state,
        "token_ids": list(result.token_ids),
        "seed": result.seed,
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
        "mean_logprob": None if math.isnan(result.mean_logprob) else result.mean_logprob,
        "mean_entropy": None if math.isnan(result.mean_entropy) else result.mean_entropy,
        "decode_s": result.decode_s,
        "error": result.error,
        "model": session.model_name,
        "settings": to_dict(column.settings),
        "more": prompt.more,
    }


def as_csv(session: SessionRow, prompts: Sequence[PromptRow], results: Sequence[ResultRow]) -> str:
    """One row a prompt: the prompt, what else stood in its row, and the reply of each column."""
    more = list(dict.fromkeys(name for prompt in prompts for name in prompt.more))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["index", "prompt", "system", *more, *(name_of(session, column) for column in session.columns)])
    for prompt, row in _by_prompt(prompts, results):
        replies = [row[column.id].text if column.id in row else "" for column in session.columns]
        others = [_field(prompt.more.get(name, "")) for name in more]
        writer.writerow([prompt.index, prompt.prompt, prompt.system or session.system, *others, *replies])
    return out.getvalue()


def as_markdown(session: SessionRow, prompts: Sequence[PromptRow], results: Sequence[ResultRow]) -> str:
    """A heading for each prompt, and the replies one after another."""
    parts = [f"# {' '.join(session.title.split()) or 'Prompts'}"]
    if session.system:
        parts += ["## System", session.system]
    for prompt, row in _by_prompt(prompts, results):
        parts.append(f"## {prompt.index + 1}\n\n{_quoted(prompt.prompt)}")
        for column in session.columns:
            if (result := row.get(column.id)) is not None:
                parts.append(f"**{name_of(session, column)}** ({result.completion_tokens} tokens, {result.state})")
                parts.append(_quoted(result.error or result.text))
    return "\n\n".join(parts) + "\n"


def name_of(session: SessionRow, column: Column) -> str:
    """A column's label; its place where it has none, or shares it with another."""
    labels = [each.label for each in session.columns]
    place = next(place for place, each in enumerate(session.columns) if each.id == column.id)
    return column.label if column.label and labels.count(column.label) == 1 else f"{column.label or 'column'} {place + 1}"


def _by_prompt(prompts: Sequence[PromptRow], results: Sequence[ResultRow]) -> list[tuple[PromptRow, dict[str, ResultRow]]]:
    found: dict[int, dict[str, ResultRow]] = {}
    for result in results:
        found.setdefault(result.index, {})[result.column_id] = result
    return [(prompt, found.get(prompt.index, {})) for prompt in prompts]


def _field(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in text.strip().splitlines()) or ">"


FORMS = {"jsonl": as_jsonl, "csv": as_csv, "md": as_markdown}
"""by the suffix of a file"""


def write_whole(path: Path, text: str) -> None:
    """Writes a file that comes into being when it is whole. StorageError if it cannot be written."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.", "Choose another place for it.") from None
