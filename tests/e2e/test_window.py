"""The main job, done by a person's hands on the real thing: talk, steer, stop, come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from playground.paths import Home

from .conftest import Driver, Opens

STORY = "Tell me a long story about a fox named Pepper."
SLOW = 6
"""tokens a second: the starter's story of some ninety is not at its end before a busy machine has come to interrupt it"""


def test_a_moved_slider_is_in_the_timeline_and_the_stopped_reply_is_kept(driver: Driver) -> None:
    driver.find("sampling.pace").setValue(SLOW)
    driver.say(STORY)
    driver.until(lambda: driver.rows("select count(*) from tokens")[0][0] >= 3)
    driver.find("sampling.temperature").setValue(0.25)
    driver.until(lambda: driver.rows("select timeline from generations where timeline not in ('', '[]')"))
    driver.click("chat.stop")
    driver.until(lambda: driver.rows("select id from generations where state = 'cancelled'"))
    ((timeline,),) = driver.rows("select timeline from generations")
    import json

    (entry,) = json.loads(timeline)
    assert entry["index"] >= 3
    assert entry["settings"]["temperature"] == pytest.approx(0.25)
    ((content, state),) = driver.rows("select content, state from messages where role = 'assistant'")
    texts = [text for (text,) in driver.rows("select text from tokens order by idx")]
    assert state == "stopped"
    assert content == "".join(texts)
    driver.until(lambda: content in driver.shown())


def test_keys_do_what_people_expect(driver: Driver) -> None:
    from PySide6.QtCore import Qt

    box = driver.find("chat.input")
    box.setPlainText("Hello")
    driver.until(lambda: driver.find("chat.send").isEnabled())
    driver.qtbot.keyClick(box, Qt.Key.Key_Return)
    driver.until(lambda: driver.rows("select id from generations where state = 'end'"))
    driver.until(lambda: not driver.window.session.busy and not driver.find("chat.stop").isEnabled())
    driver.qtbot.keyClick(driver.window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    driver.until(lambda: len(driver.rows("select id from generations where state = 'end'")) == 2)
    driver.qtbot.keyClick(driver.window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    driver.until(lambda: driver.find("page.settings").isVisible())
    driver.click("rail.log")
    driver.until(lambda: driver.find("log.table").isVisible())
    driver.until(lambda: driver.find("log.table").model().rowCount() == 2)


def test_the_shown_window_has_imported_no_engine(home: Any) -> None:
    code = """
import sys
from PySide6.QtTest import QTest
import playground.gui.app
window = playground.gui.app.make_window()
window.show()
for _ in range(1200):
    QTest.qWait(50)
    if window.session.model.state == "ready":
        break
assert window.session.model.state == "ready"
window.findChild(type(window.centralWidget()), "chat.input").setPlainText("Hello")
QTest.qWait(200)
print(sorted(name for name in ("torch", "transformers", "llama_cpp", "bitsandbytes", "peft") if name in sys.modules))
window.session.close()
import os; os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_worker_costs_a_sentence_and_a_press_of_a_button(driver: Driver, number: signal.Signals) -> None:
    driver.find("sampling.pace").setValue(SLOW)
    driver.say(STORY)
    driver.until(lambda: driver.rows("select count(*) from tokens")[0][0] >= 3)
    (engine,) = driver.engines()
    os.kill(engine.pid, number)
    driver.until(lambda: driver.rows("select id from messages where state = 'interrupted'"))
    ((content,),) = driver.rows("select content from messages where role = 'assistant'")
    assert content
    driver.until(lambda: content in driver.shown())
    driver.until(lambda: driver.window.session.model.state == "lost")
    driver.until(lambda: any(label.isVisible() for label in _labels(driver, "engine")))
    driver.window.session.reload()
    driver.until(lambda: driver.window.session.model.state == "ready")
    driver.find("sampling.pace").setValue(0)
    ((message_id, chat_id),) = driver.rows("select id, session_id from messages where role = 'assistant'")
    driver.window.session.continue_reply(chat_id, message_id)
    driver.until(lambda: driver.rows("select id from messages where state = 'complete' and role = 'assistant'"))
    ((longer,),) = driver.rows("select content from messages where role = 'assistant'")
    assert longer.startswith(content)


def _labels(driver: Driver, word: str) -> list[Any]:
    from PySide6.QtWidgets import QLabel

    return [label for label in driver.window.findChildren(QLabel) if word in label.text().lower()]


def test_a_closed_window_opens_on_the_same_conversation(open_window: Opens, home: Home) -> None:
    for turn in range(2):
        driver = open_window(home)
        if turn == 0:
            driver.until(lambda driver=driver: driver.window.session.model.state == "ready")
            driver.say("Repeat: red green blue")
            driver.until(lambda driver=driver: driver.rows("select id from generations where state = 'end'"))
            ((content,),) = driver.rows("select content from messages where role = 'assistant'")
        else:
            driver.until(lambda driver=driver: "Repeat: red green blue" in _titles(driver))
        driver.close()
    assert content


def _titles(driver: Driver) -> str:
    listing = driver.find("chat.list")
    model = listing.model() if hasattr(listing, "model") else None
    if model is None:
        return ""
    return " ".join(str(model.index(row, 0).data()) for row in range(model.rowCount()))


@pytest.mark.xvfb
def test_on_a_real_screen_a_person_types_and_presses_enter(driver: Driver) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QApplication

    assert QApplication.platformName() != "offscreen"
    driver.window.activateWindow()
    box = driver.find("chat.input")
    box.setFocus()
    driver.qtbot.keyClicks(box, "Hello")
    driver.until(lambda: driver.find("chat.send").isEnabled())
    driver.qtbot.keyClick(box, Qt.Key.Key_Return)
    driver.until(lambda: driver.rows("select id from generations where state = 'end'"))
