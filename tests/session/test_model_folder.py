"""A model folder in a session: picked, talked to, on record, replayed; its hash and its estimate."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from playground import events
from playground.errors import ModelFileError
from playground.params import ContextSettings, SamplingSettings
from playground.paths import starter
from playground.session import fitting
from playground.session.engine import LLAMA, TRANSFORMERS, display_name, engine_of
from playground.session.inside import LensRequest
from tests.session.conftest import Listening

pytest.importorskip("safetensors", reason="the engine is not installed")


def test_the_engine_follows_from_what_lies_there(tmp_path: Path) -> None:
    assert engine_of(starter()) == LLAMA and engine_of(starter().parent) == TRANSFORMERS
    assert engine_of(starter().parent / "config.json") == engine_of(tmp_path) == TRANSFORMERS
    assert display_name(Path("/hub/models--some--Model-1B/snapshots/0a1b")) == "Model-1B"


def test_a_chat_with_a_folder_is_on_record_and_replays(listening: Listening, tmp_path: Path) -> None:
    folder = tmp_path / "starter"
    shutil.copytree(starter().parent, folder, ignore=shutil.ignore_patterns("*.gguf"))
    session = listening.session
    info = session.load(folder).result(120)
    assert info.engine == "transformers" and session.model.state == "ready"
    session.set_sampling(SamplingSettings(temperature=0.9, seed=5, max_tokens=20))
    chat = session.send("", "Tell me a story about a fox.")
    first = listening.reply().generation
    session.send(chat, "And then?")
    second = listening.reply().generation
    assert second.cached_tokens > first.prompt_tokens, "the second turn goes on from the first"
    for row in (first, second):
        assert row.engine == "transformers" and row.engine_build == info.engine_build and row.model_sha256 == info.sha256
        result = session.replay(row.id).result(120)
        assert result.identical, result
    told: list[float] = []
    ids = tuple(each.token_id for each in session.tokens(first.id).result(120))
    found = session.inside.lens(LensRequest(prompt_ids=ids, top=3), told.append).result(120)
    assert [each.id for each in found.tokens] == list(ids) and found.top_ids.shape == (7, len(ids), 3)
    assert found.model == "starter" and told[-1] == 1 and all(text for _, text, _ in found.at(6, 2).top)
    assert not list((session.inside.folder.parent / "lens").iterdir()), "what was read is not kept on the disk"
    fit = any_fit(listening) or listening.until(events.FitMeasured).fit
    assert fit is not None and set(fit.predicted["CPU"]) >= {"weights", "kv_cache"}
    assert abs(fit.predicted["CPU"]["weights"] - fit.measured["CPU"]["weights"]) < 0.02 * info.size

    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-8])
    with pytest.raises(ModelFileError, match="cut short"):
        session.load(folder).result(120)
    assert session.model.state == "failed"


def any_fit(listening: Listening) -> object:
    return next((event.fit for event in reversed(listening.told) if isinstance(event, events.FitMeasured)), None)


def test_the_estimate_of_a_folder_is_that_of_the_format_it_is_loaded_in() -> None:
    what = fitting.of_path(starter().parent)
    weights = {
        precision: fitting.estimate(what, ContextSettings(precision=precision))[0].devices[0].terms.weights  # type: ignore[arg-type]
        for precision in ("auto", "f32", "bf16", "int8", "nf4")
    }
    assert weights["auto"] == weights["bf16"] == weights["f32"] / 2
    assert weights["nf4"] < weights["int8"] < weights["bf16"]
