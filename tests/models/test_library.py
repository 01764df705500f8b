"""The library: models found where they are, and a sentence for whatever is in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from playground.errors import ModelFileError, NotFoundError, StorageError
from playground.models import commands, describing, details, library, places
from playground.models.library import Row
from playground.models.places import Place
from playground.paths import Home
from playground.session import Session, workshop_files
from tests.models.tiny import write_gguf, write_ollama, write_safetensors_model


def rows(home: Home, *paths: Path, kind: places.Kind = "added") -> dict[str, Row]:
    return {row.name: row for row in library.scan(home, [Place(kind, path) for path in paths]).rows}


def in_cache(cache: Path, repo: str, name: str, commit: str = "c" * 40, seed: int = 0) -> Path:
    """A file as huggingface_hub keeps it: a blob and a link in a snapshot."""
    folder = cache / ("models--" + repo.replace("/", "--"))
    blob = folder / "blobs" / f"blob{seed}"
    write_gguf(blob, weights=4, seed=seed, name=name)
    link = folder / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return link


def test_a_row_says_what_the_headers_say(home: Home, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m" / "one-Q4_K_M.gguf", architecture="qwen3", context=4096, weights=10, vocabulary=3000)
    row = rows(home, tmp_path / "m")["one-Q4_K_M"]
    assert (row.architecture, row.parameters, row.quantization, row.context) == ("qwen3", 320, "Q4_K_M", 4096)
    assert (row.vocabulary, row.heads, row.layers, row.has_template) == (3000, 4, 2, True)
    assert row.size == (tmp_path / "m" / "one-Q4_K_M.gguf").stat().st_size
    assert not row.problem


def test_the_starter_is_there_and_a_header_knows_what_the_file_knows(home: Home) -> None:
    from playground import paths
    from playground.models.gguf_header import open_gguf

    assert str(paths.starter()) in {row.path for row in library.scan(home).rows}
    assert details.of_gguf(open_gguf(paths.starter()), "starter.gguf") == details.describe(paths.starter())


def test_every_kind_of_place(home: Home, tmp_path: Path, cache: Path) -> None:
    write_gguf(home.models / "own.gguf", weights=4)
    in_cache(cache, "acme/tiny", "cached-Q8_0.gguf")
    write_gguf(tmp_path / "user" / ".lmstudio" / "models" / "pub" / "x" / "studio.gguf", weights=4)
    data = write_gguf(tmp_path / "made.gguf", weights=4)
    write_ollama(tmp_path / "user" / ".ollama" / "models", "llama3", "8b", data)
    write_safetensors_model(tmp_path / "extra" / "folder-model")
    places.add(home, tmp_path / "extra")
    found = {row.name: row for row in library.scan(home).rows}
    assert {name: row.place for name, row in found.items() if row.place != "starter"} == {
        "own": "own", "cached-Q8_0": "huggingface", "studio": "lmstudio", "llama3:8b": "ollama", "folder-model": "added",
    }  # fmt: skip
    assert found["cached-Q8_0"].repo == "acme/tiny"
    folder = found["folder-model"]
    assert (folder.kind, folder.architecture, folder.parameters, folder.context) == ("safetensors", "llama", 4096, 2048)


def test_splits_are_one_row_and_adapters_and_projectors_are_told_apart(home: Home, tmp_path: Path) -> None:
    for number in (1, 2):
        write_gguf(tmp_path / "m" / f"big-0000{number}-of-00002.gguf", weights=4, split=(number - 1, 2))
    write_gguf(tmp_path / "m" / "half-00001-of-00002.gguf", weights=4, split=(0, 2))
    write_gguf(tmp_path / "m" / "mmproj-F16.gguf", architecture="clip", weights=4)
    write_safetensors_model(tmp_path / "m" / "lora", shards=1)
    (tmp_path / "m" / "lora" / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 8, "base_model_name_or_path": "a/base"}'
    )
    found = rows(home, tmp_path / "m")
    assert {name: row.kind for name, row in found.items()} == {
        "big": "gguf",
        "half": "gguf",
        "mmproj-F16": "mmproj",
        "lora": "adapter",
    }
    assert len(found["big"].files) == 2
    assert found["big"].parameters == 256
    assert "lacks 1" in found["half"].problem
    assert found["lora"].quantization == "rank 8"


def test_a_damaged_model_keeps_its_row_with_a_sentence(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    data = write_gguf(folder / "short.gguf", weights=64)
    (folder / "short.gguf").write_bytes(data[:-100])
    (folder / "broken.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 100)
    (folder / "page.gguf").write_bytes(b"<html>not found</html>")
    (folder / "empty.gguf").write_bytes(b"")
    write_safetensors_model(folder / "bad-config")
    (folder / "bad-config" / "config.json").write_text("{")
    write_safetensors_model(folder / "no-shard", shards=2)
    (folder / "no-shard" / "model-00002-of-00002.safetensors").unlink()
    for _ in ("cold", "warm"):
        found = rows(home, folder)
        assert set(found) == {"short", "broken", "page", "empty", "bad-config", "no-shard"}
        for row in found.values():
            assert row.problem.endswith("."), row
            assert row.hint
        assert "cut short" in found["short"].problem


def test_what_is_in_the_way_is_a_sentence_each(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_gguf(folder / "good.gguf", weights=4)
    (folder / "round").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone.gguf").symlink_to(tmp_path / "nowhere.gguf")
    (folder / "notes.txt").write_text("no model")
    scan = library.scan(home, [Place("added", folder), Place("added", tmp_path / "away")])
    assert [row.name for row in scan.rows] == ["good"]
    text = "\n".join(scan.notices)
    for words in ("round is a link back", "self", "gone.gguf points to a file that is not there", "away is not there any more"):
        assert words in text
    assert all(notice.endswith(".") for notice in scan.notices)


def test_a_file_that_vanishes_while_it_is_looked_at(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    for name in ("a", "b", "c"):
        write_gguf(folder / f"{name}.gguf", weights=4)
    scan = library.scan(home, [Place("added", folder)], on_row=lambda row: (folder / "b.gguf").unlink(missing_ok=True))
    assert [row.name for row in scan.rows] == ["a", "c"]
    assert "b.gguf went away" in "\n".join(scan.notices)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of another kind")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    """In a process that is nobody: root may read everything."""
    folder = tmp_path / "m"
    write_gguf(folder / "good.gguf", weights=4)
    write_gguf(folder / "locked" / "secret.gguf", weights=4)
    (folder / "locked").chmod(0)
    script = (
        "import os, sys; from pathlib import Path; from playground.models import library; from playground.models.places import Place\n"
        "from playground.paths import Home\n"
        "import numpy\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "scan = library.scan(Home(Path('/nonexistent')), [Place('added', Path(sys.argv[1]))])\n"
        "print([row.name for row in scan.rows], scan.notices)\n"
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    (folder / "locked").chmod(0o755)
    assert "['good']" in done.stdout, done.stderr
    assert "locked cannot be read: Permission denied." in done.stdout


def test_the_second_listing_reads_no_model_file(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "m"
    for number in range(20):
        write_gguf(folder / f"m{number}.gguf", weights=4, seed=number)
    first = library.scan(home, [Place("added", folder)])
    read: list[Path] = []
    original = describing.describe
    monkeypatch.setattr(describing, "describe", lambda path: read.append(path) or original(path))
    assert library.scan(home, [Place("added", folder)]).rows == first.rows
    assert read == []
    write_gguf(folder / "m3.gguf", weights=8)
    assert rows(home, folder)["m3"].parameters == 256
    assert read == [folder / "m3.gguf"]
    (home.cache / "library.json").write_text("{broken")
    assert len(rows(home, folder)) == 20
    assert json.loads((home.cache / "library.json").read_text())["models"]


def test_a_second_process_helps_to_read_and_changes_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    for number in range(120):
        write_gguf(folder / f"m{number}.gguf", weights=4, seed=number)
    (folder / "m7.gguf").write_bytes(b"GGUF\3\0\0\0broken")
    alone = {row.path: row for row in library.scan(Home(tmp_path / "a"), [Place("added", folder)]).rows}
    monkeypatch.setattr(describing, "WORTH_IT", 50)
    monkeypatch.setattr(describing, "STRETCH", 10)
    asked: list[int] = []
    ask = describing._Helper.ask
    monkeypatch.setattr(describing._Helper, "ask", lambda self, paths: (asked.append(len(paths)), ask(self, paths))[1])
    helped = library.scan(Home(tmp_path / "b"), [Place("added", folder)], helped=True)
    assert asked
    assert {row.path: row for row in helped.rows} == alone
    assert alone[str(folder / "m7.gguf")].problem


SCAN = """
import dataclasses, json, sys
from pathlib import Path
from playground.models import describing, library
from playground.models.places import Place
from playground.paths import Home
describing.WORTH_IT, describing.STRETCH = 20, 5
ways, ask = set(), describing._Helper.ask
def watched(self, paths):
    ways.add(type(self._process).__name__)
    return ask(self, paths)
