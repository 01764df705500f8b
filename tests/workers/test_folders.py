"""Model folders quantized and merged: what comes of them is what the libraries make, and faults leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from playground import protocol
from playground.errors import StorageError, from_kind
from playground.paths import resources
from tests.workers.talk import Talk

STARTER = resources() / "starter"
PROMPT = [1, 17, 300, 41, 99, 5]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small matrices: other threads would only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders() -> Iterator[Talk]:
    talk = Talk("playground.workers.folders", "quantization")
    yield talk
    talk.close()


def made(talk: Talk, make: Callable[[int], protocol.Message]) -> protocol.Made:
    """Sends what `make` makes of a request's number; the worker's error is raised as such."""
    talk.send(make(talk.number()))
    answer = talk.until((protocol.Made, protocol.Failed))
    if isinstance(answer, protocol.Failed):
        raise from_kind(answer.kind, answer.message, answer.hint)
    return answer


def loaded(folder: Path, **more: Any) -> Any:
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoModelForCausalLM.from_pretrained(folder, **more).eval()


def spoken(model: Any) -> list[int]:
    """What transformers itself says after `PROMPT`, always the likeliest token."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.generate(torch.tensor([PROMPT]), max_new_tokens=12, do_sample=False, pad_token_id=0)[0].tolist()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA for the starter, with random matrices."""
    import torch
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter") / "lora"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(r=6, lora_alpha=9, target_modules="all-linear", rank_pattern={"q_proj": 3}, use_rslora=True)
        whole = get_peft_model(loaded(STARTER, dtype=torch.float32), config)
        torch.manual_seed(5)
        with torch.no_grad():
            for name, weight in whole.named_parameters():
                if "lora_" in name:
                    weight.copy_(torch.randn_like(weight) * 0.1)
        whole.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("method", "double"), [("nf4", True), ("nf4", False), ("int8", True)])
def test_a_quantized_folder_says_what_the_model_quantized_on_loading_says(
    method: str, double: bool, folders: Talk, tmp_path: Path
) -> None:
    import torch
    from transformers import BitsAndBytesConfig

    target = tmp_path / "made"
    answer = made(folders, lambda request: protocol.QuantizeFolder(request, str(STARTER), str(target), method, double))
    assert answer.path == str(target)
    assert answer.bytes == sum(file.stat().st_size for file in target.iterdir())
    assert (target / "model.safetensors").stat().st_size < 0.6 * (STARTER / "model.safetensors").stat().st_size
    how = (
        BitsAndBytesConfig(load_in_8bit=True)
        if method == "int8"
        else BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=double,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    )
    on_loading = loaded(STARTER, quantization_config=how, dtype=torch.bfloat16)
    assert spoken(loaded(target)) == spoken(on_loading)
    if method == "nf4":
        told = json.loads((target / "config.json").read_text())["quantization_config"]
        assert told["bnb_4bit_use_double_quant"] is double
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (target / name).exists(), name
    card = (target / "README.md").read_text()
    assert card.startswith((STARTER / "README.md").read_text()[:200])
    assert ("double" in card.rpartition("How this folder was made")[2]) is (method == "nf4" and double)
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("scale", [1.0, 0.35])
def test_a_merged_folder_is_what_peft_merges(scale: float, adapter: Path, folders: Talk, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    base = tmp_path / "base"
    shutil.copytree(STARTER, base)
    loaded(STARTER, dtype=torch.float32).save_pretrained(base, max_shard_size="4MB")
    for name in ("model.safetensors", "starter.gguf", "calibration.txt", "evaluation.txt"):
        (base / name).unlink()
    target = tmp_path / "merged"
    made(folders, lambda request: protocol.MergeAdapter(request, str(base), str(adapter), str(target), scale))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = PeftModel.from_pretrained(loaded(base, dtype=torch.float32), adapter)
        for each in whole.modules():
            if isinstance(each, LoraLayer):
                each.set_scale("default", scale)
        theirs = whole.merge_and_unload().state_dict()
    ours = loaded(target, dtype=torch.float32).state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=1e-6, atol=1e-6), name
    before = loaded(base, dtype=torch.float32).state_dict()
    assert sum(not torch.equal(ours[name], before[name]) for name in ours) == 6 * 7
    assert sorted(file.name for file in target.iterdir()) == sorted(file.name for file in base.iterdir())
    assert (target / "model.safetensors.index.json").read_bytes() == (base / "model.safetensors.index.json").read_bytes()
    assert f"at the scale {scale:g}" in (target / "README.md").read_text()


