"""Columns side by side on the real thing, by object names: steered one by one, stopped one by one, and there again after a restart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playground.paths import Home

from .conftest import Driver, Opens

STORY = "Tell me a long story about a fox named Pepper."
PICTURE = ("parting", "timeline", "tokens", "distinct", "repetition", "logprob", "entropy")


def begin(driver: Driver, pace: float = 6) -> None:
    """Four columns that are being written, slowly enough for a hand."""
    driver.click("rail.compare")
    driver.until(lambda: driver.find("compare.start.temperature").isVisible())
    driver.click("compare.start.temperature")
    driver.window.session.set_pace(pace)
    driver.find("compare.prompt").setPlainText(STORY)
    driver.click("compare.run")
    driver.until(lambda: len(counts(driver)) == 4 and min(counts(driver).values()) >= 3)


def counts(driver: Driver) -> dict[int, int]:
    """Tokens in the database, by the column's place."""
    found = driver.rows(
        "select g.sequence, count(t.idx) from generations g join tokens t on t.generation_id = g.id group by g.id"
    )
    return dict(found)


def timelines(driver: Driver) -> dict[int, list[Any]]:
    return {place: json.loads(line or "[]") for place, line in driver.rows("select sequence, timeline from generations")}


def states(driver: Driver) -> dict[int, str]:
    return dict(driver.rows("select sequence, state from generations"))


def picture(driver: Driver) -> list[tuple[str, ...]]:
    """What is to be seen of each column."""
    return [
        (
            driver.find(f"compare.column.{number}.text").toPlainText(),
            f"{driver.find(f'compare.column.{number}.temperature').value():g}",
            *(driver.find(f"compare.column.{number}.{name}").text() for name in PICTURE),
        )
        for number in range(1, 5)
    ]


def test_one_column_is_steered_one_is_stopped_and_all_of_it_is_there_again(open_window: Opens, home: Home) -> None:
    driver = open_window(home)
    window = driver.window
    window.resize(1280, 800)
    driver.until(lambda: window.session.model.state == "ready")
    begin(driver)
    driver.find("compare.column.3.temperature").setValue(0.25)
    driver.until(lambda: timelines(driver)[2])
    assert {place: len(entries) for place, entries in timelines(driver).items()} == {0: 0, 1: 0, 2: 1, 3: 0}
    (entry,) = timelines(driver)[2]
    assert entry["index"] >= 3
    assert entry["settings"]["temperature"] == pytest.approx(0.25)
    driver.until(lambda: "→ 0.25" in driver.find("compare.column.3.timeline").text())
    driver.click("compare.column.2.stop")
    driver.until(lambda: states(driver)[1] == "cancelled")
    before = counts(driver)
    running = [place for place, state in states(driver).items() if state == "streaming"]
    assert len(running) >= 2
    driver.until(lambda: all(counts(driver)[place] > before[place] for place in running))
    assert counts(driver)[1] == before[1]
    window.session.set_pace(0)
    driver.until(lambda: "streaming" not in states(driver).values() and driver.find("compare.run").isEnabled())
    driver.click("compare.vote.3")
    driver.until(lambda: driver.rows("select id from votes"))
    board = window.pages["compare"].ui.board
    driver.until(lambda: board.settled and driver.find("compare.vote.3").isChecked())
    seen = picture(driver)
    contents = dict(driver.rows("select g.sequence, m.content from generations g join messages m on m.id = g.message_id"))
    assert [each[0] for each in seen] == [contents[place] for place in range(4)]
    driver.close()

    again = open_window(home)
    window = again.window
    window.resize(1280, 800)
    again.until(lambda: window.page == "compare" and "compare" in window.pages)
    again.until(lambda: window.findChild(type(board), "compare.columns").settled)
    again.until(lambda: again.find("compare.vote.3").isChecked())
    again.until(lambda: picture(again) == seen)
    assert again.find("compare.prompt").toPlainText() == STORY


def test_what_was_written_when_the_window_closed_is_there_again(open_window: Opens, home: Home) -> None:
    driver = open_window(home)
    driver.until(lambda: driver.window.session.model.state == "ready")
    begin(driver)
    driver.close()
    assert set(states(driver).values()) <= {"interrupted", "end"}
    contents = [
        text
        for (text,) in driver.rows(
            "select m.content from generations g join messages m on m.id = g.message_id order by g.sequence"
        )
    ]
    assert all(contents)
    again = open_window(home)
    again.until(lambda: "compare" in again.window.pages)
    again.until(lambda: [again.find(f"compare.column.{number}.text").toPlainText() for number in range(1, 5)] == contents)
    again.until(lambda: again.find("compare.column.1.timeline").text() == "interrupted")
