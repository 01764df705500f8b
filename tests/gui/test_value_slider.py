"""A slider that speaks the setting's own unit, by program, by key and by mouse."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QSlider

from playground.gui.widgets.value_slider import Travel, ValueSlider

TEMPERATURE = Travel(0.0, 2.0, 0.01)
TOP_K = Travel(0, 1000, 1, log=True)
LENGTH = Travel(1, 32768, 1, log=True, ends_in_zero=True)


@pytest.fixture
def slider(dressed, qtbot) -> ValueSlider:
    made = ValueSlider(TEMPERATURE, default=0.8, off=1.0)
    qtbot.addWidget(made)
    made.resize(260, 20)
    made.show()
    return made


def test_a_value_is_a_value(slider, qtbot) -> None:
    assert isinstance(slider, QSlider)
    with qtbot.waitSignal(slider.valueChanged) as told:
        slider.setValue(0.2)
    assert told.args == [0.2]
    assert slider.value() == 0.2
    slider.setValue(7)
    assert slider.value() == 2.0
    slider.setValue(0.123456)
    assert slider.value() == 0.12


def test_keys(slider, qtbot) -> None:
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert slider.value() == 0.81
    qtbot.keyClick(slider, Qt.Key.Key_PageDown)
    assert slider.value() == 0.71
    qtbot.keyClick(slider, Qt.Key.Key_Home)
    assert slider.value() == 0.0
    qtbot.keyClick(slider, Qt.Key.Key_End)
    assert slider.value() == 2.0
    with qtbot.waitSignal(slider.reset_wanted):
        qtbot.keyClick(slider, Qt.Key.Key_Delete)


def test_the_mouse_lands_where_it_points_and_is_caught_at_off(slider, qtbot) -> None:
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(258, 10))
    assert slider.value() == 2.0
    place = round(slider._x(1.0)) + 2
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(place, 10))
    assert slider.value() == 1.0
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, QPoint(place, 10))
    assert slider.value() != 1.0
    with qtbot.waitSignal(slider.moved):
        qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(20, 10))


@pytest.mark.parametrize("travel", [TEMPERATURE, TOP_K, LENGTH])
def test_every_value_can_be_shown_and_found_again(travel: Travel) -> None:
    for place in range(101):
        value = travel.value(place / 100)
        assert travel.clean(value) == value
        assert travel.value(travel.part(value)) == pytest.approx(value, rel=0.02, abs=travel.step)


def test_a_logarithmic_slider_takes_small_steps_below_and_large_ones_above() -> None:
    assert TOP_K.moved(0, 1) == 1
    assert TOP_K.moved(40, 1) == 41
    assert TOP_K.moved(500, 1) == 510
    assert TOP_K.value(0.5) < 60


def test_no_limit_lies_at_the_right_end() -> None:
    assert LENGTH.value(1.0) == 0
    assert LENGTH.part(0) == 1.0
    assert LENGTH.moved(32768, 1) == 0
    assert LENGTH.moved(0, -1) == 32768
    assert LENGTH.moved(1, -1) == 1
