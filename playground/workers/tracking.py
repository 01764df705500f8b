"""Lets TensorBoard and MLflow follow a run, where its settings name them: reads the run's events, and writes what they say elsewhere.

`run_script` loads the file of this name beside itself, so that a run folder tracks the same wherever it is trained: nothing of Playground
is needed here, and tensorboard or mlflow only where they are wished for. A thread of its own writes, so that a slow place never holds a
step; a place that fails is given up with a sentence, and the training goes on.

    settings.tensorboard       true: event files in tensorboard/ of the run folder
    settings.tracking          a place of MLflow: a folder, file:, sqlite: or http(s): URI; "" for none
    tracking.json              (written) which run of MLflow this is, to go on with it after a break
"""

from __future__ import annotations

import json
import os
import queue
import threading
from pathlib import Path
from typing import Any, Protocol

METRICS = {"loss", "learning_rate", "grad_norm", "tokens_per_s", "memory", "epoch"}
"""of an event of a step"""
EXPERIMENT = "playground"
LAST_S = 60.0
"""how long the end of a run waits for what is still to be written"""
AT_ONCE = 500
"""metrics in a request; MLflow takes 1,000 at most"""

Event = dict[str, Any]


class CannotTrack(Exception):
    """What is wished for cannot be: a sentence, and a way out."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Place(Protocol):
    """Where events go."""

    name: str

    def take(self, events: list[Event]) -> None: ...

    def close(self) -> None: ...


def points(event: Event) -> list[tuple[str, float, int]]:
    """(name, value, step) of what an event measured."""
    if event["event"] == "step":
        return [(name, float(event[name]), event["step"]) for name in sorted(METRICS & event.keys())]
    if event["event"] == "evaluation":
        return [("validation_loss", float(event["loss"]), event["step"])]
    return []


class TensorBoard:
    """Event files; a run that goes on takes back what a kill left beyond its checkpoint."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise CannotTrack(
                f"TensorBoard files need the package tensorboard ({error}).",
                'Install it with: pip install "playground[track]" - or train without them.',
            ) from None
        self._make, self._where = SummaryWriter, folder / "tensorboard"
        self._writer: Any = None

    def take(self, events: list[Event]) -> None:
        for event in events:
            if event["event"] == "started":
                self.close()
                self._writer = self._make(str(self._where), purge_step=event["step"] + 1 if event["step"] else None)
            elif self._writer is not None:
                for name, value, step in points(event):
                    self._writer.add_scalar(name, value, step, walltime=event["time"])
                if event["event"] == "sample":
                    self._writer.add_text(f"reply {event['probe']}", event["reply"], event["step"], walltime=event["time"])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """A run of MLflow: settings as parameters, metrics by step, what it was made from as tags, the adapter as its artifact."""

    name = "MLflow"

    def __init__(self, folder: Path, record: dict[str, Any], uri: str) -> None:
        for variable, value in (
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("DO_NOT_TRACK", "true"),
            ("MLFLOW_ALLOW_FILE_STORE", "true"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "15"),
        ):
            os.environ.setdefault(variable, value)
        try:
            from mlflow.entities import Metric, Param, RunTag
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise CannotTrack(
                f"Tracking needs the package mlflow ({error}).",
                'Install it with: pip install "playground[track]" - or train without tracking.',
            ) from None
        self._metric, self._folder, self._outcome = Metric, folder, ""
        try:
            self._client = MlflowClient(
                uri if ":" in uri[2:] or uri == "databricks" else Path(uri).expanduser().absolute().as_uri()
            )
            known = _read(folder / "tracking.json")
            self._written: dict[str, int] = {}
            if known.get("uri") == uri:
                self._run = str(known["run"])
                self._client.update_run(self._run, status="RUNNING")
                for name in self._client.get_run(self._run).data.metrics:
                    history = self._client.get_metric_history(self._run, name)
                    self._written[name] = max((each.step for each in history), default=-1)
                return
            self._run = self._client.create_run(self._experiment(), run_name=record.get("title") or folder.name).info.run_id
            (folder / "tracking.json").write_text(json.dumps({"uri": uri, "run": self._run}), encoding="utf-8")
            model, data = record.get("model", {}), record.get("data", {})
            tags = {
                "model": model.get("base", ""),
                "data": data.get("name", ""),
                "data_sha256": data.get("sha256", ""),
                "run": record.get("id", folder.name),
                "program": record.get("program", ""),
            }
            self._client.log_batch(
                self._run,
                params=[
                    Param(name, str(",".join(value) if isinstance(value, list) else value))
                    for name, value in record["settings"].items()
                    if name not in ("tracking", "tensorboard")
                ],
                tags=[RunTag(name, str(value)) for name, value in tags.items() if value],
            )
        except Exception as error:
            raise CannotTrack(
                f"MLflow cannot write to {_shown(uri)} ({_first_line(error)}).", "Correct --tracking, or train without it."
            ) from None

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else self._client.create_experiment(name))

    def take(self, events: list[Event]) -> None:
        made = [
            self._metric(name, value, int(event["time"] * 1000), step)
            for event in events
            for name, value, step in points(event)
            if step > self._written.get(name, -1)  # steps that were computed again after a kill are there already
        ]
        for start in range(0, len(made), AT_ONCE):
            self._client.log_batch(self._run, metrics=made[start : start + AT_ONCE])
        for event in events:
            if event["event"] in ("finished", "stopped", "ended", "failed"):
                self._outcome = event["event"]
                self._client.set_tag(self._run, "outcome", self._outcome)

    def close(self) -> None:
        kept = self._outcome in ("finished", "stopped")
        if kept and (self._folder / "adapter").is_dir():
            self._client.log_artifacts(self._run, str(self._folder / "adapter"), "adapter")
        status = "FINISHED" if kept else "FAILED" if self._outcome in ("failed", "") else "KILLED"
        self._client.set_terminated(self._run, status)


