"""Settings become rows, and rows become settings again."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget

from playground.gui.form import Form
from playground.gui.widgets.number_box import NumberBox
from playground.gui.widgets.value_slider import ValueSlider
from playground.params import ContextSettings, SamplingSettings, settings_of


@pytest.fixture
def form(dressed, qtbot) -> Form:
    made = Form(SamplingSettings(), "sampling")
    qtbot.addWidget(made)
    made.show()
    return made


def test_every_number_has_a_row_that_explains_itself(form) -> None:
    for setting in settings_of(SamplingSettings):
        if setting.kind is tuple:
            continue
        control = form.findChild(QWidget, f"sampling.{setting.name}")
        assert control is not None, setting.name
        assert control.toolTip().startswith(setting.help)
        assert control.accessibleName() == setting.label
        assert control.value() == setting.default


def test_slider_box_and_settings_agree(form, qtbot) -> None:
    slider = form.findChild(ValueSlider, "sampling.temperature")
    box = form.findChild(NumberBox, "sampling.temperature.value")
    with qtbot.waitSignal(form.changed) as told:
        slider.setValue(0.25)
    assert told.args[0] == SamplingSettings(temperature=0.25)
    assert box.value() == 0.25
    box.setValue(1.5)
    assert slider.value() == 1.5
    assert form.value().temperature == 1.5


def test_what_comes_from_elsewhere_is_shown_and_not_told(form, qtbot) -> None:
    with qtbot.assertNotEmitted(form.changed):
        form.set_value(SamplingSettings(temperature=1.23, top_k=7, seed=9))
    assert form.findChild(ValueSlider, "sampling.temperature").value() == 1.23
    assert form.findChild(NumberBox, "sampling.seed").value() == 9


def test_reset_is_there_only_when_there_is_something_to_reset(form, qtbot) -> None:
    reset = form.findChild(QWidget, "sampling.top_k.reset")
    assert reset.isHidden()
    form.findChild(ValueSlider, "sampling.top_k").setValue(5)
    assert not reset.isHidden()
    reset.click()
    assert form.value().top_k == 40
    assert reset.isHidden()


def test_off_is_a_word_that_can_be_typed_over(form, qtbot) -> None:
    box = form.findChild(NumberBox, "sampling.top_k.value")
    box.setValue(0)
    assert box.text() == "off"
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    box.selectAll()
    qtbot.keyClicks(box, "12")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert form.value().top_k == 12
    seed = form.findChild(NumberBox, "sampling.seed")
    assert seed.text() == "random"
    seed.setValue(4294967294)
    assert form.value().seed == 4294967294


def test_what_was_typed_too_large_goes_to_the_end(form, qtbot) -> None:
    box = form.findChild(NumberBox, "sampling.temperature.value")
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "9")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert form.value().temperature == 2.0


def test_a_combination_that_cannot_work_is_refused_in_words(dressed, qtbot) -> None:
    form = Form(ContextSettings(), "load", sliders=False)
    qtbot.addWidget(form)
    told: list[str] = []
    form.problem.connect(told.append)
    form.findChild(NumberBox, "load.ubatch").setValue(4096)
    assert "ubatch" in told[-1]
    assert form.value() == ContextSettings()
    assert form.findChild(NumberBox, "load.ubatch").value() == 512
    form.findChild(QComboBox, "load.kv_type_k").setCurrentText("q8_0")
    assert form.value().kv_type_k == "q8_0"
