"""A download as the disk sees it: the checksum of what arrives, the note beside an unfinished file, room, and the disk's errors as sentences.

Knows no hub.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from playground.errors import StorageError

SPARE = 64 << 20
"""Bytes of disk that a download leaves free."""


class Hash:
    """The checksum of a file while it arrives."""

    def __init__(self, expected: tuple[str, str], size: int) -> None:
        self._kind, self._wanted = expected
        self._plain = hashlib.sha256() if self._kind == "sha256" else hashlib.sha1()
        self._git = hashlib.sha1(b"blob %d\0" % size)

    def update(self, data: bytes | memoryview) -> None:
        self._plain.update(data)
        if self._kind == "git":
            self._git.update(data)

    def matches(self) -> bool:
        # some mirrors name the SHA-1 of the content itself, without git's prefix
        return not self._kind or self._wanted in (self._plain.hexdigest(), self._git.hexdigest())


class DiskSentences:
    """Turns the disk's errors into sentences; what has arrived is kept."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full: {self._what} has arrived in part.", "Make room and resume it; what has arrived is kept."
            ) from None
        raise StorageError(
            f"{self._what} cannot be written: {error.strerror or error}.", "Check the folder's permissions and the disk."
        ) from None


def check_room(folder: Path, missing: int, what: str) -> None:
    """StorageError if the disk has no room for so many bytes more."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if missing > 0 and free < missing + SPARE:
        raise StorageError(
            f"{what} needs {_size(missing)} more, and the disk of {folder} has {_size(free)} free.",
            "Make room, or choose a smaller file.",
        )


def is_whole(blob: Path, size: int) -> bool:
    """Whether a file is there with all its bytes."""
    try:
        return blob.stat().st_size == size
    except OSError:
        return False


def note_of(path: Path) -> dict[str, Any]:
    """What a note says of the unfinished file beside it; empty where there is none, or half of one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return data if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}


def discard(part: Path) -> None:
    """Removes an unfinished file and its note."""
    with suppress(PermissionError):  # Windows, while it is open: the next attempt finds it too long, or wrong again
        part.unlink(missing_ok=True)
        part.with_name(part.name + ".json").unlink(missing_ok=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
