"""Downloads, through real worker processes and the real huggingface_hub client, from a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.errors import StorageError
from playground.models import download_plan, fetch, fetch_disk
from playground.models.files import RepoFile
from playground.paths import Home
from playground.process import Exit
from playground.protocol import CancelDownload, DownloadDone, DownloadProgress, Failed, Finished, PauseDownload, ResumeDownload
from tests.loopback_hub import LoopbackHub
from tests.models.conftest import PATIENCE, Getter
from tests.models.tiny import write_gguf, write_safetensors_model

Get = Callable[..., Getter]
REPO, FILE = "acme/tiny-GGUF", "tiny-Q4_K_M.gguf"


@pytest.fixture
def model(hub: LoopbackHub, tmp_path: Path) -> bytes:
    """A model of some megabytes on the hub."""
    data = write_gguf(tmp_path / "made.gguf", weights=24_000)
    hub.add(REPO, {FILE: data, "README.md": b"# Tiny"})
    return data


def final_names(cache: Path) -> list[Path]:
    """Everything in the cache that has a final name: blobs, and links to them."""
    return [
        path
        for path in cache.rglob("*")
        if path.is_file() and path.parent.name != ".locks" and ".locks" not in path.parts and path.suffix in ("", ".gguf")
        and "refs" not in path.parts
    ]  # fmt: skip


def parts(cache: Path) -> list[Path]:
    return list(cache.rglob("*.part"))


def offline(path: str = FILE, repo: str = REPO, revision: str = "main") -> Path:
    """Where any other program finds the file, without asking the hub."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo, path, revision=revision, cache_dir=os.environ["HF_HUB_CACHE"], local_files_only=True))


def test_a_file_arrives_where_every_other_program_finds_it(
    hub: LoopbackHub, model: bytes, get: Get, home: Home, cache: Path
) -> None:
    getter = get(REPO, "Q4_K_M")
    assert getter.ended() == Finished(1)
    (done,) = getter.all(DownloadDone)
    assert Path(done.path).read_bytes() == model
    assert offline().samefile(done.path)
    assert not parts(cache)
    assert getter.all(DownloadProgress)[-1].done == len(model)
    (job,) = download_plan.jobs(home)
    assert (job.state, job.path) == ("done", done.path)
    assert download_plan.unfinished(home) == []


def held(hub: LoopbackHub, getter: Getter, place: int) -> DownloadProgress:
    """The progress of a download that has come to this byte, and gets no further before `hub.go`."""
    event: DownloadProgress = getter.until(lambda event: isinstance(event, DownloadProgress) and event.done == place)
    return event


def kill(getter: Getter) -> None:
    os.kill(getter.worker.pid or 0, signal.SIGKILL)
    getter.until(lambda event: isinstance(event, Exit))


def test_killed_three_times_it_goes_on_at_the_byte(hub: LoopbackHub, model: bytes, get: Get, home: Home, cache: Path) -> None:
    rng, job, there = random.Random(7), "", 0
    for _ in range(3):
        hub.faults.hold_at = rng.randrange(there + 1, len(model))
        getter = get(job=job) if job else get(REPO, FILE)
        job = held(hub, getter, hub.faults.hold_at).job
        kill(getter)
        assert final_names(cache) == []
        (part,) = parts(cache)
        there = part.stat().st_size
        assert there == hub.faults.hold_at
        assert model.startswith(part.read_bytes())
        (unfinished,) = download_plan.unfinished(home)
        assert unfinished.id == job
        assert not unfinished.alive
    assert get(job=job).ended() == Finished(1)
    assert hashlib.sha256(offline().read_bytes()).hexdigest() == hashlib.sha256(model).hexdigest()
    assert hub.sent(FILE) == len(model)
    assert not parts(cache)


def test_wrong_bytes_are_refused_and_thrown_away(hub: LoopbackHub, model: bytes, get: Get, cache: Path) -> None:
    hub.faults.wrong = {FILE: len(model) - 5}
    failed = get(REPO, FILE).ended()
    assert isinstance(failed, Failed)
    assert failed.kind == "HubError"
    assert FILE in failed.message
    assert "checksum" in failed.message
    assert not parts(cache)
    assert final_names(cache) == []


