"""The workshop with real workers: chains of steps, the line of jobs, cancelling, what is left on the disk, and plans."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground.errors import NotFoundError, SettingError, StorageError
from playground.models import quantization
from playground.models.gguf_header import open_gguf
from playground.paths import Home, starter
from playground.protocol import QuantizeGguf
from playground.session import workshop_chain, workshop_files, workshop_plan
from playground.session.workshop import JobChanged, Making, QuantizeRequest, Workshop
from playground.session.workshop_steps import Stop, remove_new
from tests.models_made import Shape, shaped_model
from tests.session.conftest import PATIENCE, Listening

FOLDER = starter().parent
SLOW = Shape("llama", 4096, 512, 4, 8, 2, 1536, 2048)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that some types take seconds."""
    return shaped_model(tmp_path_factory.mktemp("models") / "slow-F16.gguf", SLOW, "F16")


DEAD = 999_999_999
"""the number of no process: larger than a system gives"""


def ended(listening: Listening, number: str) -> Making:
    event = listening.until(lambda each: isinstance(each, JobChanged) and each.making.id == number and each.making.ended)
    making: Making = event.making
    return making


def running(listening: Listening, number: str) -> None:
    """Waits until a job is well under way."""
    listening.until(lambda each: isinstance(each, JobChanged) and each.making.id == number and "tensor" in each.making.step)


def left(home: Home) -> list[str]:
    """What lies in the data folder that a finished job should have removed."""
    found = [
        Path(at, name) for at, folders, files in os.walk(home.root) for name in (*folders, *files)
    ]  # others may remove meanwhile
    return [str(path) for path in found if ".part" in path.name or path.parent.name == "workshop"]


def test_a_folder_becomes_a_quantized_file_in_one_job(listening: Listening, home: Home) -> None:
    number = listening.session.workshop.quantize(QuantizeRequest(str(FOLDER), "q4_k_m"))
    making = ended(listening, number)
    assert (making.state, making.message) == ("done", "")
    assert making.path == str(home.models / "starter-Q4_K_M.gguf")
    assert making.steps == ("Converting to GGUF", "Quantizing to Q4_K_M")
    assert making.bytes == Path(making.path).stat().st_size
    assert open_gguf(Path(making.path)).metadata["general.file_type"] == quantization.NUMBERS["Q4_K_M"]
    fractions = [each.making.fraction for each in listening.told if isinstance(each, JobChanged)]
    assert fractions == sorted(fractions)
    assert left(home) == []
    listening.session.load(making.path).result(PATIENCE)
    again = ended(listening, listening.session.workshop.quantize(QuantizeRequest(str(FOLDER), "Q4_K_M")))
    assert again.path == str(home.models / "starter-Q4_K_M-2.gguf"), "what is there is not replaced unasked"


