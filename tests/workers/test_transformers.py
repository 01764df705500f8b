"""Model folders through transformers: what its own `generate` says, adapters, quantization, and one sentence for every bad folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground import protocol
from playground.errors import ContextFullError, MemoryShortError, ModelFileError, NotFoundError, PlaygroundError, SettingError
from playground.paths import starter
from tests.workers.conftest import ROLES, Engines, Libraries
from tests.workers.independent_generate import TOKENS
from tests.workers.talk import Talk, greedy, user

pytest.importorskip("safetensors", reason="the engine is not installed")

FOLDER = starter().parent
ENGINE = "transformers"
PROMPTS = [
    f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    for text in ("Tell me a story about a fox.", "Repeat: red green blue", "What is the name of the owl, and why?")
]


@dataclass
class Reference:
    folder: Path
    replies: dict[str, list[list[int]]]


@pytest.fixture(scope="session")
def reference(engines: Engines, libraries: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    printed = libraries.program(Path(__file__).with_name("independent_generate.py"), FOLDER, folder, said=PROMPTS)
    engines.talk(ENGINE, FOLDER, precision="f32")  # imports its libraries meanwhile
    replies = printed()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(FOLDER / name, folder / "nf4")
    return Reference(folder, replies)


@pytest.fixture
def load(engines: Engines) -> Callable[..., Talk]:
    return lambda path=FOLDER, **context: engines.talk(ENGINE, Path(path), **context)


def on(talk: Talk, path: Path, adapter: Path, **context: Any) -> Any:
    """Loads a model with an adapter; what came of it."""
    from playground.errors import from_kind
    from playground.params import ContextSettings

    talk.send(protocol.Load(talk.number(), str(path), ContextSettings(**context), adapter=str(adapter)))
    answer = talk.until((protocol.Loaded, protocol.Failed))
    if isinstance(answer, protocol.Failed):
        raise from_kind(answer.kind, answer.message, answer.hint)
    return answer.model


# -- against the library's own words


@pytest.mark.parametrize("precision", ["f32", "bf16", "nf4", "int8"])
def test_greedy_replies_are_those_of_generate(load: Any, reference: Reference, precision: str) -> None:
    talk = load(precision=precision)
    for number, prompt in enumerate(PROMPTS):
        answer = talk.generate(greedy(TOKENS), text=prompt)
        assert answer.prefilled is not None
        assert [token.token_id for token in answer.prefilled.prompt] == reference.replies["prompts"][number]
        assert answer.ids() == reference.replies[precision][number]
    assert not [line for line in talk.logged if "WARNING" in line.text or line.level >= 30]


def test_a_folder_stored_in_nf4(load: Any, reference: Reference) -> None:
    talk = load(reference.folder / "nf4")
    for number, prompt in enumerate(PROMPTS):
        assert talk.generate(greedy(TOKENS), text=prompt).ids() == reference.replies["nf4"][number]


def test_long_prompts_in_parts_say_the_same(load: Any, reference: Reference) -> None:
    talk = load(precision="f32", batch=5, ubatch=5)
    for number, prompt in enumerate(PROMPTS):
        answer = talk.generate(greedy(TOKENS), text=prompt)
        assert answer.prefilled is not None and answer.prefilled.batches[0].size == 5
        assert answer.ids() == reference.replies["f32"][number]


def test_both_engines_agree_on_the_f32_model(load: Any, engines: Engines, tmp_path: Path) -> None:
    from playground.conversion.convert import convert

    convert(FOLDER, tmp_path / "starter-f32.gguf", "f32")
    llama = engines.talk("llama.cpp", tmp_path / "starter-f32.gguf", flash_attention="off", kv_type_k="f32", kv_type_v="f32")
    torch = load(precision="f32")
    for prompt in PROMPTS:
        mine, other = (talk.generate(greedy(80), text=prompt) for talk in (torch, llama))
        assert mine.ids() == other.ids() and mine.text() == other.text()
        for token, same in zip(mine.tokens[0], other.tokens[0], strict=True):
            assert token.logprob == pytest.approx(same.logprob, abs=1e-3)


# -- adapters


def test_an_adapter_says_what_peft_says_and_its_scale_is_live(reference: Reference, engines: Engines) -> None:
    talk = engines.talk(ENGINE, FOLDER, precision="f32")
    plain = [talk.generate(greedy(TOKENS), text=prompt).ids() for prompt in PROMPTS]
    engines.there.pop(ENGINE)
    info = on(talk, FOLDER, reference.folder / "adapter", precision="f32")
    assert info.adapter == str(reference.folder / "adapter") and len(info.adapter_sha256) == 64
    assert "peft" in info.engine_build
    for number, prompt in enumerate(PROMPTS):
        assert talk.generate(greedy(TOKENS), text=prompt).ids() == reference.replies["adapter"][number]
        assert talk.generate(greedy(TOKENS, adapter_scale=0.0), text=prompt).ids() == plain[number]
    assert reference.replies["adapter"] != plain

    prompt = PROMPTS[0]
    scales = [0.0, 1.0, 0.5, 1.0]
    together = talk.generate(*[greedy(20, adapter_scale=scale) for scale in scales], text=prompt)
    for number, scale in enumerate(scales):
        assert together.ids(number) == talk.generate(greedy(20, adapter_scale=scale), text=prompt).ids()

    off = greedy(TOKENS, adapter_scale=0.0)
    for count in (1, 2):  # alone, and among others
        steered = talk.generate(*[greedy(TOKENS)] * count, text=prompt, timelines=[[protocol.Change(6, off)], []][:count])
        assert steered.ids()[:6] == reference.replies["adapter"][0][:6]
        assert steered.ids() != reference.replies["adapter"][0]
        assert [(change.index, change.settings.adapter_scale) for change in steered.changes] == [(6, 0.0)]
        again = talk.generate(*[greedy(TOKENS)] * count, text=prompt, timelines=[[protocol.Change(6, off)], []][:count])
        assert again.ids() == steered.ids()
    # what was computed at another scale is not used again
    after = talk.generate(greedy(TOKENS), text=prompt)
    assert after.ids() == reference.replies["adapter"][0]


def test_adapters_that_are_none_of_this_model(load: Any, engines: Engines, reference: Reference, tmp_path: Path) -> None:
    talk = load(precision="f32")
    engines.there.pop(ENGINE)
    with pytest.raises(NotFoundError, match="no adapter"):
        on(talk, FOLDER, tmp_path / "nowhere")
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelFileError, match=r"for llama\.cpp"):
        on(talk, FOLDER, tmp_path / "a.gguf")
    changed = shutil.copytree(reference.folder / "adapter", tmp_path / "wide")
    rewrite(changed / "adapter_model.safetensors", lambda name, data: data[:, :-1] if "lora_A" in name else data)
    with pytest.raises(ModelFileError, match=r"does not belong to starter: its model\.layers\.0"):
        on(talk, FOLDER, changed)
    pickled = shutil.copytree(reference.folder / "adapter", tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelFileError, match="pickle"):
        on(talk, FOLDER, pickled)
    assert talk.exit is None


# -- what it says of itself, and its limits


def test_what_a_folder_says_of_itself(engines: Engines) -> None:
    talk = engines.talk(ENGINE, FOLDER, precision="f32")
    engines.there.pop(ENGINE)
    info = talk.load(FOLDER)
    assert (info.engine, info.name, info.architecture, info.quantization) == ("transformers", "starter", "llama", "BF16")
    assert info.engine_build.startswith("transformers ") and ", torch " in info.engine_build
    assert info.vocabulary == 2048 and info.has_template and info.layers == 6 and info.heads == 8
    assert info.context == info.trained_context == 1024
    line = f"{hashlib.sha256((FOLDER / 'model.safetensors').read_bytes()).hexdigest()}  model.safetensors\n"
    assert info.sha256 == hashlib.sha256(line.encode()).hexdigest()
    assert info.size == sum(term.bytes for term in info.memory) and 3e6 < info.parameters < 9e6
    small = talk.load(FOLDER, precision="nf4")
    assert small.quantization == "NF4" and small.size < info.size / 2 and "bitsandbytes" in small.engine_build


def test_a_full_context_is_an_outcome(engines: Engines, recited_folder: Path) -> None:
    talk = engines.talk(ENGINE, recited_folder, context=8)
    answer = talk.generate(greedy(0), prompt_ids=[257])
    assert answer.ends[0].reason == "context" and answer.used[0] == 9 and len(answer.ids()) == 8
    together = talk.generate(greedy(0), greedy(3), greedy(0), prompt_ids=[257])
    assert [together.ends[number].reason for number in range(3)] == ["context", "length", "context"]
    assert together.ids(0) == together.ids(2) == answer.ids() and together.ids(1) == answer.ids()[:3]
    with pytest.raises(ContextFullError, match="9 tokens"):
        talk.generate(greedy(), prompt_ids=list(range(9)))
    assert talk.generate(greedy(3), prompt_ids=[257]).ids() == answer.ids()[:3]


def test_a_prompt_is_stopped_while_it_is_read(engines: Engines) -> None:
    talk = engines.talk(ENGINE, FOLDER, precision="f32", batch=1, ubatch=1)
    request = talk.number()
    talk.send(protocol.Generate(request, (greedy(5),), prompt_ids=tuple(range(10, 1000))))
    talk.until(protocol.Progress)
    talk.send(protocol.Cancel(request))
    answer = talk.collect(request)
    assert answer.outcome == "cancelled" and answer.prefilled is None
    assert len(talk.generate(greedy(4), messages=user("Hello")).ids()) == 4


def test_a_killed_worker_is_a_sentence(engines: Engines) -> None:
    talk = Talk(ROLES[ENGINE])
    started = talk.until(protocol.Started)
    os.kill(started.pid, 9)
    assert talk.wait_exit().sentence
    talk.close()


# -- bad folders


def rewrite(file: Path, change: Callable[[str, Any], Any]) -> None:
    """Changes every tensor of a file of floats."""
    from safetensors.numpy import load_file, save_file

    save_file({name: change(name, data).copy() for name, data in load_file(file).items()}, file, {"format": "pt"})


def config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def cut(folder: Path, count: int) -> None:
    file = folder / "model.safetensors"
    os.truncate(file, file.stat().st_size + count)


def shards(folder: Path) -> None:
    index = {
        "metadata": {},
        "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors", "x": "model-00002-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


BAD: dict[str, tuple[Callable[[Path], Any], type[PlaygroundError], str]] = {
    "pickles only": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), ModelFileError, "pickles"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ModelFileError, "holds no weights"),
    "a missing shard": (shards, ModelFileError, "lacks 1 of its 2 weight files: model-00002-of-00002"),
    "too short": (lambda f: cut(f, -1000), ModelFileError, "model.safetensors is cut short"),
    "too long": (lambda f: cut(f, 1000), ModelFileError, "model.safetensors has the wrong length"),
    "no config": (lambda f: (f / "config.json").unlink(), ModelFileError, "no config.json"),
    "damaged config": (lambda f: (f / "config.json").write_text("{"), ModelFileError, "is not JSON"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ModelFileError, "no tokenizer"),
    "damaged tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), ModelFileError, "tokenizer of"),
    "unknown": (lambda f: config(f, model_type="frobnicate"), ModelFileError, "kind 'frobnicate'"),
    "remote code": (
        lambda f: config(f, model_type="frobnicate", auto_map={"AutoModelForCausalLM": "m.M"}),
        ModelFileError,
        "code of its own",
    ),
    "no text model": (lambda f: config(f, model_type="t5", architectures=["T5Model"]), ModelFileError, "writing text"),
    "other shapes": (lambda f: config(f, intermediate_size=640), ModelFileError, "(shape|damaged)"),
    "more layers": (lambda f: config(f, num_hidden_layers=7), ModelFileError, "lacks .* of the model's weights"),
    "gptq": (lambda f: config(f, quantization_config={"quant_method": "gptq", "bits": 4}), ModelFileError, "gptq"),
}


@pytest.mark.parametrize("fault", list(BAD))
def test_a_bad_folder_is_one_sentence(engines: Engines, tmp_path: Path, fault: str) -> None:
    spoil, kind, said = BAD[fault]
    folder = tmp_path / "model"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.gguf"))
    spoil(folder)
    talk = engines.talk(ENGINE, FOLDER, precision="f32")
    engines.there.pop(ENGINE)
    with pytest.raises(kind, match=said) as found:
        talk.load(folder)
    assert found.value.hint and "\n" not in found.value.message and "Traceback" not in str(found.value)
    assert talk.exit is None


def test_weights_that_are_no_numbers(engines: Engines, tmp_path: Path, recited_folder: Path) -> None:
    folder = shutil.copytree(recited_folder, tmp_path / "nan")
    rewrite(folder / "model.safetensors", lambda name, data: data * float("nan") if "norm" in name else data)
    talk = engines.talk(ENGINE, FOLDER, precision="f32")
    engines.there.pop(ENGINE)
    with pytest.raises(ModelFileError, match="no numbers"):
        talk.load(folder, check_tensors=True)
    talk.load(folder)
    with pytest.raises(ModelFileError, match="no usable numbers"):
        talk.generate(greedy(3), prompt_ids=[5])


def test_settings_that_a_folder_cannot_have(engines: Engines, reference: Reference) -> None:
    talk = engines.talk(ENGINE, FOLDER, precision="f32")
    engines.there.pop(ENGINE)
    with pytest.raises(SettingError, match="stored as nf4"):
        talk.load(reference.folder / "nf4", precision="f32")
    with pytest.raises(MemoryShortError, match="context window"):
        talk.load(FOLDER, context=16_000_000)
    with pytest.raises(ModelFileError, match="is a file"):
        talk.load(FOLDER / "config.json")
    with pytest.raises(NotFoundError):
        talk.load(FOLDER / "nowhere")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process")
def test_memory_that_runs_out_is_said_and_the_model_stays(load: Any) -> None:
    talk = load(precision="f32")
    wanted = talk.generate(greedy(4), text=PROMPTS[0]).ids()
    process = psutil.Process(talk.worker.pid)
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + (4 << 20), -1))
    try:
        with pytest.raises(MemoryShortError, match="not enough memory"):
            talk.generate(*[greedy(20)] * 8, text="red green blue " * 200)
    finally:
        process.rlimit(psutil.RLIMIT_AS, (-1, -1))
    assert talk.generate(greedy(4), text=PROMPTS[0]).ids() == wanted
