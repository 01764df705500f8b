"""The KV cache and the recurrent state of llama.cpp, in bytes per layer: exact.

Formula: cells x (k_width x bytes_k + v_width x bytes_v) summed over the layers that keep keys and values
(llama-kv-cache.cpp); sliding-window layers have their own, shorter cache (llama-kv-cache-iswa.cpp); recurrent layers
keep one f32 row per sequence (llama-memory-recurrent.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

from .formats import KV_BYTES
from .graph import F32
from .shape import LayerShape, ModelShape


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What the cache is made for. `context` is the whole context in tokens, over all sequences.

    `pad` is what cell counts are rounded up to (256; 32 without flash attention in builds before 2025-11);
    `window_batch` is the batch added to a sliding window (the micro-batch; the whole batch in 2025-05).
    """

    context: int
    sequences: int = 1
    unified: bool = True
    micro_batch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    flash: bool = True
    full_window: bool = False
    one_cache: bool = False
    latent_values: bool = False
    pad: int = 256

    @property
    def streams(self) -> int:
        return 1 if self.unified else self.sequences

    @property
    def cells(self) -> int:
        """Cells of the full cache, per stream."""
        share = self.context if self.unified else self.context // self.sequences
        return padded(max(share, 1), self.pad)

    def window_cells(self, window: int) -> int:
        """Cells of the sliding-window cache, per stream."""
        if self.full_window or self.one_cache:
            return self.cells
        wanted = window * (self.sequences if self.unified else 1) + self.micro_batch
        return padded(min(self.cells, wanted), self.pad)

    @property
    def k_bytes(self) -> float:
        return KV_BYTES[self.type_k]

    @property
    def v_bytes(self) -> float:
        return KV_BYTES[self.type_v]


def padded(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def layer_bytes(shape: ModelShape, plan: CachePlan) -> list[int]:
    """Bytes each layer keeps: keys, values, and recurrent state together."""
    return [kv + state for kv, state in zip(kv_bytes(shape, plan), state_bytes(shape, plan), strict=True)]


def kv_bytes(shape: ModelShape, plan: CachePlan) -> list[int]:
    """Bytes of keys and values per layer. Without flash attention V is padded to the widest layer's width."""
    if not shape.has_cache:
        return [0] * len(shape.layers)
    widest = max((layer.v_width for layer in shape.layers), default=0)
    absorbed = shape.mla is not None and shape.mla.absorbed
    return [_kv_of(layer, shape, plan, widest, absorbed) for layer in shape.layers]


def _kv_of(layer: LayerShape, shape: ModelShape, plan: CachePlan, widest: int, absorbed: bool) -> int:
    if not layer.attention or not layer.has_kv or layer.kv_heads == 0:
        return 0
    cells = plan.window_cells(shape.window) if layer.sliding else plan.cells
    values = layer.v_width if plan.flash else widest
    if absorbed and not plan.latent_values:
        values = 0
    return int(cells * plan.streams * (layer.k_width * plan.k_bytes + values * plan.v_bytes))


def state_bytes(shape: ModelShape, plan: CachePlan) -> list[int]:
    """Bytes of recurrent state per layer: (conv_row + scan_row) f32 elements per sequence."""
    state = shape.state
    if state is None:
        return [0] * len(shape.layers)
    row = (state.conv_row + state.scan_row) * F32 * plan.sequences
    return [row if layer.recurrent else 0 for layer in shape.layers]
