"""Measuring quality with the real library: against an independent calculation, in order, and with what cannot be measured."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import protocol
from playground.errors import DataError, ModelFileError, PlaygroundError, SettingError, from_kind
from playground.paths import starter
from tests.models_made import random_model
from tests.workers.talk import Talk

TYPES = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
FOUR_BITS = ("Q4_K_M", "Q3_K_M", "Q2_K")
TEXT = starter().parent / "evaluation.txt"
CALIBRATION = starter().parent / "calibration.txt"
CHUNKS = 4
FIGURES = ("perplexity", "perplexity_error", "kl_divergence", "kl_error", "kl_p99", "top1_agreement")


class Measuring:
    """A worker that measures. `ask` gives the rows, or raises what the worker named."""

    def __init__(self) -> None:
        self.talk = Talk("tests.workers.measured_once", "measurement")

    def ask(
        self, original: Path, *models: Path, text: Path = TEXT, special: bool = True, **more: Any
    ) -> list[protocol.QualityRow]:
        command = protocol.MeasureQuality(
            self.talk.number(), str(original), tuple(map(str, models)), str(text), special=special, **more
        )
        self.talk.send(command)
        rows = []
        while True:
            event = self.talk.until((protocol.QualityMeasured, protocol.Finished, protocol.Failed))
            if isinstance(event, protocol.QualityMeasured):
                rows.append(event.row)
            elif isinstance(event, protocol.Failed):
                raise from_kind(event.kind, event.message, event.hint) if event.kind != "Bug" else AssertionError(event.details)
            else:
                return rows


@pytest.fixture(scope="module")
def measuring() -> Iterator[Measuring]:
    found = Measuring()
    yield found
    found.talk.close()


@pytest.fixture(scope="module")
def quantizations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The starter in every type of the report, and in those of four bits and less by an importance matrix, as `Q2_K+`."""
    folder = tmp_path_factory.mktemp("quantized")
    talk = Talk("playground.workers.quantize", "quantization")

    def make(command: protocol.Message) -> None:
        talk.send(command)
        assert isinstance(talk.until((protocol.Made, protocol.Failed)), protocol.Made)

    matrix = folder / "matrix.gguf"
    make(protocol.CollectImatrix(talk.number(), str(starter()), str(CALIBRATION), str(matrix), chunks=16))
    made = {}
    for name in (*TYPES, *(f"{kind}+" for kind in FOUR_BITS)):
        made[name] = folder / f"starter-{name}.gguf"
        with_matrix = str(matrix) if name.endswith("+") else ""
        make(protocol.QuantizeGguf(talk.number(), str(starter()), str(made[name]), name.removesuffix("+"), with_matrix))
    talk.close()
    return made


