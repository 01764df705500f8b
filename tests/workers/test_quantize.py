"""The quantize worker on models that were made for it: every type, what it says of a file beforehand, and what may go wrong."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from playground import protocol
from playground.errors import PlaygroundError, from_kind
from playground.models import quantization
from playground.models.gguf_header import open_gguf
from playground.paths import starter
from playground.process import Exit
from tests.models_made import Shape, random_model, shaped_model
from tests.workers.talk import Talk, greedy

ROLE = "playground.workers.quantize"
TINY = Shape("llama", 320, 256, 1, 4, 2, 256, 512)
SLOW = Shape("llama", 4096, 512, 4, 8, 2, 1536, 2048)
"""so large that a type with a search in it takes some seconds"""


@pytest.fixture(scope="module")
def quantizer() -> Iterator[Talk]:
    talk = Talk(ROLE, "quantization")
    yield talk
    talk.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shaped_model(tmp_path_factory.mktemp("models") / "tiny-F16.gguf", TINY, "F16")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shaped_model(tmp_path_factory.mktemp("models") / "slow-F16.gguf", SLOW, "F16")


@pytest.fixture(scope="module")
def matrix(quantizer: Talk, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    text, target = folder / "text.txt", folder / "tiny.imatrix.gguf"
    text.write_text("It was a bright cold day, and the clocks were going on and on. " * 20)
    ask(quantizer, protocol.CollectImatrix(quantizer.number(), str(made), str(text), str(target), 128))
    return target


def ask(talk: Talk, command: protocol.Message) -> protocol.Made:
    """Sends a command; the worker's error is raised as such."""
    talk.send(command)
    answer = talk.until((protocol.Made, protocol.Failed))
    if isinstance(answer, protocol.Failed):
        raise from_kind(answer.kind, answer.message, answer.hint)
    return answer


def quantize(talk: Talk, source: Path, target: Path, kind: str, imatrix: Path | None = None, **more: object) -> protocol.Made:
    matrix = str(imatrix) if imatrix is not None else ""
    return ask(talk, protocol.QuantizeGguf(talk.number(), str(source), str(target), kind, matrix, **more))  # type: ignore[arg-type]


def load(path: Path, context: int = 64) -> Talk:
    """A llama.cpp worker with a model."""
    talk = Talk()
    talk.load(path, context=context)
    return talk


def refused(talk: Talk, source: Path, target: Path, kind: str, imatrix: Path | None = None) -> PlaygroundError:
    """The error of a quantization that leaves nothing behind."""
    with pytest.raises(PlaygroundError) as caught:
        quantize(talk, source, target, kind, imatrix)
    assert caught.value.kind != "Bug"
    assert caught.value.message
    assert caught.value.hint
    assert list(target.parent.glob(f"*{target.stem}*")) == []
    return caught.value


def survey(talk: Talk, source: Path) -> dict[str, protocol.TypeSize]:
    talk.send(protocol.SurveyTypes(talk.number(), str(source)))
    answer = talk.until((protocol.TypesSurveyed, protocol.Failed))
    talk.until(protocol.Finished)
    return {each.type: each for each in answer.sizes}


