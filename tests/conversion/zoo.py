"""Small random models of every architecture in the table, as transformers saves them: odd sizes, shared key heads, tied and untied."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VOCABULARY = 317
"""more rows than the tokenizer has tokens"""


@dataclass(frozen=True)
class Animal:
    """A model to make: transformers' name of its kind and what its config says besides the common sizes."""

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    """what is deleted from config.json afterwards, as older files lack it"""
    tokens: int = 300


_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_FULL = {"num_key_value_heads": 6}
_LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
_LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.3, 1.7], "long_factor": [1.0, 2.0, 4.0, 9.0],
    "original_max_position_embeddings": 128,
}  # fmt: skip
_GRANITE = {"attention_multiplier": 0.2, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0}
_MIXTURE = {"num_experts_per_tok": 2, "moe_intermediate_size": 40}

ANIMALS: tuple[Animal, ...] = (
    Animal("llama", "llama"),
    Animal("llama-head-and-biases", "llama", {"head_dim": 16, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    Animal("llama-3.1", "llama", {"rope_parameters": _LLAMA3}),
    Animal("llama-linear", "llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}}),
    Animal(
        "llama-yarn",
        "llama",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}},
    ),
    Animal("mistral", "mistral", {"sliding_window": None, "head_dim": 12}),
    Animal("mixtral", "mixtral", {"num_local_experts": 11, "num_experts_per_tok": 3}),
    Animal("smollm3", "smollm3", {"num_hidden_layers": 5}),
    Animal("qwen2", "qwen2", {"tie_word_embeddings": True}),
    Animal(
        "qwen2-yarn",
        "qwen2",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 128}},
    ),
    Animal("qwen3", "qwen3", {"head_dim": 16}),
    Animal("qwen2-moe", "qwen2_moe", {"num_experts": 5, "shared_expert_intermediate_size": 56, **_MIXTURE}),
    Animal("qwen3-moe", "qwen3_moe", {"num_experts": 12, "norm_topk_prob": True, "head_dim": 16, **_MIXTURE}),
    Animal("gemma", "gemma", {"head_dim": 16}),
    Animal("gemma2", "gemma2", {"head_dim": 16, "sliding_window": 32, "query_pre_attn_scalar": 10, "num_hidden_layers": 4}),
    Animal("gemma2-plain", "gemma2", {"head_dim": 8, "sliding_window": 64, "query_pre_attn_scalar": 8}),
    Animal("gemma3", "gemma3_text", {"head_dim": 16, "sliding_window": 32, "query_pre_attn_scalar": 24, "num_hidden_layers": 7}),
    Animal(
        "gemma3-scaled",
        "gemma3_text",
        {
            "head_dim": 16,
            "sliding_window": 40,
            "query_pre_attn_scalar": 16,
            "num_hidden_layers": 7,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    Animal("gemma3-with-eyes", "gemma3", {
        "text_config": {**_COMMON, "head_dim": 16, "sliding_window": 32, "query_pre_attn_scalar": 16, "num_hidden_layers": 7},
        "vision_config": {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                          "image_size": 28, "patch_size": 14},
        "mm_tokens_per_image": 4, "image_token_index": 400, "boi_token_index": 401, "eoi_token_index": 402,
    }),
    Animal("phi3", "phi3", {"sliding_window": None}),
    Animal("phi3-longrope", "phi3", {"rope_parameters": _LONG, "original_max_position_embeddings": 128}),
    Animal("phi4-mini", "phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75},
                                 "tie_word_embeddings": True}),
    Animal("gpt2", "gpt2", {"n_positions": 512}),
    Animal("olmo", "olmo", {"clip_qkv": 1.5}),
    Animal("olmo2", "olmo2"),
    Animal("olmo3", "olmo3", {"tie_word_embeddings": True, "sliding_window": 32, "num_hidden_layers": 5}),
    Animal("olmoe", "olmoe", {"num_experts": 6, "num_experts_per_tok": 2, **_FULL}),
    Animal("granite", "granite", {"tie_word_embeddings": True, **_GRANITE}),
    Animal("granite-moe", "granitemoe", {"num_local_experts": 5, "num_experts_per_tok": 2, **_GRANITE}),
    Animal("cohere", "cohere", {"logit_scale": 0.3}),
    Animal("cohere2", "cohere2", {"logit_scale": 0.3, "sliding_window": 32, "num_hidden_layers": 5}),
    Animal("stablelm", "stablelm", {"use_qkv_bias": True}),
    Animal("stablelm-parallel", "stablelm", {"use_parallel_residual": True}),
    Animal("starcoder2", "starcoder2", {"sliding_window": None}),
    Animal("gpt-neox", "gpt_neox", {"hidden_act": "gelu"}),
    Animal("gpt-neox-serial", "gpt_neox", {"hidden_act": "gelu_new", "use_parallel_residual": False}),
    Animal("phi2", "phi", _FULL),
    Animal("arcee", "arcee"),
    Animal("ernie-4.5", "ernie4_5"),
    Animal("nemotron", "nemotron"),
    Animal("seed-oss", "seed_oss", {"head_dim": 16}),
    Animal("glm4", "glm4", {"head_dim": 16}),
    Animal("falcon", "falcon"),
    Animal("falcon-new", "falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "hidden_size": 48}),
)  # fmt: skip


def make(animal: Animal, folder: Path, seed: int = 0) -> Any:
    """Saves the model to `folder` (without a tokenizer), and gives it back in f32, ready to be asked."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model(animal.kind, **{**_COMMON, **animal.settings})
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                _spread(name, weight)
        model.save_pretrained(folder)
    return model


def _spread(name: str, weight: Any) -> None:
    """Weights as large as trained ones: with transformers' own start the logits would be all but equal."""
    import torch

    if weight.ndim == 1 and name.endswith("bias"):
        weight.copy_(torch.randn_like(weight) * 0.1)
    elif weight.ndim == 1:
        weight.copy_(weight + torch.randn_like(weight) * 0.2)
    elif "embed" in name or "wte" in name or "wpe" in name:
        weight.copy_(torch.randn_like(weight))
    else:
        weight.copy_(torch.randn_like(weight) * 1.5 / weight.shape[-1] ** 0.5)


def logits(model: Any, tokens: list[int]) -> Any:
    """What transformers computes: [tokens, vocabulary], float32."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waiting for one another costs more than these models' sums
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model(torch.tensor([tokens])).logits[0].float().numpy()
    finally:
        torch.set_num_threads(threads)