describing._Helper.ask = watched
rows = library.scan(Home(Path(sys.argv[1])), [Place("added", Path(sys.argv[2]))], helped=True).rows
print(json.dumps([sorted(ways), [dataclasses.asdict(row) for row in rows]]))
"""


def test_a_process_of_one_thread_is_helped_by_its_copy(home: Home, tmp_path: Path) -> None:
    for number in range(60):
        write_gguf(tmp_path / "m" / f"m{number}.gguf", weights=4, seed=number)
    alone = library.scan(home, [Place("added", tmp_path / "m")]).rows
    command = [sys.executable, "-c", SCAN, str(tmp_path / "another"), str(tmp_path / "m")]
    ways, rows = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    assert ways == ["ForkProcess" if sys.platform == "linux" else "SpawnProcess"]
    assert sorted(row["path"] for row in rows) == sorted(row.path for row in alone)
    assert {row["path"]: row["title"] for row in rows} == {row.path: row.title for row in alone}


def test_a_helper_ends_with_whoever_asked() -> None:
    code = "from playground.models import describing as d; h = d._Helper([]); print(h._process.pid, flush=True); h._ours.recv_bytes()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as asker:
        assert asker.stdout
        helper = psutil.Process(int(asker.stdout.readline()))
        asker.kill()
    helper.wait(60)


@pytest.mark.parametrize("at", [1, 2])
def test_a_helper_that_dies_costs_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    folder = tmp_path / "m"
    for number in range(80):
        write_gguf(folder / f"m{number}.gguf", weights=4, seed=number)
    monkeypatch.setattr(describing, "WORTH_IT", 50)
    monkeypatch.setattr(describing, "STRETCH", 10)
    asked: list[int] = []
    ask = describing._Helper.ask

    def ask_and_kill(self: describing._Helper, paths: list[Path]) -> bool:
        asked.append(len(paths))
        if len(asked) == at:
            self._process.kill()
            self._process.join()
        return ask(self, paths)

    monkeypatch.setattr(describing._Helper, "ask", ask_and_kill)
    found = library.scan(home, [Place("added", folder)], helped=True)
    assert len(found.rows) == 80
    assert found.complete


def test_changes_are_noticed_without_reading(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_gguf(folder / "deep" / "a.gguf", weights=4)

    def look() -> library.Snapshot:
        os.utime(folder / "deep", (1e9, 1e9))  # a change in the tick of the clock in which it was made could not be seen
        return library.scan(home, [Place("added", folder)]).snapshot

    seen = look()
    assert not library.changed_since(seen)
    assert str(folder / "deep") in library.watched(seen)
    write_gguf(folder / "deep" / "b.gguf", weights=4)
    assert library.changed_since(seen)
    seen = look()
    with (folder / "deep" / "b.gguf").open("ab") as growing:
        growing.write(b"more")
    assert library.changed_since(seen)
    seen = look()
    shutil.rmtree(folder / "deep")
    assert library.changed_since(seen)


def test_two_thousand_files_are_listed_as_they_are_found(home: Home, tmp_path: Path) -> None:
    data = write_gguf(tmp_path / "made.gguf", weights=4)
    for number in range(2000):
        path = tmp_path / "m" / f"org{number % 20}" / f"m{number:04}-Q4_K_M.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    told: list[Row] = []
    scan = library.scan(home, [Place("added", tmp_path / "m")], on_row=told.append)
    assert len(scan.rows) == len(told) == 2000
    stopped = library.scan(home, [Place("added", tmp_path / "m")], on_row=told.append, cancelled=lambda: len(told) >= 2100)
    assert not stopped.complete
    assert len(told) == 2100


def test_two_names_for_one_file_are_two_rows_but_one_blob_in_the_cache_is_one(home: Home, tmp_path: Path, cache: Path) -> None:
    write_gguf(tmp_path / "m" / "a.gguf", weights=4)
    os.link(tmp_path / "m" / "a.gguf", tmp_path / "m" / "b.gguf")
    assert set(rows(home, tmp_path / "m")) == {"a", "b"}
    link = in_cache(cache, "acme/tiny", "x.gguf")
    older = link.parents[1] / ("d" * 40) / "x.gguf"
    older.parent.mkdir()
    older.symlink_to(os.path.relpath(link.resolve(), older.parent))
    (row,) = rows(home, cache, kind="huggingface").values()
    assert row.path == str(link)


def test_names_stand_for_models(home: Home, tmp_path: Path, cache: Path) -> None:
    from playground import paths

    write_gguf(home.models / "alpha-Q4_K_M.gguf", weights=4)
    write_gguf(home.models / "alpha-Q8_0.gguf", weights=4)
    link = in_cache(cache, "acme/tiny", "beta-Q8_0.gguf")
    assert library.resolve(home, "starter") == paths.starter()
    assert library.resolve(home, str(home.models / "alpha-Q8_0.gguf")) == home.models / "alpha-Q8_0.gguf"
    assert library.resolve(home, "alpha-q8_0") == home.models / "alpha-Q8_0.gguf"
    assert library.resolve(home, "alpha-Q4") == home.models / "alpha-Q4_K_M.gguf"
    for name in ("acme/tiny", "acme/tiny:beta-Q8_0.gguf", "acme/tiny:Q8_0", "beta"):
        assert library.resolve(home, name) == link
    with pytest.raises(NotFoundError, match="could be 2"):
        library.resolve(home, "alpha")
    with pytest.raises(NotFoundError) as missing:
        library.resolve(home, "acme/other:Q8_0")
    assert missing.value.hint == "Get it with: playground models get acme/other --file Q8_0"
    for name in ("", "nothing"):
        with pytest.raises(NotFoundError):
            library.resolve(home, name)


def test_a_dropped_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "fake.gguf").write_bytes(b"MZ")
    (tmp_path / "empty").mkdir()
    for name, error in (
        ("photo.jpg", ModelFileError),
        ("fake.gguf", ModelFileError),
        ("empty", ModelFileError),
        ("no", NotFoundError),
    ):
        with pytest.raises(error, match=name.partition(".")[0]):
            library.inspect(tmp_path / name)
    write_gguf(tmp_path / "good.gguf", weights=4)
    assert library.inspect(tmp_path / "good.gguf").architecture == "llama"


def test_only_what_is_ours_is_removed(home: Home, tmp_path: Path, cache: Path) -> None:
    binned: list[Path] = []

    def trash(path: Path) -> None:
        binned.append(path)
        path.unlink() if path.is_file() else shutil.rmtree(path)

    write_gguf(home.models / "own.gguf", weights=4)
    in_cache(cache, "acme/tiny", "theirs.gguf")
    found = {row.name: row for row in library.scan(home).rows}
    assert found["own"].removable
    library.remove(home, found["own"], trash)
    assert binned == [home.models / "own.gguf"]
    with pytest.raises(StorageError, match="not ours"):
        library.remove(home, found["theirs"], trash)
    with pytest.raises(StorageError):
        library.remove(home, found["starter"], trash)
    assert len(binned) == 1


def test_a_list_of_added_folders(home: Home, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    places.add(home, tmp_path / "m")
    places.add(home, tmp_path / "m")
    assert places.added(home) == [tmp_path / "m"]
    with pytest.raises(NotFoundError):
        places.add(home, tmp_path / "absent")
    assert places.take_out(home, tmp_path / "m")
    assert not places.take_out(home, tmp_path / "m")
    (home.root / "places.json").write_text("[")
    assert places.added(home) == []


def _in_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in a folder that may not be entered, also for root, who may enter any."""
    write_gguf(tmp_path / "closed" / "in.gguf")
    real = os.stat

    def stat(path: object, *more: object, **named: object) -> object:
        if str(path).startswith(str(tmp_path / "closed") + os.sep):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", stat)
    return tmp_path / "closed" / "in.gguf"


