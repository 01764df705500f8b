"""What SQLite complains of, as a sentence for the user and a way out. Knows no table.

Only complaints about the place where the database lies become a `StorageError`; a wrong statement or a broken constraint is a bug of
ours and stays what it is.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.errors import StorageError

_FULL = "Free some space on that disk."
_LITTLE = 1 << 20
"""bytes: with less free than this an input/output error is taken for a full disk"""

_SIGNS_OF_DAMAGE = ("unsupported file format", "Could not decode to UTF-8")
"""damage that SQLite, or Python, does not call so"""


def storage_error(error: Exception, path: Path | None) -> StorageError | None:
    """The sentence for an error of SQLite or of the file system; None for an error that is not about storage."""
    where = str(path) if path else "the database in memory"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StorageError(
            f"{_file_above(path)} is a file, where the data folder should be.",
            "Move it away, or choose another data folder (PLAYGROUND_HOME).",
        )
    if isinstance(error, OSError):
        return StorageError(f"{where} cannot be opened: {error.strerror or error}.", _way_in(path))
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary == sqlite3.SQLITE_FULL:
        return StorageError(f"The disk is full: {where} cannot be written.", _FULL)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StorageError(
            f"Another program keeps {where} locked.", "Close the program that has it open, or wait until it is done."
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path)
    if any(words in str(error) for words in _SIGNS_OF_DAMAGE):
        return damaged(path)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StorageError(f"{where} is read-only.", _way_in(path))
    if primary == sqlite3.SQLITE_CANTOPEN:
        if _full(path):
            return StorageError(f"The disk is full: {where} cannot be opened.", _FULL)
        return StorageError(f"{where} cannot be opened.", _way_in(path))
    if primary == sqlite3.SQLITE_IOERR:
        if _full(path):
            return StorageError(f"The disk is full: {where} cannot be written.", _FULL)
        return StorageError(
            f"The disk refused to read or write {where} ({_name(error)}).", "Check the disk and its free space."
        )
    if primary == sqlite3.SQLITE_NOMEM:
        return StorageError(f"There is not enough memory to use {where}.", "Close other programs.")
    if "no such module: fts5" in str(error) or "no such tokenizer" in str(error):
        return StorageError(
            "The SQLite library of this Python has no full-text search (FTS5).", "Use a Python from python.org or uv."
        )
    return None


@contextmanager
def told(path: Path | None) -> Iterator[None]:
    """Errors of the place where the database lies leave this as a `StorageError`; others as they are."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        sentence = storage_error(error, path)
        if sentence is None:
            raise
        raise sentence from error


def damaged(path: Path | None) -> StorageError:
    """The sentence for a file that is no database any more. The file itself is left alone: it may yet be rescued."""
    return StorageError(
        f"{path} is damaged, or is no database.",
        "Put back a copy of it, or move it to another name to begin a new one; 'sqlite3 NAME .recover' can rescue much of it.",
    )


def outdated(path: Path | None, error: Exception) -> StorageError:
    """The sentence for tables that are not as any version of ours left them."""
    return StorageError(
        f"{path} cannot be brought up to date ({error}).",
        "Put back a copy of it, or move it to another name to begin a new one.",
    )


def newer(path: Path | None) -> StorageError:
    return StorageError(
        f"{path} was written by a newer version of Playground.", "Update Playground, or choose another data folder."
    )


def foreign(path: Path | None) -> StorageError:
    return StorageError(
        f"{path} is the database of another program.",
        "Move it to another name, or choose another data folder (PLAYGROUND_HOME).",
    )


def _way_in(path: Path | None) -> str:
    folder = path.parent if path else "the data folder"
    return f"Make {folder} writable, or choose another data folder (PLAYGROUND_HOME)."


def _file_above(path: Path | None) -> Path | str:
    return next((each for each in (path.parents if path else ()) if each.is_file()), path or "A file")


def _full(path: Path | None) -> bool:
    try:
        return path is not None and shutil.disk_usage(path.parent).free < _LITTLE
    except OSError:
        return False


def _name(error: sqlite3.Error) -> str:
    name: str = getattr(error, "sqlite_errorname", "") or type(error).__name__
    return name


def touch_private(path: Path) -> None:
    """An empty file that only its owner may read, in a folder made for it: what was said is nobody else's business."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
