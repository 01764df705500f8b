"""The numbers that llama.cpp wants to know of a model, written through `gguf`'s own key names; and the factors of RoPE scalings.

Knows a model by its `Config` and by a few flags of its architecture; no weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from .config import Config, Rope

Floats = NDArray[np.float32]


@dataclass
class Header:
    """What gathers while a file's header is made: the writer, small tensors that come of settings, and sentences for the user."""

    writer: Any
    tensors: dict[str, Floats] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Extra = Callable[[Header, Config], None]


def write_common(header: Header, config: Config, layer_norm: bool, vocabulary: int) -> None:
    """Sizes, heads and norms: what every architecture has."""
    writer = header.writer
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(key_heads(config))
    if config.get("head_dim") is not None or config.head * config.heads != config.width:
        writer.add_key_length(config.head)
        writer.add_value_length(config.head)
    if layer_norm:
        writer.add_layer_norm_eps(config.number("eps", 1e-5))
    else:
        writer.add_layer_norm_rms_eps(config.number("eps", 1e-6))
    writer.add_vocab_size(vocabulary)


def key_heads(config: Config) -> int:
    """Key heads, also of a Falcon, whose settings say it in three ways. Raises ModelFileError if query heads cannot share them."""
    count = config.kv_heads
    if config.get("multi_query") is not None and not config.get("new_decoder_architecture"):
        count = 1 if config.get("multi_query") else config.heads
    if count < 1 or config.heads % count:
        raise ModelFileError(
            f"config.json is damaged: {config.heads} query heads cannot share {count} key heads.", "Download the model again."
        )
    return count


def write_rope(header: Header, config: Config, name: str, scalings: tuple[str, ...]) -> None:
    """Base frequency, rotated part and scaling. Raises ModelFileError for what llama.cpp does not compute here."""
    writer, rope = header.writer, config.rope()
    if config.rotated % 2 or config.rotated <= 0:
        raise ModelFileError(
            f"This {name} model rotates {config.rotated} elements of each head, and llama.cpp rotates pairs.",
            "Use the folder with the transformers engine.",
        )
    writer.add_rope_dimension_count(config.rotated)
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "default":
        return
    if rope.kind == "dynamic":
        header.notes.append(
            f"Beyond {config.context} tokens this model stretches its positions (dynamic RoPE scaling); llama.cpp does not."
        )
        return
    if rope.kind not in scalings:
        raise ModelFileError(
            f"This {name} model uses {rope.kind[:40]} RoPE scaling, which llama.cpp does not compute for it.",
            "Use the folder with the transformers engine.",
        )
    {"linear": _linear, "yarn": _yarn, "llama3": _llama3, "longrope": _longrope}[rope.kind](header, config, rope)


def _linear(header: Header, config: Config, rope: Rope) -> None:
    header.writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    header.writer.add_rope_scaling_factor(rope.number("factor"))


def _yarn(header: Header, config: Config, rope: Rope) -> None:
    """YaRN (Peng et al. 2023). llama.cpp's own correction range and factor are the paper's; what a model changes of it is written too."""
    if rope.values.get("mscale") or rope.values.get("mscale_all_dim") or rope.values.get("truncate") is False:
        raise ModelFileError(
            "This model uses a variant of YaRN that cannot be converted.", "Use it with the transformers engine."
        )
    writer, factor = header.writer, rope.number("factor")
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(factor)
    writer.add_rope_scaling_orig_ctx_len(int(rope.number("original_max_position_embeddings", config.context)))
    if rope.number("beta_fast", 32) != 32 or rope.number("beta_slow", 1) != 1:
        raise ModelFileError(
            "This model uses YaRN with its own correction range, which llama.cpp does not read from a file.",
            "Use the folder with the transformers engine.",
        )
    if rope.values.get("attention_factor") is not None and factor > 1:
        writer.add_rope_scaling_attn_factors(rope.number("attention_factor") / (0.1 * math.log(factor) + 1.0))


def _llama3(header: Header, config: Config, rope: Rope) -> None:
    header.tensors["rope_freqs.weight"] = llama3_factors(rope, config.rotated)


def llama3_factors(rope: Rope, rotated: int) -> Floats:
    """What Llama 3.1 divides each frequency by, [rotated / 2]: 1 for short wavelengths, `factor` for long ones, and a ramp between.

    Source: the model card's reference implementation (apply_scaling in llama-models).
    """
    factor, old = rope.number("factor"), rope.number("original_max_position_embeddings")
    low, high = rope.number("low_freq_factor", 1.0), rope.number("high_freq_factor", 4.0)
    frequencies = rope.theta ** (-np.arange(0, rotated, 2, dtype=np.float64) / rotated)
    turns = old * frequencies / (2 * math.pi)  # in the old context
    ramp = np.clip((turns - low) / (high - low), 0.0, 1.0)
    factors: Floats = (1.0 / ((1.0 - ramp) / factor + ramp)).astype(np.float32)
    return factors


