"""The folder of captures: what is in it, room made by the age of what is there, leftovers of workers that died.

Knows file names and headers; captures are written by `writer` and read by `capture`.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from playground.errors import DataError, NotFoundError, StorageError
from playground.inside.layout import PARTS, SUFFIX, Header, gone, open_header
from playground.inside.writer import PART

LIMIT = 8 << 30
"""bytes that captures may take together; the oldest go first"""
ROOM = 256 << 20
"""bytes of the disk that stay free for everything else"""
FEWER = "Look at fewer layers or heads (--layer, --head), or at a shorter text."
STALE_S = 3600.0
"""after which an unfinished file that nobody writes to any more is thrown away"""


@dataclass(frozen=True)
class Entry:
    """A capture in the folder."""

    id: str
    path: Path
    bytes: int
    changed: float
    header: Header


def path_of(folder: Path, capture_id: str) -> Path:
    return folder / f"{capture_id}{SUFFIX}"


def entries(folder: Path) -> list[Entry]:
    """All captures, the newest first. What is no capture is passed over."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            stat = path.stat()
            header, _ = open_header(path)
        except (OSError, DataError, NotFoundError):
            continue
        found.append(Entry(path.name.removesuffix(SUFFIX), path, stat.st_size, stat.st_mtime, header))
    return sorted(found, key=lambda each: (-each.header.created, each.id))


def delete(folder: Path, capture_id: str) -> None:
    """NotFoundError where it is gone already, StorageError where it cannot be deleted."""
    path = path_of(folder, capture_id)
    try:
        path.unlink()
    except FileNotFoundError:
        raise gone(path) from None
    except OSError as error:
        raise StorageError(
            f"The capture {capture_id} cannot be deleted ({error.strerror}).", "Close what has it open, and try again."
        ) from None


def clean(folder: Path, limit: int = LIMIT, keep: str = "") -> list[str]:
    """Deletes the oldest captures until all take at most `limit` bytes, but never that named `keep` or its parts. Returns those deleted."""
    sweep(folder)
    found = []
    kept = {keep, *(f"{keep}-{part}" for part in PARTS)}
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in found)
    deleted = []
    for _, size, path in sorted(found):
        name = path.name.removesuffix(SUFFIX)
        if total <= limit:
            break
        if name not in kept:
            with suppress(OSError):
                path.unlink()
                total -= size
                deleted.append(name)
    return deleted


def sweep(folder: Path, capture_id: str = "") -> None:
    """Throws away unfinished files that nobody has written to for an hour; of a capture that is known to be over, at once."""
    for path in folder.glob(f"{capture_id}*{SUFFIX}.*{PART}"):
        with suppress(OSError):
            if capture_id or time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


def refuse_too_large(target: Path, size: int, limit: int = LIMIT) -> None:
    """StorageError for a capture that does not fit under the limit or on the disk, with its size, before a byte is written."""
    if size > limit:
        raise StorageError(f"This capture would take {amount(size)}; captures may take {amount(limit)} together.", FEWER)
    refuse_without_room("This capture", target, size)


def refuse_without_room(what: str, target: Path, size: int, before: int = 0) -> None:
    """StorageError for a file that does not fit on the disk, with its size; `before`: bytes that are written there first."""
    free = shutil.disk_usage(_place(target)).free - before
    if size + ROOM > free:
        raise StorageError(f"{what} would take {amount(size)} on the disk; {amount(max(0, free - ROOM))} can be had.", FEWER)


def on_one_disk(one: Path, other: Path) -> bool:
    """Whether two files, which need not be there yet, share their room."""
    return _place(one).stat().st_dev == _place(other).stat().st_dev


def _place(target: Path) -> Path:
    """The nearest folder above a file that is there."""
    return next(each for each in target.absolute().parents if each.exists())


def fresh_id() -> str:
    """A name that sorts by time and belongs to nobody else."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"


def amount(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / (1 << 30):,.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):,.1f} MiB"
