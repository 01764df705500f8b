"""A verdict for each choice of a page on the hub: one header for all, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground import cli
from playground.memory.devices import Device
from playground.models.files import Choice
from playground.models.hub import Hub
from playground.session import fitting, verdicts
from playground.session.shelf import Shelf, usual
from playground.session.verdicts import by_size, judge_page
from tests.loopback_hub import LoopbackHub
from tests.models.tiny import write_gguf
from tests.session.test_shelf import PATIENCE, _alone, hub, shelf, told  # noqa: F401

SMALL, BETTER, BEST = "tiny-Q4_K_M.gguf", "tiny-Q6_K.gguf", "tiny-Q8_0.gguf"
HOST = Device("CPU", "processor", 1 << 30, 1 << 30)


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    return write_gguf(tmp_path / "made.gguf", weights=24_000)


def test_a_damaged_file_does_not_take_the_others_verdicts(hub: LoopbackHub, data: bytes) -> None:  # noqa: F811
    hub.add("acme/tiny-GGUF", {BEST: data[:200], BETTER: data, SMALL: data})
    found = judge_page(Hub().model("acme/tiny-GGUF"))
    assert found.verdicts[BETTER].verdict == found.verdicts[SMALL].verdict == "fits"
    assert (found.verdicts[BEST].verdict, "ends inside" in found.verdicts[BEST].why) == ("", True)
    assert found.recommended.choice is not None and found.recommended.choice.path == BETTER
    assert found.note == ""


def test_where_all_are_damaged_none_is_recommended(hub: LoopbackHub, data: bytes) -> None:  # noqa: F811
    hub.add("acme/tiny-GGUF", {BEST: data[:200], SMALL: b"no model at all"})
    found = judge_page(Hub().model("acme/tiny-GGUF"))
    assert (found.recommended.choice, found.recommended.why) == (None, "Its files are damaged.")
    assert all(each.why and not each.verdict for each in found.verdicts.values())


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_who_was_let_in_gets_the_headers(
    hub: LoopbackHub,  # noqa: F811
    data: bytes,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if form == "gguf":
        hub.add("acme/closed", {SMALL: data}, gated="manual")
    else:
        from tests.models_made import reciting_folder

        reciting_folder(tmp_path / "folder", [b"a", b"b"])
        hub.add("acme/closed", {each.name: each.read_bytes() for each in (tmp_path / "folder").iterdir()}, gated="manual")
    outside = judge_page(Hub().model("acme/closed"))
    assert "login" in outside.note
    hub.tokens["hf_right"] = "ada"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    inside = judge_page(Hub().model("acme/closed"))
    assert inside.note == ""
    (verdict,) = inside.verdicts.values()
    assert verdict.verdict == "fits" and "free on CPU" in verdict.why  # by its terms, not by its size


def test_the_command_line_says_what_the_window_says(
    hub: LoopbackHub,  # noqa: F811
    data: bytes,
    shelf: Shelf,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.add("acme/closed-GGUF", {SMALL: data, "README.md": b"# Tiny stone"}, gated="manual")
    seen = shelf.fits.choices(shelf.page("acme/closed-GGUF").result(PATIENCE)).result(PATIENCE)
    assert cli.main(["models", "show", "acme/closed-GGUF"]) == 0
    said = capsys.readouterr().out
    assert seen.note in said and seen.recommended.why in said
    assert "does not fit" not in said


def test_the_card_is_printed_where_it_is_asked_for(
    hub: LoopbackHub,  # noqa: F811
    data: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.add("acme/tiny-GGUF", {SMALL: data, "README.md": b"# Tiny stone"})
    assert cli.main(["models", "show", "acme/tiny-GGUF", "--card"]) == 0
    assert "# Tiny stone" in capsys.readouterr().out


def test_the_panel_and_the_command_line_count_the_same(shelf: Shelf, data: bytes, tmp_path: Path) -> None:  # noqa: F811
    """The window's estimate is of the engine as our worker opens it: few logits, copies where this processor gets them."""
    subject = fitting.of_path(tmp_path / "made.gguf")
    settings = usual(subject.shape)
    panel = shelf.fits.fit(subject, settings).result(PATIENCE)
    command, _ = fitting.estimate(subject, settings)
    assert panel.terms == command.terms


def test_size_alone_allows_for_copies_of_four_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    size = HOST.free * 3 // 10 - (1 << 28)
    room = Device("CPU", "processor", 8 << 30, size * 2 + (1 << 30))
    monkeypatch.setattr(verdicts, "repacked_formats", lambda: frozenset({"q4_k"}))
    assert by_size(size, [room], bits=8.5).verdict == "fits"
    assert by_size(size, [room], bits=4.85).verdict == ""
    monkeypatch.setattr(verdicts, "repacked_formats", frozenset)
    assert by_size(size, [room], bits=4.85).verdict == "fits"


def test_what_is_not_known_is_not_said_not_to_fit(hub: LoopbackHub, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    hub.add("acme/closed-GGUF", {BEST: data * 2, SMALL: data}, gated="auto")
    monkeypatch.setattr(verdicts, "find_devices", lambda: [Device("CPU", "processor", 1 << 30, len(data) * 3 // 2)])
    found = judge_page(Hub().model("acme/closed-GGUF"))
    assert [found.verdicts[path].verdict for path in (BEST, SMALL)] == ["does not fit", ""]
    best: Choice | None = found.recommended.choice
    assert best is not None and best.path == SMALL and "may fit" in found.recommended.why
