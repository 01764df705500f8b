"""Will it fit? A GGUF model through llama.cpp on the devices there are, term by term, before anything is loaded.

Weights and KV cache are exact. The compute buffer is computed by building and laying out llama.cpp's graph: exact
on the builds it was checked against (see docs), modelled where an architecture's graph is not known in full. The
runtime term (a CUDA context, pools) is a guess until it has been measured once on the machine. Each figure says
what it rests on in `basis`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Literal

from ..params import ContextSettings
from .buffers import Engine, Placement, engine_buffers, split_layers
from .devices import HOST, Device
from .kv_cache import CachePlan, padded
from .shape import ModelShape
from .words import amount

Verdict = Literal["fits", "tight", "partly on CPU", "does not fit"]

TERMS = ("weights", "kv_cache", "compute", "output", "runtime")
RUNTIME_GUESS = {"gpu": 450 << 20, "host": 40 << 20}
"""Bytes taken beside an engine's own buffers: 150 to 750 MiB on CUDA by card and driver; little on the host."""

HOST_BASE, PER_TOKEN, PER_MERGE = 9 << 20, 155, 106
"""Bytes that llama.cpp and our worker take on the host: in any case, per token of the vocabulary, per merge rule (measured, on Linux)."""

COMFORT = 0.95
"""Up to this share of what is free, a model fits; above it, it is tight."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Bytes by what they are for."""

    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    output: int = 0
    runtime: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.compute + self.output + self.runtime

    def __add__(self, other: Terms) -> Terms:
        return Terms(*(getattr(self, name) + getattr(other, name) for name in TERMS))

    def to_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in TERMS}


@dataclass(frozen=True, slots=True)
class DeviceFit:
    """What would lie on one device, against what it has free (with what is about to be unloaded counted as free)."""

    device: Device
    terms: Terms

    @property
    def share(self) -> float:
        """Of the free memory, how much is asked for; above 1 it is not there."""
        return self.terms.total / max(self.device.free, 1)


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer: per device, the verdict and one sentence why; bytes throughout."""

    devices: tuple[DeviceFit, ...]
    verdict: Verdict
    why: str
    context: int
    gpu_layers: int
    layers: int
    rule_of_thumb: int
    basis: dict[str, str] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        return sum((device.terms for device in self.devices), Terms())

    @property
    def total(self) -> int:
        return self.terms.total

    def to_dict(self) -> dict[str, Any]:
        """As the command line prints it: bytes, and the words."""
        return {
            "terms": self.terms.to_dict(),
            "total": self.total,
            "devices": [
                {
                    "name": one.device.name,
                    "label": one.device.label,
                    "free": one.device.free,
                    "size": one.device.total,
                    "terms": one.terms.to_dict(),
                    "total": one.terms.total,
                }
                for one in self.devices
            ],
            "verdict": self.verdict,
            "why": self.why,
            "context": self.context,
            "gpu_layers": self.gpu_layers,
            "layers": self.layers,
            "rule_of_thumb": self.rule_of_thumb,
            "basis": dict(self.basis),
        }


@dataclass(frozen=True)
class Situation:
    """Everything an estimate depends on beside the settings.

    held      bytes per device name that the model about to be unloaded holds: they count as free
    runtime   bytes per device name measured earlier on this machine, in place of the guess
    projector an mmproj file's shape, loaded beside the model
    """

    shape: ModelShape
    devices: tuple[Device, ...]
    held: Mapping[str, int] = field(default_factory=dict)
    runtime: Mapping[str, int] = field(default_factory=dict)
    projector: ModelShape | None = None
    engine: Engine = Engine()

    @property
    def gpus(self) -> tuple[Device, ...]:
        return tuple(device.with_freed(self.held.get(device.name, 0)) for device in self.devices if device.is_gpu)

    @property
    def host(self) -> Device:
        found = next((device for device in self.devices if not device.is_gpu), Device(HOST, "processor", 0, 0))
        return found.with_freed(self.held.get(found.name, 0))


def fit(
    shape: ModelShape,
    settings: ContextSettings,
    devices: Sequence[Device],
    *,
    held: Mapping[str, int] | None = None,
    runtime: Mapping[str, int] | None = None,
    projector: ModelShape | None = None,
    engine: Engine | None = None,
) -> Fit:
    """The estimate. `gpu_layers` -1 takes the best number, `context` 0 the most of the trained one that fits."""
    situation = Situation(shape, tuple(devices), held or {}, runtime or {}, projector, engine or Engine())
    if settings.context == 0:
        settings = replace(settings, context=max(largest_context(situation, settings), 256))
    layers = settings.gpu_layers if settings.gpu_layers >= 0 else best_gpu_layers(situation, settings)
    return _judge(situation, settings, layers)


def best_gpu_layers(situation: Situation, settings: ContextSettings) -> int:
    """The most layers (the output layer counted) that the GPUs hold comfortably; 0 where there is no GPU."""
    if not situation.gpus:
        return 0
    low, high = 0, len(situation.shape.layers) + 1
    while low < high:
        middle = (low + high + 1) // 2
        if _fits_on(situation, settings, middle, gpus_only=True):
            low = middle
        else:
            high = middle - 1
    return low


def largest_context(situation: Situation, settings: ContextSettings, limit: int = 0) -> int:
    """The longest context window that fits, in tokens, a multiple of 256; 0 where not even the shortest does.

    `limit` is where to stop, by default what the model was trained for. With `gpu_layers` -1 the whole model must
    stay on the GPUs where it does so at the shortest context; else whatever runs counts.
    """
    most = padded(limit or situation.shape.context_train or 4096, 256) // 256
    short = replace(settings, context=256 * max(1, settings.sequences))
    layers = settings.gpu_layers if settings.gpu_layers >= 0 else best_gpu_layers(situation, short)
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _fits_on(situation, replace(settings, context=middle * 256), layers):
            low = middle
        else:
            high = middle - 1
    return low * 256


def rule_of_thumb(parameters: int, bits: float) -> int:
    """(parameters x 4 bytes) / (32 / bits) x 1.2, in bytes: the classroom's figure, for comparison."""
    return round(parameters * 4 / (32 / bits) * 1.2)


