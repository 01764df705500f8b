"""The model picker: five states, models at hand, load settings."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QListWidget, QWidget

from playground import events
from playground.gui.widgets.model_picker import ModelPicker


@pytest.fixture
def picker(window) -> ModelPicker:
    return window.findChild(ModelPicker, "models.picker")


@pytest.mark.parametrize(
    ("state", "texts"),
    [
        (events.ModelState("none"), ("Choose a model", "")),
        (events.ModelState("loading", "/a.gguf", "a", 0.42), ("a", "Loading 42%")),
        (events.ModelState("failed", "/a.gguf", "a", message="a.gguf is damaged."), ("a", "Could not be loaded")),
        (events.ModelState("lost", "/a.gguf", "a", message="The engine died."), ("a", "Stopped")),
    ],
)
def test_states(picker, state, texts) -> None:
    picker.handle(state)
    assert picker.texts() == texts
    assert not picker.grab().isNull()
    assert texts[0] in picker.accessibleDescription()


def test_ready_says_engine_and_device(picker, session) -> None:
    picker.handle(session.model)
    assert picker.texts() == ("starter", "llama.cpp  ·  CPU")


def test_a_recent_model_is_loaded_by_key(picker, session, window, qtbot, tmp_path) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    window.preferences.remember_model(str(model))
    picker.open()
    view = picker._menu.findChild(QListWidget, "models.recent")
    assert [view.item(row).text() for row in range(view.count())] == ["Starter", "tiny"]
    qtbot.keyClick(view, Qt.Key.Key_Down)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.model.name == "tiny" and session.model.state == "ready")
    qtbot.waitUntil(lambda: picker.texts()[0] == "tiny")


def test_load_settings_belong_to_the_model(picker, session, window, qtbot) -> None:
    picker.open()
    menu = picker._menu
    menu.findChild(QAbstractButton, "models.settings").click()
    menu.findChild(QWidget, "load.context").setValue(1024)
    menu.findChild(QAbstractButton, "models.load").click()
    qtbot.waitUntil(lambda: any(call[0] == "load" and call[2] and call[2].context == 1024 for call in session.calls))
    assert window.preferences.context_for("starter").context == 1024
    assert window.preferences.context.context == 0


def test_a_failed_model_says_why_and_offers_another_try(picker, session, qtbot) -> None:
    picker.handle(events.ModelState("lost", "starter", "starter", message="The engine died.", hint="Load it again."))
    picker.open()
    menu = picker._menu
    again = menu.findChild(QAbstractButton, "models.reload")
    assert again.isVisible()
    again.click()
    qtbot.waitUntil(lambda: any(call[0] == "load" for call in session.calls))


def test_unload(picker, session, qtbot) -> None:
    picker.handle(session.model)
    picker.open()
    picker._menu.findChild(QAbstractButton, "models.unload").click()
    qtbot.waitUntil(lambda: session.model.state == "none")
