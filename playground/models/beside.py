"""Files that come into being beside their name: written under a name of the process's, renamed when whole, so that a file under its own
name is always a whole one. And files and folders that go with their process. Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from playground.errors import StorageError

_PART = re.compile(r"^.+\.(?P<pid>\d+)\.playground\.part$", re.DOTALL)
"""ours, and surely so: the folder that somebody writes a model to may hold half-made files of other programs"""

_PASSING = re.compile(r"^(?P<pid>\d+)-")


def part_of(target: Path) -> Path:
    """The name that this process writes a file (or folder) under until it is whole. Makes the folder, removes what died beside it.

    StorageError if the folder cannot be written to, or if the name is that of a device or a pipe.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise StorageError(f"{target} is no ordinary file.", "Choose another place.")
    _make(target.parent)
    tidy(target.parent)
    name = target.name
    while len(os.fsencode(name)) > 225:  # it is longer than the name itself, and names have a limit
        name = name[1:]
    part = target.with_name(f"{name}.{os.getpid()}.playground.part")
    remove(part)
    return part


def finish(part: Path, target: Path) -> None:
    """Puts a whole file under its name, replacing what was there; on the disk before it has the name."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Has names in a folder written to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Removes a file or a folder; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def tidy(folder: Path) -> None:
    """Removes what processes that are gone have left half-made in a folder."""
    with suppress(OSError):
        for each in folder.iterdir():
            found = _PART.match(each.name)
            if found and not psutil.pid_exists(int(found["pid"])):
                remove(each)


def at_work(name: str) -> bool:
    """Whether it is the name of something half-made by a process that lives."""
    found = _PART.match(name)
    return found is not None and psutil.pid_exists(int(found["pid"]))


def passing(folder: Path, ending: str = "") -> Path:
    """A new name in a folder for such things, for what this process removes itself; `sweep` does where the process was killed first.

    Makes the folder. StorageError if it cannot be written to.
    """
    _make(folder)
    return folder / f"{os.getpid()}-{secrets.token_hex(8)}{ending}"


def sweep(folder: Path) -> None:
    """Removes what processes that are gone have left in a folder under names that `passing` gave them."""
    with suppress(OSError):
        for each in folder.iterdir():
            found = _PASSING.match(each.name)
            if found and not psutil.pid_exists(int(found["pid"])):
                remove(each)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StorageError(
            f"The folder {folder} cannot be written to ({error.strerror or error}).", "Choose another place."
        ) from None


def need(folder: Path, size: int) -> None:
    """StorageError if the disk of a folder that is there has not that many bytes free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"The result takes {size / (1 << 20):,.0f} MiB, and {free / (1 << 20):,.0f} MiB are free on the disk of {folder}.",
            "Free some space, or choose another place.",
        )
