"""Where models lie on this machine: our own folder, the caches of other programs, and folders that the user added.

Says where to look, and keeps the list of added folders in `<home>/places.json`. What is in a place is `library`'s to find out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playground import paths
from playground.errors import ModelFileError, NotFoundError, StorageError
from playground.paths import Home, expanded

Kind = Literal["starter", "own", "huggingface", "lmstudio", "ollama", "added"]

PATIENCE_S = 5.0
"""how long to wait for another program that is just changing the list"""

NAMES: dict[Kind, str] = {
    "starter": "Playground",
    "own": "Own folder",
    "huggingface": "Hugging Face cache",
    "lmstudio": "LM Studio",
    "ollama": "Ollama",
    "added": "Added folder",
}


@dataclass(frozen=True)
class Place:
    """A folder (or, if added, a single file) to look in."""

    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        return NAMES[self.kind]


def known(home: Home) -> list[Place]:
    """Every place that is there, ours first."""
    found = [Place("starter", paths.resources() / "starter"), Place("own", home.models), Place("own", home.adapters)]
    found.append(Place("huggingface", hugging_face_cache()))
    user = Path.home()
    found += [Place("lmstudio", folder) for folder in (user / ".lmstudio" / "models", user / ".cache" / "lm-studio" / "models")]
    found += [Place("ollama", folder) for folder in _ollama(user)]
    found += [Place("added", path) for path in added(home)]
    unique: dict[Path, Place] = {}
    for place in found:
        unique.setdefault(place.path.absolute(), place)
    return [place for path, place in unique.items() if place.kind == "added" or path.exists()]


def hugging_face_cache() -> Path:
    """The Hugging Face cache in force, told from the environment as huggingface_hub does, without importing it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return expanded(os.path.expandvars(value))
    if value := os.environ.get("HF_HOME"):
        return expanded(os.path.expandvars(value)) / "hub"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "huggingface" / "hub"


def check_reachable(path: Path) -> None:
    """ModelFileError for what lies in a folder that may not be entered; whatever else is wrong with a path is for others to say."""
    try:
        os.stat(path)
    except PermissionError as error:
        why = f"{path} cannot be looked at: {error.strerror}."
        raise ModelFileError(why, "Check the permissions of the folder it lies in.") from None
    except (OSError, ValueError):
        pass


def added(home: Home) -> list[Path]:
    """The folders and files that the user added."""
    try:
        data = json.loads((home.root / "places.json").read_text(encoding="utf-8"))
        return [Path(each) for each in data["added"] if isinstance(each, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def add(home: Home, path: Path) -> Place:
    """Adds a folder or a model file; it stays where it is. NotFoundError if it is not there."""
    path = expanded(path).absolute()
    if not path.exists():
        raise NotFoundError(f"{path} is not there.", "Check the path.")
    if not os.access(path, os.R_OK):
        raise StorageError(f"{path} cannot be read.", "Check its permissions.")
    with _alone(home):
        have = added(home)
        if path not in have:
            _write(home, [*have, path])
    return Place("added", path)


def take_out(home: Home, path: Path) -> bool:
    """Takes an added folder or file off the list (nothing is deleted); whether it was on it."""
    path = expanded(path).absolute()
    if path not in added(home):
        return False
    with _alone(home):
        _write(home, [each for each in added(home) if each != path])
    return True


def _ollama(user: Path) -> list[Path]:
    named = os.environ.get("OLLAMA_MODELS")
    usual = [user / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models")]
    return ([expanded(named)] if named else []) + usual


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """While it holds, no other thread or program changes the list between its reading and its writing. StorageError."""
    from filelock import FileLock

    with ExitStack() as stack:
        try:
            home.root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(home.root / ".places.lock", timeout=PATIENCE_S))
        except NotImplementedError:
            pass  # some network disks have no locks
        except OSError as error:
            raise _unwritable(error) from None
        yield


def _unwritable(error: OSError) -> StorageError:
    return StorageError(f"The list of folders cannot be written: {error.strerror or error}.", "Check the data folder.")


def _write(home: Home, folders: list[Path]) -> None:
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        beside = home.root / f".places.{os.getpid()}.tmp"
        beside.write_text(json.dumps({"added": [str(each) for each in folders]}, indent=1), encoding="utf-8")
        os.replace(beside, home.root / "places.json")
    except OSError as error:
        raise _unwritable(error) from None
