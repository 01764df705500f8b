"""Loading: what a model says of itself, and one sentence for every file that cannot be one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from playground import protocol
from playground.errors import MemoryShortError, ModelFileError, NotFoundError, PlaygroundError, TemplateError
from playground.paths import starter
from tests.models_made import random_model
from tests.workers.mutants import mutant
from tests.workers.talk import Talk, greedy, user


def test_what_a_model_says_of_itself(talk: Talk) -> None:
    info = talk.load(starter())
    assert info.path == str(starter()) and info.name and info.architecture == "llama"
    assert info.vocabulary == 2048 and info.quantization == "F16" and info.has_template
    assert info.context == info.trained_context  # as much as it was trained for
    assert 3e6 < info.parameters < 9e6 and info.layers == 6 and info.heads == 8
    assert info.engine == "llama.cpp" and "llama-cpp-python" in info.engine_build and info.device
    assert info.sha256 == hashlib.sha256(starter().read_bytes()).hexdigest()
    kinds = {term.kind for term in info.memory}
    assert kinds == {"weights", "kv_cache", "compute", "output"}
    weights = sum(term.bytes for term in info.memory if term.kind == "weights")
    assert abs(weights - info.size) < 0.05 * info.size


def test_loading_tells_how_far_it_is(talk: Talk, quantized: Path) -> None:
    request = talk.number()
    talk.send(protocol.Load(request, str(quantized)))
    first = talk.until(protocol.Progress)
    assert first.request == request and 0 <= first.fraction <= 1
    talk.until(protocol.Loaded)


def test_settings_of_the_context(talk: Talk, tmp_path: Path) -> None:
    path = random_model(tmp_path / "m.gguf", context=20_000)
    assert talk.load(path).context == 8192
    smaller = talk.load(path, context=1000, kv_type_k="q8_0", kv_type_v="q8_0", sequences=2, batch=64, ubatch=32, threads=1)
    assert smaller.context == 1024  # the library rounds up to whole blocks
    assert len(talk.generate(greedy(4), text="z" * 200).ids()) == 4
    apart = talk.load(path, context=512, unified_kv=False, sequences=2)
    assert apart.context == 512
    assert len(talk.generate(greedy(4), greedy(6), text="z" * 200).ids(1)) == 6


def test_a_loaded_model_is_replaced(talk: Talk, quantized: Path) -> None:
    talk.load(starter())
    assert talk.load(quantized).vocabulary == 512
    with pytest.raises(ModelFileError):
        talk.load(Path(__file__))
    request = talk.number()
    talk.send(protocol.Tokenize(request, text="x"))
    assert "No model is loaded" in talk.until(protocol.Failed).message


def test_a_model_file_that_is_deleted_while_loaded(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "gone.gguf"
    shutil.copy(starter(), path)
    talk.load(path)
    before = talk.generate(greedy(10), messages=user("Hello"))
    path.unlink()
    assert talk.generate(greedy(10), messages=user("Hello")).ids() == before.ids()
    with pytest.raises(NotFoundError, match=r"gone\.gguf"):
        talk.load(path)


def test_a_load_can_be_cancelled(talk: Talk) -> None:
    request = talk.number()
    talk.send(protocol.Load(request, str(starter())))
    talk.send(protocol.Cancel(request))
    answer = talk.until((protocol.Finished, protocol.Loaded))
    assert answer in (protocol.Finished(request, "cancelled"), answer)
    talk.load(starter())


def test_a_known_hash_is_taken_over(talk: Talk) -> None:
    talk.send(protocol.Load(talk.number(), str(starter()), sha256="ab" * 32))
    assert talk.until(protocol.Loaded).model.sha256 == "ab" * 32


def test_a_context_larger_than_memory_is_refused_before_it_is_allocated(talk: Talk) -> None:
    with pytest.raises(MemoryShortError, match="16,000,000 tokens") as refused:
        talk.load(starter(), context=16_000_000)
    assert refused.value.hint
    talk.load(starter())


@pytest.fixture(scope="module")
def loading() -> Iterator[Talk]:
    """One worker for all that is refused: it has to live through it."""
    talk = Talk()
    yield talk
    talk.close()


BAD = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("This is a letter, not a model.\n" * 50),
    "safetensors": lambda path: path.write_bytes((500).to_bytes(8, "little") + b'{"a":{}}' + bytes(500)),
    "magic only": lambda path: path.write_bytes(b"GGUF"),
    "cut in the header": lambda path: path.write_bytes(starter().read_bytes()[:20_000]),
    "cut in the weights": lambda path: path.write_bytes(starter().read_bytes()[:-1000]),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_model_gets_one_sentence(loading: Talk, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.gguf"
    BAD[kind](path)
    with pytest.raises((ModelFileError, NotFoundError)) as refused:
        loading.load(path)
    assert "model.gguf" in refused.value.message and refused.value.hint
    assert "\n" not in refused.value.message and "Traceback" not in refused.value.message
    loading.load(starter())


def changed(path: Path, key: str, value: Any) -> Path:
    """The starter model with one number of its header changed in place."""
    shutil.copy(starter(), path)
    reader = gguf.GGUFReader(path, "r+")
    found = reader.get_field(key)
    assert found is not None
    found.parts[found.data[0]][0] = value
    del reader
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 0),
        ("llama.block_count", 100_000),
        ("llama.block_count", 5),
        ("llama.embedding_length", 0),
        ("llama.embedding_length", 12),
        ("llama.context_length", 0),
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count", 7),
        ("llama.attention.head_count_kv", 3),
        ("llama.attention.layer_norm_rms_epsilon", float("nan")),
        ("llama.attention.layer_norm_rms_epsilon", -1.0),
        ("llama.rope.freq_base", float("inf")),
        ("llama.rope.dimension_count", 3),
    ],
)
def test_absurd_shapes_are_refused(loading: Talk, tmp_path: Path, key: str, value: Any) -> None:
    path = changed(tmp_path / "absurd.gguf", key, value)
    with pytest.raises(ModelFileError) as refused:
        loading.load(path)
    assert refused.value.hint


def test_an_unknown_architecture_is_named(loading: Talk, tmp_path: Path) -> None:
    data = (
        starter()
        .read_bytes()
        .replace(b"\x05\x00\x00\x00\x00\x00\x00\x00llama", b"\x05\x00\x00\x00\x00\x00\x00\x00zorgs")
        .replace(b"llama.", b"zorgs.")
    )
    path = tmp_path / "zorgs.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="zorgs"):
        loading.load(path)


def test_damaged_weights_are_found_where_asked(loading: Talk, tmp_path: Path) -> None:
    data = bytearray(starter().read_bytes())
    data[-200_000:-190_000] = b"\xff" * 10_000  # NaN as float16
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as refused:
        loading.load(path, check_tensors=True)
    assert "damaged" in refused.value.message
    loading.load(path)
    with pytest.raises(ModelFileError, match="no usable numbers"):
        loading.generate(greedy(64), text="one two three")


def used(talk: Talk, path: Path) -> PlaygroundError | None:
    """What a model answers to being used, if not with a text."""
    try:
        talk.load(path)
        talk.generate(greedy(3), messages=user("hello"))
    except PlaygroundError as error:
        return error
    return None


def test_every_mutant_loads_or_gets_one_sentence(tmp_path: Path) -> None:
    """A worker that dies all the same would be a sentence too, but none of these should kill it."""
    data = starter().read_bytes()
    talk = Talk()
    loaded = 0
    for number in range(60):
        path = tmp_path / f"mutant-{number}.gguf"
        path.write_bytes(mutant(data, number))
        problem = used(talk, path)
        path.unlink()
        loaded += problem is None
        if problem is not None:
            assert "\n" not in problem.message and problem.hint, number
            assert isinstance(problem, ModelFileError | MemoryShortError | TemplateError), (number, problem)
    talk.close()
    assert 0 < loaded < 60
