"""Training runs in the database."""

from __future__ import annotations

import math

import pytest

from playground.errors import NotFoundError
from playground.history.owner import owner
from playground.history.runs import RunRow, SampleRow
from playground.history.store import Store


def test_a_run_is_kept_with_what_belongs_to_it_and_goes_with_it() -> None:
    with Store() as store:
        run = RunRow("a", title="one", state="running", owner=owner(), started=1.0, settings={"rank": 4}, summary={"loss": 2.0})
        store.put_run(run)
        store.put_metrics("a", [("loss", 1, 3.0, 1.0), ("loss", 2, math.nan, 2.0)])
        store.put_run(RunRow("b", state="finished", started=2.0))
        assert [each.id for each in store.runs()] == ["b", "a"] and store.run("a") == run
        store.put_run(RunRow("a", title="two", state="finished", started=1.0))
        store.put_metrics("a", [("loss", 2, 1.0, 3.0)])
        assert store.run("a").title == "two"
        assert store.metrics("a") == {"loss": [(1, 3.0), (2, 1.0)]}, "a step computed again replaces the one before"
        samples = [SampleRow(0, 0, "Hi?", "Hello.", True), SampleRow(5, 0, "Hi?", "Ahoy!")]
        store.put_samples("a", samples)
        assert store.samples("a") == samples
        store.delete_run("a")
        assert store.metrics("a") == {} and store.samples("a") == []
        with pytest.raises(NotFoundError):
            store.run("a")


def test_a_run_whose_program_is_gone_is_interrupted() -> None:
    with Store() as store:
        store.put_run(RunRow("a", state="paused", owner="999999999:gone"))
        store.put_run(RunRow("b", state="running", owner=owner()))
        states = {each.id: each.state for each in store.runs()}
        assert states == {"a": "interrupted", "b": "running"} and store.run("a").resumable
