"""The window as a whole: pages, keys, notices, jobs, drops; every control reachable; nothing heavy imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollBar,
    QToolButton,
    QWidget,
)

from playground import events
from playground.gui import actions, theme
from playground.gui.page_table import PAGES, Entry, in_rail
from playground.gui.preferences import Preferences
from playground.gui.window import Window
from playground.params import SamplingSettings


def press(window, name: str) -> None:
    window.findChild(QAction, f"action.{name}").trigger()


def test_pages_are_made_when_they_are_first_opened(window, qtbot) -> None:
    assert list(window.pages) == ["chat"]
    press(window, "page.log")
    assert window.stack.currentWidget().objectName() == "page.log"
    window.findChild(QToolButton, "rail.settings").click()
    assert window.stack.currentWidget().objectName() == "page.settings"
    assert set(window.pages) == {"chat", "log", "settings"}
    assert window.findChild(QToolButton, "rail.settings").isChecked()
    assert not window.findChild(QToolButton, "rail.chat").isChecked()


def test_a_page_is_one_entry_in_the_table(dressed, qtbot, home, session, monkeypatch) -> None:
    """With it come the button in the rail, the key, the line in the menu; the page itself when it is opened."""
    made = []

    class Garden(QWidget):
        def __init__(self, desk, parent) -> None:
            super().__init__(parent)
            made.append(desk)

        def actions(self):
            return (actions.Action("garden.dig", "Dig", "Ctrl+Shift+G", "garden", "dig", "Train", "Digs"),)

        def dig(self) -> None:
            made.append("dug")

    monkeypatch.setattr(sys.modules[__name__], "Garden", Garden, raising=False)
    first, *others = PAGES
    window = Window(home, Preferences(home.settings), (first, Entry("garden", "Garden", "sun", f"{__name__}:Garden"), *others))
    qtbot.addWidget(window)
    window.furnish()
    window.attach(session)
    assert window.findChild(QToolButton, "rail.garden").toolTip() == "Garden (Ctrl+2)"
    assert window.findChild(QToolButton, "rail.chat").toolTip() == "Chat (Ctrl+3)"
    assert not made
    key = window.findChild(QAction, "action.page.garden")
    assert key.shortcut().toString() == "Ctrl+2"
    key.trigger()
    assert made[0].session is session
    assert window.stack.currentWidget().objectName() == "page.garden"
    press(window, "garden.dig")
    assert made[1:] == ["dug"]
    assert "&Train" in [menu.title() for menu in window.menus.menus()]
    window.close()


def test_the_table_of_actions_is_whole(window) -> None:
    window.open("compare")
    records = (
        *actions.TABLE,
        *actions.page_actions((entry.id, entry.title, key) for entry, key in in_rail(PAGES) if not entry.foot),
    )
    keys = [key for record in records for key in (record.key, *record.more_keys) if key]
    assert len(keys) == len(set(keys)), "two actions on one key"
    assert len({record.id for record in records}) == len(records)
    for record in actions.TABLE:
        if record.slot:
            target = window if record.where == "window" else window.pages[record.where]
            assert callable(getattr(target, record.slot.partition(":")[0])), record.id
    wanted = {"Ctrl+N", "Return", "Shift+Return", "Escape", "Ctrl+R", "Ctrl+K", "Ctrl+,", "Ctrl+1", "Ctrl+2", "Ctrl+/"}
    assert wanted <= set(keys)


def test_a_pages_keys_sleep_while_another_page_is_open(window) -> None:
    assert window.findChild(QAction, "action.chat.new").isEnabled()
    window.open("log")
    assert not window.findChild(QAction, "action.chat.new").isEnabled()
    assert window.findChild(QAction, "action.view.settings").isEnabled()


def test_menus_and_list_of_keys(window, qtbot) -> None:
    assert [menu.title() for menu in window.menus.menus()] == ["&Chat", "&Compare", "&Model", "&View", "&Help"]
    window.show_menu()
    press(window, "help.keys")
    overlay = window.findChild(QWidget, "keys")
    assert overlay.isVisible()
    shown = [label.text() for label in overlay.findChildren(QLabel)]
    assert "Ctrl+K" in shown
    assert "Enter" in shown
    qtbot.keyClick(overlay, Qt.Key.Key_Escape)
    assert not overlay.isVisible()


def test_a_model_is_loaded_at_the_start_and_its_progress_shown(dressed, qtbot, home) -> None:
    from fake_session import FakeSession

    from playground.gui.app import make_window

    session = FakeSession(home, model=None, load_s=0)
    session.hold()
    window = make_window(session, home)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.jobs.jobs() == ("model",))
    cancel = window.findChild(QToolButton, "jobs.model.cancel")
    assert "Loading starter" in cancel.accessibleName()
    session.go_on()
    qtbot.waitUntil(lambda: not window.jobs.jobs())
    assert "starter" in window.findChild(QLabel, "jobs.summary").text()
    assert any(call[:2] == ("load", "starter") for call in session.calls)
    window.close()


def test_loading_can_be_cancelled(window, session, qtbot) -> None:
    session.hold()
    window.load_model("starter")
    qtbot.waitUntil(lambda: window.jobs.jobs() == ("model",))
    window.findChild(QToolButton, "jobs.model.cancel").click()
    qtbot.waitUntil(lambda: session.model.state == "none")
    qtbot.waitUntil(lambda: not window.jobs.jobs())


def test_a_file_that_is_no_model_is_told_in_one_sentence(window, qtbot, tmp_path) -> None:
    bad = tmp_path / "poem.gguf"
    bad.write_text("roses are red")
    window.load_model(bad)
    qtbot.waitUntil(lambda: window.notices() == ("poem.gguf is not a GGUF file.",))
    window.findChild(QWidget, "notice.close").click()
    assert window.notices() == ()


def test_a_lost_worker_is_told_and_can_be_started_again(window, session, qtbot) -> None:
    session.kill_worker()
    qtbot.waitUntil(lambda: bool(window.notices()))
    assert "ended by the system" in window.notices()[0]
    assert len(window.notices()) == 1
    window.findChild(QAbstractButton, "notice.action").click()
    qtbot.waitUntil(lambda: session.model.state == "ready")
    qtbot.waitUntil(lambda: window.notices() == ())


def test_a_notice_replaces_the_one_of_its_kind(window) -> None:
    window.notify("One.", level="warning", key="a")
    window.notify("Two.", level="warning", key="a")
    window.notify("Other.", level="error", key="b")
    window.notify("Two.", level="warning")
    assert window.notices() == ("Two.", "Other.")
    window.notify("", key="a")
    assert window.notices() == ("Other.",)


def test_a_store_that_cannot_be_written_is_not_forgotten(window, session, qtbot) -> None:
    session.emit(events.StoreReady(writable=False))
    qtbot.waitUntil(lambda: window.findChild(QLabel, "jobs.warning").text() == "Nothing is being saved")


def test_a_dropped_file_is_loaded(window, session, tmp_path, qtbot) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(model))])
    drop = QDropEvent(
        QPoint(200, 200), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(drop)
    qtbot.waitUntil(lambda: session.model.name == "tiny" and session.model.state == "ready")
    qtbot.waitUntil(lambda: window.preferences.get("last_model") == str(model))


def test_a_slider_reaches_the_session(window, session, qtbot) -> None:
    window.findChild(QWidget, "sampling.temperature").setValue(0.2)
    qtbot.waitUntil(lambda: session.sampling.temperature == 0.2)


def test_what_was_set_is_there_again_at_the_next_start(window, session, qtbot, home) -> None:
    from fake_session import FakeSession

    from playground.gui.app import make_window

    window.findChild(QWidget, "sampling.top_k").setValue(7)
    qtbot.waitUntil(lambda: session.sampling.top_k == 7)
    window.preferences.sampling = session.sampling
    window.open("log")
    window.close()
    again = FakeSession(home)
    second = make_window(again, home)
    qtbot.addWidget(second)
    assert again.sampling == SamplingSettings(top_k=7)
    assert second.page == "log"
    second.close()


def test_a_page_that_fails_does_not_take_the_others_with_it(window, session, qtbot, monkeypatch) -> None:
    window.open("log")
    seen = []
    monkeypatch.setattr(window.pages["chat"], "handle", lambda event: 1 / 0)
    monkeypatch.setattr(window.pages["log"], "handle", seen.append)
    session.emit(events.StoreReady())
    qtbot.waitUntil(lambda: bool(seen))
    assert "log file" in window.notices()[0]


CONTROLS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


@pytest.mark.parametrize("page", [entry.id for entry in PAGES])
def test_every_control_can_be_reached_and_says_what_it_does(window, session, qtbot, page) -> None:
    window.open(page)
    if page == "chat":
        panel = window.findChild(QWidget, "sampling")
        panel.show_more(True)
    silent, unreachable, nameless = [], [], []
    for widget in window.findChildren(QWidget):
        inner = isinstance(widget.parent(), (QAbstractSpinBox, QComboBox, QLineEdit)) or isinstance(widget, QScrollBar)
        if not isinstance(widget, CONTROLS) or inner or widget.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents):
            continue
        if widget.objectName().startswith("qt_") or not widget.isVisible():  # gets its words when it is shown
            continue
        who = f"{type(widget).__name__} {widget.objectName()!r}"
        if not (widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text())):
            nameless.append(who)
        if not widget.toolTip():
            silent.append(who)
        grouped = isinstance(widget, QAbstractButton) and widget.group() is not None  # the arrow keys go from one to the next
        if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not grouped:
            unreachable.append(who)
    assert not nameless
    assert not silent
    assert not unreachable


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (1024, 700)])
def test_every_page_paints_in_both_lights_and_sizes(window, qtbot, mode, size) -> None:
    window.preferences.set("theme", mode)
    window.resize(*size)
    for entry in PAGES:
        window.open(entry.id)
        picture = window.grab().toImage()
        assert (picture.width(), picture.height()) == size
        corner = picture.pixelColor(1, picture.height() // 2)
        assert corner.name() == theme.palette().window
    assert window.minimumSizeHint().width() <= 1024
    assert window.minimumSizeHint().height() <= 700


def test_nothing_heavy_is_imported_with_the_window(tmp_path) -> None:
    code = """
import sys, os
sys.path.insert(0, sys.argv[1])
import playground.gui.app as app
from fake_session import FakeSession
window = app.make_window(FakeSession())
light = ("pygments", "sqlite_utils", "jinja2", "huggingface_hub", "numpy", "multiprocessing", "sqlite3")
early = [name for name in light if name in sys.modules]
window.show()
from PySide6.QtWidgets import QApplication
QApplication.processEvents()
heavy = [name for name in ("torch", "transformers", "llama_cpp") if name in sys.modules]
window.close()
print(early, heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**__import__("os").environ, "QT_QPA_PLATFORM": "offscreen", "PLAYGROUND_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[] []", done.stdout + done.stderr
