"""What is seen on the Inside page into a file: the map or the grid as a picture, the map's numbers. Asks where; writes it whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from playground.gui.palette import LIGHT
from playground.gui.widgets import heat_figure
from playground.gui.widgets.chat_export import file_name
from playground.inside import look as looks
from playground.inside import numbers

if TYPE_CHECKING:
    from playground.gui.pages import Desk
    from playground.gui.widgets.inside_grid import HeadGrid
    from playground.gui.widgets.inside_map import MapView
    from playground.gui.widgets.inside_state import InsideState

CHOICES = (
    ("map_png", "Map as PNG…", "png"),
    ("map_svg", "Map as SVG…", "svg"),
    ("grid_png", "All heads as PNG…", "png"),
    ("grid_svg", "All heads as SVG…", "svg"),
    ("npy", "Numbers as .npy…", "npy"),
    ("csv", "Numbers as CSV…", "csv"),
)
KINDS = {"png": "PNG (*.png)", "svg": "SVG (*.svg)", "npy": "NumPy array (*.npy)", "csv": "CSV (*.csv)"}


class InsideExport:
    """Made by the page for a while. The dialog's object name is `inside.save`, the menu's `inside.export_menu`."""

    def __init__(self, page: QWidget, desk: Desk, state: InsideState, view: MapView, grid: HeadGrid) -> None:
        self._page, self._desk, self._state, self._view, self._grid = page, desk, state, view, grid

    def open_below(self, button: QWidget) -> QMenu:
        """A menu of what can be saved."""
        menu = QMenu(self._page)
        menu.setObjectName("inside.export_menu")
        for name, text, _form in CHOICES:
            action = menu.addAction(text)
            action.setObjectName(f"inside.export.{name}")
            action.setEnabled(not name.startswith("map") or self._view.ready)
            action.triggered.connect(lambda _checked=False, it=name: self.ask(it))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(button.mapToGlobal(QPoint(0, button.height())))
        return menu

    def ask(self, name: str) -> QFileDialog:
        """Asks where to write one of `CHOICES`."""
        form = next(each[2] for each in CHOICES if each[0] == name)
        dialog = QFileDialog(self._page, "Save")
        dialog.setObjectName("inside.save")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(KINDS[form])
        dialog.setDefaultSuffix(form)
        what = "All heads" if name.startswith("grid") else looks.words(self._state.look)
        dialog.selectFile(file_name(what, form))
        dialog.fileSelected.connect(lambda path: self.write(name, Path(path)))
        dialog.finished.connect(lambda _result: dialog.deleteLater())
        dialog.open()
        return dialog

    def write(self, name: str, path: Path) -> None:
        """Writes one of `CHOICES`, as it is seen now; what came of it is told in a notice."""
        if self._state.header is None or (name.startswith("map") and not self._view.ready):
            # The dialog was open for a while.
            self._desk.notify("There is nothing to save any more.", "Look at a capture first.", "warning", key="inside.save")
            return
        work = self._numbers(name) if name in ("npy", "csv") else self._figure(name)

        def whole() -> None:
            from playground.conversion.whole_file import whole_file

            with whole_file(path) as part:
                work(part)

        def done(_nothing: object) -> None:
            self._desk.notify(f"It is all in {path.name}.", str(path.parent), key="inside.save")

        self._state.ask(f"save {path}", whole, self._page, done)

    def _figure(self, name: str) -> Callable[[Path], object]:
        what, _, form = name.partition("_")
        packed = heat_figure.map_figure(self._view.figure(), form) if what == "map" else self._grid_figure(form)
        return lambda part: part.write_bytes(packed())

    def _numbers(self, name: str) -> Callable[[Path], object]:
        state = self._state
        a, b, view, look, header = state.a, state.b, state.view, state.look, state.header
        assert header is not None

        def work(part: Path) -> None:
            capture = b if view == "b" else a
            assert capture is not None
            if view == "difference":
                assert b is not None
                found = looks.difference_of(capture, b, look)
            else:
                found = looks.weights(capture, look)
            if name == "npy":
                numbers.write_npy(part, found)
                return
            rows = [each.text for each in header.tokens]
            columns = [each.text for each in header.column_tokens]
            numbers.write_csv(part, found, rows, columns)

        return work

    def _grid_figure(self, form: str) -> Callable[[], bytes]:
        header = self._state.header
        assert header is not None
        side = max(12, min(64, 1600 // max(1, len(header.heads))))
        picture = self._grid.picture(side, 4, LIGHT)
        spread, view = self._view.shared_spread(), self._view
        which = ", difference of their maxima" if self._state.signed else ""
        title = f"{header.model}: all heads, {header.length:,} tokens{which}"
        own = (
            [(0.0, "−"), (0.5, "0"), (1.0, "+ each head's greatest")]
            if self._state.signed
            else [(0.0, "0"), (1.0, "each head's greatest")]
        )
        ticks = view.ticks(spread) if self._state.scale.shared else own
        base = view.shades.base(LIGHT)
        return heat_figure.grid_figure(title, picture, side, side + 4, header.layers, header.heads, base, ticks, form)
