"""What is predicted before a load, against what the engine says and takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from playground import protocol
from playground.memory.devices import repacked_formats
from playground.params import ContextSettings
from playground.paths import starter
from playground.session import fitting
from tests.models_made import QUANTIZED, SMALL_MIXTURE, SMALL_WINDOW, Shape, shaped_model
from tests.workers.talk import Talk, greedy

MIB = 1 << 20
SHAPES = {
    "grouped": Shape(),
    "tied": Shape(tied=True),
    "table in Q6_K": Shape(outer="Q6_K", tied=True),
    "rows not in eights": Shape(vocabulary=515),
    "window": replace(SMALL_WINDOW, layers=3, head=256),
    "mixture": replace(SMALL_MIXTURE, hidden=256, heads=4),
}


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.close()


def predicted_and_told(talk: Talk, path: Path, settings: ContextSettings) -> tuple[dict[str, int], dict[str, int]]:
    if len(fitting.find_devices()) > 1:
        pytest.skip("where layers lie on a machine with a graphics card is the engine's choice")
    info = talk.load(path, **{name: getattr(settings, name) for name in ("context", "sequences", "ubatch", "batch")})
    fit, _ = fitting.estimate(fitting.of_path(path), settings)
    return fit.terms.to_dict(), fitting.measured(info)["CPU"]


@pytest.mark.parametrize("kind", [*QUANTIZED, "F16"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_term_is_what_the_engine_allocates(talk: Talk, tmp_path: Path, name: str, kind: str) -> None:
    """Copies of matrices for the processor among the weights. The engine's log has two decimals of a MiB."""
    path = shaped_model(tmp_path / "made.gguf", SHAPES[name], kind)
    predicted, told = predicted_and_told(talk, path, ContextSettings(context=1024, sequences=2, ubatch=128, batch=256))
    for term in ("weights", "kv_cache", "compute", "output"):
        assert predicted[term] == pytest.approx(told[term], abs=0.02 * MIB), term


def test_copies_count_on_this_processor(tmp_path: Path) -> None:
    path = shaped_model(tmp_path / "made.gguf", Shape(), "Q4_0")
    shape = fitting.of_path(path).shape
    fit, _ = fitting.estimate(fitting.of_path(path), ContextSettings(context=1024))
    more = fit.terms.weights - shape.weight_bytes
    if "q4_0" in repacked_formats() and not any(one.device.is_gpu for one in fit.devices):
        assert 0.5 * shape.weight_bytes < more < shape.weight_bytes
        assert "copies" in fit.basis["weights"]
    else:
        assert more == 0


def test_what_the_starter_takes_is_what_was_said(talk: Talk) -> None:
    settings = ContextSettings(context=1024)
    predicted, _ = predicted_and_told(talk, starter(), settings)
    request = talk.number()
    talk.send(protocol.Generate(request, (greedy(8),), text="a fox and an owl " * 60))
    used = talk.until(protocol.MemoryUsed).resident
    talk.until(protocol.Finished)
    assert sum(predicted.values()) == pytest.approx(used, abs=20 * MIB)


def test_another_quantization_of_four_bits_counts_its_copies(tmp_path: Path) -> None:
    shape = fitting.of_path(shaped_model(tmp_path / "made.gguf", Shape(width=512, hidden=1024, layers=8), "F16")).shape
    four, eight = (fitting.with_weights(shape, round(shape.parameters * bits / 8)) for bits in (4.8, 8.5))
    assert four.matrices and not eight.matrices
    assert all(name.startswith("blk.") for name in four.matrices)