def test_a_part_that_went_bad_on_disk_costs_a_second_go_not_the_download(
    hub: LoopbackHub, model: bytes, get: Get, cache: Path
) -> None:
    hub.faults.hold_at = 1 << 20
    getter = get(REPO, FILE)
    job = held(hub, getter, 1 << 20).job
    kill(getter)
    (part,) = parts(cache)
    part.write_bytes(bytes(part.stat().st_size))
    hub.go.set()
    assert get(job=job).ended() == Finished(1)
    assert offline().read_bytes() == model


def test_two_gets_of_one_file_at_once_do_no_harm(hub: LoopbackHub, model: bytes, get: Get, cache: Path) -> None:
    hub.faults.hold_at = 1 << 20
    first = get(REPO, FILE)
    held(hub, first, 1 << 20)
    second = get(REPO, FILE)
    second.until(lambda event: isinstance(event, DownloadProgress) and event.state == "waiting")
    hub.go.set()
    assert first.ended() == Finished(1)
    assert second.ended() == Finished(1)
    assert offline().read_bytes() == model
    assert not parts(cache)
    assert hub.sent(FILE) == len(model)


def test_a_broken_line_goes_on_where_it_was(hub: LoopbackHub, model: bytes, get: Get) -> None:
    hub.faults.drop_after = 600_000
    assert get(REPO, FILE).ended() == Finished(1)
    assert offline().read_bytes() == model
    assert hub.sent(FILE) == len(model)


def test_a_hub_without_ranges_sends_it_again_from_the_beginning(hub: LoopbackHub, model: bytes, get: Get) -> None:
    hub.faults.no_ranges = True
    hub.faults.drop_after, hub.faults.drops = 600_000, 2
    assert get(REPO, FILE).ended() == Finished(1)
    assert offline().read_bytes() == model


def test_pause_and_resume(hub: LoopbackHub, model: bytes, get: Get, home: Home) -> None:
    hub.faults.hold_at = 1 << 20
    getter = get(REPO, FILE)
    held(hub, getter, 1 << 20)
    getter.worker.send(PauseDownload(1))
    paused = getter.until(lambda event: isinstance(event, DownloadProgress) and event.state == "paused")
    assert paused.done == 1 << 20
    (job,) = download_plan.unfinished(home)
    assert job.state == "paused"
    assert job.alive
    getter.worker.send(ResumeDownload(1))
    assert getter.ended() == Finished(1)
    assert offline().read_bytes() == model
    assert hub.sent(FILE) == len(model)


@pytest.mark.parametrize("remove", [False, True])
def test_cancel_keeps_the_part_unless_asked(
    hub: LoopbackHub, model: bytes, get: Get, home: Home, cache: Path, remove: bool
) -> None:
    hub.faults.hold_at = 1 << 20
    getter = get(REPO, FILE)
    held(hub, getter, 1 << 20)
    getter.worker.send(CancelDownload(1, remove))
    assert getter.ended() == Finished(1, "cancelled")
    assert bool(parts(cache)) is not remove
    assert final_names(cache) == []
    assert download_plan.unfinished(home) == []


def test_a_stalled_line_can_be_cancelled(hub: LoopbackHub, model: bytes, get: Get) -> None:
    hub.faults.stall_at = 300_000
    getter = get(REPO, FILE)
    getter.until(lambda event: isinstance(event, DownloadProgress) and event.done >= 300_000)
    getter.worker.cancel(1, grace_s=PATIENCE)
    assert getter.ended() == Finished(1, "cancelled")
    assert getter.worker.alive


def test_the_disk_is_looked_at_first(hub: LoopbackHub, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_disk.shutil, "disk_usage", lambda path: type("Usage", (), {"free": fetch_disk.SPARE + 10}))
    with pytest.raises(StorageError, match="free"):
        fetch_disk.check_room(tmp_path / "not" / "yet", 11, FILE)
    fetch_disk.check_room(tmp_path, 10, FILE)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small disk")
def test_a_disk_that_fills_up_gives_a_sentence_and_keeps_the_part(
    hub: LoopbackHub, model: bytes, get: Get, home: Home, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(cache)], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        watch = type(
            "Watch",
            (),
            {"stopped": lambda _: False, "arrived": lambda *_: None, "doing": lambda *_: None, "wait": lambda *_: None},
        )
        monkeypatch.setattr(fetch, "check_room", lambda *_: None)  # it was full only afterwards
        origin = fetch.Origin(REPO, "main", hub.repos[REPO].commit, cache)
        transfer = fetch.Transfer(origin, RepoFile(FILE, len(model), hashlib.sha256(model).hexdigest()), watch())
        with pytest.raises(StorageError, match="disk is full"):
            transfer.run()
        (part,) = parts(cache)
        assert model.startswith(part.read_bytes())
        assert part.stat().st_size > 1 << 20
        assert final_names(cache) == []
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True)


