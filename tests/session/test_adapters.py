"""Chats with an adapter on: it is on record, its slider acts while the model speaks, and a replay puts it on again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from playground import events
from playground.errors import NotFoundError
from playground.params import SamplingSettings
from playground.paths import Home
from playground.session import Session
from tests.workers.adapters_made import random_adapter

from .conftest import HELD, PATIENCE, Listening

STORY = "Tell me a long story about a fox named Pepper."
GREEDY = SamplingSettings(temperature=0, max_tokens=40)


@pytest.fixture
def adapter(home: Home) -> Path:
    """For the starter, in the folder of adapters."""
    return random_adapter(home.adapters / "bent", layers=6, width=256, hidden=768)


def test_a_slider_moved_while_it_speaks_is_on_record_and_replays(listening: Listening, adapter: Path, home: Home) -> None:
    session = listening.session
    info = session.load("starter", adapter="bent").result(PATIENCE)
    assert info.adapter == str(adapter) and len(info.adapter_sha256) == 64
    session.set_sampling(GREEDY)
    session.set_pace(HELD)
    session.send("", STORY)
    listening.until(events.GenerationTokens)
    session.set_sampling(replace(GREEDY, adapter_scale=0.25))
    listening.until(events.SamplingApplied)
    session.set_pace(0)
    row = listening.reply().generation
    assert (row.adapter, row.adapter_sha256) == (info.adapter, info.adapter_sha256)
    assert row.settings.adapter_scale == 1.0
    assert [each.settings.adapter_scale for each in row.timeline] == [0.25]
    assert session.replay(row.id).result(PATIENCE).identical
    straight = replace(GREEDY, adapter_scale=1.0)
    session.set_sampling(straight)
    session.set_pace(0)
    session.send("", STORY)
    other = listening.reply().generation
    tokens = [[token.token_id for token in session.tokens(each.id).result(PATIENCE)] for each in (row, other)]
    moved = row.timeline[0].index
    assert tokens[0][:moved] == tokens[1][:moved]
    assert tokens[0] != tokens[1]

    session.load("starter").result(PATIENCE)  # another model now: the replay gets its own, with the adapter
    assert session.replay(row.id).result(PATIENCE).identical
    random_adapter(home.adapters / "other", layers=6, width=256, hidden=768, seed=7)
    shutil.copy(home.adapters / "other" / "adapter_model.safetensors", adapter / "adapter_model.safetensors")
    changed = session.replay(row.id).result(PATIENCE)
    assert not changed.identical
    assert changed.why == "The adapter is another one by now."
    shutil.rmtree(adapter)
    with pytest.raises(NotFoundError, match=r"The adapter .*bent is no longer there"):
        session.replay(row.id).result(PATIENCE)


def test_a_capture_is_reused_with_the_adapter_as_strong_as_it_was(listening: Listening, adapter: Path) -> None:
    session = listening.session
    session.load("starter", adapter="bent").result(PATIENCE)
    session.set_sampling(replace(GREEDY, max_tokens=6))
    session.send("", STORY)
    message = listening.reply().generation.message_id
    capture = session.inside.capture_message
    first = capture(message).result(PATIENCE)
    assert (first.header.adapter, first.header.adapter_scale) == (str(adapter), 1.0)
    assert capture(message).result(PATIENCE).id == first.id
    session.set_sampling(replace(GREEDY, adapter_scale=0.5))
    half = capture(message).result(PATIENCE)
    assert half.header.adapter_scale == 0.5 and half.id != first.id
    assert capture(message).result(PATIENCE).id == half.id
    soon = half.header.created + 60
    os.utime(next(each for each in adapter.iterdir() if each.suffix == ".safetensors"), (soon, soon))
    assert capture(message).result(PATIENCE).id != half.id, "it may be another adapter by now"


def test_loading_again_puts_it_on_again(listening: Listening, adapter: Path) -> None:
    session = listening.session
    session.load("starter", adapter=adapter).result(PATIENCE)
    session.unload()
    assert session.reload().result(PATIENCE).adapter == str(adapter)


def test_an_adapter_is_named_by_path_or_name(home: Home, adapter: Path, tmp_path: Path) -> None:
    session = Session(home)
    elsewhere = random_adapter(tmp_path / "elsewhere" / "far", layers=1, width=8, hidden=8)
    assert session.find_adapter("BENT") == session.find_adapter(adapter) == adapter
    assert session.find_adapter(elsewhere / "adapter_config.json") == elsewhere
    (home.adapters / "made.gguf").write_bytes(b"GGUF")
    assert session.find_adapter("made") == home.adapters / "made.gguf"
    (home.adapters / "no-adapter").mkdir()
    for name in ("no-adapter", "nothing", "./nothing"):
        with pytest.raises(NotFoundError, match="There is no adapter called") as caught:
            session.find_adapter(name)
        assert caught.value.hint == "There are: bent, made.gguf."


def test_a_library_holds_adapters_too(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    snapshot = cache / "models--somebody--a-lora" / "snapshots" / ("0" * 40)
    random_adapter(snapshot, layers=1, width=8, hidden=8)
    config = json.loads((snapshot / "adapter_config.json").read_text())
    (snapshot / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "somebody/a-model"}))
    assert Session(home).find_adapter("somebody/a-lora") == snapshot
