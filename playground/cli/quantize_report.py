"""`playground quantize SOURCE --report`: what quantizations cost and what they lose, measured side by side."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playground.cli.common import Conversation, WrongUsage, count, emit, note
from playground.errors import StorageError
from playground.paths import expanded
from playground.protocol import QualityRow

MIB = 1 << 20
FORMS = (".json", ".md", ".csv")


def add_options(verb: argparse.ArgumentParser) -> None:
    """`--report` and what goes with it."""
    group = verb.add_argument_group("report")
    group.add_argument("--report", action="store_true", help="measure what types lose against SOURCE, and print a table")
    group.add_argument("--types", metavar="A,B", default="", help="types to make and measure (default: Q8_0 down to Q2_K)")
    group.add_argument("--models", metavar="FILE", nargs="+", default=[], help="models to measure, beside or instead of types")
    group.add_argument("--text", metavar="FILE", default="", help="the text to measure on (default: ours)")
    group.add_argument("--chunks", metavar="N", type=count, default=0, help="at most this many windows of the text")
    group.add_argument("--window", metavar="N", type=count, default=512, help="tokens in a window (default: 512)")
    group.add_argument("--keep", action="store_true", help="keep the quantizations in the data folder")
    group.add_argument("--again", action="store_true", help="measure again what was measured before")


def run(conversation: Conversation, source: Path, args: argparse.Namespace, follow: Any, imatrix: str) -> int:
    """Makes, measures, prints. `follow` waits for a job of the workshop."""
    if args.out and Path(args.out).suffix.lower() not in FORMS:
        raise WrongUsage(f"a report is written as {', '.join(FORMS)}: name such a file with -o.")
    from playground.session.quality import text_for

    workshop = conversation.session.workshop
    models = tuple(str(conversation.session.find_model(each)) for each in args.models)
    types = tuple(each for each in args.types.replace(",", " ").split() if each)
    text, _ = text_for(source, args.text)
    number = workshop.report(
        str(source),
        models,
        args.text,
        args.window,
        args.chunks,
        types=types,
        imatrix=imatrix,
        calibration=args.calibration,
        keep=args.keep,
        again=args.again,
    )
    made = follow(conversation, number)
    result = as_data(made.rows, text, args.window)
    for line in made.notes:
        note(line)
    if args.out:
        _write(expanded(args.out).absolute(), result, made.rows)
    if args.json:
        emit(result)
    else:
        print(as_table(made.rows))
        note(
            f"Measured on {result['tokens']:,} tokens of {text.name}. A star: nothing here is both smaller and nearer to the original."
        )
    return 0


def as_data(rows: Sequence[QualityRow], text: Path, window: int) -> dict[str, Any]:
    """`{"original": row, "rows": [row, ...], "text": {...}, "tokens": scored positions}`; `pareto` says whether nothing beats a row."""
    from playground.session.reports import front

    best = front(rows)
    return {
        "original": asdict(rows[0]),
        "rows": [asdict(row) | {"pareto": row.path in best} for row in rows[1:]],
        "text": {"path": str(text), "name": text.name, "bytes": text.stat().st_size, "window": window},
        "tokens": rows[0].tokens,
    }


COLUMNS = ("type", "MiB", "bits", "perplexity", "KL", "KL p99", "top-1", "prompt t/s", "decode t/s", "memory MiB")


def cells(row: QualityRow, mark: str = "") -> list[str]:
    """A row of the table as text, in the order of `COLUMNS`."""
    return [
        f"{row.quantization or Path(row.path).name}{mark}",
        f"{row.size / MIB:,.1f}",
        f"{row.bits_per_weight:.2f}",
        f"{row.perplexity:.4f} ± {row.perplexity_error:.4f}",
        f"{row.kl_divergence:.6f} ± {row.kl_error:.6f}",
        f"{row.kl_p99:.4f}",
        f"{100 * row.top1_agreement:.2f} %",
        f"{row.prompt_tokens_per_s:,.0f}",
        f"{row.decode_tokens_per_s:,.1f}",
        f"{row.resident / MIB:,.1f}",
    ]


def as_table(rows: Sequence[QualityRow], gap: str = "  ") -> str:
    """The table for a terminal; stars on the Pareto front."""
    table = [list(COLUMNS), *_marked(rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(COLUMNS))]
    lines = []
    for line in table:
        aligned = [
            each.ljust(width) if place == 0 else each.rjust(width)
            for place, (each, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append(gap.join(aligned).rstrip())
    return "\n".join(lines)


def as_markdown(rows: Sequence[QualityRow]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join(line) + " |" for line in _marked(rows)]
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[QualityRow]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(asdict(rows[0])))
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def _marked(rows: Sequence[QualityRow]) -> list[list[str]]:
    from playground.session.reports import front

    best = front(rows)
    return [cells(row, " *" if row.path in best else "") for row in rows]


def _write(path: Path, result: dict[str, Any], rows: Sequence[QualityRow]) -> None:
    import json
    import os

    ending = path.suffix.lower()
    text = as_markdown(rows) if ending == ".md" else as_csv(rows) if ending == ".csv" else json.dumps(result, indent=1) + "\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.", "Choose another place with -o.") from error
