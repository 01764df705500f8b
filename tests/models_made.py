"""Makes small GGUF models that really load and decode: random weights in any quantization, and one that recites a given text.

The weights of quantized tensors are written as random blocks with a fitting scale, so that half a billion of them take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import numpy as np

Kind = gguf.GGMLQuantizationType

QUANTIZED = ("Q8_0", "Q4_0", "Q4_K", "Q6_K")


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
    rng = np.random.default_rng(seed)
    pieces = (
        [bytes([number]) for number in range(256)] + [b"<eos>"] + [b" word%d" % number for number in range(257, vocabulary)]
    )

    def matrix(rows: int, columns: int, scale: float = 1.0) -> tuple[np.ndarray, Kind]:
        return _blocks(rng, kind, rows, columns, scale / np.sqrt(columns)), Kind[kind]

    _write(path, matrix, pieces, width, layers, heads, kv_heads, hidden, context, template)
    return path


def half_billion(path: Path, kind: str = "Q4_0") -> Path:
    """The shape of a real model of half a billion weights (24 layers, a vocabulary of 151,936), 300 MB in Q4_0."""
    return random_model(path, kind, vocabulary=151_936, width=896, layers=24, heads=14, kv_heads=2, hidden=4864, context=4096)


def reciting_model(path: Path, pieces: Sequence[bytes], context: int = 512, sharpness: float = 30.0) -> list[int]:
    """A model that, after the first of `pieces`, goes on with the others in turn and then ends. Returns the token ids of `pieces`.

    No piece may occur twice: the last token alone decides. Single bytes are the tokens 0 to 255, 256 ends the text.
    """
    vocabulary = [bytes([number]) for number in range(256)] + [b"<eos>"]
    vocabulary += [piece for piece in pieces if len(piece) > 1]
    ids = [vocabulary.index(piece) for piece in pieces]
    if len(set(ids)) != len(ids):
        raise ValueError("a piece occurs twice")
    width = 128
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(len(vocabulary), width)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    output = np.zeros_like(embedding)
    for here, following in zip(ids, [*ids[1:], 256], strict=True):
        output[following] = embedding[here] * sharpness / np.sqrt(width)
    layered = iter([embedding, output])

    def matrix(rows: int, columns: int, scale: float = 1.0) -> tuple[np.ndarray, Kind]:
        is_outer = rows == len(vocabulary)
        return (next(layered) if is_outer else np.zeros((rows, columns), np.float32)), Kind.F32

    _write(path, matrix, vocabulary, width, 1, 2, 2, 128, context, None)
    return ids


def _write(
    path: Path,
    matrix: Callable[..., tuple[np.ndarray, Kind]],
    pieces: Sequence[bytes],
    width: int,
    layers: int,
    heads: int,
    kv_heads: int,
    hidden: int,
    context: int,
    template: str | None,
) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
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

    def norm(name: str) -> None:
        writer.add_tensor(name, np.ones(width, np.float32))

    add("token_embd.weight", len(pieces), width)
    for layer in range(layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm.weight")
        add(block + "attn_q.weight", width, width)
        add(block + "attn_k.weight", width // heads * kv_heads, width)
        add(block + "attn_v.weight", width // heads * kv_heads, width)
        add(block + "attn_output.weight", width, width)
        norm(block + "ffn_norm.weight")
        add(block + "ffn_gate.weight", hidden, width)
        add(block + "ffn_up.weight", hidden, width)
        add(block + "ffn_down.weight", width, hidden)
    norm("output_norm.weight")
    add("output.weight", len(pieces), width, 3.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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
