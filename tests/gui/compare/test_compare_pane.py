"""The text of a column: every character belongs to a token, in every alphabet."""

from __future__ import annotations

import random

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QHelpEvent, QTextCursor
from PySide6.QtWidgets import QApplication, QToolTip

from playground.gui.widgets.compare_pane import ReplyPane, percent
from playground.history.records import TokenRow


def token(text: str, probability: float = 0.5) -> TokenRow:
    return TokenRow(0, 1, text, -1.0, probability, 2.0, ((1, text, -1.0, probability), (2, "owl", -2.0, 0.1)))


@pytest.fixture
def pane(qtbot, dressed):
    made = ReplyPane()
    qtbot.addWidget(made)
    made.resize(300, 200)
    made.show()
    return made


WORDS = ["Ein", " Füchs", "lein", " 🦊", "", "🦊 ", "\n", "line", "\r", "two", " 狐", "."]


@pytest.mark.parametrize("colours", ["plain", "probability", "entropy"])
def test_every_token_is_where_its_text_is(pane, colours) -> None:
    pane.set_colours(colours)
    pane.clear_reply("Given: ")
    for word in WORDS:
        pane.add([token(word)])
        pane.flush()
    shown = pane.toPlainText()
    assert shown == "Given: " + "".join(WORDS).replace("\r", "\n")
    units = shown.encode("utf-16-le")
    for index, word in enumerate(WORDS):
        start, end = pane._place(index), pane._place(index + 1)
        assert units[2 * start : 2 * end].decode("utf-16-le") == word.replace("\r", "\n")


def test_marks_and_what_is_dim(pane) -> None:
    pane.add([token(word) for word in ("Once", " upon", " a", " fox")])
    pane.set_overlay(2, [(2, "here it parts")])
    pane.flush()
    dim, mark = pane.extraSelections()
    assert dim.cursor.selectedText() == "Once upon"
    assert mark.cursor.selectedText() == " a"
    assert pane.tip(2).startswith("here it parts")
    assert "“owl”" in pane.tip(3)


def test_the_colours_can_be_changed_when_it_is_written(pane) -> None:
    pane.add([token("sure", 1.0), token(" unsure", 0.01)])
    pane.flush()
    pane.set_colours("probability")
    assert pane.behind
    pane.flush()
    step = pane.document().begin().begin()
    alphas = []
    while not step.atEnd():
        alphas.append(step.fragment().charFormat().background().color().alpha())
        step += 1
    assert alphas[0] == 0
    assert alphas[1] > 60


def test_a_stop_string_is_taken_away_at_the_end(pane) -> None:
    pane.add([token("a fox"), token(" ST")])
    pane.flush()
    pane.settle("a fox")
    pane.flush()
    assert pane.toPlainText() == "a fox"


def test_it_follows_while_it_is_written_unless_somebody_reads_further_up(pane) -> None:
    pane.set_writing(True)
    pane.add([token(f"line {number}\n") for number in range(60)])
    pane.flush()
    bar = pane.verticalScrollBar()
    assert bar.value() == bar.maximum() > 0
    bar.setValue(10)
    pane.add([token("more\n")])
    pane.flush()
    assert bar.value() == 10


def test_probabilities_keep_the_digits_that_tell() -> None:
    assert [percent(each) for each in (0.0123, 0.5, 0.9951, 1.0)] == ["1.2%", "50%", "99.5%", "100%"]


def test_a_mark_ends_where_its_token_does_whatever_is_written_next(pane: ReplyPane) -> None:
    pane.add([token("Sure"), token(" was")])
    pane.set_overlay(1, [(1, "")])
    pane.flush()
    pane.add([token(" a"), token(" fox")])
    pane.flush()
    assert [each.cursor.selectedText() for each in pane.extraSelections()] == ["Sure", " was"]


# -- a paragraph of 2,000 tokens: written in blocks that look like one


def paragraph(count: int = 700) -> list[TokenRow]:
    dice = random.Random(3)
    words = [
        " fox",
        " Fü",
        "chs",
        " 🦊",
        " the",
        ",",
        " village",
        " של",
        "ום",
        " it",
        "\t",
        " a-very-long-word-that-is-torn-somewhere",
    ]
    return [token(dice.choice(words), dice.random()) for _ in range(count)]


def written(qtbot, tokens, colours: str = "plain", step: int = 23, writing: bool = True, start: str = "Given: ") -> ReplyPane:
    made = ReplyPane()
    qtbot.addWidget(made)
    made.resize(300, 400)
    made.show()
    made.set_colours(colours)
    made.set_writing(writing)
    made.clear_reply(start)
    for first in range(0, len(tokens), step):
        made.add(tokens[first : first + step])
        if first + step > 420:
            made.set_overlay(30, [(30, "here"), (400, "there")])
        made.flush()
    made.set_writing(False)
    return made


