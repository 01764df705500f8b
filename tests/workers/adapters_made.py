"""Random LoRA adapters in PEFT layout for models of the Llama kind, made without PEFT: a folder is all that is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def random_adapter(folder: Path, layers: int, width: int, hidden: int, keys: int = 0, rank: int = 8, seed: int = 0) -> Path:
    """On every linear layer, strong enough to be heard. `keys` is the width of keys and values, where it is not `width`."""
    rng = np.random.default_rng(seed)
    keys = keys or width
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (hidden, width),
        "mlp.up_proj": (hidden, width),
        "mlp.down_proj": (width, hidden),
    }
    tensors = {}
    for layer in range(layers):
        for module, (outputs, inputs) in shapes.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = rng.standard_normal((rank, inputs), np.float32) / np.float32(np.sqrt(inputs))
            tensors[f"{name}.lora_B.weight"] = rng.standard_normal((outputs, rank), np.float32) * np.float32(0.4)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none", "target_modules": sorted(shapes)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
