"""The tab "Layers": what each layer would have said next, at every token of the capture's text. A view of `InsideState`.

Reading costs a pass through the model and as many predictions as there are layers: it is done when it is asked for, once for each text.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from playground.errors import Cancelled, PlaygroundError
from playground.gui import theme
from playground.gui.bridge import when_done
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.lens_grid import LensGrid
from playground.gui.widgets.next_token import readable
from playground.gui.widgets.segments import Segments
from playground.gui.widgets.state_view import StateView
from playground.inside.layout import Header
from playground.inside.lens import LensReading

KEPT = 4
"""readings that are kept, of the texts looked at last"""
WHAT = "Each cell is what the model would say next if it stopped at that layer (the logit lens, nostalgebraist 2020)."


class LensView(QWidget):
    """Object names: `inside.lens`, `inside.lens_shade`, `inside.lens_says`, `inside.lens_state.way_out`."""

    def __init__(self, state: InsideState, desk: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inside.lens_view")
        self.state, self._desk = state, desk
        self._readings: dict[tuple[Any, ...], LensReading] = {}
        self._running: tuple[tuple[Any, ...], Future[LensReading]] | None = None
        self._of: Header | None = None
        """the text that something is said of"""
        self.grid = LensGrid()
        self.shade = Segments(
            "inside.lens_shade",
            "In the cells",
            (
                ("likeliest", "Likeliest", "The likeliest token, shaded by its probability"),
                ("next", "What came next", "The rank of the token that came next, shaded by its probability"),
            ),
        )
        self.says = ElidedLabel()
        self.says.setObjectName("inside.lens_says")
        theme.mark(self.says, role="small")
        legend = QLabel("underlined: it came next")
        theme.mark(legend, role="muted")
        bar = QHBoxLayout()
        bar.setContentsMargins(16, 8, 16, 8)
        bar.setSpacing(8)
        bar.addWidget(self.shade)
        bar.addSpacing(8)
        bar.addWidget(self.says, 1)
        bar.addWidget(legend)
        read = QWidget()
        column = QVBoxLayout(read)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(self.grid, 1)
        self.empty = StateView("inside.lens_state")
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(read)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.stack)
        self.shade.changed.connect(self.grid.set_mode)
        self.grid.picked.connect(lambda place: state.set_token(place))
        self.grid.pointed.connect(self._say)
        state.captures_changed.connect(self.show_all)
        state.look_changed.connect(self._look_changed)
        state.token_changed.connect(lambda: self.grid.set_token(state.token))
        self.show_all()

    def show_all(self) -> None:
        """Shows the reading of the text that is looked at, or how to get it."""
        header = self._of = self._header
        if header is None:
            self._say_state("No text", "Capture a text first.")
        elif header.part or not header.causal:
            self._say_state(
                "Nothing comes next here", f"{header.model} reads a text and does not go on with it, layer by layer."
            )
        elif header.adapter and not self._worn(header):
            self._say_state(
                "This text was read with an adapter on",
                f"Load {header.model} with {Path(header.adapter).name}, as it was captured; the layers are read with it then.",
            )
        elif (found := self._readings.get(_key(header))) is not None:
            if self.grid.reading is not found:
                self.grid.show_reading(found)
                self.grid.set_token(self.state.token)
                self._say(-1, -1)
            self.stack.setCurrentIndex(1)
        elif self._running is not None and self._running[0] == _key(header):
            self._say_state("Reading the layers", "", "Stop", self._desk.session.inside.stop, busy=True)
        else:
            folder = self._folder(header)
            if folder is None:
                self._say_state(
                    "Layers are read from model folders",
                    f"{header.model} is a GGUF file, which does not give its layers out one by one. Load the folder of this model"
                    " (safetensors), and capture the text with it.",
                )
            else:
                beside = "" if str(folder) == header.model_path else f" Its folder {folder.name} is read in the file's place."
                self._say_state("What would each layer say?", WHAT + beside, "Read the layers", self.read)

    def _look_changed(self) -> None:
        if self._header is not self._of:  # another head has the same text
            self.show_all()

    def showEvent(self, event: QShowEvent) -> None:
        """Another model may be loaded since, or an adapter on it."""
        super().showEvent(event)
        self.show_all()

    def read(self) -> None:
        """Asks for the reading of the text that is looked at."""
        from playground.session.inside import LensRequest

        header = self._header
        folder = self._folder(header) if header is not None else None
        if header is None or folder is None or header.part or not header.causal:
            return
        key = _key(header)
        request = LensRequest(prompt_ids=tuple(each.id for each in header.tokens), model=str(folder))
        try:
            future = self._desk.session.inside.lens(request)
        except PlaygroundError as error:
            self._failed(key, error)
            return
        self._running = (key, future)
        when_done(future, self, lambda found: self._take(key, found), lambda error: self._failed(key, error))
        self.show_all()

    def _take(self, key: tuple[Any, ...], found: LensReading) -> None:
        self._ended(key)
        self._readings[key] = found
        while len(self._readings) > KEPT:
            del self._readings[next(iter(self._readings))]
        self.show_all()

    def _ended(self, key: tuple[Any, ...]) -> None:
        if self._running is not None and self._running[0] == key:  # another text's may be under way since
            self._running = None

    def _failed(self, key: tuple[Any, ...], error: BaseException) -> None:
        self._ended(key)
        header = self._header
        if header is None or _key(header) != key:
            return
        if isinstance(error, Cancelled):
            self.show_all()
        elif isinstance(error, PlaygroundError):
            self._say_state("The layers were not read", f"{error.message} {error.hint}".strip(), "Try again", self.read)
        else:
            self.show_all()
            self.state.failed.emit(error)

    @property
    def _header(self) -> Header | None:
        """Of the text that is looked at, all of it: of a difference that of A"""
        return self.state.capture.header if self.state.capture is not None else None

    def _folder(self, header: Header) -> Path | None:
        """What is read: the capture's folder, or that in which its GGUF file lies."""
        path = Path(header.model_path)
        if header.engine != "llama.cpp":
            return path
        from playground.session.reading_models import folder_of

        return folder_of(path)

    def _worn(self, header: Header) -> bool:
        """Whether the model that would be read is the loaded one, with the adapter of the capture on."""
        info = self._desk.session.model.info
        return info is not None and info.path == header.model_path and info.adapter == header.adapter

    def _say_state(self, title: str, text: str, button: str = "", way_out: Any = None, busy: bool = False) -> None:
        self.empty.say(title, text, button, way_out, busy=busy)
        self.stack.setCurrentIndex(0)

    def _say(self, row: int, place: int) -> None:
        """A cell in one line; without one, what the picture is."""
        reading = self.grid.reading
        if reading is None or row < 0:
            self.says.setText(WHAT)
            return
        each = reading.at(row, place)
        top = "   ".join(f"{readable(text)} {chance:.0%}" for _, text, chance in each.top[:5])
        came = f"   next: rank {each.rank:,}" if each.rank else ""
        self.says.setText(f"layer {row}   {top}   entropy {each.entropy:.2f}{came}")


def _key(header: Header) -> tuple[Any, ...]:
    return header.model_path, header.adapter, tuple(each.id for each in header.tokens)
