"""What an estimate needs to know of a model: layer by layer shapes, and the bytes of its tensors.

A `ModelShape` comes from a GGUF header (exact: every tensor's bytes are in it), from safetensors headers with
config.json, or from the hyperparameters a load log prints. Rules of architectures (window patterns, tied heads,
which layers are recurrent) follow llama.cpp's `models/*.cpp`; pure arithmetic, no file is touched here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .architectures import (
    BOTH_IN_ONE,
    DEFAULT_WINDOW,
    FULL_LAYERS_UNROTATED,
    FULL_RECURRENT,
    HYBRID_BY_HEADS,
    HYBRID_BY_INTERVAL,
    NO_CACHE,
    WINDOW_PERIOD,
    Lookup,
    habits,
    number,
)


@dataclass(frozen=True, slots=True)
class LayerShape:
    """One block. Widths are in elements; `kv_heads` 0 means that the block keeps no keys and values."""

    heads: int = 0
    kv_heads: int = 0
    head_k: int = 0
    head_v: int = 0
    feed_forward: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_ff: int = 0
    shared_ff: int = 0
    sliding: bool = False
    attention: bool = True
    recurrent: bool = False
    has_kv: bool = True
    rotary: bool = True

    @property
    def k_width(self) -> int:
        return self.kv_heads * self.head_k

    @property
    def v_width(self) -> int:
        return self.kv_heads * self.head_v


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """MLA (DeepSeek): ranks and head widths; `absorbed` when the cache holds the latent itself."""

    kv_rank: int
    q_rank: int
    rope: int
    key: int
    value: int
    absorbed: bool


@dataclass(frozen=True, slots=True)
class StateShape:
    """What a recurrent layer keeps per sequence, in f32 elements: `conv_row` and `scan_row`."""

    kind: str
    kernel: int
    inner: int
    size: int
    groups: int
    steps: int
    conv_row: int
    scan_row: int

    @property
    def conv_channels(self) -> int:
        return self.inner + 2 * self.groups * self.size

    @property
    def projection(self) -> int:
        """Width of the input projection."""
        if self.kind == "mamba2":
            return 2 * self.inner + 2 * self.groups * self.size + self.steps
        return 2 * self.inner


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model's shape. `tensors` maps GGUF tensor names to bytes (empty when only hyperparameters are known)."""

    architecture: str
    vocab: int
    embd: int
    layers: tuple[LayerShape, ...]
    context_train: int = 0
    window: int = 0
    name: str = ""
    file_type: str = ""
    mla: LatentAttention | None = None
    state: StateShape | None = None
    tied: bool = False
    causal: bool = True
    has_cache: bool = True
    encoder: bool = False
    is_projector: bool = False
    attention_softcap: bool = False
    final_softcap: bool = False
    scaled_embeddings: bool = False
    position_table: bool = False
    scaled_queries: bool = False
    qk_norm: bool = False
    post_norms: bool = False
    norms_after: bool = False
    layer_norm: bool = False
    parallel: bool = False
    parallel_norm: bool = False
    fused_qkv: bool = False
    fused_gate_up: bool = False
    gated: bool = True
    gated_attention: bool = False
    gated_shared_expert: bool = False
    qkv_bias: bool = False
    expert_bias: bool = False
    expert_tensor_bias: bool = False
    expert_weights_normed: bool = True
    expert_weights_softmax: bool = False
    residual_first: bool = False
    gathers_at_end: bool = False
    positions_per_token: int = 1
    parameters: int = 0
    bytes_per_weight: float = 2.0
    tensors: Mapping[str, int] = field(default_factory=dict, compare=False, hash=False)
    matrices: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)
    """by name, the format of the matrices whose rows come in eights: those an engine may copy in another order"""
    merges: int = 0
    """rules of the vocabulary by which pairs of tokens become one"""
    basis: str = ""

    def tensor_bytes(self, name: str, elements: int) -> int:
        """Bytes of a tensor: from the table where it is there, else `elements` at the model's usual format."""
        found = self.tensors.get(name)
        return found if found is not None else int(elements * self.bytes_per_weight)

    @property
    def embedding_bytes(self) -> int:
        return self.tensor_bytes("token_embd.weight", self.embd * self.vocab)

    @property
    def output_bytes(self) -> int:
        found = self.tensors.get("output.weight")
        return found if found is not None else self.embedding_bytes

    @property
    def weight_bytes(self) -> int:
        return sum(self.tensors.values())

    @property
    def experts(self) -> int:
        return max((layer.experts for layer in self.layers), default=0)

    def with_tensors(self, tensors: Mapping[str, int], basis: str) -> ModelShape:
        return replace(self, tensors=tensors, basis=basis)


