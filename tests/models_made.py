"""Makes GGUF models that really load and decode: random weights in any quantization and in real shapes, and one that recites a text.

Dense with grouped heads (`llama`), sliding windows (`gemma3`), mixtures of experts (`qwen3moe`). The weights of quantized tensors are
written as random blocks with a fitting scale, so that a billion of them take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

Kind = gguf.GGMLQuantizationType

QUANTIZED = ("Q8_0", "Q4_0", "Q4_K", "Q6_K")

Matrix = Callable[..., tuple[np.ndarray, Kind]]


@dataclass(frozen=True)
class Shape:
    """A model's widths. `outer` is the format of the token table, where it is another one than that of the rest."""

    architecture: str = "llama"
    vocabulary: int = 512
    width: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 512
    context: int = 1024
    head: int = 0
    tied: bool = False
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    outer: str = ""

    @property
    def head_width(self) -> int:
        return self.head or self.width // self.heads

    @property
    def is_gemma(self) -> bool:
        return self.architecture == "gemma3"


SMALL_WINDOW = Shape("gemma3", layers=6, kv_heads=1, head=64, window=64, context=4096)
"""layers that look back 64 tokens, five of six"""
SMALL_MIXTURE = Shape("qwen3moe", head=64, experts=8, experts_used=2, hidden=128)

GROUPED_1B = Shape("llama", 128_256, 2048, 16, 32, 8, 8192, 131_072, tied=True, outer="Q6_K")
"""Llama 3.2 1B"""
WINDOW_1B = Shape("gemma3", 262_144, 1152, 26, 4, 1, 6912, 32_768, head=256, tied=True, window=512, outer="Q8_0")
"""Gemma 3 1B"""
MIXTURE_1B = Shape("qwen3moe", 64_000, 1024, 16, 16, 4, 512, 32_768, head=128, experts=32, experts_used=4, outer="Q8_0")
"""Qwen 3's mixtures, with the widths of one of about a billion weights"""


