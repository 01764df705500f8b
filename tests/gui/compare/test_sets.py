"""Many prompts in the window: recognised, run in the background by a real model, paused, looked through, written to a file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from playground.decoding.prompt_lists import Prompt
from playground.gui.widgets.sets_grid import SetModel
from playground.gui.widgets.sets_panel import SetsPanel
from playground.history.records import Column, PromptRow, ResultRow, SessionRow
from playground.params import SamplingSettings
from playground.paths import Home
from playground.session import Session
from tests.gui.desks import Told

SHORT = SamplingSettings(temperature=0.0, max_tokens=4, seed=1)
TWO = (Column("a", SHORT, label="cold"), Column("b", replace(SHORT, temperature=1.0), label="warm"))


@pytest.fixture
def desk(dressed: Any, qtbot: Any, home: Home) -> Iterator[Told]:
    session = Session(home)
    told = Told(session)
    session.start()
    yield told
    session.close()
    told.bridge.flush()


@pytest.fixture
def panel(desk: Any, qtbot: Any) -> SetsPanel:
    made = SetsPanel(desk)
    desk.bridge.received.connect(made.handle)
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


def test_its_columns_stand_together_at_the_top_while_there_are_no_earlier_sets(panel: SetsPanel, qtbot: Any) -> None:
    panel.open(TWO)
    setup = panel.setup
    qtbot.waitUntil(lambda: not setup.earlier.isVisible() and setup.none_yet.isVisible())
    assert setup.start.mapTo(setup, setup.start.rect().bottomLeft()).y() < setup.height() / 2
    assert setup.columns.height() <= setup.columns.heightForWidth(setup.columns.width()) + 2


def test_what_is_pasted_is_recognised_and_what_is_wrong_is_said(panel: SetsPanel, qtbot: Any) -> None:
    panel.open(TWO)
    assert not panel.setup.start.isEnabled()
    panel.setup.text.setPlainText('{"question": "Why?", "id": 1}\n{"question": "How?", "id": 2}')
    qtbot.waitUntil(lambda: panel.setup.found is not None)
    assert "2 prompts, JSON Lines, prompt in “question”; carried on: id" in panel.setup.words.text()
    assert panel.setup.start.text() == "Run 2 × 2"
    assert not panel.setup.start.isEnabled() and panel.setup.start.toolTip() == "Choose a model first"
    panel.setup.text.setPlainText('{"question": "Why?"}\n{"question": 3}')
    qtbot.waitUntil(lambda: panel.setup.found is None)
    assert "line 2" in panel.setup.words.text()


def test_a_set_runs_in_the_background_is_paused_and_goes_on(
    panel: SetsPanel, desk: Told, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, paused = desk.session.prompt_sets._engine, threading.Event()
    batches: list[Any] = []

    def ask(*arguments: Any, real: Any = engine.ask) -> Any:
        """The set is not done before it was paused."""
        batches.append(arguments)
        assert len(batches) < 3 or paused.wait(60)
        return real(*arguments)

    monkeypatch.setattr(engine, "ask", ask)
    desk.session.load("starter").result(60)
    panel.open(TWO, "Be brief.")
    path = tmp_path / "asked.csv"
    path.write_text("prompt,id\n" + "".join(f"Say {number}.,{number}\n" for number in range(40)), encoding="utf-8")
    panel.setup.take_file(path)
    qtbot.waitUntil(lambda: panel.setup.start.isEnabled())
    qtbot.mouseClick(panel.setup.start, Qt.MouseButton.LeftButton)
    sets = desk.session.prompt_sets
    set_id = panel.set_id
    qtbot.waitUntil(lambda: (row := panel.model.row(0)) is not None and len(row[1]) == 2)
    assert panel.head.title.text() == "asked.csv"
    panel.grid.setCurrentIndex(panel.model.index(0, 3))
    result = panel.model.row(0)[1]["b"]  # type: ignore[index]
    assert panel.cell.toPlainText() == result.text and "warm" in panel.facts.text()
    qtbot.mouseClick(panel.bar.hold, Qt.MouseButton.LeftButton)
    paused.set()
    qtbot.waitUntil(lambda: panel.bar.hold.text() == "Go on" and panel.bar.hold.isEnabled())
    done, total = sets.counts(set_id).result(20)
    assert total == 80 and 0 < done < 80
    assert f"{done} of 80 replies · paused" in panel.bar.state.text()
    panel.open(TWO)
    qtbot.waitUntil(lambda: panel.setup.earlier.count() == 1)
    assert f"{done} of 80 done" in panel.setup.earlier.item(0).text()
    panel.open_set(set_id)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 40 and panel.bar.hold.text() == "Go on")
    qtbot.mouseClick(panel.bar.hold, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "80 of 80 replies · done" in panel.bar.state.text())
    assert panel.bar.hold.isHidden()
    panel.export_as("jsonl", str(tmp_path / "out.jsonl"))
    qtbot.waitUntil(lambda: (tmp_path / "out.jsonl").exists())
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({(each["index"], each["column"]) for each in lines}) == len(lines) == 80
    assert lines[0]["more"] == {"id": "0"} and lines[0]["system"] == "Be brief."


def test_ten_thousand_prompts_are_read_where_one_looks(panel: SetsPanel, desk: Told, qtbot: Any) -> None:
    sets = desk.session.prompt_sets
    set_id = sets.new([Prompt(f"Prompt {number}") for number in range(10_000)], TWO)
    for number in (9_990, 9_995):
        desk.session._ledger.write(lambda store, n=number: store.put_result(set_id, ResultRow(n, "a", "end", f"reply {n}")))
    panel.open_set(set_id)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 10_000)
    panel.grid.scrollToBottom()
    qtbot.waitUntil(lambda: panel.model.row(9_995) is not None)
    assert panel.model.index(9_995, 2).data() == "reply 9995" and panel.model.index(9_995, 0).data() == "9,996"
    assert panel.model.row(5_000) is None, "what nobody looked at was not read"
    panel.bar.filter.setText("REPLY 99")
    qtbot.waitUntil(lambda: panel.model.rowCount() == 2)
    panel.grid.scrollToTop()
    qtbot.waitUntil(lambda: panel.model.row(1) is not None)
    assert panel.model.index(1, 1).data() == "Prompt 9995"
    panel.bar.which.setCurrentIndex(panel.bar.which.findData("failed"))
    qtbot.waitUntil(lambda: panel.model.rowCount() == 0)


def test_a_cell_far_below_is_shown_when_its_row_has_been_read(panel: SetsPanel, desk: Told, qtbot: Any) -> None:
    sets = desk.session.prompt_sets
    set_id = sets.new([Prompt(f"Prompt {number}") for number in range(300)], TWO)
    panel.open_set(set_id)
    qtbot.waitUntil(lambda: panel.model.row(0) is not None)
    panel.grid.setCurrentIndex(panel.model.index(0, 1))
    assert panel.cell.toPlainText() == "Prompt 0"
    panel.grid.setCurrentIndex(panel.model.index(299, 1))
    qtbot.waitUntil(lambda: panel.cell.toPlainText() == "Prompt 299")


def test_a_reply_that_comes_while_its_row_is_being_read_is_shown(dressed: Any) -> None:
    asked: list[Any] = []
    model = SetModel(lambda indices, answer: asked.append((indices, answer)))
    model.show_set(TWO, range(2))
    model.index(0, 2).data()
    ((indices, answer),) = asked
    model.put(ResultRow(1, "b", "end", "a fox"))
    answer([(PromptRow(number, f"Prompt {number}"), {}) for number in indices])
    assert model.index(1, 3).data() == "a fox"


def test_prompts_that_are_being_recognised_are_there_when_one_comes_back_from_a_set(
    panel: SetsPanel, desk: Told, qtbot: Any
) -> None:
    set_id = desk.session.prompt_sets.new([Prompt("Why?")], TWO)
    panel.open(TWO)
    panel.setup.source_given.emit("One\nTwo\nThree")
    panel.open_set(set_id)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 1)
    panel.open(TWO)
    qtbot.waitUntil(lambda: panel.setup.found is not None)
    assert len(panel.setup.found.prompts) == 3


def test_a_set_of_an_earlier_run_of_the_program_is_thrown_away(dressed: Any, qtbot: Any, home: Home) -> None:
    before = Session(home)
    before.start()
    before.prompt_sets.new([Prompt("Why?")], TWO, "", "asked.csv")
    before.close()
    session = Session(home)
    desk = Told(session)
    session.start()
    panel = SetsPanel(desk)
    qtbot.addWidget(panel)
    desk.bridge.received.connect(panel.handle)
    try:
        panel.open(TWO)
        qtbot.waitUntil(lambda: panel.setup.earlier.count() == 1)
        panel.setup.unwanted.emit(panel.setup.earlier.item(0).data(Qt.ItemDataRole.UserRole))
        qtbot.waitUntil(lambda: panel.setup.earlier.count() == 0)
    finally:
        session.close()
        desk.bridge.flush()


def test_what_was_left_in_the_middle_is_offered(window: Any, session: Any, qtbot: Any) -> None:
    session.prompt_sets.left = [(SessionRow("s", "prompts", "asked.csv", created=time.time()), 12, 80)]
    window._offer_unfinished()
    qtbot.waitUntil(lambda: any("asked.csv" in each and "12 of 80" in each for each in window.notices()))


def test_the_page_opens_from_the_comparison(window: Any, qtbot: Any) -> None:
    window.open("compare")
    page = window.pages["compare"]
    page.begin_with("temperature")
    qtbot.mouseClick(page.ui.many, Qt.MouseButton.LeftButton)
    assert window.page == "sets"
    sets = window.pages["sets"]
    assert len(sets._columns) == len(page.columns)
    sets.head.closed.emit()
    assert window.page == "compare"
