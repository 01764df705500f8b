"""The folder worker: quantizes model folders to NF4 and int8 through bitsandbytes, and merges adapters into model folders.

Quantizing holds the quantized model and the largest weight beside it, on top of the libraries and of the source's pages, which the system
may take back: a bf16 model of 439 MB peaked at 1.13 GB resident. Merging holds some megabytes. A `Cancel` ends this process: the libraries
cannot be stopped in the middle of a weight.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground import __version__
from playground.errors import Cancelled, ModelFileError, SettingError
from playground.models import beside
from playground.models.lora import Lora, sha256_of
from playground.models.safetensors_header import open_safetensors
from playground.params import ContextSettings
from playground.protocol import Finished, Made, MergeAdapter, Progress, QuantizeFolder
from playground.workers.base import Link
from playground.workers.folder_merge import merge
from playground.workers.folder_parts import copy_companions, refuse_damaged, whole_folder
from playground.workers.torch_folder import Folder, check_model_folder

BACKGROUND = True

METHODS = ("nf4", "int8")
WATCH_S = 0.05
"""how often a running job looks for `Cancel`"""
TELL_S = 0.1
_SPARE = 64 << 20
"""bytes for everything beside the weights"""


class Folders:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {QuantizeFolder: self.quantize, MergeAdapter: self.merge}

    def close(self) -> None:
        pass

    def quantize(self, command: QuantizeFolder) -> None:
        began = time.perf_counter()
        folder, target = check_model_folder(Path(command.source).absolute()), Path(command.target).absolute()
        if command.method not in METHODS:
            raise SettingError(
                f"Model folders cannot be quantized to '{command.method[:40]}'.", f"Choose one of: {', '.join(METHODS)}."
            )
        if folder.quantized:
            raise ModelFileError(
                f"{folder.name} is quantized already ({folder.quantized}): quantizing it again loses twice.",
                "Start from the original model.",
            )
        with (
            whole_folder(target, folder.bytes_as(command.method) + _SPARE) as part,
            _Watch(self._link, command.request, part) as watch,
        ):
            tell = _Telling(self._link, command.request)
            self._refuse_damaged(folder, tell)
            tell.say(0.2, "starting the library", True)
            notes = _write_quantized(folder, command, part, tell)
            copy_companions(folder.path, part, _said_quantized(folder, command))
            tell.say(0.97, "writing to disk", True)
            watch.settle()
        self._made(command.request, target, began, notes)

    def merge(self, command: MergeAdapter) -> None:
        began = time.perf_counter()
        folder, target = check_model_folder(Path(command.base).absolute()), Path(command.target).absolute()
        source = Path(command.adapter).absolute()
        if source.is_file():
            raise ModelFileError(
                f"{source.name} is a file; only adapter folders in PEFT layout can be merged.", "Choose the adapter's folder."
            )
        if not -100 <= command.scale <= 100:
            raise SettingError(f"An adapter cannot be merged at the scale {command.scale}.", "Take something about 1.")
        lora = Lora(source)
        size = sum(tensor.nbytes for tensor in folder.tensors)
        with whole_folder(target, size + _SPARE) as part, _Watch(self._link, command.request, part) as watch:
            tell = _Telling(self._link, command.request)
            done = 0

            def going(count: int) -> None:
                nonlocal done
                done += count
                tell.say(0.97 * done / max(1, size), "merging")

            merge(folder, lora, command.scale, part, going)
            copy_companions(folder.path, part, _said_merged(folder, lora, command.scale))
            tell.say(0.97, "writing to disk", True)
            watch.settle()
        self._made(command.request, target, began, [])

    def _refuse_damaged(self, folder: Folder, tell: _Telling) -> None:
        headers = {file: open_safetensors(file).tensors for file in folder.files}
        size, done = max(1, sum(tensor.nbytes for tensor in folder.tensors)), 0

        def going(count: int) -> None:
            nonlocal done
            done += count
            tell.say(0.2 * done / size, "checking the weights")

        refuse_damaged(folder.files, headers, going)

    def _made(self, request: int, target: Path, began: float, notes: list[str]) -> None:
        size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        self._link.send(Made(request, str(target), size, time.perf_counter() - began, tuple(notes)))


def _write_quantized(folder: Folder, command: QuantizeFolder, part: Path, tell: _Telling) -> list[str]:
    """Loads the model quantized and writes it; sentences about what stayed as it was."""
    from playground.workers import torch_lib

    torch_lib.start()
    from playground.workers.torch_model import TorchModel

    def loading(fraction: float) -> bool:
        tell.say(0.25 + 0.55 * fraction, "quantizing")
        return True

    model = TorchModel(
        folder,
        ContextSettings(precision="int8" if command.method == "int8" else "nf4", context=256),
        on_progress=loading,
        double=command.double,
    )
    quantized = sum(
        1 for each in model.net.modules() if type(each).__module__.startswith("bitsandbytes") and hasattr(each, "weight")
    )
    if not quantized:
        raise ModelFileError(
            f"Nothing in {folder.name} can be quantized to {command.method}: it has no plain linear layers.",
            "Take a GGUF type instead.",
        )
    tell.say(0.8, "writing", True)
    model.net.save_pretrained(part, max_shard_size="4GB")
    written = sum(file.stat().st_size for file in part.glob("*.safetensors"))
    kept = sum(
        tensor.nbytes
        for file in part.glob("*.safetensors")
        for tensor in open_safetensors(file).tensors
        if tensor.dtype in ("F32", "F16", "BF16") and len(tensor.shape) >= 2
    )
    share = round(100 * kept / max(1, written))
    if share < 20:
        return []
    return [
        f"{share} % of the bytes are weights that stay in {folder.stored}: token table, output layer, and what is no linear layer."
    ]


def _said_quantized(folder: Folder, command: QuantizeFolder) -> str:
    how = "int8 (LLM.int8())"
    if command.method == "nf4":
        how = "4-bit NormalFloat (NF4)" + (" with double quantisation" if command.double else "")
    return (
        f"The linear layers of {folder.name} were quantized to {how} with bitsandbytes by Playground {__version__}; everything else is as it was "
        f"({folder.stored}). It loads in transformers with bitsandbytes installed."
    )


def _said_merged(folder: Folder, lora: Lora, scale: float) -> str:
    return (
        f"The LoRA adapter {lora.folder.name} (SHA-256 {sha256_of(lora.folder)}) was merged into {folder.name} at the scale {scale:g} by "
        f"Playground {__version__}, in float32, rounded to the format of each weight."
    )


class _Telling:
    """Progress, but not more often than anybody reads it."""

    def __init__(self, link: Link, request: int) -> None:
        self._link, self._request, self._told = link, request, 0.0

    def say(self, fraction: float, what: str, at_once: bool = False) -> None:
        if at_once or time.perf_counter() - self._told >= TELL_S:
            self._told = time.perf_counter()
            self._link.send(Progress(self._request, fraction, what))


class _Watch:
    """While it holds, a `Cancel` removes what is half-made, says so, and ends this process."""

    def __init__(self, link: Link, request: int, part: Path) -> None:
        self._link, self._request, self._part = link, request, part
        self._over = threading.Event()
        self._deciding = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="cancel", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._deciding:  # never returns where the process is being ended
            pass

    def settle(self) -> None:
        """From here on it is finished, whatever is wished. Cancelled if that was wished before."""
        with self._deciding:
            if self._link.pending and self._link.cancelled(self._request):
                raise Cancelled("Cancelled.")
            self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            with self._deciding:
                if not self._over.is_set() and self._link.pending and self._link.cancelled(self._request):
                    beside.remove(self._part)
                    self._link.send(Finished(self._request, "cancelled"))
                    os._exit(0)


def make(link: Link) -> Folders:
    return Folders(link)
