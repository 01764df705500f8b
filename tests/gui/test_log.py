"""The log page: a table that sorts, filters and fetches on, and a pane that shows one generation whole."""

from __future__ import annotations

import dataclasses
import json

import pytest
from fake_session import FakeSession
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QTableView, QWidget

from playground.errors import PlaygroundError, StorageError
from playground.events import ReplayResult, StoreReady
from playground.gui.pages.log import LogPage
from playground.gui.widgets.log_model import (
    COLUMNS,
    ENDED,
    PROMPT,
    TOKENS,
    WHEN,
    LogModel,
    differences,
    prompt_start,
    when_text,
)
from playground.history.records import GenerationRow
from playground.params import SamplingSettings


@pytest.fixture
def talked(session: FakeSession) -> FakeSession:
    for number in range(30):
        session.add_chat(
            f"Chat {number}", f"Question number {number}" + " zebra" * (number == 7), "word " * (number + 1), age_s=number * 60
        )
    return session


@pytest.fixture
def page(talked, window, qtbot) -> LogPage:
    window.open("log")
    made = window.pages["log"]
    qtbot.waitUntil(lambda: made.table.model().rowCount() == 30)
    return made


def column(page: LogPage, place: int) -> list[str]:
    model = page.table.model()
    return [model.index(row, place).data() for row in range(model.rowCount())]


def select(page: LogPage, row: int) -> None:
    page.table.selectRow(row)