@pytest.fixture(scope="module")
def rows(
    measuring: Measuring, quantizations: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[protocol.QualityRow]:
    """The original, every type, and those with an importance matrix, by way of the original's kept logits."""
    base = tmp_path_factory.mktemp("base") / "original"
    return measuring.ask(starter(), *quantizations.values(), chunks=CHUNKS, base=str(base))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with random weights, and a text for it."""
    folder = tmp_path_factory.mktemp("small")
    text = folder / "text.txt"
    text.write_text("".join(f" word{257 + 37 * place % 255}" for place in range(3000)))
    return random_model(folder / "small.gguf", "F16", width=64, hidden=128), text


def test_the_figures_are_those_of_an_independent_calculation(
    rows: list[protocol.QualityRow], quantizations: dict[str, Path]
) -> None:
    kinds = ("Q8_0", "Q4_K_M", "Q2_K")
    script = Path(__file__).with_name("independent_quality.py")
    files = [str(starter()), *(str(quantizations[kind]) for kind in kinds)]
    said = subprocess.run(
        [sys.executable, str(script), str(TEXT), "512", str(CHUNKS), "1", *files],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    expected = [json.loads(line) for line in said.stdout.splitlines()]
    mine = [rows[0], *(rows[1 + TYPES.index(kind)] for kind in kinds)]
    assert len(expected) == len(mine)
    for row, other in zip(mine, expected, strict=True):
        assert row.tokens == other["tokens"] == CHUNKS * 255
        for name in FIGURES:
            assert getattr(row, name) == pytest.approx(other[name], rel=1e-4, abs=1e-9), (row.path, name)
    assert [row.log_ratio for row in mine] == pytest.approx(
        [np.log(other["perplexity"] / expected[0]["perplexity"]) for other in expected], abs=1e-9
    )


def test_divergence_and_perplexity_rise_from_type_to_type(rows: list[protocol.QualityRow]) -> None:
    """Perplexities as far as four windows can tell; over the whole text (`playground quantize starter --report`) they are in order too."""
    original, *others = rows[: 1 + len(TYPES)]
    assert [row.quantization for row in others] == list(TYPES)
    losses = [row.kl_divergence for row in others]
    assert losses == sorted(losses)
    assert others[0].perplexity < others[3].perplexity < others[5].perplexity
    for better, worse in itertools.pairwise(others):
        gap = worse.kl_divergence - better.kl_divergence
        assert gap > 2 * (better.kl_error**2 + worse.kl_error**2) ** 0.5, "the order is no accident of this text"
        assert worse.log_ratio > better.log_ratio - 2 * (better.log_ratio_error**2 + worse.log_ratio_error**2) ** 0.5
        assert better.size > worse.size
        assert better.top1_agreement > worse.top1_agreement
    assert original.kl_divergence == 0.0
    assert original.bits_per_weight == pytest.approx(16, rel=0.01)
    for row in rows:
        assert row.size == Path(row.path).stat().st_size
        assert 2 < row.bits_per_weight < 17
        assert row.prompt_tokens_per_s > 0
        assert row.decode_tokens_per_s > 0


def test_an_importance_matrix_makes_no_type_of_four_bits_and_less_worse(rows: list[protocol.QualityRow]) -> None:
    without = {row.quantization: row for row in rows[1 : 1 + len(TYPES)]}
    for row in rows[1 + len(TYPES) :]:
        plain = without[row.quantization]
        assert Path(row.path).stem.endswith("+")
        assert row.bits_per_weight == pytest.approx(plain.bits_per_weight)
        assert row.kl_divergence <= plain.kl_divergence, row.quantization
        assert row.log_ratio <= plain.log_ratio + 2 * (row.log_ratio_error**2 + plain.log_ratio_error**2) ** 0.5


def test_a_model_against_itself_has_lost_nothing(measuring: Measuring, small: tuple[Path, Path], tmp_path: Path) -> None:
    """Exactly: by way of the kept logits, and with both loaded at once."""
    model, text = small
    for base in (str(tmp_path / "base"), ""):
        original, same = measuring.ask(model, model, text=text, chunks=2, base=base)
        assert same.kl_divergence == same.kl_error == same.kl_p99 == same.log_ratio == 0.0
        assert same.top1_agreement == 1.0
        assert same.perplexity == original.perplexity


def test_the_three_ways_to_the_originals_logits_give_the_same_figures(
    measuring: Measuring, small: tuple[Path, Path], tmp_path: Path
) -> None:
    """Kept in a folder by this request, kept there by another before, or computed beside."""
    first, text = small
    model, base = random_model(tmp_path / "other.gguf", "Q8_0", width=64, hidden=128), str(tmp_path / "base")
    _, beside = measuring.ask(first, model, text=text, chunks=2)
    _, kept = measuring.ask(first, model, text=text, chunks=2, base=str(tmp_path / "first"))
    (original,) = measuring.ask(first, text=text, chunks=2, base=base)
    (after,) = measuring.ask(first, model, text=text, chunks=2, base=base)
    assert after.kl_divergence > 0
    assert original.kl_divergence == 0.0
    for name in (*FIGURES, "log_ratio", "log_ratio_error", "tokens"):
        assert getattr(beside, name) == getattr(after, name) == getattr(kept, name)


def test_a_folder_is_measured_beside_a_gguf_file(measuring: Measuring, tmp_path: Path) -> None:
    """The same weights through transformers: the same tokens, and distributions that differ by rounding."""
    original, folder = measuring.ask(starter(), starter().parent, chunks=1)
    assert folder.quantization == "BF16"
    assert 0 < folder.kl_divergence < 1e-3
    assert folder.top1_agreement > 0.98
    assert folder.perplexity == pytest.approx(original.perplexity, rel=0.01)
    assert folder.bits_per_weight == pytest.approx(16, rel=0.01)
    assert folder.decode_tokens_per_s > 0
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        measuring.ask(starter(), tmp_path, chunks=1)


def test_a_window_longer_than_a_batch_is_measured_in_parts(
    measuring: Measuring, small: tuple[Path, Path], tmp_path: Path
) -> None:
    model, text = small
    near = random_model(tmp_path / "near.gguf", "F32", width=64, hidden=128)
    long = measuring.ask(model, near, text=text, chunks=1, context=900)
    assert long[0].tokens == 900 - 450 - 1
    assert 0 < long[1].kl_divergence < 0.01


@pytest.mark.parametrize(
    ("text", "more", "error", "says"),
    [
        ("too short", {}, DataError, r"too short to measure on: \d+ tokens, and a window has 512"),
        ("", {}, DataError, "too short"),
        (None, {}, DataError, "cannot be read"),
        ("x" * 4000, {"context": 8}, SettingError, "too short to measure on"),
    ],
)
def test_what_cannot_be_measured_on_is_said(
    measuring: Measuring, tmp_path: Path, text: str | None, more: dict[str, Any], error: type[PlaygroundError], says: str
) -> None:
    file = tmp_path / "text.txt"
    if text is not None:
        file.write_text(text)
    with pytest.raises(error, match=says) as raised:
        measuring.ask(starter(), text=file, **more)
    assert raised.value.hint


def test_other_tokens_cannot_be_compared(measuring: Measuring, tmp_path: Path) -> None:
    other = random_model(tmp_path / "other.gguf", "Q8_0")
    with pytest.raises(DataError, match=r"other\.gguf cannot be compared with starter\.gguf: 512 tokens in the vocabulary"):
        measuring.ask(starter(), other, chunks=1)
    twin = random_model(tmp_path / "twin.gguf", "Q8_0", vocabulary=2048)
    with pytest.raises(DataError, match="the same text gives other tokens"):
        measuring.ask(starter(), twin, chunks=1)


def test_weights_that_are_no_numbers_are_said_by_name(measuring: Measuring, small: tuple[Path, Path], tmp_path: Path) -> None:
    model, text = small
    broken = tmp_path / "broken.gguf"
    data = bytearray(model.read_bytes())
    data[-4096:] = b"\xff" * 4096  # NaNs in the last tensor
    broken.write_bytes(data)
    for pair in ((model, broken), (broken, model)):
        with pytest.raises(ModelFileError, match=r"broken\.gguf gives no usable numbers") as raised:
            measuring.ask(*pair, text=text, chunks=1)
        assert raised.value.hint


def test_a_cancel_is_answered_at_once(measuring: Measuring, small: tuple[Path, Path]) -> None:
    model, text = small
    number = measuring.talk.number()
    measuring.talk.send(protocol.MeasureQuality(number, str(model), (str(model),) * 50, str(text)))
    measuring.talk.until(protocol.Progress)
    measuring.talk.send(protocol.Cancel(number))
    finished = measuring.talk.until((protocol.Finished, protocol.QualityMeasured))
    while isinstance(finished, protocol.QualityMeasured):
        finished = measuring.talk.until((protocol.Finished, protocol.QualityMeasured))
    assert finished == protocol.Finished(number, "cancelled")
    assert measuring.ask(model, text=text, chunks=1), "the worker goes on"
