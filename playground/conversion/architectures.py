"""The models that can be converted: for each class in transformers one entry that says what llama.cpp calls it and how its weights differ.

A model that is not in the table, or that asks for something its entry does not say llama.cpp computes, is refused with a sentence: a file
that loads and answers wrongly is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import gguf

from ..errors import ModelFileError
from . import checks
from .checks import Check
from .config import Config
from .hyperparameters import (
    Extra,
    cohere,
    cohere2,
    experts,
    gemma2,
    gemma3,
    gpt_neox,
    granite,
    olmo,
    olmo2,
    shared_expert,
)

Arch = gguf.MODEL_ARCH

_ATTENTION = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output")
_FUSED = ("attn_norm", "attn_qkv", "attn_output")
_GATED = ("ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
_PLAIN = ("ffn_norm", "ffn_up", "ffn_down")
_EXPERTS = ("ffn_norm", "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_QK_NORMS = ("attn_q_norm", "attn_k_norm")
_QKV = ("attn_q", "attn_k", "attn_v", "attn_qkv")
_NORMS = ("attn_norm", "attn_norm_2", "ffn_norm", "output_norm")
_ALL = (*_QKV, *_NORMS, "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output")
_POST_NORMS = ("post_attention_norm", "post_ffw_norm")


@dataclass(frozen=True)
class Architecture:
    """One entry. The flags say how the weights of transformers become those of llama.cpp; nothing else is done to them."""

    name: str
    """for people"""
    arch: gguf.MODEL_ARCH
    blocks: tuple[str, ...]
    """the tensors that every layer must have"""
    activations: tuple[str, ...] = ("silu", "swish")
    """what llama.cpp computes between the two halves of the feed-forward part, by transformers' names"""
    biases: tuple[str, ...] = _QKV
    """the tensors that may have one; any other makes a file that llama.cpp does not load"""
    layer_norm: bool = False
    """LayerNorm rather than RMSNorm"""
    interleaved: bool = False
    """llama.cpp rotates neighbours here, so the rows of queries and keys are reordered (`orders.interleave`)"""
    rope: bool = True
    scalings: tuple[str, ...] = ("linear", "yarn")
    """kinds of RoPE scaling that llama.cpp computes for this architecture"""
    norms_plus_one: bool = False
    """the norms' weights are stored less 1"""
    transposed: bool = False
    """matrices are stored [inputs, outputs]"""
    fused_groups: bool = False
    """attention is one matrix, group by group (`orders.ungrouped`)"""
    tied: bool = False
    """whether the output matrix is the token table where config.json does not say"""
    output: str = "optional"
    """`optional`: a tied model has none; `needed`: it is written twice then; `never`: the model must be tied"""
    output_norm: bool = True
    extra: tuple[Extra, ...] = ()
    """further hyperparameters"""
    checks: tuple[Check, ...] = ()
    """what would be computed otherwise than the model means it"""
    scale_queries: Callable[[Config], tuple[str, float]] | None = None
    """tensor and factor, where llama.cpp's scale of the attention's products is another one than the model's"""
    ignores_window: bool = False
    """llama.cpp computes no sliding window here, although some of these models have one"""


_LLAMA = Architecture(
    "Llama",
    Arch.LLAMA,
    (*_ATTENTION, *_GATED),
    biases=(*_QKV, "attn_output", "ffn_gate", "ffn_up", "ffn_down"),
    interleaved=True,
    scalings=("linear", "yarn", "llama3", "longrope"),
    checks=(checks.whole_rotation,),
    ignores_window=True,
)
_QWEN2 = Architecture("Qwen 2", Arch.QWEN2, (*_ATTENTION, *_GATED), ignores_window=True)
_GEMMA = Architecture(
    "Gemma",
    Arch.GEMMA,
    (*_ATTENTION, *_GATED),
    activations=("gelu_pytorch_tanh", "gelu"),  # the first Gemma's config says gelu and means the other
    norms_plus_one=True,
    tied=True,
    output="never",
)