@pytest.mark.parametrize("colours", ["plain", "probability"])
def test_a_long_paragraph_looks_the_same_however_it_was_written(qtbot, dressed, colours) -> None:
    tokens = paragraph()
    grown, whole = written(qtbot, tokens, colours), written(qtbot, tokens, colours, len(tokens), writing=False)
    assert whole.document().blockCount() == 1
    assert max(block_lengths(grown)) < len(whole.toPlainText()) / 4, "each token lays only the last block out"
    assert grown.toPlainText() == whole.toPlainText() == "Given: " + "".join(each.text for each in tokens)
    assert [each.cursor.selectedText() for each in grown.extraSelections()] == [
        each.cursor.selectedText() for each in whole.extraSelections()
    ]
    for width in (300, 417):  # and at another width
        for pane in (grown, whole):
            pane.resize(width, 400)
        bars = [pane.verticalScrollBar() for pane in (grown, whole)]
        assert bars[0].maximum() == bars[1].maximum() > 1000
        for share in (0.0, 0.37, 1.0):
            for bar in bars:
                bar.setValue(round(share * bar.maximum()))
            assert grown.grab().toImage() == whole.grab().toImage()
            for point in (QPoint(x, y) for x in (3, 140, 270) for y in range(5, 400, 37)):
                assert grown.token_at(point) == whole.token_at(point)
            for index in range(0, len(tokens), 50):
                assert grown.token_rect(index) == whole.token_rect(index)


def block_lengths(pane: ReplyPane) -> list[int]:
    block, found = pane.document().begin(), []
    while block.isValid():
        found.append(block.length())
        block = block.next()
    return found


def test_what_is_copied_of_a_long_paragraph_is_one(qtbot, dressed) -> None:
    pane = written(qtbot, paragraph())
    pane.set_writing(True)
    pane.add([token("\nThe end.")])
    pane.flush()
    first, last = pane.toPlainText().split("\n")
    pane.selectAll()
    pane.copy()
    assert QGuiApplication.clipboard().text() == f"{first}\n{last}"
    assert QGuiApplication.clipboard().mimeData().html().count("<p ") == 2
    bar = pane.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    where = QPoint(100, 200)
    qtbot.mouseDClick(pane.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.mouseClick(pane.viewport(), Qt.MouseButton.LeftButton, pos=where)  # the third of three
    pane.copy()
    assert QGuiApplication.clipboard().text().rstrip("\n") == first


def test_the_next_paragraph_has_its_own_direction(qtbot, dressed) -> None:
    pane = written(qtbot, [token("של"), *paragraph()], start="")
    pane.set_writing(True)
    pane.add([token("\n"), token(" fox"), token("\n")])
    pane.flush()
    pane.add([token("שלום")])
    pane.flush()
    block, found = pane.document().lastBlock(), []
    for _ in range(4):
        found.append(block.textDirection().name)
        block = block.previous()
    assert found == ["RightToLeft", "LeftToRight", "RightToLeft", "RightToLeft"]


def test_a_selection_stays_while_the_paragraph_is_written(qtbot, dressed) -> None:
    tokens = paragraph()
    pane = written(qtbot, tokens[:300])
    cursor = pane.textCursor()
    cursor.setPosition(40)
    cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
    cursor.setKeepPositionOnInsert(True)
    pane.setTextCursor(cursor)
    chosen = pane.createMimeDataFromSelection().text()
    pane.set_writing(True)
    pane.add(tokens[300:])
    pane.flush()
    assert pane.createMimeDataFromSelection().text() == chosen


def test_hovering_and_pressing_tell_of_the_token_in_a_long_paragraph(qtbot, dressed) -> None:
    tokens = paragraph()
    pane = written(qtbot, tokens)
    bar = pane.verticalScrollBar()
    bar.setValue(bar.maximum())
    index = next(place for place in range(len(tokens) - 20, len(tokens)) if tokens[place].text == " village")
    rect = pane.token_rect(index + 1)
    point = QPoint(rect.x() - 8, rect.center().y())
    assert pane.token_at(point) == index
    with qtbot.waitSignal(pane.token_pressed) as pressed:
        qtbot.mouseClick(pane.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert pressed.args == [index]
    QApplication.sendEvent(pane.viewport(), QHelpEvent(QEvent.Type.ToolTip, point, pane.viewport().mapToGlobal(point)))
    assert QToolTip.text().startswith(f"Token {index + 1}: “ village”")
    QToolTip.hideText()
