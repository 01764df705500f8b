"""Tokenizers of every family: the ids that llama.cpp gives are those of the Hugging Face tokenizer, or the report has a note.

Some hundred strings here; `python -m tests.conversion.tokenizer_report` takes thousands.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer, normalizers

from playground.conversion.charsmap import white_space
from playground.conversion.config import Config
from playground.conversion.hyperparameters import Header
from playground.conversion.tokenizer import write_tokenizer
from playground.errors import ModelFileError
from tests.conversion import tokenizers_made as made
from tests.conversion.tokenizer_report import FAMILIES, fair, vocabulary_file

SPECIAL = (*made.SPECIAL, "<tool>")


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, ask_llama: Any
) -> dict[str, tuple[Tokenizer, list[str], dict[str, Any], list[str]]]:
    """By family: the tokenizer, the strings, llama.cpp's ids of them, the notes."""
    root = tmp_path_factory.mktemp("tokenizers")
    strings = made.strings(350, 3, SPECIAL)
    jobs, found = [], {}
    for name, family in FAMILIES.items():
        tokenizer = family.make(root / name)
        notes = vocabulary_file(root / name, root / f"{name}.gguf", tokenizer.get_vocab_size() + 7)
        texts = fair(family, strings)
        jobs.append({"model": str(root / f"{name}.gguf"), "texts": texts, "out": str(root / f"{name}.json")})
        found[name] = (tokenizer, texts, notes)
    ask_llama(jobs)
    return {
        name: (tokenizer, texts, json.loads((root / f"{name}.json").read_text()), notes)
        for name, (tokenizer, texts, notes) in found.items()
    }


def _equally_likely(tokenizer: Tokenizer, mine: list[int], other: list[int]) -> bool:
    """Whether a unigram model finds both cuts of a text just as likely: which one is taken then is chance, and the notes say so.

    Which texts that are differs by the training run: its threads add up the same numbers in another order.
    """
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] != "Unigram":
        return False
    scores = dict(enumerate(score for _, score in model["vocab"]))
    return abs(sum(scores.get(each, 0.0) for each in mine) - sum(scores.get(each, 0.0) for each in other)) < 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_ids_are_those_of_the_hugging_face_tokenizer(answers: Any, name: str) -> None:
    tokenizer, texts, ids, notes = answers[name]
    assert len(texts) > 80
    expected = [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=True)]
    others = zip(texts, ids["special"], expected, strict=True)
    assert [text for text, mine, other in others if mine != other and not _equally_likely(tokenizer, mine, other)] == []
    assert bool(notes) == bool(FAMILIES[name].noted)
    assert all(any(word in note for note in notes) for word in FAMILIES[name].noted)


def test_the_map_of_white_space_is_read_so_by_hugging_face_too() -> None:
    normalizer = normalizers.Precompiled(white_space())
    for number in (*range(1, 0x3100), 0xFEFF, 0x1F600):
        letter = chr(number)
        wanted = " " if letter.isspace() and not 0x1C <= number <= 0x1F else letter  # these four are Python's own idea
        assert normalizer.normalize_str(f"{letter}a{letter}{letter}") == f"{wanted}a{wanted}{wanted}", hex(number)


def test_transformers_gives_the_same_ids_where_it_changes_nothing(answers: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer, texts, ids, _ = answers["gpt2"]
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert [theirs(text)["input_ids"] for text in texts] == ids["special"]


def test_a_way_of_cutting_that_is_not_in_the_table_is_refused(tmp_path: Path) -> None:
    made.byte_level(tmp_path, "llama3")
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    split = data["pre_tokenizer"]["pretokenizers"][0]
    split["pattern"]["Regex"] = split["pattern"]["Regex"].replace("{1,3}", "{1,4}")
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelFileError, match="cuts text in a way"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data.update(normalizer={"type": "Lowercase"}), "changes text before"),
        (lambda data: data["pre_tokenizer"].update(add_prefix_space=True), "cuts text in a way"),
        (lambda data: data["model"].update(end_of_word_suffix="</w>"), "marks parts of words"),
        (
            lambda data: data["model"].update(type="WordPiece", merges=[]) or data.update(pre_tokenizer=None),
            "cannot be converted",
        ),
        (lambda data: data["model"].update(merges=[["a"]]), "merges make no sense"),
        (lambda data: data["model"].update(vocab={}), "no vocabulary"),
        (lambda data: data["added_tokens"].append({"id": -4, "content": "x"}), "makes no sense"),
    ],
)
def test_what_llama_cpp_does_not_do_is_refused(tmp_path: Path, change: Callable[[Any], Any], sentence: str) -> None:
    made.byte_level(tmp_path, "gpt2")
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    change(data)
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelFileError, match=sentence):
        write(tmp_path)


def test_more_tokens_than_rows_and_no_tokenizer_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="has no tokenizer"):
        write(tmp_path)
    made.plain_bytes(tmp_path)
    with pytest.raises(ModelFileError, match="260 tokens, but the model's token table has 100 rows"):
        write(tmp_path, rows=100)


def test_nfc_is_noted(tmp_path: Path) -> None:
    made.byte_level(tmp_path, "qwen2")
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    data["normalizer"] = {"type": "NFC"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    header = write(tmp_path)
    assert any("NFC" in note for note in header.notes)


def test_special_ids_template_and_padding(tmp_path: Path) -> None:
    made.byte_level(tmp_path, "llama3")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1201, 1203]}))
    (tmp_path / "chat_template.jinja").write_text(
        "{%- for m in messages %}{%- generation -%} {{ m.content }}{% endgeneration %}{% endfor %}"
    )
    values = {key: value.value for key, value in write(tmp_path, rows=1300).writer.kv_data[0].items()}
    tokens, types = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    assert len(tokens) == len(types) == 1300 and tokens[1290] == "[PAD1290]" and types[1290] == gguf.TokenType.UNUSED
    assert [tokens[values[f"tokenizer.ggml.{name}_token_id"]] for name in ("bos", "eos", "eot")] == [
        "<|begin|>",
        "<|end|>",
        "<|im_end|>",
    ]
    assert (
        types[tokens.index("<|end|>")] == gguf.TokenType.CONTROL
        and types[tokens.index("<tool>")] == gguf.TokenType.USER_DEFINED
    )
    assert values["tokenizer.ggml.add_bos_token"] is True and values["tokenizer.ggml.add_eos_token"] is False
    template = values["tokenizer.chat_template"]
    assert template == "{%- for m in messages %}{%- if true -%} {{ m.content }}{% endif %}{% endfor %}".replace(
        "if true -", "if true -"
    )


def test_a_name_that_llama_cpp_would_take_for_phi_3_is_changed(tmp_path: Path) -> None:
    made.plain_bytes(tmp_path)
    assert write(tmp_path, name="My-Phi3-mini").writer.kv_data[0]["general.name"].value == "My-Phi 3-mini"


def test_tokenizer_model_alone_is_read(tmp_path: Path, answers: Any) -> None:
    """The same tokens, scores and types as from tokenizer.json."""
    root = tmp_path / "json"
    made.sentencepiece_bpe(root, "llama2")
    first = {key: value.value for key, value in write(root).writer.kv_data[0].items()}
    data = json.loads((root / "tokenizer.json").read_text())
    only = tmp_path / "model"
    only.mkdir()
    plain = list(range(len(data["model"]["vocab"])))
    pieces = b"".join(
        _field(1, _field(1, first["tokenizer.ggml.tokens"][i].encode()) + _float(2, first["tokenizer.ggml.scores"][i])
               + _number(3, first["tokenizer.ggml.token_type"][i]))
        for i in plain
    )  # fmt: skip
    (only / "tokenizer.model").write_bytes(pieces + _field(2, _number(3, 2)) + _field(3, _number(3, 1) + _number(4, 0)))
    added = {str(t["id"]): {"content": t["content"], "special": t["special"]} for t in data["added_tokens"]}
    settings = json.loads((root / "tokenizer_config.json").read_text()) | {"added_tokens_decoder": added}
    (only / "tokenizer_config.json").write_text(json.dumps(settings))
    second = {key: value.value for key, value in write(only).writer.kv_data[0].items()}
    for key in ("model", "tokens", "token_type", "add_space_prefix", "bos_token_id", "eos_token_id", "add_bos_token"):
        assert second[f"tokenizer.ggml.{key}"] == first[f"tokenizer.ggml.{key}"], key
    assert second["tokenizer.ggml.scores"][: len(plain)] == first["tokenizer.ggml.scores"][: len(plain)]
    (only / "tokenizer.model").write_bytes(pieces[:-3])
    with pytest.raises(ModelFileError, match="damaged"):
        write(only)


def write(folder: Path, rows: int = 1400, name: str = "model") -> Header:
    writer = gguf.GGUFWriter(None, "llama")
    writer.add_name(name)
    header = Header(writer)
    write_tokenizer(header, folder, Config({}), rows)
    return header


def _varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _float(number: int, value: float) -> bytes:
    import struct

    return _varint(number << 3 | 5) + struct.pack("<f", value)
