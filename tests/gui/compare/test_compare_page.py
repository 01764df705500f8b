"""The Compare page on a fake session: columns, running, steering, votes, blind, coming back."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication, QLabel

from playground import events
from playground.errors import NotFoundError
from playground.gui.widgets.elided_label import ElidedLabel
from playground.params import SamplingSettings

LONG = "a fox ran on and on " * 3000
"""not at its end before it is stopped"""
COLD, WARM = SamplingSettings(temperature=0.1, seed=1), SamplingSettings(temperature=1.3, seed=1)


def test_a_ready_made_start_makes_columns_and_a_run_fills_them(bench) -> None:
    assert bench.page.ui.stack.currentWidget() is bench.page.ui.start
    bench.child("compare.start.temperature").click()
    assert [view.title.text() for view in bench.page.ui.board.views] == [
        "Temperature 0", "Temperature 0.5", "Temperature 1", "Temperature 1.5",
    ]  # fmt: skip
    bench.compare.script("one fox", "two foxes", "three foxes", "four foxes")
    bench.run()
    assert [bench.text(number) for number in range(1, 5)] == ["one fox", "two foxes", "three foxes", "four foxes"]
    assert "1 prefill of 20 tokens" in bench.child("compare.state").text()
    assert bench.child("compare.column.3.tokens").text() == "2"
    (made,) = bench.calls("compare.new")
    assert made[1] == "Tell me about a fox."
    assert [column.label for column in made[3]] == [view.title.text() for view in bench.page.ui.board.views]


def test_nothing_is_stored_before_it_is_run(bench) -> None:
    bench.child("compare.start.seeds").click()
    bench.child("compare.add").click()
    bench.child("compare.column.2.temperature").setValue(0.3)
    assert not bench.calls("compare.new")
    assert len(bench.page.columns) == 5


def test_without_a_prompt_or_a_model_it_cannot_be_run(bench) -> None:
    run = bench.child("compare.run")
    assert not run.isEnabled()
    bench.child("compare.prompt").setPlainText("Hello")
    assert run.isEnabled()
    bench.page.handle(events.ModelState("none"))
    assert not run.isEnabled()
    assert "model" in run.toolTip().lower()
    assert bench.child("compare.start.model").isVisible()


def test_a_slider_that_is_moved_mid_stream_reaches_its_column_only(bench) -> None:
    bench.session.rate = 60
    bench.compare.script(LONG, LONG)
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: all(len(each.tokens) > 2 for each in bench.page.comparing.replies.values()) and bench.page.running)
    bench.child("compare.column.2.temperature").setValue(0.5)
    bench.wait(lambda: bench.child("compare.column.2.timeline").text())
    assert "Temperature 1.3 → 0.5" in bench.child("compare.column.2.timeline").text()
    assert bench.child("compare.column.1.timeline").text() == ""
    (change,) = bench.calls("compare.set_sampling")
    assert change[1] == bench.page.columns[1].id
    assert change[2].temperature == pytest.approx(0.5)
    assert bench.page.ui.board.views[1].title.text() == "Temperature 0.5"
    bench.child("compare.stop").click()
    bench.settle()


def test_stop_one_the_others_go_on(bench) -> None:
    bench.session.rate = 60
    bench.compare.script(LONG, LONG)
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: all(len(each.tokens) > 2 for each in bench.page.comparing.replies.values()) and bench.page.running)
    bench.child("compare.column.1.stop").click()
    first, second = bench.page.comparing.replies.values()
    bench.wait(lambda: first.ended)
    count = len(second.tokens)
    bench.wait(lambda: len(second.tokens) > count + 2)
    assert bench.page.running
    assert bench.child("compare.column.1.timeline").text() == "stopped"
    assert not bench.child("compare.column.1.stop").isVisible()
    bench.child("compare.stop").click()
    bench.settle()
    assert second.state == "cancelled"


def test_escape_stops_all_while_they_are_written_and_folds_the_system_prompt_else(bench) -> None:
    bench.session.hold()
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: any(each.tokens for each in bench.page.comparing.replies.values()))
    bench.qtbot.keyClick(bench.page, Qt.Key.Key_Escape)
    bench.settle()
    assert {each.state for each in bench.page.comparing.replies.values()} == {"cancelled"}
    bench.child("compare.system_toggle").click()
    bench.qtbot.keyClick(bench.child("compare.system"), Qt.Key.Key_Escape)
    assert not bench.child("compare.system").isVisible()


def test_columns_are_added_duplicated_removed_and_moved(bench) -> None:
    bench.columns(COLD, WARM)
    first, second = (column.id for column in bench.page.columns)
    bench.page._column_asks("duplicate", first)
    assert [column.settings for column in bench.page.columns] == [COLD, COLD, WARM]
    bench.page._column_asks("remove", bench.page.columns[1].id)
    head = bench.page.ui.board.view(first).head
    head.setFocus()
    bench.qtbot.keyClick(head, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert [column.id for column in bench.page.columns] == [second, first]
    assert bench.child("compare.column.1.temperature").value() == pytest.approx(1.3)
    assert bench.child("compare.column.2.temperature").value() == pytest.approx(0.1)
    bench.child("compare.column.2.temperature").setValue(0.7)
    assert bench.page.columns[1].settings.temperature == pytest.approx(0.7)
    for _ in range(10):
        bench.page.add_column()
    assert len(bench.page.columns) == 8
    assert not bench.child("compare.add").isEnabled()
    assert "compare.column.9" not in bench.names()


def test_a_column_is_dragged_to_another_place(bench) -> None:
    bench.columns(COLD, WARM, SamplingSettings(temperature=0.6))
    ids = [column.id for column in bench.page.columns]
    board = bench.page.ui.board
    head, last = board.views[0].head, board.views[2]
    end = head.mapFromGlobal(last.mapToGlobal(QPoint(last.width() - 4, 10)))
    bench.qtbot.mousePress(head, Qt.MouseButton.LeftButton, pos=QPoint(60, 20))
    bench.qtbot.mouseMove(head, QPoint(60 + 2 * QApplication.startDragDistance(), 20))
    bench.qtbot.mouseMove(head, end)
    bench.qtbot.mouseRelease(head, Qt.MouseButton.LeftButton, pos=end)
    bench.wait(lambda: [column.id for column in bench.page.columns] == [ids[1], ids[2], ids[0]])


def test_what_differs_stands_in_front_and_everything_can_be_unfolded(bench) -> None:
    bench.columns(SamplingSettings(top_p=0.5), SamplingSettings(top_p=0.9))
    names = bench.names()
    assert {"compare.column.1.temperature", "compare.column.1.top_p", "compare.column.2.top_p"} <= names
    assert "compare.column.1.min_p" not in names
    bench.child("compare.column.1.more").click()
    bench.child("compare.column.1.min_p").setValue(0.2)
    bench.child("compare.column.1.reply_start").setText("Once")
    bench.child("compare.column.1.reply_start").editingFinished.emit()
    assert bench.page.columns[0].settings.min_p == pytest.approx(0.2)
    assert bench.page.columns[0].reply_start == "Once"
    assert "starts “Once”" in bench.page.ui.board.views[0].title.text()
    bench.child("compare.column.1.more").click()  # folded again: now it is one of those that differ
    assert bench.child("compare.column.2.min_p").value() == pytest.approx(0.05)


def test_heads_stand_on_one_line_whatever_is_in_the_columns(bench) -> None:
    bench.columns(COLD, WARM, SamplingSettings(top_k=3))
    bench.run()
    for widget in ("text", "tokens", "parting"):
        tops = {bench.child(f"compare.column.{n}.{widget}").mapTo(bench.page, QPoint(0, 0)).y() for n in (1, 2, 3)}
        assert len(tops) == 1, widget


def test_nothing_is_clipped_in_a_small_window(bench) -> None:
    bench.page.resize(1036, 640)
    bench.columns(COLD, WARM, COLD, WARM)
    bench.run()
    board = bench.page.ui.board
    assert board.horizontalScrollBar().maximum() == 0
    for view in board.views:
        label = bench.child(f"compare.column.{view.number}.logprob")
        assert label.mapTo(board, QPoint(0, label.height())).y() <= board.viewport().height()
        for each in label.parentWidget().findChildren(QLabel):
            if not isinstance(each, ElidedLabel):
                assert each.width() >= QFontMetrics(each.font()).horizontalAdvance(each.text()), each.text()
                assert each.geometry().right() <= view.width()
    bench.columns(*[COLD] * 8)
    bench.wait(lambda: board.horizontalScrollBar().maximum() > 0)
    assert min(view.width() for view in board.views) >= 256


def test_votes_by_key_and_taken_back(bench) -> None:
    bench.columns(COLD, WARM, COLD)
    assert not bench.child("compare.vote.1").isEnabled()
    bench.run()
    bench.page.ui.board.setFocus()
    bench.qtbot.keyClick(bench.page, Qt.Key.Key_2)
    bench.wait(lambda: bench.child("compare.vote.2").isChecked())
    assert bench.calls("compare.vote") == [("compare.vote", "better", (bench.page.columns[1].id,))]
    bench.qtbot.keyClick(bench.page, Qt.Key.Key_B)
    bench.wait(lambda: bench.child("compare.vote.both_bad").isChecked())
    assert not bench.child("compare.vote.2").isChecked()
    bench.child("compare.vote.both_bad").click()
    bench.wait(lambda: not bench.child("compare.vote.both_bad").isChecked())
    assert bench.calls("compare.vote")[-1] == ("compare.vote", "", ())
    bench.child("compare.vote.tie").click()
    bench.wait(lambda: bench.child("compare.vote.state").text() == "Voted: a tie")


def test_blind_hides_what_a_column_is_until_somebody_voted(bench, monkeypatch) -> None:
    monkeypatch.setattr("random.shuffle", lambda items: items.reverse())
    bench.columns(COLD, WARM)
    first, second = (column.id for column in bench.page.columns)
    bench.child("compare.blind").click()
    assert not bench.page.hidden  # nothing has been written yet: what is set up is seen
    bench.compare.script("cold words", "warm words")
    bench.run()
    views = bench.page.ui.board.views
    assert [view.title.text() for view in views] == ["Reply A", "Reply B"]
    assert bench.text(1) == "warm words"  # shuffled
    assert not bench.child("compare.column.1.temperature").isVisible()
    assert bench.child("compare.column.1.logprob").text() == "–"
    assert bench.child("compare.column.1.parting").text() == ""
    bench.child("compare.vote.1").click()
    bench.wait(lambda: not bench.page.hidden)
    bench.settle()
    assert bench.calls("compare.vote")[-1] == ("compare.vote", "better", (second,))
    assert [view.column.id for view in bench.page.ui.board.views] == [first, second]
    assert bench.text(1) == "cold words"
    assert bench.child("compare.vote.2").isChecked()
    assert bench.child("compare.column.1.temperature").isVisible()


def test_another_page_finds_the_same_picture(bench, make_bench, session) -> None:
    bench.compare.script("the same fox", "the same owl")
    bench.columns(COLD, WARM)
    bench.child("compare.system").setPlainText("Be brief.")
    bench.run()
    bench.child("compare.vote.2").click()
    bench.wait(lambda: bench.child("compare.vote.2").isChecked())
    bench.page.ui.system.commit()
    seen = [_picture(bench, number) for number in (1, 2)]
    bench.close()
    again = make_bench()
    again.wait(lambda: again.page.comparison_id == bench.page.comparison_id)
    again.wait(lambda: all(each.tokens for each in again.page.comparing.replies.values()))
    again.settle()
    again.wait(lambda: again.child("compare.vote.2").isChecked())
    again.wait(lambda: [_picture(again, number) for number in (1, 2)] == seen)
    assert again.child("compare.prompt").toPlainText() == "Tell me about a fox."
    assert again.child("compare.system").toPlainText() == "Be brief."
    assert "1 prefill of 20 tokens" in again.child("compare.state").text()


def _picture(bench, number):
    names = ("parting", "timeline", "tokens", "distinct", "repetition", "logprob", "entropy")
    words = {name: bench.child(f"compare.column.{number}.{name}").text() for name in names}
    return bench.text(number), bench.page.ui.board.views[number - 1].title.text(), words


def test_a_page_that_is_opened_mid_stream_shows_every_token(bench, make_bench, session) -> None:
    session.hold()
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: all(len(each.tokens) > 4 for each in bench.page.comparing.replies.values()) and bench.page.running)
    bench.preferences.save(wait=True)
    again = make_bench()
    again.wait(lambda: again.page.running)
    session.go_on()
    for each in (bench, again):
        each.settle()
    assert again.text(1) == bench.text(1) != ""
    assert again.text(2) == bench.text(2)


def test_an_earlier_comparison_is_opened_and_thrown_away(bench) -> None:
    bench.columns(COLD, WARM)
    bench.compare.script("first fox", "first owl")
    bench.run("About foxes")
    first = bench.page.comparison_id
    bench.child("compare.new").click()
    assert bench.page.comparison_id == ""
    assert bench.child("compare.prompt").toPlainText() == ""
    bench.columns(WARM, COLD)
    bench.run("About owls")
    bench.child("compare.earlier").click()
    listing = bench.child("compare.earlier.list")
    bench.wait(lambda: listing.count() == 2)
    bench.child("compare.earlier.filter").setText("foxes")
    shown = [listing.item(row) for row in range(2) if not listing.item(row).isHidden()]
    assert len(shown) == 1
    listing.itemClicked.emit(shown[0])
    bench.wait(lambda: bench.page.comparison_id == first)
    bench.wait(lambda: bench.text(1) == "first fox")
    bench.page._throw_away(first)
    bench.wait(lambda: bench.page.comparison_id == "")
    assert bench.notices[-1][0] == "The comparison was deleted."


def test_a_run_that_comes_to_nothing_does_not_keep_the_page_waiting(bench, monkeypatch) -> None:
    bench.columns(COLD, WARM)
    bench.page._doubt.setInterval(30)
    monkeypatch.setattr(bench.compare, "run", lambda number, columns=(): None)
    bench.run(wait=False)
    assert bench.page.running
    bench.wait(lambda: not bench.page.running)


def test_a_refused_run_is_said_and_nothing_is_lost(bench, monkeypatch) -> None:
    from playground.errors import PlaygroundError

    def refuse(number, columns=()):
        raise PlaygroundError("A reply is being written.", "Stop it first.")

    bench.compare.script("old fox", "old owl")
    bench.columns(COLD, WARM)
    bench.run()
    monkeypatch.setattr(bench.compare, "run", refuse)
    bench.child("compare.run").click()
    assert bench.notices[-1] == ("A reply is being written.", "Stop it first.")
    assert bench.text(1) == "old fox"
    assert not bench.page.running


def test_one_column_is_run_again_the_others_stay(bench) -> None:
    bench.columns(COLD, WARM)
    bench.compare.script("one fox", "two foxes")
    bench.run()
    bench.compare.script("another owl")
    bench.page._column_asks("run", bench.page.columns[1].id)
    bench.wait(lambda: bench.text(2) == "another owl")
    bench.settle()
    assert bench.text(1) == "one fox"


def test_another_model_for_a_column_is_said_beforehand(bench) -> None:
    bench.preferences.remember_model("/models/other.gguf")
    bench.columns(COLD, WARM)
    bench.child("compare.prompt").setPlainText("Hello")
    bench.child("compare.column.2.more").click()
    box = bench.child("compare.column.2.model")
    box.setCurrentIndex(box.findData("/models/other.gguf"))
    box.activated.emit(box.currentIndex())
    bench.wait(lambda: "takes 1 GB" in bench.child("compare.state").text())
    assert bench.page.columns[1].model == "/models/other.gguf"
    assert bench.page.ui.board.views[1].title.text().startswith("other")


def test_another_token_in_its_place_makes_a_column_that_goes_on_from_there(bench) -> None:
    bench.compare.script("one small fox", "two owls")
    bench.columns(COLD, WARM)
    bench.run()
    bench.page.show_alternatives(bench.page.columns[0].id, 1)
    listing = bench.child("alternatives.list")
    assert listing.isVisible()
    reply = bench.page.comparing.replies[bench.page.columns[0].id]
    other = next(each for each in reply.tokens[1].alternatives if each[0] != reply.tokens[1].token_id)
    item = next(
        listing.item(row) for row in range(listing.count()) if listing.item(row).toolTip().startswith(f"token {other[0]:,}:")
    )
    bench.compare.script(" went on")
    listing.itemClicked.emit(item)
    bench.wait(lambda: len(bench.page.columns) == 3 and bench.page.running is False and bench.page.ui.board.settled)
    assert bench.text(2) == "one" + other[1] + " went on"
    assert bench.text(1) == "one small fox"
    assert bench.text(3) == "two owls"
    assert bench.page.columns[1].settings == COLD


def test_the_difference_of_two_replies(bench) -> None:
    bench.compare.script("the red fox runs", "the blue fox runs")
    bench.columns(COLD, WARM)
    assert not bench.child("compare.diff").isEnabled()
    bench.run()
    bench.child("compare.diff").click()
    bench.wait(lambda: "in common" in bench.child("compare.diff.facts").text())
    assert bench.child("compare.diff.facts").text() == "75% in common · 1 and 1 words of their own"
    assert bench.child("compare.diff.left.text").toPlainText() == "the red fox runs"
    assert _marked(bench.child("compare.diff.left.text")) == [" red"]
    assert _marked(bench.child("compare.diff.right.text")) == [" blue"]
    bench.child("compare.diff").click()
    assert bench.page.ui.stack.currentWidget() is bench.page.ui.board


def _marked(pane) -> list[str]:
    found = []
    step = pane.document().begin().begin()
    while not step.atEnd():
        if step.fragment().charFormat().fontUnderline() or step.fragment().charFormat().underlineStyle().value:
            found.append(step.fragment().text())
        step += 1
    return found


def test_a_rule_makes_columns_and_says_before_what_it_makes(bench) -> None:
    bench.child("compare.sweep").click()
    popup = bench.child("compare.sweep.popup")
    assert "Temperature 1.5" in bench.child("compare.sweep.preview").text()
    bench.child("compare.sweep.grid").click()
    bench.child("compare.sweep.rows.steps").setValue(4)
    assert "12 columns" in bench.child("compare.sweep.preview").text()
    assert not popup.apply.isEnabled()
    bench.child("compare.sweep.columns.steps").setValue(2)
    assert popup.apply.text() == "Make 8 columns"
    popup.apply.click()
    assert len(bench.page.columns) == 8
    assert len({(each.settings.top_p, each.settings.temperature) for each in bench.page.columns}) == 8


def test_settings_of_a_column_are_its_own(bench) -> None:
    bench.child("compare.start.presets").click()
    balanced = bench.page.columns[0].settings
    bench.child("compare.column.1.temperature").setValue(0.9)
    assert bench.page.columns[0].settings == dataclasses.replace(balanced, temperature=0.9)
    assert bench.page.columns[1].settings.temperature == pytest.approx(0.2)


def test_the_comparison_that_was_asked_for_last_is_shown_whatever_comes_of_the_others(bench, monkeypatch):
    bench.columns(COLD)
    bench.run()
    first = bench.page.comparison_id
    bench.page.new_comparison()
    bench.columns(WARM)
    bench.run()
    second = bench.page.comparison_id
    read, answers = bench.session.chat, [Future(), Future(), Future()]
    waiting = iter(answers)
    monkeypatch.setattr(bench.session, "chat", lambda _id: next(waiting))
    bench.page.open(first)
    bench.page.open(second)  # shown already
    answers[0].set_result(read(first).result())
    told = []
    bench.page.desk.when_done(read(second), bench.page, told.append)  # comes after the answer
    bench.wait(lambda: told)
    assert bench.page.comparison_id == second != first
    bench.page.new_comparison()
    bench.page.open(first)
    bench.page.open(second)
    answers[1].set_exception(NotFoundError("There is no such comparison."))
    answers[2].set_result(read(second).result())
    bench.wait(lambda: bench.page.comparison_id == second)
    assert not bench.notices
