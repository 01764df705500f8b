"""What follows a run elsewhere: MLflow and TensorBoard get what happened, go on after a break, and never hold or end a training.

The libraries are not installed with the tests: fake modules stand for the few names that are used of them. Where the real ones are there,
they are tried as well.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from playground.workers import tracking

RECORD = {
    "id": "20261122-1",
    "title": "starter on persona",
    "settings": {"rank": 4, "targets": ["q_proj", "v_proj"], "tracking": "", "tensorboard": False},
    "model": {"base": "someone/a-model"},
    "data": {"name": "persona", "sha256": "ab12"},
}


def step(number: int, loss: float = 1.0) -> dict[str, Any]:
    return {"event": "step", "time": 100.0 + number, "step": number, "loss": loss, "learning_rate": 0.1, "labels": 7}


def evaluation(number: int, loss: float) -> dict[str, Any]:
    return {"event": "evaluation", "time": 100.0 + number, "step": number, "loss": loss}


def end(outcome: str, number: int) -> dict[str, Any]:
    return {"event": outcome, "time": 200.0, "step": number}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    (tmp_path / "run" / "adapter" / "adapter_config.json").write_text("{}")
    return tmp_path / "run"


def follow(folder: Path, events: list[dict[str, Any]], **settings: Any) -> list[str]:
    """Lets what the settings name hear these events; the sentences that come of it."""
    found = tracking.tracker(folder, {**RECORD, "settings": RECORD["settings"] | settings})  # type: ignore[operator]
    assert found is not None
    for event in events:
        found.hear(event)
    return found.close()


class Entity:
    """Metric, Param, RunTag: what they were made with."""

    def __init__(self, *values: Any) -> None:
        self.values = values


class Client:
    """As much of MlflowClient as is used; `runs` is its store."""

    runs: dict[str, dict[str, Any]] = {}
    hold: threading.Event | None = None
    fails = ""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        if "nobody" in uri:
            raise RuntimeError("nobody answers\nat all")

    def get_experiment_by_name(self, name: str) -> Any:
        return type("Experiment", (), {"experiment_id": name})

    def create_run(self, experiment: str, run_name: str) -> Any:
        made = f"r{len(self.runs)}"
        self.runs[made] = {"name": run_name, "uri": self.uri, "metrics": [], "params": {}, "tags": {}, "status": "RUNNING"}
        return type("Run", (), {"info": type("Info", (), {"run_id": made})})

    def update_run(self, run: str, status: str) -> None:
        self.runs[run]["status"] = status

    set_terminated = update_run

    def get_run(self, run: str) -> Any:
        names = {name: 0 for name, *_ in self.runs[run]["metrics"]}
        return type("Run", (), {"data": type("Data", (), {"metrics": names})})

    def get_metric_history(self, run: str, name: str) -> list[Any]:
        return [type("Point", (), {"step": row[3]}) for row in self.runs[run]["metrics"] if row[0] == name]

    def log_batch(self, run: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if metrics and Client.hold is not None:
            Client.hold.wait(60)
        if metrics and Client.fails:
            raise OSError(Client.fails)
        self.runs[run]["metrics"] += [each.values for each in metrics]
        self.runs[run]["params"] |= {each.values[0]: each.values[1] for each in params}
        self.runs[run]["tags"] |= {each.values[0]: each.values[1] for each in tags}

    def set_tag(self, run: str, name: str, value: str) -> None:
        self.runs[run]["tags"][name] = value

    def log_artifacts(self, run: str, folder: str, place: str) -> None:
        self.runs[run]["artifacts"] = (Path(folder).name, place)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Fake modules, and the runs that they know."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    modules = {name: ModuleType(name) for name in ("mlflow", "mlflow.entities", "mlflow.tracking")}
    for name in ("Metric", "Param", "RunTag"):
        setattr(modules["mlflow.entities"], name, Entity)
    modules["mlflow.tracking"].MlflowClient = Client  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Client, "runs", {})
    return Client.runs


def test_mlflow_gets_settings_metrics_by_step_and_the_adapter(mlflow: dict[str, dict[str, Any]], run: Path) -> None:
    import os

    events = [step(1, 3.0), step(2, 2.5), evaluation(2, 2.75), end("finished", 2)]
    assert follow(run, events, tracking="http://me:secret@there:5000") == []
    (made,) = mlflow.values()
    assert made["params"] == {"rank": "4", "targets": "q_proj,v_proj"}
    assert {"model": "someone/a-model", "data": "persona", "data_sha256": "ab12", "outcome": "finished"}.items() <= made[
        "tags"
    ].items()
    assert [(name, value, at) for name, value, _, at in made["metrics"] if "loss" in name] == [
        ("loss", 3.0, 1),
        ("loss", 2.5, 2),
        ("validation_loss", 2.75, 2),
    ]
    assert made["artifacts"] == ("adapter", "adapter") and made["status"] == "FINISHED"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true", "nothing is told to anybody whom the user did not name"


def test_a_run_that_goes_on_is_the_same_run_there_and_no_step_is_there_twice(
    mlflow: dict[str, dict[str, Any]], run: Path
) -> None:
    follow(run, [step(1), step(2), step(3), end("ended", 3)], tracking="sqlite:///runs.db")
    assert next(iter(mlflow.values()))["status"] == "KILLED" and "artifacts" not in next(iter(mlflow.values()))
    follow(run, [step(2), step(3), step(4), end("finished", 4)], tracking="sqlite:///runs.db")
    (made,) = mlflow.values()
    assert [row[3] for row in made["metrics"] if row[0] == "loss"] == [1, 2, 3, 4] and made["status"] == "FINISHED"
    follow(run, [step(1), end("failed", 1)], tracking=str(run.parent / "elsewhere"))
    assert [each["status"] for each in mlflow.values()] == ["FINISHED", "FAILED"]
    assert list(mlflow.values())[1]["uri"] == (run.parent / "elsewhere").as_uri()


def test_a_place_that_fails_or_does_not_answer_is_given_up_with_a_sentence(
    mlflow: dict[str, dict[str, Any]], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "fails", "the disk is full.\nmore")
    (said,) = follow(run, [step(1), step(2), end("finished", 2)], tracking="file:/somewhere")
    assert said == "MLflow was given up: the disk is full. The training goes on."
    monkeypatch.setattr(Client, "fails", "")
    held = threading.Event()
    monkeypatch.setattr(Client, "hold", held)
    monkeypatch.setattr(tracking, "LAST_S", 0.05)
    before = set(threading.enumerate())
    assert "did not answer" in follow(run, [step(1)], tracking="file:/elsewhere")[0], "and no step waited for it"
    held.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)


def test_what_cannot_be_tracked_is_one_sentence(
    mlflow: dict[str, dict[str, Any]], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(tracking.CannotTrack, match="nobody answers") as failed:
        follow(run, [], tracking="http://me:secret@nobody:1")
    assert "secret" not in str(failed.value) and "\n" not in str(failed.value)
    monkeypatch.setitem(sys.modules, "mlflow.entities", None)
    with pytest.raises(tracking.CannotTrack, match="package mlflow") as missing:
        follow(run, [], tracking="file:/somewhere")
    assert "playground[track]" in missing.value.hint
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(tracking.CannotTrack, match="tensorboard"):
        follow(run, [], tensorboard=True)
    assert tracking.tracker(run, RECORD) is None


def test_tensorboard_gets_what_is_measured_and_takes_back_what_a_kill_left(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            self.folder, self.purge_step, self.told, self.closed = folder, purge_step, list[Any](), False
            writers.append(self)

        def add_scalar(self, *values: Any, walltime: float) -> None:
            self.told.append(values)

        add_text = add_scalar

        def close(self) -> None:
            self.closed = True

    modules = {name: ModuleType(name) for name in ("torch", "torch.utils", "torch.utils.tensorboard")}
    modules["torch.utils.tensorboard"].SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    started = {"event": "started", "time": 1.0, "step": 0}
    sample = {"event": "sample", "time": 2.0, "step": 0, "probe": 0, "reply": "Ahoy!"}
    assert follow(run, [started, sample, step(1, 3.0), evaluation(1, 2.0)], tensorboard=True) == []
    assert follow(run, [started | {"step": 4}, step(5)], tensorboard=True) == []
    first, second = writers
    assert first.told == [("reply 0", "Ahoy!", 0), ("learning_rate", 0.1, 1), ("loss", 3.0, 1), ("validation_loss", 2.0, 1)]
    assert (first.purge_step, second.purge_step) == (None, 5) and first.closed and second.closed
    assert first.folder == str(run / "tensorboard")


@pytest.mark.filterwarnings("default")  # what libraries say to each other
@pytest.mark.parametrize("place", ["file:{}/runs", "sqlite:///{}/runs.db"])
def test_the_real_mlflow_without_a_network(place: str, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed (extra `track`)")
    from mlflow.tracking import MlflowClient

    uri = place.format(tmp_path)
    for number in (1, 2):
        assert follow(run, [step(number), end("finished", number)], tracking=uri) == []
    made = json.loads((run / "tracking.json").read_text())["run"]
    found = MlflowClient(uri).get_run(made)
    assert found.info.status == "FINISHED" and found.data.params["rank"] == "4" and found.data.tags["data_sha256"] == "ab12"
    assert [each.step for each in MlflowClient(uri).get_metric_history(made, "loss")] == [1, 2]