def test_a_file_in_a_folder_that_may_not_be_entered(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _in_a_closed_folder(tmp_path, monkeypatch)
    for look in (
        library.inspect,
        lambda path: library.resolve(home, str(path)),
        lambda path: commands.add(home, str(path)),
        lambda path: Session(home).find_model(path),
        lambda path: workshop_files.there(str(path)),
    ):
        with pytest.raises(ModelFileError, match="cannot be looked at: Permission denied"):
            look(path)


def test_two_folders_that_are_added_at_once_are_both_there(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    added, others = places.added, []

    def meanwhile(home: Home) -> list[Path]:
        have = added(home)
        if not others:  # between the reading and the writing of the first, the second comes
            others.append(threading.Thread(target=places.add, args=[home, tmp_path / "two"]))
            others[0].start()
            others[0].join(0.5)  # it waits for the first
        return have

    monkeypatch.setattr(places, "added", meanwhile)
    places.add(home, tmp_path / "one")
    others[0].join(60)
    assert sorted(added(home)) == [tmp_path / "one", tmp_path / "two"]


def test_an_added_file_whose_folder_was_closed_does_not_end_the_listing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(tmp_path / "open" / "one.gguf")
    path = _in_a_closed_folder(tmp_path, monkeypatch)
    found = library.scan(home, [Place("added", path), Place("added", tmp_path / "open")])
    assert [row.name for row in found.rows] == ["one"]
    assert any("cannot be looked at" in notice for notice in found.notices)


def test_a_name_with_a_line_break_takes_one_line(home: Home, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m" / "two\nlines\x1b[31m.gguf")
    (line,) = commands.lines("add", commands.add(home, str(tmp_path / "m")))
    assert line.startswith("two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}[31m")
