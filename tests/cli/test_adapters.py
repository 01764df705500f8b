"""Must show: `playground chat` with an adapter in both engines, and with the starter in NF4, says what transformers itself says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
Replies = tuple[dict[str, list[int]], dict[str, list[int]]]
PROMPTS = ("Repeat: red green blue", "Tell me a story about a fox.")
SAYING = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel
from peft.tuners.lora import LoraLayer
torch.set_num_threads(1)
for line in sys.stdin:
    job = json.loads(line)
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype="auto")
    words = AutoTokenizer.from_pretrained(job["model"])
    if job["adapter"]:
        model = PeftModel.from_pretrained(model, job["adapter"])
        for each in model.modules():
            if isinstance(each, LoraLayer):
                each.set_scale("default", job["scale"])
    asked = [{"role": "user", "content": job["prompt"]}]
    ids = words.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0, ids["input_ids"].shape[1] :].tolist()
    print(json.dumps(said[:-1] if said[-1] == model.generation_config.eos_token_id else said), flush=True)
"""


class Transformers:
    """Greedy replies of transformers' own `generate`, as token ids. Another process, which has its libraries by the time it is asked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SAYING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def said(self, *jobs: dict[str, Any]) -> list[list[int]]:
        """One reply for each job; the process ends with them."""
        lines = [json.dumps({"adapter": "", "scale": 1.0, **job}) for job in jobs]
        out, err = self._process.communicate("\n".join(lines), timeout=300)
        assert self._process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()[-len(jobs) :]]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


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
def replies(whole: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Replies:
    """What the program says and what transformers says, by the model's name.

    Each of it is a process that imports torch first, so two of them run at a time.
    """
    homes = tmp_path_factory.mktemp("homes")
    theirs = Transformers()
    bent, exact = ("--adapter", str(adapter)), ("--flash-attention", "off", "--kv-type-k", "f32", "--kv-type-v", "f32")
    try:
        with ThreadPoolExecutor(2) as pool:
            code, _, err = run(homes, "quantize", str(STARTER), "--to", "nf4", "-o", str(homes / "nf4"), "--json")
            assert code == 0, err
            asked = {
                "f32 bent": pool.submit(said, homes / "a", whole, PROMPTS[1], *bent, "--adapter-scale", "0.6"),
                "nf4": pool.submit(said, homes / "b", homes / "nf4", PROMPTS[0]),
                "nf4 bent": pool.submit(said, homes / "c", homes / "nf4", PROMPTS[1], *bent),
                "f32 bent in llama.cpp": pool.submit(
                    said, homes / "d", whole.with_name("starter-f32.gguf"), PROMPTS[1], *bent, "--adapter-scale", "0.6", *exact
                ),
            }
            jobs: dict[str, dict[str, Any]] = {
                "f32 bent": {"model": str(whole), "adapter": str(adapter), "scale": 0.6, "prompt": PROMPTS[1]},
                "nf4": {"model": str(homes / "nf4"), "prompt": PROMPTS[0]},
                "nf4 bent": {"model": str(homes / "nf4"), "adapter": str(adapter), "prompt": PROMPTS[1]},
            }
            others = dict(zip(jobs, theirs.said(*jobs.values()), strict=True))
            return {name: each.result() for name, each in asked.items()}, others
    finally:
        theirs.close()


def test_one_adapter_in_both_engines_says_what_transformers_says(replies: Replies) -> None:
    mine, theirs = replies
    assert mine["f32 bent"] == mine["f32 bent in llama.cpp"] == theirs["f32 bent"]


def test_the_starter_in_nf4_says_what_transformers_says(replies: Replies) -> None:
    mine, theirs = replies
    assert (mine["nf4"], mine["nf4 bent"]) == (theirs["nf4"], theirs["nf4 bent"])
