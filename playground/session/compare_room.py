"""What the columns of a comparison take in memory beside the loaded model, said before it is run. Reads headers of files, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from playground.decoding.cells import growth
from playground.history.records import Column
from playground.memory.devices import Device, find_devices
from playground.memory.fit import fit
from playground.memory.kv_cache import padded
from playground.memory.pool import RESERVE, STEP, fits, largest_pool, pool_fit
from playground.memory.shape import ModelShape
from playground.memory.transformers_fit import cache_bytes
from playground.memory.words import amount
from playground.params import ContextSettings
from playground.protocol import ModelInfo
from playground.session import fitting

BYTES_OF_A_TOKEN = 4
"""of the prompt's text: it is short beside what is said, and only the engine could count it"""


@dataclass(frozen=True)
class Room:
    """`cells` tokens may come to lie in the cache; they take `needed` bytes beside the loaded model, of `free`. `short`: that is too much."""

    cells: int
    needed: int
    free: int
    short: bool
    sentence: str


def room_for(path: Path, settings: ContextSettings, info: ModelInfo, columns: Sequence[Column], prompt: str) -> Room | None:
    """What these columns may need of the loaded model; None where that has room for them. ModelFileError for a file that cannot be read.

    `settings`: that it was loaded with; `info`: what it says of itself.
    """
    if len(columns) < 2 or len(columns) > settings.sequences:
        return None
    shared = min(info.context, len(prompt.encode()) // BYTES_OF_A_TOKEN)
    limits = [each.settings.max_tokens for each in columns]
    own = [len(each.reply_start.encode()) // BYTES_OF_A_TOKEN for each in columns]
    scales = [each.settings.adapter_scale if info.adapter else 1.0 for each in columns]
    each_more = growth(info.context, shared, limits, own, scales)
    cells = shared + sum(each_more)
    shape = fitting.of_path(path).shape
    devices = find_devices()
    if path.is_dir():
        return _of_folder(shape, info, [min(info.context, shared + more) for more in each_more], devices)
    if not settings.unified_kv or cells <= info.context or not shape.has_cache:
        return None
    settings = replace(settings, context=info.context)
    layers = 0 if info.device == "CPU" else settings.gpu_layers
    if layers < 0:
        layers = fit(shape, settings, devices).gpu_layers
    weights = 0 if layers else sum(shape.tensors.values())
    cells = padded(cells, STEP)
    found = pool_fit(shape, settings, cells, devices, layers)
    needed = sum(one.terms.total for one in found)
    worst = max(found, key=lambda one: one.share)
    said = f"The {len(columns)} columns may say {cells:,} tokens in all, more than the window of {info.context:,}: that takes {amount(needed)}"
    if fits(found, weights):
        return Room(cells, needed, worst.device.free, False, f"{said} beside the loaded model.")
    most = max(largest_pool(shape, settings, cells, devices, layers, weights), info.context)
    return Room(
        cells,
        needed,
        worst.device.free,
        True,
        f"{said}, and {amount(worst.device.free)} are free on {worst.device.name}. There is room for {most:,}: when that is full, the longest "
        "columns end first. Set a lower longest reply, or take fewer columns.",
    )


def _of_folder(shape: ModelShape, info: ModelInfo, lengths: Sequence[int], devices: Sequence[Device]) -> Room | None:
    """Of a model folder: every column's cache grows by itself, the prompt in it, up to the window; to grow it is copied."""
    element = 4.0 if info.quantization == "F32" else 2.0
    needed = cache_bytes(shape, max(lengths), len(lengths), element)
    device = next((each for each in devices if each.is_gpu and info.device != "CPU"), devices[-1])
    if needed + RESERVE <= device.free:
        return None
    return Room(
        sum(lengths),
        needed,
        device.free,
        True,
        f"The {len(lengths)} columns may need {amount(needed)} for what they say, and {amount(device.free)} are free on {device.name}: they "
        "could end with an error. Set a lower longest reply, or take fewer columns.",
    )
