"""Models and adapters dropped on the window. Knows files, not what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from playground.gui import theme

if TYPE_CHECKING:
    from PySide6.QtGui import QDropEvent


class DropSign(QFrame):
    """What lies over the pages while a file is held above them."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        theme.mark(self, drop=True)
        column = QVBoxLayout(self)
        label = QLabel("Drop to load this model")
        theme.mark(label, role="title")
        column.addWidget(label, 0, Qt.AlignmentFlag.AlignCenter)

    def appear(self) -> None:
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


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter in PEFT layout, and no model."""
    return (path / "adapter_config.json").is_file() and not (path / "config.json").is_file()
