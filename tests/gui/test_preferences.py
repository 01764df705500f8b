"""What is remembered survives damage, other versions and hands that edit the file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from playground.gui.preferences import Preferences
from playground.params import PRESETS, ContextSettings, SamplingSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "settings.json"


def test_what_is_saved_is_read_again(file: Path) -> None:
    mine = Preferences(file)
    mine.set("theme", "dark")
    mine.sampling = SamplingSettings(temperature=0.3, stop=("END",))
    mine.context = ContextSettings(context=4096)
    mine.set_context_for("/a.gguf", ContextSettings(gpu_layers=3))
    mine.set_preset("Poems", SamplingSettings(temperature=1.4))
    mine.remember_model("/b.gguf")
    mine.remember_model("/a.gguf")
    mine.save(wait=True)
    other = Preferences(file)
    assert other.get("theme") == "dark"
    assert other.sampling == SamplingSettings(temperature=0.3, stop=("END",))
    assert other.context_for("/b.gguf").context == 4096
    assert other.context_for("/a.gguf").gpu_layers == 3
    assert other.presets() == {"Poems": SamplingSettings(temperature=1.4)}
    assert other.get("recent_models") == ["/a.gguf", "/b.gguf"]
    assert not list(file.parent.glob("*.tmp"))


def test_a_damaged_file_is_put_aside_and_said(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"theme": "dark"')
    mine = Preferences(file)
    assert mine.get("theme") == "system"
    assert "settings.json.bad" in mine.damage
    assert file.with_name("settings.json.bad").read_text() == '{"theme": "dark"'


def test_what_a_newer_version_wrote_is_kept(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"theme": "dark", "from_the_future": [1, 2]}')
    mine = Preferences(file)
    mine.set("theme", "light")
    mine.save(wait=True)
    assert json.loads(file.read_text())["from_the_future"] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        '{"theme": 7, "sampling": {"temperature": "hot"}, "presets": [], "recent_models": "x", "context": 3, "pace": "fast"}',
        '{"sampling": {"temperature": 99}, "presets": {"A": {"top_p": -1}}, "context_of": 7}',
        "[]",
        "",
        "\x00\x00",
    ],
)
def test_nonsense_reads_as_defaults(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    mine = Preferences(file)
    assert mine.get("theme") == "system"
    assert mine.sampling == SamplingSettings()
    assert mine.context == mine.context_for("/x") == ContextSettings()
    assert all(each == SamplingSettings() for each in mine.presets().values())
    assert mine.get("recent_models") == []
    assert mine.get("pace") == -1.0
    mine.remember_model("/x.gguf")
    mine.set_preset("B", SamplingSettings())
    mine.set_context_for("/x", ContextSettings())


def test_presets_are_known_by_what_they_are(file: Path) -> None:
    mine = Preferences(file)
    assert mine.preset_of(SamplingSettings(seed=5, max_tokens=3)) == "Balanced"
    assert mine.preset_of(PRESETS["Creative"]) == "Creative"
    assert mine.preset_of(SamplingSettings(temperature=0.77)) == ""


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.parent.chmod(0o500)
    mine = Preferences(file)
    told = []
    mine.on_error = told.append
    mine.set("theme", "dark")
    mine.save(wait=True)
    assert isinstance(told[0], OSError)
    file.parent.chmod(0o700)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    mine = Preferences(tmp_path / "home" / "settings.json")
    told = []
    mine.on_error = told.append
    mine.set("theme", "dark")
    mine.save(wait=True)
    assert isinstance(told[0], OSError)
