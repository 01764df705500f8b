"""Attention of both engines: equal to transformers' own and to each other, over grouped heads, windows and caps; encoders; refusals; cancel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import protocol
from playground.conversion.convert import convert
from playground.errors import Cancelled, ContextFullError, DataError, ModelFileError, SettingError, StorageError
from tests.conversion import tokenizers_made
from tests.conversion.zoo import ANIMALS, Animal, make
from tests.models_made import SMALL_MIXTURE, shaped_model
from tests.workers.attend import capture, maps, opened
from tests.workers.conftest import Engines
from tests.workers.talk import Talk, user

TEXT = "Once upon a time there was a small fox. The small fox had a red ball. Once upon a time there was a dog."
LONG = tuple(int(each) for each in np.random.default_rng(0).integers(3, 250, 600))
SHORT = LONG[:90]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Folders with a GGUF file in them, and the models in transformers: grouped heads; windows; caps and windows; multi-query, biases."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    root, found = tmp_path_factory.mktemp("zoo"), {}
    for name in ("qwen3", "gemma3", "gemma2", "gpt2"):
        animal = next(each for each in ANIMALS if each.name == name)
        longer = {"max_position_embeddings": 1024} | ({"n_positions": 1024} if name == "gpt2" else {})
        found[name] = root / name, make(replace(animal, settings=animal.settings | longer), root / name)
        tokenizers_made.plain_bytes(root / name)
        convert(root / name, root / name / "model.gguf", "f32")
    return found


def loaded(engines: Engines, engine: str, folder: Path) -> Talk:
    if engine == "llama.cpp":
        return engines.talk(engine, folder / "model.gguf", context=1024)
    return engines.talk(engine, folder, precision="f32", context=1024)


def own(net: Any, ids: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What transformers says itself."""
    import torch

    with torch.no_grad():
        return np.stack([each[0].numpy() for each in net(torch.tensor([ids]), output_attentions=True).attentions])


# -- the starter


def test_rows_sum_to_one_and_the_future_is_nothing(talking: Talk, tmp_path: Path) -> None:
    found = capture(talking, tmp_path / "a.attention", text=TEXT, exact=True)
    weights = maps(found)
    header = found.header
    assert weights.shape == (6, 8, header.length, header.length) and header.causal
    assert np.abs(weights.sum(-1) - 1).max() < 1e-5
    assert not np.triu(weights, 1).any() and weights.min() >= 0
    assert "".join(each.text for each in header.tokens if not each.special).strip() == TEXT
    assert header.precision == "f32" and header.left_out == () and header.model and len(header.model_sha256) in (0, 64)
    assert os.listdir(tmp_path) == ["a.attention"]


def test_the_engines_agree_on_the_starter(engines: Engines, tmp_path: Path) -> None:
    from playground.paths import starter

    pytest.importorskip("transformers", reason="the engine is not installed")
    of = {
        "llama.cpp": engines.talk("llama.cpp", starter()),
        "transformers": engines.talk("transformers", starter().parent, precision="f32"),
    }
    found = {name: capture(talk, tmp_path / f"{name}.attention", text=TEXT, exact=True) for name, talk in of.items()}
    one, other = (maps(each) for each in found.values())
    assert np.abs(one - other).max() <= 2e-3
    assert np.abs(found["llama.cpp"].scores - found["transformers"].scores).max() < 1e-3
    short = capture(of["llama.cpp"], tmp_path / "short.attention", text=TEXT)
    assert short.header.encoding == "u8" and np.abs(maps(short) - one).max() < 0.004
    assert np.array_equal(short.scores, found["llama.cpp"].scores), "scores are of the weights, not of their codes"


def test_a_reply_is_the_same_after_a_capture(talking: Talk, tmp_path: Path) -> None:
    before = talking.generate(messages=user("Tell me a story."))
    capture(talking, tmp_path / "a.attention", text=TEXT + TEXT)
    after = talking.generate(messages=user("Tell me a story."))
    assert after.ids() == before.ids() != []
    assert [each.logprob for each in after.tokens[0]] == pytest.approx([each.logprob for each in before.tokens[0]], abs=1e-6)


