"""Must show: `playground chat` with an adapter in both engines, and with the starter in NF4, says what transformers itself says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter in f32, as a folder and, beside it, as GGUF."""
    folder = tmp_path_factory.mktemp("starter") / "starter-f32"
    shutil.copytree(STARTER, folder)
    (folder / "starter.gguf").unlink()
    code = (
        "import sys, torch; from transformers import AutoModelForCausalLM as A; from playground.conversion import convert; "
        "from pathlib import Path; A.from_pretrained(sys.argv[1], dtype=torch.float32).save_pretrained(sys.argv[1]); "
        "convert(Path(sys.argv[1]), Path(sys.argv[1] + '.gguf'), 'f32')"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=300)
    return folder


def test_one_adapter_in_both_engines_says_what_transformers_says(whole: Path, tmp_path: Path) -> None:
    adapter, home = random_adapter(tmp_path / "bent", layers=6, width=256, hidden=768), tmp_path / "home"
    exact = ("--flash-attention", "off", "--kv-type-k", "f32", "--kv-type-v", "f32")
    for prompt, scale in zip(PROMPTS, (1.0, 0.6), strict=True):
        theirs = said_by_transformers({"model": str(whole), "adapter": str(adapter), "scale": scale, "prompt": prompt})
        options = ("--adapter", str(adapter), "--adapter-scale", str(scale))
        assert [said(home, whole, prompt, *options)] == theirs
        assert [said(home, whole.with_name("starter-f32.gguf"), prompt, *options, *exact)] == theirs


def test_the_starter_in_nf4_says_what_transformers_says(tmp_path: Path) -> None:
    home, nf4 = tmp_path / "home", tmp_path / "nf4"
    adapter = random_adapter(tmp_path / "bent", layers=6, width=256, hidden=768)
    code, _, err = run(home, "quantize", str(STARTER), "--to", "nf4", "-o", str(nf4), "--json")
    assert code == 0, err
    jobs = [{"model": str(nf4), "prompt": PROMPTS[0]}, {"model": str(nf4), "prompt": PROMPTS[1], "adapter": str(adapter)}]
    bare, bent = said_by_transformers(*jobs)
    assert said(home, nf4, PROMPTS[0]) == bare
    assert said(home, nf4, PROMPTS[1], "--adapter", str(adapter)) == bent
