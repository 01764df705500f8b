"""A model is trained in the real window, by object names: a file is dropped, one button pressed, the curve watched, the result talked to."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget

from .conftest import Driver

PATIENCE_MS = 240_000


def drop(target: QWidget, file: Path) -> None:
    """As a file manager does it: held above the widget, then let go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    place, button, keys = QPoint(target.width() // 2, 80), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(target, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(target, QDropEvent(QPointF(place), Qt.DropAction.CopyAction, data, button, keys))


@pytest.mark.timeout(900)  # three processes import PyTorch one after another: a busy machine took three minutes
def test_a_file_is_dropped_trained_on_and_the_result_talked_to(driver: Driver, tmp_path: Path) -> None:
    file = tmp_path / "colours.jsonl"
    rows = [
        {"prompt": f"Repeat: {word}", "completion": f"{word}!"} for word in ["red", "blue", "green", "pink", "grey", "gold"]
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    driver.click("rail.train")
    drop(driver.find("page.train"), file)
    driver.until(
        lambda: driver.find("train.new.start").isEnabled() or driver.find("train.new.what").text() != "Reading the data…"
    )
    assert driver.find("train.new.start").isEnabled(), driver.find("train.new.what").text()
    driver.click("train.new.start")
    driver.until(lambda: any(len(each.x) > 2 for each in driver.find("train.loss").curves()), PATIENCE_MS)
    driver.until(lambda: driver.find("train.chat").isVisible(), PATIENCE_MS)
    driver.click("train.chat")
    session = driver.window.session
    driver.until(lambda: session.model.state == "ready" and session.model.info.adapter, PATIENCE_MS)
    assert driver.window.page == "chat"
    engine = psutil.Process(session._engine._worker.pid)
    assert not [each for each in engine.memory_maps() if "bitsandbytes" in each.path], "nothing here is quantized"
    driver.say("Repeat: red")
    driver.until(lambda: driver.rows("SELECT 1 FROM generations WHERE state = 'end'"))
    answered = driver.rows(
        "SELECT content, model_path FROM messages JOIN sessions ON sessions.id = session_id WHERE role = 'assistant'"
    )
    assert answered and answered[0][0].strip()
    assert driver.rows("SELECT adapter FROM runs WHERE state = 'finished'")
