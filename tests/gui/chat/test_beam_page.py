"""The beam search page with a real model: the tree as it was told, a beam chosen, an earlier search opened, a chat begun."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt

from playground.gui.pages.beam import BeamPage
from playground.gui.widgets.beam_tree import BeamTree, shown_text
from playground.paths import Home
from playground.protocol import BeamNode
from playground.session import Session


def node(number: int, parent: int, text: str, state: str = "kept", length: int = 1) -> BeamNode:
    return BeamNode(number, parent, 100 + number, text, -0.5 * (number + 1), -1.0 * (number + 1), length, state)


STEPS = (
    (node(0, -1, "A"), node(1, -1, "B"), node(2, -1, "C", "pruned"), node(3, -1, "D", "pruned")),
    (node(4, 0, " x", length=2), node(5, 1, "</s>", "ended", 2), node(6, 0, " y", length=2), node(7, 1, "z", "pruned", 2)),
    (node(8, 4, "!", "cut", 3), node(9, 6, "?", "cut", 3), node(10, 6, ".", "pruned", 3)),
)


@pytest.fixture
def tree(dressed: Any, qtbot: Any) -> BeamTree:
    made = BeamTree()
    qtbot.addWidget(made)
    made.resize(640, 300)
    made.show()
    made.add(STEPS)
    return made


def test_the_tree_knows_the_way_to_every_node(tree: BeamTree) -> None:
    assert tree.path(8) == [0, 4, 8] and tree.text(8) == "A x!"
    assert tree.path(77) == [] and tree.node(5) == STEPS[1][1]
    assert "ends here, by the model's own token" in tree.tip(STEPS[1][1]) and "-6.0000" in tree.tip(STEPS[1][1])
    assert shown_text(" a\nb") == "·a⏎b" and shown_text("") == "∅"


def test_a_press_picks_a_node_and_a_drag_does_not(tree: BeamTree, qtbot: Any) -> None:
    place = tree._box(4).center().toPoint()
    with qtbot.waitSignal(tree.picked) as told:
        qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert told.args == [4]
    with qtbot.assertNotEmitted(tree.picked):
        qtbot.mousePress(tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.mouseMove(tree.viewport(), place + QPoint(40, 0))
        qtbot.mouseRelease(tree.viewport(), Qt.MouseButton.LeftButton, pos=place + QPoint(40, 0))


def test_what_lives_stands_above_what_fell_out_and_zooming_keeps_its_place(tree: BeamTree) -> None:
    assert tree._box(5).top() < tree._box(6).top() < tree._box(7).top()
    tree.resize(160, 90)
    tree.zoom_by(2.0, QPointF(tree._box(4).center()))
    assert tree.horizontalScrollBar().maximum() > 0
    about = QPointF(tree._box(4).center())
    tree.zoom_by(0.9, about)
    assert (tree._box(4).center() - about).manhattanLength() < 12
    tree.zoom_by(100)
    assert tree.zoom == 2.0
    tree.show_steps(())
    assert tree.path(8) == []


@pytest.fixture
def page(dressed: Any, qtbot: Any, home: Home) -> Iterator[BeamPage]:
    from tests.gui.desks import Told

    session = Session(home)
    desk = Told(session)
    session.start()
    session.load("starter").result(60)
    made = BeamPage(desk)  # type: ignore[arg-type]
    desk.bridge.received.connect(made.handle)
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    yield made
    session.close()
    desk.bridge.flush()


def test_a_search_fills_the_tree_and_opens_again(page: BeamPage, qtbot: Any) -> None:
    assert not page.run.isEnabled()
    page.prompt.setPlainText("Repeat: red green blue")
    qtbot.waitUntil(page.run.isEnabled)
    page.form.rows["width"].control.setValue(3)
    qtbot.mouseClick(page.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.search is not None and page.search.state == "done")
    search = page.search
    assert search is not None and len(search.beams) == 3 == page.beams.count()
    assert search.beams[0].text.strip() == "red green blue" and "red green blue" in page.beams.item(0).text()
    assert page.tree._chosen == page.tree.path(search.beams[0].node)
    assert page.tree.node(search.beams[0].node).token_id == search.beams[0].token_ids[-1]  # type: ignore[union-attr]
    page._picked(search.beams[1].node)
    assert page.beams.currentRow() == 1
    qtbot.waitUntil(lambda: page.earlier.count() == 1)
    page.prompt.clear()
    page.tree.show_steps(())
    page.open(session_id=search.session_id)
    qtbot.waitUntil(lambda: page.prompt.toPlainText() == "Repeat: red green blue")
    assert page.search == search and page.tree.path(search.beams[2].node)
    page.beams.setCurrentRow(2)
    qtbot.mouseClick(page.chat, Qt.MouseButton.LeftButton)
    desk: Any = page.desk
    (opened,) = desk.opened
    assert opened[0] == "chat"
    chat = desk.session.chat(opened[1]["chat_id"]).result(20)
    assert chat.messages[0].content == "Repeat: red green blue"
    assert chat.messages[1].reply_start == search.beams[2].text


def test_what_goes_wrong_is_a_sentence(page: BeamPage, qtbot: Any) -> None:
    page.prompt.setPlainText("Hello")
    qtbot.waitUntil(page.run.isEnabled)
    page.form.rows["width"].control.setValue(40)
    qtbot.mouseClick(page.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "40 beams were asked for" in page.state.text())
    assert page.run.text() == "Search" and not page.chat.isEnabled()


def test_of_a_search_that_found_nothing_no_chat_goes_on_with_what_was_chosen_before(page: BeamPage, qtbot: Any) -> None:
    page.prompt.setPlainText("Hello")
    qtbot.waitUntil(page.run.isEnabled)
    page.form.rows["max_tokens"].control.setValue(2)
    qtbot.mouseClick(page.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.chat.isEnabled)
    page.form.rows["width"].control.setValue(40)
    qtbot.mouseClick(page.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "40 beams were asked for" in page.state.text() and page.run.text() == "Search")
    assert not page.chat.isEnabled()