_LIMITS = {
    "block_count": 10_000,
    "embedding_length": 1 << 22,
    "feed_forward_length": 1 << 26,
    "attention.head_count": 1 << 16,
    "attention.head_count_kv": 1 << 16,
    "attention.key_length": 1 << 20,
    "attention.value_length": 1 << 20,
    "context_length": 1 << 40,
    "expert_count": 1 << 16,
    "expert_used_count": 1 << 10,
    "expert_feed_forward_length": 1 << 26,
    "ssm.inner_size": 1 << 26,
    "ssm.state_size": 1 << 20,
    "ssm.group_count": 1 << 16,
}


def _check(get: Lookup, vocab: int) -> None:
    for key, limit in _LIMITS.items():
        value = get(key, None)
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, (int, float)) and not 0 <= item <= limit:
                raise ValueError(key)
    if not 0 <= vocab <= 1 << 28:
        raise ValueError("vocab_size")


def _per_layer(value: object, count: int, default: int = 0) -> list[int]:
    """A scalar or a list as one number per layer."""
    if isinstance(value, (list, tuple)):
        numbers = [int(item) for item in value[:count]]
        return numbers + [numbers[-1] if numbers else default] * (count - len(numbers))
    return [int(value) if isinstance(value, (int, float)) and value is not True else default] * count


def shape_from_keys(architecture: str, get: Lookup, vocab: int, tensors: Mapping[str, int], **extra: object) -> ModelShape:
    """The shape from GGUF keys. `get` is relative to the architecture; `tensors` may be empty.

    Raises ValueError for numbers that no model has (the file is damaged, or made to hurt).
    """
    arch = architecture
    _check(get, vocab)
    count = number(get, "block_count") - number(get, "nextn_predict_layers")
    embd = number(get, "embedding_length")
    heads = _per_layer(get("attention.head_count", 0), count)
    kv_heads = _per_layer(get("attention.head_count_kv", None), count, -1)
    kv_heads = [own if own >= 0 else h for own, h in zip(kv_heads, heads, strict=True)]
    usual = embd // max(max(heads, default=1), 1)
    key, value = number(get, "attention.key_length", usual), number(get, "attention.value_length", usual)
    key_swa = number(get, "attention.key_length_swa", key)
    value_swa = number(get, "attention.value_length_swa", value)
    window, sliding = window_pattern(arch, get, count)
    recurrent, attention = recurrent_pattern(arch, get, kv_heads)
    ff = _per_layer(get("feed_forward_length", 0), count)
    experts, lead = number(get, "expert_count"), number(get, "leading_dense_block_count")
    expert_ff = number(get, "expert_feed_forward_length", max(ff, default=0))
    shared_count = number(get, "expert_shared_count", 1 if arch in ("qwen2moe", "qwen3next", "qwen35moe") else 0)
    shared = number(get, "expert_shared_feed_forward_length", shared_count * expert_ff)
    step = number(get, "interleave_moe_layer_step", 1)
    own_kv = count - number(get, "attention.shared_kv_layers") if arch == "gemma4" else (20 if arch == "gemma3n" else count)
    layers = []
    for il in range(count):
        mixture = experts > 0 and il >= lead and (step <= 1 or (il + 1) % step == 0)
        if tensors and mixture and arch in ("jamba", "granitehybrid", "nemotron_h_moe", "step35", "laguna"):
            mixture = f"blk.{il}.ffn_down_exps.weight" in tensors
        layers.append(
            LayerShape(
                heads=heads[il],
                kv_heads=kv_heads[il],
                head_k=key_swa if sliding[il] else key,
                head_v=value_swa if sliding[il] else value,
                feed_forward=0 if mixture or arch in ("mamba", "mamba2") else ff[il],
                experts=experts if mixture else 0,
                experts_used=max(number(get, "expert_used_count"), 1) if mixture else 0,
                expert_ff=expert_ff if mixture else 0,
                shared_ff=shared if mixture else 0,
                sliding=sliding[il],
                attention=attention[il],
                recurrent=recurrent[il],
                has_kv=il < own_kv,
                rotary=sliding[il] or not window or arch not in FULL_LAYERS_UNROTATED,
            )
        )
    shape = ModelShape(
        architecture=arch,
        vocab=vocab,
        embd=embd,
        layers=tuple(layers),
        context_train=number(get, "context_length"),
        window=window,
        mla=_latent(arch, get, key, value),
        state=_state(arch, get, embd, heads) if any(recurrent) else None,
        tied=bool(tensors) and "output.weight" not in tensors,
        has_cache=arch not in NO_CACHE,
        encoder=arch in NO_CACHE,
        is_projector=arch == "clip",
        positions_per_token=4 if get("rope.dimension_sections", None) else 1,
        tensors=tensors,
        **habits(arch, get, tensors),  # type: ignore[arg-type]
    )
    return replace(shape, **extra) if extra else shape  # type: ignore[arg-type]


