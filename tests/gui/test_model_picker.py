"""The model picker: five states, models at hand, load settings."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QAbstractButton, QComboBox, QListWidget, QWidget

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
    # The window has heard of the model, and before that of the database: hearing of it with no model loaded, it would load one.
    qtbot.waitUntil(lambda: ("set_pace", 40.0) in session.calls)
    picker.open()
    picker._menu.findChild(QAbstractButton, "models.unload").click()
    assert ("unload",) in session.calls
    qtbot.waitUntil(lambda: session.model.state == "none")


def test_a_folder_says_what_it_waits_for_and_in_which_precision_it_runs(picker, session) -> None:
    picker.handle(events.ModelState("loading", "/models/one", "one", 0.02))
    assert picker.texts() == ("one", "Starting transformers…")
    picker.handle(events.ModelState("loading", "/models/one", "one", 0.55))
    assert picker.texts() == ("one", "Loading 55%")
    info = dataclasses.replace(session.model.info, path="/models/one", engine="transformers", quantization="NF4")
    picker.handle(events.ModelState("ready", "/models/one", "one", 1.0, info))
    assert picker.texts() == ("one", "transformers  ·  NF4  ·  CPU")


def test_a_folder_is_loaded_with_its_own_settings(picker, session, window, qtbot, tmp_path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    window.load_model(str(folder))
    qtbot.waitUntil(lambda: picker.texts()[1] == "transformers  ·  BF16  ·  CPU")
    picker.open()
    menu = picker._menu
    menu.findChild(QAbstractButton, "models.settings").click()
    assert menu.findChild(QWidget, "load.gpu_layers") is None
    menu.findChild(QComboBox, "load.precision").setCurrentText("nf4")
    menu.findChild(QAbstractButton, "models.load").click()
    qtbot.waitUntil(lambda: picker.texts()[1] == "transformers  ·  NF4  ·  CPU")
    picker.open()
    view = picker._menu.findChild(QListWidget, "models.recent")
    assert "one" in [view.item(place).text() for place in range(view.count())]


def test_an_adapter_is_put_on_by_the_card_and_taken_off(picker, session, window, qtbot, home, monkeypatch) -> None:
    folder = home.adapters / "pirate"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    monkeypatch.setattr("playground.models.library.scan", lambda home: SimpleNamespace(rows=()))
    picker.open()
    box = picker._menu.findChild(QComboBox, "models.adapter")
    qtbot.waitUntil(lambda: box.findText("pirate") > 0)
    box.activated.emit(box.findText("pirate"))
    qtbot.waitUntil(lambda: picker.texts() == ("starter + pirate", "llama.cpp  ·  CPU"))
    assert [call[3] for call in session.calls if call[0] == "load"] == [str(folder)]
    qtbot.waitUntil(lambda: window.findChild(QWidget, "sampling.adapter_scale").isVisibleTo(window.pages["chat"]))
    picker.open()
    box = picker._menu.findChild(QComboBox, "models.adapter")
    assert box.currentText() == "pirate"
    box.activated.emit(0)
    qtbot.waitUntil(lambda: picker.texts() == ("starter", "llama.cpp  ·  CPU"))
    qtbot.waitUntil(lambda: not window.findChild(QWidget, "sampling.adapter_scale").isVisibleTo(window.pages["chat"]))


@pytest.mark.parametrize(
    ("files", "dropped", "taken"),
    [
        (("config.json", "model.safetensors"), "", "load"),
        (("config.json", "model.safetensors"), "model.safetensors", "load"),
        (("adapter_config.json", "adapter_model.safetensors"), "", "adapter"),
        (("notes.txt",), "", "nothing"),
    ],
    ids=["a model folder", "a file of it", "an adapter", "another folder"],
)
def test_folders_can_be_dropped(window, session, qtbot, tmp_path, files, dropped, taken) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder / dropped) if dropped else str(folder))])
    before = len(session.calls)
    none = Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPoint(200, 200), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, none))
    loads = [(call[1], *call[3:]) for call in session.calls[before:] if call[0] == "load"]
    assert loads == {"load": [(str(folder),)], "adapter": [("starter", str(folder))], "nothing": []}[taken]
