"""Models, adapters and training data dropped on the window. Knows files, not what is done with them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from playground.gui import theme

if TYPE_CHECKING:
    from PySide6.QtGui import QDropEvent


LOOKED_AT = 500
"""files of a folder that is held over the window"""


class DropSign(QFrame):
    """What lies over the pages while a file is held above them."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        theme.mark(self, drop=True)
        column = QVBoxLayout(self)
        self.label = QLabel()
        theme.mark(self.label, role="title")
        column.addWidget(self.label, 0, Qt.AlignmentFlag.AlignCenter)

    def appear(self, words: str) -> None:
        self.label.setText(words)
        over = self.parentWidget()
        assert over is not None
        self.setGeometry(over.rect().adjusted(16, 16, -16, -16))
        self.show()
        self.raise_()


def dropped(event: QDropEvent) -> Path | None:
    """The model or adapter among what is dropped: a GGUF file, or a folder that has what makes one (or a file of such a folder)."""
    for url in event.mimeData().urls():
        if not url.isLocalFile():
            continue
        path = Path(url.toLocalFile())
        if path.suffix.lower() == ".gguf":
            return path
        folder = path.parent if path.suffix.lower() in (".json", ".safetensors") else path
        if (folder / "config.json").is_file() or is_adapter(folder):
            return folder
    return None


def dropped_data(event: QDropEvent) -> Path | None:
    """The training data among what is dropped: a file of a known kind, or a folder with such files; not what belongs to a model."""
    from playground.training.files import SUFFIXES

    if dropped(event) is not None:
        return None
    for url in event.mimeData().urls():
        path = Path(url.toLocalFile()) if url.isLocalFile() else None
        if path is None:
            continue
        if path.is_dir():
            inner = itertools.islice(path.iterdir(), LOOKED_AT) if os.access(path, os.R_OK | os.X_OK) else ()
            if any(each.suffix.lower() in SUFFIXES for each in inner):
                return path
        elif path.suffix.lower() in SUFFIXES:
            return path
    return None


def words(event: QDropEvent) -> str:
    """What would become of what is held, "" for nothing."""
    file = dropped(event)
    if file is not None:
        return "Drop to put this adapter on" if is_adapter(file) else "Drop to load this model"
    return "Drop to train on this data" if dropped_data(event) is not None else ""


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter in PEFT layout, and no model."""
    return (path / "adapter_config.json").is_file() and not (path / "config.json").is_file()
