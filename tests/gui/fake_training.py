"""Training and datasets without workers: the same surfaces as `playground.session.training.Training` and `...datasets.Datasets`.

    run = training.start(model, data, {}); training.step(run, 1, loss=2.0); training.finish(run, "/adapters/x")

Plans come at once, unless `hold_plans`; what happens is told through `tell`, as the real ones do it. `asked` keeps what was asked for.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from playground.errors import DataError, PlaygroundError, SettingError
from playground.history.runs import RunRow, SampleRow
from playground.memory.devices import Device
from playground.memory.training_fit import TrainingFit, TrainingPlan, TrainingTerms
from playground.params import from_pairs, to_dict
from playground.protocol import DataPreviewed, RowRead, RowTokens
from playground.session.datasets import Look
from playground.session.publishing import Published, PublishPlan
from playground.session.training_jobs import DataRef, RunChanged, RunNoted, TrainPlan
from playground.training import datasets
from playground.training.datasets import Dataset
from playground.training.encode import EncodeSettings
from playground.training.layout import Marks
from playground.training.preview import previewed
from playground.training.publishing import Parcel
from playground.training.rows import to_json
from playground.training.runs import Progress, after, points
from playground.training.scan import Guess, Scan, recognised
from playground.training.settings import TrainSettings

GIB = 1 << 30


def done(value: Any) -> Future[Any]:
    """A future with this in it: a value, or what it fails with."""
    made: Future[Any] = Future()
    if isinstance(value, BaseException):
        made.set_exception(value)
    else:
        made.set_result(value)
    return made


class FakeTraining:
    """See the module's docstring."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self._tell = tell
        self._runs: dict[str, tuple[RunRow, Progress]] = {}
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._samples: dict[str, list[SampleRow]] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.hold_plans = False
        self.plans: list[Future[TrainPlan]] = []
        self.refuse: DataError | None = None
        """what the next plans end with"""

    # -- as the real one

    def plan(
        self, model: str, data: str, wishes: Mapping[str, Any] | None = None, encode: Mapping[str, Any] | None = None
    ) -> Future[TrainPlan]:
        self.asked.append(("plan", model, data, dict(wishes or {}), dict(encode or {})))
        answer: Future[TrainPlan] = Future()
        self.plans.append(answer)
        if self.refuse is not None:
            answer.set_exception(self.refuse)
        elif not self.hold_plans:
            answer.set_result(plan_of(model, data, wishes or {}, encode or {}))
        return answer

    def start(
        self,
        model: str,
        data: str,
        wishes: Mapping[str, Any] | None = None,
        *,
        encode: Mapping[str, Any] | None = None,
        probes: Sequence[str] = (),
        out: str = "",
        title: str = "",
        anyway: bool = False,
    ) -> str:
        self.asked.append(("start", model, data, dict(wishes or {}), dict(encode or {}), tuple(probes), title, anyway))
        number = f"run{len(self._runs)}"
        plan = plan_of(model, data, wishes or {}, encode or {})
        self._runs[number] = (
            RunRow(
                number, title=title or number, folder=f"/runs/{number}", model_path=model, model_name=Path(model).name, data_path=data,
                data_name=plan.data.name, started=time.time(), settings=to_dict(plan.settings), steps=plan.steps,
            ),
            Progress(),
        )  # fmt: skip
        self._show(number)
        return number

    def continue_(self, run_id: str, wishes: Mapping[str, Any] | None = None) -> str:
        self.asked.append(("continue", run_id, dict(wishes or {})))
        self._show(run_id, state="queued", error="", hint="")
        return run_id

    def pause(self, run_id: str) -> None:
        self.asked.append(("pause", run_id))
        self._show(run_id, state="pausing")

    def resume(self, run_id: str) -> None:
        self.asked.append(("resume", run_id))
        self._show(run_id, state="running")

    def stop(self, run_id: str, keep: bool = True) -> None:
        self.asked.append(("stop", run_id, keep))
        self._show(run_id, state="stopping")

    def delete(self, run_id: str) -> None:
        self.asked.append(("delete", run_id))
        row, _ = self._runs.pop(run_id)
        self._tell(RunChanged(row, removed=True))

    def export(self, run_id: str, to: str = "Q4_K_M") -> str:
        self.asked.append(("export", run_id, to))
        return "job"

    def runs(self) -> Future[list[RunRow]]:
        return done([row for row, _ in reversed(self._runs.values())])

    def run(self, run_id: str) -> tuple[RunRow, Progress] | None:
        return self._runs.get(run_id)

    def metrics(self, run_id: str) -> Future[dict[str, list[tuple[int, float | None]]]]:
        found: dict[str, list[tuple[int, float | None]]] = {}
        for event in self._events.get(run_id, ()):
            for name, step, value, _ in points(event):
                found.setdefault(name, []).append((step, value))
        return done(found)

    def samples(self, run_id: str) -> Future[list[SampleRow]]:
        return done(list(self._samples.get(run_id, ())))

    def record(self, run_id: str) -> dict[str, Any]:
        return {}

    def probes(self, run_id: str) -> tuple[str, ...]:
        return next((each[5] for each in self.asked if each[0] == "start"), ())

    def can_continue(self, run_id: str) -> bool:
        return True

    # -- for tests

    def step(self, run_id: str, number: int, **values: float) -> None:
        """A step is taken."""
        row, _ = self._runs[run_id]
        numbers = {"loss": 2.0, "learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_s": 500.0, "memory": 1 << 29} | values
        self.note(run_id, {"event": "step", "step": number, "steps": row.steps, "time": time.time(), **numbers})

    def note(self, run_id: str, event: dict[str, Any]) -> None:
        """Anything that a run tells."""
        self._events.setdefault(run_id, []).append(event)
        row, far = self._runs[run_id]
        far = after(far, event)
        self._runs[run_id] = (row, far)
        self._tell(RunNoted(run_id, (event,)))
        self._show(run_id, state="running", step=far.step)

    def sample(self, run_id: str, sample: SampleRow) -> None:
        """A probe was answered: as the real one, noted first and told then."""
        self._samples.setdefault(run_id, []).append(sample)
        event = {"event": "sample", "step": sample.step, "probe": sample.probe, "reply": sample.reply, "base": sample.base}
        self.note(run_id, event)

    def finish(self, run_id: str, adapter: str = "/adapters/made", **changes: Any) -> None:
        self._show(run_id, state="finished", adapter=adapter, finished=time.time(), **changes)

    def fail(self, run_id: str, message: str, hint: str = "", **summary: Any) -> None:
        self._show(run_id, state="failed", error=message, hint=hint, finished=time.time(), summary=summary)

    def _show(self, run_id: str, **changes: Any) -> None:
        row, far = self._runs[run_id]
        row = dataclasses.replace(row, **changes)
        self._runs[run_id] = (row, far)
        self._tell(RunChanged(row, far))


