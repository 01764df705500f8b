"""The GGUF header reader: what it reads, what it skips, what it refuses, and that nothing else ever happens."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from playground.errors import ModelFileError
from playground.memory.formats import KV_BYTES
from playground.models.ggml_types import BY_NAME
from playground.models.gguf_header import ArrayRef, GgufHeader, GgufSurvey, open_gguf, read_gguf, split_names, survey_gguf


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def strings(values: list[str]) -> bytes:
    return struct.pack("<IIQ", 9, 8, len(values)) + b"".join(text(value) for value in values)


def gguf(entries: dict[str, bytes], tensors: list[tuple[str, tuple[int, ...], int, int]] = (), version: int = 3) -> bytes:  # type: ignore[assignment]
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    out += b"".join(text(key) + value for key, value in entries.items())
    for name, shape, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
        out += struct.pack("<IQ", kind, offset)
    return out


def entry(value: int | str | float) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)


class Source:
    """Bytes behind `read`, counting what was fetched."""

    def __init__(self, data: bytes) -> None:
        self.data, self.fetched, self.calls = data, 0, 0

    def __call__(self, offset: int, length: int) -> bytes:
        self.calls += 1
        part = self.data[offset : offset + length]
        self.fetched += len(part)
        return part


def read(data: bytes, size: int | None = None) -> GgufHeader:
    return read_gguf(Source(data), "model.gguf", size)


SMALL = gguf(
    {
        "general.architecture": entry("llama"),
        "llama.block_count": entry(2),
        "llama.rope.freq_base": entry(10000.0),
        "llama.attention.head_count_kv": struct.pack("<IIQ", 9, 5, 2) + struct.pack("<2i", 8, 4),
        "tokenizer.ggml.tokens": strings([f"token{i}" for i in range(5000)]),
        "tokenizer.chat_template": entry("{{ messages }}"),
    },
    [("token_embd.weight", (64, 5000), 8, 0), ("output_norm.weight", (64,), 0, 340000)],
)


def test_metadata_tensors_and_the_vocabulary_left_where_it_lies():
    header = read(SMALL.replace(struct.pack("<IQ", 0, 340000), struct.pack("<IQ", 0, 340000 // 32 * 32)))
    assert header.architecture == "llama"
    assert header.get("block_count") == 2
    assert header.get("attention.head_count_kv") == [8, 4]
    assert header.metadata["tokenizer.chat_template"] == "{{ messages }}"
    assert isinstance(header.metadata["tokenizer.ggml.tokens"], ArrayRef)
    assert header.count("tokenizer.ggml.tokens") == 5000
    table = header.tensors[0]
    assert (table.kind.name, table.elements, table.nbytes) == ("Q8_0", 320000, 340000)
    assert header.parameters == 320064


def test_the_vocabulary_is_read_on_request():
    source = Source(SMALL.replace(struct.pack("<IQ", 0, 340000), struct.pack("<IQ", 0, 339968)))
    header = read_gguf(source, "model.gguf")
    assert header.strings(source, "tokenizer.ggml.tokens")[4999] == "token4999"


def test_over_ranges_little_more_than_the_header_is_read():
    words = strings(["x" * (i % 23) for i in range(300_000)])
    scores = struct.pack("<IIQ", 9, 6, 3_000_000) + bytes(12_000_000)
    source = Source(gguf({"general.architecture": entry("llama"), "tokens": words, "scores": scores}) + bytes(50_000_000))
    header = read_gguf(source, "model.gguf", len(source.data))
    assert header.count("tokens") == 300_000
    assert source.fetched < len(words) + (2 << 20)
    assert header.bytes_read == source.fetched


@pytest.mark.parametrize(
    "make", [lambda i: "", lambda i: "y" * 300, lambda i: "a\0\0\0\0\0\0\0\0b" * (i % 3), lambda i: "é" * (i % 40)]
)
def test_any_kind_of_strings_is_hopped_over(make):
    words = [make(i) for i in range(9000)]
    header = read(gguf({"words": strings(words), "after": entry(7)}))
    assert header.metadata["after"] == 7
    assert header.count("words") == 9000


def test_hopping_takes_few_reads_and_makes_no_objects():
    source = Source(gguf({"words": strings(["word"] * 400_000)}))
    read_gguf(source, "model.gguf")
    assert source.calls <= len(source.data) // (1 << 19) + 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a GGUF file"),
        (b"hi", "not a GGUF file"),
        (b"GGUF", "ends inside its header"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(40), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 62), "claims"),
        (gguf({"a": entry(1)})[:-2], "ends inside"),
        (gguf({"a": struct.pack("<I", 99)}), "unknown type"),
        (gguf({"a": struct.pack("<IIQ", 9, 8, 1 << 61)}), "claims an array"),
        (gguf({"a": struct.pack("<IIQ", 9, 4, 1 << 61)}), "does not fit"),
        (gguf({"a": struct.pack("<IQ", 8, 1 << 60)}), "text of"),
        (gguf({"general.alignment": entry(7)}), "alignment"),
        (gguf({}, [("t", (32,), 77, 0)]), "number format"),
        (gguf({}, [("t", (31,), 8, 0)]), "whole blocks"),
        (gguf({}, [("t", (1 << 40, 1 << 40), 0, 0)]), "shape"),
        (gguf({}, [("t", (32,), 0, 0), ("t", (32,), 0, 0)]), "twice"),
        (gguf({}, [("t", (1 << 20,), 0, 0)]), "cut short"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(data: bytes, says: str):
    with pytest.raises(ModelFileError, match=says) as caught:
        read(data, len(data))
    assert caught.value.hint


def test_a_mutated_header_gives_a_result_or_a_sentence():
    base = gguf(
        {
            "general.architecture": entry("llama"),
            "llama.block_count": entry(2),
            "words": strings(["ab", "c"] * 2000),
            "nested": struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 4, 1) + struct.pack("<I", 5),
        },
        [("token_embd.weight", (64, 8), 8, 0)],
    )
    rng = random.Random(7)
    for _ in range(3000):
        data = bytearray(base)
        for _ in range(rng.randint(1, 4)):
            spot = rng.choice(
                (rng.randrange(len(data)), rng.randrange(min(220, len(data))), rng.randrange(len(data) - 80, len(data)))
            )
            data[spot] = rng.choice((0, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        source = Source(bytes(data))
        try:
            read_gguf(source, "model.gguf", len(data) if rng.random() < 0.5 else None)
        except ModelFileError:
            pass
        assert source.fetched <= len(data) + (1 << 20)


def test_a_split_is_one_model(tmp_path: Path):
    for number in (1, 2):
        keys = {"general.architecture": entry("llama"), "split.count": struct.pack("<IH", 2, 2)}
        data = gguf(keys, [(f"blk.{number}.w", (32,), 0, 0)])
        (tmp_path / f"m-{number:05d}-of-00002.gguf").write_bytes(data + bytes(-len(data) % 32 + 128))
    header = open_gguf(tmp_path / "m-00002-of-00002.gguf")
    assert [tensor.name for tensor in header.tensors] == ["blk.1.w", "blk.2.w"]
    assert header.files == 2
    (tmp_path / "m-00001-of-00002.gguf").unlink()
    with pytest.raises(ModelFileError, match=r"m-00001-of-00002\.gguf is missing"):
        open_gguf(tmp_path / "m-00002-of-00002.gguf")
    assert split_names("plain.gguf") == ["plain.gguf"]


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path):
    with pytest.raises(ModelFileError):
        open_gguf(tmp_path)
    with pytest.raises(ModelFileError, match="is not there"):
        open_gguf(tmp_path / "none.gguf")


def test_cache_formats_agree_with_the_file_formats():
    for name, nbytes in KV_BYTES.items():
        assert BY_NAME[name].bytes_per_element == nbytes


def surveyed(tmp_path: Path, data: bytes) -> GgufSurvey:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return survey_gguf(path)


SHAPES = [("a", (256, 7), 12), ("b", (256,), 0), ("c", (512, 3, 2), 14), ("d", (64, 2, 3, 5), 8), ("e" * 200, (32, 9), 8)]


@pytest.mark.parametrize("extra", [[], [("scalar", (), 0)], [("n" * 300, (256, 2), 12)]])
def test_a_table_added_up_is_the_sum_of_its_lines(tmp_path: Path, extra: list[tuple[str, tuple[int, ...], int]]):
    table, offset = [], 0
    for index in range(900):  # more than the first read holds
        for name, shape, kind in [*SHAPES, *extra]:
            table.append((f"{index}.{name}", shape, kind, offset))
            offset += 1 << 16
    data = gguf({"general.architecture": entry("llama")}, table)
    whole = bytes(-(-len(data) // 32) * 32 - len(data) + offset)
    header, survey = read(data + whole, len(data) + len(whole)), surveyed(tmp_path, data + whole)
    assert survey.parameters == header.parameters
    assert sum(survey.weights.values()) == header.weight_bytes
    assert survey.weights["Q4_K"] == sum(tensor.nbytes for tensor in header.tensors if tensor.kind.name == "Q4_K")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([("t", (32,), 77, 0)], "number format"),
        ([("t", (31, 4), 8, 0)], "whole blocks"),
        ([("t", (1 << 40, 1 << 40), 0, 0)], "shape"),
        ([("t", (32,), 0, 0), ("t", (32,), 0, 0)], "twice"),
        ([("t", (32,), 0, 7)], "shape"),
        ([("t", (1 << 20,), 0, 0)], "cut short"),
    ],
)
def test_a_survey_refuses_what_reading_refuses(tmp_path: Path, table: list[tuple[str, tuple[int, ...], int, int]], says: str):
    with pytest.raises(ModelFileError, match=says):
        surveyed(tmp_path, gguf({"general.architecture": entry("llama")}, table))
    with pytest.raises(ModelFileError):
        surveyed(tmp_path, gguf({"general.architecture": entry("llama")}, table)[:-5])


def test_a_table_like_one_seen_before_is_held_against_every_byte(tmp_path: Path):
    """Tables of one layout are recognised by it: whatever is changed in one, its survey says what reading it line by line says."""
    rng = random.Random(11)
    table = [(f"blk.{at}.ffn_up.weight", (256, 64), 12, 9216 * at) for at in range(12)]
    table += [(f"blk.{at}.norm.weight", (64,), 0, 9216 * 12 + 256 * at) for at in range(3)]
    data = gguf({"general.architecture": entry("llama")}, table)
    whole = data + bytes(-len(data) % 32 + 9216 * 12 + 256 * 3)
    begin = data.index(b"blk.0.") - 8
    agreed = 0
    for _ in range(400):
        surveyed(tmp_path, whole)  # the layout is known now
        changed = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2))):
            changed[rng.randrange(begin, len(data))] = rng.choice((0, 1, 2, 255, rng.randrange(256)))
        try:
            header: GgufHeader | None = read(bytes(changed), len(changed))
        except ModelFileError:
            header = None
        if header is None:
            with pytest.raises(ModelFileError):
                surveyed(tmp_path, bytes(changed))
        else:
            survey = surveyed(tmp_path, bytes(changed))
            assert (survey.parameters, sum(survey.weights.values())) == (header.parameters, header.weight_bytes)
            agreed += 1
    assert 20 < agreed < 380  # both kinds were met


def test_a_survey_passes_over_a_vocabulary_of_any_kind(tmp_path: Path):
    chosen = random.Random(3)
    words = [chosen.choice(["", "x", "y" * 300, "a\0\0\0\0\0\0\0\0\0b", "word" * chosen.randrange(20)]) for _ in range(40_000)]
    plain = [f"token {i}" * (i % 9 + 1) for i in range(120_000)]
    data = gguf({"general.architecture": entry("llama"), "mixed": strings(words), "plain": strings(plain), "after": entry(7)})
    survey = surveyed(tmp_path, data)
    assert (survey.header.count("mixed"), survey.header.count("plain"), survey.header.get("after")) == (40_000, 120_000, 7)
