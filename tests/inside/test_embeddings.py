"""Token tables where they lie, and words in them: every number format, shards, neighbours against the plain way, a projection that can be checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.errors import Cancelled, ModelFileError, SettingError
from playground.inside import embeddings
from playground.models import token_table
from playground.models.token_table import open_table
from tests.models_made import random_model

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"])
def test_a_table_of_a_gguf_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block and row by row as the format's own library unpacks the whole."""
    from gguf import GGUFReader, dequantize

    path = random_model(tmp_path / "m.gguf", kind)
    tensors = {each.name: each for each in GGUFReader(path).tensors}
    monkeypatch.setattr(token_table, "BLOCK_BYTES", 4 * 256 * 100)  # the last block is a part
    for which, name in (("input", "token_embd.weight"), ("output", "output.weight")):
        expected = dequantize(tensors[name].data, tensors[name].tensor_type).reshape(512, 256)
        found = open_table(path, which)
        assert (found.name, found.rows, found.width, found.kind, found.tied) == (name, 512, 256, kind, False)
        blocks = list(found.blocks())
        assert [start for start, _ in blocks] == [0, 100, 200, 300, 400, 500]
        assert np.array_equal(np.concatenate([rows for _, rows in blocks]), expected)
        assert np.array_equal(found.take([511, 3, 3]), expected[[511, 3, 3]])


def save(path: Path, kind: str, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """A safetensors file with its header written out: numpy has no bfloat16."""
    of, data = {}, b""
    for name, values in tensors.items():
        raw = values.astype("<f4").view("<u4") >> 16 if kind == "BF16" else values
        raw = raw.astype({"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "|i1"}[kind]).tobytes()
        of[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    header = json.dumps(of).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_a_table_of_a_folder_in_shards(tmp_path: Path, kind: str) -> None:
    table, head = (RNG.integers(-128, 128, size=(70, 24)) / np.float32(16) for _ in range(2))
    parts = [
        {"model.layers.0.attention.output.weight": np.zeros((24, 24), np.float32), "model.embed_tokens.weight": table},
        {"lm_head.weight": head},
    ]
    names = {}
    for number, tensors in enumerate(parts):
        file = f"model-0000{number + 1}-of-00002.safetensors"
        save(tmp_path / file, kind, tensors)
        names |= dict.fromkeys(tensors, file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (tmp_path / "config.json").write_text("{}")
    assert np.array_equal(open_table(tmp_path).take(range(70)), table) and open_table(tmp_path).kind == kind
    output = open_table(tmp_path, "output")
    assert output.name == "lm_head.weight" and np.array_equal(output.take([69]), head[[69]])
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}')
    assert open_table(tmp_path).tied
    with pytest.raises(SettingError, match="one table for input and output"):
        open_table(tmp_path, "output")


def test_folders_without_a_table_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no weights"):
        open_table(tmp_path)
    save(tmp_path / "model.safetensors", "F32", {"h.0.weight": np.zeros((4, 4), np.float32)})
    with pytest.raises(ModelFileError, match="no table of tokens"):
        open_table(tmp_path)
    save(tmp_path / "model.safetensors", "I8", {"wte.weight": np.zeros((4, 4), np.int8)})
    with pytest.raises(ModelFileError, match="as I8"):
        open_table(tmp_path)


def test_neighbours_are_those_of_the_whole_table() -> None:
    table = RNG.normal(size=(333, 16)).astype(np.float32)
    table[7], table[9, 3] = 0, np.nan  # neither is near anything
    words = np.stack([table[20] * 3, table[[30, 31]].mean(axis=0)])
    blocks = [(start, table[start : start + 50]) for start in range(0, 333, 50)]
    ids, cosines = embeddings.nearest(blocks, words, 10, [[20], [30, 31]])
    good = np.nan_to_num(table)
    lengths = np.linalg.norm(good, axis=1, keepdims=True) + 1e-30
    for place, own in enumerate(([20], [30, 31])):
        expected = (good / lengths) @ (words[place] / np.linalg.norm(words[place]))
        expected[[9, *own]] = -9
        order = np.argsort(-expected)[:10]
        assert ids[place].tolist() == order.tolist()
        assert np.abs(cosines[place] - expected[order]).max() < 1e-5
    few, _ = embeddings.nearest([(0, table[:3])], words, 10, [[0], []])
    assert sorted(few[0].tolist()) == [-1] * 8 + [1, 2]
    with pytest.raises(Cancelled):
        embeddings.nearest(blocks, words, 10, [[], []], stop=lambda: True)


def test_a_projection_keeps_what_lies_in_a_plane() -> None:
    """Unit vectors in a plane through space: their distances are those of the picture, and the plane explains all."""
    angles = np.array([0.1, 0.5, 1.1, 1.3, 2.0])
    plane = np.linalg.qr(RNG.normal(size=(12, 2)))[0].T
    rows = (np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane * np.array([[1], [2], [9], [1], [4]])).astype(np.float32)
    places, explained = embeddings.projection(rows)
    expected = 2 * np.sin(np.abs(angles[:, None] - angles) / 2)
    found = np.linalg.norm(places[:, None] - places, axis=2)
    assert np.abs(found - expected).max() < 1e-5
    assert sum(explained) == pytest.approx(1) and explained[0] >= explained[1]
    assert embeddings.similarities(rows)[0, 3] == pytest.approx(np.cos(1.2), abs=1e-5)
    one, share = embeddings.projection(rows[:1])
    assert one.tolist() == [[0, 0]] and share == (0, 0)
