"""`playground fit`: as a command, against a hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.loopback_hub import LoopbackHub
from tests.models_made import SMALL_WINDOW, Shape, shaped_model

REPO, FILE = "acme/made-GGUF", "made-Q8_0.gguf"
BEYOND = 2_000_000
"""bytes that may be read beside the vocabulary"""


def run(folder: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HOME": str(folder / "user"),
        "PLAYGROUND_HOME": str(folder / "home"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    command = [sys.executable, "-m", "playground", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_model_on_the_hub_is_judged_by_its_header(tmp_path: Path) -> None:
    made = shaped_model(tmp_path / FILE, Shape(vocabulary=60_000, width=256, layers=4), "Q8_0")
    with made.open("rb") as file:
        vocabulary = file.read().index(b"blk.0.attn_norm.weight")  # where the table of tensors begins
    with LoopbackHub() as hub:
        hub.add(REPO, {FILE: made.read_bytes()})
        far = answer(run(tmp_path, hub.url, "fit", f"{REPO}:{FILE}", "--context", "1024", "--json"))
        sent = sum(asked.sent for asked in hub.log)
    assert made.stat().st_size > 30_000_000
    assert far["bytes_read"] <= sent <= vocabulary + BEYOND
    here = answer(run(tmp_path, "http://127.0.0.1:9", "fit", str(made), "--context", "1024", "--json"))
    assert far["terms"] == here["terms"]
    assert (far["context"], here["bytes_read"]) == (1024, 0)
    assert far["verdict"] == here["verdict"] and far["why"]


def test_a_longer_context_of_a_sliding_window_takes_little_more(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "window.gguf", SMALL_WINDOW, "Q8_0")
    short, long = (
        answer(run(tmp_path, "http://127.0.0.1:9", "fit", str(path), "--context", str(count), "--json"))
        for count in (1024, 4096)
    )
    one_token = 2 * 64 * 2  # keys and values of one layer's one head, two bytes each
    assert long["terms"]["kv_cache"] - short["terms"]["kv_cache"] == 3072 * one_token


@pytest.mark.parametrize(
    ("endpoint", "model", "words"),
    [
        ("http://127.0.0.1:9", f"{REPO}:{FILE}", "127.0.0.1"),
        ("http://127.0.0.1:9", "no-such-file.gguf", "no-such-file.gguf"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, endpoint: str, model: str, words: str) -> None:
    done = run(tmp_path, endpoint, "fit", model, "--json")
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""
