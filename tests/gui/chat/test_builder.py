"""The prompt builder: examples typed, pasted, reordered; the prompt as the model gets it; drafts that outlive the page."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QScrollArea

from playground.decoding.prompt_drafts import CUE, READY, Example
from playground.gui.pages.builder import BuilderPage
from playground.paths import Home
from playground.session import Session
from tests.gui.desks import Told


@pytest.fixture
def desk(dressed: Any, home: Home) -> Iterator[Told]:
    session = Session(home)
    told = Told(session)
    session.start()
    yield told
    session.close()
    told.bridge.flush()


def page_on(desk: Any, qtbot: Any) -> BuilderPage:
    made = BuilderPage(desk)
    desk.bridge.received.connect(made.handle)
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    return made


@pytest.fixture
def page(desk: Told, qtbot: Any) -> BuilderPage:
    return page_on(desk, qtbot)


def test_no_field_is_out_of_reach_in_a_small_window(page: BuilderPage, qtbot: Any) -> None:
    page.resize(896, 600)
    page.show()
    qtbot.waitUntil(lambda: page.isVisible() and page.width() == 896)
    area = next(each for each in page.findChildren(QScrollArea) if each.isAncestorOf(page.choice))
    qtbot.waitUntil(lambda: area.widget().width() <= area.viewport().width())


def test_examples_are_typed_pasted_imported_and_reordered(page: BuilderPage, desk: Told, qtbot: Any, tmp_path: Path) -> None:
    table = page.fields.examples
    table.show_examples([Example("one", "eins"), Example("two", "zwei\nzwo")])
    QGuiApplication.clipboard().setText("three\tdrei\nfour\tvier\n")
    qtbot.keyClick(table, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert [each.input for each in page.draft.examples] == ["one", "two", "three", "four"]
    assert page.draft.examples[1].output == "zwei\nzwo", "a line break is not lost"
    table.setCurrentCell(3, 0)
    qtbot.keyClick(table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert [each.input for each in page.draft.examples] == ["one", "two", "four", "three"]
    table.verticalHeader().moveSection(0, 3)
    assert [each.input for each in page.draft.examples] == ["two", "four", "three", "one"]
    table.setCurrentCell(0, 0)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert [each.input for each in page.draft.examples] == ["two", "four", "three"]
    (tmp_path / "more.csv").write_text("input,output\nfive,fünf\n", encoding="utf-8")
    page.fields.import_file(tmp_path / "more.csv")
    assert page.draft.examples[-1] == Example("five", "fünf")
    (tmp_path / "more.csv").write_text("five\n", encoding="utf-8")
    page.fields.import_file(tmp_path / "more.csv")
    assert "more.csv: Row 1" in desk.said[-1][0] and len(page.draft.examples) == 4


def test_the_prompt_is_shown_as_the_model_gets_it_with_its_tokens(page: BuilderPage, desk: Told, qtbot: Any) -> None:
    assert "Class: negative" in page.preview.toPlainText() and not page.chat.isEnabled()
    desk.session.load("starter").result(60)
    qtbot.waitUntil(lambda: "of 1,024 tokens, 3-shot" in page.said.text())
    assert page.preview.toPlainText().count("<|im_start|>assistant") == 4
    before = page.gauge.value()
    page.fields.shots.setValue(1)
    qtbot.waitUntil(lambda: "one-shot" in page.said.text())
    assert 0 < page.gauge.value() < before
    page.form.setCurrentIndex(1)
    qtbot.waitUntil(lambda: page.preview.toPlainText().count("<|im_start|>assistant") == 1)
    page.fields.cot.setChecked(True)
    qtbot.waitUntil(lambda: CUE in page.preview.toPlainText())
    page.fields.variables["labels"].setText("")
    qtbot.waitUntil(lambda: "no value for labels" in page.said.text())
    page.fields.query.setPlainText("word " * 2000)
    qtbot.waitUntil(lambda: "does not fit" in page.said.text())
    assert not page.chat.isEnabled()


def test_a_count_that_comes_late_is_told_of_the_prompt_it_counts(
    page: BuilderPage, desk: Told, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.session.load("starter").result(60)
    qtbot.waitUntil(lambda: "of 1,024 tokens, 3-shot" in page.said.text())
    asked: list[Future[Any]] = []
    monkeypatch.setattr(desk.session.lab, "tokenize", lambda *_, **__: asked.append(Future()) or asked[-1])
    page.fields.query.setPlainText("Is it good?")
    qtbot.waitUntil(lambda: len(asked) == 1)
    page.fields.shots.setValue(1)
    asked[0].set_result(SimpleNamespace(text="three examples", tokens=range(701)))
    qtbot.waitUntil(lambda: "701 of" in page.said.text() or len(asked) == 2)
    assert "one-shot" not in page.said.text()
    qtbot.waitUntil(lambda: len(asked) == 2)
    asked[1].set_result(SimpleNamespace(text="one example", tokens=range(88)))
    qtbot.waitUntil(lambda: page.said.text() == "88 of 1,024 tokens, one-shot")


def test_what_was_made_is_there_again_and_ready_made_ones_stay_as_they_are(page: BuilderPage, desk: Told, qtbot: Any) -> None:
    page.fields.query.setPlainText("My own question")
    page.fields.instruction.setPlainText("Say {what}.")
    page.fields.variables["what"].setText("hello")
    page.hide()  # at once, before the timer
    other = page_on(desk, qtbot)
    qtbot.waitUntil(lambda: other.draft.query == "My own question")
    assert other.draft.variables["what"] == "hello" and other.fields.variables["what"].text() == "hello"
    kept = other.draft_id
    other.choice.setCurrentIndex(other.choice.findText(f"Ready-made: {READY[0].title}"))
    other._choose(other.choice.currentIndex())
    assert other.draft == READY[0] and not other.draft_id
    qtbot.waitUntil(lambda: other.choice.itemData(0) == ("kept", kept))
    other._choose(0)
    assert other.draft.query == "My own question"
    qtbot.mouseClick(other.remove, Qt.MouseButton.LeftButton)
    assert desk.session.drafts.all().result(20) == []
    desk.said[-1][-1]()
    assert [name for name, _ in desk.session.drafts.all().result(20)] == [kept]


def test_it_is_asked_in_a_chat_and_in_a_comparison(page: BuilderPage, desk: Told, qtbot: Any) -> None:
    desk.session.load("starter").result(60)
    qtbot.waitUntil(page.chat.isEnabled)
    qtbot.mouseClick(page.chat, Qt.MouseButton.LeftButton)
    name, arguments = desk.opened[-1]
    chat = desk.session.chat(arguments["chat_id"]).result(20)
    assert name == "chat" and chat.session.system.startswith("Decide whether the text is positive")
    assert [message.role for message in chat.messages] == ["user", "assistant"] * 4
    assert chat.messages[1].content == "Class: negative"
    desk.session.stop()
    qtbot.mouseClick(page.compare, Qt.MouseButton.LeftButton)
    name, arguments = desk.opened[-1]
    compared = desk.session.chat(arguments["comparison_id"]).result(20).session
    assert name == "compare" and compared.prompt.count("Text:") == 4 and compared.prompt.endswith("Class:")


def test_another_draft_brings_values_of_its_own(page: BuilderPage) -> None:
    ready = next(each for each in READY if len(each.variables) > 1)
    page.show_draft(replace(ready, variables=dict.fromkeys(ready.variables, "mine")), "one")
    page.show_draft(ready)
    assert page.draft == ready and not page.draft_id
    assert {name: field.text() for name, field in page.fields.variables.items()} == ready.variables
    page.keep_now()
    assert not page.draft_id, "it was not edited"
