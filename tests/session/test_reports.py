"""Reports that were made are kept, found again, and say what nothing beats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from playground.errors import StorageError
from playground.paths import Home
from playground.protocol import QualityRow
from playground.session import reports


def row(name: str, size: int, loss: float) -> QualityRow:
    return QualityRow(f"/m/{name}.gguf", name, name, size, 4.5, 9.0, 0.1, loss, 0.001, 0.2, 0.97, 512, 900.0, 80.0, 1 << 24)


ORIGINAL = row("F16", 100, 0.0)


def test_the_front_is_what_nothing_beats_and_ties_stay_together() -> None:
    rows = [ORIGINAL, row("Q8_0", 50, 0.001), row("Q5_0", 31, 0.02), row("Q5_K_M", 31, 0.01), row("Q4_0", 25, 0.05)]
    assert reports.front(rows) == {"/m/Q8_0.gguf", "/m/Q5_K_M.gguf", "/m/Q4_0.gguf"}
    twins = [ORIGINAL, row("one", 50, 0.001), row("two", 50, 0.001), row("larger", 60, 0.001), row("worse", 50, 0.002)]
    assert reports.front(twins) == {"/m/one.gguf", "/m/two.gguf"}
    assert reports.front([ORIGINAL]) == frozenset()


def test_a_report_is_found_again_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert reports.kept(home) == []
    old = reports.keep(home, "the shipped text", 100.0, [ORIGINAL, row("Q4_0", 25, 1 / 3)])
    new = reports.keep(home, "my text", 200.0, [ORIGINAL, row("Q8_0", 50, 1e-9)])
    assert reports.kept(home) == [new, old]
    assert new.original == ORIGINAL
    reports.forget(home, old.id)
    assert reports.kept(home) == [new]
    assert not list((tmp_path / reports.FOLDER).glob(".*")), "nothing half-written is left"


@pytest.mark.parametrize("content", ["", "[1]", '{"rows": []}', '{"id": "x", "made": 1, "text": "t", "rows": [{"path": "p"}]}'])
def test_a_damaged_file_costs_only_itself(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    good = reports.keep(home, "t", 1.0, [ORIGINAL])
    (tmp_path / reports.FOLDER / "bad.json").write_text(content)
    assert reports.kept(home) == [good]


def test_fields_of_later_versions_do_no_harm(tmp_path: Path) -> None:
    home = Home(tmp_path)
    good = reports.keep(home, "t", 1.0, [ORIGINAL])
    file = tmp_path / reports.FOLDER / f"{good.id}.json"
    data = json.loads(file.read_text())
    data["rows"][0]["invented"] = 1
    file.write_text(json.dumps(data))
    assert reports.kept(home) == [good]


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be kept"):
        reports.keep(Home(tmp_path / "file"), "t", 1.0, [replace(ORIGINAL, name="x")])
