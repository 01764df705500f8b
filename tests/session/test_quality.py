"""A quality report through the session: what is made, in which order rows come, and that nothing is measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from playground.errors import NotFoundError, SettingError
from playground.paths import Home, resources, starter
from playground.protocol import QualityRow
from playground.session import quality, workshop_chain
from playground.session.quality import Measured, ReportRequest, text_for
from playground.session.workshop import JobChanged, Making
from tests.session.conftest import Listening


def finish(listening: Listening, number: str) -> Making:
    changed = listening.until(lambda event: isinstance(event, JobChanged) and event.making.id == number and event.making.ended)
    making: Making = changed.making
    return making


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are taken once in place of five times."""
    monkeypatch.setattr(workshop_chain, "QUALITY", "tests.workers.measured_once")


@pytest.mark.usefixtures("measured_once")
def test_types_are_made_measured_and_remembered(listening: Listening, home: Home) -> None:
    workshop = listening.session.workshop
    first = finish(listening, workshop.report(str(starter()), (), chunks=1, types=("Q2_K", "Q8_0")))
    assert first.state == "done", first.message
    assert [row.quantization for row in first.rows] == ["F16", "Q2_K", "Q8_0"]
    assert [Path(row.path).name for row in first.rows] == ["starter.gguf", "starter-Q2_K.gguf", "starter-Q8_0.gguf"]
    assert first.rows[1].kl_divergence > first.rows[2].kl_divergence > 0
    assert not list(home.cache.rglob("*.gguf")), "what was made on the way is gone"
    assert not list(home.cache.rglob("base.f32"))
    assert not home.models.exists() or not list(home.models.iterdir())

    again = finish(listening, workshop.report(str(starter()), (), chunks=1, types=("Q8_0", "Q2_K")))
    assert again.steps == (), "nothing is measured twice"
    assert again.rows == (first.rows[0], first.rows[2], first.rows[1])


@pytest.mark.usefixtures("measured_once")
def test_a_files_figures_are_found_under_its_hash_whatever_it_is_called(listening: Listening, tmp_path: Path) -> None:
    workshop = listening.session.workshop
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(starter().read_bytes())
    first = finish(listening, workshop.report(str(starter()), (str(copy),), chunks=1))
    assert first.state == "done", first.message
    assert first.rows[1].kl_divergence == 0.0
    other = copy.rename(tmp_path / "other.gguf")
    again = finish(listening, workshop.report(str(starter()), (str(other),), chunks=1))
    assert again.steps == ()
    assert [row.path for row in again.rows] == [str(starter()), str(other)]


def test_an_error_of_the_measurement_is_the_jobs(listening: Listening, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("too short")
    failed = finish(listening, listening.session.workshop.report(str(starter()), (str(starter()),), str(text)))
    assert failed.state == "failed"
    assert "too short to measure on" in failed.message
    assert failed.hint


def test_each_model_has_a_process_of_its_own_and_the_original_runs_once(tmp_path: Path) -> None:
    request = ReportRequest(str(starter()), types=("Q8_0", "Q4_K_M"))
    chain = quality.report(Home(tmp_path), request, tmp_path / "work")
    said = [(step.module.rpartition(".")[2], getattr(step.command, "models", None)) for step in chain.steps]
    assert [module for module, _ in said] == ["measure", "quantize", "measure", "quantize", "measure"]
    assert [len(models) for _, models in said if models is not None] == [0, 1, 1]
    assert len({step.command.base for step in chain.steps if hasattr(step.command, "base")}) == 1


def test_without_room_for_the_originals_logits_it_is_loaded_beside_each_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "ROOM", 1 << 60)
    chain = quality.report(Home(tmp_path), ReportRequest(str(starter()), types=("Q8_0",)), tmp_path / "work")
    (measure,) = [step.command for step in chain.steps if step.module.endswith("measure")]
    assert isinstance(measure, quality.MeasureQuality)
    assert measure.base == ""
    assert len(measure.models) == 1


def test_the_starter_is_measured_on_its_own_world(tmp_path: Path) -> None:
    own = resources() / "starter" / "evaluation.txt"
    assert text_for(starter()) == (own, True)
    assert text_for(starter().parent) == (own, True)
    copy = tmp_path / "renamed.gguf"
    copy.write_bytes(starter().read_bytes())
    assert text_for(copy) == (own, True)
    copy.write_bytes(starter().read_bytes()[:-1] + b"x")
    assert text_for(copy) == (resources() / "evaluation.txt", False)
    mine = tmp_path / "mine.txt"
    mine.write_text("text")
    assert text_for(starter(), str(mine)) == (mine, False)
    with pytest.raises(SettingError, match="is a folder"):
        text_for(starter(), str(tmp_path))
    with pytest.raises(NotFoundError, match="no file or folder"):
        text_for(starter(), str(tmp_path / "missing.txt"))


def test_the_starter_is_calibrated_with_its_own_words(tmp_path: Path) -> None:
    own = starter().parent / "calibration.txt"
    assert workshop_chain.calibration("", starter()) == own
    assert workshop_chain.calibration("", starter().parent) == own
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    assert workshop_chain.calibration("", other) == resources() / "calibration.txt"
    other.with_suffix(".txt").write_text("text")
    assert workshop_chain.calibration(str(other.with_suffix(".txt")), starter()) == other.with_suffix(".txt")
    measured_on = (starter().parent / "evaluation.txt").read_text("utf-8").split("<|endoftext|>")
    assert not set(measured_on) & set(own.read_text("utf-8").split("<|endoftext|>")), (
        "what is measured on was not calibrated with"
    )


def test_rows_stand_in_the_order_asked_for_and_a_row_measured_again_replaces_the_old() -> None:
    def row(path: str, **more: Any) -> QualityRow:
        return QualityRow(path, "n", "Q8_0", 1, 8.5, 3.0, 0.1, 0.0, 0.0, 0.0, 1.0, 10, 1.0, 1.0, 1, **more)

    measured = Measured(("o", "a", "b"), names={"/work/b": "b"})
    measured.add(row("/work/b"))
    measured.add(row("o"))
    measured.add(row("a"))
    assert [each.path for each in measured.rows] == ["o", "a", "b"]
    assert measured.add(row("a", log_ratio=1.0))[1].log_ratio == 1.0
    assert len(measured.rows) == 3
