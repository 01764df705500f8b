"""Finding model files in a place, whoever put them there: folders of GGUF and safetensors, the Hugging Face cache, Ollama's blobs.

Looks at names, sizes and times only; what a file is, `details` tells. Whatever is in the way (a loop of links, a folder that may not be
read, a file that has just gone) is a sentence for `notice`, and the walk goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playground.errors import ModelFileError
from playground.models.details import read_json
from playground.models.files import split_of
from playground.models.places import Place

Notice = Callable[[str], None]
_DEEPEST = 16


@dataclass(frozen=True)
class Candidate:
    """A model, or what looks like one: a GGUF file with its splits, or a folder of safetensors."""

    path: Path
    name: str
    place: Place
    files: tuple[Path, ...]
    stamp: tuple[tuple[int, int], ...]
    """(size, time of change in ns) of every file: what the cache goes by"""
    repo: str = ""
    missing: int = 0
    """files of a split that are not there"""

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.stamp)


@dataclass
class Seen:
    """What a walk has looked at: folders and their times, and the identity of files, so that each is listed once."""

    folders: dict[str, int] = field(default_factory=dict)
    files: set[object] = field(default_factory=set)


def find(place: Place, seen: Seen, notice: Notice, cancelled: Callable[[], bool]) -> Iterator[Candidate]:
    """The candidates in a place."""
    if place.kind == "ollama":
        yield from _ollama(place, seen, notice)
    elif place.kind == "huggingface":
        yield from _hugging_face(place, seen, notice, cancelled)
    elif place.path.is_file():
        yield from _in_folder(place, place.path.parent, [_Entry(place.path)], "", seen, notice)
    else:
        yield from _tree(place, place.path, "", seen, notice, cancelled)


class _Entry:
    """A single file as scandir would give it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = str(path), path.name

    def stat(self) -> os.stat_result:
        return os.stat(self.path)


def _tree(
    place: Place, root: Path, repo: str, seen: Seen, notice: Notice, cancelled: Callable[[], bool]
) -> Iterator[Candidate]:
    waiting: list[tuple[Path, int]] = [(root, 0)]
    visited: set[tuple[int, int]] = set()
    while waiting and not cancelled():
        folder, depth = waiting.pop()
        try:
            about = os.stat(folder)
            if (about.st_dev, about.st_ino) in visited:
                notice(f"{folder} is a link back to a folder that was looked at already; it was passed over.")
                continue
            visited.add((about.st_dev, about.st_ino))
            seen.folders[str(folder)] = about.st_mtime_ns
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except FileNotFoundError:
            notice(f"{folder} went away while it was looked at.")
            continue
        except OSError as error:
            notice(f"{folder} cannot be read: {error.strerror or error}.")
            continue
        files = []
        for entry in entries:
            try:
                if not entry.is_dir():
                    files.append(entry)
                elif depth < _DEEPEST and not entry.name.startswith("."):
                    waiting.append((Path(entry.path), depth + 1))
            except OSError as error:
                notice(f"{entry.path} cannot be followed: {error.strerror or error}.")
        yield from _in_folder(place, folder, files, repo, seen, notice)


def _in_folder(
    place: Place, folder: Path, entries: list[os.DirEntry[str]] | list[_Entry], repo: str, seen: Seen, notice: Notice
) -> Iterator[Candidate]:
    splits: dict[str, list[tuple[int, int, os.DirEntry[str] | _Entry]]] = {}
    tensors, names = [], {entry.name for entry in entries}
    for entry in entries:
        lower = entry.name.lower()
        if lower.endswith(".gguf") and "imatrix" not in lower:
            whole, number, count = split_of(entry.name)
            splits.setdefault(whole, []).append((number, count, entry))
        elif lower.endswith(".safetensors"):
            tensors.append(entry)
    for whole, parts in splits.items():
        stamped = [(entry, about) for _, _, entry in sorted(parts, key=lambda part: part[0]) if (about := _stat(entry, notice))]
        if not stamped or not _first_time(place, *stamped[0], seen):
            continue
        files = tuple(Path(entry.path) for entry, _ in stamped)
        stamp = tuple((about.st_size, about.st_mtime_ns) for _, about in stamped)
        yield Candidate(files[0], Path(whole).stem, place, files, stamp, repo, parts[0][1] - len(stamped))
    if tensors and names & {"config.json", "adapter_config.json"}:
        others = [entry for entry in entries if entry.name in ("config.json", "adapter_config.json")]
        stamped = [(entry, about) for entry in [*tensors, *others] if (about := _stat(entry, notice))]
        if stamped and _first_time(place, *stamped[0], seen):
            files = tuple(Path(entry.path) for entry, _ in stamped)
            stamp = tuple((about.st_size, about.st_mtime_ns) for _, about in stamped)
            yield Candidate(folder, repo.rpartition("/")[2] or folder.name, place, files, stamp, repo)