def _longrope(header: Header, config: Config, rope: Rope) -> None:
    """LongRoPE (Ding et al. 2024), as Phi-3 has it: two lists of factors, and a larger scale of attention."""
    old = int(rope.number("original_max_position_embeddings", config.context))
    stretch = config.context / old
    if rope.values.get("attention_factor") is not None:
        scale = rope.number("attention_factor")
    else:
        stretch = rope.number("factor", stretch)
        scale = math.sqrt(1 + math.log(stretch) / math.log(old)) if stretch > 1 else 1.0
    for name in ("long", "short"):
        factors = rope.values.get(f"{name}_factor")
        if not isinstance(factors, list) or len(factors) != config.rotated // 2:
            raise ModelFileError(f"config.json is damaged: its {name}_factor has a wrong length.", "Download the model again.")
        header.tensors[f"rope_factors_{name}.weight"] = np.asarray(factors, np.float32)
    header.writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
    header.writer.add_rope_scaling_orig_ctx_len(old)
    header.writer.add_rope_scaling_attn_factors(scale)
    if config.context > old:
        header.notes.append(
            f"llama.cpp chooses this model's positions for short or long texts by the size of the context window (up to {old} or more), "
            "transformers by the length of the text."
        )


# -- what single architectures have besides


def experts(header: Header, config: Config) -> None:
    count, used = config.integer("experts"), config.integer("experts_used")
    if not 0 < used <= count:
        raise ModelFileError(f"config.json is damaged: {used} of {count} experts cannot be used.", "Download the model again.")
    header.writer.add_expert_count(count)
    header.writer.add_expert_used_count(used)
    if config.get("moe_intermediate_size") is not None and config.get("model_type") in ("qwen2_moe", "qwen3_moe"):
        header.writer.add_expert_feed_forward_length(config.integer("moe_intermediate_size"))


def shared_expert(header: Header, config: Config) -> None:
    header.writer.add_expert_shared_feed_forward_length(config.integer("shared_expert_intermediate_size"))


def gemma2(header: Header, config: Config) -> None:
    if config.get("attn_logit_softcapping"):
        header.writer.add_attn_logit_softcapping(config.number("attn_logit_softcapping"))
    else:
        header.writer.add_attn_logit_softcapping(0.0)
    header.writer.add_final_logit_softcapping(config.number("final_logit_softcapping", 0.0))
    write_window(header, config, 2)


def gemma3(header: Header, config: Config) -> None:
    if config.get("final_logit_softcapping"):
        header.writer.add_final_logit_softcapping(config.number("final_logit_softcapping"))
    write_window(header, config, 6)
    sliding = config.rope("sliding_attention").theta if isinstance(config.get("rope_parameters"), dict) else None
    header.writer.add_rope_freq_base_swa(config.number("rope_local_base_freq", sliding or 10000.0))


def olmo(header: Header, config: Config) -> None:
    if config.get("clip_qkv"):
        header.writer.add_clamp_kqv(config.number("clip_qkv"))


def olmo2(header: Header, config: Config) -> None:
    """OLMo 3 is OLMo 2 with a window in three of four layers."""
    if config.get("sliding_window"):
        write_window(header, config, 4)


def granite(header: Header, config: Config) -> None:
    writer = header.writer
    writer.add_attention_scale(config.number("attention_multiplier", 1.0))
    writer.add_embedding_scale(config.number("embedding_multiplier", 1.0))
    writer.add_residual_scale(config.number("residual_multiplier", 1.0))
    writer.add_logit_scale(config.number("logits_scaling", 1.0))


def cohere(header: Header, config: Config) -> None:
    header.writer.add_logit_scale(config.number("logit_scale", 0.0625))


def cohere2(header: Header, config: Config) -> None:
    write_window(header, config, 4)


def gpt_neox(header: Header, config: Config) -> None:
    header.writer.add_parallel_residual(bool(config.get("use_parallel_residual", True)))


def write_window(header: Header, config: Config, every: int) -> None:
    """The sliding window and the layers that have it: all but each `every`th, where the config does not list them."""
    window = config.integer("sliding_window", 4096)
    kinds = config.get("layer_types")
    if kinds is None:
        every = config.integer("sliding_window_pattern", config.integer("_sliding_window_pattern", every))
        kinds = ["sliding_attention" if (layer + 1) % every else "full_attention" for layer in range(config.layers)]
    if len(kinds) != config.layers or set(kinds) - {"sliding_attention", "full_attention"}:
        raise ModelFileError("config.json is damaged: its layer_types do not fit its layers.", "Download the model again.")
    header.writer.add_sliding_window(window)
    header.writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in kinds])


def note_window(header: Header, config: Config) -> None:
    """Says, and writes down for whoever looks into the file, that a model has a sliding window which its architecture in llama.cpp has not."""
    window = config.get("sliding_window")
    used = config.get("use_sliding_window", True) and "full_attention" not in set(config.get("layer_types") or ("sliding",))
    if config.get("use_sliding_window"):
        used = "sliding_attention" in (config.get("layer_types") or ("sliding_attention",))
    if isinstance(window, int) and 0 < window < config.context and used:
        header.writer.add_sliding_window(window)
        header.notes.append(
            f"This model looks back {window} tokens in its attention; llama.cpp looks at all, so texts longer than that come out otherwise."
        )
