"""`playground quantize --report` as a script sees it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from playground.cli.quantize_report import as_csv, as_markdown, as_table
from playground.protocol import QualityRow


def playground(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "playground", "quantize", *args],
        capture_output=True,
        text=True,
        timeout=200,
        env={"PLAYGROUND_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_report_is_one_object_and_can_be_kept_as_a_table(tmp_path: Path) -> None:
    table = tmp_path / "report.md"
    done = playground(tmp_path, "starter", "--report", "--types", "Q8_0", "--chunks", "1", "--json", "-o", str(table))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert report["original"]["quantization"] == "F16"
    assert [row["quantization"] for row in report["rows"]] == ["Q8_0"]
    assert report["rows"][0]["pareto"] is True
    assert report["tokens"] == report["rows"][0]["tokens"] == 255
    assert report["text"]["name"] == "evaluation.txt"
    assert "window 1 of 1" in done.stderr
    header, rule, original, row = table.read_text().splitlines()
    assert header.startswith("| type | MiB |")
    assert set(rule) <= set("|-: ")
    assert original.startswith("| F16 |")
    assert row.startswith("| Q8_0 * |")

    again = playground(tmp_path, "starter", "--report", "--types", "Q8_0", "--chunks", "1", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == report, "remembered"
    assert "window 1 of 1" not in again.stderr


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--report", "-o", "report.xlsx"], 2, "a report is written as .json, .md, .csv"),
        (["--report", "--types", "Q9_Z"], 1, "There is no type Q9_Z."),
        (["--report", "--text", "nowhere.txt"], 1, "There is no file or folder"),
        (["--report", "--models", "nowhere.gguf"], 1, "nowhere.gguf"),
    ],
)
def test_a_report_that_cannot_be(tmp_path: Path, args: list[str], code: int, says: str) -> None:
    done = playground(tmp_path, "starter", *args)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_tables_mark_what_nothing_beats() -> None:
    def row(kind: str, size: int, loss: float) -> QualityRow:
        return QualityRow(f"/m/{kind}", "m", kind, size << 20, 4.5, 3.0, 0.1, loss, 0.001, 0.2, 0.97, 512, 900.0, 80.0, 1 << 24)

    rows = [row("F16", 100, 0.0), row("Q8_0", 50, 0.001), row("Q5_0", 31, 0.02), row("Q5_K_M", 31, 0.01)]
    lines = as_table(rows).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["F16", "100.0"], ["Q8_0", "*"], ["Q5_0", "31.0"], ["Q5_K_M", "*"]]
    assert len({len(line) for line in lines[1:]}) == 1
    assert as_markdown(rows).count("\n") == 6
    assert [line["quantization"] for line in csv.DictReader(as_csv(rows).splitlines())] == ["F16", "Q8_0", "Q5_0", "Q5_K_M"]
