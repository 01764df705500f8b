"""A tiny Llama folder, written byte by byte: any format, in as many shards as wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.conversion import tokenizers_made

WIDTH, HIDDEN, LAYERS, HEADS, ROWS = 32, 48, 2, 4, 300
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "vocab_size": ROWS,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """float32 by transformers' names."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (ROWS, WIDTH)}
    for layer in range(LAYERS):
        block = f"model.layers.{layer}."
        shapes |= {
            f"{block}input_layernorm.weight": (WIDTH,),
            f"{block}self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{block}self_attn.k_proj.weight": (WIDTH // 2, WIDTH),
            f"{block}self_attn.v_proj.weight": (WIDTH // 2, WIDTH),
            f"{block}self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{block}post_attention_layernorm.weight": (WIDTH,),
            f"{block}mlp.gate_proj.weight": (HIDDEN, WIDTH),
            f"{block}mlp.up_proj.weight": (HIDDEN, WIDTH),
            f"{block}mlp.down_proj.weight": (WIDTH, HIDDEN),
        }
    shapes |= {"model.norm.weight": (WIDTH,), "lm_head.weight": (ROWS, WIDTH)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def stored(values: np.ndarray, dtype: str) -> bytes:
    """As a safetensors file has them."""
    if dtype == "BF16":
        return (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype({"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32}[dtype]).tobytes()


def safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> None:
    header: dict[str, Any] = {}
    data = b""
    for name, values in tensors.items():
        raw = stored(values, dtype)
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def make(
    folder: Path, dtype: str = "F32", shards: int = 1, tensors: dict[str, np.ndarray] | None = None, **config: Any
) -> Path:
    """The whole folder: weights, config and a tokenizer of single bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizers_made.plain_bytes(folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    tensors = weights() if tensors is None else tensors
    if shards == 1:
        safetensors(folder / "model.safetensors", tensors, dtype)
        return folder
    names = list(tensors)
    places = {
        name: f"model-{place * shards // len(names) + 1:05d}-of-{shards:05d}.safetensors" for place, name in enumerate(names)
    }
    for file in sorted(set(places.values())):
        safetensors(folder / file, {name: tensors[name] for name in names if places[name] == file}, dtype)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder
