"""What a conversion writes, what it refuses, and what it leaves behind: nothing half-made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from playground import conversion, protocol
from playground.conversion import orders
from playground.errors import Cancelled, ModelFileError, NotFoundError, SettingError, StorageError
from tests.conversion import folders

ROOT = Path(__file__).parents[2]


def tensors_of(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def value_of(path: Path, key: str) -> Any:
    return gguf.GGUFReader(path).fields[key].contents()


# -- what is written


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
@pytest.mark.parametrize("kind", ["f32", "f16", "bf16"])
def test_every_format_to_every_type(tmp_path: Path, dtype: str, kind: str) -> None:
    source = folders.make(tmp_path / "model", dtype, shards=3)
    report = conversion.convert(source, tmp_path / "out.gguf", kind)
    assert report.bytes == (tmp_path / "out.gguf").stat().st_size
    found = tensors_of(tmp_path / "out.gguf")
    given = folders.weights()
    up = found["blk.1.ffn_up.weight"]
    assert up.tensor_type.name == kind.upper()
    exact = given["model.layers.1.mlp.up_proj.weight"]
    if dtype in ("F16", "BF16"):
        bits = np.frombuffer(folders.stored(exact, dtype), np.uint16)
        exact = (bits.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else bits.view(np.float16).astype(np.float32)
        exact = exact.reshape(given["model.layers.1.mlp.up_proj.weight"].shape)
    expected = gguf.quantize(exact, up.tensor_type)  # gguf's own rounding
    assert np.array_equal(np.asarray(up.data).view(np.uint8).reshape(-1), np.asarray(expected).view(np.uint8).reshape(-1))
    norm = found["blk.0.attn_norm.weight"]
    assert norm.tensor_type.name == "F32"
    assert {each.tensor_type.name for each in found.values()} == {"F32", kind.upper()}


def test_queries_and_keys_are_reordered_and_the_rest_is_not(tmp_path: Path) -> None:
    conversion.convert(folders.make(tmp_path / "model"), tmp_path / "out.gguf", "f32")
    found, given, head = tensors_of(tmp_path / "out.gguf"), folders.weights(), folders.WIDTH // folders.HEADS
    for short, name in (("attn_q", "q_proj"), ("attn_k", "k_proj")):
        weight = given[f"model.layers.0.self_attn.{name}.weight"]
        assert np.array_equal(found[f"blk.0.{short}.weight"].data, orders.interleave(weight, head))
        assert not np.array_equal(found[f"blk.0.{short}.weight"].data, weight)
    assert np.array_equal(found["blk.0.attn_v.weight"].data, given["model.layers.0.self_attn.v_proj.weight"])
    # rotating neighbours after is rotating halves before: row 2 i was row i, row 2 i + 1 was row i + head / 2
    assert np.array_equal(orders.interleave(np.arange(8)[:, None], 8)[:, 0], [0, 4, 1, 5, 2, 6, 3, 7])
    assert np.array_equal(orders.interleave(np.arange(6)[:, None], 6, rotated=4)[:, 0], [0, 2, 1, 3, 4, 5])


def test_auto_takes_what_most_weights_are_in(tmp_path: Path) -> None:
    conversion.convert(folders.make(tmp_path / "model", "BF16"), tmp_path / "out.gguf")
    assert tensors_of(tmp_path / "out.gguf")["output.weight"].tensor_type.name == "BF16"
    assert value_of(tmp_path / "out.gguf", "general.file_type") == gguf.LlamaFileType.MOSTLY_BF16


def test_the_card_is_in_the_file(tmp_path: Path) -> None:
    source = folders.make(tmp_path / "Small-Thing")
    card = "license: apache-2.0\nlanguage:\n- en\n- no\ntags:\n- tiny\nbase_model: someone/Base-1B\nmodel_creator: Ada\n"
    (source / "README.md").write_text(f"---\n{card}---\n# Hello\n")
    conversion.convert(source, tmp_path / "out.gguf")
    found = {
        key: field.contents()
        for key, field in gguf.GGUFReader(tmp_path / "out.gguf").fields.items()
        if key.startswith("general.")
    }
    assert (found["general.license"], found["general.author"], found["general.languages"]) == (
        "apache-2.0",
        "Ada",
        ["en", "no"],
    )
    assert found["general.name"] == "Small Thing" and "tiny" in found["general.tags"]
    assert found["general.base_model.0.repo_url"] == "https://huggingface.co/someone/Base-1B"
    assert found["general.quantization_version"] == gguf.GGML_QUANT_VERSION


def test_a_card_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    source = folders.make(tmp_path / "model")
    (source / "README.md").write_text("---\nlicense: [unclosed\n---\n")
    report = conversion.convert(source, tmp_path / "out.gguf")
    assert any("README.md" in note for note in report.notes)


def test_a_window_that_llama_cpp_has_not_is_a_note(tmp_path: Path) -> None:
    source = folders.make(tmp_path / "model", architectures=["MistralForCausalLM"], sliding_window=16)
    assert any("16 tokens" in note for note in conversion.convert(source, tmp_path / "out.gguf").notes)


def test_the_starter_comes_out_as_it_is_shipped(tmp_path: Path) -> None:
    conversion.convert(ROOT / "resources/starter", tmp_path / "out.gguf", "f16")
    mine, shipped = tensors_of(tmp_path / "out.gguf"), tensors_of(ROOT / "resources/starter/starter.gguf")
    assert mine.keys() == shipped.keys()
    for name, tensor in mine.items():
        assert tensor.tensor_type == shipped[name].tensor_type and np.array_equal(tensor.data, shipped[name].data)
    first, second = gguf.GGUFReader(tmp_path / "out.gguf"), gguf.GGUFReader(ROOT / "resources/starter/starter.gguf")
    for key in ("tokens", "merges", "token_type", "pre", "bos_token_id", "eos_token_id", "add_bos_token"):
        assert first.fields[f"tokenizer.ggml.{key}"].contents() == second.fields[f"tokenizer.ggml.{key}"].contents()


def test_progress_rises_by_tensors(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    conversion.convert(folders.make(tmp_path / "model"), tmp_path / "out.gguf", "f32", lambda *each: told.append(each))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert "blk.1.ffn_down.weight" in [what for _, what in told]


# -- what is refused


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in folders.weights().items() if key != name}


def spoiled(value: float, name: str = "model.layers.1.mlp.down_proj.weight") -> dict[str, np.ndarray]:
    found = folders.weights()
    found[name].reshape(-1)[7] = value
    return found


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def scratch(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9:40] = b"#" * 31
    path.write_bytes(data)


def only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")


def adapter(folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "adapter_config.json").write_text("{}")


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pickles only": (lambda f: only_pickles(folders.make(f)), "pickle files"),
    "a shard missing": (lambda f: (folders.make(f, shards=3) / "model-00002-of-00003.safetensors").unlink(), "00002-of-00003.safetensors is missing"),
    "the index missing": (lambda f: (folders.make(f, shards=3) / "model.safetensors.index.json").unlink(), "index.json is missing"),
    "a shard too short": (lambda f: cut(folders.make(f, shards=3) / "model-00003-of-00003.safetensors", 5), "cut short"),
    "a shard too long": (lambda f: lengthen(folders.make(f, shards=3) / "model-00002-of-00003.safetensors"), "has the wrong length"),
    "a header damaged": (lambda f: scratch(folders.make(f) / "model.safetensors"), "damaged"),
    "a file that is none": (lambda f: (folders.make(f) / "model.safetensors").write_bytes(b"<html>"), "not a safetensors file"),
    "NaN": (lambda f: folders.make(f, tensors=spoiled(float("nan"))), "no numbers"),
    "NaN in a norm, bf16": (lambda f: folders.make(f, "BF16", tensors=spoiled(float("nan"), "model.norm.weight")), "no numbers"),
    "infinity, f16": (lambda f: folders.make(f, "F16", tensors=spoiled(float("inf"))), "no numbers"),
    "unknown architecture": (lambda f: folders.make(f, architectures=["SomethingForCausalLM"]), "SomethingForCausalLM cannot be converted"),
    "no architecture": (lambda f: folders.make(f, architectures=[]), "cannot be converted"),
    "unknown activation": (lambda f: folders.make(f, hidden_act="relu2"), "activation"),
    "unknown RoPE scaling": (lambda f: folders.make(f, rope_scaling={"rope_type": "novel", "factor": 2}), "novel RoPE scaling"),
    "no tokenizer": (lambda f: (folders.make(f) / "tokenizer.json").unlink(), "has no tokenizer"),
    "tokenizer damaged": (lambda f: (folders.make(f) / "tokenizer.json").write_text("{"), "not JSON"),
    "no config": (lambda f: (folders.make(f) / "config.json").unlink(), "no config.json"),
    "config without layers": (lambda f: folders.make(f, num_hidden_layers=None), "num_hidden_layers"),
    "config of other sizes": (lambda f: folders.make(f, intermediate_size=64), "config.json says"),
    "half a pair rotated": (
        lambda f: folders.make(f, architectures=["Qwen2ForCausalLM"], rope_parameters={"partial_rotary_factor": 0.4}), "rotates pairs"),
    "heads that do not divide": (lambda f: folders.make(f, num_key_value_heads=3), "cannot share"),
    "a weight missing": (lambda f: folders.make(f, tensors=without("model.layers.1.mlp.up_proj.weight")), "incomplete"),
    "the output missing": (lambda f: folders.make(f, tensors=without("lm_head.weight")), "output.weight"),
    "a weight too many": (lambda f: folders.make(f, tensors={**folders.weights(), "model.extra.weight": np.ones(3, np.float32)}), "has no place"),
    "a bias that llama.cpp has no place for": (
        lambda f: folders.make(
            f, architectures=["Qwen2ForCausalLM"], tensors={**folders.weights(), **{
                f"model.layers.{layer}.self_attn.o_proj.bias": np.ones(folders.WIDTH, np.float32) for layer in range(2)}}
        ), "a bias in attn_output"),
    "router weights as llama.cpp does not take them": (
        lambda f: folders.make(f, architectures=["Qwen3MoeForCausalLM"], norm_topk_prob=False), "norm_topk_prob is off"),
    "quantized": (lambda f: folders.make(f, quantization_config={"quant_method": "gptq"}), "quantized already"),
    "whole numbers": (lambda f: folders.make(f, "I32"), "format I32"),
    "an adapter": (lambda f: adapter(folders.make(f)), "an adapter"),
    "nothing": (lambda f: None, "is not there"),
    "a file": (lambda f: f.write_text("x"), "is a file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_leaves_what_was_there(tmp_path: Path, fault: str) -> None:
    build, sentence = FAULTS[fault]
    build(tmp_path / "model")
    target = tmp_path / "out" / "out.gguf"
    target.parent.mkdir()
    target.write_text("the file of before")
    with pytest.raises((ModelFileError, NotFoundError), match=sentence) as caught:
        conversion.convert(tmp_path / "model", target, "f32")
    assert caught.value.hint and "\n" not in str(caught.value) and len(str(caught.value)) < 260
    assert [each.name for each in target.parent.iterdir()] == ["out.gguf"] and target.read_text() == "the file of before"


def test_values_that_f16_cannot_hold(tmp_path: Path) -> None:
    source = folders.make(tmp_path / "model", tensors=spoiled(70000.0))
    with pytest.raises(ModelFileError, match="too large for f16"):
        conversion.convert(source, tmp_path / "out.gguf", "f16")
    conversion.convert(source, tmp_path / "out.gguf", "bf16")


def test_a_type_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Q4_K_M"):
        conversion.convert(folders.make(tmp_path / "model"), tmp_path / "out.gguf", "Q4_K_M")


def test_buffers_of_older_checkpoints_are_no_weights(tmp_path: Path) -> None:
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}
    conversion.convert(folders.make(tmp_path / "model", tensors={**folders.weights(), **extra}), tmp_path / "out.gguf")


# -- interruptions


def test_cancelled_between_blocks_leaves_nothing(tmp_path: Path) -> None:
    source, asked = folders.make(tmp_path / "model"), iter([False] * 9 + [True] * 99)
    with pytest.raises(Cancelled):
        conversion.convert(source, tmp_path / "out.gguf", "f32", cancelled=lambda: next(asked))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model"]


_CHILD = """
import os, resource, signal, sys
from pathlib import Path
from playground.conversion import convert
from playground.errors import PlaygroundError
how, source, target = sys.argv[1:]
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
count = 0
def progress(fraction, what):
    global count
    count += 1
    if how == "kill" and count == 12:
        os.kill(os.getpid(), signal.SIGKILL)
