"""`playground next`: the distribution stage by stage, equal to the numpy chain's, and a text token by token."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from .test_cli import run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def asked(home: Path, *options: str) -> dict[str, Any]:
    status, out, err = run(home, "next", "starter", *options, "--json")
    assert status == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_stages_of_a_prompt(home: Path) -> None:
    found = asked(
        home,
        "--prompt",
        "Tell me a story about a fox.",
        "--top-k",
        "12",
        "--top-p",
        "0.8",
        "--temperature",
        "1.3",
        "--top",
        "15",
    )
    stages = {each["name"]: each for each in found["stages"]}
    assert list(stages) == ["model", "penalties", "top_k", "top_p", "min_p", "temperature"]
    assert stages["model"]["kept"] == found["vocabulary"] and stages["model"]["kept_mass"] == pytest.approx(1)
    assert stages["top_k"]["kept"] == 12
    assert stages["top_p"]["kept"] <= 12
    for stage in stages.values():
        assert stage["perplexity"] == pytest.approx(math.exp(stage["entropy"]))
    last = stages["temperature"]
    assert sum(each["probability"] for each in last["top"]) == pytest.approx(1, abs=1e-4) or last["kept"] > 15
    assert len(found["candidates"]) == 15
    kept = [each for each in found["candidates"] if not each["cut_by"]]
    assert len(kept) == min(15, last["kept"])
    # the numbers by hand: softmax of what is left of the raw logits at the temperature
    weights = [math.exp(each["logit"] / 1.3) for each in kept]
    for each, weight in zip(kept, weights, strict=True):
        assert each["probabilities"]["temperature"] == pytest.approx(weight / sum(weights), abs=1e-5)
    assert all(each["probabilities"]["temperature"] == 0 for each in found["candidates"] if each["cut_by"])


def test_a_text_token_by_token(home: Path) -> None:
    found = asked(home, "--tokens", "Once upon a time ä🦊", "--top", "3")
    assert found["count"] == len(found["tokens"]) and found["context"] > 0
    first, *rest = found["tokens"]
    assert first["probability"] is None and first["rank"] is None
    assert all(0 < each["probability"] <= 1 and each["rank"] >= 1 and len(each["top"]) == 3 for each in rest)
    data = b"".join(bytes.fromhex(each["bytes"]) for each in found["tokens"] if not each["special"])
    assert data.decode().strip() == "Once upon a time ä🦊"
    assert found["logprob"] == pytest.approx(sum(math.log(each["probability"]) for each in rest))


def test_wrong_usage_is_said_in_a_sentence(home: Path) -> None:
    assert run(home, "next", "starter")[0] == 2
    assert run(home, "next", "starter", "--prompt", "x", "--raw", "--system", "y")[0] == 2
    assert run(home, "next", "starter", "--prompt", "x", "--tokens", "y")[0] == 2