def window_pattern(arch: str, get: Lookup, count: int) -> tuple[int, list[bool]]:
    """(window in tokens, which layers are held to it); (0, none) where llama.cpp uses no window for `arch`."""
    window = number(get, "attention.sliding_window", DEFAULT_WINDOW.get(arch, 0))
    if window <= 0 or arch not in WINDOW_PERIOD:
        return 0, [False] * count
    if arch == "llama4":
        window = 8192
    pattern = get("attention.sliding_window_pattern", None)
    if isinstance(pattern, (list, tuple)):
        flags = [bool(item) for item in pattern[:count]]
        return window, flags + [False] * (count - len(flags))
    period, first = WINDOW_PERIOD[arch]
    if isinstance(pattern, int) and not isinstance(pattern, bool):
        period = pattern
    if period <= 0:
        return window, [True] * count
    return window, [(il % period != 0) if first else (il % period < period - 1) for il in range(count)]


def recurrent_pattern(arch: str, get: Lookup, kv_heads: list[int]) -> tuple[list[bool], list[bool]]:
    """Which layers keep a recurrent state, and which attend."""
    count = len(kv_heads)
    if arch in FULL_RECURRENT:
        return [True] * count, [False] * count
    if arch in BOTH_IN_ONE:
        return [True] * count, [True] * count
    if arch in HYBRID_BY_INTERVAL:
        listed = get("attention.recurrent_layers", None)
        if isinstance(listed, (list, tuple)) and len(listed) >= count:
            flags = [bool(item) for item in listed[:count]]
        else:
            interval = number(get, "full_attention_interval", 4) or 4
            flags = [(il + 1) % interval != 0 for il in range(count)]
        return flags, [not flag for flag in flags]
    if arch in HYBRID_BY_HEADS:
        ff = _per_layer(get("feed_forward_length", 0), count)
        only_ff = [arch.startswith("nemotron_h") and ff[il] > 0 for il in range(count)]
        flags = [kv_heads[il] == 0 and not only_ff[il] for il in range(count)]
        return flags, [kv_heads[il] > 0 for il in range(count)]
    return [False] * count, [heads > 0 for heads in kv_heads]


def _latent(arch: str, get: Lookup, key: int, value: int) -> LatentAttention | None:
    rank = number(get, "attention.kv_lora_rank")
    if not rank or arch not in (
        "deepseek2",
        "deepseek32",
        "glm-dsa",
        "kimi-linear",
        "minicpm3",
        "plm",
        "mistral4",
        "deepseek2-ocr",
    ):
        return None
    key_mla, value_mla = number(get, "attention.key_length_mla"), number(get, "attention.value_length_mla")
    absorbed = key_mla > 0 and value_mla > 0
    return LatentAttention(
        kv_rank=rank,
        q_rank=number(get, "attention.q_lora_rank"),
        rope=number(get, "rope.dimension_count", 64),
        key=key_mla if absorbed else key,
        value=value_mla if absorbed else value,
        absorbed=absorbed,
    )


def _state(arch: str, get: Lookup, embd: int, heads: list[int]) -> StateShape:
    """Rows of the recurrent cache (llama-hparams.cpp, `n_embd_r` and `n_embd_s`)."""
    kernel, inner = number(get, "ssm.conv_kernel"), number(get, "ssm.inner_size")
    size, groups = number(get, "ssm.state_size"), number(get, "ssm.group_count")
    steps = number(get, "ssm.time_step_rank")
    if arch.startswith(("rwkv", "arwkv")):
        head = number(get, "wkv.head_size", 64)
        shift = number(get, "token_shift_count", 1 if arch in ("arwkv7", "rwkv6qwen2") else 2)
        return StateShape("rwkv", 1, embd, head, 0, 0, shift * embd, embd * head)
    if short := number(get, "shortconv.l_cache"):
        return StateShape("shortconv", short, embd, 0, 0, 0, embd * (short - 1), 0)
    if kda := number(get, "kda.head_dim"):
        width = max(heads, default=0) * kda
        return StateShape("kda", kernel or 4, width, kda, 0, 0, 3 * ((kernel or 4) - 1) * width, kda * width)
    kind = "mamba" if arch in ("mamba", "jamba") else ("delta" if arch in HYBRID_BY_INTERVAL else "mamba2")
    conv = max(kernel - 1, 0) * (inner + 2 * groups * size)
    return StateShape(kind, kernel, inner, size, groups, steps, conv, size * inner)
