"""Getting files of a repository on the hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """Get files of a repository on the hub into the Hugging Face cache; answered by `DownloadProgress`, then `DownloadDone` and `Finished`,
    or `Failed`. A worker has one at a time. The token is not sent: the worker finds it where it is kept.

    `job` goes on with an unfinished one; else `files` are paths in the repository, none for the choice that is usually taken.
    A `Cancel` ends it with everything kept that has arrived.
    """

    request: int
    home: str
    """the data folder, where the job is noted down"""
    repo: str = ""
    files: tuple[str, ...] = ()
    revision: str = "main"
    job: str = ""
    cache: str = ""
    """the Hugging Face cache; empty for the usual one"""


@dataclass(frozen=True)
class PauseDownload:
    """Hold a download; the line is closed, what has arrived stays."""

    request: int


@dataclass(frozen=True)
class ResumeDownload:
    """Go on with a paused download."""

    request: int


@dataclass(frozen=True)
class CancelDownload:
    """End a download. `remove`: throw away what has arrived of unfinished files, and the note of the job."""

    request: int
    remove: bool = False


@dataclass(frozen=True)
class DownloadProgress:
    """Where a download is. `state`: `asking`, `waiting` (another program gets the same file), `checking` (reading what is there),
    `loading`, `retrying` (the line broke), `paused`.
    """

    request: int
    job: str
    state: str
    done: int
    """bytes"""
    total: int
    rate: float = 0.0
    """bytes a second, lately"""
    seconds_left: float = -1.0
    """-1 when it cannot be said"""
    file: str = ""
    message: str = ""


@dataclass(frozen=True)
class DownloadDone:
    """All files are there, whole and checked; `path` is the one to load (the first of a split, a folder of safetensors)."""

    request: int
    job: str
    repo: str
    path: str
    files: tuple[str, ...]
    bytes: int