def test_an_importance_matrix_is_computed_once(listening: Listening, home: Home, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time there was a little fox who lived in the wood. " * 60)
    request = QuantizeRequest(str(starter()), "Q2_K", imatrix="auto", calibration=str(text))
    first = ended(listening, listening.session.workshop.quantize(request))
    assert (first.state, first.message) == ("done", "")
    assert first.steps == ("Computing the importance matrix", "Quantizing to Q2_K")
    assert open_gguf(Path(first.path)).metadata["quantize.imatrix.dataset"] == "text.txt"
    second = ended(listening, listening.session.workshop.quantize(request))
    assert second.steps == ("Quantizing to Q2_K",)
    assert any("computed before" in note for note in second.notes)
    assert Path(first.path).read_bytes() == Path(second.path).read_bytes()


def test_jobs_wait_in_line_and_each_can_be_cancelled(listening: Listening, home: Home, slow: Path) -> None:
    workshop = listening.session.workshop
    first = workshop.quantize(QuantizeRequest(str(slow), "IQ4_XS"))
    second = workshop.quantize(QuantizeRequest(str(slow), "Q6_K"))
    third = workshop.quantize(QuantizeRequest(str(slow), "Q8_0"))
    running(listening, first)
    assert [each.state for each in workshop.list()] == ["queued", "queued", "running"]
    workshop.cancel(second)
    workshop.cancel(first)
    assert ended(listening, first).state == "cancelled"
    assert ended(listening, third).state == "done"
    assert [each.state for each in workshop.list()] == ["done", "cancelled", "cancelled"]
    assert [each.name for each in home.models.iterdir()] == ["slow-Q8_0.gguf"]
    assert left(home) == []
    workshop.forget(first)
    assert [each.id for each in workshop.list()] == [third, second]
    with pytest.raises(NotFoundError):
        workshop.cancel(first)


def test_what_another_program_is_making_under_the_same_name_stays_when_a_job_is_cancelled(tmp_path: Path) -> None:
    target = tmp_path / "model-Q8_0.gguf"
    theirs, ours = (tmp_path / f"{target.name}.{number}.playground.part" for number in (os.getpid(), DEAD))
    theirs.write_text("half")
    ours.write_text("half")
    remove_new(target, set())
    assert list(tmp_path.iterdir()) == [theirs]


def test_closing_ends_what_runs(listening: Listening, home: Home, slow: Path) -> None:
    running(listening, listening.session.workshop.quantize(QuantizeRequest(str(slow), "IQ4_XS")))
    assert psutil.Process().children()
    listening.session.close()
    until = time.monotonic() + PATIENCE
    while left(home) and time.monotonic() < until:
        time.sleep(0.05)
    assert left(home) == []
    assert not list(home.models.glob("*"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (QuantizeRequest("/nowhere/model.gguf", "Q8_0"), "no file"),
        (QuantizeRequest(str(starter()), "Q9"), "no type Q9"),
        (QuantizeRequest(str(starter()), "nf4"), "model folder"),
        (QuantizeRequest(str(starter()), "Q8_0", adapter=str(FOLDER)), "model folder"),
        (QuantizeRequest(str(starter()), "Q8_0", out=str(starter())), "replace the model"),
        (QuantizeRequest(str(starter()), "IQ1_S"), "importance matrix"),
        (QuantizeRequest(str(starter()), "Q8_0", output_type="Q77"), "no tensor type"),
        (QuantizeRequest(str(starter()), "Q8_0", imatrix="auto", calibration="/nowhere"), "no file"),
    ],
)
def test_what_cannot_be_done_is_a_failed_job_with_a_sentence(
    listening: Listening, home: Home, request_: QuantizeRequest, words: str
) -> None:
    before = _about(starter())
    making = ended(listening, listening.session.workshop.quantize(request_))
    assert making.state == "failed"
    assert words in making.message
    assert making.hint
    assert making.path == ""
    assert left(home) == []
    assert _about(starter()) == before


def _about(path: Path) -> tuple[int, ...]:
    """What tells whether a file was written to. Not when it was last read, which a system notes at its own times."""
    about = path.stat()
    return about.st_ino, about.st_mode, about.st_nlink, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def test_a_result_replaces_nothing_that_it_is_made_of_and_nothing_that_is_no_model(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    shutil.copytree(FOLDER, folder)
    matrix = tmp_path / "matrix.gguf"
    shutil.copyfile(starter(), matrix)
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    linked = tmp_path / "linked.gguf"
    linked.symlink_to(starter())
    work = workshop_chain.work_folder(home)
    for source, to, out in (
        (folder, "f16", folder / "model.safetensors"),
        (folder, "Q8_0", folder / "model.safetensors"),
        (folder, "f16", folder / "config.json"),
        (starter(), "Q8_0", linked),
        (starter(), "Q8_0", notes),
        (starter(), "Q8_0", Path(os.devnull)),
        (starter(), "Q8_0", matrix),
    ):
        with pytest.raises(SettingError, match=r"replace the model|no GGUF file") as raised:
            workshop_chain.quantize(home, QuantizeRequest(str(source), to, out=str(out), imatrix=str(matrix)), work)
        assert raised.value.hint
    with pytest.raises(SettingError, match="no GGUF file"):
        workshop_chain.adapter(home, str(folder), "", str(notes), work)
    older = tmp_path / "older.gguf"
    older.write_bytes(b"GGUF and so on")
    assert workshop_chain.quantize(home, QuantizeRequest(str(starter()), "Q8_0", out=str(older)), work).steps


def test_a_folder_that_is_not_whole_is_said(listening: Listening, tmp_path: Path, home: Home) -> None:
    for name, files in {
        "bare": (),
        "pickle": ("config.json", "tokenizer.json"),
        "cut": ("config.json", "tokenizer.json"),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in files:
            (folder / file).write_bytes((FOLDER / file).read_bytes())
        if name == "pickle":
            (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        if name == "cut":
            (folder / "model.safetensors").write_bytes((FOLDER / "model.safetensors").read_bytes()[:-1000])
        making = ended(listening, listening.session.workshop.quantize(QuantizeRequest(str(folder), "Q8_0")))
        assert making.state == "failed", name
        assert making.message, name
        assert making.hint, name
        assert left(home) == []


def test_a_chain_that_does_not_fit_the_disk_is_refused_before_it_begins(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = workshop_chain.quantize(home, QuantizeRequest(str(FOLDER), "Q4_K_M"), workshop_chain.work_folder(home))
    needed = sum(size for _, size in chain.disk)
    assert 14_000_000 < needed < 17_000_000, "the conversion and the result"
    usage = type("Usage", (), {"free": needed + workshop_chain.SPARE - 1})
    monkeypatch.setattr(workshop_chain.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="MiB"):
        workshop_chain.check_disk(chain)
    usage.free += 1
    workshop_chain.check_disk(chain)


def test_what_a_killed_program_left_on_its_way_goes_when_the_workshop_opens(home: Home) -> None:
    folder = home.cache / "workshop" / f"{DEAD}-abc"
    folder.mkdir(parents=True)
    (folder / "half.gguf").write_bytes(b"x" * 1000)
    home.models.mkdir(parents=True)
    (home.models / f"model.gguf.{DEAD}.playground.part").write_bytes(b"x")
    (home.models / f"model.gguf.{os.getpid()}.playground.part").write_bytes(b"x")
    (home.models / f"album.{DEAD}.part").write_bytes(b"another program's")
    workshop = Workshop(home, lambda event: None)
    until = time.monotonic() + PATIENCE
    while len(left(home)) > 2 and time.monotonic() < until:
        time.sleep(0.02)
    workshop.close()
    assert {Path(each).name for each in left(home)} == {
        f"model.gguf.{os.getpid()}.playground.part",
        f"album.{DEAD}.part",
    }, "what somebody is at stays, and what is not ours"


def test_a_plan_of_a_file_has_the_quantizers_own_sizes(listening: Listening, home: Home) -> None:
    plan = listening.session.workshop.plan(starter()).result(PATIENCE)
    assert (plan.kind, plan.quantization, plan.problem) == ("gguf", "F16", "")
    rows = {row.name: row for row in plan.rows}
    assert rows.keys() == quantization.TYPES.keys()
    assert all(row.exact and row.size > 0 for row in plan.rows)
    assert [row.size for row in plan.rows] == sorted((row.size for row in plan.rows), reverse=True)
    assert {name for name, row in rows.items() if row.needs_imatrix} >= {"IQ1_S", "IQ2_XXS", "Q2_K_S", "IQ3_XXS"}
    assert sum(row.recommended for row in plan.rows) == 1
    making = ended(listening, listening.session.workshop.quantize(QuantizeRequest(str(starter()), "Q5_K_M")))
    assert abs(making.bytes - rows["Q5_K_M"].size) < 256


def test_a_plan_of_a_folder_comes_near_and_has_its_own_types(listening: Listening) -> None:
    exact = {row.name: row for row in listening.session.workshop.plan(starter()).result(PATIENCE).rows}
    plan = listening.session.workshop.plan(FOLDER).result(PATIENCE)
    rows = {row.name: row for row in plan.rows}
    assert rows.keys() == {*quantization.TYPES, "nf4", "int8"}
    assert plan.steps == ("Converting to GGUF", "Quantizing")
    for name, row in exact.items():
        assert rows[name].size == pytest.approx(row.size, rel=0.06), name
        assert rows[name].needs_imatrix == row.needs_imatrix, name


def test_nothing_is_planned_for_a_folder_that_is_quantized_already(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "four bits"
    shutil.copytree(FOLDER, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    (folder / "config.json").write_text(json.dumps(config))
    plan = workshop_plan.make(home, folder, "", Stop())
    assert plan.rows == ()
    assert "quantized already (NF4)" in plan.problem
    assert plan.hint


def test_a_plan_of_what_is_quantized_already_says_so(listening: Listening, tmp_path: Path) -> None:
    small = shaped_model(tmp_path / "small.gguf", Shape(), "Q8_0")
    plan = listening.session.workshop.plan(small).result(PATIENCE)
    assert "loses twice" in plan.problem
    assert plan.rows


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/m/Qwen3-0.6B-Q4_K_M.gguf", "Qwen3-0.6B"),
        ("/m/model-f16.gguf", "model"),
        ("/m/big-BF16-00001-of-00003.gguf", "big"),
        ("/c/models--owner--some-model/snapshots/abcdef/", "some-model"),
        ("/m/IQ-tests", "IQ-tests"),
    ],
)
def test_models_are_called_by_their_name_without_type_and_part(path: str, name: str) -> None:
    assert workshop_files.short_name(path) == name


def test_an_adapter_is_merged_first(home: Home, tmp_path: Path) -> None:
    adapter = tmp_path / "poet"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    work = workshop_chain.work_folder(home)
    chain = workshop_chain.quantize(home, QuantizeRequest(str(FOLDER), "Q4_K_M", adapter=str(adapter), imatrix="auto"), work)
    assert [step.what for step in chain.steps] == [
        "Merging the adapter",
        "Converting to GGUF",
        "Computing the importance matrix",
        "Quantizing to Q4_K_M",
    ]
    commands: list[Any] = [step.command for step in chain.steps]
    assert commands[1].source == commands[0].target
    assert commands[2].model == commands[3].source == commands[1].target
    assert commands[3].imatrix == commands[2].target
    assert commands[3].target == str(home.models / "starter-poet-Q4_K_M.gguf")
    assert Path(commands[0].target).parent == Path(commands[1].target).parent == work
    folder = workshop_chain.quantize(home, QuantizeRequest(str(FOLDER), "NF4", adapter=str(adapter)), work)
    assert [step.module for step in folder.steps] == ["playground.workers.folders"] * 2
    with pytest.raises(SettingError):
        workshop_chain.merge(home, str(starter()), str(adapter), 1.0, "", work)


def _matrix(home: Home, request: QuantizeRequest) -> Path:
    """Where the matrix of a job of its own will lie."""
    chain = workshop_chain.quantize(home, request, workshop_chain.work_folder(home))
    return Path(next(step.command.imatrix for step in chain.steps if isinstance(step.command, QuantizeGguf)))


def test_a_matrix_of_a_merged_model_is_known_by_what_decides_it(home: Home, tmp_path: Path) -> None:
    adapter, other, text, same = tmp_path / "poet", tmp_path / "clerk", tmp_path / "a.txt", tmp_path / "b.txt"
    for folder in (adapter, other):
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
    text.write_text("Once upon a time.")
    same.write_text("Once upon a time.")
    request = QuantizeRequest(str(FOLDER), "Q4_K_M", adapter=str(adapter), imatrix="auto", calibration=str(text))
    target = _matrix(home, request)
    assert _matrix(home, request) == target, "the second job merges into another folder, and the weights are the same"
    assert _matrix(home, replace(request, to="Q2_K", calibration=str(same))) == target
    same.write_text("Once more.")
    os.utime(same, ns=(text.stat().st_atime_ns, text.stat().st_mtime_ns))
    different = {
        target,
        _matrix(home, replace(request, adapter="")),
        _matrix(home, replace(request, adapter=str(other))),
        _matrix(home, replace(request, scale=0.5)),
        _matrix(home, replace(request, calibration=str(same))),
    }
    assert len(different) == 5
    target.parent.mkdir(parents=True)
    target.write_bytes(b"GGUF")
    chain = workshop_chain.quantize(home, request, workshop_chain.work_folder(home))
    assert "Computing the importance matrix" not in [step.what for step in chain.steps]
    assert any("computed before" in note for note in chain.notes)
    (adapter / "adapter_config.json").write_text("{ }")
    assert _matrix(home, request) not in different, "trained again"


def test_matrices_that_were_not_used_for_long_go(home: Home) -> None:
    folder = home.cache / workshop_chain.MATRICES
    folder.mkdir(parents=True)
    kept = workshop_chain.MATRICES_KEPT
    names = [f"{number:024x}.gguf" for number in range(kept + 3)]
    for age, name in enumerate([*names, "mine.gguf"]):
        (folder / name).write_bytes(b"GGUF")
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    workshop_chain.tidy(home)
    assert sorted(each.name for each in folder.iterdir()) == [*names[:kept], "mine.gguf"], "what a person named is not ours"


def test_a_merged_model_does_not_say_its_name_twice() -> None:
    assert workshop_files.merged_name("/models/starter.gguf", "/adapters/starter-persona") == "starter-persona"
    assert workshop_files.merged_name("/models/starter", "/adapters/starters") == "starter-starters"
    assert workshop_files.merged_name("/models/starter", "/adapters/sailor") == "starter-sailor"
