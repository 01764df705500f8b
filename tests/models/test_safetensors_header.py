"""The safetensors header reader, single files and shards, and what it makes of damaged ones."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from playground.errors import ModelFileError
from playground.models.safetensors_header import INDEX_NAME, open_safetensors, read_safetensors, shard_names


def made(table: dict[str, Any], data: int = 0) -> bytes:
    head = json.dumps(table).encode()
    return len(head).to_bytes(8, "little") + head + bytes(data)


ONE = {"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [4, 3], "data_offsets": [0, 24]}}


def read(data: bytes) -> Any:
    return read_safetensors(lambda offset, length: data[offset : offset + length], "model.safetensors", len(data))


def test_names_shapes_and_bytes():
    header = read(made(ONE, 24))
    assert (header.parameters, header.weight_bytes, header.metadata) == (12, 24, {"format": "pt"})
    assert header.tensors[0].shape == (4, 3)


def test_weights_that_bitsandbytes_packed_are_counted_one_by_one():
    def row(shape: list[int], place: int, dtype: str = "U8") -> dict[str, Any]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [place, place + shape[0]]}

    nf4 = {
        "a.weight": row([6, 1], 0),
        "a.weight.absmax": row([2], 6),
        "a.weight.nested_absmax": row([2], 8),
        "a.weight.nested_quant_map": row([2], 10),
        "a.weight.quant_map": row([2], 12),
        "a.weight.quant_state.bitsandbytes__nf4": row([5], 14),
        "norm.weight": row([3], 19),
    }
    assert read(made(nf4, 22)).parameters == 12 + 3
    int8 = {"a.weight": row([12, 1], 0, "I8"), "a.SCB": row([4], 12), "a.weight_format": {**row([1], 16), "shape": []}}
    assert read(made(int8, 17)).parameters == 12


def test_shards_are_one_model(tmp_path: Path):
    (tmp_path / "a.safetensors").write_bytes(made(ONE, 24))
    (tmp_path / "b.safetensors").write_bytes(made({"v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 8))
    (tmp_path / INDEX_NAME).write_text(json.dumps({"weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}))
    header = open_safetensors(tmp_path)
    assert (header.files, header.parameters) == (2, 14)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(ModelFileError, match="not there"):
        open_safetensors(tmp_path)


def test_a_folder_of_pickles_is_told_as_such(tmp_path: Path):
    with pytest.raises(ModelFileError, match="holds no safetensors file"):
        open_safetensors(tmp_path)
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelFileError, match="pickle files") as raised:
        open_safetensors(tmp_path)
    assert raised.value.hint


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", ""])
def test_an_index_names_files_of_its_folder_only(name: str):
    with pytest.raises(ModelFileError, match="outside"):
        shard_names(json.dumps({"weight_map": {"w": name}}).encode(), "index")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        made(ONE, 23),
        made(ONE, 25),
        made({"w": {"dtype": "X", "shape": [1], "data_offsets": [0, 1]}}, 1),
        made({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, 4),
        made({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, 4),
        made({"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, 4),
        made({"w": [1, 2]}),
        (2).to_bytes(8, "little") + b"[]",
        (400_002).to_bytes(8, "little") + b"[" * 200_001 + b"]" * 200_001,
    ],
)
def test_damage_is_a_sentence(data: bytes):
    with pytest.raises(ModelFileError) as caught:
        read(data)
    assert caught.value.hint


def test_a_mutated_header_gives_a_result_or_a_sentence():
    base, rng = made(ONE, 24), random.Random(3)
    for _ in range(3000):
        data = bytearray(base)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            read(bytes(data))
        except ModelFileError:
            pass
