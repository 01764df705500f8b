"""Where a `ModelShape` comes from: a GGUF header, or a Hugging Face config.json with safetensors headers.

The GGUF way is exact. The other way takes the tensors' own bytes and reads widths from config.json under the names
the common families use; what a family keeps elsewhere is left at zero, and `basis` says which way it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ..errors import ModelFileError
from .linear import linear_parameters, table_parameters
from .shape import ModelShape, shape_from_keys

_ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen2_moe": "qwen2moe", "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe", "qwen3_next": "qwen3next", "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3",
    "gemma3_text": "gemma3", "phi3": "phi3", "phi": "phi2", "gpt_oss": "gpt-oss", "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2", "falcon": "falcon", "cohere": "command-r", "cohere2": "cohere2", "olmo2": "olmo2",
    "mamba": "mamba", "mamba2": "mamba2", "granitemoehybrid": "granitehybrid", "gpt2": "gpt2", "gpt_neox": "gptneox",
    "stablelm": "stablelm", "starcoder2": "starcoder2", "smollm3": "smollm3", "glm4": "glm4", "lfm2": "lfm2",
}  # fmt: skip

_MAX_CONFIG = 4 << 20


class TensorEntry(Protocol):
    """One tensor of a header's table."""

    @property
    def name(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Format(Protocol):
    """A tensor's number format."""

    @property
    def name(self) -> str: ...


class GgufEntry(TensorEntry, Protocol):
    """One tensor of a GGUF table."""

    @property
    def kind(self) -> Format: ...


class GgufHeader(Protocol):
    """What is asked of a GGUF header (`models.gguf_header` has one)."""

    @property
    def name(self) -> str: ...
    @property
    def tensors(self) -> Sequence[GgufEntry]: ...
    @property
    def architecture(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    def get(self, key: str, default: Any = None) -> Any: ...
    def count(self, key: str) -> int | None: ...


class SafetensorsHeader(Protocol):
    """What is asked of a safetensors header (`models.safetensors_header` has one)."""

    @property
    def tensors(self) -> Sequence[TensorEntry]: ...
    @property
    def parameters(self) -> int: ...


def shape_from_gguf(header: GgufHeader) -> ModelShape:
    """The shape of a GGUF model. Raises ModelFileError where the header names no layers."""
    if not header.architecture:
        raise ModelFileError(f"{header.name} does not say what model it holds.", "Get another file of this model.")
    tensors = {tensor.name: tensor.nbytes for tensor in header.tensors}
    vocab = header.count("tokenizer.ggml.tokens") or _whole(header.get("vocab_size")) or _vocab_by_table(header)
    if header.architecture != "clip" and not 0 < (_whole(header.get("block_count")) or 0) < 10_000:
        raise ModelFileError(f"{header.name} does not say how many layers it has.", "Get another file of this model.")
    try:
        return shape_from_keys(
            header.architecture,
            lambda key, default=None: header.get(key, default),
            vocab,
            tensors,
            name=str(header.get("general.name") or header.name),
            parameters=header.parameters,
            matrices=_matrices(header),
            merges=header.count("tokenizer.ggml.merges") or 0,
            basis="the tensor table of the GGUF header, each tensor where llama.cpp puts it",
        )
    except (TypeError, ValueError, OverflowError, ArithmeticError, AttributeError):
        raise ModelFileError(f"The hyperparameters of {header.name} make no sense.", "Download the file again.") from None


def read_config(data: bytes, name: str) -> dict[str, Any]:
    """config.json as a table. Raises ModelFileError."""
    try:
        table = json.loads(data[:_MAX_CONFIG])
    except (ValueError, RecursionError):
        raise ModelFileError(f"{name} is not JSON.", "Download the model again.") from None
    if not isinstance(table, dict):
        raise ModelFileError(f"{name} is no model configuration.", "Download the model again.")
    return table


def shape_from_config(config: Mapping[str, Any], header: SafetensorsHeader | None, name: str = "") -> ModelShape:
    """The shape from config.json, with the tensors' bytes where `header` is given. Raises ModelFileError."""
    inner = config.get("text_config")
    text: Mapping[str, Any] = {**config, **inner} if isinstance(inner, dict) else config
    keys = _keys(text)
    if not 0 < keys["block_count"] < 10_000 or not 0 < keys["embedding_length"] < 1 << 24:
        raise ModelFileError(f"{name or 'config.json'} does not say how many layers the model has.", "Choose another model.")
    kind = str(text.get("model_type", ""))
    tensors = {tensor.name: tensor.nbytes for tensor in header.tensors} if header else {}
    tied = bool(text.get("tie_word_embeddings", False))
    try:
        shape = shape_from_keys(
            _ARCHITECTURES.get(kind, kind),
            lambda key, default=None: default if keys.get(key) is None else keys[key],
            _whole(text.get("vocab_size")) or 0,
            {},
            name=name or str(config.get("_name_or_path") or kind),
            file_type=str(text.get("torch_dtype") or text.get("dtype") or ""),
            tied=tied,
        )
        parameters = header.parameters if header else count_parameters(shape)
        basis = "the safetensors headers" if header else "config.json alone: parameters counted from the widths"
        return replace(shape, tensors=tensors, parameters=parameters, basis=basis)
    except (TypeError, ValueError, OverflowError, ArithmeticError, AttributeError):
        raise ModelFileError(f"{name or 'config.json'} makes no sense as a model.", "Choose another model.") from None


def count_parameters(shape: ModelShape) -> int:
    """Parameters from widths alone: embeddings, head, and the matrices of each layer (norms left out)."""
    return table_parameters(shape) + linear_parameters(shape)


def _keys(c: Mapping[str, Any]) -> dict[str, Any]:
    """config.json in GGUF's words."""
    embd = _whole(c.get("hidden_size") or c.get("n_embd") or c.get("d_model")) or 0
    layers = _whole(c.get("num_hidden_layers") or c.get("n_layer") or c.get("num_layers")) or 0
    heads = _whole(c.get("num_attention_heads") or c.get("n_head")) or 0
    kv = 1 if c.get("multi_query") else c.get("num_key_value_heads", c.get("num_kv_heads"))
    head = _whole(c.get("head_dim")) or (embd // heads if heads else 0)
    feed = c.get("intermediate_size") or c.get("n_inner") or c.get("ffn_hidden_size") or 4 * embd
    window = c.get("sliding_window") if c.get("use_sliding_window", True) else None
    kinds = c.get("layer_types")
    pattern: Any = c.get("sliding_window_pattern")
    if isinstance(kinds, list) and "sliding_attention" in kinds:
        pattern = [kind == "sliding_attention" for kind in kinds]
    recurrent = (
        [kind not in ("full_attention", "attention", "sliding_attention") for kind in kinds] if isinstance(kinds, list) else []
    )
    latent = c.get("kv_lora_rank")
    rope = _whole(c.get("qk_rope_head_dim")) or 0
    nope = _whole(c.get("qk_nope_head_dim")) or 0
    return {
        "block_count": layers,
        "embedding_length": embd,
        "context_length": c.get("max_position_embeddings") or c.get("n_positions"),
        "feed_forward_length": feed,
        "attention.head_count": heads,
        "attention.head_count_kv": kv if kv is not None else heads,
        "attention.key_length": nope + rope if latent else head,
        "attention.value_length": c.get("v_head_dim") if latent else head,
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": pattern,
        "attention.recurrent_layers": recurrent if any(recurrent) else None,
        "attention.kv_lora_rank": latent,
        "attention.q_lora_rank": c.get("q_lora_rank"),
        "rope.dimension_count": rope or None,
        "expert_count": c.get("num_local_experts") or c.get("num_experts") or c.get("n_routed_experts"),
        "expert_used_count": c.get("num_experts_per_tok"),
        "expert_feed_forward_length": c.get("moe_intermediate_size"),
        "expert_shared_count": c.get("n_shared_experts"),
        "expert_shared_feed_forward_length": c.get("shared_expert_intermediate_size"),
        "leading_dense_block_count": c.get("first_k_dense_replace"),
        "full_attention_interval": c.get("full_attention_interval"),
        "ssm.conv_kernel": c.get("conv_kernel") or c.get("mamba_d_conv") or c.get("linear_conv_kernel_dim"),
        "ssm.inner_size": _product(c, "mamba_n_heads", "mamba_d_head")
        or _product(c, "linear_num_value_heads", "linear_value_head_dim"),
        "ssm.state_size": c.get("state_size") or c.get("mamba_d_state") or c.get("linear_key_head_dim"),
        "ssm.time_step_rank": c.get("num_heads") or c.get("mamba_n_heads") or c.get("linear_num_value_heads"),
        "ssm.group_count": c.get("n_groups") or c.get("mamba_n_groups") or c.get("linear_num_key_heads"),
    }


def _matrices(header: GgufHeader) -> dict[str, str]:
    """See `ModelShape.matrices`. Experts lie in one tensor of three axes; no other such tensor is multiplied as matrices are."""
    found = {}
    for tensor in header.tensors:
        axes = 3 if "_exps." in tensor.name else 2
        of_layer = tensor.name.startswith(("blk.", "output.", "token_embd."))
        if of_layer and len(tensor.shape) == axes and tensor.shape[1] % 8 == 0:
            found[tensor.name] = tensor.kind.name.lower()
    return found


def _product(c: Mapping[str, Any], *names: str) -> int:
    return math.prod(_whole(c.get(name)) or 0 for name in names)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _vocab_by_table(header: GgufHeader) -> int:
    found = next((t for t in header.tensors if t.name == "token_embd.weight"), None)
    return found.shape[-1] if found is not None and found.shape else 0
