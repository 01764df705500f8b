"""What a second context on a loaded model takes: the pool that the columns of a comparison have their cells in.

llama.cpp's worker opens one where the columns may need more cells than the loaded context has. Its weights are the loaded model's; it has
a cache, compute buffers and output rows of its own. The arithmetic is that of `fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..params import ContextSettings
from .buffers import Engine, engine_buffers, split_layers
from .devices import Device
from .fit import DeviceFit, Terms, cache_plan
from .kv_cache import padded
from .shape import ModelShape

RESERVE = 256 << 20
"""bytes of a device that a pool leaves free"""
STEP = 256
"""cells; counts are rounded up to it"""


def pool_sequences(shape_window: int, sequences: int) -> int:
    """How many sequences the library is told of: with sliding windows (`shape_window` tokens, else 0), more than there are.

    It makes such layers a cache of one window a sequence. What several sequences share is never overwritten there, so that each common
    beginning takes a window more: one that all have, and one for every two that go on together.
    """
    return sequences + sequences // 2 + 1 if shape_window else sequences


def pool_fit(
    shape: ModelShape, settings: ContextSettings, cells: int, devices: Sequence[Device], gpu_layers: int = 0
) -> tuple[DeviceFit, ...]:
    """What a pool of so many cells takes on each device, the host last. `settings`: as the model is loaded, its window in `context`."""
    gpus = tuple(each for each in devices if each.is_gpu) if gpu_layers > 0 else ()
    host = next(each for each in devices if not each.is_gpu)
    place = split_layers(len(shape.layers), gpu_layers, tuple(float(gpu.free) for gpu in gpus))
    batch = min(settings.batch, settings.context or settings.batch)
    sequences = pool_sequences(shape.window, settings.sequences)
    plan = replace(
        cache_plan(settings),
        context=padded(cells, STEP),
        sequences=sequences,
        unified=True,
        micro_batch=min(settings.ubatch, batch),
    )
    buffers = engine_buffers(shape, plan, batch, place, Engine(outputs_max=sequences))
    found = []
    for at, device in enumerate((*gpus, host)):
        output = buffers.output if device is host else 0
        found.append(DeviceFit(device, Terms(kv_cache=buffers.kv[at], compute=buffers.compute[at], output=output)))
    return tuple(found)


def fits(found: Sequence[DeviceFit], weights_on_host: int = 0) -> bool:
    """Whether a pool leaves every device its reserve. Mapped weights count as free memory, but they must stay."""
    return all(one.terms.total + RESERVE + (0 if one.device.is_gpu else weights_on_host) <= one.device.free for one in found)


def largest_pool(
    shape: ModelShape,
    settings: ContextSettings,
    wanted: int,
    devices: Sequence[Device],
    gpu_layers: int = 0,
    weights_on_host: int = 0,
) -> int:
    """The most cells up to `wanted` (rounded up) that fit, a multiple of 256; 0 where none do."""
    low, high = 0, padded(wanted, STEP) // STEP
    middle = high
    while low < high:
        if fits(pool_fit(shape, settings, middle * STEP, devices, gpu_layers), weights_on_host):
            low = middle
        else:
            high = middle - 1
        middle = (low + high + 1) // 2
    return low * STEP
