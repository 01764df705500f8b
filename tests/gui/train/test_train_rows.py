"""The rows of a file before they are trained on: read, corrected, mended, shown as tokens; what comes of it is what is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from playground.training.datasets import rows_of

LINES = [
    "frage;antwort",
    *(f"What is {each} + 1?;It is {each + 1}, I think." for each in range(8)),
    "And now?;",
    "Who are you?;me@mail.org, a person",
]


@pytest.fixture
def rows(window, qtbot, tmp_path: Path):
    file = tmp_path / "talk.csv"
    file.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    window.open("train", data=str(file))
    page = window.pages["train"]
    qtbot.waitUntil(lambda: page.setup.look.isEnabled())
    page.setup.look.click()
    qtbot.waitUntil(lambda: page.data._rows.look is not None)
    return page.data._rows


def find(rows: QWidget, name: str):
    found = rows.window().findChild(QWidget, name)
    assert found is not None, name
    return found


def choose(rows, qtbot, name: str, value: str) -> None:
    """Chooses in a combo box, and waits for the file to be read again."""
    box, before = find(rows, name), rows.look
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())
    qtbot.waitUntil(lambda: rows.look is not before)


def test_a_guess_is_corrected_and_what_is_shown_is_what_is_trained(rows, window, session, qtbot) -> None:
    if find(rows, "train.rows.schema").currentData() != "answers":
        choose(rows, qtbot, "train.rows.schema", "answers")
    assert find(rows, "train.rows.column.answer").currentData() == "antwort"
    assert find(rows, "train.rows.what").text() == "9 of 10 rows will be trained on"
    choose(rows, qtbot, "train.rows.fix.e-mail-address", "skip")
    assert find(rows, "train.rows.what").text() == "8 of 10 rows will be trained on"
    qtbot.waitUntil(lambda: len(rows.tokens.learned()) == 8)
    assert rows.tokens.learned()[0].strip() == "It is 1, I think.</s>"
    qtbot.waitUntil(lambda: "It is 8, I think." in rows.tokens.toPlainText())
    find(rows, "train.rows.use").click()
    page = window.pages["train"]
    qtbot.waitUntil(lambda: not rows.isVisible())
    data = find(rows, "train.data").text()
    assert data.startswith("talk@")
    qtbot.waitUntil(lambda: ("plan", data) in [(each[0], each[2]) for each in session.training.asked if each[0] == "plan"])
    made = session.datasets.list().result()[0]
    learned = [row.messages[-1].content for row in rows_of(made.file)]
    assert [each.strip().removesuffix("</s>") for each in rows.tokens.learned()] == learned
    page.setup.look.click()  # and what was corrected is still there
    qtbot.waitUntil(lambda: find(rows, "train.rows.what").text() == "8 of 10 rows will be trained on")


def test_another_way_to_read_is_recognised_anew(rows, session, qtbot) -> None:
    choose(rows, qtbot, "train.rows.delimiter", ",")
    _, _, guess, _, _ = [each for each in session.datasets.asked if each[0] == "look"][-1]
    assert guess.reading.delimiter == ","
    assert rows.look.guess.columns == ("frage;antwort",)


def test_a_row_is_mended_in_place(rows, qtbot) -> None:
    if find(rows, "train.rows.schema").currentData() != "answers":
        choose(rows, qtbot, "train.rows.schema", "answers")
    problems = rows.problems.model.problems
    empty = next(place for place, each in enumerate(problems) if each.kind == "empty answer")
    rows.problems.list.opened.emit(empty)
    qtbot.waitUntil(lambda: rows.edit.isVisible())
    assert json.loads(find(rows, "train.rows.edit.raw").toPlainText())["frage"] == "And now?"
    assert not find(rows, "train.rows.edit.save").isEnabled()
    find(rows, "train.rows.edit.text.1").setPlainText("Now we sail.")
    find(rows, "train.rows.edit.save").click()
    qtbot.waitUntil(lambda: rows.look.kept == 10)
    assert "Now we sail." in json.dumps(rows.look.rows)


def test_what_carries_loss_is_underlined_too(rows, qtbot) -> None:
    """Never by the colour alone."""
    if find(rows, "train.rows.schema").currentData() != "answers":
        choose(rows, qtbot, "train.rows.schema", "answers")
    qtbot.waitUntil(lambda: "It is 8" in rows.tokens.toPlainText())
    marked, block = [], rows.tokens.document().begin()
    while block.isValid():
        iterator = block.begin()
        while not iterator.atEnd():
            fragment = iterator.fragment()
            if fragment.charFormat().fontUnderline():
                marked.append(fragment.text())
            iterator += 1
        block = block.next()
    said = "".join(marked)
    assert "It is 1, I think." in said
    assert "What is" not in said


def test_nothing_of_the_file_before_is_shown_with_another(rows, session, qtbot) -> None:
    if find(rows, "train.rows.schema").currentData() != "answers":
        choose(rows, qtbot, "train.rows.schema", "answers")
    qtbot.waitUntil(lambda: rows.lengths.accessibleDescription() not in ("", "No rows"))
    before = rows.look
    session.datasets.hold = True
    rows.begin("another.jsonl")
    assert rows.lengths.accessibleDescription() == "No rows"
    assert not rows.tokens.learned()
    asked = len(session.datasets.asked)
    rows.show_look(replace(before, kept=0))
    assert "No row is left" in find(rows, "train.rows.preview").text()
    assert len(session.datasets.asked) == asked


def test_nothing_waits_for_a_large_file(rows, session, window, qtbot) -> None:
    session.datasets.hold = True
    rows.begin("large.jsonl")
    assert find(rows, "train.rows.what").text() == "Reading the rows"
    find(rows, "train.rows.stop").click()
    assert session.datasets.asked[-1] == ("cancel",)
    session.datasets.let_go()
    qtbot.waitUntil(lambda: rows.look is not None)


def test_chats_become_a_dataset_or_say_why_not(rows, session, window, qtbot) -> None:
    window.pages["train"].data.open_chats()
    chats = window.findChild(QWidget, "train.chats")
    qtbot.waitUntil(lambda: chats.isVisible())
    find(rows, "train.chats.holds").setText("fox")
    assert chats.filter().holds == "fox"
    chats.wanted.emit(chats.filter())
    qtbot.waitUntil(lambda: "No logged chat fits" in find(rows, "train.chats.what").text())


def test_rows_that_are_kept_while_others_are_looked_at_do_not_take_their_place(rows, window, session, qtbot, tmp_path) -> None:
    if find(rows, "train.rows.schema").currentData() != "answers":
        choose(rows, qtbot, "train.rows.schema", "answers")
    choose(rows, qtbot, "train.rows.fix.e-mail-address", "skip")
    page, data = window.pages["train"], session.datasets
    qtbot.waitUntil(lambda: find(rows, "train.rows.use").isEnabled())
    data.hold = True
    find(rows, "train.rows.use").click()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(LINES[:4]) + "\n", encoding="utf-8")
    with qtbot.assertNotEmitted(page.data.chosen):
        page.data.open_rows(str(other), "", None)
        data.let_go()
        qtbot.waitUntil(lambda: rows.look is not None and rows.look.read == 3)
    assert rows.isVisible()
