"""The models on this machine: one row each, listed while they are found, remembered between runs.

A row comes from headers only and is kept by (path, size, time of change) in `<home>/cache/library.json`, so that a second listing reads no
model file. A damaged model keeps its row, with a sentence. Finding files is `walk`, reading headers `details`; widgets are not known.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground import paths
from playground.errors import ModelFileError, NotFoundError, StorageError
from playground.models import download_plan, places, walk
from playground.models.describing import Known, look_at, look_at_all
from playground.models.details import Details, Kind, describe
from playground.models.files import quantization_of
from playground.models.places import Place
from playground.paths import Home

_VERSION = 1
_DETAILS = [each.name for each in dataclasses.fields(Details)]


@dataclass(frozen=True)
class Row:
    """One model on disk. `context` in tokens, `size` in bytes; 0 or empty where the headers do not say."""

    name: str
    path: str
    """what to load: a GGUF file (the first of a split), or a folder"""
    kind: Kind
    place: places.Kind
    size: int
    files: tuple[str, ...]
    changed: float
    """seconds since 1970"""
    repo: str = ""
    """the repository, in the Hugging Face cache"""
    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    context: int = 0
    layers: int = 0
    embedding: int = 0
    heads: int = 0
    vocabulary: int = 0
    has_template: bool = False
    tokenizer: str = ""
    title: str = ""
    removable: bool = False
    """ours: it may be moved to the trash from here"""
    problem: str = ""
    """a sentence, if the model is damaged"""
    hint: str = ""


@dataclass(frozen=True)
class Snapshot:
    """What a scan looked at: enough to find out cheaply whether anything has changed."""

    folders: dict[str, int] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scan:
    """The outcome of a listing. `complete` is False for a cancelled one."""

    rows: tuple[Row, ...]
    notices: tuple[str, ...]
    snapshot: Snapshot
    complete: bool = True


def scan(
    home: Home,
    where: Sequence[Place] | None = None,
    on_row: Callable[[Row], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    helped: bool = False,
) -> Scan:
    """Lists every model in these places (by default all known ones), calling `on_row` for each as it is found. Never raises for a model.

    `helped`: where there are many to read, a second process reads some of them.
    """
    where = places.known(home) if where is None else where
    cache = _Cache(home)
    ours = {os.path.realpath(path) for path in download_plan.ours(home)}
    seen = walk.Seen()
    rows: list[Row] = []
    notices: list[str] = []
    files: dict[str, tuple[int, int]] = {}

    def candidates() -> Iterator[walk.Candidate]:
        for place in where:
            try:
                is_there = place.path.exists()
            except OSError as error:  # its folder may not be entered any more
                notices.append(f"{place.path} cannot be looked at: {error.strerror or error}.")
                continue
            if is_there:
                yield from walk.find(place, seen, notices.append, cancelled)
            else:
                notices.append(f"{place.path} is not there any more.")

    for found, known in (_all_known if helped else _known_in_turn)(candidates(), cache, cancelled):
        if cancelled():
            break
        row = _row(found, known, ours, notices.append)
        if row is None:
            continue
        files.update((str(file), stamp) for file, stamp in zip(found.files, found.stamp, strict=True))
        rows.append(row)
        if on_row:
            on_row(row)
    complete = not cancelled()
    if complete:
        cache.save()
    snapshot = Snapshot(seen.folders, files, tuple(str(place.path) for place in where))
    return Scan(tuple(rows), tuple(dict.fromkeys(notices)), snapshot, complete)


def changed_since(snapshot: Snapshot) -> bool:
    """Whether a folder or model file is another than at that scan. Cheap: one `stat` each, nothing is read."""
    for folder, time in snapshot.folders.items():
        try:
            if os.stat(folder).st_mtime_ns != time:
                return True
        except OSError:
            return True
    for file, stamp in snapshot.files.items():
        try:
            about = os.stat(file)
        except OSError:
            return True
        if (about.st_size, about.st_mtime_ns) != stamp:
            return True
    return False


def watched(snapshot: Snapshot) -> list[str]:
    """The folders to hand to a file system watcher."""
    return list(snapshot.folders)


def inspect(path: Path) -> Row:
    """One dropped or named file or folder as a row. ModelFileError with a sentence if it is no model."""
    path = paths.expanded(path).absolute()
    places.check_reachable(path)
    if not path.exists():
        raise NotFoundError(f"{path} is not there.", "Check the path.")
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise ModelFileError(f"{path.name} is not a model.", "Choose a .gguf file, or a folder with safetensors files.")
    place = Place("added", path)
    found: list[walk.Candidate] = list(walk.find(place, walk.Seen(), lambda sentence: None, lambda: False))
    if not found:
        raise ModelFileError(f"There is no model in {path}.", "Choose a .gguf file, or a folder with safetensors files.")
    details = describe(found[0].path)
    return _with(found[0], details, set())


def resolve(home: Home, name: str, rows: Iterable[Row] | None = None) -> Path:
    """The path that a model's name stands for: `starter`, a path, a name from the library (or the beginning of just one), or
    `REPO[:FILE]` in the Hugging Face cache. NotFoundError says what there is instead.
    """
    if name == "starter":
        return paths.starter()
    if (path := paths.existing(name)) is not None:
        places.check_reachable(path)
        return path
    every = [row for row in (scan(home).rows if rows is None else rows) if row.kind in ("gguf", "safetensors")]
    wanted = name.lower()
    for matches in (
        lambda row: wanted in (row.name.lower(), Path(row.path).name.lower(), row.path.lower()),
        lambda row: bool(row.repo) and wanted in _repo_names(row),
        lambda row: row.name.lower().startswith(wanted) or row.repo.lower().startswith(wanted),
    ):
        found = [row for row in every if wanted and matches(row)]
        if len({row.path for row in found}) == 1:
            return Path(found[0].path)
        if found:
            names = ", ".join(sorted({_spoken(row) for row in found})[:8])
            raise NotFoundError(f"'{name}' could be {len(found)} models.", f"Name one: {names}.")
    if name.startswith(("/", "./", "../", "~")) or (
        name.lower().endswith(".gguf") and name.count("/") != 2 and ":" not in name
    ):
        raise NotFoundError(f"There is no file {paths.expanded(name)}.", "Check the path, or see: playground models list")
    hint = (
        f"Get it with: playground models get {name.replace(':', ' --file ', 1)}"
        if "/" in name
        else "See: playground models list"
    )
    raise NotFoundError(f"There is no model called '{name}' here.", hint)


def remove(home: Home, row: Row, trash: Callable[[Path], None]) -> None:
    """Moves a model of ours to the trash by `trash(path)`. StorageError for what belongs to another program, or cannot be moved."""
    if not row.removable:
        raise StorageError(
            f"{row.name} belongs to {places.NAMES[row.place]} and is not ours to remove.", f"It lies at {row.path}."
        )
    files = [Path(file) for file in row.files]
    jobs = [job for job in download_plan.jobs(home) if set(row.files) & set(job.arrived)]
    try:
        if row.place == "huggingface":
            files = [Path(file) for file in dict.fromkeys([*row.files, *(file for job in jobs for file in job.arrived)])]
            _remove_from_cache(files, trash)
        elif row.kind == "gguf":
            for file in files:
                trash(file)
        else:
            trash(Path(row.path))
    except OSError as error:
        raise StorageError(
            f"{row.name} cannot be moved to the trash: {error.strerror or error}.", f"It lies at {row.path}."
        ) from None
    for job in jobs:
        download_plan.forget(home, job.id)


def _remove_from_cache(files: list[Path], trash: Callable[[Path], None]) -> None:
    """The blobs go to the trash, the links to them away; other snapshots that still show a blob keep it."""
    for file in files:
        if not os.path.lexists(file):
            continue
        blob = file.resolve()
        file.unlink()
        snapshots = next((parent for parent in file.parents if parent.name == "snapshots"), file.parent)
        linked = any(other.is_symlink() and other.resolve() == blob for other in snapshots.rglob("*"))
        if blob != file and not linked and blob.exists():
            trash(blob)
    for folder in sorted({parent for file in files for parent in file.parents}, key=lambda each: -len(each.parts)):
        if "snapshots" in folder.parts[:-1]:
            with suppress(OSError):
                folder.rmdir()  # only where it is empty now
    for repo in {parent.parent for file in files for parent in file.parents if parent.name == "snapshots"}:
        for ref in [each for each in (repo / "refs").rglob("*") if each.is_file()]:
            if not (repo / "snapshots" / ref.read_text(encoding="utf-8", errors="replace").strip()).is_dir():
                ref.unlink()  # it stands for nothing any more, which other programs would complain about


def _spoken(row: Row) -> str:
    return f"{row.repo}:{Path(row.path).name}" if row.repo and row.kind == "gguf" else row.repo or row.name


def _repo_names(row: Row) -> tuple[str, ...]:
    """The ways to write a model of the Hugging Face cache."""
    repo, path = row.repo.lower(), Path(row.path).as_posix().lower()
    inside = path.rpartition("/snapshots/")[2].partition("/")[2]
    named = quantization_of(path).lower()
    return (
        repo,
        *(f"{repo}:{each}" for each in (inside, Path(path).name, row.quantization.lower(), named, row.name.lower()) if each),
    )


def _known_in_turn(
    found: Iterable[walk.Candidate], cache: _Cache, cancelled: Callable[[], bool]
) -> Iterator[tuple[walk.Candidate, Known]]:
    for each in found:
        if cancelled():
            return
        if (known := cache.get(each)) is None:
            known = _lacking(each) or look_at(each.path, _DETAILS)
            cache.put(each, known)
        yield each, known


def _all_known(
    found: Iterable[walk.Candidate], cache: _Cache, cancelled: Callable[[], bool]
) -> Iterator[tuple[walk.Candidate, Known]]:
    """First what needs no reading, then the others, with help."""
    unread: dict[Path, walk.Candidate] = {}
    for each in found:
        if (known := cache.get(each)) is not None:
            yield each, known
        elif (known := _lacking(each)) is not None:
            cache.put(each, known)
            yield each, known
        else:
            unread[each.path] = each
    for path, known in look_at_all(list(unread), _DETAILS, cancelled):
        cache.put(unread[path], known)
        yield unread[path], known


def _lacking(found: walk.Candidate) -> Known | None:
    if not found.missing:
        return None
    return {"problem": f"{found.name} lacks {found.missing} of its files.", "hint": "Download the rest."}


def _row(found: walk.Candidate, known: Known, ours: set[str], notice: walk.Notice) -> Row | None:
    if "problem" in known:
        if not os.path.exists(found.files[0]):
            notice(f"{found.path} went away while it was looked at.")
            return None
        kind: Kind = "gguf" if found.files[0] == found.path else "safetensors"
        return _with(found, Details(kind), ours, known["problem"], known["hint"])
    return _with(found, Details(**known["details"]), ours)


def _with(found: walk.Candidate, details: Details, ours: set[str], problem: str = "", hint: str = "") -> Row:
    mine = found.place.kind == "own" or (
        found.place.kind == "huggingface" and all(os.path.realpath(file) in ours for file in found.files)
    )
    return Row(
        name=found.name,
        path=str(found.path),
        place=found.place.kind,
        size=found.size,
        files=tuple(str(file) for file in found.files),
        changed=max(time for _, time in found.stamp) / 1e9,
        repo=found.repo,
        removable=mine,
        problem=problem,
        hint=hint,
        **{name: getattr(details, name) for name in _DETAILS},
    )


class _Cache:
    """What was read before, by path, sizes and times. A damaged cache is an empty one."""

    def __init__(self, home: Home) -> None:
        self._path = home.cache / "library.json"
        self._used: dict[str, dict[str, Any]] = {}
        self._changed = False
        try:
            data = json.loads(self._path.read_bytes())
            right = data["version"] == _VERSION and data["fields"] == _DETAILS
            self._known: dict[str, dict[str, Any]] = data["models"] if right else {}
        except (OSError, ValueError, TypeError, KeyError):
            self._known = {}

    def get(self, found: walk.Candidate) -> dict[str, Any] | None:
        entry = self._known.get(str(found.path))
        if not isinstance(entry, dict) or entry.get("stamp") != [list(each) for each in found.stamp]:
            return None
        if not ({"problem", "hint"} <= entry.keys() or isinstance(entry.get("details"), dict)):
            return None
        self._used[str(found.path)] = entry
        return entry

    def put(self, found: walk.Candidate, known: dict[str, Any]) -> None:
        if "problem" in known and not os.path.exists(found.files[0]):
            return  # it may come back as it was
        self._used[str(found.path)] = {"stamp": [list(each) for each in found.stamp], **known}
        self._changed = True

    def save(self) -> None:
        """Writes the cache if it would be another one; a failure only costs the next start some time."""
        if not self._changed and self._used.keys() == self._known.keys():
            return
        data = {
            "version": _VERSION,
            "fields": _DETAILS,
            "models": {**self._known, **self._used} if self._elsewhere() else self._used,
        }
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_name(f".library.{os.getpid()}.tmp")
            beside.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
            os.replace(beside, self._path)

    def _elsewhere(self) -> bool:
        """A scan of some places only does not forget the others (entries of files that are gone go at the next full one)."""
        gone = self._known.keys() - self._used.keys()
        return any(os.path.exists(path) for path in list(gone)[:8])
