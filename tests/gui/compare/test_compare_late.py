"""The Compare page while what it asked for is not there yet, or comes when something else is shown."""

from __future__ import annotations

from concurrent.futures import Future

from PySide6.QtWidgets import QWidget

from playground import events
from playground.gui.bridge import on_window_thread
from playground.gui.widgets.compare_earlier import EarlierPopup
from playground.history.records import SessionRow
from playground.params import SamplingSettings

COLD, WARM = SamplingSettings(temperature=0.1, seed=1), SamplingSettings(temperature=1.3, seed=1)


def _delivered(bench) -> None:
    """Until the window has what was answered so far."""
    done = []
    on_window_thread(lambda: done.append(True))
    bench.wait(lambda: done)


def test_what_happens_while_a_comparison_is_being_read_is_not_lost(bench, monkeypatch) -> None:
    bench.session.hold(1)
    bench.compare.script("a fox", "an owl")
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: bench.page.running and all(each.tokens for each in bench.page.comparing.replies.values()))
    writing = bench.page.comparison_id
    as_it_was, answer, told = bench.session.chat(writing).result(5), Future(), []
    bench.page.new_comparison()
    monkeypatch.setattr(bench.session, "chat", lambda _number: answer)
    bench.page.open(writing)
    bench.bridge.received.connect(told.append)
    bench.session.go_on()
    bench.wait(lambda: any(isinstance(each, events.ComparisonFinished) for each in told))
    answer.set_result(as_it_was)
    bench.wait(lambda: bench.page.comparison_id == writing)
    bench.settle()
    assert {each.state for each in bench.page.comparing.replies.values()} == {"end"}
    assert (bench.text(1), bench.text(2)) == ("a fox", "an owl")
    assert "2 columns" in bench.child("compare.state").text()


def test_a_column_that_was_removed_before_its_run_began_has_no_reply(bench, monkeypatch) -> None:
    bench.columns(COLD, WARM, COLD)
    monkeypatch.setattr(bench.compare, "run", lambda number, columns=(): None)  # it waits for its model
    bench.run(wait=False)
    asked = [column.id for column in bench.page.columns]
    bench.page._column_asks("remove", asked[2])
    made = tuple((each, f"g{each}", f"m{each}") for each in asked)
    bench.page.handle(events.ComparisonStarted(bench.page.comparison_id, "group", made))
    assert list(bench.page.comparing.replies) == asked[:2]


def test_a_column_that_asks_another_prompt_leaves_no_reply_to_the_old_one(bench) -> None:
    bench.columns(COLD, WARM)
    bench.compare.script("one fox", "two foxes")
    bench.run("About foxes")
    bench.compare.script("an owl")
    bench.child("compare.prompt").setPlainText("About owls")
    bench.page._column_asks("run", bench.page.columns[0].id)
    bench.wait(lambda: bench.text(1) == "an owl")
    bench.settle()
    assert bench.text(2) == ""


def test_a_run_is_not_replaced_by_a_comparison_that_was_still_being_read(bench, monkeypatch) -> None:
    bench.columns(COLD)
    bench.run()
    first = bench.page.comparison_id
    as_it_was, answer = bench.session.chat(first).result(5), Future()
    bench.page.new_comparison()
    with monkeypatch.context() as patched:
        patched.setattr(bench.session, "chat", lambda _number: answer)
        bench.page.open(first)
    bench.columns(WARM, COLD)
    bench.run("About owls")
    second = bench.page.comparison_id
    answer.set_result(as_it_was)
    _delivered(bench)
    assert bench.page.comparison_id == second != first
    assert bench.child("compare.prompt").toPlainText() == "About owls"


def test_the_difference_has_a_reply_whose_tokens_came_after_it_was_opened(bench, monkeypatch) -> None:
    bench.compare.script("the red fox", "the blue fox", "the old fox")
    bench.columns(COLD, WARM, COLD)
    bench.run()
    number = bench.page.comparison_id
    tokens = [bench.session.tokens(each.generation_id).result(5) for each in bench.page.comparing.replies.values()]
    answers = [Future(), Future(), Future()]
    waiting = iter(answers)
    bench.page.new_comparison()
    monkeypatch.setattr(bench.session, "tokens", lambda _generation: next(waiting))
    bench.page.open(number)
    bench.wait(lambda: bench.page.comparison_id == number)
    for answer, found in zip(answers[:2], tokens[:2], strict=True):
        answer.set_result(found)
    bench.wait(lambda: bench.child("compare.diff").isEnabled())
    bench.child("compare.diff").click()
    answers[2].set_result(tokens[2])
    _delivered(bench)
    bench.child("compare.diff.right").setCurrentIndex(2)
    bench.child("compare.diff.right").activated.emit(2)
    bench.wait(lambda: bench.child("compare.diff.right.text").toPlainText() == "the old fox")


def test_a_comparison_that_is_thrown_away_is_not_written_on(bench) -> None:
    bench.session.hold()
    bench.columns(COLD, WARM)
    bench.run(wait=False)
    bench.wait(lambda: any(each.tokens for each in bench.page.comparing.replies.values()))
    bench.page._throw_away(bench.page.comparison_id)
    bench.wait(lambda: not bench.compare.running)
    assert bench.calls("compare.stop") == [("compare.stop", "")]


def test_words_typed_before_the_earlier_comparisons_are_read_filter_them(dressed, qtbot) -> None:
    around = QWidget()
    qtbot.addWidget(around)
    popup = EarlierPopup(around)
    popup.filter.setText("owl")
    popup.show_rows([SessionRow("1", "compare", "A fox"), SessionRow("2", "compare", "An owl")], "")
    assert [popup.list.item(place).isHidden() for place in range(2)] == [True, False]


def test_a_column_is_removed_while_somebody_is_in_its_fields(bench) -> None:
    bench.columns(COLD, WARM)
    bench.child("compare.column.2.more").click()
    bench.child("compare.column.2.reply_start").setFocus()
    bench.child("compare.column.2.reply_start").setText("Once")
    bench.page._column_asks("remove", bench.page.columns[1].id)
    _delivered(bench)
    assert [column.settings for column in bench.page.columns] == [COLD]
    assert bench.notices == []