def test_the_newest_comes_first_and_any_column_sorts(page) -> None:
    assert column(page, PROMPT)[0] == "Question number 0"
    page.table.sortByColumn(TOKENS, Qt.SortOrder.AscendingOrder)
    numbers = [int(each) for each in column(page, TOKENS)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 30


def test_the_filter_wants_all_its_words(page, qtbot) -> None:
    page.filter.setText("ZEBRA quest")
    qtbot.waitUntil(lambda: column(page, PROMPT) == ["Question number 7 zebra"])
    assert page.count.text() == "1 of 30"
    page.filter.setText("")
    qtbot.waitUntil(lambda: page.table.model().rowCount() == 30)


def test_one_generation_is_shown_whole(page, qtbot) -> None:
    select(page, 4)
    qtbot.waitUntil(lambda: page.detail.reply_text() == "word " * 5)
    assert page.detail.isVisible()
    settings = page.findChild(QWidget, "log.settings").toPlainText()
    assert "temperature" in settings
    assert "Question number 4" in page.findChild(QWidget, "log.prompt").toPlainText()
    page.detail.colours.setChecked(True)
    page.findChild(QAbstractButton, "log.copy").click()
    assert QApplication.clipboard().text() == "word " * 5
    page.findChild(QAbstractButton, "log.detail.close").click()
    assert not page.detail.isVisible()


def test_a_moved_slider_is_in_the_timeline(page, qtbot) -> None:
    select(page, 29)
    qtbot.waitUntil(lambda: "from token" in page.findChild(QWidget, "log.settings").toPlainText())


def test_replay_says_identical_or_where_it_parts(page, qtbot) -> None:
    select(page, 0)
    page.findChild(QAbstractButton, "log.replay").click()
    outcome = page.findChild(QLabel, "log.replay.outcome")
    qtbot.waitUntil(lambda: outcome.text().startswith("Identical"))
    page.detail.show_replay(ReplayResult("g", False, 17, 40, "a", "b", "Another engine build wrote it."))
    assert outcome.text() == "The first difference is at token 17. Another engine build wrote it."


def test_open_in_chat(page, window, session, qtbot) -> None:
    select(page, 2)
    wanted = page.detail.row
    page.findChild(QAbstractButton, "log.open").click()
    assert window.page == "chat"
    qtbot.waitUntil(lambda: window.pages["chat"].chat_id == wanted.session_id)


def test_a_reply_of_a_comparison_opens_the_comparison(page, window, session, qtbot) -> None:
    from playground.history.records import Column

    columns = [Column("left", label="left"), Column("right", label="right")]
    comparison = session.compare.new("Tell me", columns=columns)
    session.compare.run(comparison)
    made = session._generations  # grows on another thread
    qtbot.waitUntil(lambda: any(g.column_id == "right" and g.state == "end" for g in tuple(made.values())))
    newest = next(g for g in tuple(made.values()) if g.column_id == "right")
    qtbot.waitUntil(lambda: page._model.place_of(newest.id) >= 0)
    page.open(newest.id)
    button = page.findChild(QAbstractButton, "log.open")
    qtbot.waitUntil(lambda: button.text() == "Comparison")
    assert "comparison" in button.toolTip()
    page.resize(896, 600)
    qtbot.waitUntil(lambda: button.isVisible() and button.width() >= button.sizeHint().width())
    button.click()
    assert window.page == "compare"
    qtbot.waitUntil(lambda: window.pages["compare"].comparison_id == comparison)


def test_export_writes_the_record(page, window, tmp_path, qtbot) -> None:
    select(page, 1)
    file = tmp_path / "one.json"
    page.export(page.detail.row, file)
    qtbot.waitUntil(lambda: file.exists() and bool(window.notices()))
    written = json.loads(file.read_text())
    assert written["generation"]["id"] == page.detail.row.id
    assert len(written["tokens"]) == page.detail.row.completion_tokens
    page.export(page.detail.row, tmp_path)
    qtbot.waitUntil(lambda: any("could not be written" in each for each in window.notices()))


def test_a_new_reply_appears_by_itself(page, session, qtbot) -> None:
    session.script("Hello there.")
    session.send("", "A new question")
    qtbot.waitUntil(lambda: column(page, PROMPT)[0] == "A new question" and column(page, ENDED)[0] == "Finished")
    assert page.table.model().rowCount() == 31


def test_nothing_yet_says_what_to_do(window, qtbot) -> None:
    window.open("log")
    page = window.pages["log"]
    way_out = page.findChild(QAbstractButton, "log.way_out")
    qtbot.waitUntil(lambda: way_out.isVisible())
    way_out.click()
    assert window.page == "chat"


def test_a_log_that_cannot_be_read_offers_another_try(window, session, qtbot, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise StorageError("The database is damaged.", "Restore it from a copy.")

    real = session.generations
    monkeypatch.setattr(session, "generations", lambda *_: session._future(broken))
    window.open("log")
    page = window.pages["log"]
    way_out = page.findChild(QAbstractButton, "log.way_out")
    qtbot.waitUntil(lambda: way_out.text() == "Try again")
    monkeypatch.setattr(session, "generations", real)
    session.add_chat("One", "Question", "Answer")
    way_out.click()
    qtbot.waitUntil(lambda: page.table.model().rowCount() == 1)


def test_opened_before_the_database_is_it_is_read_when_that_is_there(window, session, qtbot, monkeypatch) -> None:
    def closed(*_: object) -> None:
        raise PlaygroundError("The database is not open yet.", "Try again in a moment.")

    session.add_chat("One", "Question", "Answer")
    real = session.generations
    monkeypatch.setattr(session, "generations", closed)
    window.open("log")
    page = window.pages["log"]
    assert page.table.model().rowCount() == 0
    monkeypatch.setattr(session, "generations", real)
    window.handle(StoreReady())
    qtbot.waitUntil(lambda: page.table.model().rowCount() == 1)


def test_it_is_fetched_in_pages(window, session, qtbot, monkeypatch) -> None:
    rows = [
        GenerationRow(f"g{n:05}", "s", "m", "p", "starter", "", "llama.cpp", "1", "CPU", started=1e9 - n, prompt=f"number {n}")
        for n in range(1000)
    ]
    monkeypatch.setattr(session, "generations", lambda limit, offset: session._future(lambda: rows[offset : offset + limit]))
    window.open("log")
    page = window.pages["log"]
    table = page.findChild(QTableView, "log.table")
    qtbot.waitUntil(lambda: table.model().rowCount() == 200)
    assert page.count.text() == "200 generations so far"
    table.scrollToBottom()
    table.model().fetchMore(table.rootIndex())
    qtbot.waitUntil(lambda: table.model().rowCount() >= 400)
    page.filter.setText("number 999")
    qtbot.waitUntil(lambda: page.count.text() == "1 of 1,000")


def test_a_generation_is_selected_when_the_page_is_made_for_it(talked, window, qtbot) -> None:
    wanted = list(talked._generations)[20]
    window.open("log", generation_id=wanted)
    page = window.pages["log"]
    qtbot.waitUntil(lambda: page.detail.row is not None and page.detail.row.id == wanted)
    assert page.detail.isVisible()


def test_no_generation_is_left_out_because_another_one_came_while_a_page_was_read(dressed) -> None:
    rows = [
        GenerationRow(f"g{n:05}", "s", "m", "p", "starter", "", "llama.cpp", "1", "CPU", started=1e9 - n) for n in range(500)
    ]
    model, asked = LogModel(), []
    model.more_wanted.connect(lambda limit, offset: asked.append((limit, offset)))
    model.fetchMore(QModelIndex())
    model.put(rows[0])  # told of while it was being read with the others
    model.add_page(rows[:200])
    model.fetchMore(QModelIndex())
    limit, offset = asked[-1]
    model.add_page(rows[offset : offset + limit])
    assert all(model.place_of(row.id) >= 0 for row in rows[:400])


@pytest.mark.parametrize(
    ("rendered", "asked"),
    [
        ("<|user|>\nHello<|end|>\n<|assistant|>\n", "Hello"),
        ("<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n", "Why?"),
        ("<s>[INST] Count to three [/INST]", "Count to three"),
        ("<start_of_turn>user\nSing<end_of_turn>\n<start_of_turn>model\n", "Sing"),
        ("", ""),
        ("plain text", "plain text"),
    ],
)
def test_the_question_is_found_in_a_rendered_prompt(rendered: str, asked: str) -> None:
    assert prompt_start(rendered) == asked


def test_short_forms() -> None:
    assert differences(SamplingSettings()) == ""
    assert differences(SamplingSettings(temperature=0.2, top_k=0, stop=("\n",))) == "temp 0.2, top-k 0, stop \\n"
    assert when_text(0, 10**9).endswith("1970")
    assert len(COLUMNS) == 9
    row = GenerationRow("g", "s", "m", "p", "n", "", "e", "1", "CPU", started=5.0)
    assert COLUMNS[WHEN].sort(dataclasses.replace(row, started=6.0)) == 6.0