# --- one estimate ----------------------------------------------------------------------------------------------------


def _fits_on(situation: Situation, settings: ContextSettings, layers: int, gpus_only: bool = False) -> bool:
    found = _estimate(situation, settings, layers)
    return all(one.share <= COMFORT for one in found if one.device.is_gpu or not gpus_only)


def _estimate(situation: Situation, settings: ContextSettings, gpu_layers: int) -> tuple[DeviceFit, ...]:
    shape, gpus, host = situation.shape, situation.gpus, situation.host
    used = gpus if gpu_layers > 0 else ()
    place = split_layers(len(shape.layers), gpu_layers, tuple(float(gpu.free) for gpu in used))
    on_host = min(settings.experts_on_cpu, len(shape.layers))
    if on_host and shape.experts:
        experts = tuple(-1 if il < on_host else home for il, home in enumerate(place.layers))
        place = replace(place, experts=experts, overridden=True)
    plan = cache_plan(settings)
    buffers = engine_buffers(shape, plan, settings.batch, place, situation.engine)
    weights = device_weights(shape, place)
    weights[-1] += repacked_bytes(situation)
    extra = situation.projector
    found = []
    for at, device in enumerate((*used, host)):
        is_host = at == len(used)
        own = Terms(
            weights=weights[-1 if is_host else at],
            kv_cache=buffers.kv[at],
            compute=buffers.compute[at],
            output=buffers.output if is_host else 0,
            runtime=_runtime(situation, device),
        )
        if extra is not None and at == 0:
            own += Terms(weights=extra.weight_bytes, compute=extra.weight_bytes // 8)
        found.append(DeviceFit(device, own))
    found[-1:-1] = [DeviceFit(gpu, Terms()) for gpu in gpus[len(used) :]]
    return tuple(found)


def cache_plan(settings: ContextSettings) -> CachePlan:
    """The cache that llama.cpp makes for these settings (`swa_full` off, as our worker asks for)."""
    return CachePlan(
        context=padded(max(settings.context, 1), 256),
        sequences=settings.sequences,
        unified=settings.unified_kv,
        micro_batch=min(settings.ubatch, settings.batch),
        type_k=settings.kv_type_k,
        type_v=settings.kv_type_v,
        flash=settings.flash_attention != "off",
    )


def device_weights(shape: ModelShape, place: Placement) -> list[int]:
    """Bytes of weights per GPU, the host last, by where llama.cpp puts each tensor.

    The token table stays on the host; a tied model with its output on a GPU holds the table there once more.
    """
    held = [0] * (place.gpus + 1)
    experts = place.experts or place.layers
    for name, nbytes in shape.tensors.items():
        if name.startswith("blk."):
            head = name[4:].partition(".")[0]
            il = int(head) if head.isdigit() else -1
            homes = experts if "_exps." in name else place.layers
            held[homes[il] if 0 <= il < len(homes) else place.output] += nbytes
        elif name.startswith(("output", "cls")):
            held[place.output] += nbytes
        else:
            held[-1] += nbytes
    if shape.tied and place.output >= 0:
        held[place.output] += shape.embedding_bytes
    return held


def repacked_bytes(situation: Situation) -> int:
    """Bytes that the copies llama.cpp makes of matrices on the host add to the file, which stays mapped.

    Of the file, what lies from the first to the last tensor used as it is stays in memory. Where there is a GPU with a
    buffer type for the host, that one is preferred and nothing is copied (llama-model.cpp, `make_cpu_buft_list`). A token
    table that is also the output matrix is copied for the latter.
    """
    shape, repacks = situation.shape, situation.engine.repacks
    if situation.gpus or not repacks:
        return 0
    copied = {name for name, kind in shape.matrices.items() if kind in repacks and not name.startswith("token_embd.")}
    ends = [*takewhile(copied.__contains__, shape.tensors), *takewhile(copied.__contains__, reversed([*shape.tensors]))]
    if shape.tied and shape.matrices.get("token_embd.weight") in repacks:
        copied.add("token_embd.weight")
    return sum(shape.tensors.get(name, 0) for name in copied) - sum(shape.tensors[name] for name in ends)


def _runtime(situation: Situation, device: Device) -> int:
    known = situation.runtime.get(device.name)
    if device.is_gpu:
        return RUNTIME_GUESS["gpu"] if known is None else known
    guess = HOST_BASE + situation.shape.vocab * PER_TOKEN + situation.shape.merges * PER_MERGE
    if known is None:
        return guess
    return min(max(known, guess), 2 * guess)  # what was measured may have been another vocabulary's


# --- the verdict -----------------------------------------------------------------------------------------------------


def _judge(situation: Situation, settings: ContextSettings, gpu_layers: int) -> Fit:
    shape = situation.shape
    count = len(shape.layers) + 1
    layers = min(gpu_layers, count) if situation.gpus else 0
    found = _estimate(situation, settings, layers)
    verdict, why = _verdict(found, layers, count, bool(situation.gpus))
    bits = 8 * shape.weight_bytes / shape.parameters if shape.parameters else 16.0
    thumb = rule_of_thumb(shape.parameters, bits) if shape.parameters else 0
    return Fit(found, verdict, why, settings.context, layers, count, thumb, _basis(situation))


def _verdict(found: tuple[DeviceFit, ...], layers: int, count: int, has_gpu: bool) -> tuple[Verdict, str]:
    short = [one for one in found if one.share > 1]
    if short:
        worst = max(short, key=lambda one: one.share)
        lack = amount(worst.terms.total - worst.device.free)
        text = f"{worst.device.name} has {amount(worst.device.free)} free and {amount(worst.terms.total)} are needed: {lack} short."
        return "does not fit", text
    fullest = max(found, key=lambda one: one.share)
    used = f"{amount(fullest.terms.total)} of the {amount(fullest.device.free)} free on {fullest.device.name}"
    if has_gpu and layers < count:
        return "partly on CPU", f"{layers} of {count} layers go to the GPU, the rest runs on the processor; it takes {used}."
    if fullest.share > COMFORT:
        return "tight", f"It takes {used}, which leaves little for anything else."
    return "fits", f"It takes {used}."


_MODELLED_GRAPHS = ("rwkv", "shortconv", "kda")


def _basis(situation: Situation) -> dict[str, str]:
    shape = situation.shape
    graph = "llama.cpp's graph for one micro-batch, laid out as its allocator does"
    if shape.state is not None and shape.state.kind in _MODELLED_GRAPHS:
        graph = f"modelled: the graph of {shape.architecture} is approximated by Mamba's"
    if shape.encoder or shape.is_projector:
        graph = "modelled: an encoder's graph without its extra embeddings and norms"
    copies = repacked_bytes(situation)
    weights = shape.basis or "the tensor table, each tensor where llama.cpp puts it"
    if copies:
        weights += f", and {amount(copies)} of copies in the order that this processor multiplies in"
    measured = all(device.name in situation.runtime for device in (*situation.gpus, situation.host))
    return {
        "weights": weights,
        "kv_cache": "exact: cells x widths of the layers x bytes of the cache types",
        "compute": graph,
        "output": "exact: vocabulary x sequences x 4 bytes",
        "runtime": "measured on this machine"
        if measured
        else "a guess by the vocabulary until a load has been measured on this machine",
        **({"projector": "weights from its tensor table; compute modelled"} if situation.projector else {}),
    }
