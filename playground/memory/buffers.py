"""llama.cpp's own buffers on each device: KV cache, compute, output. Weights come from the tensor table.

The compute buffer is not a formula: the graph of one micro-batch is built (`layers`) and laid out as ggml would
(`schedule`). A run of equal layers is represented by four of them, since memory repeats from layer to layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from .graph import F32
from .kv_cache import CachePlan, layer_bytes
from .layers import build
from .schedule import COPIES_IN_PIPELINE, Backends, buffer_sizes
from .shape import ModelShape
from .traits import Batch, EngineTraits, Homes

_KEPT = 4


@dataclass(frozen=True, slots=True)
class Placement:
    """Which device holds each layer (device index, -1 the host), the output layer, and the experts."""

    layers: tuple[int, ...]
    output: int
    experts: tuple[int, ...] = ()
    gpus: int = 1
    cache_on_host: bool = False
    overridden: bool = False

    @property
    def offloaded(self) -> int:
        """Layers on a GPU, the output layer counted as one."""
        return sum(home >= 0 for home in self.layers) + (self.output >= 0)


@dataclass(frozen=True, slots=True)
class Engine:
    """What builds and programs decide: graph traits, outputs reserved, embeddings, op offload, alignment.

    `repacks`: formats whose matrices the processor gets as a second copy, in the order its instructions like.
    """

    traits: EngineTraits = EngineTraits()
    outputs_max: int = 0
    embeddings: bool = False
    op_offload: bool = True
    pipeline: bool = True
    metal: bool = False
    host_alignment: int = 32
    device_alignment: int = 128
    repacks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EngineBuffers:
    """Bytes; `kv` and `compute` one per GPU with the host last, `output` on the host."""

    kv: tuple[int, ...]
    compute: tuple[int, ...]
    output: int


def split_layers(count: int, gpu_layers: int, shares: tuple[float, ...]) -> Placement:
    """llama.cpp's split: the last `gpu_layers` of the `count` + 1 layers (the output is the last), over the GPUs by
    their `shares`. Source: llama-model.cpp, `load_tensors`.
    """
    acting = min(gpu_layers, count + 1) if shares else 0
    start = max(count + 1 - gpu_layers, 0)
    total = sum(shares) or 1.0
    ends = [sum(shares[: i + 1]) / total for i in range(len(shares))]

    def home(il: int) -> int:
        if il < start or il - start >= acting:
            return -1
        return next((i for i, end in enumerate(ends) if end > (il - start) / acting), len(shares) - 1)

    return Placement(tuple(home(il) for il in range(count)), home(count), gpus=len(shares))


def engine_buffers(
    shape: ModelShape, plan: CachePlan, batch: int, place: Placement, engine: Engine | None = None
) -> EngineBuffers:
    """The three buffers for a context. `batch` is the most tokens handed over at once."""
    engine = engine or Engine()
    gpus = place.gpus
    kv = [0] * (gpus + 1)
    for home, nbytes in zip(place.layers, layer_bytes(shape, plan), strict=True):
        kv[gpus if home < 0 or place.cache_on_host else home] += nbytes
    rows = plan.sequences * ((0 if shape.encoder else shape.vocab) + (shape.embd if engine.embeddings or shape.encoder else 0))
    compute = compute_buffers(shape, plan, batch, place, engine)
    return EngineBuffers(tuple(kv), compute, rows * F32)


def compute_buffers(shape: ModelShape, plan: CachePlan, batch: int, place: Placement, engine: Engine) -> tuple[int, ...]:
    """Bytes of the compute buffer per GPU, the host last."""
    return _compute_buffers(_Key(shape), plan, batch, place, engine)


class _Key:
    """A shape as a cache key: two quantizations of one model differ in their tensors only."""

    def __init__(self, shape: ModelShape) -> None:
        self.shape, self.nbytes = shape, shape.weight_bytes

    def __hash__(self) -> int:
        return hash((self.shape, self.nbytes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.nbytes, self.shape) == (other.nbytes, other.shape)


@lru_cache(maxsize=512)
def _compute_buffers(key: _Key, plan: CachePlan, batch: int, place: Placement, engine: Engine) -> tuple[int, ...]:
    shape = key.shape
    if shape.is_projector or not shape.layers:
        return (0,) * (place.gpus + 1)
    kept = _representatives(shape, place)
    shape = replace(shape, layers=tuple(shape.layers[il] for il in kept), tensors=_renamed(shape, kept))
    experts = place.experts or place.layers
    host = place.gpus
    layer_homes = tuple(host if place.layers[il] < 0 else place.layers[il] for il in kept)
    homes = Homes(
        layer=layer_homes,
        experts=tuple(host if experts[il] < 0 else experts[il] for il in kept),
        cache=tuple(host if place.cache_on_host else home for home in layer_homes),
        output=host if place.output < 0 else place.output,
        host=host,
    )
    context = plan.cells * plan.streams
    batch = min(batch, context)
    tokens = min(context, plan.micro_batch, batch)
    if tokens % plan.streams:
        tokens = -(-tokens // plan.streams) * plan.streams
    outputs = min(tokens, engine.outputs_max or batch)
    step = Batch(
        tokens=tokens,
        outputs=outputs,
        streams=plan.streams,
        sequences=plan.sequences,
        cells=plan.cells,
        window_cells=plan.window_cells(shape.window),
        flash=plan.flash,
        k_bytes=plan.k_bytes,
        v_bytes=plan.v_bytes,
        metal=engine.metal,
    )
    pipelined = engine.pipeline and place.gpus > 1 and homes.all_offloaded and not place.overridden and not place.cache_on_host
    backends = Backends(
        gpus=place.gpus,
        offload=engine.op_offload,
        copies=COPIES_IN_PIPELINE if pipelined else 1,
        alignment=(engine.device_alignment,) * place.gpus + (engine.host_alignment,),
    )
    return tuple(buffer_sizes(build(shape, step, homes, engine.traits), backends))


def _representatives(shape: ModelShape, place: Placement) -> list[int]:
    """Indices of the layers kept: the first and last two of every run of equal kind and place."""
    experts = place.experts or place.layers
    kinds = [(shape.layers[il], place.layers[il], experts[il]) for il in range(len(shape.layers))]
    kept: list[int] = []
    start = 0
    period = _period(kinds)
    if period > 1:
        return list(range(len(kinds))) if len(kinds) <= 3 * period + 4 else _ends(len(kinds), period)
    for il in range(1, len(kinds) + 1):
        if il == len(kinds) or kinds[il] != kinds[start]:
            run = list(range(start, il))
            kept += run if len(run) <= _KEPT else run[:2] + run[-2:]
            start = il
    return kept


def _period(kinds: Sequence[tuple[object, int, int]]) -> int:
    """The length of the pattern by which kinds repeat (sliding windows, hybrids); 1 where there is none."""
    for period in range(2, min(13, len(kinds) // 3 + 1)):
        if all(kinds[il] == kinds[il + period] for il in range(len(kinds) - period)):
            return 1 if len(set(kinds[:period])) == 1 else period
    return 1


def _ends(count: int, period: int) -> list[int]:
    whole = count // period * period
    return list(range(period)) + list(range(whole - period, count))


def _renamed(shape: ModelShape, kept: list[int]) -> dict[str, int]:
    """The tensor table with kept layers renumbered, so that each finds its own tensors."""
    if not shape.tensors:
        return {}
    number = {f"blk.{il}.": f"blk.{at}." for at, il in enumerate(kept)}
    table: dict[str, int] = {}
    for name, nbytes in shape.tensors.items():
        if not name.startswith("blk."):
            table[name] = nbytes
            continue
        head, _, rest = name[4:].partition(".")
        if (new := number.get(f"blk.{head}.")) is not None:
            table[new + rest] = nbytes
    return table
