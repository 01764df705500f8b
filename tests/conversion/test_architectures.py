"""Every architecture in the table: what llama.cpp computes with the converted file is what transformers computes with the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.conversion import convert
from playground.conversion.architectures import TABLE
from tests.conversion import tokenizers_made, zoo

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, ask_llama: Any) -> dict[str, tuple[np.ndarray, Path]]:
    """transformers' logits and llama.cpp's file of them, by the model's name."""
    root = tmp_path_factory.mktemp("zoo")
    jobs, found = [], {}
    for animal in zoo.ANIMALS:
        folder = root / animal.name
        model = zoo.make(animal, folder)
        tokenizers_made.plain_bytes(folder)
        tokens = np.random.default_rng(1).integers(0, zoo.VOCABULARY, animal.tokens).tolist()
        convert(folder, root / f"{animal.name}.gguf", "f32")
        jobs.append({"model": str(root / f"{animal.name}.gguf"), "tokens": tokens, "out": str(root / f"{animal.name}.npy")})
        found[animal.name] = (zoo.logits(model, tokens), root / f"{animal.name}.npy")
    ask_llama(jobs)
    return found


@pytest.mark.parametrize("name", [animal.name for animal in zoo.ANIMALS])
def test_llama_cpp_computes_what_transformers_computes(answers: dict[str, tuple[np.ndarray, Path]], name: str) -> None:
    expected, file = answers[name]
    found = np.load(file)
    assert found.shape == expected.shape
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.abs(found - expected).max() <= 1e-3 * (expected.max() - expected.min())


def test_the_zoo_has_every_architecture(answers: dict[str, tuple[np.ndarray, Path]]) -> None:
    root = next(iter(answers.values()))[1].parent
    seen = {json.loads((root / animal.name / "config.json").read_text())["architectures"][0] for animal in zoo.ANIMALS}
    assert seen == set(TABLE)
