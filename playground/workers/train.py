"""The training worker: datasets to tokens, tokens into a run folder, and the run itself, which is `run_script` in this process.

Knows the rows' form and the tokenizer; how a step is made is the script's business alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from playground.training.datasets import rows_of
from playground.training.encode import IGNORED, Encoded, EncodeSettings, encode_all, encode_text, pack
from playground.training.rows import Row, conversation
from playground.training.split import split
from playground.workers import torch_lib
from playground.workers.base import Link
from playground.workers.folder_tokenizer import FolderTokenizer

SKIPPED = 200
"""rows that are named one by one; more are only counted"""
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
        rows = list(rows_of(Path(command.data)))
        step = max(1, -(-len(rows) // command.limit)) if command.limit else 1
        lengths, learned, skipped = [], [], []
        for row in rows[::step]:
            try:
                for each in encode_text(row, tokenizer, tokenizer.template, settings, pieces=False):
                    lengths.append(len(each))
                    learned.append(each.learned)
            except DataError as error:
                skipped.append((row.number, f"{error.message} {error.hint}".strip()))
            if self._link.pending and self._link.cancelled(command.request):
                self._link.send(Finished(command.request, "cancelled"))
                return
        self._link.send(RowsMeasured(command.request, len(rows), tuple(lengths), tuple(learned), tuple(skipped[:SKIPPED])))
        self._link.send(Finished(command.request))

    def prepare(self, command: PrepareRun) -> None:
        tokenizer = FolderTokenizer(Path(command.model))
        settings = _encode_settings(command.encode)
        rows, skipped = list(rows_of(Path(command.data))), []

        def skip(row: Row, error: PlaygroundError) -> None:
            skipped.append((row.number, f"{error.message} {error.hint}".strip()))

        places = split(rows, command.validation_share, command.seed)
        train, held_out = ([rows[place] for place in part] for part in places)
        sets = []
        for part in (train, held_out):
            found: list[Encoded] = []
            for each in encode_all(part, tokenizer, tokenizer.template, settings, skip):
                found.append(each)
                if len(found) % 256 == 0:
                    self._link.send(Progress(command.request, -1.0, f"{len(found):,} rows"))
            sets.append(found)
        learning, validation = sets
        if not learning:
            raise DataError(
                "There is no row to learn from." if rows else "The dataset has no rows.",
                skipped[0][1] if skipped else "Choose another file, or look at how its columns are read.",
            )
        stop = _stops(learning, tokenizer)
        asked = _probes(command.probes, held_out or train, tokenizer, settings)
        packed = (
            (pack(learning, settings.max_tokens), pack(validation, settings.max_tokens))
            if command.packing
            else (learning, validation)
        )
        folder = Path(command.folder)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for name, sequences in zip(("train", "validation"), packed, strict=True):
            _write(folder / "data" / f"{name}.jsonl", (_line(each) for each in sequences))
        (folder / "probes.json").write_text(json.dumps(asked, ensure_ascii=False, indent=1), encoding="utf-8")
        self._link.send(
            RunPrepared(
                command.request,
                len(packed[0]),
                len(packed[1]),
                sum(map(len, learning)),
                sum(each.learned for each in learning),
                max(map(len, packed[0])),
                sum(1 for each in learning if each.cut),
                tuple(each["prompt"] for each in asked),
                stop,
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


def _probes(
    asked: Sequence[str], rows: Sequence[Row], tokenizer: FolderTokenizer, settings: EncodeSettings
) -> list[dict[str, Any]]:
    """Prompts as tokens: what stands before the first answer of a row. A question by itself is asked with the dataset's system prompt."""
    system = Counter(row.system for row in rows if row.messages).most_common(1)
    made = [conversation(text, "x", system=system[0][0] if system else "") for text in asked]
    if not asked:
        made = [row for row in rows if row.messages][:PROBES] or list(rows[:1])
    found = []
    for row in made:
        try:
            first = encode_text(row, tokenizer, tokenizer.template, settings, pieces=False)[0]
        except PlaygroundError:
            continue
        place = next(place for place, label in enumerate(first.labels) if label != IGNORED)
        place = place if row.messages else min(len(first.ids), 8)
        question = next((each.content for each in row.messages if each.role == "user"), row.text[:80])
        found.append({"prompt": question, "input_ids": list(first.ids[:place])})
    return found


def _stops(rows: Sequence[Encoded], tokenizer: FolderTokenizer) -> tuple[int, ...]:
    """Tokens that end a reply: the end of a text, and the control token that the answers of the data end with."""
    ends = Counter(each.labels[-1] for each in rows if not each.cut)
    ends.update(
        label for each in rows[:64] for label, after in zip(each.labels, each.labels[1:], strict=False) if after == IGNORED
    )
    specials = {tokenizer._id(text) for text in tokenizer.marks.specials}
    return tuple(
        dict.fromkeys(
            [each for each, _ in ends.most_common(4) if each in specials and each >= 0]
            + [each for each in (tokenizer.eos_id,) if each >= 0]
        )
    )


def _line(row: Encoded) -> str:
    starts = [place for place, position in enumerate(row.positions) if position == 0] or [0]
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(row.ids)], strict=True)]
    return json.dumps({"input_ids": row.ids, "labels": row.labels} | ({"lengths": lengths} if len(lengths) > 1 else {}))


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="ascii") as file:
        for line in lines:
            file.write(line + "\n")


def make(link: Link) -> Training:
    return Training(link)
