"""LoRA adapters become GGUF files that llama.cpp adds to a model as PEFT does; what cannot is a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.conversion.adapter import base_of, convert_adapter
from playground.conversion.convert import convert
from tests.conversion import zoo

TOKENS = [1, *np.random.default_rng(3).integers(5, 250, 60).tolist()]
SCALES = (0.0, 0.5, 1.0, 2.0)
PATTERNS = {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.mlp.down_proj": 5}}


def adapted(model: Any, folder: Path, seed: int = 1, **settings: Any) -> Any:
    """The model with a random adapter on, which is saved to `folder` as PEFT does."""
    import torch
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", **settings}
        whole = get_peft_model(model, LoraConfig(**more)).eval()
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, weight in whole.named_parameters():
                if "lora_" in name:
                    weight.copy_(torch.randn_like(weight) * 0.15)
        whole.save_pretrained(folder)
    return whole


def scaled(whole: Any, scale: float) -> Any:
    from peft.tuners.lora import LoraLayer

    for each in whole.modules():
        if isinstance(each, LoraLayer):
            each.set_scale("default", scale)
    return whole


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[dict[str, Any]]], list[np.ndarray]]:
    """llama.cpp's logits for jobs of `asked`."""

    def ask(jobs: list[dict[str, Any]]) -> list[np.ndarray]:
        folder = tmp_path_factory.mktemp("asked")
        outs = [str(folder / f"{number}.npy") for number in range(len(jobs))]
        written = folder / "jobs.json"
        written.write_text(json.dumps([{**job, "out": out} for job, out in zip(jobs, outs, strict=True)]))
        subprocess.run(
            [sys.executable, "-m", "tests.conversion.asked", str(written)], check=True, capture_output=True, timeout=300
        )
        return [np.load(out) for out in outs]

    return ask


def spell(folder: Path) -> None:
    """A tokenizer of single bytes for a model of the zoo."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = ["<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    made.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


CASES: dict[str, dict[str, Any]] = {
    "llama": PATTERNS,
    "llama-head-and-biases": {"use_rslora": True},
    "qwen2": {},
    "gemma": {},
    "gemma2": {"r": 2, "use_rslora": True, "rank_pattern": {"o_proj": 5}},
    "phi3": {"target_modules": ["qkv_proj", "o_proj", "gate_up_proj"]},
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"]},
    "gpt-neox": {"target_modules": ["query_key_value", "dense"]},
}

GELU = ("gemma", "gpt")
"""llama.cpp looks this function up in a table of half precision"""


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_adds_it_as_peft_does(name: str, tmp_path: Path, asked: Any) -> None:
    animal = next(each for each in zoo.ANIMALS if each.name == name)
    model = zoo.make(animal, tmp_path / "model")
    spell(tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "model.gguf", "f32")
    whole = adapted(model, tmp_path / "adapter", **CASES[name])
    by_folder, by_file = tmp_path / "a.gguf", tmp_path / "b.gguf"
    assert convert_adapter(tmp_path / "adapter", by_folder, base_of(tmp_path / "model")) == by_folder.stat().st_size
    jobs = [
        {"model": str(tmp_path / "model.gguf"), "tokens": TOKENS, "adapter": str(by_folder), "scale": scale} for scale in SCALES
    ]
    base, *found = asked([{"model": str(tmp_path / "model.gguf"), "tokens": TOKENS}, *jobs])
    for scale, ours in zip(SCALES, found, strict=True):
        theirs = zoo.logits(scaled(whole, scale), TOKENS)
        assert np.abs(ours - theirs).max() <= (1e-3 if name.startswith(GELU) else 1e-4) * np.ptp(theirs), scale
    assert np.abs(found[0] - base).max() == 0
    assert np.abs(found[2] - base).max() > 0.1 * np.ptp(base), "the adapter does something"
    if name != "gemma2":  # whose scale of queries is not on record in the file
        convert_adapter(tmp_path / "adapter", by_file, base_of(tmp_path / "model.gguf"))
        assert by_file.read_bytes() == by_folder.read_bytes()
