"""The Inside page in the window: its five states, what is looked at, new captures, two captures, deleting, saving."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attention_made
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QToolButton, QWidget

from playground.errors import DataError, StorageError
from playground.gui.widgets.inside_pickers import ElidedBox
from playground.inside import head_scores
from playground.inside import look as looks
from playground.inside.capture import Capture
from playground.session import reading_models

TEXT = "the cat sat on the mat and the cat sat on the dog"


@pytest.fixture
def page(window: Any, qtbot: Any) -> Any:
    """The page with one capture."""
    window.session.inside.made(TEXT.split())
    made = opened(window, qtbot)
    made.state.set_look(layer=0, head=0)
    return made


def opened(window: Any, qtbot: Any) -> Any:
    window.resize(1280, 800)
    window.open("inside")
    made = window.pages["inside"]
    qtbot.waitUntil(lambda: made._listed and (made.state.a is not None or not window.session.inside.list()))
    return made


def find(page: QWidget, name: str, kind: type = QWidget) -> Any:
    found = page.window().findChild(kind, name)
    assert found is not None, name
    return found


def notices(page: Any) -> str:
    return " ".join(page.window().notices())


def point_at(page: Any, row: int, column: int) -> str:
    """What is said of a cell under the pointer."""
    heat = page.map.map
    heat._point_at(heat.frame().rect(row, column).center())
    return str(page.map.readout.text())


def choose(box: QComboBox, value: str) -> None:
    place = box.findData(value)
    assert place >= 0, value
    box.setCurrentIndex(place)
    box.activated.emit(place)


def test_without_captures_the_page_says_what_to_do_and_the_form_makes_one(window: Any, qtbot: Any) -> None:
    page = opened(window, qtbot)
    assert "Nothing has been captured" in page.says.title.text()
    qtbot.mouseClick(find(page, "inside.way_out", QPushButton), Qt.MouseButton.LeftButton)
    button = find(page, "inside.capture", QPushButton)
    assert not button.isEnabled()
    find(page, "inside.new_text").setPlainText("one two three")
    find(page, "inside.new_layers").setText("0-2")
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.state.a is not None)
    asked = window.session.inside.asked[-1]
    assert (asked.text, asked.layers, asked.heads) == ("one two three", (0, 1, 2), ())
    assert page.grid.isVisible() and page.map.map.isVisible()
    assert find(page, "inside.captures", ElidedBox).currentData() == page.state.id_a


def test_what_is_under_the_pointer_is_what_the_file_says(page: Any, qtbot: Any) -> None:
    numbers = Capture(page.state.a.path).map(0, 0)
    assert f"{numbers[5, 2]:.4f}" in point_at(page, 5, 2)
    assert "·the (5)" in page.map.readout.text() and "·cat (2)" in page.map.readout.text()
    assert "masked" in point_at(page, 3, 9)
    for mode, wanted in (
        ("layer", page.state.a.mean(2)),
        ("all", page.state.a.mean_of_all()),
        ("rollout", page.state.a.rollout(2)),
    ):
        page.state.set_look(mode, layer=2)
        qtbot.waitUntil(lambda: page.map.ready)
        assert f"{wanted[7, 3]:.4f}" in point_at(page, 7, 3), mode


def test_the_grid_chooses_heads_by_mouse_and_keys_and_names_them(page: Any, qtbot: Any) -> None:
    grid = find(page, "inside.grid")
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=grid.rect_of(1, 2).center())
    assert (page.state.look.layer, page.state.look.head) == (1, 2)
    assert page.map.title.text().startswith("Layer 1, head 2")
    for key, wanted in (
        (Qt.Key.Key_Down, (2, 2)),
        (Qt.Key.Key_Down, (2, 2)),
        (Qt.Key.Key_Left, (2, 1)),
        (Qt.Key.Key_End, (2, 3)),
    ):
        qtbot.keyClick(grid, key)
        assert (page.state.look.layer, page.state.look.head) == wanted
    scores = page.state.a.scores[2, 3]
    best = page.state.a.header.score_names[int(np.nanargmax(scores))]
    assert best in grid.words(2, 3) and "Layer 2, head 3" in grid.words(2, 3)
    assert find(page, "inside.layer", QComboBox).currentData() == 2
    choose(find(page, "inside.head", QComboBox), 0)
    assert page.state.look.head == 0


def test_a_click_in_the_map_selects_the_token_of_its_row(page: Any, qtbot: Any) -> None:
    heat = page.map.map
    qtbot.mouseClick(heat, Qt.MouseButton.LeftButton, pos=heat.frame().rect(6, 1).center().toPoint())
    assert (page.state.token, page.state.direction) == (6, "from")
    qtbot.keyClick(heat, Qt.Key.Key_Escape)
    assert page.state.token is None


def picture(page: Any) -> bytes:
    image = page.map.map.image().convertToFormat(QImage.Format.Format_RGB32)
    return bytes(image.constBits())


def test_scales_change_the_colours_and_the_legend_and_are_remembered(page: Any) -> None:
    seen = {picture(page)}
    for kind in ("linear", "log", "percentile"):
        choose(find(page, "inside.scale", QComboBox), kind)
        seen.add(picture(page))
    choose(find(page, "inside.colours", QComboBox), "viridis")
    seen.add(picture(page))
    find(page, "inside.sink").click()
    seen.add(picture(page))
    assert any("first token" in each for each in page.map.legend.notes)
    find(page, "inside.sink").click()
    assert picture(page) in seen, "the first column comes back"
    find(page, "inside.sink").click()
    find(page, "inside.shared").click()
    seen.add(picture(page))
    assert len(seen) == 7
    kept = page._desk.preferences.get("inside.scale")
    assert kept == {"kind": "percentile", "hide_sink": True, "shared": False, "colours": "viridis"}


def test_a_long_text_shows_its_thumbnail_first_and_says_so_then_the_maxima(window: Any, qtbot: Any) -> None:
    window.session.inside.made([f"w{each % 50}" for each in range(600)])
    page = opened(window, qtbot)
    assert not page.state.quick
    qtbot.waitUntil(lambda: page.map.ready)
    page.state.set_look(head=3)
    assert page.map.map.factor == 0 and "humbnail" in page.map.legend.text
    qtbot.waitUntil(lambda: page.map.ready)
    assert page.map.map.factor == 2 and "2 × 2" in page.map.legend.text
    page.map.map.zoom(4)
    assert page.map.map.factor == 1 and not page.map.legend.text
    numbers = page.state.a.map(0, 3)
    frame = page.map.map.frame()
    row, column = frame.span(False)[0] + 3, frame.span(True)[0] + 2
    point_at(page, row, column)
    wanted = "masked" if column > row else f"{numbers[row, column]:.4f}"
    qtbot.waitUntil(lambda: wanted in page.map.readout.text() or f"{numbers[row, column]:.1e}" in page.map.readout.text())


def test_two_captures_and_their_difference(page: Any, window: Any, qtbot: Any) -> None:
    other = window.session.inside.made(TEXT.split(), maps=_turned(page.state.a))
    shorter = window.session.inside.made(["one", "two"])
    page.refresh()
    box = find(page, "inside.other", ElidedBox)
    qtbot.waitUntil(lambda: box.findData(other.id) >= 0 and box.findData(shorter.id) >= 0)
    choose(box, other.id)
    qtbot.waitUntil(lambda: page.state.view == "difference")
    one, two = page.state.a.map(0, 0), page.state.b.map(0, 0)
    assert f"{two[9, 4] - one[9, 4]:+.4f}" in point_at(page, 9, 4)
    assert page.map.legend.ticks[0][1].startswith("−") and page.map.legend.ticks[-1][1].startswith("+")
    moved = page.state.b.scores[1, 2] - page.state.a.scores[1, 2]
    assert page.grid.words(1, 2).endswith(f"{moved[np.nanargmax(np.abs(moved))]:+.2f}")
    qtbot.mouseClick(find(page, "inside.view.b", QToolButton), Qt.MouseButton.LeftButton)
    assert f"{two[9, 4]:.4f}" in point_at(page, 9, 4)
    item = box.model().item(box.findData(shorter.id))
    assert not item.isEnabled() and "14 and 3 tokens" in item.toolTip()
    assert not box.model().item(box.findData(page.state.id_a)).isEnabled()
    page.compare_with(shorter.id)
    qtbot.waitUntil(lambda: page.state.id_b == shorter.id)
    difference = find(page, "inside.view.difference", QToolButton)
    assert not difference.isEnabled() and "14 and 3 tokens" in difference.toolTip()
    assert any("14 and 3 tokens" in each for each in window.notices())
    page.compare_with("")
    assert not any("14 and 3 tokens" in each for each in window.notices()), "it is of a pair that is seen no longer"
    page.compare_with(shorter.id)
    qtbot.waitUntil(lambda: page.state.id_b == shorter.id)
    assert page.state.view == "b" and page.map.map.frame().rows == 3


def test_texts_that_begin_alike_are_compared_as_far_as_they_do(page: Any, window: Any, qtbot: Any) -> None:
    words = [*TEXT.split()[:9], "dog", "ran"]
    longer = window.session.inside.made(words, maps=attention_made.random_maps(12, seed=5))
    page.refresh()
    box = find(page, "inside.other", ElidedBox)
    qtbot.waitUntil(lambda: box.findData(longer.id) >= 0)
    item = box.model().item(box.findData(longer.id))
    assert item.isEnabled() and "the first 10, which are alike" in item.toolTip()
    choose(box, longer.id)
    qtbot.waitUntil(lambda: page.state.view == "difference")
    assert any("the first 10, which are alike" in each for each in window.notices())
    assert page.map.map.frame().rows == 10 and "the first 10 tokens" in page.map.title.text()
    one, two = page.state.a.map(0, 0), page.state.b.map(0, 0)
    assert f"{two[9, 4] - one[9, 4]:+.4f}" in point_at(page, 9, 4)
    thumbs = page._shades.thumbs()
    assert thumbs.shape == (3, 4, 10, 10)
    assert np.abs(looks.decode_difference(thumbs[0, 0]) - (two - one[:12, :12])[:10, :10]).max() < 0.02
    page.state.set_token(8)
    for tab in ("text", "heads"):
        page.show_tab(tab)
    text, table = find(page, "inside.text_view"), find(page, "inside.finder")
    qtbot.waitUntil(lambda: text.weights() is not None)
    assert np.abs(text.weights() - (two[8, :10] - one[8, :10])).max() < 1e-6
    assert len(text.flow.weights()) == 10
    qtbot.waitUntil(lambda: table.rows.total == 12)
    ids = [each.id for each in page.state.header.tokens]
    wanted = head_scores.of_map(ids, two[:10, :10])["induction"] - head_scores.of_map(ids, one[:10, :10])["induction"]
    row = next(each for each in table.rows.rows() if (each.layer, each.head) == (0, 0))
    assert row.scores["induction"] == pytest.approx(wanted, abs=1e-6)
    page.export().write("csv", page.state.a.path.with_name("difference.csv"))
    target = page.state.a.path.with_name("difference.csv")
    qtbot.waitUntil(target.exists)
    assert len(target.read_text("utf-8").splitlines()) == 11
    page.state.set_token(9)
    page.state.set_view("a")
    assert page.map.map.frame().rows == 14 and len(text.flow.weights()) == 14


def test_the_capture_that_was_asked_for_opens_and_not_the_newest(window: Any, qtbot: Any) -> None:
    first, newest = (window.session.inside.made(words) for words in (["one", "two"], ["three"]))
    window.open("inside", capture_id=first.id)
    page = window.pages["inside"]
    qtbot.waitUntil(lambda: page._listed and page.state.a is not None)
    assert page.state.id_a == first.id != newest.id


def test_the_page_is_there_at_once_and_its_views_a_moment_later(window: Any, qtbot: Any) -> None:
    made = [window.session.inside.made(words) for words in (["one", "two"], ["one", "two", "three"])]
    window.open("inside", capture_id=made[0].id, tab="text", compare=made[1].id)
    page = window.pages["inside"]
    assert find(page, "inside.new", QPushButton).isVisible() and page.state.a is None
    assert page.findChild(QWidget, "inside.grid") is None and page.findChild(QWidget, "inside.map") is None
    qtbot.waitUntil(lambda: page.state.view == "difference")
    assert (page.state.id_a, page.state.id_b) == (made[0].id, made[1].id)
    assert find(page, "inside.text_view").isVisible() and find(page, "inside.tabs").value() == "text"


def test_a_key_that_comes_before_the_views_finds_them(window: Any, qtbot: Any) -> None:
    window.session.inside.made(["one", "two"])
    window.open("inside")
    page = window.pages["inside"]
    page.fit()
    page.toggle_explanation()
    assert find(page, "inside.explain_button").isChecked()
    qtbot.waitUntil(lambda: page.state.a is not None)
    assert page.map.map.isVisible() and find(page, "inside.explain").isVisible()
    assert page.focusProxy() is page.grid


def test_a_capture_that_cannot_be_opened_is_said_once_and_the_next_one_is_opened(
    window: Any, qtbot: Any, monkeypatch: Any
) -> None:
    inside = window.session.inside
    first, newest = inside.made(["one"]), inside.made(["two"])
    asked: list[str] = []

    def refuse(capture_id: str) -> Capture:
        asked.append(capture_id)
        if capture_id == newest.id:
            raise DataError("No room to map it into.", "Close something.")
        return Capture(first.path)

    monkeypatch.setattr(inside, "open", refuse)
    page = opened(window, qtbot)
    assert page.state.id_a == first.id and "No room" in notices(page)
    assert asked == [newest.id, first.id]


def test_captures_that_come_and_go_elsewhere_are_seen(window: Any, qtbot: Any) -> None:
    page = opened(window, qtbot)
    box = find(page, "inside.captures", ElidedBox)
    first = window.session.inside.made(["one", "two"])
    qtbot.waitUntil(lambda: box.findData(first.id) >= 0 and page.state.id_a == first.id)
    window.open("chat")
    second = window.session.inside.made(["three", "four"])
    window.open("inside")
    qtbot.waitUntil(lambda: box.findData(second.id) >= 0)
    assert page.state.id_a == first.id
    first.path.unlink()
    qtbot.waitUntil(lambda: page.state.id_a == second.id)
    assert "deleted" in notices(page)


def test_a_capture_opens_at_the_head_that_shows_most_until_one_is_chosen(window: Any, qtbot: Any) -> None:
    def walking(layer: int, head: int) -> np.ndarray:
        maps = attention_made.random_maps(14)
        maps[layer, head] = np.eye(14, k=-1)
        maps[layer, head, 0, 0] = 1
        return maps

    made = window.session.inside.made
    first, second = (made(TEXT.split(), maps=walking(*each)) for each in ((1, 3), (2, 1)))
    page = opened(window, qtbot)
    assert page.state.id_a == second.id and (page.state.look.layer, page.state.look.head) == (2, 1)
    page.show_capture(first.id)
    qtbot.waitUntil(lambda: page.state.id_a == first.id)
    assert (page.state.look.layer, page.state.look.head) == (1, 3)
    page.state.set_look(head=2)
    page.show_capture(second.id)
    qtbot.waitUntil(lambda: page.state.id_a == second.id)
    assert (page.state.look.layer, page.state.look.head) == (1, 2)


def test_few_heads_take_the_room_that_they_have_unless_the_line_was_moved(page: Any, window: Any, qtbot: Any) -> None:
    grid = find(page, "inside.grid")
    column = page.views.splitter.sizes()[0]
    assert column > 320 and grid.rect_of(0, 0).width() == 72
    assert grid.rect_of(0, 3).right() <= grid.viewport().width() and page.map.map.width() > 480
    page.views.splitter.setSizes([340, 800])
    page.views.splitter.splitterMoved.emit(340, 1)
    before = page.views.splitter.sizes()[0]
    page.state.set_captures(page.state.a, page.state.id_a)
    assert page.views.splitter.sizes()[0] == before


def _turned(capture: Capture) -> np.ndarray:
    """The same weights, each head the one before: another capture of the same tokens."""
    header = capture.header
    maps = np.array([[capture.map(layer, head) for head in header.heads] for layer in header.layers])
    return np.roll(maps, 1, axis=1)


def test_deleting_asks_in_a_notice(page: Any, qtbot: Any, window: Any) -> None:
    first = page.state.id_a
    second = window.session.inside.made(["one", "two"])
    page.refresh()
    box = find(page, "inside.captures", ElidedBox)
    qtbot.waitUntil(lambda: box.findData(second.id) >= 0)
    qtbot.mouseClick(find(page, "inside.delete", QToolButton), Qt.MouseButton.LeftButton)
    assert "Delete this capture" in notices(page)
    assert len(window.session.inside.list()) == 2
    qtbot.mouseClick(find(page, "notice.action", QPushButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.state.id_a == second.id and box.findData(first) < 0)
    assert [each.id for each in window.session.inside.list()] == [second.id]
    page.delete(second.id)
    qtbot.waitUntil(lambda: "Nothing has been captured" in page.says.title.text())


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))
    os.utime(path, (0, 0))


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:900]), noise],
    ids=["gone", "cut", "noise"],
)
def test_a_capture_that_is_gone_gives_a_sentence_and_the_page_goes_on(
    page: Any, window: Any, qtbot: Any, spoil: Callable[[Path], object]
) -> None:
    spoil(page.state.a.path)
    page.state.set_look(head=1)
    qtbot.waitUntil(lambda: "deleted" in notices(page) or "changed by another program" in notices(page))
    qtbot.waitUntil(lambda: page.state.a is None)
    window.session.inside.made(["one", "two"])
    page.refresh()
    qtbot.waitUntil(lambda: page.state.a is not None)
    assert "1.0000" in point_at(page, 0, 0)


def test_a_capture_under_way_is_in_the_strip_and_can_be_stopped(page: Any, window: Any, qtbot: Any) -> None:
    inside = window.session.inside
    inside.hold()
    page.new_capture("one two three")
    qtbot.mouseClick(find(page, "inside.capture", QPushButton), Qt.MouseButton.LeftButton)
    assert "inside" in window.jobs.jobs()
    page.new_capture("four five")
    qtbot.mouseClick(find(page, "inside.capture", QPushButton), Qt.MouseButton.LeftButton)
    assert "under way" in notices(page) and len(inside.asked) == 1
    qtbot.mouseClick(find(page, "jobs.inside.cancel", QToolButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "inside" not in window.jobs.jobs())
    assert len(inside.list()) == 1 and page.state.a is not None


def test_what_would_not_fit_is_refused_with_its_size_before_it_is_begun(page: Any, window: Any, qtbot: Any) -> None:
    window.session.inside.limit = 1 << 20
    page.new_capture("word " * 1000)
    label = find(page, "inside.new_size", QLabel)
    qtbot.waitUntil(lambda: "would take" in label.text())
    assert "MiB" in label.text() or "GiB" in label.text()
    assert not find(page, "inside.capture", QPushButton).isEnabled()
    find(page, "inside.new_text").setPlainText("two words")
    qtbot.waitUntil(lambda: "on the disk" in label.text())
    assert find(page, "inside.capture", QPushButton).isEnabled()
    find(page, "inside.new_heads").setText("3, x")
    qtbot.waitUntil(lambda: "no number of heads" in label.text())
    window.session.inside.fail = StorageError("This capture would take 12.0 GiB.", "Look at fewer.")
    find(page, "inside.new_heads").setText("")
    qtbot.mouseClick(find(page, "inside.capture", QPushButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "12.0 GiB" in notices(page))
    assert "inside" not in window.jobs.jobs()


def test_what_is_seen_is_saved_whole_or_not_at_all(page: Any, qtbot: Any, tmp_path: Path) -> None:
    page.state.set_look("head", 1, 2)
    numbers = page.state.a.map(1, 2)
    out = page.export()
    for name in ("map_png", "map_svg", "grid_png", "grid_svg", "npy", "csv"):
        target = tmp_path / f"{name}.{name.rpartition('_')[2]}"
        out.write(name, target)
        qtbot.waitUntil(target.exists)
    assert (np.load(tmp_path / "npy.npy") == numbers).all()
    lines = (tmp_path / "csv.csv").read_text("utf-8").splitlines()
    assert lines[0].split(",")[2:5] == ["<s>", " the", " cat"]
    assert [float(each) for each in lines[6].split(",")[2:]] == pytest.approx(numbers[5].tolist(), rel=1e-6)
    for name in ("map_png", "grid_png"):
        assert QImage(str(tmp_path / f"{name}.png")).width() >= 640
    svg = (tmp_path / "map_svg.svg").read_text("utf-8")
    assert "·cat" in svg and "Layer 1, head 2" in svg and "data:image/png" in svg and "cannot be seen" in svg
    for name in ("grid_png", "csv"):  # one does not push the other out
        out.write(name, tmp_path / f"again.{name}")
    qtbot.waitUntil(lambda: (tmp_path / "again.grid_png").exists() and (tmp_path / "again.csv").exists())
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    out.write("npy", nowhere / "x.npy")
    qtbot.waitUntil(lambda: "x.npy" in notices(page) or str(nowhere) in notices(page))
    assert not [each for each in tmp_path.iterdir() if "part" in each.name]
    page.delete(page.state.id_a)  # while the dialog is open
    out.write("map_png", tmp_path / "late.png")
    assert "nothing to save" in notices(page) and not (tmp_path / "late.png").exists()


def test_a_generation_is_captured_once_and_its_token_is_chosen(page: Any, window: Any, qtbot: Any, monkeypatch: Any) -> None:
    inside = window.session.inside
    calls: list[str] = []

    def capture_generation(generation_id: str, request: Any, on_progress: Any) -> Any:
        from playground.session.inside import CaptureRequest

        calls.append(generation_id)
        return inside.capture(CaptureRequest("a b c d e"), on_progress)

    monkeypatch.setattr(inside, "capture_generation", capture_generation, raising=False)
    window.open("inside", generation_id="g1", token=-2)
    qtbot.waitUntil(lambda: page.state.token == 4)
    made = page.state.id_a
    choose(find(page, "inside.captures", ElidedBox), next(each.id for each in inside.list() if each.id != made))
    qtbot.waitUntil(lambda: page.state.id_a != made)
    window.open("inside", generation_id="g1", token=1)
    qtbot.waitUntil(lambda: page.state.id_a == made and page.state.token == 1)
    assert calls == ["g1"]


def test_what_was_asked_for_is_waited_for_and_nothing_else_is_seen_meanwhile(window: Any, qtbot: Any, monkeypatch: Any) -> None:
    from playground.session.inside import CaptureRequest

    inside = window.session.inside
    old = inside.made(["old"])
    monkeypatch.setattr(
        inside, "capture_generation", lambda _id, _request, tell: inside.capture(CaptureRequest("a b c"), tell), raising=False
    )
    inside.hold()
    window.open("inside", generation_id="g1", token=2, tab="text")
    page = window.pages["inside"]
    qtbot.waitUntil(lambda: page._listed)
    assert page.state.a is None and not page.state.asks("open a") and "Capturing" in page.says.title.text()
    inside.let_go()
    qtbot.waitUntil(lambda: page.state.token == 2)
    newer = page.state.id_a
    assert newer != old.id and find(page, "inside.text_view").isVisible()
    inside.hold()
    window.open("inside", generation_id="g2", tab="text")
    qtbot.waitUntil(page.says.isVisible)
    find(page, "inside.way_out", QPushButton).click()
    qtbot.waitUntil(find(page, "inside.text_view").isVisible)
    assert page.state.id_a == newer


def folders_read(monkeypatch: Any) -> list[Path]:
    """The folders that are asked of which kind they are, from now on."""
    read: list[Path] = []
    monkeypatch.setattr(reading_models, "is_encoder", lambda path: bool(read.append(path)))
    return read


def test_a_model_that_reads_may_be_given_a_second_text(
    page: Any, window: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    page.new_capture("one two three")
    second = find(page, "inside.new_second")
    assert not second.isVisible() and find(page, "inside.new_template").isVisible()
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    page.new.set_model(str(tmp_path / "t5"))
    assert second.isVisible() and not find(page, "inside.new_template").isVisible()
    read = folders_read(monkeypatch)
    second.setText("four five")
    find(page, "inside.new_text").setPlainText("one two three")
    assert not read, "a folder is read when it is chosen, not with every letter"
    qtbot.mouseClick(find(page, "inside.capture", QPushButton), Qt.MouseButton.LeftButton)
    asked = window.session.inside.asked[-1]
    assert (asked.text, asked.target_text, asked.model) == ("one two three", "four five", str(tmp_path / "t5"))


def test_cross_attention_has_the_tokens_of_one_text_as_rows_and_of_another_as_columns(
    page: Any, window: Any, qtbot: Any
) -> None:
    columns = attention_made.tokens([f"c{each}" for each in range(31)])
    made = window.session.inside.made(["eins", "zwei", "drei"], part="cross", causal=False, columns=columns, model_path="/m")
    page.refresh()
    qtbot.waitUntil(lambda: made.id in page._entries)
    page.show_capture(made.id)
    qtbot.waitUntil(lambda: page.state.id_a == made.id)
    frame = page.map.map.frame()
    assert (frame.rows, frame.columns) == (4, 31)
    assert f"·zwei (2) → c29 (29)  {page.state.a.map(0, 0)[2, 29]:.4f}" in point_at(page, 2, 29)
    assert not page.map.notes()
    qtbot.mouseClick(page.grid.viewport(), Qt.MouseButton.LeftButton, pos=page.grid.rect_of(2, 1).center())
    assert f"{page.state.a.map(2, 1)[3, 8]:.4f}" in point_at(page, 3, 8)
    for tab in ("text", "embeddings"):
        page.show_tab(tab)
    page.state.set_token(29, "to")  # the source is longer than the target
    page.show_capture(made.id)
    qtbot.waitUntil(lambda: not page.state.asks("open a"))
    assert page.state.token == 29 and find(page, "inside.embeddings_words").text() == "c29"
    page.state.set_look("rollout")
    qtbot.waitUntil(lambda: "cross attention goes from one text to another" in notices(page))
    page.state.set_look("layer")
    qtbot.waitUntil(lambda: page.map.ready)


def test_the_parts_of_a_model_that_reads_and_writes_are_a_choice(page: Any, window: Any, qtbot: Any) -> None:
    inside = window.session.inside
    columns = attention_made.tokens(["one", "two", "three"])
    for part, more in (
        ("encoder", {"causal": False, "maps": attention_made.random_maps(3, width=3)}),
        ("decoder", {}),
        ("cross", {"causal": False, "columns": columns}),
    ):
        made = inside.made(["a", "b"], part=part, **more)
        made.path.rename(inside.folder / f"pair-{part}.attention")
    page.refresh()
    qtbot.waitUntil(lambda: "pair-cross" in page._entries)
    box = find(page, "inside.parts", QComboBox)
    assert not box.isVisible()
    page.show_capture("pair-cross")
    qtbot.waitUntil(box.isVisible)
    for part in ("decoder", "encoder", "cross"):
        choose(box, part)
        qtbot.waitUntil(lambda it=part: page.state.id_a == f"pair-{it}")
        assert box.currentData() == part == page.state.header.part
