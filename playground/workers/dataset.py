"""The data worker: reads, recognises, imports and previews training data, so that no window waits for a large file.

Previews need a model's tokenizer, not the model; transformers is imported only for a folder without tokenizer.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, DataError
from playground.params import from_dict
from playground.protocol import (
    DataImported,
    DataLooked,
    DataPreviewed,
    Finished,
    ImportData,
    LookAtData,
    PreviewData,
    Progress,
    ReadRow,
    RowRead,
    RowTokens,
)
from playground.training import datasets
from playground.training.encode import EncodeSettings, packed
from playground.training.preview import previewed
from playground.training.problems import Fix
from playground.training.rows import Row, to_json
from playground.training.scan import Guess, Scan, recognised
from playground.training.split import split
from playground.workers.base import Link
from playground.workers.folder_tokenizer import FolderTokenizer

RAW = 20_000
"""characters of a record that are shown"""
TELL_S = 0.2
NAMED = 20


class Data:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tokenizers: dict[str, FolderTokenizer] = {}

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {LookAtData: self.look, ImportData: self.bring, PreviewData: self.preview, ReadRow: self.read}

    def close(self) -> None:
        pass

    def look(self, command: LookAtData) -> None:
        scan = _scan(command)
        going = _Going(self._link, command.request)
        sample: list[dict[str, Any]] = []
        lengths = [0] * 32
        try:
            for row in scan:
                going(scan.read)
                if len(sample) < command.sample:
                    sample.append(to_json(row))
                size = len(row.text) + sum(len(each.content) for each in row.messages)
                lengths[min(31, size.bit_length())] += 1
        except Cancelled:
            self._link.send(Finished(command.request, "cancelled"))
            return
        while len(lengths) > 1 and not lengths[-1]:
            lengths.pop()
        self._link.send(
            DataLooked(
                command.request,
                scan.guess.to_dict(),
                scan.read,
                scan.kept,
                scan.mixed,
                scan.characters,
                dict(scan.counts),
                tuple(each.to_dict() for each in scan.problems),
                tuple(sample),
                tuple(lengths),
                tuple(scan.summary()),
            )
        )
        self._link.send(Finished(command.request))

    def bring(self, command: ImportData) -> None:
        scan = _scan(command)
        going = _Going(self._link, command.request)

        def told() -> dict[str, Any]:
            return {
                "source": command.source or command.path,
                "title": scan.guess.title,
                "guess": scan.guess.to_dict(),
                "fixes": dict(command.fixes),
                "read": scan.read,
                "counts": dict(scan.counts),
                "notes": [*scan.guess.notes, *scan.summary()],
                "problems": scan.problems,
            }

        try:
            made = datasets.write(Path(command.root), command.name or Path(command.path).stem, scan, told, going)
        except Cancelled:
            self._link.send(Finished(command.request, "cancelled"))
            return
        self._link.send(DataImported(command.request, str(made.path), tuple(str(each) for each in scan.problems[:NAMED])))
        self._link.send(Finished(command.request))

    def preview(self, command: PreviewData) -> None:
        if command.model not in self._tokenizers:
            self._tokenizers = {command.model: FolderTokenizer(Path(command.model))}
        tokenizer = self._tokenizers[command.model]
        settings = from_dict(EncodeSettings, command.encode)
        rows: Iterable[Row] = _scan(command) if command.guess else datasets.rows_of(Path(command.path))
        going = _Going(self._link, command.request)
        kept: list[Row] = []
        if command.share > 0:
            rows = _kept(rows, kept, max(command.limit, command.start + command.count))
        try:
            found = previewed(rows, tokenizer, tokenizer.template, settings, command.start, command.count, command.limit, going)
        except Cancelled:
            self._link.send(Finished(command.request, "cancelled"))
            return
        shown = [
            RowTokens(row.number, each.ids, each.labels, each.pieces, each.cut)
            for row, encoded, _ in found.shown
            for each in encoded
        ] + [RowTokens(row.number, (), (), (), 0, why) for row, encoded, why in found.shown if not encoded]
        source = (
            "your template"
            if settings.prompt_template
            else "the model's own chat template"
            if tokenizer.template
            else "a plain form"
        )
        self._link.send(
            DataPreviewed(
                command.request,
                tuple(sorted(shown, key=lambda each: each.row)),
                tuple(found.lengths),
                tuple(found.learned),
                found.cut,
                len(packed(found.lengths, settings.max_tokens)),
                tuple(each.to_dict() for each in found.problems),
                source,
                tuple(found.whole),
                *_held_out(kept, command, [row.number for row, _, _ in found.shown]),
            )
        )
        self._link.send(Finished(command.request))

    def read(self, command: ReadRow) -> None:
        record, row = _scan(command).find(command.number, command.file)
        raw = json.dumps(record.value, ensure_ascii=False, indent=1, default=str)[:RAW] if record is not None else ""
        self._link.send(RowRead(command.request, raw, to_json(row) if row is not None else {}))
        self._link.send(Finished(command.request))


def _kept(rows: Iterable[Row], kept: list[Row], most: int) -> Iterable[Row]:
    """The rows, of which the first `most` and one are put into `kept` on their way."""
    for row in rows:
        if len(kept) <= most:
            kept.append(row)
        yield row


def _held_out(kept: list[Row], command: PreviewData, shown: list[int]) -> tuple[tuple[int, ...], int]:
    """Which of the shown rows are held out, and how many in all: what `split` says of all rows, so not known of the first ones alone."""
    if not command.share or len(kept) > command.limit:
        return (), -1
    _, held = split(kept, command.share, command.seed)
    numbers = {kept[place].number for place in held}
    return tuple(each for each in shown if each in numbers), len(held)


def _scan(command: Any) -> Scan:
    path = Path(command.path)
    looked = Guess.from_dict(command.guess) if command.guess else recognised(path)
    if command.guess and not looked.schema and not looked.columns:
        reading = looked.reading
        return Scan(recognised(path, reading.form, reading.encoding, reading.delimiter, reading.header), *_mended(command))
    if not looked.schema and command.guess:
        raise DataError("No column says what is to be learned.", "Choose which column holds the question and which the answer.")
    return Scan(replace(looked, path=str(path)), *_mended(command))


def _mended(command: Any) -> tuple[dict[str, Fix], dict[int, Any]]:
    edits = getattr(command, "edits", {})
    return dict(getattr(command, "fixes", {})), {int(number): row for number, row in edits.items()}


class _Going:
    """Tells now and then how many rows are through; Cancelled when somebody wants the end."""

    def __init__(self, link: Link, request: int) -> None:
        self._link, self._request = link, request
        self._told = time.monotonic()

    def __call__(self, rows: int) -> None:
        if rows % 64:
            return
        if self._link.pending and self._link.cancelled(self._request):
            raise Cancelled("Cancelled.")
        if time.monotonic() - self._told > TELL_S:
            self._told = time.monotonic()
            self._link.send(Progress(self._request, -1.0, f"{rows:,} rows"))


def make(link: Link) -> Data:
    return Data(link)