try:
    convert(Path(source), Path(target), "f32", progress)
except PlaygroundError as error:
    print(error.kind, error)
"""


def child(how: str, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CHILD, how, str(source), str(target)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100)


@pytest.mark.skipif(os.name != "posix", reason="limits and signals of POSIX")
def test_a_full_disk_and_a_kill(tmp_path: Path) -> None:
    source, out = folders.make(tmp_path / "model"), tmp_path / "out"
    done = child("full", source, out / "a.gguf")
    assert done.stdout.startswith("StorageError The disk is full: a.gguf"), done.stderr
    assert list(out.iterdir()) == []
    assert child("kill", source, out / "a.gguf").returncode == -9
    assert [each.suffix for each in out.iterdir()] == [".part"]
    conversion.convert(source, out / "a.gguf", "f32")
    assert [each.name for each in out.iterdir()] == ["a.gguf"]


def test_no_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="free on the disk"):
        conversion.convert(folders.make(tmp_path / "model"), tmp_path / "out" / "a.gguf")
    assert list((tmp_path / "out").iterdir()) == []


# -- the worker


class Recorder:
    """A worker's connection that keeps what is sent."""

    def __init__(self, cancel_after: int = 10**9) -> None:
        self.sent: list[Any] = []
        self._left = cancel_after

    @property
    def pending(self) -> bool:
        self._left -= 1
        return self._left < 0

    def cancelled(self, request: int) -> bool:
        return request == 3

    def send(self, event: Any) -> None:
        self.sent.append(event)


def test_the_worker_tells_and_is_cancelled(tmp_path: Path) -> None:
    from playground.workers import convert as worker

    source, link = folders.make(tmp_path / "model"), Recorder()
    command = protocol.Convert(3, str(source), str(tmp_path / "out.gguf"), "bf16")
    worker.make(link).commands()[protocol.Convert](command)
    *told, made = link.sent
    assert (
        isinstance(made, protocol.Made) and made.bytes == (tmp_path / "out.gguf").stat().st_size and made.path == command.target
    )
    assert told and all(isinstance(each, protocol.Progress) and each.request == 3 for each in told)
    with pytest.raises(Cancelled):
        worker.make(Recorder(cancel_after=5)).commands()[protocol.Convert](command)
