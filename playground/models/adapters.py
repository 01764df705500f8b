"""Which adapter a name stands for. Reads no weights."""

from __future__ import annotations

from pathlib import Path

from playground import paths
from playground.errors import NotFoundError
from playground.paths import Home

CONFIG = "adapter_config.json"
"""what makes a folder an adapter in PEFT layout"""


def resolve(home: Home, name: str) -> Path:
    """The folder (PEFT) or GGUF file of an adapter: a path, a name in the folder of adapters, or a name of the library.

    NotFoundError says what there is instead.
    """
    if (path := paths.existing(name)) is not None:
        return path.parent if path.name in (CONFIG, "adapter_model.safetensors") else path
    own = _own(home)
    for path in own:
        if name.lower() in (path.name.lower(), path.stem.lower()):
            return path
    if name and not name.startswith(("/", "./", "../", "~")):
        from playground.models import library  # reads folders: only for a name that is nothing nearer

        rows = [row for row in library.scan(home).rows if row.kind == "adapter"]
        found = {row.path for row in rows if name.lower() in (row.name.lower(), row.repo.lower(), Path(row.path).name.lower())}
        if len(found) == 1:
            return Path(found.pop())
        if found:
            raise NotFoundError(
                f"'{name}' could be {len(found)} adapters.", f"Name one by its path: {', '.join(sorted(found))}."
            )
    there = ", ".join(path.name for path in own[:8])
    raise NotFoundError(
        f"There is no adapter called '{name}' here.",
        f"There are: {there}." if there else "Name a folder in PEFT layout, or a GGUF file with an adapter.",
    )


def known(home: Home) -> list[Path]:
    """Every adapter on this computer: those in the folder of adapters, and those of the library. Reads folders and headers."""
    from playground.models import library

    listed = [Path(row.path) for row in library.scan(home).rows if row.kind == "adapter" and not row.problem]
    return list(dict.fromkeys([*_own(home), *listed]))


def _own(home: Home) -> list[Path]:
    try:
        return sorted(
            path for path in home.adapters.iterdir() if (path / CONFIG).is_file() or (path.suffix == ".gguf" and path.is_file())
        )
    except OSError:
        return []
