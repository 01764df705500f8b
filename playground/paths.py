"""Where things lie: the data folder and its parts, and the files that came with the program.

Nothing is created here: a room makes its own folder when it first writes to it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The data folder (`PLAYGROUND_HOME`, else the system's place for application data)."""

    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def database(self) -> Path:
        return self.root / "playground.db"

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def lock(self) -> Path:
        return self.root / ".window.lock"


def home() -> Home:
    """The data folder in force. Read at each call, so that a test may move it."""
    named = os.environ.get("PLAYGROUND_HOME")
    if named:
        return Home(expanded(named).absolute())
    import platformdirs  # only where it is needed: the window's start counts milliseconds

    return Home(Path(platformdirs.user_data_dir("playground", appauthor=False)))


def cache() -> Path:
    """The cache of a worker, which no session has told where to write: `PLAYGROUND_CACHE`, else that of the data folder in force."""
    named = os.environ.get("PLAYGROUND_CACHE")
    return expanded(named).absolute() if named else home().cache


def expanded(name: str | Path) -> Path:
    """The path with its `~` resolved; as it stands where nobody knows whose home that is."""
    return Path(os.path.expanduser(name))


def existing(name: str | Path) -> Path | None:
    """The file or folder that a person named, None if there is none. One that may not be looked at counts as being there."""
    try:
        path = expanded(name).absolute()
        return path if str(name) and path.exists() else None
    except PermissionError:
        return path
    except (OSError, ValueError):  # too long, or a NUL in it
        return None


def resources() -> Path:
    """The folder of files that ship with the program: in the wheel, frozen, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    frozen = Path(getattr(sys, "_MEIPASS", package)) / "resources"
    for place in (package / "resources", package.parent / "resources", frozen):
        if place.is_dir():
            return place
    return package / "resources"


def starter() -> Path:
    """The GGUF file of the starter model."""
    return resources() / "starter" / "starter.gguf"