class FakePublishing:
    """Sends nothing: what is asked for is kept, and `sending` answers as a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.sending: Future[Published] = Future()

    def plan(
        self, what: str, repo: str, *, private: bool = False, base: str = "", card: str | None = None
    ) -> Future[PublishPlan]:
        self.asked.append(("plan", what, repo, private, base, card))
        if repo.count("/") != 1:
            return done(SettingError(f"'{repo}' cannot be the name of a model on the hub.", "Write it as OWNER/NAME."))
        files = (("README.md", 120), ("adapter_config.json", 500), ("adapter_model.safetensors", 4 << 20))
        held = (("data.jsonl", "data"),)
        parcel = Parcel(what, "adapter", files, held, "# A card" if card is None else card, base or "starter", ("A note.",))
        return done(PublishPlan(parcel, repo, private, f"https://hub.example/{repo}"))

    def publish(self, plan: PublishPlan, tell: Callable[[float, str], None] | None = None) -> Future[Published]:
        self.asked.append(("publish", plan))
        self.sending = Future()
        if tell is not None:
            tell(0.5, "sending")
        return self.sending

    def cancel(self) -> None:
        self.asked.append(("cancel",))

    def close(self) -> None:
        pass


def plan_of(model: str, data: str, wishes: Mapping[str, Any] = {}, encode: Mapping[str, Any] = {}) -> TrainPlan:
    """A plan for 40 rows of 30 tokens, a third of them learned."""
    settings = from_pairs(TrainSettings, dict(wishes), TrainSettings(sequence_length=64))
    terms = TrainingTerms(weights=2**28, adapter=2**20, gradients=2**20, optimizer=2**21, activations=2**26, runtime=2**27)
    device = Device("CPU", "a processor", 16 * GIB, 8 * GIB)
    why = f"It takes about {terms.total >> 20:,} MiB of the 8 GiB free on CPU."
    fit = TrainingFit(terms, device, "fits", why, 1 << 18, TrainingPlan(), {})
    reasons = {"rank": "As usual.", "batch": "Steps of 8 rows suit 36 rows."}
    found = DataRef(data, Path(data).stem, "5e" * 32, data)
    return TrainPlan(
        model,
        Path(model).name,
        found,
        settings,
        reasons,
        fit,
        40,
        (30,) * 40,
        (10,) * 40,
        (),
        15,
        0,
        dict(wishes),
        dict(encode),
    )


class Words:
    """A tokenizer whose tokens are words."""

    marks = Marks("", "</s>", frozenset({"</s>"}))
    eos_id, pad_id = 1, 0

    def encode(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        found = [each.span() for each in re.finditer(r"</s>|\s*[^\s<]+|\s+|<", text)]
        return [1 if text[begin:end] == "</s>" else 100 + begin for begin, end in found], found


class FakeDatasets:
    """Reads real files at once, in this thread; rows become tokens a word each. `hold` keeps answers back until `let_go`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.asked: list[tuple[Any, ...]] = []
        self.hold = False
        self._held: list[tuple[Future[Any], Any]] = []

    def let_go(self) -> None:
        self.hold, held, self._held = False, self._held, []
        for future, work in held:
            _settle(future, work)

    def look(self, path: Any, guess: Any = None, fixes: Any = None, edits: Any = None, tell: Any = None) -> Future[Look]:
        self.asked.append(("look", str(path), guess, dict(fixes or {}), dict(edits or {})))
        return self._answer(lambda: _look(Path(path), guess, fixes, edits))

    def preview(
        self, data: Any, model: str, encode: Any = None, start: int = 0, count: int = 20, limit: int = 2000, **more: Any
    ) -> Future[DataPreviewed]:
        self.asked.append(("preview", data, model, dict(encode or {}), start, count))

        def work() -> DataPreviewed:
            if isinstance(data, Look):
                rows: Any = Scan(data.guess, data.fixes, data.edits)  # type: ignore[arg-type]
            else:
                rows = datasets.rows_of((data if isinstance(data, Dataset) else datasets.find(self._root, data)).file)
            settings = EncodeSettings(**(encode or {}))
            found = previewed(rows, Words(), None, settings, start, count, limit)
            shown = [
                RowTokens(row.number, each.ids, each.labels, each.pieces, each.cut)
                for row, all_, _ in found.shown
                for each in all_
            ]
            told = tuple(each.to_dict() for each in found.problems)
            return DataPreviewed(
                1, tuple(shown), tuple(found.lengths), tuple(found.learned), found.cut, 3, told, "a plain form"
            )

        return self._answer(work)

    def row(self, look: Look, number: int, file: str = "") -> Future[RowRead]:
        def work() -> RowRead:
            record, row = Scan(look.guess).find(number, file)
            return RowRead(1, json.dumps(record.value) if record is not None else "", to_json(row) if row is not None else {})

        return self._answer(work)

    def import_(
        self, path: Any, name: str = "", guess: Any = None, fixes: Any = None, edits: Any = None, tell: Any = None
    ) -> Future[Dataset]:
        def work() -> Dataset:
            scan = Scan(guess or recognised(Path(path)), fixes, edits)
            return datasets.write(
                self._root,
                name or Path(path).stem,
                scan,
                lambda: {
                    "source": str(path),
                    "title": scan.guess.title,
                    "counts": dict(scan.counts),
                    "notes": [*scan.guess.notes, *scan.summary()],
                },
            )

        self.asked.append(("import", str(path)))
        return self._answer(work)

    def import_look(self, look: Look, name: str = "", tell: Any = None) -> Future[Dataset]:
        return self.import_(look.guess.path, name, look.guess, look.fixes, look.edits, tell)

    def from_log(self, wanted: Any, name: str = "chats") -> Future[Dataset]:
        self.asked.append(("log", wanted))
        return self._answer(lambda: DataError("No logged chat fits.", "Choose other chats, or a longer time."))

    def list(self) -> Future[Sequence[Dataset]]:
        return self._answer(lambda: datasets.kept(self._root))

    def delete(self, name: str) -> Future[Dataset]:
        return self._answer(lambda: datasets.delete(self._root, name))

    def cancel(self) -> None:
        self.asked.append(("cancel",))

    def close(self) -> None:
        pass

    def _answer(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        if self.hold:
            self._held.append((future, work))
        else:
            _settle(future, work)
        return future


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        found = work()
    except PlaygroundError as error:
        found = error
    future.set_exception(found) if isinstance(found, BaseException) else future.set_result(found)


def _look(path: Path, guess: Guess | None, fixes: Any, edits: Any) -> Look:
    if guess is not None and not guess.schema and not guess.columns:
        reading = guess.reading
        guess = recognised(path, reading.form, reading.encoding, reading.delimiter, reading.header)
    scan = Scan(guess or recognised(path), fixes, edits)
    rows = [to_json(each) for each in scan]
    sizes = [len(str(row)) for row in rows]
    lengths = tuple(sum(1 for size in sizes if size.bit_length() == place) for place in range(12))
    more = (
        scan.read,
        scan.kept,
        scan.mixed,
        scan.characters,
        dict(scan.counts),
        tuple(scan.problems),
        tuple(rows[:50]),
        lengths,
    )
    return Look(scan.guess, *more, tuple(scan.summary()), dict(fixes or {}), dict(edits or {}))
