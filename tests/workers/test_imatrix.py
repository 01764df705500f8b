"""Importance matrices, against the same model computed in numpy, and against what follows from their definition."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from playground import protocol
from playground.errors import PlaygroundError
from playground.workers import imatrix
from tests.models_made import SMALL_MIXTURE, Shape, shaped_model
from tests.workers.talk import Talk
from tests.workers.test_quantize import ROLE, ask

SHAPE = Shape("llama", 320, 64, 2, 4, 2, 96, 256)
WINDOW = 32
TEXT = "The hedgehog put on his red scarf and went outside; the wood was white. " * 3
"""a token for each byte: the models here have no longer ones that occur"""

Values = NDArray[np.float64]


def computed_in_numpy(path: Path, tokens: list[int]) -> dict[str, Values]:
    """Sums of squares of what meets each matrix of a Llama model, by name: its definition, written down once more."""
    weights = {each.name: np.asarray(each.data, np.float64) for each in gguf.GGUFReader(path).tensors}
    heads, groups, wide = SHAPE.heads, SHAPE.kv_heads, SHAPE.head_width
    found: dict[str, Values] = {}

    def times(name: str, x: Values) -> Values:
        found[name] = found.get(name, np.zeros(x.shape[1])) + (x * x).sum(axis=0)
        return x @ weights[name].T

    def norm(name: str, x: Values) -> Values:
        return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5) * weights[name]

    def turned(x: Values) -> Values:
        """Rotary positions, neighbouring values as pairs."""
        angle = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(0, wide, 2) / wide)
        even, odd = x[..., ::2], x[..., 1::2]
        out = np.empty_like(x)
        out[..., ::2] = even * np.cos(angle)[:, None] - odd * np.sin(angle)[:, None]
        out[..., 1::2] = even * np.sin(angle)[:, None] + odd * np.cos(angle)[:, None]
        return out

    for start in range(0, len(tokens) // WINDOW * WINDOW, WINDOW):
        x = weights["token_embd.weight"][tokens[start : start + WINDOW]]
        for layer in range(SHAPE.layers):
            block = f"blk.{layer}."
            h = norm(block + "attn_norm.weight", x)
            q = turned(times(block + "attn_q.weight", h).reshape(-1, heads, wide))
            k = turned(times(block + "attn_k.weight", h).reshape(-1, groups, wide))
            v = times(block + "attn_v.weight", h).reshape(-1, groups, wide)
            k, v = (np.repeat(each, heads // groups, axis=1) for each in (k, v))
            scores = np.einsum("qhw,khw->hqk", q, k) / np.sqrt(wide)
            scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            mixed = np.einsum("hqk,khw->qhw", scores / scores.sum(axis=2, keepdims=True), v).reshape(len(x), -1)
            x = x + times(block + "attn_output.weight", mixed)
            h = norm(block + "ffn_norm.weight", x)
            gate, up = times(block + "ffn_gate.weight", h), times(block + "ffn_up.weight", h)
            x = x + times(block + "ffn_down.weight", gate / (1 + np.exp(-gate)) * up)
    return found


def collected(model: Path, folder: Path, context: int = WINDOW, chunks: int = 0) -> Path:
    talk = Talk(ROLE, "importance matrix")
    (folder / "text.txt").write_text(TEXT)
    try:
        target = folder / "out.imatrix.gguf"
        ask(talk, protocol.CollectImatrix(1, str(model), str(folder / "text.txt"), str(target), context, chunks))
        return target
    finally:
        talk.close()


def test_sums_and_counts_are_those_of_the_definition_and_the_file_is_laid_out_as_llama_cpp_does(tmp_path: Path) -> None:
    model = shaped_model(tmp_path / "model.gguf", SHAPE, "F32")
    target = collected(model, tmp_path)
    reader = gguf.GGUFReader(target)
    tensors = {each.name: np.asarray(each.data) for each in reader.tensors}
    tokens = list(TEXT.encode())
    windows = len(tokens) // WINDOW
    expected = computed_in_numpy(model, tokens)
    assert {name.removesuffix(".in_sum2") for name in tensors if name.endswith(".in_sum2")} == expected.keys()
    for name, squares in expected.items():
        np.testing.assert_allclose(tensors[name + ".in_sum2"][0], squares, rtol=2e-3, err_msg=name)
        assert tensors[name + ".counts"].tolist() == [[windows * WINDOW]]
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.datasets"].contents() == ["text.txt"]
    assert reader.fields["imatrix.chunk_count"].contents() == windows
    assert reader.fields["imatrix.chunk_size"].contents() == WINDOW
    assert "general.architecture" not in reader.fields
    matrix = imatrix.load(target)
    np.testing.assert_allclose(
        matrix.entries["blk.1.ffn_down.weight"][0], expected["blk.1.ffn_down.weight"] / (windows * WINDOW), rtol=2e-3
    )


def test_experts_share_what_the_router_saw(tmp_path: Path) -> None:
    model = shaped_model(tmp_path / "model.gguf", SMALL_MIXTURE, "F16")
    target = collected(model, tmp_path, chunks=3)
    tensors = {each.name: np.asarray(each.data, np.float64) for each in gguf.GGUFReader(target).tensors}
    used = SMALL_MIXTURE.experts_used
    for layer in range(SMALL_MIXTURE.layers):
        router = tensors[f"blk.{layer}.ffn_gate_inp.weight.in_sum2"][0]
        for part in ("gate", "up"):
            experts = tensors[f"blk.{layer}.ffn_{part}_exps.weight.in_sum2"]
            counts = tensors[f"blk.{layer}.ffn_{part}_exps.weight.counts"]
            assert experts.shape == (SMALL_MIXTURE.experts, SMALL_MIXTURE.width)
            np.testing.assert_allclose(experts.sum(axis=0), used * router, rtol=1e-4)
            assert counts.sum() == 3 * WINDOW * used
            assert ((experts.sum(axis=1) > 0) == (counts[:, 0] > 0)).all()


def test_too_little_text_is_said(tmp_path: Path) -> None:
    model = shaped_model(tmp_path / "model.gguf", SHAPE, "F32")
    with pytest.raises(PlaygroundError, match="longer text") as caught:
        collected(model, tmp_path, context=256)
    assert caught.value.kind == "SettingError"
    assert not list(tmp_path.glob("out*"))


def test_the_layout_before_is_read_too(tmp_path: Path) -> None:
    values = np.arange(1, 9, dtype="<f4")
    name = b"blk.0.attn_q.weight"
    data = struct.pack("<i", 1) + struct.pack("<i", len(name)) + name + struct.pack("<ii", 4, 8) + values.tobytes()
    path = tmp_path / "old.dat"
    path.write_bytes(data + struct.pack("<ii", 7, 9) + b"wiki.text")
    matrix = imatrix.load(path)
    assert (matrix.chunks, matrix.datasets) == (7, ("wiki.text",))
    np.testing.assert_allclose(matrix.entries[name.decode()], [values / 4])
    path.write_bytes(data[:-3])
    with pytest.raises(PlaygroundError, match="no importance matrix"):
        imatrix.load(path)
