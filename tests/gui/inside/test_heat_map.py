"""The heat map by itself: nothing bright is lost, zooming and panning stay where they should, what cannot be seen looks like no weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFont, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication

from playground.gui.widgets import heat_figure, heat_paint
from playground.gui.widgets.heat_map import HeatMap
from playground.inside import colours, pooling

BRIGHT = tuple(int(each) for each in colours.sequential("cividis")[255])
DARK = tuple(int(each) for each in colours.sequential("cividis")[0])


@pytest.fixture
def heat(dressed: Any, qtbot: Any) -> HeatMap:
    made = HeatMap()
    qtbot.addWidget(made)
    made.resize(640, 560)
    made.set_table(colours.sequential("cividis"))
    made.show()
    return made


def show(heat: HeatMap, codes: np.ndarray, causal: bool = False) -> None:
    heat.set_names([f"r{each}" for each in range(len(codes))], [f"c{each}" for each in range(codes.shape[1])], causal)
    heat.set_levels(pooling.pyramid(codes))


def pixels(image: QImage) -> np.ndarray:
    """[height, width, 3]"""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return raw[:, : image.width(), 2::-1].copy()


def visible(heat: HeatMap, row: int, column: int, painted: np.ndarray) -> bool:
    """Whether a pixel where this cell is has the brightest colour."""
    frame = heat.frame()
    rect = frame.rect(row, column)
    top, left = int(rect.top()), int(rect.left())
    part = painted[max(0, top - 1) : int(rect.bottom()) + 2, max(0, left - 1) : int(rect.right()) + 2]
    return bool((part == BRIGHT).all(axis=2).any())


@pytest.mark.parametrize(("length", "size"), [(2048, (1200, 800)), (1000, (517, 493)), (700, (640, 560)), (90, (640, 560))])
@pytest.mark.parametrize("causal", [False, True])
def test_isolated_bright_cells_are_seen_when_all_of_the_map_is(
    heat: HeatMap, length: int, size: tuple[int, int], causal: bool
) -> None:
    rng = np.random.default_rng(length)
    codes = np.zeros((length, length), np.uint8)
    where = [(int(a), int(b)) for a, b in rng.integers(0, length, (1000, 2))]
    where = [(max(each), min(each)) if causal else each for each in where]
    for each in where:
        codes[each] = 255
    heat.resize(*size)
    show(heat, codes, causal)
    painted = pixels(heat.image())
    seen = sum(visible(heat, *each, painted) for each in where)
    assert seen >= 990
    assert (heat.factor == 1) == (heat.frame().cell >= 1)


def test_bright_cells_of_a_head_that_looks_at_the_token_before_are_not_under_the_mask(heat: HeatMap) -> None:
    codes = np.zeros((1500, 1500), np.uint8)
    codes[np.arange(1, 1500), np.arange(1499)] = 255
    show(heat, codes, causal=True)
    painted = pixels(heat.image())
    assert sum(visible(heat, row, row - 1, painted) for row in range(1, 1500)) >= 1485


def test_what_cannot_be_seen_is_no_weight_and_no_zero(heat: HeatMap) -> None:
    show(heat, np.zeros((40, 40), np.uint8), causal=True)
    painted, frame = pixels(heat.image()), heat.frame()

    def colours_of(row: int, column: int) -> set[tuple[int, ...]]:
        rect = frame.rect(row, column)
        part = painted[int(rect.top()) + 1 : int(rect.bottom()), int(rect.left()) + 1 : int(rect.right())]
        return {tuple(int(each) for each in pixel) for pixel in part.reshape(-1, 3)}

    table = {tuple(int(each) for each in one) for name in colours.SEQUENTIAL for one in colours.sequential(name)}
    for row in range(40):
        assert colours_of(row, row) == {DARK}
        if row < 39:
            assert not colours_of(row, row + 1) & table
    assert len(colours_of(10, 30)) > 1, "hatched"
    heat.set_hidden_sink(True)
    painted = pixels(heat.image())
    assert not colours_of(20, 0) & table
    assert colours_of(20, 1) == {DARK}


def wheel(heat: HeatMap, position: QPointF, turns: int) -> None:
    event = QWheelEvent(
        position,
        heat.mapToGlobal(position),
        QPoint(),
        QPoint(0, 120 * turns),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(heat, event)


def test_the_wheel_zooms_where_the_pointer_is(heat: HeatMap) -> None:
    heat.resize(600, 600)
    show(heat, np.zeros((300, 300), np.uint8))
    spot = heat.frame().rect(200, 120).center()
    for turns in (1, 2, 3, -2):
        wheel(heat, spot, turns)
        assert heat.frame().cell_at(spot.x(), spot.y()) == (200, 120)
    assert heat.frame().cell > 3
    wheel(heat, spot, -30)
    assert heat.frame().cell * 300 <= heat.frame().area.height() + 1, "no smaller than all of it"


def test_dragging_pans_and_a_click_chooses_a_row(heat: HeatMap, qtbot: Any) -> None:
    show(heat, np.zeros((300, 300), np.uint8))
    heat.zoom(8, heat.frame().rect(150, 150).center())
    picked: list[tuple[int, int]] = []
    heat.picked.connect(lambda row, column: picked.append((row, column)))
    middle = heat.frame().area.center().toPoint()
    before = heat.frame().cell_at(middle.x(), middle.y())
    qtbot.mousePress(heat, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(heat, middle + QPoint(60, 40))
    qtbot.mouseRelease(heat, Qt.MouseButton.LeftButton, pos=middle + QPoint(60, 40))
    assert not picked
    there = heat.frame().cell_at(middle.x() + 60, middle.y() + 40)
    assert there == before
    qtbot.mouseClick(heat, Qt.MouseButton.LeftButton, pos=middle + QPoint(60, 40))
    assert picked == [before]
    qtbot.mouseDClick(heat, Qt.MouseButton.LeftButton, pos=middle)
    assert heat.frame().rect(299, 299).bottom() <= heat.frame().area.bottom() + 1


def test_keys_move_a_cell_zoom_and_choose(heat: HeatMap, qtbot: Any) -> None:
    show(heat, np.zeros((100, 80), np.uint8))
    pointed: list[Any] = []
    picked: list[tuple[int, int]] = []
    heat.pointed.connect(pointed.append)
    heat.picked.connect(lambda row, column: picked.append((row, column)))
    for key in (Qt.Key.Key_Down, Qt.Key.Key_PageDown, Qt.Key.Key_Right, Qt.Key.Key_Up):
        qtbot.keyClick(heat, key)
    assert pointed == [(1, 0), (11, 0), (11, 1), (10, 1)]
    for _ in range(12):
        qtbot.keyClick(heat, Qt.Key.Key_Plus)
    qtbot.keyClick(heat, Qt.Key.Key_End)
    assert heat.cursor_cell == (10, 79)
    assert heat.frame().area.contains(heat.frame().rect(10, 79)), "it is brought into sight"
    qtbot.keyClick(heat, Qt.Key.Key_Return)
    assert picked == [(10, 79)]
    qtbot.keyClick(heat, Qt.Key.Key_0)
    assert heat.frame().rect(99, 79).bottom() <= heat.frame().area.bottom() + 1


@pytest.mark.parametrize("cell", [0.2, 0.7, 3.0, 9.0, 20.0, 64.0])
def test_tokens_are_named_as_often_as_there_is_room(cell: float) -> None:
    step = heat_paint.label_step(cell, 15.0)
    assert step * cell >= 15.0
    smaller = [each for each in (1, 2, 5, 10, 20, 50, 100, 200) if each < step]
    assert not smaller or smaller[-1] * cell < 15.0


def test_another_text_shows_all_of_it_and_another_head_stays_where_one_was(heat: HeatMap) -> None:
    show(heat, np.zeros((300, 300), np.uint8))
    heat.zoom(6)
    frame = heat.frame()
    show(heat, np.ones((300, 300), np.uint8))
    assert heat.frame() == frame
    show(heat, np.ones((90, 120), np.uint8))
    assert heat.frame().shown == heat.frame().rect(0, 0, 90, 120)


@pytest.mark.parametrize("text", ["\r\n", "a\u2028b", "\x00", "\u202etxt", "", " ", "\t", "\x85", "<b>bold</b>", "\u2067x"])
def test_any_token_is_one_line_that_leaves_its_neighbours_alone(text: str) -> None:
    name = heat_paint.token_name(text)
    assert name and name.isprintable() and len(name.splitlines()) == 1


def test_a_figure_spells_a_token_as_it_is(dressed: Any) -> None:
    assert heat_figure._font().featureValue(QFont.Tag("calt")) == 0, "<| and |> are no triangles"
