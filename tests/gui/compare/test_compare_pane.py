"""The text of a column: every character belongs to a token, in every alphabet."""

from __future__ import annotations

import pytest

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
