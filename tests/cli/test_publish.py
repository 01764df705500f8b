"""`playground publish`: what is shown before, what really goes up to a hub on this machine, and what never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.cli import main
from playground.errors import DataError, GatedError, HubError, ModelFileError, PlaygroundError
from playground.protocol import Publish
from playground.training.publishing import parcel
from playground.workers.publish import Publishing
from tests.loopback_hub import LoopbackHub

SECRET = "hf_" + "a1B2" * 9
CARD = "---\nlibrary_name: peft\n---\n\n# Sailor\n\nMade from `/home/jane/models/small`.\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("PLAYGROUND_HF_TOKEN", SECRET)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with LoopbackHub() as server:
        server.tokens[SECRET] = "jane"
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter in a folder where much else lies."""
    folder = tmp_path / "home" / "adapters" / "sailor"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "base_model_name_or_path": "/home/jane/models/small"}))
    (folder / "adapter_model.safetensors").write_bytes(bytes(200_000))
    (folder / "README.md").write_text(CARD)
    (folder / "tokenizer.json").write_text("{}")
    for name in ("train.jsonl", "notes.txt", "optimizer.safetensors", "adapter_model.bin", ".env", "train.py"):
        (folder / name).write_text("mine")
    (folder / "data").mkdir()
    return folder


SENT = ["README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]


def test_what_is_shown_goes_up_and_nothing_else(hub: LoopbackHub, adapter: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["publish", "sailor", "jane/sailor", "--private", "--base", "acme/small", "--json"]
    assert main(words) == 0
    shown = json.loads(capfd.readouterr().out)
    assert not hub.log, "nobody was asked anything"
    assert shown["published"] is False and [name for name, _ in shown["files"]] == SENT
    held = dict(shown["held_back"])
    assert held["train.jsonl"] == held["notes.txt"] == "data" and "checkpoint" in held["optimizer.safetensors"]
    assert "pickle" in held["adapter_model.bin"] and {".env", "data", "train.py"} <= set(held)
    assert main([*words, "--yes"]) == 0
    out, said = capfd.readouterr()
    assert json.loads(out)["created"] is True and SECRET not in out + said
    repo = hub.repos["jane/sailor"]
    assert repo.private and sorted(repo.files) == SENT
    assert repo.files["adapter_model.safetensors"].data == bytes(200_000)
    assert json.loads(repo.files["adapter_config.json"].data) == {"r": 4, "base_model_name_or_path": "acme/small"}
    assert repo.files["README.md"].data.decode() == shown["card"] and "base_model: acme/small" in shown["card"]
    assert not any(b"/home/jane" in blob.data or b"mine" in blob.data for blob in repo.files.values())


class _Link:
    """A worker's link that only remembers."""

    pending = False

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


def refused(folder: Path, repo: str, private: bool = False) -> PlaygroundError:
    made = parcel(folder)
    command = Publish(1, str(folder), repo, tuple(name for name, _ in made.files), made.base, made.card, private)
    with pytest.raises(PlaygroundError) as caught:
        Publishing(_Link()).publish(command)  # type: ignore[arg-type]
    return caught.value


def test_what_the_hub_does_not_take_is_one_sentence(hub: LoopbackHub, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("jane/seen", {"README.md": b"old"})
    error = refused(adapter, "jane/seen", private=True)
    assert isinstance(error, HubError) and "everybody can see it" in error.message
    error = refused(adapter, "joe/sailor")
    assert isinstance(error, GatedError) and "write to joe/sailor" in error.message and "joe/sailor" not in hub.repos
    monkeypatch.setenv("PLAYGROUND_HF_TOKEN", "wrong")
    assert "does not let this token write" in refused(adapter, "jane/new").message
    monkeypatch.delenv("PLAYGROUND_HF_TOKEN")
    assert "needs your Hugging Face token" in refused(adapter, "jane/new").message
    assert hub.repos["jane/seen"].files["README.md"].data == b"old" and not hub.uploaded


def test_what_is_no_model_of_ones_own_is_refused(adapter: Path, tmp_path: Path) -> None:
    def made(name: str, *files: str) -> Path:
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text("{}")
        return tmp_path / name

    cases: list[tuple[Path, type[PlaygroundError], str]] = [
        (made("run", "settings.json", "events.jsonl", "adapter/adapter_config.json"), DataError, "a run's folder"),
        (made("step-8", "state.json", "optimizer.safetensors", "weights.safetensors"), DataError, "a checkpoint"),
        (made("rows", "data.jsonl", "meta.json"), DataError, "a dataset"),
        (made("pickles", "config.json", "pytorch_model.bin"), ModelFileError, "no weights in safetensors"),
        (made("notes", "README.md"), ModelFileError, "neither a model nor an adapter"),
    ]
    for path, kind, said in cases:
        with pytest.raises(kind, match=said):
            parcel(path)
    (adapter / "README.md").write_text(f"Get it with {SECRET}.")
    with pytest.raises(DataError, match=r"README.md is not published: it holds what looks like a Hugging Face token"):
        parcel(adapter)
    notes = " ".join(parcel(adapter, card="Write to jane@mail.org, or see /home/jane/notes.").notes)
    assert "jane@mail.org" in notes and "/home/jane/notes" in notes and "--base" in notes
