"""A repository's file names as choices."""

from __future__ import annotations

import pytest

from playground.errors import ModelFileError, NotFoundError
from playground.models.download_plan import select
from playground.models.files import RepoFile, choices, quantization_of, recommend


def files(*names: str, size: int = 100) -> list[RepoFile]:
    return [RepoFile(name, size) for name in names]


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("Qwen3-0.6B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("sub/Llama-3-UD-Q4_K_XL-00001-of-00002.gguf", "UD-Q4_K_XL"),
        ("gemma-2-2b-it-IQ2_XXS.gguf", "IQ2_XXS"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("thing-fp16.gguf", "F16"),
        ("thing-bf16.gguf", "BF16"),
        ("ggml-model.gguf", ""),
        ("Q4K.gguf", ""),
    ],
)
def test_the_quantization_is_read_from_the_name(name: str, quantization: str) -> None:
    assert quantization_of(name) == quantization


def test_splits_are_one_projectors_apart_matrices_left_out() -> None:
    found = choices(
        files(
            "a-Q4_K_M.gguf",
            "a-Q8_0-00002-of-00002.gguf",
            "a-Q8_0-00001-of-00002.gguf",
            "mmproj-F16.gguf",
            "imatrix.gguf",
            "README.md",
        )
    )
    assert [(each.label, each.kind, len(each.files), each.path) for each in found] == [
        ("Q8_0", "gguf", 2, "a-Q8_0-00001-of-00002.gguf"),
        ("Q4_K_M", "gguf", 1, "a-Q4_K_M.gguf"),
        ("mmproj F16", "mmproj", 1, "mmproj-F16.gguf"),
    ]
    assert all(each.quality for each in found)


def test_an_incomplete_split_is_not_offered() -> None:
    found = choices(files("a-Q8_0-00002-of-00002.gguf"))
    assert not found[0].complete
    assert recommend(found).choice is None
    with pytest.raises(ModelFileError, match="lacks"):
        select(files("a-Q8_0-00002-of-00002.gguf"), "acme/a", ["a-Q8_0-00002-of-00002.gguf"])


def test_two_models_of_one_quantization_go_by_their_names() -> None:
    assert {each.label for each in choices(files("a-Q4_0.gguf", "b-Q4_0.gguf"))} == {"a-Q4_0", "b-Q4_0"}


def test_a_sharded_set_takes_what_belongs_to_it() -> None:
    names = [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "config.json",
        "tokenizer.json", "consolidated.safetensors", "pytorch_model.bin", "modeling.py", "onnx/model.onnx", "README.md",
    ]  # fmt: skip
    model, pickle = choices(files(*names))
    assert {file.path for file in model.files} == {*names[:5], "README.md"}
    assert pickle.kind == "pickle"


def test_an_adapter_is_no_model() -> None:
    (found,) = choices(files("adapter_model.safetensors", "adapter_config.json"))
    assert found.kind == "adapter"
    assert recommend([found]).choice is None


def test_what_is_meant_by_a_name() -> None:
    every = files("a-Q4_K_M.gguf", "sub/a-Q8_0.gguf", "config.json", "old.bin")
    assert select(every, "r", ["q4_k_m"])[0] == (every[0],)
    assert select(every, "r", ["a-Q8_0.gguf"])[0] == (every[1],)
    assert select(every, "r", ["config.json"])[0] == (every[2],)
    assert select(every, "r")[0] == (every[0],)
    with pytest.raises(ModelFileError, match="run code"):
        select(every, "r", ["old.bin"])
    with pytest.raises(ModelFileError, match="run code"):
        select(every, "r", ["../old.pkl"])
    with pytest.raises(NotFoundError, match=r"no file called b\.gguf"):
        select(every, "r", ["b.gguf"])
    with pytest.raises(NotFoundError):
        select(files("README.md"), "r")


def test_sixteen_bits_are_recommended_only_where_there_is_nothing_smaller() -> None:
    found = choices(files("a-F16.gguf", "a-Q8_0.gguf", "a-Q4_K_M.gguf"))
    best = recommend(found, lambda each: "fits")
    assert best.choice is not None
    assert best.choice.label == "Q8_0"
    only = recommend(choices(files("a-F16.gguf")), lambda each: "fits").choice
    assert only is not None
    partly = recommend(found, lambda each: "partly on CPU")
    assert partly.choice is not None
    assert partly.choice.label == "Q4_K_M"
    assert "CPU" in partly.why