class Tracker:
    """Takes a run's events without delay, and writes them in a thread of its own."""

    def __init__(self, places: list[Place]) -> None:
        self._places, self._events = places, queue.SimpleQueue[Event | None]()
        self._sentences: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="tracking", daemon=True)
        self._thread.start()

    def hear(self, event: Event) -> None:
        self._events.put(event)

    def said(self) -> list[str]:
        """Sentences about what has failed since this was asked last."""
        found = []
        while not self._sentences.empty():
            found.append(self._sentences.get())
        return found

    def close(self) -> list[str]:
        """Waits for what is still to be written, with patience that ends; what has failed."""
        self._events.put(None)
        self._thread.join(LAST_S)
        late = ["Tracking was given up: its place did not answer in time."] if self._thread.is_alive() else []
        return self.said() + late

    def _write(self) -> None:
        going = True
        while going:
            events = [self._events.get()]
            while not self._events.empty():
                events.append(self._events.get())
            going = None not in events
            for place in tuple(self._places):
                try:
                    place.take([event for event in events if event is not None])
                    if not going:
                        place.close()
                except Exception as error:  # whatever a library, a disk or a server comes up with
                    self._places.remove(place)
                    self._sentences.put(f"{place.name} was given up: {_first_line(error)}. The training goes on.")


def tracker(folder: Path, record: dict[str, Any]) -> Tracker | None:
    """What the settings of a run wish for, or None. CannotTrack where that cannot be."""
    settings = record["settings"]
    places: list[Place] = []
    if settings.get("tensorboard"):
        places.append(TensorBoard(folder))
    if settings.get("tracking"):
        places.append(MLflow(folder, record, settings["tracking"]))
    return Tracker(places) if places else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__


def _shown(uri: str) -> str:
    """A place without the password in it."""
    scheme, found, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else uri
