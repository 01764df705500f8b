"""A run folder's events: curves in which a step counts once, and how far the run is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from playground.training.runs import Progress, after, curves, read_events, read_record, write_record


def happened(*events: dict[str, Any]) -> Progress:
    progress = Progress()
    for number, event in enumerate(events):
        progress = after(progress, {"time": float(number), **event})
    return progress


def step(number: int, loss: float = 1.0, time: float = 0.0) -> dict[str, Any]:
    return {"event": "step", "step": number, "loss": loss, "time": time}


def test_a_step_computed_again_replaces_the_one_before(tmp_path: Path) -> None:
    lines = [step(1, 3.0), step(2, 2.0), {"event": "evaluation", "step": 2, "loss": 2.5, "time": 0}, step(3, 9.0), step(3, 1.0)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines) + '{"event": "st')
    found = curves(read_events(tmp_path))
    assert found == {"loss": [(1, 3.0), (2, 2.0), (3, 1.0)], "validation_loss": [(2, 2.5)]}
    assert list(read_events(tmp_path / "nowhere")) == []


def test_time_left_comes_from_the_steps_of_this_process() -> None:
    found = happened({"event": "started", "step": 10, "steps": 30, "time": 100.0}, step(15, time=110.0))
    assert (found.step, found.steps, found.fraction, found.seconds_left) == (15, 30, 0.5, 30.0)
    assert Progress().fraction == -1 and "loss" not in Progress().to_dict()


def test_the_best_evaluation_is_the_lowest_and_never_the_untrained_one() -> None:
    losses = [(0, 0.5), (5, 2.0), (10, 1.0), (15, 1.5)]
    found = happened(*({"event": "evaluation", "step": at, "loss": loss} for at, loss in losses))
    assert (found.best_step, found.best_loss, found.validation_loss, found.first_validation_loss) == (10, 1.0, 1.5, 0.5)
    assert math.isnan(found.loss)


def test_a_record_is_whole_or_not_there(tmp_path: Path) -> None:
    assert read_record(tmp_path) == {}
    write_record(tmp_path, {"settings": {"rank": 4}})
    assert read_record(tmp_path) == {"settings": {"rank": 4}}
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]
