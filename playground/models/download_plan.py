"""What a download consists of, and the note of it on disk: a program that starts again finds its unfinished downloads here.

One JSON file a job in `<home>/cache/downloads/`. A finished job's note stays: it says which files in the Hugging Face cache are ours to
remove. Moves no bytes (`fetch` does) and asks nothing but the model's page.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from playground.errors import ModelFileError, NotFoundError
from playground.models import places
from playground.models.files import Choice, RepoFile, choices, is_pickle, recommend
from playground.models.hub import ModelPage
from playground.paths import Home

State = Literal["running", "paused", "failed", "cancelled", "done"]


@dataclass(frozen=True)
class Job:
    """One download: the files of one choice of one repository."""

    id: str
    repo: str
    revision: str
    files: tuple[RepoFile, ...]
    cache: str
    """the Hugging Face cache that it goes to"""
    commit: str = ""
    label: str = ""
    state: State = "running"
    done: int = 0
    """bytes that have arrived"""
    message: str = ""
    hint: str = ""
    path: str = ""
    """where the model is, once it is done"""
    arrived: tuple[str, ...] = ()
    """paths in the cache of the files that are whole"""
    created: float = 0.0
    pid: int = 0
    """the worker that is at it"""

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def alive(self) -> bool:
        """Whether a worker is at it right now."""
        if self.state not in ("running", "paused") or not self.pid:
            return False
        import psutil

        return bool(psutil.pid_exists(self.pid))


def plan(page: ModelPage, wanted: Sequence[str] = (), cache: str = "", fit: Callable[[Choice], str] | None = None) -> Job:
    """The job for files of a model (paths, or names of a quantization; none for the recommended choice). Refuses pickled weights."""
    files, label = select(page.files, page.repo, wanted, fit)
    cache = cache or str(places.hugging_face_cache())
    number = job_id(page.repo, page.revision, files, cache)
    return Job(number, page.repo, page.revision, files, cache, page.commit, label, created=time.time())


def job_id(repo: str, revision: str, files: Iterable[RepoFile], cache: str) -> str:
    """The same for the same files of the same repository: asking again goes on with what is there."""
    words = "\n".join([repo, revision, cache, *sorted(file.path for file in files)])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def select(
    files: Sequence[RepoFile], repo: str, wanted: Sequence[str] = (), fit: Callable[[Choice], str] | None = None
) -> tuple[tuple[RepoFile, ...], str]:
    """The files meant, splits and shards completed, and a name for them. NotFoundError, ModelFileError."""
    every = choices(files)
    if not wanted:
        best = recommend(every, fit)
        if best.choice is None:
            raise (ModelFileError if any(each.kind == "pickle" for each in every) else NotFoundError)(
                f"Nothing of {repo} can be downloaded as a model. {best.why}", "Choose another model, or name a file."
            )
        return _whole(best.choice, repo), best.choice.label
    found: dict[str, RepoFile] = {}
    labels = []
    for name in wanted:
        part, label = _named(files, every, repo, name)
        labels.append(label)
        found |= {file.path: file for file in part}
    return tuple(found.values()), ", ".join(dict.fromkeys(labels))


def save(home: Home, job: Job) -> None:
    """Notes a job down; the note is whole at any time."""
    folder = home.cache / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{job.id}.{os.getpid()}.tmp"
    beside.write_text(json.dumps(dataclasses.asdict(job)), encoding="utf-8")
    os.replace(beside, folder / f"{job.id}.json")


def load(home: Home, number: str) -> Job:
    """The job of this number. NotFoundError."""
    job = _read(home.cache / "downloads" / f"{PurePosixPath(number).name}.json")
    if job is None:
        raise NotFoundError(f"There is no download {number}.", "See what is unfinished with: playground models list")
    return job


def forget(home: Home, number: str) -> None:
    """Removes the note of a job; the files stay."""
    (home.cache / "downloads" / f"{PurePosixPath(number).name}.json").unlink(missing_ok=True)


def jobs(home: Home) -> list[Job]:
    """All jobs noted down, the newest first. Damaged notes are passed over."""
    found = [job for path in (home.cache / "downloads").glob("*.json") if (job := _read(path)) is not None]
    return sorted(found, key=lambda job: -job.created)


def unfinished(home: Home) -> list[Job]:
    """Jobs that can be gone on with: of those, the ones that are `alive` have a worker already."""
    return [job for job in jobs(home) if job.state in ("running", "paused", "failed")]


def ours(home: Home) -> set[str]:
    """Paths in the Hugging Face cache that were downloaded by us."""
    return {path for job in jobs(home) for path in job.arrived}


def _whole(choice: Choice, repo: str) -> tuple[RepoFile, ...]:
    if not choice.complete:
        raise ModelFileError(f"{choice.label} of {repo} lacks some of its parts on the hub.", "Choose another file.")
    return choice.files


def _named(files: Sequence[RepoFile], every: Sequence[Choice], repo: str, name: str) -> tuple[tuple[RepoFile, ...], str]:
    _refuse_pickle(name, repo)
    for choice in every:
        if any(name == file.path and file.path.lower().endswith((".gguf", ".safetensors")) for file in choice.files):
            return _whole(choice, repo), choice.label
    for file in files:
        if file.path == name:
            return (file,), PurePosixPath(name).name
    matching = [
        choice
        for choice in every
        if name.lower() in (choice.label.lower(), choice.quantization.lower(), PurePosixPath(choice.path).name.lower())
    ]
    if len(matching) == 1:
        _refuse_pickle(matching[0].path, repo)
        return _whole(matching[0], repo), matching[0].label
    names = ", ".join(each.path for each in (matching or every)[:12]) or "none"
    if matching:
        raise NotFoundError(f"'{name}' names {len(matching)} files of {repo}.", f"Name one: {names}.")
    raise NotFoundError(f"{repo} has no file called {name}.", f"It has: {names}.")


def _refuse_pickle(name: str, repo: str) -> None:
    if is_pickle(name):
        raise ModelFileError(
            f"{name} of {repo} is not downloaded: files of this kind can run code when they are opened.",
            "Choose a GGUF or safetensors file.",
        )


def _read(path: Path) -> Job | None:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(Job)}
        values = {name: value for name, value in data.items() if name in known}
        values["files"] = tuple(RepoFile(**file) for file in values["files"])
        values["arrived"] = tuple(values.get("arrived", ()))
        return Job(**values)
    except (OSError, ValueError, TypeError, KeyError):
        return None
