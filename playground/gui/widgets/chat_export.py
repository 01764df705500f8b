"""A chat into a file: asks where, and writes it whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QWidget

if TYPE_CHECKING:
    from playground.gui.pages import Desk

KINDS = {"md": "Markdown (*.md)", "json": "JSON (*.json)", "csv": "CSV (*.csv)"}


def file_name(title: str, form: str) -> str:
    """A title as a file name that every system takes."""
    plain = re.sub(r"[^\w \-.]+", " ", title).strip(" .")
    return f"{re.sub(r' +', ' ', plain)[:60] or 'chat'}.{form}"


def ask_and_write(parent: QWidget, desk: Desk, chat_id: str, title: str, form: str) -> QFileDialog:
    """Opens a file dialog; what is chosen there is written."""
    dialog = QFileDialog(parent, "Export chat")
    dialog.setObjectName("chat.export")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilter(KINDS[form])
    dialog.setDefaultSuffix(form)
    dialog.selectFile(file_name(title, form))
    dialog.fileSelected.connect(lambda path: write(parent, desk, chat_id, form, Path(path)))
    dialog.finished.connect(lambda _result: dialog.deleteLater())
    dialog.open()
    return dialog


def write(receiver: QWidget, desk: Desk, chat_id: str, form: str, path: Path) -> None:
    """Writes a chat to a file, beside its name first."""

    def done(text: str) -> None:
        half = path.with_name(path.name + ".part")
        try:
            half.write_text(text, encoding="utf-8")
            os.replace(half, path)
        except OSError as error:
            half.unlink(missing_ok=True)
            desk.notify(f"{path.name} could not be written: {error.strerror or error}.", "Choose another place.", "error")
            return
        desk.notify(f"It is all in {path.name}.", str(path.parent))

    desk.when_done(desk.session.export(chat_id, form), receiver, done)
