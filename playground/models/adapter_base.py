"""Which model an adapter was trained on, and whether it is here. Reads the adapter's own words only, no weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from playground.models.details import read_json
from playground.models.gguf_header import open_gguf
from playground.models.library import Row


def named_base(adapter: str | Path) -> str:
    """What an adapter calls its model: a repository, a path or a name; empty where it does not say. ModelFileError for a damaged one."""
    path = Path(adapter)
    if path.is_dir():
        name = read_json(path / "adapter_config.json").get("base_model_name_or_path")
        return name if isinstance(name, str) else ""
    header = open_gguf(path)
    url = str(header.get("general.base_model.0.repo_url") or "")
    return url.removeprefix("https://huggingface.co/") or str(header.get("general.base_model.0.name") or "")


def find_base(name: str, rows: Iterable[Row], folder: bool = False) -> Row | None:
    """The model of that name among rows: the same path, the same repository, or the same last part of the name.

    `folder`: only a folder of safetensors will do (to merge into). Else a GGUF file is taken before a folder, the larger before the smaller.
    """
    if not name:
        return None
    usable = [row for row in rows if row.kind in ("gguf", "safetensors") and not row.problem]
    if folder:
        usable = [row for row in usable if row.kind == "safetensors"]
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    real = _real(name)
    same = [row for row in usable if real and _real(row.path) == real]
    same = same or [row for row in usable if "/" in name and row.repo.lower() == name.lower()]
    same = same or [row for row in usable if last and last in _names(row)]
    return max(same, key=lambda row: (row.kind == "gguf", row.size), default=None)


def _names(row: Row) -> set[str]:
    """What a model may be called; a file's name without the number format."""
    name = row.name.lower()
    bare = name.removesuffix(row.quantization.lower()).rstrip("-_.") if row.quantization else name
    return {each for each in (name, bare, row.title.lower(), row.repo.rpartition("/")[2].lower()) if each}


def _real(name: str) -> str:
    try:
        path = Path(name).expanduser()
        return str(path.resolve()) if path.exists() else ""
    except (OSError, ValueError, RuntimeError):
        return ""
