"""Imported datasets in the data folder, each version under its hash: `datasets/<name>/<hash>/data.jsonl` and `meta.json`.

`data.jsonl` holds a row a line (`rows.to_json`), `problems.jsonl` all that was wrong with the source. A version is written aside and
renamed when it is whole, and never changed: what a run was trained on can be told by its hash. Knows no file formats.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from playground import __version__
from playground.errors import DataError, NotFoundError, StorageError
from playground.training.problems import Problem
from playground.training.rows import Row, from_json, to_json

HASH_LENGTH = 16
"""hexadecimal digits of the SHA-256 that name a version's folder"""
DATA, META, PROBLEMS = "data.jsonl", "meta.json", "problems.jsonl"
_PART = re.compile(r"^\.(?P<pid>\d+)-[0-9a-f]+\.part$")


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset. `path` is its folder; `sha256` is that of its rows' file, in hexadecimal."""

    name: str
    sha256: str
    path: Path
    rows: int
    bytes: int
    created: float
    """seconds since 1970"""
    source: str = ""
    title: str = ""
    """what was recognised, in words"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """problems by kind"""
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        return self.path / DATA

    @property
    def version(self) -> str:
        return self.path.name

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"path": str(self.path), "file": str(self.file), "version": self.version}


def name_of(text: str) -> str:
    """A folder's name made of what a dataset is called."""
    name = re.sub(r"[^\w.-]+", "-", text.strip(), flags=re.UNICODE).strip("-.")[:60].rstrip("-.")
    return name or "data"


def write(
    root: Path,
    name: str,
    rows: Iterable[Row],
    meta: Callable[[], Mapping[str, Any]],
    going: Callable[[int], None] = lambda rows: None,
) -> Dataset:
    """Writes rows as a version of the dataset `name`; one that is there already, with the same rows, is given back as it is.

    `meta` is asked once all rows are through: `source`, `title`, `counts`, `notes`, and `problems`, a list of `Problem`.
    DataError for no row at all, StorageError if the disk does not take it.
    """
    folder = root / name_of(name)
    tidy(folder)
    part = folder / f".{os.getpid()}-{time.time_ns():x}.part"
    try:
        part.mkdir(parents=True)
        digest, count = hashlib.sha256(), 0
        with (part / DATA).open("wb") as file:
            for row in rows:
                line = json.dumps(to_json(row), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
                file.write(line)
                digest.update(line)
                count += 1
                going(count)
            file.flush()
            os.fsync(file.fileno())
        told = dict(meta())
        problems: list[Problem] = told.pop("problems", [])
        if not count:
            said = f" {problems[0]}" if problems else ""
            raise DataError(
                f"There is no row to learn from.{said}", "Look at how the columns are read, or choose another file."
            )
        sha256 = digest.hexdigest()
        target = folder / sha256[:HASH_LENGTH]
        if target.is_dir():
            return opened(target)
        _write(part / PROBLEMS, "".join(json.dumps(each.to_dict(), ensure_ascii=False) + "\n" for each in problems))
        size = (part / DATA).stat().st_size
        known = {"name": name.strip() or folder.name, "sha256": sha256, "rows": count, "bytes": size, "created": time.time()}
        _write(part / META, json.dumps(known | told | {"program": __version__}, ensure_ascii=False, indent=1))
        try:
            os.replace(part, target)
        except OSError:
            if not target.is_dir():
                raise  # else another program has just imported the same
        _sync(folder)
        return opened(target)
    except OSError as error:
        raise StorageError(
            f"The dataset cannot be written ({error.strerror or error}).", "Free some space, or check the data folder."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing came of it


def kept(root: Path) -> list[Dataset]:
    """Every version of every dataset, the newest first."""
    found = []
    for meta in root.glob(f"*/*/{META}"):
        with contextlib.suppress(DataError):
            if not _PART.match(meta.parent.name):
                found.append(opened(meta.parent))
    return sorted(found, key=lambda each: each.created, reverse=True)


def find(root: Path, name: str) -> Dataset:
    """A dataset by its name (the newest version), by `name@hash` or `hash` with the hash's first digits, or by its folder. NotFoundError."""
    wanted, _, version = name.partition("@")
    versions = kept(root)
    for each in versions:
        if str(each.path) == name or (each.name == wanted and each.sha256.startswith(version)):
            return each
    for each in versions:
        if len(name) >= 6 and each.sha256.startswith(name):
            return each
    names = ", ".join(dict.fromkeys(each.name for each in versions))
    raise NotFoundError(f"There is no dataset '{name}'.", f"There are: {names}." if names else "Import one first.")


def delete(root: Path, name: str) -> Dataset:
    """Deletes one version, found as `find` does; runs that were trained on it keep what they were trained on."""
    gone = find(root, name)
    aside = gone.path.with_name(f".{os.getpid()}-{time.time_ns():x}.part")
    try:
        os.replace(gone.path, aside)  # at once, so that no half of it is ever seen
        shutil.rmtree(aside)
    except OSError as error:
        raise StorageError(f"{gone.name} cannot be deleted ({error.strerror or error}).", "Close what has it open.") from None
    with contextlib.suppress(OSError):
        gone.path.parent.rmdir()
    return gone


def count_rows(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def rows_of(file: Path, step: int = 1) -> Iterator[Row]:
    """The rows of a version, from its `data.jsonl`, or every so manieth of them. DataError for a line that is damaged."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if (number - 1) % step:
                continue
            try:
                yield from_json(json.loads(line), number)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise DataError(f"Row {number} of {file.parent.parent.name} is damaged.", "Import the dataset again.") from None


def tidy(folder: Path) -> None:
    """Removes what processes that are gone left half-written in a dataset's folder."""
    import psutil

    with contextlib.suppress(OSError):
        for each in folder.iterdir():
            found = _PART.match(each.name)
            if found and not psutil.pid_exists(int(found["pid"])):
                shutil.rmtree(each, ignore_errors=True)


def opened(path: Path) -> Dataset:
    try:
        found = json.loads((path / META).read_text(encoding="utf-8"))
        fields = {name: found[name] for name in ("name", "sha256", "rows", "bytes", "created")}
        return Dataset(
            **fields,
            path=path,
            source=str(found.get("source", "")),
            title=str(found.get("title", "")),
            counts=dict(found.get("counts", {})),
            notes=tuple(found.get("notes", ())),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"The dataset in {path} is damaged ({error}).", "Import it again.") from None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