def test_a_merge_keeps_the_format_of_the_weights(adapter: Path, folders: Talk, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file as load_torch

    target = tmp_path / "merged"
    made(folders, lambda request: protocol.MergeAdapter(request, str(STARTER), str(adapter), str(target)))
    before, after = load_torch(STARTER / "model.safetensors"), load_torch(target / "model.safetensors")
    pairs = load_torch(adapter / "adapter_model.safetensors")
    name = "model.layers.2.mlp.down_proj"
    a, b = (pairs[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    exact = before[f"{name}.weight"].float() + 9 / 6**0.5 * b @ a
    assert after[f"{name}.weight"].dtype == before[f"{name}.weight"].dtype == torch.bfloat16
    # rounded once, to the nearest: all but those that lie in the middle as far as float32 can tell
    assert (after[f"{name}.weight"] == exact.bfloat16()).float().mean() > 0.999
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


def copy(tmp_path: Path) -> Path:
    shutil.copytree(STARTER, tmp_path / "broken")
    return tmp_path / "broken"


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _without_a_shard(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _cut(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-1000])


def _longer(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0" * 100)


def _with_nan(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-2:] = b"\xc0\x7f"  # NaN in bf16
    file.write_bytes(data)


def _of_another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "teapot", "architectures": ["TeapotForCausalLM"]}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_pickled, "pickle"),
        (_without_a_shard, "model-00002-of-00002.safetensors is not there"),
        (_cut, "cut short|wrong length"),
        (_longer, "wrong length"),
        (_with_nan, "values that are no numbers"),
        (_of_another_kind, "'teapot', which transformers .* does not know"),
    ],
)
def test_a_bad_folder_is_one_sentence_and_nothing_is_left(
    spoil: Callable[[Path], None], sentence: str, adapter: Path, folders: Talk, tmp_path: Path
) -> None:
    folder = copy(tmp_path)
    spoil(folder)
    out = tmp_path / "out"
    with pytest.raises(Exception, match=sentence) as caught:
        made(folders, lambda request: protocol.QuantizeFolder(request, str(folder), str(out / "made")))
    assert "Something went wrong" not in str(caught.value)
    if spoil is not _of_another_kind:  # whose names fit the adapter all the same
        with pytest.raises(Exception, match=sentence):
            made(folders, lambda request: protocol.MergeAdapter(request, str(folder), str(adapter), str(out / "made")))
    assert not out.exists() or not list(out.iterdir())


def test_what_cannot_be_merged_or_quantized(adapter: Path, folders: Talk, tmp_path: Path) -> None:
    def merge(base: Path, with_adapter: Path, scale: float = 1.0) -> None:
        target = tmp_path / "out" / "merged"
        made(folders, lambda request: protocol.MergeAdapter(request, str(base), str(with_adapter), str(target), scale))

    with pytest.raises(Exception, match="is no adapter"):
        merge(STARTER, STARTER)
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, change, sentence in (
        (
            "wider",
            lambda key, each: np.tile(each, (1, 2)) if "lora_A" in key else each,
            "is 256 x 768, and the adapter's 256 x 1536",
        ),
        ("deeper", lambda key, each: each, 'there is no "model.layers.9'),
    ):
        other = tmp_path / name
        shutil.copytree(adapter, other)
        changed = {
            key.replace("layers.0", "layers.9") if name == "deeper" else key: change(key, each) for key, each in tensors.items()
        }
        save_file(changed, other / "adapter_model.safetensors")
        with pytest.raises(Exception, match=f"The adapter {name} does not belong to starter: .*{sentence}"):
            merge(STARTER, other)
    with pytest.raises(Exception, match="is a file; only adapter folders"):
        merge(STARTER, adapter / "adapter_model.safetensors")
    nf4 = tmp_path / "nf4"
    made(folders, lambda request: protocol.QuantizeFolder(request, str(STARTER), str(nf4)))
    with pytest.raises(
        Exception, match=r"nf4 is quantized \(nf4\), and an adapter cannot be merged into it. Merge it into the full"
    ):
        merge(nf4, adapter)
    with pytest.raises(Exception, match="quantized already"):
        made(folders, lambda request: protocol.QuantizeFolder(request, str(nf4), str(tmp_path / "again")))
    with pytest.raises(Exception, match="already something at"):
        made(folders, lambda request: protocol.QuantizeFolder(request, str(STARTER), str(nf4)))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process")
def test_a_disk_that_fills_while_it_is_written_to(adapter: Path, folders: Talk, tmp_path: Path) -> None:
    target = tmp_path / "out" / "made"
    worker = psutil.Process(folders.worker.pid)
    before = worker.rlimit(psutil.RLIMIT_FSIZE)
    worker.rlimit(psutil.RLIMIT_FSIZE, (2 << 20, before[1]))  # writing more fails, as on a full disk
    try:
        for ask in (
            lambda request: protocol.QuantizeFolder(request, str(STARTER), str(target)),
            lambda request: protocol.MergeAdapter(request, str(STARTER), str(adapter), str(target)),
        ):
            with pytest.raises(StorageError, match="The disk is full: made could not be written") as caught:
                made(folders, ask)
            assert caught.value.hint
            assert not list(target.parent.iterdir())
    finally:
        worker.rlimit(psutil.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kill", [False, True])
def test_cancelled_or_killed_nothing_is_under_the_name(kill: bool, adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "merged"
    talk = Talk("playground.workers.folders", "merge")
    try:
        request = talk.number()
        talk.send(protocol.QuantizeFolder(request, str(STARTER), str(target)))
        talk.until(protocol.Progress)
        assert [file.name.startswith("merged.") for file in target.parent.iterdir()] == [True]
        if kill:
            os.kill(talk.worker.pid or 0, signal.SIGKILL)
        else:
            talk.send(protocol.Cancel(request))
            assert talk.until(protocol.Finished).outcome == "cancelled"
        talk.wait_exit()
        assert not target.exists()
        assert kill or not list(target.parent.iterdir())
    finally:
        talk.close()
    if kill:  # what was left is removed by the next that writes there
        again = Talk("playground.workers.folders", "merge")
        try:
            made(again, lambda request: protocol.MergeAdapter(request, str(STARTER), str(adapter), str(target)))
            assert [file.name for file in target.parent.iterdir()] == ["merged"]
        finally:
            again.close()
