"""An adapter names its model; the model is found under that name, by path, repository or what it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from playground.errors import ModelFileError
from playground.models.adapter_base import find_base, named_base
from playground.models.library import Row


def row(name: str, path: str, kind: str = "gguf", size: int = 1, **more: str) -> Row:
    return Row(name, path, kind, "own", size, (path,), 1.0, **more)  # type: ignore[arg-type]


def test_a_peft_folder_names_its_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/Tiny-1B"}))
    assert named_base(tmp_path) == "acme/Tiny-1B"
    (tmp_path / "adapter_config.json").write_text("{}")
    assert named_base(tmp_path) == ""
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(ModelFileError):
        named_base(tmp_path)


def test_the_same_path_comes_first_then_the_repository_then_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "Tiny-1B"
    folder.mkdir()
    exact = row("elsewhere", str(folder), "safetensors")
    repo = row("Tiny-1B", "/hub/a", "safetensors", repo="acme/Tiny-1B")
    file = row("tiny-1b-Q4_K_M", "/m/tiny-1b-Q4_K_M.gguf", quantization="Q4_K_M")
    other = row("tiny-1bx", "/m/tiny-1bx.gguf")
    assert find_base(str(folder), [file, repo, exact]) is exact
    assert find_base("acme/Tiny-1B", [other, file, repo]) is repo
    assert find_base("acme/Tiny-1B", [other, file]) is file
    assert find_base("Tiny-1B", [other]) is None
    assert find_base("", [other]) is None


def test_to_merge_into_only_a_folder_will_do_and_a_damaged_one_never() -> None:
    file = row("tiny", "/m/tiny.gguf", size=9)
    folder = row("tiny", "/m/tiny", "safetensors")
    broken = row("tiny", "/m/broken", "safetensors", problem="It is damaged.")
    assert find_base("x/tiny", [file, folder]) is file
    assert find_base("x/tiny", [file, broken, folder], folder=True) is folder
    assert find_base("x/tiny", [file, broken], folder=True) is None