def test_cancelled_leaves_nothing(talking: Talk, tmp_path: Path) -> None:
    request = talking.number()
    talking.send(protocol.Capture(request, str(tmp_path / "a.attention"), text=TEXT * 20, exact=True))
    talking.until(protocol.Progress)
    talking.send(protocol.Cancel(request))
    with pytest.raises(Cancelled):
        opened(talking)
    assert not os.listdir(tmp_path)
    assert capture(talking, tmp_path / "b.attention", text=TEXT).header.length > 20


@pytest.mark.parametrize(
    ("what", "error", "sentence"),
    [
        ({"text": TEXT, "layers": (0, 6)}, SettingError, "no layer 6"),
        ({"text": TEXT, "heads": (8,)}, SettingError, "no head 8"),
        ({"text": TEXT * 60}, ContextFullError, "context window holds 1,024"),
        ({"text": TEXT, "limit": 20_000}, StorageError, "would take"),
        ({"prompt_ids": (0, 5000)}, SettingError, "does not know"),
    ],
)
def test_what_cannot_be_is_refused(
    talking: Talk, tmp_path: Path, what: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        capture(talking, tmp_path / "a.attention", **what)
    assert not os.listdir(tmp_path)


def test_chosen_layers_and_heads(talking: Talk, tmp_path: Path) -> None:
    every = maps(capture(talking, tmp_path / "all.attention", text=TEXT, exact=True))
    some = capture(talking, tmp_path / "some.attention", text=TEXT, exact=True, layers=(4, 1), heads=(7, 2))
    assert some.header.layers == (1, 4) and some.header.heads == (2, 7)
    assert np.array_equal(maps(some), every[np.ix_((1, 4), (2, 7))])


# -- other architectures


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "gemma2", "gpt2"])
def test_equal_to_output_attentions(
    engines: Engines, engine: str, zoo: dict[str, tuple[Path, Any]], name: str, tmp_path: Path
) -> None:
    folder, net = zoo[name]
    found = capture(loaded(engines, engine, folder), tmp_path / "a.attention", prompt_ids=SHORT, exact=True)
    theirs = own(net, SHORT)
    assert maps(found).shape == theirs.shape
    # llama.cpp computes the soft cap's tanh and the activations otherwise: Gemma 2 is 9e-4 off at most.
    assert np.abs(maps(found) - theirs).max() <= (1e-6 if engine == "transformers" else 2e-3)
    if name == "gemma3":
        assert not maps(found)[0, :, 80, :40].any() and maps(found)[5, :, 80, :40].any(), (
            "five of six layers have a window of 32"
        )


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "gemma2"])
def test_heads_computed_again_are_those_that_were_computed(
    engines: Engines, engine: str, zoo: dict[str, tuple[Path, Any]], name: str, tmp_path: Path
) -> None:
    """Queries and keys in float32 give every weight back to 1e-5."""
    talk = loaded(engines, engine, zoo[name][0])
    layers = (1, 3) if name == "gemma2" else (0, 2)
    again = capture(talk, tmp_path / "qk.attention", prompt_ids=LONG, layers=layers, heads=(1, 5))
    exact = capture(talk, tmp_path / "f32.attention", prompt_ids=LONG, layers=layers, heads=(1, 5), exact=True)
    assert again.header.encoding == "qk32" and exact.header.encoding == "f32"
    assert np.abs(maps(again) - maps(exact)).max() < 1e-5
    assert np.array_equal(again.scores, exact.scores) and np.array_equal(again.thumbnails(), exact.thumbnails())