TABLE: dict[str, Architecture] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": replace(_LLAMA, name="Mistral"),
    "MixtralForCausalLM": replace(
        _LLAMA, biases=(*_QKV, "attn_output"), name="Mixtral", blocks=(*_ATTENTION, *_EXPERTS), extra=(experts,)
    ),
    "SmolLM3ForCausalLM": replace(
        _LLAMA,
        biases=_QKV,
        name="SmolLM 3",
        arch=Arch.SMOLLM3,
        scalings=("linear", "yarn"),
        tied=True,
        checks=(checks.whole_rotation, checks.every_fourth_without_positions),
    ),
    "Qwen2ForCausalLM": _QWEN2,
    "Qwen3ForCausalLM": replace(_QWEN2, name="Qwen 3", arch=Arch.QWEN3, blocks=(*_ATTENTION, *_QK_NORMS, *_GATED)),
    "Qwen2MoeForCausalLM": replace(
        _QWEN2,
        name="Qwen 2 MoE",
        arch=Arch.QWEN2MOE,
        blocks=(*_ATTENTION, *_EXPERTS, "ffn_gate_inp_shexp", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"),
        extra=(experts, shared_expert),
        checks=(checks.experts_everywhere, checks.expert_weights_as_they_are),
        output="needed",
    ),
    "Qwen3MoeForCausalLM": replace(
        _QWEN2,
        name="Qwen 3 MoE",
        arch=Arch.QWEN3MOE,
        blocks=(*_ATTENTION, *_QK_NORMS, *_EXPERTS),
        extra=(experts,),
        checks=(checks.experts_everywhere, checks.expert_weights_sum_to_one),
    ),
    "GemmaForCausalLM": _GEMMA,
    "Gemma2ForCausalLM": replace(
        _GEMMA,
        name="Gemma 2",
        arch=Arch.GEMMA2,
        blocks=(*_ATTENTION, *_GATED, *_POST_NORMS),
        activations=("gelu_pytorch_tanh",),
        extra=(gemma2,),
        scale_queries=lambda config: ("attn_q", _query_scale(config, 46)),
    ),
    "Gemma3ForCausalLM": replace(
        _GEMMA,
        name="Gemma 3",
        arch=Arch.GEMMA3,
        blocks=(*_ATTENTION, *_QK_NORMS, *_GATED, *_POST_NORMS),
        activations=("gelu_pytorch_tanh",),
        scalings=("linear",),
        output="optional",
        extra=(gemma3,),
        checks=(checks.no_attention_soft_cap, checks.one_direction),
        scale_queries=lambda config: ("attn_q_norm", _query_scale(config, 62)),
    ),
    "Phi3ForCausalLM": Architecture(
        "Phi 3",
        Arch.PHI3,
        (*_FUSED, "ffn_norm", "ffn_up", "ffn_down"),
        scalings=("longrope",),
        checks=(checks.heads_fill_the_width,),
        ignores_window=True,
    ),
    "GPT2LMHeadModel": Architecture(
        "GPT-2",
        Arch.GPT2,
        (*_FUSED, *_PLAIN),
        activations=("gelu_new", "gelu_pytorch_tanh"),
        biases=_ALL,
        layer_norm=True,
        rope=False,
        transposed=True,
        tied=True,
        checks=(checks.gpt2_attention,),
    ),
    "OlmoForCausalLM": Architecture(
        "OLMo",
        Arch.OLMO,
        ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"),
        layer_norm=True,
        interleaved=True,
        output_norm=False,
        extra=(olmo,),
    ),
    "Olmo2ForCausalLM": Architecture(
        "OLMo 2",
        Arch.OLMO2,
        ("attn_q", "attn_k", "attn_v", "attn_output", *_QK_NORMS, "ffn_gate", "ffn_up", "ffn_down", *_POST_NORMS),
        output="needed",
        extra=(olmo2,),
    ),
    "OlmoeForCausalLM": Architecture(
        "OLMoE",
        Arch.OLMOE,
        (*_ATTENTION, *_QK_NORMS, *_EXPERTS),
        extra=(experts,),
        checks=(checks.expert_weights_as_they_are, checks.no_clipping),
        output="needed",
    ),
    "GraniteForCausalLM": replace(
        _LLAMA, name="Granite", arch=Arch.GRANITE, scalings=("linear", "yarn", "llama3"), extra=(granite,), ignores_window=False
    ),
    "GraniteMoeForCausalLM": replace(
        _LLAMA,
        biases=(*_QKV, "attn_output"),
        name="Granite MoE",
        arch=Arch.GRANITE_MOE,
        blocks=(*_ATTENTION, *_EXPERTS),
        scalings=("linear", "yarn", "llama3"),
        extra=(granite, experts),
        ignores_window=False,
    ),
    "CohereForCausalLM": Architecture(
        "Command R",
        Arch.COMMAND_R,
        (*_ATTENTION, "ffn_gate", "ffn_up", "ffn_down"),
        layer_norm=True,
        scalings=("linear", "yarn"),
        tied=True,
        output="never",
        extra=(cohere,),
        checks=(checks.no_query_norms, checks.heads_fill_the_width),
    ),
    "Cohere2ForCausalLM": Architecture(
        "Command R7B",
        Arch.COHERE2,
        (*_ATTENTION, "ffn_gate", "ffn_up", "ffn_down"),
        layer_norm=True,
        tied=True,
        output="never",
        extra=(cohere, cohere2),
        checks=(checks.heads_fill_the_width,),
    ),
    "StableLmForCausalLM": Architecture(
        "StableLM",
        Arch.STABLELM,
        (*_ATTENTION, "ffn_gate", "ffn_up", "ffn_down"),
        biases=(*_QKV, *_NORMS),
        layer_norm=True,
        output="needed",
        checks=(checks.no_query_norms, checks.heads_fill_the_width),
    ),
    "Starcoder2ForCausalLM": Architecture(
        "StarCoder 2",
        Arch.STARCODER2,
        (*_ATTENTION, *_PLAIN),
        activations=("gelu_pytorch_tanh", "gelu_new"),
        biases=_ALL,
        layer_norm=True,
        tied=True,
        checks=(checks.heads_fill_the_width, checks.with_biases),
        ignores_window=True,
    ),
    "GPTNeoXForCausalLM": Architecture(
        "GPT-NeoX",
        Arch.GPTNEOX,
        (*_FUSED, *_PLAIN),
        activations=("gelu", "gelu_new", "gelu_pytorch_tanh"),
        biases=_ALL,
        layer_norm=True,
        fused_groups=True,
        output="needed",
        extra=(gpt_neox,),
    ),
    "PhiForCausalLM": Architecture(
        "Phi 2",
        Arch.PHI2,
        (*_ATTENTION, "ffn_up", "ffn_down"),
        activations=("gelu_new", "gelu_pytorch_tanh"),
        biases=_ALL,
        layer_norm=True,
        output="needed",
        checks=(checks.no_query_norms, checks.heads_fill_the_width),
    ),
    "FalconForCausalLM": Architecture(
        "Falcon",
        Arch.FALCON,
        (*_FUSED, "ffn_up", "ffn_down"),
        activations=("gelu", "gelu_new", "gelu_pytorch_tanh"),
        biases=(*_QKV, *_NORMS),
        layer_norm=True,
        fused_groups=True,
        tied=True,
        checks=(checks.falcon_layout,),
    ),
    "ArceeForCausalLM": replace(
        _LLAMA, biases=_QKV, name="Arcee", arch=Arch.ARCEE, blocks=(*_ATTENTION, *_PLAIN), activations=("relu2",)
    ),
    "Ernie4_5ForCausalLM": Architecture(
        "ERNIE 4.5", Arch.ERNIE4_5, (*_ATTENTION, *_GATED), tied=True, checks=(checks.whole_rotation,)
    ),
    "NemotronForCausalLM": Architecture(
        "Nemotron",
        Arch.NEMOTRON,
        (*_ATTENTION, *_PLAIN),
        activations=("relu2",),
        biases=_ALL,
        layer_norm=True,
        norms_plus_one=True,
        output="needed",
        checks=(checks.heads_fill_the_width,),
    ),
    "SeedOssForCausalLM": Architecture(
        "Seed-OSS",
        Arch.SEED_OSS,
        (*_ATTENTION, "post_attention_norm", "ffn_gate", "ffn_up", "ffn_down"),
    ),
    "Glm4ForCausalLM": Architecture(
        "GLM 4",
        Arch.GLM4,
        (*_ATTENTION, *_POST_NORMS, "ffn_norm", "ffn_up", "ffn_down"),
    ),
}
TABLE["Gemma3ForConditionalGeneration"] = TABLE["Gemma3ForCausalLM"]
TABLE["Olmo3ForCausalLM"] = replace(TABLE["Olmo2ForCausalLM"], name="OLMo 3")


def architecture_of(config: Config) -> Architecture:
    """The entry for a model. Raises ModelFileError if the table has none, or the model wants what llama.cpp does not compute."""
    for name in config.classes:
        if name in TABLE:
            break
    else:
        named = config.classes[0] if config.classes else config.get("model_type", "nothing")
        raise ModelFileError(
            f"Models of the kind {str(named)[:60]} cannot be converted.",
            "Look for a GGUF file of it on the hub, or use the folder with the transformers engine.",
        )
    found = TABLE[name]
    if found.activations and str(config.get("activation", found.activations[0])) not in found.activations:
        raise checks.unsupported(found.name, f"activation {config.get('activation')!r:.40}")
    for check in found.checks:
        check(found.name, config)
    return found


def _query_scale(config: Config, layers_of_the_largest: int) -> float:
    """What brings llama.cpp's scale of attention to the model's 1 / sqrt(query_pre_attn_scalar).

    llama.cpp divides by the root of the head's length, and for the largest model of a family, told by its number of layers, by that of
    width / heads.
    """
    meant = config.number("query_pre_attn_scalar", 256.0)
    computed = config.width // config.heads if config.layers == layers_of_the_largest else config.head
    return float((computed / meant) ** 0.5)
