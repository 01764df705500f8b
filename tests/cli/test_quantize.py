"""`playground quantize` as a script uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest

from playground.cli import main
from playground.models.gguf_header import open_gguf
from playground.paths import starter
from tests.models_made import Shape, shaped_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_folder_to_a_named_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "here" / "small.gguf"
    assert main(["quantize", str(starter().parent), "--to", "q5_k_m", "-o", str(out), "--output-type", "q8_0", "--json"]) == 0
    said = capfd.readouterr()
    result = json.loads(said.out)
    header = open_gguf(out)
    assert result["path"] == str(out)
    assert result["bytes"] == out.stat().st_size
    assert result["type"] == "Q5_K_M"
    assert result["bits_per_weight"] == pytest.approx(8 * header.weight_bytes / header.parameters, abs=1e-3)
    assert result["steps"] == ["Converting to GGUF", "Quantizing to Q5_K_M"]
    assert result["seconds"] > 0
    assert "step 2 of 2" in said.err
    assert [each.name for each in out.parent.iterdir()] == ["small.gguf"]


def test_the_list_names_every_type_and_makes_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "starter", "--list", "--json"]) == 0
    result = json.loads(capfd.readouterr().out)
    types = {row["type"]: row for row in result["types"]}
    assert types["IQ2_XXS"]["needs_imatrix"]
    assert types["Q8_0"]["bytes"] > types["Q4_K_M"]["bytes"] > types["Q2_K"]["bytes"]
    assert not list(home.glob("models/*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["starter"], 2, "--list"),
        (["starter", "--to", "Q8_0", "--imatrix", "gone.gguf"], 2, "--imatrix auto"),
        (["starter", "--to", "Q99"], 1, "Q4_K_M"),
        (["starter", "--to", "IQ2_XXS"], 1, "--imatrix auto"),
        (["gone.gguf", "--to", "Q8_0"], 1, "no file"),
    ],
)
def test_what_cannot_be_is_said(words: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", *words]) == code
    err = capfd.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_of_a_models_eyes_nothing_is_made_and_nothing_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    eyes = gguf.GGUFWriter(str(tmp_path / "eyes.gguf"), "clip")
    eyes.add_tensor("v.patch_embd.weight", np.ones((32, 64), np.float32))
    eyes.write_header_to_file()
    eyes.write_kv_data_to_file()
    eyes.write_tensors_to_file()
    eyes.close()
    assert main(["quantize", str(tmp_path / "eyes.gguf"), "--list", "--json"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert "no model to quantize (it is of the kind 'mmproj')" in said.err


@pytest.mark.skipif(os.name != "posix", reason="Ctrl+C is sent as a signal here")
def test_ctrl_c_cancels_and_leaves_nothing(tmp_path: Path, home: Path) -> None:
    source = shaped_model(tmp_path / "slow-F16.gguf", Shape("llama", 4096, 512, 4, 8, 2, 1536, 2048), "F16")
    command = [sys.executable, "-m", "playground", "quantize", str(source), "--to", "IQ4_XS"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    until = time.monotonic() + 120
    while "tensor" not in process.stderr.readline() and time.monotonic() < until:
        pass
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert rest.rstrip().endswith("Cancelled.")
    assert list((home / "models").iterdir()) == []
