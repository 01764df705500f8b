"""`playground attention`: the weights as an array, of the starter in both formats; sentences for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.paths import starter

from .test_cli import run

TEXT = "The small fox saw the big fox. The small fox"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def asked(home: Path, *options: str) -> dict[str, Any]:
    status, out, err = run(home, "attention", *options, "--json")
    assert status == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_the_file_and_the_folder_look_at_the_same(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the engine is not installed")
    found = {}
    for name, model in (("gguf", "starter"), ("folder", str(starter().parent))):
        target = tmp_path / f"{name}.npy"
        answer = asked(home, model, "--text", TEXT, "-o", str(target))
        assert answer["file"] == str(target) and answer["precision"] == "f32" and answer["capture"] == ""
        found[name] = np.load(target)
        assert found[name].dtype == np.float32 and list(found[name].shape) == answer["shape"]
        assert len(answer["tokens"]) == len(answer["token_ids"]) == found[name].shape[2]
        assert answer["layers"] == list(range(6)) and answer["heads"] == list(range(8))
        assert np.abs(found[name].sum(-1) - 1).max() < 1e-3 and not np.triu(found[name], 1).any()
        assert len(answer["scores"]["induction"]) == 6 and len(answer["scores"]["sink"][0]) == 8
    assert np.abs(found["gguf"] - found["folder"]).max() <= 2e-3
    assert not list((home / "cache" / "captures").iterdir())


def test_one_head_kept_as_a_capture(home: Path) -> None:
    from playground.inside.capture import Capture

    answer = asked(home, "starter", "--text", TEXT, "--layer", "2", "--head", "5")
    assert answer["shape"][:2] == [1, 1] and answer["layers"] == [2] and answer["heads"] == [5] and answer["encoding"] == "u8"
    assert Path(answer["file"]).is_file() and answer["capture"] in answer["file"]
    kept = Capture(Path(answer["file"]))
    assert kept.map(2, 5).shape == (answer["shape"][2],) * 2
    kept.close()


def test_what_cannot_be_is_said(home: Path, tmp_path: Path) -> None:
    assert run(home, "attention", "starter")[0] == 2
    assert run(home, "attention", "starter", "--text", "x", "--layer", "-1")[0] == 2
    for options, sentence in (
        (("--layer", "6"), "no layer 6"),
        (("-o", str(tmp_path)), "is a folder"),
        (("-o", str(tmp_path / "none" / "a.npy")), "not there"),
    ):
        status, _, err = run(home, "attention", "starter", "--text", "a b", *options)
        assert status == 1 and sentence in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())
