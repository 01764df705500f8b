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
from playground.errors import ContextFullError, DataError, MemoryShortError, ModelFileError, SettingError, StorageError
from playground.inside.capture import Capture
from playground.workers import attention
from tests.conversion import tokenizers_made
from tests.conversion.zoo import ANIMALS, Animal, make
from tests.models_made import SMALL_MIXTURE, shaped_model
from tests.workers.attend import capture, maps, stopped
from tests.workers.conftest import Engines
from tests.workers.talk import Talk, user

TEXT = "Once upon a time there was a small fox. The small fox had a red ball. Once upon a time there was a dog."
LONG = tuple(int(each) for each in np.random.default_rng(0).integers(3, 250, 600))
SHORT = LONG[:90]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Folders with a GGUF file in them, and the models in transformers: grouped heads; windows; caps and windows; multi-query, biases; a window
    that llama.cpp does not compute."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    root, found = tmp_path_factory.mktemp("zoo"), {}
    for name in ("qwen3", "gemma3", "gemma2", "gpt2", "mistral"):
        animal = next(each for each in ANIMALS if each.name == name)
        if name == "mistral":
            animal = replace(animal, settings=animal.settings | {"sliding_window": 64})
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
    def begun(request: int) -> None:
        talking.send(protocol.Capture(request, str(tmp_path / "a.attention"), text=TEXT * 20, exact=True))
        talking.until(protocol.Progress)

    stopped(talking, begun)
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


def test_what_memory_does_not_hold_is_refused_with_its_size(tmp_path: Path) -> None:
    class Greedy:
        exact, most = True, 1 << 30

        def shape(self) -> attention.Shape:
            return attention.Shape((0, 1), 4, 4, 16)

        def memory(self, shape: attention.Shape, length: int) -> int:
            return length << 40

        def notes(self, length: int) -> tuple[str, ...]:
            return ()

        def run(self, *_: Any) -> None:
            raise AssertionError("it was not refused beforehand")

    command = protocol.Capture(1, str(tmp_path / "a.attention"), text=TEXT)
    about = attention.About("m", "m", "", "e", "b", "f32")
    with pytest.raises(MemoryShortError, match=r"Capturing 2 tokens takes up to 2,048\.0 GiB of memory"):
        attention.capture(None, command, [protocol.PromptToken(1, "a")] * 2, 512, about, Greedy())  # type: ignore[arg-type]
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
    rough = engine == "llama.cpp" and name != "qwen3"  # whose activation is none of these
    assert any("GELU" in each for each in found.header.left_out) == rough
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


