"""The Inside page in the real window, driven by object names: from a logged reply and from a word of a chat to what was looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from playground.inside.capture import Capture

from .conftest import Driver

STORY = "Tell me a story about a fox named Pepper."


def written(driver: Driver, tokens: int = 24) -> Any:
    """A reply, whole; the chat page."""
    driver.find("sampling.max_tokens").setValue(tokens)
    driver.say(STORY)
    driver.until(lambda: driver.rows("select id from generations where state in ('end', 'length')"))
    page = driver.find("page.chat")
    driver.until(lambda: not page._busy and page.transcript.settled)
    return page


def captures(driver: Driver) -> list[Path]:
    return sorted((driver.home.cache / "captures").glob("*.attention"))


def opened(driver: Driver) -> Any:
    """The text, once the page is there and a capture in it."""
    from PySide6.QtWidgets import QWidget

    driver.until(lambda: captures(driver) and driver.window.findChild(QWidget, "inside.text") is not None)
    return driver.find("inside.text")


def choose(driver: Driver, name: str, value: Any) -> None:
    """One of a box, as a person does: by its line."""
    box = driver.find(name)
    place = box.findData(value)
    assert place >= 0
    box.setCurrentIndex(place)
    box.activated.emit(place)


def click_token(driver: Driver, token: int) -> None:
    from PySide6.QtCore import Qt

    text = driver.find("inside.text")
    text.reveal(token)
    driver.qtbot.mouseClick(text.viewport(), Qt.MouseButton.LeftButton, pos=text.rect_of(token).center().toPoint())


def look_at_a_word(driver: Driver, page: Any) -> None:
    """By the list of a token's alternatives: the page opens at that token."""
    from PySide6.QtCore import Qt

    driver.click("chat.colours")
    reply = page.conversation.last_reply().id
    driver.until(lambda: page.marks_of(reply))
    mark = page.marks_of(reply)[6]
    transcript = driver.find("chat.transcript")

    def shown() -> Any:
        views = (each for each in transcript._views() if each.tokens is not None)
        return next((each for each in views if each.tokens.rect_of(mark) is not None), None)

    driver.until(shown)
    view = shown()
    driver.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.tokens.rect_of(mark).center().toPoint())
    driver.until(lambda: driver.find("alternatives").isVisible())
    driver.click("alternatives.inside")
    text = opened(driver)
    driver.until(lambda: text.weights() is not None)
    (file,) = captures(driver)
    capture = Capture(file)
    choose(driver, "inside.layer", 0)  # it opens with the head that shows most
    choose(driver, "inside.head", 0)

    def places() -> list[int]:
        return [place for place in range(capture.header.length) if np.array_equal(capture.row(0, 0, place), text.weights())]

    driver.until(lambda: len(places()) == 1)
    (chosen,) = places()
    assert capture.header.tokens[chosen].id == mark.token.token_id and capture.header.tokens[chosen].text == mark.token.text
    before = "".join(each.text for each in capture.header.tokens[:chosen])
    assert before.endswith(page.conversation.message(reply).content[: mark.start])
    capture.close()


def test_a_word_of_the_chat_and_its_logged_reply_are_shaded_by_the_numbers_of_the_file(driver: Driver) -> None:
    from PySide6.QtCore import Qt

    look_at_a_word(driver, written(driver))
    (file,) = captures(driver)
    driver.click("rail.log")
    table = driver.find("log.table")
    driver.until(lambda: table.model().rowCount() == 1)
    driver.qtbot.mouseClick(
        table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.model().index(0, 0)).center()
    )
    driver.until(lambda: driver.find("log.inside").isVisible() and driver.find("log.inside").isEnabled())
    driver.click("log.inside")
    text = opened(driver)
    driver.until(lambda: driver.find("page.inside").isVisible() and "inside" not in driver.window.jobs.jobs())
    driver.until(lambda: text.rect_of(0) is not None and text.isVisible())
    assert captures(driver) == [file], "the same reply is the same capture"
    capture = Capture(file)
    header = capture.header
    recorded = [each[0] for each in driver.rows("select token_id from tokens order by idx")]
    assert [each.id for each in header.tokens][-len(recorded) :] == recorded
    last = header.length - 1
    for layer, head, token in ((3, 5, last), (0, 0, 7), (5, 2, last - 6)):
        choose(driver, "inside.layer", layer)
        choose(driver, "inside.head", head)
        click_token(driver, token)
        driver.until(lambda at=token: text.weights() is not None and len(text.weights()) == header.length)
        row = capture.row(layer, head, token)
        assert np.array_equal(text.weights(), row)
        assert np.allclose(text.levels(), np.sqrt(row), atol=1e-6)
        alphas = np.array([each.alphaF() for each in text.colours()])
        assert np.allclose(alphas / alphas.max(), np.sqrt(row) / np.sqrt(row).max(), atol=0.01), "more weight, more colour"
        listed = driver.find("inside.attended").model()
        best = int(np.argmax(row))
        assert listed.index(0, 0).data(Qt.ItemDataRole.UserRole) == best
        click_token(driver, token)  # lets go of it
    click_token(driver, last)
    for mode, expected in (("layer", capture.mean(2)), ("all", capture.mean_of_all()), ("rollout", capture.rollout(2))):
        choose(driver, "inside.mode", mode)
        if mode != "all":
            choose(driver, "inside.layer", 2)
        driver.until(lambda it=expected: text.weights() is not None and np.allclose(text.weights(), it[last], atol=1e-5))
    driver.click("inside.text_direction.to")
    column = capture.rollout(2)[:, last]
    driver.until(lambda: text.weights() is not None and np.allclose(text.weights(), column, atol=1e-5))
    # Deleted behind the program's back: a sentence, and no number from nowhere.
    choose(driver, "inside.mode", "head")
    file.unlink()
    choose(driver, "inside.layer", 4)
    driver.until(lambda: any("is not there any more" in each for each in driver.window.notices()))
    assert text.weights() is None
    capture.close()


