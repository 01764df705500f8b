"""A file that comes into being whole or not at all: written beside its name under a temporary one, synced, and renamed.

The temporary name says the process that writes; what a killed one has left is removed by the next that writes the same target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}


@contextlib.contextmanager
def whole_file(target: Path, size: int = 0) -> Iterator[Path]:
    """The temporary path to write to; renamed to `target` at the end, removed if anything raises. `size` in bytes is asked for first.

    Raises StorageError for a full disk or a folder that cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(target)
        room = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise cannot_write(target, error) from None
    if size > room:
        raise StorageError(
            f"There is not enough room for {target.name}: it takes {_amount(size)}, and {_amount(room)} are free.",
            "Free some space, or choose another folder.",
        )
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def remove_stale(target: Path) -> None:
    """Removes temporary files of this target whose process is no more."""
    pattern = re.compile(re.escape(target.name) + r"\.(\d+)\.part")
    for path in target.parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
            path.unlink(missing_ok=True)


def cannot_write(target: Path, error: OSError) -> StorageError:
    """The sentence for an error while writing."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {target.name} could not be written.", "Free some space, or choose another folder."
        )
    return StorageError(f"{target} cannot be written: {error.strerror or error}.", "Choose another folder.")


def _sync_folder(folder: Path) -> None:
    """Makes the new name last; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
