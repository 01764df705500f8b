"""What a graph is built for: the engine's build, where things lie, and the micro-batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What changed between llama.cpp builds and moves a buffer's size. The defaults are the build we ship.

    mask_f16        the mask is made in f16 for flash attention (2026-07); before, f32 and cast on the device
    fused_glu       gate and up give a third tensor (2025-07); before, the product was written in place
    index_inputs    cache rows are named by an index input (2025-08)
    embedding_input the embeddings input is kept beside the token lookup (2026-01)
    always_gather   the last layer gathers output rows even when all are wanted (2025-06)
    mask_rows       mask rows are padded to this many tokens (64 until 2025-11)
    flash_scratch   flash attention on CUDA keeps an f16 copy of a quantised cache in the compute buffer (2026)
    mask_cast       an f32 mask is cast for flash attention (not where a fused kernel reads f32: ipex-llm)
    mla_values      absorbed MLA keeps V beside K in the cache (until 2026-01)
    split_qkv       a fused QKV product is copied apart (until 2025-06)
    late_gather     some architectures gather output rows after the last layer, and keep it as an output (2026)
    keys_last       keys are computed after values where there is no window (2026)
    rotated_cache   a quantised cache is stored rotated by a Hadamard matrix (2026-03)
    fork            ik_llama.cpp's fused norms, products and expert sums
    fused_experts   ik_llama.cpp's -fmoe: gate and up in one operation
    """

    mask_f16: bool = True
    fused_glu: bool = True
    index_inputs: bool = True
    embedding_input: bool = True
    always_gather: bool = True
    mask_rows: int = 1
    mask_cast: bool = True
    flash_scratch: bool = True
    mla_values: bool = False
    split_qkv: bool = False
    late_gather: bool = True
    keys_last: bool = True
    rotated_cache: bool = True
    fork: bool = False
    fused_experts: bool = False


@dataclass(frozen=True, slots=True)
class Homes:
    """Which backend holds what: per layer, per layer's experts, the cache, the output; the host is `host`."""

    layer: tuple[int, ...]
    experts: tuple[int, ...]
    cache: tuple[int, ...]
    output: int
    host: int

    @property
    def all_offloaded(self) -> bool:
        return self.output < self.host and all(home < self.host for home in self.layer)


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch: tokens, the rows asked for, and the cache cells it sees, per stream."""

    tokens: int
    outputs: int
    streams: int
    sequences: int
    cells: int
    window_cells: int
    flash: bool
    k_bytes: float
    v_bytes: float
    metal: bool = False
