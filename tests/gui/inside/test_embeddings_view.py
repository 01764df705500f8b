"""The tab "Embeddings": words looked up, neighbours and numbers as they were answered, labels that do not overlap, late answers dropped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from playground.errors import SettingError
from playground.gui.widgets.embeddings_view import EmbeddingsView
from playground.gui.widgets.inside_state import InsideState
from playground.inside.capture import Capture
from playground.protocol import Embedded, EmbeddedPoint, EmbeddedWord, Neighbour
from tests.gui import attention_made

TEXTS = ["<s>", " once", " upon"]


def answer(*words: str, near: int = 12) -> Embedded:
    rng = np.random.default_rng(1)
    neighbours = tuple(
        tuple(Neighbour(100 * place + number, f" near{number}", 0.9 - number / 100) for number in range(near))
        for place in range(len(words))
    )
    points = [EmbeddedPoint(word, -1, place, *rng.normal(size=2).tolist()) for place, word in enumerate(words)]
    for place, line in enumerate(neighbours):
        points += [EmbeddedPoint(each.text, each.token_id, place, *rng.normal(size=2).tolist()) for each in line]
    found = tuple(EmbeddedWord(word, (1, 2)[: place + 1], (" a", "b")[: place + 1], 1.0) for place, word in enumerate(words))
    matrix = tuple(tuple(1.0 if i == j else 0.25 for j in range(len(words))) for i in range(len(words)))
    return Embedded(1, found, neighbours, matrix, tuple(points), (0.4, 0.2), "t", 2048, 256, "F16", True)


@dataclass
class Inside:
    """Stands for `Session.inside`."""

    asked: list[Any] = field(default_factory=list)
    futures: list[Future[Embedded]] = field(default_factory=list)

    def embeddings(self, request: Any, on_progress: Any = None) -> Future[Embedded]:
        self.asked.append(request)
        self.futures.append(Future())
        return self.futures[-1]


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def view(qtbot: QtBot, tmp_path: Path, inside: Inside) -> Iterator[EmbeddingsView]:
    attention_made.written(tmp_path / "a.attention", TEXTS, model_path="/m.gguf")
    state = InsideState()
    state.set_captures(Capture(tmp_path / "a.attention"), "a")
    view = EmbeddingsView(state, SimpleNamespace(session=SimpleNamespace(inside=inside)))
    qtbot.addWidget(view)
    view.resize(900, 600)
    view.show()
    yield view
    state.close()


def test_words_are_looked_up_and_shown(qtbot: QtBot, view: EmbeddingsView, inside: Inside) -> None:
    view.state.set_token(1)
    assert view.words.text() == "once", "the chosen token stands in an empty field"
    view.words.setText(" fox, ,dog ")
    qtbot.keyClick(view.words, Qt.Key.Key_Return)
    assert (inside.asked[0].words, inside.asked[0].model, inside.asked[0].table) == (("fox", "dog"), "/m.gguf", "input")
    qtbot.mouseClick(view.look, Qt.MouseButton.LeftButton)
    view.state.set_look(head=2)  # of the same model: the question stands
    inside.futures[1].set_result(answer("fox", "dog"))
    inside.futures[0].cancel()
    qtbot.waitUntil(lambda: view.stack.currentIndex() == 1)
    top = view.list.topLevelItem(1)
    assert top is not None and "mean of 2" in top.text(0) and top.childCount() == 12
    assert (top.child(0).text(0), top.child(0).text(1)) == ("·near0", "0.900")
    assert "2,048 tokens of 256" in view.says.text() and "one table" in view.says.text()
    assert "dog and fox 0.25" in view.matrix.accessibleDescription()
    assert "40% of the variance across, 20% upwards" in view.plot.accessibleDescription()
    view.list.setCurrentItem(top.child(3))
    view.list.itemActivated.emit(top.child(3), 0)
    assert inside.asked[-1].words == ("fox", "dog", "near3")
    for each in (view.plot, view.matrix):
        each.grab()


def test_an_answer_to_an_old_question_is_dropped(qtbot: QtBot, view: EmbeddingsView, inside: Inside) -> None:
    view.words.setText("one")
    view.ask()
    inside.futures[0].set_running_or_notify_cancel()
    view.words.setText("two")
    view.ask()
    inside.futures[0].set_result(answer("one"))
    inside.futures[1].set_exception(SettingError("'two' is nothing.", "Leave it out."))
    qtbot.waitUntil(lambda: "is nothing. Leave" in view.empty.text.text())
    assert view.found is None
    view.state.set_captures(None)
    assert not view.look.isEnabled() and view.empty.title.text() == "No model"


def test_labels_do_not_overlap_and_points_are_pointed_at(qtbot: QtBot, view: EmbeddingsView, inside: Inside) -> None:
    view.words.setText("a, b, c")
    view.ask()
    inside.futures[0].set_result(answer("a", "b", "c", near=40))
    qtbot.waitUntil(lambda: view.stack.currentIndex() == 1)
    plot = view.plot
    labels = plot.labels()
    assert {0, 1, 2} <= labels.keys() and 20 < len(labels) < 123
    for one, other in itertools.combinations(labels.values(), 2):
        assert not one.intersects(other)
    assert all(plot.rect().contains(rect.toRect()) for rect in labels.values())
    place = plot.places()[50]
    found = plot.point_at(place)
    assert found is not None and (plot.places()[found] - place).manhattanLength() == 0
    assert plot.point_at(QPointF(-500, -500)) is None
    with qtbot.waitSignal(plot.picked) as said:
        qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=place.toPoint())
    assert said.args[0].startswith(" near")