SLOW_TO_BEGIN = {"IQ1_S", "IQ1_M", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XS", "IQ3_XXS"}
"""these search a table for seconds before the first weight; tests/quantize_report.py makes them too"""


def test_types_of_this_library_give_files_of_the_size_they_said_that_load_and_talk(
    quantizer: Talk, made: Path, matrix: Path, tmp_path: Path
) -> None:
    talk = Talk()
    sizes = survey(quantizer, made)
    assert set(quantization.TYPES) == set(sizes), "the table of types is that of the library"
    for kind in sizes.keys() - SLOW_TO_BEGIN:
        target, size = tmp_path / f"{kind}.gguf", sizes[kind]
        answer = quantize(quantizer, made, target, kind, matrix if size.needs_imatrix else None)
        assert answer.bytes == target.stat().st_size
        assert abs(answer.bytes - size.bytes) <= 256, kind
        header = open_gguf(target)
        assert header.metadata["general.file_type"] == quantization.NUMBERS[kind]
        assert 8 * header.weight_bytes / header.parameters == pytest.approx(size.bits_per_weight)
        talk.load(target, context=64)
        assert talk.generate(greedy(4), text="Once upon a time there was a").ends[0].reason in ("length", "end"), kind
        file = tmp_path / "logits"
        talk.send(protocol.NextToken(talk.number(), str(file), text="Once upon a time there was a"))
        talk.until(protocol.Logits)
        logits = np.fromfile(file, "<f4")
        file.unlink()
        assert len(logits) == TINY.vocabulary
        assert np.isfinite(logits).all(), kind
    talk.close()
    assert {each.stem for each in tmp_path.iterdir()} == sizes.keys() - SLOW_TO_BEGIN


def test_a_quantized_starter_says_what_the_starter_says(quantizer: Talk, tmp_path: Path) -> None:
    quantize(quantizer, starter(), tmp_path / "q.gguf", "Q8_0")
    said = []
    for path in (starter(), tmp_path / "q.gguf"):
        talk = load(path)
        said.append(talk.generate(greedy(12), text="Once upon a time").text())
        talk.close()
    assert said[0] == said[1]


def test_progress_is_told_for_every_tensor(quantizer: Talk, made: Path, tmp_path: Path) -> None:
    quantizer.send(protocol.QuantizeGguf(quantizer.number(), str(made), str(tmp_path / "q.gguf"), "Q8_0"))
    told = []
    while not isinstance(event := quantizer.next(), protocol.Made):
        if isinstance(event, protocol.Progress):
            told.append(event)
    fractions = [each.fraction for each in told]
    count = len(open_gguf(made).tensors)
    assert [each.what for each in told[:-1]] == [f"tensor {number} of {count}" for number in range(1, count + 1)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_outer_tensors_may_have_types_of_their_own(quantizer: Talk, made: Path, tmp_path: Path) -> None:
    def kinds(**more: object) -> dict[str, str]:
        quantize(quantizer, made, tmp_path / "q.gguf", "Q4_K_M", **more)
        return {tensor.name: tensor.kind.name for tensor in open_gguf(tmp_path / "q.gguf").tensors}

    plain, own, kept = kinds(), kinds(output_type="Q8_0", embedding_type="Q5_K"), kinds(keep_output=True)
    assert (plain["output.weight"], plain["token_embd.weight"]) == ("Q6_K", "Q4_K")
    assert (own["output.weight"], own["token_embd.weight"]) == ("Q8_0", "Q5_K")
    assert (kept["output.weight"], kept["token_embd.weight"]) == ("F16", "Q4_K")


def test_rows_that_a_type_does_not_fit_are_said(quantizer: Talk, tmp_path: Path) -> None:
    odd = random_model(tmp_path / "odd.gguf", "F32", width=96, heads=3, kv_heads=3, hidden=160)
    answer = quantize(quantizer, odd, tmp_path / "q.gguf", "Q4_K_M")
    assert any("Q5_0" in note and "Q4_K" in note for note in answer.notes)
    talk = load(tmp_path / "q.gguf")
    assert len(talk.generate(greedy(2), text="a").ids()) == 2
    talk.close()


def test_cancelling_ends_at_once_and_leaves_nothing(slow: Path, tmp_path: Path) -> None:
    talk = Talk(ROLE, "quantization")
    request = talk.number()
    talk.send(protocol.QuantizeGguf(request, str(slow), str(tmp_path / "q.gguf"), "IQ4_XS"))
    while not (isinstance(event := talk.next(), protocol.Progress) and event.fraction > 0.1):
        pass
    assert [each.suffix for each in tmp_path.iterdir()] == [".part"]
    talk.send(protocol.Cancel(request))
    assert talk.until(protocol.Finished).outcome == "cancelled"
    talk.wait_exit()
    assert list(tmp_path.iterdir()) == []


def test_a_kill_at_any_moment_leaves_no_half_file_and_the_next_run_tidies_up(slow: Path, tmp_path: Path) -> None:
    moments = random.Random(4)
    target = tmp_path / "q.gguf"
    for kind in ("Q4_K_M", "Q6_K", "Q8_0"):
        talk = Talk(ROLE, "quantization")
        talk.send(protocol.QuantizeGguf(talk.number(), str(slow), str(target), kind))
        until = moments.uniform(0.0, 0.9)
        while isinstance(event := talk.next(), (protocol.Started, protocol.Progress)):
            if isinstance(event, protocol.Progress) and event.fraction >= until:
                time.sleep(moments.uniform(0, 0.02))
                break
        assert talk.worker._process is not None
        talk.worker._process.kill()
        talk.wait_exit()
        if target.exists():  # it was killed after its last moment: then the file is whole
            assert open_gguf(target).metadata["general.file_type"] == quantization.NUMBERS[kind]
            target.unlink()
    talk = Talk(ROLE, "quantization")
    quantize(talk, slow, target, "Q8_0")
    talk.close()
    assert [each.name for each in tmp_path.iterdir()] == ["q.gguf"]


def test_a_disk_that_fills_up_is_said_and_leaves_nothing(slow: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))  # the worker inherits it: writing more fails, as on a full disk
    try:
        talk = Talk(ROLE, "quantization")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = refused(talk, slow, tmp_path / "q.gguf", "Q8_0")
    assert error.kind == "StorageError"
    talk.close()


def test_what_is_quantized_already_is_quantized_again_only_if_asked_for(quantizer: Talk, made: Path, tmp_path: Path) -> None:
    once = tmp_path / "once.gguf"
    quantize(quantizer, made, once, "Q8_0")
    error = refused(quantizer, once, tmp_path / "q.gguf", "Q4_K_M")
    assert "Q8_0" in error.message
    answer = quantize(quantizer, once, tmp_path / "q.gguf", "Q4_K_M", allow_requantize=True)
    assert any("Q8_0" in note for note in answer.notes)


def test_types_that_need_a_matrix_are_refused_without_one(quantizer: Talk, made: Path, tmp_path: Path) -> None:
    for kind in ("IQ2_XXS", "IQ1_S", "Q2_K_S"):
        assert kind in refused(quantizer, made, tmp_path / "q.gguf", kind).message


def test_a_matrix_changes_the_file_and_is_noted_in_it(quantizer: Talk, made: Path, matrix: Path, tmp_path: Path) -> None:
    quantize(quantizer, made, tmp_path / "without.gguf", "Q4_K_M")
    quantize(quantizer, made, tmp_path / "with.gguf", "Q4_K_M", matrix)
    header = open_gguf(tmp_path / "with.gguf")
    assert header.metadata["quantize.imatrix.file"] == matrix.name
    assert header.metadata["quantize.imatrix.dataset"] == "text.txt"
    assert (tmp_path / "without.gguf").read_bytes()[-4096:] != (tmp_path / "with.gguf").read_bytes()[-4096:]


def test_a_matrix_of_another_model_or_none_at_all_is_refused(
    quantizer: Talk, slow: Path, made: Path, matrix: Path, tmp_path: Path
) -> None:
    assert "another model" in refused(quantizer, slow, tmp_path / "q.gguf", "Q4_K_M", matrix).message
    for number, data in enumerate((b"", b"no matrix at all" * 10, matrix.read_bytes()[:2000], made.read_bytes())):
        other = tmp_path / f"other{number}.imatrix"
        other.write_bytes(data)
        refused(quantizer, made, tmp_path / "q.gguf", "Q4_K_M", other)


def test_damaged_and_unknown_sources_get_a_sentence(quantizer: Talk, made: Path, tmp_path: Path) -> None:
    data = made.read_bytes()
    header = open_gguf(made)
    tensor = next(each for each in header.tensors if each.name == "blk.0.ffn_up.weight")
    at = header.data_offset + tensor.offset
    nan = np.full(tensor.elements, np.nan, np.float16).tobytes()
    wrong = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"this is no model",
        "nan": data[:at] + nan + data[at + len(nan) :],
        "kind": data.replace(b"llama", b"lalam"),
    }
    for name, content in wrong.items():
        source = tmp_path / f"wrong-{name}"
        source.write_bytes(content)
        error = refused(quantizer, source, tmp_path / "q.gguf", "Q4_K_M")
        assert error.kind == "ModelFileError", name
        assert quantizer.exit is None, name
    assert refused(quantizer, tmp_path / "gone.gguf", tmp_path / "q.gguf", "Q8_0").kind == "NotFoundError"
    assert "folder" in refused(quantizer, tmp_path, tmp_path / "q.gguf", "Q8_0").message
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PlaygroundError, match="cannot be written"):
        quantize(quantizer, made, tmp_path / "file" / "q.gguf", "Q8_0")
    assert "Q9_9" in refused(quantizer, made, tmp_path / "q.gguf", "Q9_9").message


def test_a_header_that_lies_costs_the_worker_at_most(made: Path, tmp_path: Path) -> None:
    """llama.cpp aborts at some of these: then there is an exit to explain, and no file."""
    values = {"block_count": 100_000, "head_count": 0}
    for key, value in values.items():
        source, target = tmp_path / "lies.gguf", tmp_path / "q.gguf"
        source.write_bytes(made.read_bytes())
        reader = gguf.GGUFReader(source, "r+")
        name = f"llama.{'attention.' if key == 'head_count' else ''}{key}"
        reader.fields[name].parts[reader.fields[name].data[0]][0] = value
        reader.data.flush()
        talk = Talk(ROLE, "quantization")
        talk.send(protocol.QuantizeGguf(talk.number(), str(source), str(target), "Q8_0"))
        while not isinstance(event := talk.next(), (protocol.Made, protocol.Failed, Exit)):
            pass
        if isinstance(event, (protocol.Failed, Exit)):
            assert not target.exists()
        talk.close()
