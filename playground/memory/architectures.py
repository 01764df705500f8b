"""What llama.cpp knows of each architecture beside its hyperparameters: norms, biases, windows, recurrent layers.

Source: llama.cpp `models/*.cpp`. An architecture not named here is taken for a plain Llama, and its estimate is
then a model of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Lookup = Callable[..., object]
"""`get(key, default)` over architecture-relative GGUF keys ("attention.head_count")."""


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WINDOW_PERIOD: dict[str, tuple[int, bool]] = {
    "gemma2": (2, False), "gemma3": (6, False), "gemma3n": (5, False), "gemma4": (6, False), "cohere2": (4, False),
    "cohere2moe": (4, True), "exaone4": (4, False), "exaone-moe": (4, False), "llama4": (4, False), "gpt-oss": (2, False),
    "olmo2": (4, False), "afmoe": (4, False), "smallthinker": (4, True), "plamo3": (8, False), "laguna": (4, True),
    "mellum": (4, False), "muse-glimmer": (4, False), "mimo2": (0, False), "step35": (0, False), "granite-swa": (0, False),
    "spark2-5": (0, False),
}  # fmt: skip
"""Architecture -> (every how many layers one sees everything, whether that one comes first); other ones ignore the
window (Mistral and Phi-3 files carry one that llama.cpp does not use)."""
DEFAULT_WINDOW = {"gemma2": 4096, "exaone4": 4096, "exaone-moe": 128, "llama4": 8192, "smallthinker": 4096}
QK_NORM = names(
    "qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe gemma3 gemma3n gemma4 olmo2 olmoe chameleon "
    "cohere2moe exaone4 exaone-moe glm4moe hunyuan-moe hunyuan-dense afmoe apertus bailingmoe2 dots1 grovemoe "
    "minimax-m2 minimax-m3 lfm2 lfm2moe plamo2 plamo3 laguna mellum maincoder step35 rnd1 llada-moe"
)
POST_NORMS = names("gemma2 gemma3 gemma3n gemma4 glm4 grok afmoe plamo2 plamo3")
NORMS_AFTER = names("olmo2 exaone4")
LAYER_NORM = names(
    "bloom falcon gpt2 gptneox mpt phi2 stablelm starcoder starcoder2 command-r cohere2 cohere2moe dbrx "
    "codeshell jais jais2 nemotron olmo orion bert nomic-bert jina-bert-v2 modern-bert"
)
PARALLEL = names("falcon phi2 command-r cohere2 cohere2moe gptneox plamo")
FUSED_QKV = names("falcon phi2 phi3 gptneox bloom mpt codeshell starcoder gpt2 jais dbrx qwen chatglm internlm2")
FUSED_GATE_UP = names("phi3 glm4 chatglm plamo2 plamo3")
NO_GATE = names("falcon phi2 gptneox bloom mpt starcoder starcoder2 gpt2 codeshell nemotron apertus arcee plm jais2 nemotron_h")
QKV_BIAS = names("qwen qwen2 qwen2moe qwen2vl starcoder2 phi2 gpt2 gpt-oss glm4 stablelm")
NO_NORMED_EXPERTS = names("gpt-oss qwen2moe olmoe deepseek llada-moe")
EXPERT_BIAS = names("glm4moe dots1 ernie4_5-moe bailingmoe2 afmoe minimax-m2 lfm2moe deepseek32")
FULL_RECURRENT = names("mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7")
HYBRID_BY_HEADS = names("jamba granitehybrid lfm2 lfm2moe plamo2 kimi-linear bailingmoe3 nemotron_h nemotron_h_moe")
HYBRID_BY_INTERVAL = names("qwen3next qwen35 qwen35moe")
BOTH_IN_ONE = names("falcon-h1")
FULL_LAYERS_UNROTATED = names("cohere2 cohere2moe exaone4 exaone-moe llama4 afmoe smallthinker")
GATHERS_AT_END = names("gpt-oss qwen3next qwen35 qwen35moe gemma4 step35 nemotron_h nemotron_h_moe granite-swa mimo2")
NO_CACHE = names(
    "bert nomic-bert nomic-bert-moe jina-bert-v2 jina-bert-v3 neo-bert eurobert modern-bert gemma-embedding "
    "dream llada llada-moe rnd1 t5encoder"
)


def number(get: Lookup, key: str, default: int = 0) -> int:
    """A whole number under `key`; the largest item where a list stands there."""
    value = get(key, None)
    if isinstance(value, (list, tuple)):
        value = max((item for item in value if isinstance(item, (int, float))), default=None)
    return int(value) if isinstance(value, (int, float)) else default


def habits(arch: str, get: Lookup, tensors: Mapping[str, int]) -> dict[str, object]:
    def has(name: str, otherwise: bool) -> bool:
        if not tensors:
            return otherwise
        return any(f"blk.{il}.{name}" in tensors for il in (0, 1, 3, 5, 7))

    gemma = arch.startswith("gemma")
    return {
        "attention_softcap": arch in ("gemma2", "grok") or bool(get("attn_logit_softcapping", None)),
        "final_softcap": arch in ("gemma2", "gemma3n", "gemma4", "grok") or bool(get("final_logit_softcapping", None)),
        "scaled_embeddings": gemma or arch in ("granite", "granitemoe", "minicpm", "grok"),
        "position_table": arch in ("bert", "gpt2", "starcoder"),
        "scaled_queries": gemma and arch != "gemma4",
        "qk_norm": has("attn_q_norm.weight", arch in QK_NORM),
        "post_norms": arch in POST_NORMS,
        "norms_after": arch in NORMS_AFTER,
        "layer_norm": arch in LAYER_NORM,
        "parallel": arch in PARALLEL and get("use_parallel_residual", True) is not False,
        "parallel_norm": arch == "gptneox",
        "fused_qkv": has("attn_qkv.weight", arch in FUSED_QKV) and arch not in HYBRID_BY_INTERVAL,
        "fused_gate_up": arch in FUSED_GATE_UP,
        "gated": arch in FUSED_GATE_UP or has("ffn_gate.weight", arch not in NO_GATE) or arch not in NO_GATE,
        "gated_attention": arch in HYBRID_BY_INTERVAL,
        "gated_shared_expert": arch in ("qwen2moe", "qwen3next", "qwen35moe"),
        "qkv_bias": has("attn_q.bias", arch in QKV_BIAS),
        "expert_bias": has("exp_probs_b.bias", arch in EXPERT_BIAS or number(get, "expert_gating_func") == 2),
        "expert_tensor_bias": arch == "gpt-oss",
        "expert_weights_softmax": arch == "gpt-oss",
        "residual_first": arch in ("phi3", "phimoe"),
        "gathers_at_end": arch in GATHERS_AT_END,
        "expert_weights_normed": arch not in NO_NORMED_EXPERTS and get("expert_weights_norm", True) is not False,
    }