def _stat(entry: os.DirEntry[str] | _Entry, notice: Notice) -> os.stat_result | None:
    try:
        about = entry.stat()
    except FileNotFoundError:
        if os.path.islink(entry.path):
            notice(f"{entry.path} points to a file that is not there.")
        else:
            notice(f"{entry.path} went away while its folder was looked at.")
        return None
    except OSError as error:
        notice(f"{entry.path} cannot be looked at: {error.strerror or error}.")
        return None
    return about if stat.S_ISREG(about.st_mode) else None


def _first_time(place: Place, entry: os.DirEntry[str] | _Entry, about: os.stat_result, seen: Seen) -> bool:
    """Whether a file is new to this walk: a blob behind several snapshots is one model, two names in a folder are two."""
    identity = (about.st_dev, about.st_ino) if place.kind in ("huggingface", "ollama") else entry.path
    if identity in seen.files:
        return False
    seen.files.add(identity)
    return True


def _hugging_face(place: Place, seen: Seen, notice: Notice, cancelled: Callable[[], bool]) -> Iterator[Candidate]:
    """One snapshot of each repository: the one that `main` stands for, else the newest."""
    for repo in _folders(place.path, seen, notice):
        if not repo.name.startswith("models--") or cancelled():
            continue
        snapshots = _folders(repo / "snapshots", seen, notice) if (repo / "snapshots").is_dir() else []
        if not snapshots:
            continue
        try:
            commit = (repo / "refs" / "main").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            commit = ""
        chosen = next((each for each in snapshots if each.name == commit), max(snapshots, key=_changed))
        for snapshot in [chosen, *(each for each in snapshots if each != chosen)]:
            name = repo.name.removeprefix("models--").replace("--", "/")
            yield from _tree(place, snapshot, name, seen, notice, cancelled)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _folders(root: Path, seen: Seen, notice: Notice) -> list[Path]:
    try:
        seen.folders[str(root)] = os.stat(root).st_mtime_ns
        with os.scandir(root) as found:
            return sorted(Path(entry.path) for entry in found if entry.is_dir())
    except OSError as error:
        notice(f"{root} cannot be read: {error.strerror or error}.")
        return []


def _ollama(place: Place, seen: Seen, notice: Notice) -> Iterator[Candidate]:
    """Manifests name the blobs: `manifests/<registry>/<owner>/<name>/<tag>` and `blobs/sha256-<digest>`."""
    waiting = [place.path / "manifests"]
    while waiting:
        folder = waiting.pop()
        if not folder.is_dir():
            continue
        try:
            seen.folders[str(folder)] = os.stat(folder).st_mtime_ns
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            notice(f"{folder} cannot be read: {error.strerror or error}.")
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not entry.name.startswith("."):
                yield from _ollama_model(place, Path(entry.path), seen, notice)


def _ollama_model(place: Place, manifest: Path, seen: Seen, notice: Notice) -> Iterator[Candidate]:
    try:
        layers = read_json(manifest).get("layers")
        wanted = [layer["digest"] for layer in layers or () if str(layer["mediaType"]).endswith("image.model")]
    except (ModelFileError, KeyError, TypeError):
        notice(f"{manifest} is damaged: it names no model.")
        return
    for digest in wanted:
        kind, _, value = str(digest).partition(":")
        if kind != "sha256" or not value.isalnum():
            notice(f"{manifest} is damaged: it names no model.")
            continue
        blob = place.path / "blobs" / f"sha256-{value}"
        entry = _Entry(blob)
        about = _stat(entry, notice)
        if about is not None and _first_time(place, entry, about, seen):
            owner, name = manifest.parent.parent.name, manifest.parent.name
            shown = f"{name}:{manifest.name}" if owner == "library" else f"{owner}/{name}:{manifest.name}"
            yield Candidate(blob, shown, place, (blob,), ((about.st_size, about.st_mtime_ns),))