def test_what_does_not_fit_is_refused_with_its_size_and_what_is_stopped_leaves_nothing(driver: Driver) -> None:
    written(driver, 4)
    inside = driver.window.session.inside
    inside.limit = 1000
    driver.click("rail.log")
    table = driver.find("log.table")
    driver.until(lambda: table.model().rowCount() == 1)
    table.selectRow(0)
    driver.click("log.inside")
    driver.until(lambda: any("would take" in each and "iB" in each for each in driver.window.notices()))
    assert not captures(driver)
    driver.click("rail.inside")
    driver.click("inside.new")
    driver.find("inside.new_text").setPlainText("The cat sat on the mat. " * 120)
    driver.until(lambda: "would take" in driver.find("inside.new_size").text())
    assert not driver.find("inside.capture").isEnabled()
    inside.limit = 1 << 30
    driver.find("inside.new_exact").setChecked(True)
    driver.until(lambda: driver.find("inside.capture").isEnabled() and "tokens" in driver.find("inside.new_size").text())
    engine = driver.engines()[0]
    engine.suspend()  # it cannot be done before it is told to stop
    try:
        driver.click("inside.capture")
        driver.until(lambda: driver.find("jobs.inside").isVisible())
        driver.click("jobs.inside.cancel")
    finally:
        engine.resume()
    driver.until(lambda: "inside" not in driver.window.jobs.jobs())
    assert not os.listdir(inside.folder)


def test_a_text_of_ones_own_is_captured_seen_and_saved(driver: Driver) -> None:
    from PySide6.QtCore import Qt

    driver.until(lambda: driver.find("rail.inside").isVisible())
    driver.click("rail.inside")
    driver.until(lambda: driver.find("inside.way_out").isVisible() and driver.find("inside.way_out").text() == "New capture")
    driver.click("inside.way_out")
    driver.find("inside.new_text").setPlainText("The small fox ran home. The small fox ran")
    driver.until(lambda: "tokens" in driver.find("inside.new_size").text())
    said = driver.find("inside.new_size").text()
    driver.click("inside.capture")
    driver.until(lambda: captures(driver) and driver.find("inside.grid").isVisible())
    (file,) = captures(driver)
    capture = Capture(file)
    assert said.startswith(f"{capture.header.length} tokens"), "what was said beforehand is what it took"
    grid, heat, readout = (driver.find(f"inside.{name}") for name in ("grid", "map", "readout"))
    driver.until(lambda: heat.frame().rows == capture.header.length)
    driver.qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=grid.rect_of(3, 5).center())
    weights = capture.map(3, 5)
    row = capture.header.length - 2
    for column in (0, row // 2, row):
        driver.qtbot.mouseMove(heat, heat.frame().rect(row, column).center().toPoint())
        driver.until(lambda at=column: f"({at})" in readout.text())
        weight = float(weights[row, column])
        assert (f"{weight:.4f}" if weight >= 0.001 or weight == 0 else f"{weight:.1e}") in readout.text()
    target = driver.home.cache / "head.npy"
    driver.find("page.inside").export().write("npy", target)
    driver.until(target.exists)
    assert np.array_equal(np.load(target), weights)
    capture.close()
