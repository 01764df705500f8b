"""The tab "Layers": a reading asked for and shown, cells in words, tokens chosen by pointer and keys, sentences where there is nothing to read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from playground.errors import Cancelled, MemoryShortError
from playground.gui import theme
from playground.gui.widgets.inside_state import InsideState
from playground.gui.widgets.lens_grid import readable_on
from playground.gui.widgets.lens_view import LensView
from playground.inside.capture import Capture
from playground.inside.lens import LensReading
from tests.gui import attention_made

TEXTS = ["<s>", " once", " upon", " a", " time"]
LAYERS, TOP = 4, 3


def reading() -> LensReading:
    """Row r says token 10 + r likeliest everywhere, but the last row what comes next."""
    tokens = attention_made.tokens(TEXTS)
    shape = (LAYERS + 1, len(TEXTS))
    ids = np.zeros((*shape, TOP), np.int32) + np.arange(10, 10 + LAYERS + 1, dtype=np.int32)[:, None, None]
    ids[..., 1:] = 20, 21
    ids[-1, :-1, 0] = [each.id for each in tokens[1:]]
    chances = np.zeros((*shape, TOP), np.float32) + np.array([0.5, 0.25, 0.125], np.float32)
    rank = np.full(shape, 7, np.int32)
    rank[-1], rank[:, -1] = 1, 0
    probability = np.where(rank > 0, 0.01, np.nan).astype(np.float32)
    labels = {each: f" w{each}" for each in range(10, 22)} | {each.id: each.text for each in tokens}
    return LensReading(
        tokens, np.arange(len(TEXTS), dtype=np.int32), ids, chances, np.full(shape, 1.5, np.float32), rank, probability, labels
    )


@dataclass
class Inside:
    """Stands for `Session.inside`."""

    asked: list[Any] = field(default_factory=list)
    futures: list[Future[LensReading]] = field(default_factory=list)

    def lens(self, request: Any, on_progress: Any = None) -> Future[LensReading]:
        self.asked.append(request)
        self.futures.append(Future())
        return self.futures[-1]

    def stop(self) -> None:
        self.futures[-1].set_exception(Cancelled("stopped"))


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def view(qtbot: QtBot, tmp_path: Path, inside: Inside) -> Iterator[LensView]:
    path = tmp_path / "model"
    attention_made.written(tmp_path / "a.attention", TEXTS, engine="transformers", model_path=str(path))
    state = InsideState()
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    view = LensView(state, SimpleNamespace(session=SimpleNamespace(inside=inside, model=SimpleNamespace(info=None))))
    qtbot.addWidget(view)
    view.resize(700, 300)
    view.show()
    yield view
    state.close()


def test_a_reading_is_asked_for_and_shown(qtbot: QtBot, view: LensView, inside: Inside) -> None:
    assert view.stack.currentIndex() == 0 and not inside.asked, "nothing is computed before it is asked for"
    qtbot.mouseClick(view.empty.button, Qt.MouseButton.LeftButton)
    request = inside.asked[0]
    assert request.prompt_ids == tuple(each.id for each in view.state.tokens) and request.model == view.state.header.model_path
    assert view.empty.button.text() == "Stop"
    inside.futures[0].set_result(reading())
    qtbot.waitUntil(lambda: view.stack.currentIndex() == 1)
    grid = view.grid
    assert grid.cell(2, 1) == ("·w12", 0.5) and grid.cell(LAYERS, 1)[0] == "·upon"
    said = grid.words(LAYERS, 1)
    assert "The model's own, after ·once" in said and "50.0%  ·upon" in said and "rank 1" in said and "1.50 nats" in said
    assert "next" not in grid.words(2, len(TEXTS) - 1)
    qtbot.mouseClick(view.shade.buttons["next"], Qt.MouseButton.LeftButton)
    assert grid.cell(2, 1) == ("7", pytest.approx(0.01)) and grid.cell(2, len(TEXTS) - 1) == ("", 0.0)
    view.state.captures_changed.emit()
    assert len(inside.asked) == 1, "read once for a text"


def test_pointer_and_keys_choose_a_token(qtbot: QtBot, view: LensView, inside: Inside) -> None:
    view.read()
    inside.futures[0].set_result(reading())
    qtbot.waitUntil(lambda: view.stack.currentIndex() == 1)
    grid = view.grid
    at = grid.rect_of(1, 2).center()
    assert grid.cell_at(QPointF(at)) == (1, 2)
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert view.state.token == 2 and grid.current == (1, 2) and "layer 1" in view.says.text()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Down):
        qtbot.keyClick(grid, key)
    assert view.state.token == 3 and grid.current == (3, 3) and "After layer 3 of 4" in grid.accessibleDescription()
    qtbot.keyClick(grid, Qt.Key.Key_Home)
    qtbot.keyClick(grid, Qt.Key.Key_Left)
    assert view.state.token == 0
    view.state.set_token(4)
    assert grid.current == (3, 4), "a token chosen elsewhere is shown here"
    grid.grab()


def test_what_cannot_be_read_is_said(qtbot: QtBot, view: LensView, inside: Inside, tmp_path: Path) -> None:
    view.read()
    view.empty.button.click()
    qtbot.waitUntil(lambda: view.empty.button.text() == "Read the layers")
    view.read()
    inside.futures[-1].set_exception(MemoryShortError("There is too little.", "Close something."))
    qtbot.waitUntil(lambda: "too little. Close" in view.empty.text.text())
    gguf = tmp_path / "elsewhere" / "m.gguf"
    source = attention_made.tokens(["a", "b"])
    for name, more, sentence in (
        ("g", {"engine": "llama.cpp", "model_path": str(gguf)}, "GGUF file"),
        ("c", {"causal": False, "part": "cross", "columns": source}, "does not go on"),
    ):
        attention_made.written(tmp_path / f"{name}.attention", TEXTS, **more)
        view.state.set_captures(Capture(tmp_path / f"{name}.attention"), name)
        assert sentence in view.empty.text.text() and view.stack.currentIndex() == 0
    for name in ("x", "xy"):
        attention_made.written(tmp_path / f"{name}.attention", [*TEXTS, *name], engine="transformers", model_path="/m")
        view.state.set_captures(Capture(tmp_path / f"{name}.attention"), name)
        view.read()
    inside.futures[-2].set_result(reading())
    qtbot.waitUntil(lambda: len(view._readings) == 1)
    assert view.empty.button.text() == "Stop", "the later of two is still being read"
    inside.stop()
    qtbot.waitUntil(lambda: view.empty.button.text() == "Read the layers")
    attention_made.written(tmp_path / "w.attention", TEXTS, engine="transformers", model_path="/m", adapter="/lora")
    view.state.set_captures(Capture(tmp_path / "w.attention"), "w")
    assert "with lora" in view.empty.text.text()
    view._desk.session.model = SimpleNamespace(info=SimpleNamespace(path="/m", adapter="/lora"))
    view.show_all()
    assert view.empty.button.text() == "Read the layers"
    gguf.parent.mkdir()
    (gguf.parent / "config.json").write_text("{}")
    (gguf.parent / "model.safetensors").write_bytes(b"")
    view.state.set_captures(Capture(tmp_path / "g.attention"), "g")
    view.read()
    assert inside.asked[-1].model == str(gguf.parent), "the folder that the file lies in"
    view.state.set_captures(None)
    assert view.empty.title.text() == "No text"


def test_text_can_be_read_on_every_shade() -> None:
    """WCAG 2: a contrast of 4.5 at least, of every colour that a cell can have."""

    def light(color: QColor) -> float:
        parts = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in color.getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for step in range(101):
        color = theme.probability_color(step / 100)
        one, other = sorted((light(color), light(readable_on(color))))
        assert (other + 0.05) / (one + 0.05) >= 4.5
