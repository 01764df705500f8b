"""The sampling panel: settings, presets, pace, and the odds of the latest token."""

from __future__ import annotations

import dataclasses

import pytest
from fake_session import MODEL, token
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QListWidget, QToolButton, QWidget

from playground import events
from playground.gui.widgets.next_token import ROWS, NextToken, readable
from playground.gui.widgets.preset_picker import NamePopup
from playground.gui.widgets.sampling_panel import SamplingPanel
from playground.params import PRESETS, STAGES, SamplingSettings


@pytest.fixture
def panel(dressed, qtbot, preferences) -> SamplingPanel:
    made = SamplingPanel(preferences)
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_slider_changes_one_setting_and_leaves_the_rest(panel, qtbot) -> None:
    panel.set_settings(SamplingSettings(stop=("END",), seed=3))
    with qtbot.waitSignal(panel.changed) as told:
        panel.findChild(QWidget, "sampling.top_p").setValue(0.5)
    assert told.args[0] == SamplingSettings(stop=("END",), seed=3, top_p=0.5)


def test_nothing_is_told_of_what_came_from_elsewhere(panel, qtbot) -> None:
    panel.show_more(True)
    with qtbot.assertNotEmitted(panel.changed):
        panel.set_settings(SamplingSettings(temperature=0.1, max_tokens=12, stop=("a", "b"), stages=tuple(reversed(STAGES))))
    assert panel.findChild(QWidget, "sampling.max_tokens").value() == 12


def test_pace_is_full_speed_at_the_right_end(panel, qtbot) -> None:
    slider = panel.findChild(QWidget, "sampling.pace")
    assert slider.value() == 0
    with qtbot.waitSignal(panel.pace_changed) as told:
        slider.setValue(5)
    assert told.args == [5.0]
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_End)
    assert panel.pace() == 0


def test_presets(panel, qtbot, preferences) -> None:
    picker = panel.presets
    assert picker.text() == "Balanced"
    panel.set_settings(SamplingSettings(seed=7, max_tokens=99))
    actions = {each.text().split("\t")[0]: each for each in picker.menu_of().actions() if each.text()}
    actions["Precise"].trigger()
    assert panel.settings().temperature == PRESETS["Precise"].temperature
    assert (panel.settings().seed, panel.settings().max_tokens) == (7, 99), "a preset is a manner, not a length or a seed"
    assert picker.text() == "Precise"
    panel.findChild(QWidget, "sampling.temperature").setValue(0.33)
    assert picker.text() == "Custom"
    picker.save("Mine")
    assert picker.text() == "Mine"
    picker.rename_to("Mine", "Yours")
    assert list(preferences.presets()) == ["Yours"]
    picker.delete()
    assert not preferences.presets()
    assert picker.text() == "Custom"
    panel.reset.click()
    assert panel.settings() == SamplingSettings()


def test_a_shipped_name_is_not_taken(panel, qtbot) -> None:
    panel.presets.save_as()
    popup = panel.presets.findChild(NamePopup)
    popup.field.setText("precise")
    assert not popup.save.isEnabled()
    popup.field.setText("Poems")
    assert popup.save.isEnabled()
    popup.save.click()
    assert "Poems" in panel.presets._preferences.presets()


def test_stop_strings_and_stages(panel, qtbot) -> None:
    panel.show_more(True)
    field = panel.findChild(QLineEdit, "sampling.stop")
    field.setText("\\n\\n")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.settings().stop == ("\n\n",)
    qtbot.keyClick(field, Qt.Key.Key_Backspace)
    assert panel.settings().stop == ()
    stages = panel.findChild(QListWidget, "sampling.stages")
    stages.setCurrentRow(0)
    qtbot.keyClick(stages, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert panel.settings().stages == ("top_k", "penalties", "top_p", "min_p", "temperature")


def test_the_rest_of_the_rows_comes_by_itself(panel, qtbot) -> None:
    qtbot.waitUntil(lambda: panel.findChild(QWidget, "sampling.frequency_penalty") is not None)
    assert not panel.findChild(QWidget, "sampling.frequency_penalty").isVisible()
    panel.findChild(QToolButton, "sampling.more").click()
    assert panel.findChild(QWidget, "sampling.frequency_penalty").isVisible()


def test_the_latest_token_is_shown_with_its_odds(panel, qtbot) -> None:
    bars = panel.findChild(NextToken, "sampling.next_token")
    first, second = token(" fox", 1, SamplingSettings()), token(" owl", 2, SamplingSettings())
    panel.handle(events.GenerationTokens("g", "m", 0, 0, (first, second), 30))
    qtbot.waitUntil(lambda: len(bars.bars()) == ROWS)
    shown = bars.bars()
    assert " owl" in [text for text, _, _ in shown]
    assert [now for _, now, _ in shown] == sorted((now for _, now, _ in shown), reverse=True)
    assert not bars.grab().isNull()
    panel.show_token(None)
    qtbot.waitUntil(lambda: not bars.bars())
    assert not bars.grab().isNull()


def test_the_adapter_has_a_slider_while_one_is_on(panel, qtbot) -> None:
    slider = panel.findChild(QWidget, "sampling.adapter_scale")
    assert not slider.isVisible()
    bare = MODEL
    panel.show_model(events.ModelState("ready", bare.path, bare.name, 1.0, dataclasses.replace(bare, adapter="/adapters/a")))
    assert slider.isVisible()
    with qtbot.waitSignal(panel.changed) as told:
        slider.setValue(0.5)
    assert told.args[0] == SamplingSettings(adapter_scale=0.5)
    assert panel.presets.text() == "Balanced", "how much of an adapter is no part of a manner"
    panel.show_model(events.ModelState("loading", "/models/other.gguf"))
    assert slider.isVisible()
    panel.show_model(events.ModelState("ready", bare.path, bare.name, 1.0, bare))
    assert not slider.isVisible()


def test_white_space_can_be_read() -> None:
    assert readable(" fox") == "·fox"
    assert readable("\n") == "⏎"
    assert readable("") == "∅"