def test_a_sharded_model_comes_whole(hub: LoopbackHub, get: Get, tmp_path: Path) -> None:
    write_safetensors_model(tmp_path / "made", shards=3)
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    hub.add("acme/sharded", {**files, "pytorch_model.bin": b"\x80\x04", "modeling.py": b"print()"})
    getter = get("acme/sharded")
    assert getter.ended() == Finished(1)
    (done,) = getter.all(DownloadDone)
    assert {path.name: path.read_bytes() for path in Path(done.path).iterdir()} == files


def test_a_split_comes_whole_whichever_part_is_named(hub: LoopbackHub, get: Get, tmp_path: Path) -> None:
    names = [f"big-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    files = {name: write_gguf(tmp_path / name, seed=i, split=(i, 3), weights=64) for i, name in enumerate(names)}
    hub.add("acme/split", files)
    getter = get("acme/split", names[1])
    assert getter.ended() == Finished(1)
    (done,) = getter.all(DownloadDone)
    assert Path(done.path).name == names[0]
    assert {Path(path).name: Path(path).read_bytes() for path in done.files} == files


def test_a_file_that_changed_on_the_hub_is_begun_anew(
    hub: LoopbackHub, model: bytes, get: Get, cache: Path, tmp_path: Path
) -> None:
    hub.faults.hold_at = 1 << 20
    getter = get(REPO, FILE)
    job = held(hub, getter, 1 << 20).job
    getter.worker.send(CancelDownload(1))
    getter.ended()
    newer = write_gguf(tmp_path / "newer.gguf", weights=20_000, seed=9)
    hub.repos[REPO].put(FILE, newer)
    hub.go.set()
    assert get(job=job).ended() == Finished(1)
    assert offline().read_bytes() == newer
    assert not parts(cache)


def test_pickled_weights_are_never_downloaded(hub: LoopbackHub, get: Get, cache: Path) -> None:
    hub.add("acme/old", {"pytorch_model.bin": b"\x80\x04.", "config.json": b"{}"})
    for files in (("pytorch_model.bin",), ()):
        failed = get("acme/old", *files).ended()
        assert isinstance(failed, Failed)
        assert failed.kind == "ModelFileError"
        assert "run code" in failed.message or "pickled" in failed.message
    assert hub.sent() == 0
    assert final_names(cache) == []


def test_who_waits_takes_over_when_the_other_dies(hub: LoopbackHub, model: bytes, get: Get) -> None:
    hub.faults.hold_at = 1 << 20
    first = get(REPO, FILE)
    held(hub, first, 1 << 20)
    second = get(REPO, FILE)
    second.until(lambda event: isinstance(event, DownloadProgress) and event.state == "waiting")
    kill(first)
    assert second.ended() == Finished(1)
    assert offline().read_bytes() == model


def test_names_from_a_hostile_hub_stay_inside_the_cache(hub: LoopbackHub, get: Get, tmp_path: Path, cache: Path) -> None:
    hub.add("acme/evil", {"../../../../escaped.gguf": b"GGUF"})
    failed = get("acme/evil").ended()
    assert isinstance(failed, Failed)
    assert not list(tmp_path.rglob("escaped.gguf"))


def test_a_small_file_is_checked_by_its_git_hash(hub: LoopbackHub, get: Get, cache: Path) -> None:
    hub.add("acme/small", {"config.json": b'{"model_type": "llama"}'})
    assert get("acme/small", "config.json").ended() == Finished(1)
    hub.repos["acme/small"].put("config.json", b'{"model_type": "qwen2"}')
    hub.faults.wrong = {"config.json": 4}
    failed = get("acme/small", "config.json").ended()
    assert isinstance(failed, Failed)
    assert "checksum" in failed.message


def test_a_damaged_note_is_passed_over(home: Home) -> None:
    folder = home.cache / "downloads"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text(json.dumps({"id": "x"}))
    assert download_plan.jobs(home) == []
