"""Must show: `playground chat` with an adapter in both engines, and with the starter in NF4, says what transformers itself says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from playground.conversion import convert
from playground.models.safetensors_header import open_safetensors
from playground.paths import resources
from tests.workers.adapters_made import random_adapter

from .test_cli import run

STARTER = resources() / "starter"
PROMPTS = ("Repeat: red green blue", "Tell me a story about a fox.")
SAYING = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(1)
made = []
for job in json.loads(sys.argv[1]):
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype="auto")
    words = AutoTokenizer.from_pretrained(job["model"])
    if job["adapter"]:
        from peft import PeftModel
        from peft.tuners.lora import LoraLayer
        model = PeftModel.from_pretrained(model, job["adapter"])
        for each in model.modules():
            if isinstance(each, LoraLayer):
                each.set_scale("default", job["scale"])
    asked = [{"role": "user", "content": job["prompt"]}]
    ids = words.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0, ids["input_ids"].shape[1] :].tolist()
    made.append(said[:-1] if said[-1] == model.generation_config.eos_token_id else said)
print(json.dumps(made))
"""


def said_by_transformers(*jobs: dict[str, Any]) -> list[list[int]]:
    """Token ids of greedy replies, one for each job."""
    given = [{"adapter": "", "scale": 1.0, **job} for job in jobs]
    done = subprocess.run([sys.executable, "-c", SAYING, json.dumps(given)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def said(home: Path, model: Path | str, prompt: str, *options: str) -> list[int]:
    """The same by `playground chat`."""
    greedy = ("--temperature", "0", "--max-tokens", "24", "--json")
    code, out, err = run(home, "chat", str(model), "--prompt", prompt, *greedy, *options)
    assert code == 0, err
    assert "bitsandbytes" not in err
    found: list[int] = json.loads(out)["token_ids"]
    return found


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tmp_path_factory.mktemp("adapters") / "bent", layers=6, width=256, hidden=768)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter in f32, as a folder and, beside it, as GGUF."""
    folder = tmp_path_factory.mktemp("starter") / "starter-f32"
    folder.mkdir()
    for file in STARTER.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copyfile(file, folder / file.name)
    tensors = {}
    for tensor in open_safetensors(STARTER).tensors:
        with (STARTER / "model.safetensors").open("rb") as opened:
            opened.seek(tensor.offset)
            halves = np.frombuffer(opened.read(tensor.nbytes), "<u2")
        tensors[tensor.name] = (halves.astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for key in ("dtype", "torch_dtype"):
        config.pop(key, None)
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))
    convert(folder, folder.with_name("starter-f32.gguf"), "f32")
    return folder


@pytest.fixture(scope="module")
def nf4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter in NF4, by the program."""
    home = tmp_path_factory.mktemp("home")
    code, _, err = run(home, "quantize", str(STARTER), "--to", "nf4", "-o", str(home / "nf4"), "--json")
    assert code == 0, err
    return home / "nf4"


@pytest.fixture(scope="module")
def theirs(whole: Path, nf4: Path, adapter: Path) -> dict[str, list[int]]:
    """What transformers' own generate says, by the model's name: all in one process."""
    jobs: dict[str, dict[str, Any]] = {
        "f32 bent": {"model": str(whole), "adapter": str(adapter), "scale": 0.6, "prompt": PROMPTS[1]},
        "nf4": {"model": str(nf4), "prompt": PROMPTS[0]},
        "nf4 bent": {"model": str(nf4), "adapter": str(adapter), "prompt": PROMPTS[1]},
    }
    return dict(zip(jobs, said_by_transformers(*jobs.values()), strict=True))


def test_one_adapter_in_both_engines_says_what_transformers_says(
    whole: Path, adapter: Path, theirs: dict[str, list[int]], tmp_path: Path
) -> None:
    exact = ("--flash-attention", "off", "--kv-type-k", "f32", "--kv-type-v", "f32")
    options = ("--adapter", str(adapter), "--adapter-scale", "0.6")
    assert said(tmp_path, whole, PROMPTS[1], *options) == theirs["f32 bent"]
    assert said(tmp_path, whole.with_name("starter-f32.gguf"), PROMPTS[1], *options, *exact) == theirs["f32 bent"]


def test_the_starter_in_nf4_says_what_transformers_says(
    nf4: Path, adapter: Path, theirs: dict[str, list[int]], tmp_path: Path
) -> None:
    assert said(tmp_path, nf4, PROMPTS[0]) == theirs["nf4"]
    assert said(tmp_path, nf4, PROMPTS[1], "--adapter", str(adapter)) == theirs["nf4 bent"]
