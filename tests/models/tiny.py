"""Makes small model files with whole, valid headers: what the tests of this room download, list and damage.

The weights are bytes that depend on a seed, so that two files differ; nothing here can be loaded for talking.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path

_STRING, _ARRAY, _U32, _F32 = 8, 9, 4, 6


def write_gguf(
    path: Path,
    architecture: str = "llama",
    name: str = "",
    file_type: int = 15,
    vocabulary: int = 300,
    context: int = 2048,
    weights: int = 4096,
    seed: int = 0,
    split: tuple[int, int] | None = None,
    tensors: int = 1,
) -> bytes:
    """Writes a GGUF file and returns its bytes. `weights` is the number of rows (of 32 float32) of its first tensor."""
    rng = random.Random(seed)
    entries: list[bytes] = [
        _text_entry("general.architecture", architecture),
        _text_entry("general.name", name or path.stem),
        _entry("general.file_type", _U32, struct.pack("<I", file_type)),
        _entry(f"{architecture}.context_length", _U32, struct.pack("<I", context)),
        _entry(f"{architecture}.block_count", _U32, struct.pack("<I", 2)),
        _entry(f"{architecture}.embedding_length", _U32, struct.pack("<I", 32)),
        _entry(f"{architecture}.feed_forward_length", _U32, struct.pack("<I", 64)),
        _entry(f"{architecture}.attention.head_count", _U32, struct.pack("<I", 4)),
        _entry(f"{architecture}.attention.head_count_kv", _U32, struct.pack("<I", 2)),
        _entry("tokenizer.ggml.model", _STRING, _text("gpt2")),
    ]
    tokens = b"".join(_text(f"token{number}") for number in range(vocabulary))
    entries.append(_entry("tokenizer.ggml.tokens", _ARRAY, struct.pack("<IQ", _STRING, vocabulary) + tokens))
    entries.append(_entry("tokenizer.ggml.token_type", _ARRAY, struct.pack("<IQ", 5, vocabulary) + bytes(4 * vocabulary)))
    entries.append(_text_entry("tokenizer.chat_template", "{{ messages }}"))
    if split:
        entries.append(_entry("split.no", 2, struct.pack("<H", split[0])))
        entries.append(_entry("split.count", 2, struct.pack("<H", split[1])))
    number = split[0] if split else 0
    table = _text(f"blk.{number}.attn_q.weight") + struct.pack("<IQQIQ", 2, 32, weights, 0, 0)
    for more in range(1, tensors):
        table += _text(f"blk.{number}.extra_{more}.weight") + struct.pack("<IQIQ", 1, 8, 0, weights * 128 + 32 * (more - 1))
    head = struct.pack("<4sIQQ", b"GGUF", 3, tensors, len(entries)) + b"".join(entries) + table
    head += bytes(-len(head) % 32)
    data = head + rng.randbytes(weights * 32 * 4 + 32 * (tensors - 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def write_safetensors_model(folder: Path, shards: int = 2, elements: int = 2048, seed: int = 0) -> None:
    """A folder in Hugging Face layout: config, tokenizer, and one or several safetensors files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300,
        "max_position_embeddings": 2048, "torch_dtype": "float16",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    rng = random.Random(seed)
    where = {}
    for number in range(1, shards + 1):
        name = "model.safetensors" if shards == 1 else f"model-{number:05d}-of-{shards:05d}.safetensors"
        header = json.dumps(
            {f"layer.{number}.weight": {"dtype": "F16", "shape": [elements], "data_offsets": [0, 2 * elements]}}
        )
        (folder / name).write_bytes(struct.pack("<Q", len(header)) + header.encode() + rng.randbytes(2 * elements))
        where[f"layer.{number}.weight"] = name
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def write_ollama(root: Path, name: str, tag: str, data: bytes) -> Path:
    """A model as Ollama keeps it: a manifest that names a blob. Returns the blob."""
    digest = hashlib.sha256(data).hexdigest()
    blob = root / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": len(data)}
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))
    return blob


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _text_entry(key: str, value: str) -> bytes:
    return _entry(key, _STRING, _text(value))
