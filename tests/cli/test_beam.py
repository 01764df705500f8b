"""`playground beam` as a script sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from playground.paths import starter

from .test_cli import run


def test_beams_scores_and_tree_as_json_and_again_from_the_log(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, out, _ = run(home, "beam", "starter", "--text", "Once upon a time", "--beams", "9", "--max-tokens", "5", "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found["beams"]) == 9 and found["settings"]["width"] == 9
    best = found["beams"][0]
    assert (found["score"], found["token_ids"], found["text"]) == (best["score"], best["token_ids"], best["text"])
    assert best["score"] == max(each["score"] for each in found["beams"])
    for each in found["beams"]:
        assert abs(sum(each["logprobs"]) / len(each["token_ids"]) - each["score"]) < 1e-9
    assert len(found["tree"]) == 5 and all(len(step) >= 9 for step in found["tree"])
    code, again, _ = run(home, "beam", "--show", found["session_id"], "--json")
    assert code == 0 and json.loads(again) == found
    code, listed, _ = run(home, "beam", "--list")
    assert found["session_id"] in listed


def test_wrong_usage_is_a_sentence(tmp_path: Path) -> None:
    code, _, said = run(tmp_path / "home", "beam", "starter")
    assert code == 2 and "--prompt and --text" in said
    code, _, said = run(tmp_path / "home", "beam", "starter", "--prompt", "x", "--beams", "0")
    assert code == 2 and "width" in said


def test_the_starter_s_folder_gives_the_same_beams_as_its_file(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the engine is not installed")
    asked = ("--text", "The fox and the", "--beams", "4", "--max-tokens", "8", "--json")
    found = []
    for model in ("starter", str(starter().parent)):
        code, out, said = run(tmp_path / "home", "beam", model, *asked)
        assert code == 0, said
        found.append(json.loads(out))
    one, other = found
    assert one["arithmetic"] == other["arithmetic"] == "f32" and one["engine"] != other["engine"]
    assert [each["token_ids"] for each in one["beams"]] == [each["token_ids"] for each in other["beams"]]
    assert [each["score"] for each in one["beams"]] == pytest.approx([each["score"] for each in other["beams"]], abs=1e-4)
