"""How a training run could be shared over several devices, where one is not enough: what each of them would hold, way by way.

Shows figures of `memory.training_fit`; computes none. Each way divides more than the one before and talks more between the devices.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from playground.gui import theme
from playground.gui.widgets.amounts import amount

WAYS = {
    "zero-1": ("ZeRO-1", "Every device keeps a part of the optimizer's states; weights and gradients are whole on each."),
    "zero-2": (
        "ZeRO-2",
        "Every device keeps a part of the optimizer's states and of the gradients; the weights are whole on each.",
    ),
    "zero-3": ("ZeRO-3", "Every device keeps a part of everything but the activations; weights are fetched layer by layer."),
    "fsdp": ("FSDP", "PyTorch's own way of the same division as ZeRO-3, fully sharded."),
}
"""name in `memory` -> what it is called, and what it divides"""


class FitSharing(QWidget):
    """`show_ways(bytes by way, enough by way, devices, free)`: bytes on each of `devices`, and the fewest devices that would do."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName("Sharing the run over several devices")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        self.title = QLabel()
        theme.mark(self.title, role="muted")
        self.title.setWordWrap(True)
        grid.addWidget(self.title, 0, 0, 1, 3)
        grid.setColumnStretch(2, 1)
        self.cells: dict[str, tuple[QLabel, QLabel, QLabel]] = {}
        for row, (way, (text, tip)) in enumerate(WAYS.items(), 1):
            cells = (QLabel(text), QLabel(), QLabel())
            for column, cell in enumerate(cells):
                cell.setToolTip(tip)
                theme.mark(cell, role="small" if column < 2 else "muted")
                side = Qt.AlignmentFlag.AlignRight if column == 1 else Qt.AlignmentFlag.AlignLeft
                grid.addWidget(cell, row, column, side | Qt.AlignmentFlag.AlignVCenter)
            cells[1].setObjectName(f"{name}.{way}")
            self.cells[way] = cells

    def show_ways(self, ways: dict[str, int], enough: dict[str, int], devices: int, free: int) -> None:
        self.title.setText(
            f"Shared over {devices} devices like this one ({amount(free)} free), each would hold at the peak of a step:"
        )
        for way, (name, held, said) in self.cells.items():
            held.setText(amount(ways[way]))
            least = enough[way]
            said.setText("fits" if ways[way] <= free else f"from {least} devices on" if least else "not even on 64 devices")
            name.setAccessibleName(f"{name.text()}: {held.text()}, {said.text()}")