def shaped_model(path: Path, shape: Shape, kind: str = "Q8_0", template: str | None = None, seed: int = 0) -> Path:
    """A model of that shape with random weights: F32, F16 or one of `QUANTIZED`. Its first 256 tokens are the single bytes."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> tuple[np.ndarray, Kind]:
        chosen = shape.outer if shape.outer and rows == shape.vocabulary else kind
        return _blocks(rng, chosen, rows, columns, scale / np.sqrt(columns)), Kind[chosen]

    _write(path, shape, matrix, _words(shape.vocabulary), template)
    return path


def random_model(
    path: Path,
    kind: str = "Q8_0",
    vocabulary: int = 512,
    width: int = 256,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    hidden: int = 512,
    context: int = 1024,
    template: str | None = None,
    seed: int = 0,
) -> Path:
    """A model of the Llama architecture with random weights: F32, F16 or one of `QUANTIZED`. Its tokens are all single bytes at first."""
    shape = Shape("llama", vocabulary, width, layers, heads, kv_heads, hidden, context)
    return shaped_model(path, shape, kind, template, seed)


def half_billion(path: Path, kind: str = "Q4_0") -> Path:
    """The shape of a real model of half a billion weights (24 layers, a vocabulary of 151,936), 300 MB in Q4_0."""
    return random_model(path, kind, vocabulary=151_936, width=896, layers=24, heads=14, kv_heads=2, hidden=4864, context=4096)


def reciting_model(path: Path, pieces: Sequence[bytes], context: int = 512, sharpness: float = 30.0) -> list[int]:
    """A model that, after the first of `pieces`, goes on with the others in turn and then ends. Returns the token ids of `pieces`.

    No piece may occur twice: the last token alone decides. Single bytes are the tokens 0 to 255, 256 ends the text.
    """
    vocabulary, ids, embedding, output = _reciting(pieces, sharpness)
    layered = iter([embedding, output])

    def matrix(rows: int, columns: int, scale: float = 1.0) -> tuple[np.ndarray, Kind]:
        is_outer = rows == len(vocabulary)
        return (next(layered) if is_outer else np.zeros((rows, columns), np.float32)), Kind.F32

    shape = Shape("llama", len(vocabulary), _RECITING_WIDTH, 1, 2, 2, 128, context)
    _write(path, shape, matrix, vocabulary, None)
    return ids


def reciting_folder(path: Path, pieces: Sequence[bytes], context: int = 512, sharpness: float = 30.0) -> list[int]:
    """The same model as a folder of safetensors in Hugging Face layout."""
    from safetensors.numpy import save_file

    vocabulary, ids, embedding, output = _reciting(pieces, sharpness)
    width = _RECITING_WIDTH
    blocks = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    blocks += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    tensors = {f"model.layers.0.{name}.weight": np.zeros((width, width), np.float32) for name in blocks}
    norms = ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm")
    tensors |= {f"{name}.weight": np.ones(width, np.float32) for name in norms}
    tensors |= {"model.embed_tokens.weight": embedding, "lm_head.weight": output}
    path.mkdir(parents=True)
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": len(vocabulary), "hidden_size": width,
        "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
        "max_position_embeddings": context, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "eos_token_id": 256,
        "bos_token_id": None, "dtype": "float32",
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": 256,
                "content": "<eos>",
                "special": True,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {_spelled(piece): number for number, piece in enumerate(vocabulary)}, "merges": []},
    }
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<eos>", "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    return ids


_RECITING_WIDTH = 128


def _reciting(pieces: Sequence[bytes], sharpness: float) -> tuple[list[bytes], list[int], np.ndarray, np.ndarray]:
    vocabulary = [bytes([number]) for number in range(256)] + [b"<eos>"]
    vocabulary += [piece for piece in pieces if len(piece) > 1]
    ids = [vocabulary.index(piece) for piece in pieces]
    if len(set(ids)) != len(ids):
        raise ValueError("a piece occurs twice")
    width = _RECITING_WIDTH
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(len(vocabulary), width)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    output = np.zeros_like(embedding)
    for here, following in zip(ids, [*ids[1:], 256], strict=True):
        output[following] = embedding[here] * sharpness / np.sqrt(width)
    return vocabulary, ids, embedding, output


def _words(vocabulary: int) -> list[bytes]:
    return [bytes([number]) for number in range(256)] + [b"<eos>"] + [b" word%d" % number for number in range(257, vocabulary)]


def _write(path: Path, shape: Shape, matrix: Matrix, pieces: Sequence[bytes], template: str | None) -> None:
    writer = gguf.GGUFWriter(str(path), shape.architecture)
    writer.add_name(path.stem)
    writer.add_context_length(shape.context)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head_width)
    if shape.head:
        writer.add_key_length(shape.head)
        writer.add_value_length(shape.head)
    if shape.window:
        writer.add_sliding_window(shape.window)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.hidden)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([_spelled(piece) for piece in pieces])
    writer.add_token_types([3 if piece == b"<eos>" else 1 for piece in pieces])
    writer.add_token_merges(["a b"])  # a list there must be; neither of these is written like that
    writer.add_eos_token_id(256)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)

    def add(name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        data, kind = matrix(rows, columns, scale)
        writer.add_tensor(name, data, raw_dtype=kind)

    def norm(name: str, width: int = shape.width) -> None:
        writer.add_tensor(name, np.ones(width, np.float32))

    add("token_embd.weight", len(pieces), shape.width)
    for layer in range(shape.layers):
        _write_layer(f"blk.{layer}.", shape, matrix, writer, add, norm)
    norm("output_norm.weight")
    if not shape.tied:
        add("output.weight", len(pieces), shape.width, 3.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_layer(
    block: str, shape: Shape, matrix: Matrix, writer: gguf.GGUFWriter, add: Callable[..., None], norm: Callable[..., None]
) -> None:
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    norm(block + "attn_norm.weight")
    add(block + "attn_q.weight", queries, shape.width)
    add(block + "attn_k.weight", keys, shape.width)
    add(block + "attn_v.weight", keys, shape.width)
    add(block + "attn_output.weight", shape.width, queries)
    norm(block + "ffn_norm.weight")
    if shape.architecture in ("gemma3", "qwen3moe"):
        norm(block + "attn_q_norm.weight", shape.head_width)
        norm(block + "attn_k_norm.weight", shape.head_width)
    if shape.is_gemma:
        norm(block + "post_attention_norm.weight")
        norm(block + "post_ffw_norm.weight")
    if not shape.experts:
        add(block + "ffn_gate.weight", shape.hidden, shape.width)
        add(block + "ffn_up.weight", shape.hidden, shape.width)
        add(block + "ffn_down.weight", shape.width, shape.hidden)
        return
    router = np.random.default_rng(len(block)).standard_normal((shape.experts, shape.width), np.float32)
    writer.add_tensor(block + "ffn_gate_inp.weight", router / np.float32(np.sqrt(shape.width)))
    for part, rows, columns in (
        ("gate", shape.hidden, shape.width),
        ("up", shape.hidden, shape.width),
        ("down", shape.width, shape.hidden),
    ):
        data, kind = matrix(shape.experts * rows, columns)
        writer.add_tensor(f"{block}ffn_{part}_exps.weight", data.reshape(shape.experts, rows, -1), raw_dtype=kind)


def _blocks(rng: np.random.Generator, kind: str, rows: int, columns: int, deviation: float) -> np.ndarray:
    """Random rows with about this standard deviation, in a format's blocks."""
    if kind in ("F32", "F16"):
        return (rng.standard_normal((rows, columns), np.float32) * deviation).astype(
            np.float32 if kind == "F32" else np.float16
        )
    elements, layout, scales = {
        "Q8_0": (32, [("d", "<f2"), ("q", "u1", 32)], {"d": 1 / 74}),
        "Q4_0": (32, [("d", "<f2"), ("q", "u1", 16)], {"d": 1 / 4.6}),
        "Q4_K": (256, [("d", "<f2"), ("m", "<f2"), ("s", "u1", 12), ("q", "u1", 128)], {"d": 1 / 200, "m": 7.5 / 200}),
        "Q6_K": (256, [("q", "u1", 192), ("s", "u1", 16), ("d", "<f2")], {"d": 1 / 1400}),
    }[kind]
    block = np.dtype(layout)
    count = rows * columns // elements
    blocks = np.frombuffer(rng.bytes(count * block.itemsize), block).copy()
    for field, factor in scales.items():
        blocks[field] = deviation * factor
    return blocks.view(np.uint8).reshape(rows, -1)


def _spelled(piece: bytes) -> str:
    """Bytes in the letters that GPT-2's vocabulary writes them with; a control token as it stands."""
    if piece == b"<eos>":
        return "<eos>"
    return "".join(_LETTERS[byte] for byte in piece)


def _letters() -> dict[int, str]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(others)}


_LETTERS = _letters()