def test_a_window_that_llama_cpp_does_not_compute_is_said(
    engines: Engines, engine: str, zoo: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    """What is beyond the window has weight there; in the folder it has none. A text within it is looked at alike."""
    talk = loaded(engines, engine, zoo["mistral"][0])
    found = capture(talk, tmp_path / "a.attention", prompt_ids=SHORT, exact=True)
    theirs = own(zoo["mistral"][1], SHORT)
    if engine == "transformers":
        assert np.abs(maps(found) - theirs).max() <= 1e-6 and not found.header.left_out
    else:
        assert maps(found)[0, :, 80, :10].any() and not theirs[0, :, 80, :10].any()
        assert [each.partition(";")[0] for each in found.header.left_out] == [
            "This model was made to see only the last 64 tokens"
        ]
    within = capture(talk, tmp_path / "b.attention", prompt_ids=SHORT[:60], exact=True)
    assert np.abs(maps(within) - own(zoo["mistral"][1], SHORT[:60])).max() <= 2e-3 and not within.header.left_out


def test_rows_that_sum_to_less_than_one_are_said(engines: Engines, tmp_path: Path) -> None:
    """Learned sinks, as gpt-oss has them, in windows and without."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    animal = Animal(
        "gpt-oss", "gpt_oss", {"head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 32}
    )
    net = make(animal, tmp_path / "m")
    tokenizers_made.plain_bytes(tmp_path / "m")
    talk = engines.talk("transformers", tmp_path / "m", precision="f32", context=1024)
    found = capture(talk, tmp_path / "a.attention", prompt_ids=SHORT, exact=True)
    assert np.abs(maps(found) - own(net, SHORT)).max() <= 1e-6
    assert maps(found).sum(-1).min() < 0.95 and any("less than 1" in each for each in found.header.left_out)


def test_the_attention_a_folder_chats_with_is_put_back(
    engines: Engines, zoo: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    """A stopped capture leaves the fast attention in force: the next reply is as before, to the bit."""
    talk = loaded(engines, "transformers", zoo["qwen3"][0])
    before = talk.generate(prompt_ids=SHORT)
    stopped(talk, lambda request: talk.send(protocol.Capture(request, str(tmp_path / "a.attention"), prompt_ids=LONG)))
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
    with pytest.raises(SettingError, match="has no decoder"):
        capture(reader, tmp_path / "a.attention", text="the", model=str(bert[0]), parts=("cross",))
    assert not list(tmp_path.iterdir())


def test_an_encoder_given_two_texts_knows_which_is_which(reader: Talk, bert: tuple[Path, Any], tmp_path: Path) -> None:
    import torch

    folder, net = bert
    asked = {"text": "the fox", "exact": True, "model": str(folder)}
    found = capture(reader, tmp_path / "a.attention", target_text="a dog [PAD]", **asked)
    assert [each.text for each in found.header.tokens] == ["[CLS]", "the", "fox", "[SEP]", "a", "dog", "[PAD]", "[SEP]"]
    ids = torch.tensor([[each.id for each in found.header.tokens]])
    with torch.no_grad():
        theirs = net(ids, token_type_ids=torch.tensor([[0] * 4 + [1] * 4]), output_attentions=True).attentions
        of_one = net(ids, output_attentions=True).attentions
    expected = np.stack([each[0].numpy() for each in theirs])
    assert np.abs(maps(found) - expected).max() <= 1e-6
    assert np.abs(expected - np.stack([each[0].numpy() for each in of_one])).max() > 1e-3


# -- models that read one text and write another


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """A T5 (distances as biases, heads of a width of their own) and a BART, with weights large enough that attention is not even."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    import torch
    from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("pairs")
    marks = {"pad_token_id": 0, "eos_token_id": 2}
    t5 = T5Config(
        vocab_size=300, d_model=32, d_kv=12, d_ff=48, num_layers=2, num_decoder_layers=3, num_heads=4, decoder_start_token_id=0,
        initializer_factor=2.0, **marks,
    )  # fmt: skip
    bart = BartConfig(
        vocab_size=300, d_model=32, encoder_layers=3, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=700, init_std=0.4, bos_token_id=1,
        decoder_start_token_id=2, forced_eos_token_id=None, forced_bos_token_id=None, **marks,
    )  # fmt: skip
    made = {"t5": T5ForConditionalGeneration(t5), "bart": BartForConditionalGeneration(bart)}
    for name, net in made.items():
        net.eval().set_attn_implementation("eager")
        net.save_pretrained(root / name)
        tokenizers_made.plain_bytes(root / name)
        (root / name / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return {name: (root / name, net) for name, net in made.items()}


def of_parts(net: Any, source: list[int], target: list[int]) -> dict[str, np.ndarray[Any, Any]]:
    """What transformers says itself."""
    import torch

    with torch.no_grad():
        out = net(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target]), output_attentions=True)
    of = {"encoder": out.encoder_attentions, "decoder": out.decoder_attentions, "cross": out.cross_attentions}
    return {part: np.stack([each[0].numpy() for each in found]) for part, found in of.items()}


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("target", ["a red ball.", ""], ids=["given", "written"])
def test_encoder_decoder_and_cross_attention(
    reader: Talk, pairs: dict[str, tuple[Path, Any]], name: str, target: str, tmp_path: Path
) -> None:
    folder, net = pairs[name]
    last = capture(reader, tmp_path / "p.attention", text="the fox saw", target_text=target, exact=True, model=str(folder))
    assert sorted(os.listdir(tmp_path)) == [f"p-{part}.attention" for part in ("cross", "decoder", "encoder")]
    found = {part: Capture(tmp_path / f"p-{part}.attention") for part in ("encoder", "decoder", "cross")}
    header = last.header
    assert header == found["cross"].header and header.columns == found["encoder"].header.tokens
    assert header.tokens == found["decoder"].header.tokens and "".join(each.text for each in header.columns) == "the fox saw"
    source, read = ([each.id for each in tokens] for tokens in (header.columns, header.tokens))
    assert read[0] == net.config.decoder_start_token_id and read[-1] != 2
    if target:
        assert "".join(each.text for each in header.tokens[1:]) == target
    else:
        import torch

        own = net.generate(torch.tensor([source]), max_new_tokens=128, do_sample=False, use_cache=False)[0].tolist()
        assert own[: len(read)] == read and own[len(read) :] in ([], [2])
    for part, theirs in of_parts(net, source, read).items():
        each = found[part]
        assert each.header.kind == {"encoder": "bidirectional", "decoder": "causal", "cross": "cross"}[part]
        assert maps(each).shape == theirs.shape and np.abs(maps(each) - theirs).max() <= 1e-6
        assert theirs.max() > 1.5 / theirs.shape[-1], "a model that looks at everything alike would show nothing"


