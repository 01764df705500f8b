"""The field a message is written in."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QMimeData, QUrl

from playground.gui.widgets.composer import Composer


def test_a_dropped_file_is_left_to_the_window_and_dropped_text_is_written(qtbot: Any, dressed: Any) -> None:
    composer = Composer()
    qtbot.addWidget(composer)
    file = QMimeData()
    file.setUrls([QUrl.fromLocalFile("/tmp/model.gguf")])
    file.setText("file:///tmp/model.gguf")
    text = QMimeData()
    text.setText("Hello")
    assert not composer.input.canInsertFromMimeData(file)
    assert composer.input.canInsertFromMimeData(text)
    composer.input.insertFromMimeData(text)
    assert composer.input.toPlainText() == "Hello"
