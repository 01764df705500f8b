"""The lab in the real window: a reply forks where an alternative is chosen, by mouse and by keys, and the panel says what the engine says."""

from __future__ import annotations

from typing import Any

import pytest

from playground.decoding.chain import stages

from .conftest import Driver

STORY = "Tell me a long story about a fox named Pepper."


def written(driver: Driver) -> Any:
    """A reply with its tokens coloured; the page and the reply's message id."""
    driver.find("sampling.temperature").setValue(1.1)
    driver.say(STORY)
    driver.until(lambda: driver.rows("select id from generations where state in ('end', 'length')"))
    page = driver.find("page.chat")
    driver.until(lambda: not page._busy and page.transcript.settled)
    return page


def ids(driver: Driver, message_id: str) -> list[int]:
    return [each.row.token_id for each in driver.window.session.lab.reply_tokens(message_id).result(30)]


def test_a_click_on_an_alternative_forks_the_reply(driver: Driver) -> None:
    from PySide6.QtCore import QPoint, Qt

    page = written(driver)
    driver.click("chat.colours")
    old = page.conversation.last_reply().id
    driver.until(lambda: page.marks_of(old))
    marks = page.marks_of(old)
    before = ids(driver, old)
    place, mark = next(
        (place, each) for place, each in enumerate(marks) if place > 5 and each.surprisal > 1 and each.token.text.strip()
    )

    def shown() -> Any:
        views = (each for each in page.transcript._views() if each.tokens is not None)
        return next((each for each in views if each.tokens.rect_of(mark) is not None), None)

    driver.until(shown)
    view = shown()
    driver.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.tokens.rect_of(mark).center().toPoint())
    driver.until(lambda: driver.find("alternatives").isVisible())
    listed = driver.find("alternatives.list")
    row = next(row for row in range(listed.count()) if mark.candidates[row][0] != mark.token.token_id)
    chosen = mark.candidates[row][0]
    driver.qtbot.mouseClick(
        listed.viewport(), Qt.MouseButton.LeftButton, pos=listed.visualItemRect(listed.item(row)).center() + QPoint(0, 1)
    )
    driver.until(lambda: len(driver.rows("select id from generations where state in ('end', 'length')")) == 2)
    driver.until(lambda: not page._busy and page.conversation.last_reply().id != old)
    new = page.conversation.last_reply().id
    assert ids(driver, new)[: place + 1] == [*before[:place], chosen]
    assert set(page.conversation.siblings(new)) == {old, new}
    assert ids(driver, old) == before, "the old branch is as it was"
    driver.until(lambda: len(page.marks_of(new)) == len(ids(driver, new)))
    text = page.conversation.message(new).content
    assert "".join(text[each.start : each.end] for each in page.marks_of(new)) == text


def test_the_same_by_keys(driver: Driver) -> None:
    from PySide6.QtCore import Qt

    page = written(driver)
    page.set_colours("entropy")
    old = page.conversation.last_reply().id
    driver.until(lambda: page.marks_of(old))
    transcript = driver.find("chat.transcript")
    transcript.setFocus()
    driver.qtbot.keyClick(transcript, Qt.Key.Key_T)
    for _ in range(4):
        driver.qtbot.keyClick(transcript, Qt.Key.Key_Right)
    mark = page.marks_of(old)[4]
    assert transcript.token == (old, mark)
    driver.qtbot.keyClick(transcript, Qt.Key.Key_Return)
    listed = driver.find("alternatives.list")
    assert listed.isVisible()
    listed.setCurrentRow(next(row for row, each in enumerate(mark.candidates) if each[0] != mark.token.token_id))
    chosen = mark.candidates[listed.currentRow()][0]
    driver.qtbot.keyClick(listed, Qt.Key.Key_Return)
    driver.until(lambda: len(driver.rows("select id from generations where state in ('end', 'length')")) == 2)
    driver.until(lambda: not page._busy and page.conversation.last_reply().id != old)
    new = page.conversation.last_reply().id
    assert ids(driver, new)[:5] == [*ids(driver, old)[:4], chosen]


def test_the_panel_shows_the_chain_over_the_engines_logits_and_follows_the_sliders(driver: Driver) -> None:
    page = written(driver)
    driver.click("chat.lab")
    driver.until(lambda: page.lab is not None and page.lab.chart.steps)
    reply = page.conversation.last_reply().id
    page.marks_of(reply)
    driver.until(lambda: page.marks_of(reply))
    mark = page.marks_of(reply)[3]
    page.transcript.select_token(reply, mark)
    driver.until(lambda: page.lab.chart.can_choose and page.lab.chart.steps)
    session = driver.window.session
    asked = len(page.lab.chart.rows), page._lab_asks
    for name, value in (("temperature", 0.5), ("top_p", 0.6), ("top_k", 5), ("min_p", 0.0)):
        driver.find(f"sampling.{name}").setValue(value)
        found = page.lab._found
        true = stages(found.logits, session.sampling, [each.token_id for each in found.prompt])
        for step, stage in zip(page.lab.chart.steps, true, strict=True):
            assert step.survivors().tolist() == sorted(stage.ids.tolist())
        for row in page.lab.chart.rows:
            assert row.chances == pytest.approx([stage.probability(row.token_id) for stage in true], abs=1e-6)
            assert bool(row.cut_by) == (true[-1].probability(row.token_id) == 0)
    assert page._lab_asks == asked[1], "no slider asks the model"
    recorded = {number: chance for number, _, chance, _ in mark.candidates}
    shown = {row.token_id: row.chances[0] for row in page.lab.chart.rows}
    assert all(shown[number] == pytest.approx(chance, abs=0.02) for number, chance in recorded.items() if number in shown)


def test_any_text_token_by_token(driver: Driver) -> None:
    page = written(driver)
    driver.click("chat.lab")
    driver.click("lab.tab.tokens")
    box = driver.find("tokens.input")
    box.setPlainText("Once upon a time ä🦊")
    table = driver.find("tokens.table")
    driver.until(lambda: table.model().rowCount() > 4)
    count = table.model().rowCount()
    assert driver.find("tokens.count").text().startswith(f"{count} tokens")
    assert all(not each.rank for each in table.model().tokens)
    driver.click("tokens.score")
    driver.until(lambda: any(each.rank for each in table.model().tokens))
    assert table.model().rowCount() == count
    data = b"".join(bytes.fromhex(each.bytes) for each in table.model().tokens if not each.special)
    assert data.decode().strip() == "Once upon a time ä🦊"
    page.show_tokens_of(page.conversation.last_reply().id)
    driver.until(lambda: table.model().rowCount() > count)
    mine = ids(driver, page.conversation.last_reply().id)
    driver.until(lambda: [each.token_id for each in table.model().tokens][-len(mine) :] == mine)
