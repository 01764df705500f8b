"""What `playground models ...` does, from search to trash, against a hub on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest

from playground.errors import Cancelled, ModelFileError, NotFoundError, OfflineError
from playground.models import commands
from playground.models.hub import Query
from playground.paths import Home
from playground.protocol import DownloadProgress
from tests.loopback_hub import LoopbackHub
from tests.models.tiny import write_gguf

REPO = "acme/tiny-GGUF"


def text(verb: str, result: dict) -> str:  # type: ignore[type-arg]
    json.dumps(result)  # whatever a verb gives can be printed as JSON
    return "\n".join(commands.lines(verb, result))


def test_the_whole_way(hub: LoopbackHub, home: Home, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_gguf(tmp_path / "made.gguf", weights=64)
    hub.add(REPO, {"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data + bytes(32)}, downloads=1234, parameters=2_000_000)
    assert "acme/tiny-GGUF  2.0M        1,234" in text("search", commands.search(Query("tiny")))
    page = commands.show(home, REPO)
    assert page["recommended"] == "tiny-Q4_K_M.gguf"
    assert "* Q4_K_M" in text("show", page).replace("*  ", "* ")
    progress: list[DownloadProgress] = []
    got = commands.get(home, f"{REPO}:Q8_0", on_progress=progress.append)
    assert Path(got["path"]).read_bytes() == data + bytes(32)
    assert text("get", got) == got["path"]
    assert all(commands.progress_line(event) for event in progress)

    listed = commands.list_models(home)
    assert {"tiny-Q8_0", "starter"} <= {row["name"] for row in listed["models"]}
    assert "Hugging Face cache" in text("list", listed)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert commands.show(home, REPO)["path"] == got["path"]  # the hub is away, the model is here
    with pytest.raises(OfflineError):
        commands.show(home, "acme/other")
    assert text("show", commands.show(home, "tiny-Q8_0"))

    binned: list[bytes] = []

    def trash(path: Path) -> None:
        binned.append(path.read_bytes())
        path.unlink()

    assert "in the trash" in text("remove", commands.remove(home, "tiny-Q8_0", trash))
    assert binned == [data + bytes(32)]
    assert "tiny-Q8_0" not in {row["name"] for row in commands.list_models(home)["models"]}
    with pytest.raises(NotFoundError):
        commands.remove(home, "tiny-Q8_0", trash)
    assert huggingface_hub.scan_cache_dir(cache).warnings == []


def test_a_get_that_was_interrupted_is_on_the_list(hub: LoopbackHub, home: Home, tmp_path: Path) -> None:
    hub.add(REPO, {"tiny-Q4_K_M.gguf": write_gguf(tmp_path / "made.gguf", weights=8000)})
    hub.faults.stall_at = 200_000
    arrived: list[int] = []
    with pytest.raises(Cancelled):
        commands.get(home, REPO, on_progress=lambda event: arrived.append(event.done), cancelled=lambda: arrived[-1:] > [0])
    hub.faults.stall_at = 0
    assert commands.get(home, REPO)["bytes"] == hub.repos[REPO].files["tiny-Q4_K_M.gguf"].size


def test_adding_and_taking_off(home: Home, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m" / "a.gguf", weights=4)
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ModelFileError):
        commands.add(home, str(tmp_path / "photo.jpg"))
    assert [row["name"] for row in commands.add(home, str(tmp_path / "m"))["models"]] == ["a"]
    assert "a" in {row["name"] for row in commands.list_models(home)["models"]}
    assert "off the list" in text("remove", commands.remove(home, str(tmp_path / "m")))
    assert (tmp_path / "m" / "a.gguf").exists()


def test_an_empty_home_and_an_empty_search(hub: LoopbackHub, home: Home) -> None:
    assert text("search", commands.search(Query("x"))) == "Nothing found."
    assert "starter" in text("list", commands.list_models(home))
