"""LoRA adapters become GGUF files that llama.cpp adds to a model as PEFT does; what cannot is a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from playground.conversion.adapter import base_of, convert_adapter, named_base
from playground.conversion.convert import convert
from playground.errors import Cancelled, ModelFileError, NotFoundError
from playground.models.gguf_header import open_gguf
from playground.models.lora import Lora
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


def loaded(case: Case) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(case.folder / "model")


def scaled(whole: Any, scale: float) -> Any:
    from peft.tuners.lora import LoraLayer

    for each in whole.modules():
        if isinstance(each, LoraLayer):
            each.set_scale("default", scale)
    return whole


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
    "gemma2": {"r": 2, "use_rslora": True, "rank_pattern": {"o_proj": 5}},
    "phi3": {"target_modules": ["qkv_proj", "o_proj", "gate_up_proj"]},
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"]},
    "gpt-neox": {"target_modules": ["query_key_value", "dense"]},
}

GELU = ("gemma", "gpt")
"""llama.cpp looks this function up in a table of half precision"""


@dataclass
class Case:
    """A model of the zoo with an adapter: what transformers and llama.cpp make of `TOKENS`, by scale; None: without the adapter."""

    folder: Path
    theirs: dict[float | None, np.ndarray]
    ours: dict[float | None, np.ndarray]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """All of them, so that llama.cpp and torch are started once."""
    found, jobs = {}, []
    for name, settings in CASES.items():
        folder = tmp_path_factory.mktemp(name)
        model = zoo.make(next(each for each in zoo.ANIMALS if each.name == name), folder / "model")
        spell(folder / "model")
        convert(folder / "model", folder / "model.gguf", "f32")
        bare = zoo.logits(model, TOKENS)
        whole = adapted(model, folder / "adapter", **settings)
        convert_adapter(folder / "adapter", folder / "adapter.gguf", base_of(folder / "model"))
        found[name] = Case(folder, {None: bare, **{scale: zoo.logits(scaled(whole, scale), TOKENS) for scale in SCALES}}, {})
        for scale in (None, *SCALES):
            job = {"model": str(folder / "model.gguf"), "tokens": TOKENS, "out": str(folder / f"{scale}.npy")}
            jobs.append(job if scale is None else {**job, "adapter": str(folder / "adapter.gguf"), "scale": scale})
    written = tmp_path_factory.mktemp("jobs") / "jobs.json"
    written.write_text(json.dumps(jobs))
    subprocess.run([sys.executable, "-m", "tests.conversion.asked", str(written)], check=True, capture_output=True, timeout=300)
    for case in found.values():
        case.ours = {scale: np.load(case.folder / f"{scale}.npy") for scale in (None, *SCALES)}
    return found


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_adds_it_as_peft_does(name: str, cases: dict[str, Case]) -> None:
    case = cases[name]
    bar = 1e-3 if name.startswith(GELU) else 1e-4
    for scale, theirs in case.theirs.items():
        assert np.abs(case.ours[scale] - theirs).max() <= bar * np.ptp(theirs), scale
    assert (case.ours[0.0] == case.ours[None]).all()
    assert np.abs(case.ours[1.0] - case.ours[None]).max() > 0.1 * np.ptp(case.ours[None]), "the adapter does something"


@pytest.mark.parametrize("name", ["llama", "qwen2", "phi3", "gpt-neox"])
def test_the_model_may_be_named_by_its_folder_or_its_file(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    folder = cases[name].folder
    size = convert_adapter(folder / "adapter", tmp_path / "a.gguf", base_of(folder / "model.gguf"))
    assert (tmp_path / "a.gguf").read_bytes() == (folder / "adapter.gguf").read_bytes()
    assert size == (tmp_path / "a.gguf").stat().st_size


def test_the_model_is_found_where_the_adapter_says(cases: dict[str, Case], tmp_path: Path) -> None:
    adapter = changed(cases["llama"].folder / "adapter", tmp_path, base_model_name_or_path=str(cases["llama"].folder / "model"))
    assert named_base(adapter) == cases["llama"].folder / "model"
    nowhere = changed(adapter, tmp_path, base_model_name_or_path="somebody/a-model")
    with pytest.raises(NotFoundError, match=r"somebody/a-model\) is not known here"):
        named_base(nowhere)


def test_a_table_of_tokens_and_an_output_layer_of_their_own(cases: dict[str, Case], tmp_path: Path) -> None:
    model = loaded(cases["llama"])
    adapted(model, tmp_path / "outer", target_modules=["embed_tokens", "lm_head", "v_proj"])
    convert_adapter(tmp_path / "outer", tmp_path / "outer.gguf", base_of(cases["llama"].folder / "model"))
    # llama.cpp's shapes of these two are the other way round than everywhere else
    shapes = {each.name: each.shape for each in open_gguf(tmp_path / "outer.gguf").tensors}
    assert shapes["token_embd.weight.lora_a"] == (4, zoo.VOCABULARY)
    assert shapes["token_embd.weight.lora_b"] == (4, 48)
    assert shapes["output.weight.lora_b"] == (4, zoo.VOCABULARY)


def changed(adapter: Path, tmp_path: Path, **config: Any) -> Path:
    """A copy of an adapter with another configuration."""
    copy = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
    shutil.copytree(adapter, copy)
    told = json.loads((copy / "adapter_config.json").read_text()) | config
    (copy / "adapter_config.json").write_text(json.dumps(told))
    return copy


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"peft_type": "IA3"}, "of the kind IA3; only LoRA"),
        ({"use_dora": True}, "magnitudes of its own"),
        ({"bias": "all"}, "with biases"),
        ({"modules_to_save": ["lm_head"]}, r"whole layers beside the pairs \(lm_head\)"),
        ({"trainable_token_indices": [1]}, "rows of the token table"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layers used several times"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "target_parameters"),
        ({"init_lora_weights": "pissa"}, "changed weights"),
        ({"alpha_pattern": {"(": 1}}, "a pattern that makes no sense"),
        ({"lora_alpha": "many"}, "its alpha is 'many'"),
    ],
)
def test_what_is_not_plain_lora_is_a_sentence(
    config: dict[str, Any], sentence: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=sentence) as caught:
        Lora(changed(cases["llama"].folder / "adapter", tmp_path, **config))
    assert caught.value.hint


def test_damaged_adapters(cases: dict[str, Case], tmp_path: Path) -> None:
    whole, base = cases["llama"].folder / "adapter", base_of(cases["llama"].folder / "model")
    with pytest.raises(NotFoundError, match="no adapter"):
        Lora(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="is no adapter"):
        Lora(cases["llama"].folder / "model")
    pickled = changed(whole, tmp_path)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelFileError, match="pickle"):
        Lora(pickled)
    cut = changed(whole, tmp_path)
    (cut / "adapter_model.safetensors").write_bytes((whole / "adapter_model.safetensors").read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="cut short"):
        Lora(cut)
    tensors = load_file(whole / "adapter_model.safetensors")
    name = sorted(tensors)[0]
    for spoiled, sentence in (
        ({**tensors, name: tensors[name] * np.float32("nan")}, "not finite"),
        ({each: tensors[each] for each in tensors if each != name}, "do not fit"),
        ({**tensors, "base_model.model.lm_head.weight": np.zeros((3, 3), np.float32)}, "more than pairs"),
        ({}, "is empty"),
    ):
        bad = changed(whole, tmp_path)
        save_file(spoiled, bad / "adapter_model.safetensors")
        with pytest.raises(ModelFileError, match=sentence):
            convert_adapter(bad, tmp_path / "out" / "bad.gguf", base)
    assert not list((tmp_path / "out").glob("*"))


def test_adapters_of_other_models(cases: dict[str, Case], tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    with pytest.raises(ModelFileError, match=r'does not belong to model: there is no "model\.layers\.0\.mlp\.'):
        convert_adapter(cases["llama"].folder / "adapter", target, base_of(cases["phi3"].folder / "model"))
    with pytest.raises(
        ModelFileError, match=r"does not belong to model.gguf: blk.0.attn_k.weight is 32 x 48, and the adapter's 16 x 48"
    ):
        convert_adapter(
            cases["llama"].folder / "adapter", target, base_of(cases["llama-head-and-biases"].folder / "model.gguf")
        )
    model = loaded(cases["qwen2"])
    adapted(model, tmp_path / "table", target_modules=["embed_tokens"])
    with pytest.raises(ModelFileError, match="changes the token table, which is also the output layer"):
        convert_adapter(tmp_path / "table", target, base_of(cases["qwen2"].folder / "model"))
    with pytest.raises(Cancelled):
        convert_adapter(
            cases["llama"].folder / "adapter", target, base_of(cases["llama"].folder / "model"), lambda fraction: fraction < 0.5
        )
    assert not target.exists()
    assert not list(tmp_path.glob("*.part"))