def test_long_pairs(reader: Talk, pairs: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    """BART's heads are computed again from queries and keys, also across; T5's biases forbid it, but for the cross attention, which has none."""
    long, short = "the fox saw a dog. " * 33, "a dog. " * 50
    asked = {"text": long, "target_text": short}
    for name, parts in (("bart", ("encoder", "decoder", "cross")), ("t5", ("cross",))):
        folder, net = pairs[name]
        capture(reader, tmp_path / f"{name}.attention", model=str(folder), parts=parts, **asked)
        found = {part: Capture(tmp_path / f"{name}-{part}.attention") for part in parts}
        cross = found["cross"].header
        theirs = of_parts(net, [each.id for each in cross.columns], [each.id for each in cross.tokens])
        assert cross.encoding == "qk32" and (cross.width, cross.length) == (627, 351)
        for part, each in found.items():
            assert np.abs(maps(each) - theirs[part]).max() < (1e-5 if each.header.recomputed else 0.004)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(DataError, match="cannot be kept"):
        capture(reader, tmp_path / "no.attention", model=str(pairs["t5"][0]), **asked)
    with pytest.raises(StorageError, match="would take"):
        capture(
            reader, tmp_path / "no.attention", model=str(pairs["bart"][0]), limit=400_000, text="the fox", target_text=short
        )
    with pytest.raises(ContextFullError, match="reads 700"):
        capture(reader, tmp_path / "no.attention", model=str(pairs["bart"][0]), text=long * 2)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_long_text_for_a_model_with_biases_between_tokens_is_refused(engines: Engines, tmp_path: Path) -> None:
    """Bloom and Falcon with ALiBi: the maps of a short text can be had, heads of a long one not be computed again."""
    pytest.importorskip("transformers", reason="the engine is not installed")
    animal = Animal("mpt", "mpt", {"d_model": 48, "n_heads": 6, "n_layers": 2, "max_seq_len": 1024})
    make(animal, tmp_path / "mpt")
    tokenizers_made.plain_bytes(tmp_path / "mpt")
    talk = engines.talk("transformers", tmp_path / "mpt", precision="f32", context=1024)
    with pytest.raises((DataError, ModelFileError), match=r"cannot be (kept|looked at)") as said:
        capture(talk, tmp_path / "a.attention", prompt_ids=LONG)
    assert "GGUF" not in str(said.value), "which cannot be made of it here"
    assert not (tmp_path / "a.attention").exists()
