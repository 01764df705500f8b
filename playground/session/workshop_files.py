"""Files and folders of models as the workshop sees them: whether they are there, what they are called, how large they will be.

Reads headers; plans nothing.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from playground.errors import ModelFileError, NotFoundError, SettingError
from playground.models import places, quantization
from playground.models.gguf_header import merge_splits, open_gguf, split_names
from playground.models.safetensors_header import open_safetensors
from playground.paths import expanded
from playground.session.workshop_jobs import FOLDER_TYPES


def there(name: str) -> Path:
    """What a person named; NotFoundError if it is not there."""
    path = expanded(name).absolute()
    places.check_reachable(path)
    if not path.exists():
        raise NotFoundError(f"There is no file or folder {path}.", "It may have been moved or deleted; choose it again.")
    return path


def refuse_to_replace(target: Path, *needed: Path) -> None:
    """SettingError if a GGUF file under this name would replace one of the files it is made of, or anything that is no GGUF file."""
    if target in needed or any(target.samefile(each) for each in needed if target.exists() and each.exists()):
        raise SettingError("The result would replace the model that it is made of.", "Choose another name with -o.")
    if target.is_dir():
        raise SettingError(f"{target} is a folder.", "Choose another name for the file with -o.")
    if target.exists() and not _may_be_replaced(target):
        raise SettingError(
            f"There is already a file {target}, and it is no GGUF file.", "Choose another name with -o, or remove it first."
        )


def _may_be_replaced(path: Path) -> bool:
    if not path.is_file():
        return False  # a device, a pipe
    with suppress(OSError), path.open("rb") as file:
        return file.read(4) in (b"GGUF", b"")
    return False


def free_name(path: Path) -> Path:
    """The path, or the first with a number that nothing lies under yet."""
    stem, ending = (path.name[:-5], ".gguf") if path.name.endswith(".gguf") else (path.name, "")
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{stem}-{number}{ending}")
    return path


def short_name(path: str) -> str:
    """How a model is called: the file without its type and part, the folder, or the repository in the Hugging Face cache."""
    where = Path(path)
    for parent in (where, *where.parents):
        if parent.name.startswith("models--"):
            return parent.name.rpartition("--")[2]
    name = re.sub(r"-\d{5}-of-\d{5}$", "", where.stem if where.suffix.lower() == ".gguf" else where.name)
    kinds = "|".join(re.escape(each) for each in sorted(quantization.TYPES, key=len, reverse=True))
    return re.sub(rf"[-._]({kinds})$", "", name, flags=re.IGNORECASE) or name or "model"


def spelled(to: str) -> str:
    """A type as people write it."""
    return to.lower() if to.lower() in FOLDER_TYPES else quantization.type_name(to) or to


def identity(*paths: Path) -> str:
    """A name for what lies under these paths: other files, another size or another time of change give another name."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.glob("*")) if path.is_dir() else [path]
        digest.update(str(path.resolve()).encode("utf-8", "surrogatepass"))
        for each in files:
            with suppress(OSError):
                found = each.stat()
                digest.update(f"{each.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:24]


def folder_bytes(folder: Path) -> int:
    """Bytes of a folder's weights. ModelFileError where it has none, a shard is missing or cut."""
    if not (folder / "config.json").exists() and not (folder / "adapter_config.json").exists():
        raise ModelFileError(f"{folder} has no config.json.", "Choose a folder in Hugging Face layout.")
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        return sum(each.stat().st_size for each in folder.glob("*.safetensors"))
    return open_safetensors(folder).weight_bytes


def folder_size(folder: Path, kind: str) -> int:
    """About how large a GGUF file of that type will be."""
    table = ((tensor.name, tuple(reversed(tensor.shape))) for tensor in open_safetensors(folder).tensors)
    vocabulary = folder / "tokenizer.json"
    head = vocabulary.stat().st_size if vocabulary.exists() else 4 << 20
    return quantization.estimated_size(table, kind) + head


def gguf_size(path: Path, kind: str) -> int:
    """The same from a GGUF file's table, all its parts."""
    header = merge_splits([open_gguf(path.parent / part) for part in split_names(path.name)])
    return quantization.estimated_size(((tensor.name, tensor.shape) for tensor in header.tensors), kind) + header.data_offset


def matrix_bytes(source: Path) -> int:
    """An importance matrix has a number for each column of each matrix: a few thousandths of the weights."""
    return max(1 << 20, (folder_bytes(source) if source.is_dir() else source.stat().st_size) // 250)


def merged_name(base: str, adapter: str) -> str:
    """How a model with an adapter in it is called; an adapter that is called after the model already says so once."""
    model, tuned = short_name(base), short_name(adapter)
    return tuned if tuned.lower().startswith(f"{model}-".lower()) else f"{model}-{tuned}"