def test_the_attention_a_folder_chats_with_is_put_back(
    engines: Engines, zoo: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    """A stopped capture leaves the fast attention in force: the next reply is as before, to the bit."""
    talk = loaded(engines, "transformers", zoo["qwen3"][0])
    before = talk.generate(prompt_ids=SHORT)
    request = talk.number()
    talk.send(protocol.Capture(request, str(tmp_path / "a.attention"), prompt_ids=LONG))
    talk.send(protocol.Cancel(request))
    with pytest.raises(Cancelled):
        opened(talk)
    after = talk.generate(prompt_ids=SHORT)
    assert [(each.token_id, each.logprob) for each in after.tokens[0]] == [
        (each.token_id, each.logprob) for each in before.tokens[0]
    ]


def test_a_table_of_positions_ends_where_it_ends(engines: Engines, zoo: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    """Whatever window it was loaded with: the library ends the process at a position that the table does not have."""
    talk = engines.talk("llama.cpp", zoo["gpt2"][0] / "model.gguf", context=2048)
    with pytest.raises(ContextFullError, match="window holds 1,024"):
        capture(talk, tmp_path / "a.attention", prompt_ids=LONG + LONG)
    assert capture(talk, tmp_path / "b.attention", prompt_ids=LONG).header.length == 600


def test_a_mixture_of_experts_in_a_quantized_file(engines: Engines, tmp_path: Path) -> None:
    talk = engines.talk("llama.cpp", shaped_model(tmp_path / "m.gguf", SMALL_MIXTURE, "Q8_0"))
    found = capture(talk, tmp_path / "a.attention", text=TEXT, exact=True)
    assert np.abs(maps(found).sum(-1) - 1).max() < 1e-5
    assert found.header.precision != "f32", "only 16-bit weights become f32 for it"


# -- models that only read


@pytest.fixture(scope="module")
def reader() -> Iterator[Talk]:
    pytest.importorskip("transformers", reason="the engine is not installed")
    talk = Talk("playground.workers.attention_encoder")
    yield talk
    talk.close()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    pytest.importorskip("transformers", reason="the engine is not installed")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "bert"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox", "saw", "##s", "dog", "and", "a"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=64,
        max_position_embeddings=700, initializer_range=0.4,
    )  # fmt: skip
    net = BertModel._from_config(config, attn_implementation="eager").eval()
    net.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder, net


def test_an_encoder_looks_both_ways(reader: Talk, bert: tuple[Path, Any], tmp_path: Path) -> None:
    folder, net = bert
    found = capture(reader, tmp_path / "a.attention", text="the fox saw the dogs", exact=True, model=str(folder))
    assert [each.text for each in found.header.tokens] == ["[CLS]", "the", "fox", "saw", "the", "dog", "##s", "[SEP]"]
    assert not found.header.causal and found.header.tokens[0].special
    theirs = own(net, tuple(each.id for each in found.header.tokens))
    assert np.abs(maps(found) - theirs).max() <= 1e-6 and maps(found)[0, 0, 0, -1] > 0
    long = capture(reader, tmp_path / "b.attention", text="the fox saw a dog and " * 100, model=str(folder), layers=(1,))
    exact = capture(
        reader, tmp_path / "c.attention", text="the fox saw a dog and " * 100, model=str(folder), layers=(1,), exact=True
    )
    assert long.header.encoding == "qk32" and np.abs(maps(long) - maps(exact)).max() < 1e-5


def test_what_cannot_be_looked_into_is_said(reader: Talk, bert: tuple[Path, Any], tmp_path: Path) -> None:
    with pytest.raises(ContextFullError, match="window holds 700"):
        capture(reader, tmp_path / "a.attention", text="the fox " * 400, model=str(bert[0]))
    from transformers import T5Config, T5Model

    small = T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    T5Model(small).save_pretrained(tmp_path / "t5")
    tokenizers_made.plain_bytes(tmp_path / "t5")
    with pytest.raises(ModelFileError, match="an encoder and a decoder"):
        capture(reader, tmp_path / "a.attention", text="the", model=str(tmp_path / "t5"))
    assert not (tmp_path / "a.attention").exists()


def test_a_long_text_for_a_model_with_biases_between_tokens_is_refused(engines: Engines, tmp_path: Path) -> None:
    """Bloom and Falcon with ALiBi: the maps of a short text can be had, heads of a long one not be computed again."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    animal = Animal("mpt", "mpt", {"d_model": 48, "n_heads": 6, "n_layers": 2, "max_seq_len": 1024})
    make(animal, tmp_path / "mpt")
    tokenizers_made.plain_bytes(tmp_path / "mpt")
    talk = engines.talk("transformers", tmp_path / "mpt", precision="f32", context=1024)
    with pytest.raises((DataError, ModelFileError), match=r"cannot be (kept|looked at)"):
        capture(talk, tmp_path / "a.attention", prompt_ids=LONG)
    assert not (tmp_path / "a.attention").exists()
