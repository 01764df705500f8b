"""Publishing: files that somebody has chosen are sent to the hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Publish:
    """Send a folder's (or a file's) parts to a repository of the hub; answered by `Progress`, then `Published` and `Finished`, or `Failed`.

    `files` are the names that were shown: anything else and it is refused. `base` and `card` as `training.publishing.parcel` takes them.
    """

    request: int
    path: str
    repo: str
    files: tuple[str, ...]
    base: str
    card: str
    private: bool = False


@dataclass(frozen=True)
class Published:
    """Answer to `Publish`: where it can be seen. `bytes`: of all files, also of those that were there already."""

    request: int
    repo: str
    url: str
    commit: str
    files: tuple[str, ...]
    bytes: int
    created: bool
    """the repository is new"""
