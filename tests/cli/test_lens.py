"""`playground lens` and `playground embeddings`: what scripts read, what people read, sentences for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from playground.paths import starter

from .test_cli import run

TEXT = "Once upon a time there was a"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_layers_of_the_starter(home: Path) -> None:
    pytest.importorskip("transformers", reason="the engine is not installed")
    status, out, err = run(
        home, "lens", "starter", "--text", TEXT, "--position", "2", "--position", "-1", "--top", "3", "--json"
    )
    assert status == 0 and str(starter().parent) in err, err  # a GGUF file in the folder of its model: that is read
    answer = json.loads(out)
    last = len(answer["tokens"]) - 1
    assert answer["layers"] == 6 and answer["gap"] < 1e-4 and len(answer["token_ids"]) == last + 1
    assert [each["position"] for each in answer["positions"]] == [2, last]
    inner, end = answer["positions"]
    assert inner["token"] == answer["tokens"][2] and inner["next"] == answer["tokens"][3] and end["next"] == ""
    for each in answer["positions"]:
        assert [row["layer"] for row in each["rows"]] == list(range(7))
        assert all(len(row["top"]) == 3 and row["entropy"] >= 0 for row in each["rows"])
        final = each["rows"][-1]["top"][0]["token_id"]
        assert all(row["top"][0]["token_id"] == final for row in each["rows"][each["settled"] :])
    assert inner["rows"][-1]["rank"] >= 1 and 0 < inner["rows"][-1]["probability"] <= 1
    assert end["rows"][-1]["rank"] == 0 and end["rows"][-1]["probability"] is None


def test_words_of_the_starter(home: Path) -> None:
    status, out, err = run(home, "embeddings", "starter", "--words", "fox,dog", "--nearest", "ball", "--count", "3", "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert [each["text"] for each in answer["words"]] == ["ball", "fox", "dog"] and answer["tied"]
    assert [len(each) for each in answer["neighbours"]] == [3, 3, 3] and len(answer["matrix"]) == 3
    assert answer["matrix"][1][2] == answer["matrix"][2][1] < answer["matrix"][1][1] == pytest.approx(1)
    assert len(answer["points"]) >= 3 and 0 < sum(answer["explained"]) <= 1
    status, out, err = run(home, "embeddings", "starter", "--words", "fox,dog", "--count", "2")
    assert status == 0 and "squirrel" in out and "1.000" in out and "Traceback" not in err


def test_what_cannot_be_is_said(home: Path) -> None:
    assert run(home, "lens", "starter")[0] == 2
    assert run(home, "embeddings", "starter")[0] == 2
    for verb, options, sentence in (
        ("embeddings", ("--nearest", "fox", "--table", "output"), "one table for input and output"),
        ("attention", ("--text", TEXT, "--part", "cross"), "one text"),
    ):
        status, _, err = run(home, verb, "starter", *options)
        assert status in (1, 2) and sentence in err and "Traceback" not in err
