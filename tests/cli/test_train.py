"""`playground train` as a script uses it: a plan, a run that is ended and gone on with, without any network; refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from playground.cli import main
from playground.paths import resources
from tests.models_made import random_model

ROOT = Path(__file__).parents[2]
EXAMPLE = str(resources() / "examples" / "persona.jsonl")

NO_NETWORK = """
import socket, sys
def refuse(*where, **more):
    open({file!r}, "a").write(repr(where) + chr(10))
    raise OSError("the network is blocked")
socket.getaddrinfo = refuse
connect = socket.socket.connect
socket.socket.connect = lambda self, to: connect(self, to) if self.family == socket.AF_UNIX else refuse(to)
"""
"""as sitecustomize.py: every process of ours notes down a connection that it tries, and does not get it"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_plan_says_why_and_trains_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "starter", EXAMPLE, "--plan", "--json", "--rank", "4"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["settings"]["rank"] == 4 and "rank" not in plan["reasons"]
    assert plan["settings"]["alpha"] == 8 and plan["reasons"]["alpha"]
    assert plan["rows"] == 60 and plan["settings"]["sequence_length"] >= plan["longest"] > 60
    assert 0 < plan["learned"] < plan["tokens"]
    assert plan["fit"]["verdict"] == "fits" and plan["fit"]["total"] == sum(plan["fit"]["terms"].values())
    assert not list(home.glob("runs/*"))


def test_a_run_is_ended_and_gone_on_with_and_asks_nobody(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("peft", reason="training is not installed")
    asked = tmp_path / "asked"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK.format(file=str(asked)))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"}

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "playground", "train", *words, "--json"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    small = ("--batch", "1", "--validation-share", "0.02", "--rank", "2", "--probe-tokens", "2", "--probe", "Hello!")
    with start("starter", EXAMPLE, "--steps", "1000000", "-o", "sailor", *small) as process:
        assert process.stdout is not None
        events = []
        for line in process.stdout:  # it would go on for days
            events.append(json.loads(line))
            if events[-1].get("event") == "step" and events[-1]["step"] == 2:
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    ended = events.pop()
    assert ended["state"] == "ended" and ended["adapter"] == "" and ended["step"] >= 2
    assert [each["reply"] is not None for each in events if each["event"] == "sample"] == [True]
    folder = Path(ended["folder"])
    assert (folder / "checkpoints" / f"step-{ended['step']}").is_dir() and (folder / "train.py").is_file()
    assert json.loads((folder / "settings.json").read_text())["data"]["sha256"] == ended["data_sha256"]

    with start("--resume", "last", "--steps", str(ended["step"] + 2)) as process:
        out, said = process.communicate()
    assert process.returncode == 0, said
    *events, result = map(json.loads, out.splitlines())
    assert [each["step"] for each in events if each["event"] == "step"] == [ended["step"] + 1, ended["step"] + 2]
    assert result["state"] == "finished" and result["run"] == ended["run"] and result["base_unchanged"] is True
    assert result["predicted"]["total"] > 0 and result["loaded_memory"] < result["peak_memory"]
    adapter = Path(result["adapter"])
    assert adapter.parent == home / "adapters" and {each.name for each in adapter.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not asked.exists(), asked.read_text()
    assert main(["train", "--list", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["run"] == result["run"] and row["state"] == "finished" and row["adapter"] == str(adapter)


def test_what_cannot_be_trained_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gguf = random_model(tmp_path / "alone" / "small.gguf") if (tmp_path / "alone").mkdir() is None else tmp_path
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    cases: list[tuple[list[str], int, str]] = [
        (["starter"], 2, "on what data"),
        (["starter", EXAMPLE, "--rank", "0"], 2, "rank"),
        (["starter", str(tmp_path / "gone.jsonl")], 1, "gone.jsonl"),
        (["starter", str(empty)], 1, "empty"),
        ([str(gguf), EXAMPLE], 1, "safetensors"),
        (["starter", EXAMPLE, "--optimizer", "paged-adamw-8bit", "--device", "cpu"], 1, "graphics card"),
        (["--resume", "last"], 1, "no run"),
        (["--resume", "nothing"], 1, "no run nothing"),
    ]
    for words, code, expected in cases:
        assert main(["train", *words]) == code, words
        said: Any = capfd.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("playground: ") and expected in said, (words, said)
