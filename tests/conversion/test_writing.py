"""Long arrays packed at once: byte for byte the `gguf` package's own, and a tokenizer's merges looked through without building them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gguf
import pytest

from playground.conversion.sentencepiece import _is_closed
from playground.conversion.writing import Writer

ARRAYS: dict[str, Any] = {
    "texts": ["", "a", "▁é", "\U0001f600" * 99, "x\0y"] * 50,
    "numbers": [0, -1, 2**31 - 1, -(2**31)],
    "floats": [0.0, -1e6, 1e-40, float("inf"), 3.1],
    "switches": [True, False],
    "bytes": bytes(range(256)),
    "texts in bytes": [b"\xff\xfe", b""],
    "lists": [[1, 2], [3]],
    "tuple": ("a", "b"),
}


def written(kind: type[gguf.GGUFWriter], path: Path) -> bytes:
    writer = kind(str(path), "llama")
    for name, values in ARRAYS.items():
        writer.add_array(name, values)
    writer.add_key_value("narrow", [1, 2, 255], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT8)
    writer.add_token_list(ARRAYS["texts"])
    writer.add_token_types([int(gguf.TokenType.CONTROL)] * 9)
    writer.add_string("text", "é" * 40)
    writer.add_float32("one", 1.5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def test_the_same_bytes_as_the_packages_writer(tmp_path: Path) -> None:
    ours, theirs = written(Writer, tmp_path / "a"), written(gguf.GGUFWriter, tmp_path / "b")
    assert ours == theirs
    assert len(theirs) > 5000


@pytest.mark.parametrize("values", [[1, "a"], [2**31], [], [None]])
def test_what_the_packages_writer_refuses_is_refused(values: list[Any]) -> None:
    for kind in (gguf.GGUFWriter, Writer):
        with pytest.raises(Exception):  # noqa: B017 (of whichever kind it is)
            kind(None, "llama")._pack_val(values, gguf.GGUFValueType.ARRAY, add_vtype=True)


def test_merges_are_all_there_or_not() -> None:
    rng = random.Random(8)
    found = []
    for _ in range(200):
        vocab = dict.fromkeys("abc")
        for _ in range(20):
            vocab[rng.choice(list(vocab)) + rng.choice(list(vocab))] = None
        numbered = {token: number for number, token in enumerate(vocab)}
        every = [
            (token[:cut], token[cut:])
            for token in vocab
            for cut in range(1, len(token))
            if token[:cut] in vocab and token[cut:] in vocab
        ]
        pairs = [pair for pair in every if rng.random() < rng.choice((1, 0.97))]
        pairs += rng.choices(every, k=rng.choice((0, 2))) + [("zz", "a")] * rng.choice((0, 1))
        targets = {left + right for left, right in pairs}
        found.append(_is_closed(numbered, pairs))
        assert found[-1] == all(pair in pairs for pair in every if pair[0] + pair[1] in targets)
    assert 20 < sum(found) < 180
