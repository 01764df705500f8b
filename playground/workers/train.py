"""The training worker: datasets to tokens, tokens into a run folder, and the run itself, which is `run_script` in this process.

Knows the rows' form and the tokenizer; how a step is made is the script's business alone.
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import DataError, PlaygroundError
from playground.params import from_dict
from playground.protocol import (
    Finished,
    MeasureRows,
    PrepareRun,
    Progress,
    RowsMeasured,
    RunEvent,
    RunPrepared,
    SteerRun,
    Train,
)
from playground.training.datasets import count_rows, rows_of
from playground.training.encode import IGNORED, Encoded, EncodeSettings, encode_all, encode_text, joined, packed
from playground.training.rows import Row, conversation
from playground.training.split import split
from playground.workers import torch_lib
from playground.workers.base import Link
from playground.workers.folder_tokenizer import FolderTokenizer

BACKGROUND = True

SKIPPED = 200
"""rows that are named one by one; more are only counted"""
FIRST = 64
"""rows that are looked at for what is common to all"""
PROBES = 3
"""held-out rows whose questions are asked where nobody names a probe"""


class Training:
    """See the module's docstring."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {MeasureRows: self.measure, PrepareRun: self.prepare, Train: self.train, SteerRun: lambda late: None}

    def close(self) -> None:
        pass

    def measure(self, command: MeasureRows) -> None:
        tokenizer = FolderTokenizer(Path(command.model))
        settings = _encode_settings({**command.encode, "max_tokens": 1_048_576, "truncation": "end"})
        count = count_rows(Path(command.data))
        step = max(1, -(-count // command.limit)) if command.limit else 1
        lengths, learned, starts, skipped = [], [], [], []
        for row in rows_of(Path(command.data), step):
            try:
                for each in encode_text(row, tokenizer, tokenizer.template, settings, pieces=False):
                    lengths.append(len(each))
                    learned.append(each.learned)
                    starts.append(next(place for place, label in enumerate(each.labels) if label != IGNORED))
            except DataError as error:
                skipped.append((row.number, f"{error.message} {error.hint}".strip()))
            if self._link.pending and self._link.cancelled(command.request):
                self._link.send(Finished(command.request, "cancelled"))
                return
        told = tuple(skipped[:SKIPPED])
        self._link.send(RowsMeasured(command.request, count, tuple(lengths), tuple(learned), told, tuple(starts)))
        self._link.send(Finished(command.request))

    def prepare(self, command: PrepareRun) -> None:
        """Row by row, however many there are: what is kept of each is its length and where its tokens were written."""
        tokenizer = FolderTokenizer(Path(command.model))
        settings = _encode_settings(command.encode)
        data, folder = Path(command.data), Path(command.folder)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        held = set(split(rows_of(data), command.validation_share, command.seed)[1])
        skipped: list[tuple[int, str]] = []
        read = 0

        def skip(row: Row, error: PlaygroundError) -> None:
            skipped.append((row.number, f"{error.message} {error.hint}".strip()))

        with ExitStack() as stack:
            learning, validation = (stack.enter_context(_Side(folder / "data" / name)) for name in ("train", "validation"))
            for place, row in enumerate(rows_of(data)):
                read += 1
                side = validation if place in held else learning
                side.meet(row)
                for each in encode_all([row], tokenizer, tokenizer.template, settings, skip):
                    side.add(each)
                if read % 256 == 0:
                    if self._link.pending and self._link.cancelled(command.request):
                        self._link.send(Finished(command.request, "cancelled"))
                        return
                    self._link.send(Progress(command.request, -1.0, f"{read:,} rows"))
            if not learning.lengths:
                raise DataError(
                    "There is no row to learn from." if read else "The dataset has no rows.",
                    skipped[0][1] if skipped else "Choose another file, or look at how its columns are read.",
                )
            for side in (learning, validation):
                side.finish(settings.max_tokens if command.packing else 0)
        asked = _probes(command.probes, validation if validation.first else learning, tokenizer, settings)
        (folder / "probes.json").write_text(json.dumps(asked, ensure_ascii=False, indent=1), encoding="utf-8")
        self._link.send(
            RunPrepared(
                command.request,
                learning.written,
                validation.written,
                sum(learning.lengths),
                learning.learned,
                learning.longest,
                learning.cut,
                tuple(each["prompt"] for each in asked),
                _stops(learning, tokenizer),
                tuple(skipped[:SKIPPED]),
            )
        )
        self._link.send(Finished(command.request))

    def train(self, command: Train) -> None:
        self._link.send(RunEvent(command.request, {"event": "loading", "what": "the libraries"}))
        torch_lib.start()
        torch_lib.need("safetensors")
        from playground.workers import run_script

        with run_script.sparing_bitsandbytes():
            torch_lib.need("peft")

        want = "run"

        def wanted() -> str:
            nonlocal want
            for each in self._link.take(command.request, SteerRun):
                want = each.want
            return "end" if self._link.pending and self._link.cancelled(command.request) else want

        outcome = run_script.train(
            Path(command.folder), command.model, lambda event: self._link.send(RunEvent(command.request, event)), wanted
        )
        self._link.send(Finished(command.request, "done" if outcome in ("finished", "stopped") else outcome))


def _encode_settings(fields: dict[str, Any]) -> EncodeSettings:
    return from_dict(EncodeSettings, fields)


class _Side:
    """The rows to learn from, or those that are held out: written as they come, and laid together at the end where that is wanted."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path.with_suffix(".jsonl"), path.with_suffix(".part")
        self._places = array("q")
        self.lengths = array("q")
        self.learned = self.cut = self.written = self.longest = 0
        self.ends: Counter[int] = Counter()
        """the last tokens that were learned of rows, and of answers in them"""
        self.first: list[Row] = []
        self.systems: Counter[str] = Counter()

    def __enter__(self) -> _Side:
        self._file = self._part.open("wb+")
        return self

    def __exit__(self, *why: object) -> None:
        self._file.close()

    def meet(self, row: Row) -> None:
        """Remembers the first rows, of which probes are made."""
        if len(self.first) < FIRST:
            self.first.append(row)
            self.systems.update([row.system] if row.messages else [])

    def add(self, row: Encoded) -> None:
        if len(self.lengths) < FIRST:
            self.ends.update(label for label, after in zip(row.labels, row.labels[1:], strict=False) if after == IGNORED)
        self._places.append(self._file.tell())
        self._file.write(_line(row))
        self.lengths.append(len(row))
        self.learned += row.learned
        self.longest = max(self.longest, len(row))
        self.cut += 1 if row.cut else 0
        if not row.cut:
            self.ends[row.labels[-1]] += 1

    def finish(self, room: int) -> None:
        """Puts the file under its name; packed into sequences of `room` tokens, unless that is 0."""
        if not room:
            self.written = len(self.lengths)
            self._file.close()
            os.replace(self._part, self._path)
            return
        bins = packed(self.lengths, room)
        with self._path.open("wb") as out:
            for places in bins:
                out.write(_line(joined([self._again(place) for place in places])))
        self.written = len(bins)
        self.longest = max((sum(self.lengths[place] for place in places) for places in bins), default=0)
        self._file.close()
        self._part.unlink()

    def _again(self, place: int) -> Encoded:
        self._file.seek(self._places[place])
        row = json.loads(self._file.readline())
        return Encoded(tuple(row["input_ids"]), tuple(row["labels"]))


def _probes(asked: Sequence[str], side: _Side, tokenizer: FolderTokenizer, settings: EncodeSettings) -> list[dict[str, Any]]:
    """Prompts as tokens: what stands before the first answer of a row. A question by itself is asked with the dataset's system prompt."""
    system = side.systems.most_common(1)
    made = [conversation(text, "x", system=system[0][0] if system else "") for text in asked]
    if not asked:
        made = [row for row in side.first if row.messages][:PROBES] or side.first[:1]
    found = []
    for row in made:
        try:
            first = encode_text(row, tokenizer, tokenizer.template, replace(settings, loss="answers"), pieces=False)[0]
        except PlaygroundError:
            continue
        place = next(place for place, label in enumerate(first.labels) if label != IGNORED)
        place = place if row.messages else min(len(first.ids), 8)
        question = next((each.content for each in row.messages if each.role == "user"), row.text[:80])
        found.append({"prompt": question, "input_ids": list(first.ids[:place])})
    return found


def _stops(side: _Side, tokenizer: FolderTokenizer) -> tuple[int, ...]:
    """Tokens that end a reply: the end of a text, and the control token that the answers of the data end with."""
    specials = {tokenizer._id(text) for text in tokenizer.marks.specials}
    return tuple(
        dict.fromkeys(
            [each for each, _ in side.ends.most_common(4) if each in specials and each >= 0]
            + [each for each in (tokenizer.eos_id,) if each >= 0]
        )
    )


def _line(row: Encoded) -> bytes:
    starts = [place for place, position in enumerate(row.positions) if position == 0] or [0]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(row.ids)], strict=True)]
    line = {"input_ids": row.ids, "labels": row.labels} | ({"lengths": lengths} if len(lengths) > 1 else {})
    return json.dumps(line).encode("ascii") + b"\n"


def make(link: Link) -> Training:
    return Training(link)
