"""The session's datasets: files looked at and corrected, shown as tokens, imported, listed, made of logged chats.

Every method returns at once; a worker reads the files. Knows no widget. What is imported lies in the data folder and stays there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.errors import DataError, NotFoundError
from playground.models import beside
from playground.paths import Home, existing
from playground.protocol import DataImported, DataLooked, DataPreviewed, ImportData, LookAtData, PreviewData, ReadRow, RowRead
from playground.session.ledger import Ledger
from playground.session.logged_rows import LogFilter, logged_rows
from playground.session.shelf_lane import Lane
from playground.session.training_jobs import DataRef
from playground.session.workshop_steps import REQUEST, Step, Stop, run_step
from playground.training import datasets
from playground.training.datasets import Dataset
from playground.training.problems import Problem
from playground.training.scan import Guess

MODULE = "playground.workers.dataset"
Tell = Callable[[str], None]
"""hears how far a job is, in words"""


@dataclass(frozen=True)
class Look:
    """What a file holds. Hand it on (`preview`, `import_`) to keep its corrections. Problems are the first of them, `counts` is of all."""

    guess: Guess
    read: int
    kept: int
    mixed: int
    characters: int
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]
    rows: tuple[dict[str, Any], ...]
    """the first that are kept, as `training.rows.to_json` writes them"""
    lengths: tuple[int, ...]
    """how many rows have less than 2**n characters and not less than half of that, by n"""
    summary: tuple[str, ...]
    """a sentence for each kind of problem"""
    fixes: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "guess": self.guess.to_dict() | {"title": self.guess.title},
            "read": self.read,
            "kept": self.kept,
            "mixed": self.mixed,
            "characters": self.characters,
            "counts": dict(self.counts),
            "problems": [each.to_dict() for each in self.problems],
            "lengths": list(self.lengths),
            "summary": list(self.summary),
            "rows": list(self.rows),
        }


class Datasets:
    """See the module's docstring. `folder_of` gives a model folder by a model's name, or says why it cannot be trained."""

    def __init__(self, home: Home, ledger: Ledger, folder_of: Callable[[str], Path]) -> None:
        self._home, self._ledger, self._folder_of = home, ledger, folder_of
        self._lane, self._quick = Lane("datasets"), Lane("datasets-look")
        self._stop = Stop()
        self._looking = Stop()
        self._known: dict[tuple[str, int, int], Dataset] = {}
        """files that were imported in passing, as they were then"""
        self._passing = home.cache / "datasets"
        beside.sweep(self._passing)

    # -- intents

    def look(
        self,
        path: str | Path,
        guess: Guess | None = None,
        fixes: Mapping[str, str] | None = None,
        edits: Mapping[int, Mapping[str, Any]] | None = None,
        tell: Tell | None = None,
    ) -> Future[Look]:
        """Goes through a file or folder: what it is, how many rows, what is wrong. A newer look ends one that is still going on.

        `guess`: as corrected; `fixes`: by kind of problem (`training.problems.KINDS`); `edits`: rows by the number of those they replace.
        """
        self._looking.now()
        stop = self._looking = Stop()
        command = LookAtData(REQUEST, *_data(path, guess, fixes, edits))
        return self._quick.submit(lambda: _look(self._ask(command, stop, DataLooked, tell), fixes, edits), "look")

    def preview(
        self,
        data: str | Look | Dataset,
        model: str,
        encode: Mapping[str, Any] | None = None,
        start: int = 0,
        count: int = 20,
        limit: int = 2000,
        share: float = 0.0,
        seed: int = 0,
    ) -> Future[DataPreviewed]:
        """Rows as the tokens that the model is trained on. `data`: a look, or a dataset or its name; `encode`: fields of `EncodeSettings`.

        With a `share` it is also told which of them a run of this `seed` holds out. A newer preview drops one that still waits.
        """
        stop = self._stop

        def work() -> DataPreviewed:
            model_folder = str(self._folder_of(model))
            if isinstance(data, Look):
                where = _data(data.guess.path, data.guess, data.fixes, data.edits)
            else:
                found = data if isinstance(data, Dataset) else datasets.find(self._home.datasets, data)
                where = _data(found.file)
            command = PreviewData(REQUEST, model_folder, *where, dict(encode or {}), start, count, limit, share, seed)
            answer: DataPreviewed = self._ask(command, stop, DataPreviewed)
            return answer

        return self._quick.submit(work, "preview")

    def row(self, look: Look, number: int, file: str = "") -> Future[RowRead]:
        """A row of a look as its file has it, for somebody who wants to mend it."""
        stop = self._stop
        command = ReadRow(REQUEST, look.guess.path, number, look.guess.to_dict(), file)
        return self._quick.submit(lambda: self._ask(command, stop, RowRead))

    def import_(
        self,
        path: str | Path,
        name: str = "",
        guess: Guess | None = None,
        fixes: Mapping[str, str] | None = None,
        edits: Mapping[int, Mapping[str, Any]] | None = None,
        tell: Tell | None = None,
    ) -> Future[Dataset]:
        """Imports a file or folder as a version of a dataset; the same rows give the same version. Cancel the future's job by `cancel`."""
        return self._lane.submit(lambda: self._import(path, name, guess, fixes, edits, tell))

    def import_look(self, look: Look, name: str = "", tell: Tell | None = None) -> Future[Dataset]:
        """Imports what was looked at, with all corrections."""
        return self.import_(look.guess.path, name, look.guess, look.fixes, look.edits, tell)

    def from_log(self, wanted: LogFilter, name: str = "chats") -> Future[Dataset]:
        """A dataset of the user's own chats and votes. DataError if none is left by the filter."""

        def work() -> Dataset:
            rows = self._ledger.read(lambda store: logged_rows(store, wanted)).result()
            if not rows:
                raise DataError("No logged chat fits.", "Choose other chats, or a longer time.")
            place = beside.passing(self._passing, ".jsonl")
            try:
                place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
                return self._import(place, name, None, None, None, None, source="the log")
            finally:
                beside.remove(place)

        return self._lane.submit(work)

    def list(self) -> Future[Sequence[Dataset]]:
        """Every version of every dataset, the newest first."""
        return self._quick.submit(lambda: datasets.kept(self._home.datasets))

    def delete(self, name: str) -> Future[Dataset]:
        """Deletes one version (`name`, `name@hash`); runs keep what they were trained on."""
        return self._lane.submit(lambda: datasets.delete(self._home.datasets, name))

    def cancel(self) -> None:
        """Ends whatever is being read."""
        stop, self._stop = self._stop, Stop()
        stop.now()
        self._looking.now()

    def close(self) -> None:
        self._lane.close()
        self._quick.close()
        self.cancel()

    # -- for training

    def resolve(self, data: str) -> DataRef:
        """What training is given: a dataset by name, or a file or folder, which is imported first. Blocks. DataError, NotFoundError."""
        try:
            found = datasets.find(self._home.datasets, data)
        except NotFoundError:
            path = existing(data)
            if path is None:
                raise NotFoundError(
                    f"There is no dataset and no file '{data}'.",
                    "Name a file or folder of examples, or a dataset that was imported.",
                ) from None
            found = self._imported(path)
        return DataRef(str(found.file), found.name, found.sha256, found.source)

    # -- inside

    def _imported(self, path: Path) -> Dataset:
        """A file as a dataset; one that has not changed since is not read again for every plan."""
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        known = self._known.get(key)
        if known is None or not known.file.exists():
            known = self._import(path, "", None, None, None, None)
            if path.is_file():
                self._known[key] = known
        return known

    def _import(
        self,
        path: str | Path,
        name: str,
        guess: Guess | None,
        fixes: Mapping[str, str] | None,
        edits: Mapping[int, Mapping[str, Any]] | None,
        tell: Tell | None,
        source: str = "",
    ) -> Dataset:
        where, known, mended, edited = _data(path, guess, fixes, edits)
        root, title = str(self._home.datasets), name or Path(where).stem
        command = ImportData(REQUEST, where, root, title, known, mended, edited, source)
        found = self._ask(command, self._stop, DataImported, tell)
        return datasets.opened(Path(found.folder))

    def _ask(self, command: Any, stop: Stop, answer: type, tell: Tell | None = None) -> Any:
        step = Step("Reading the data", MODULE, command, word="data reader")
        outcome = run_step(step, stop, lambda fraction, what: tell(what) if tell is not None else None)
        return next(each for each in outcome.other if isinstance(each, answer))


def _data(
    path: str | Path,
    guess: Guess | None = None,
    fixes: Mapping[str, str] | None = None,
    edits: Mapping[int, Mapping[str, Any]] | None = None,
) -> tuple[str, dict[str, Any], dict[str, str], dict[str, Any]]:
    found = existing(path)
    if found is None:
        raise NotFoundError(f"There is no file or folder {path}.", "Check its name.")
    numbered = {str(number): dict(row) for number, row in (edits or {}).items()}
    return str(found), guess.to_dict() if guess is not None else {}, dict(fixes or {}), numbered


def _look(found: DataLooked, fixes: Mapping[str, str] | None, edits: Mapping[int, Mapping[str, Any]] | None) -> Look:
    problems = tuple(Problem(**{key: each[key] for key in ("kind", "row", "field", "what", "file")}) for each in found.problems)
    guess = Guess.from_dict(found.guess)
    more = (
        found.read,
        found.kept,
        found.mixed,
        found.characters,
        found.counts,
        problems,
        found.rows,
        found.lengths,
        found.summary,
    )
    return Look(guess, *more, dict(fixes or {}), dict(edits or {}))


__all__ = ["DataPreviewed", "Dataset", "Datasets", "Guess", "LogFilter", "Look"]
