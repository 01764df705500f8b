"""What a model may ask for that llama.cpp does not compute for its architecture: each a function that raises ModelFileError then."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ModelFileError
from .config import Config

Check = Callable[[str, Config], None]
"""`(the architecture's name, the model's config)`"""


def unsupported(name: str, what: str) -> ModelFileError:
    """The error for a model that uses what llama.cpp has not."""
    return ModelFileError(
        f"This {name} model uses {what}, which llama.cpp does not compute.", "Use the folder with the transformers engine."
    )


def whole_rotation(name: str, config: Config) -> None:
    if config.rotated != config.head:
        raise unsupported(name, "RoPE on a part of each head")


def heads_fill_the_width(name: str, config: Config) -> None:
    if config.heads * config.head != config.width:
        raise unsupported(name, "heads that are not as wide together as the model")


def with_biases(name: str, config: Config) -> None:
    if config.get("use_bias") is False:
        raise unsupported(name, "layers without biases")


def every_fourth_without_positions(name: str, config: Config) -> None:
    """SmolLM 3: layers 4, 8, 12... have no RoPE, fixed in llama.cpp."""
    given = config.get("no_rope_layers")
    if given is not None and [bool(each) for each in given] != [(layer + 1) % 4 != 0 for layer in range(config.layers)]:
        raise unsupported(name, "another choice of layers without RoPE")
    if given is None and config.integer("no_rope_layer_interval", 4) != 4:
        raise unsupported(name, "another choice of layers without RoPE")
    if config.get("use_sliding_window") and "sliding_attention" in (config.get("layer_types") or ()):
        raise unsupported(name, "a sliding window")


def experts_everywhere(name: str, config: Config) -> None:
    if config.get("mlp_only_layers") or config.integer("decoder_sparse_step", 1) != 1:
        raise unsupported(name, "experts in some of its layers only")


def expert_weights_sum_to_one(name: str, config: Config) -> None:
    if not config.get("norm_topk_prob", False):
        raise unsupported(name, "the router's weights as they are (norm_topk_prob is off)")


def expert_weights_as_they_are(name: str, config: Config) -> None:
    if config.get("norm_topk_prob", False):
        raise unsupported(name, "router weights that are brought to a sum of 1 (norm_topk_prob is on)")


def no_clipping(name: str, config: Config) -> None:
    if config.get("clip_qkv"):
        raise unsupported(name, "clipped queries and keys")


def no_query_norms(name: str, config: Config) -> None:
    if config.get("use_qk_norm") or config.get("qk_layernorm"):
        raise unsupported(name, "norms on queries and keys")


def no_attention_soft_cap(name: str, config: Config) -> None:
    if config.get("attn_logit_softcapping"):
        raise unsupported(name, "a soft cap on its attention")


def one_direction(name: str, config: Config) -> None:
    if config.get("use_bidirectional_attention"):
        raise unsupported(name, "attention in both directions")


def gpt2_attention(name: str, config: Config) -> None:
    if config.get("scale_attn_weights") is False or config.get("scale_attn_by_inverse_layer_idx"):
        raise unsupported(name, "another scale of attention")
    if config.get("add_cross_attention"):
        raise unsupported(name, "cross attention")


def falcon_layout(name: str, config: Config) -> None:
    if config.get("alibi"):
        raise unsupported(name, "ALiBi positions")
    if config.get("parallel_attn") is False:
        raise unsupported(name, "feed-forward parts after, not beside, its attention")
    if config.get("bias"):
        raise unsupported(name, "biases")
    if not config.get("new_decoder_architecture") and not config.get("multi_query", True):
        raise unsupported(name, "a key head for each query head")
