"""The Chat page, driven as a user would, by object names."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QListView, QPlainTextEdit, QWidget

from playground import events
from playground.errors import NotFoundError
from playground.gui.widgets import chat_export
from playground.gui.widgets import message_foot as foot
from playground.gui.widgets.message_foot import MessageFoot
from playground.gui.widgets.wait_part import WaitPart


def foots(bench):
    made = [w for w in bench.page.transcript.findChildren(MessageFoot) if not w.isHidden() and w._entry is not None]
    return {w._entry.id: w for w in made}


def last_foot(bench):
    tip = bench.page.conversation.session.tip
    bench.wait(lambda: tip in foots(bench))
    return foots(bench)[tip]


# -- writing


def test_type_and_click_send(bench):
    bench.session.script("A **short** reply.")
    bench.say("Hello")
    assert bench.page.transcript.toPlainText() == "You\nHello\n\nModel\nA **short** reply."
    assert bench.child("chat.input").toPlainText() == ""
    assert bench.child("chat.list").model().index(1).data() == "Hello"


def test_enter_sends_and_shift_enter_breaks_the_line(bench):
    bench.session.script("ok")
    field = bench.child("chat.input")
    QTest.keyClicks(field, "one")
    QTest.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(field, "two")
    QTest.keyClick(field, Qt.Key.Key_Return)
    bench.settle()
    assert ("send", bench.page.chat_id, "one\ntwo", "") in bench.session.calls


def test_up_in_the_empty_field_brings_back_the_last_message(bench):
    bench.session.script("ok")
    bench.say("say it again")
    field = bench.child("chat.input")
    QTest.keyClick(field, Qt.Key.Key_Up)
    assert field.toPlainText() == "say it again"


def test_the_field_grows_to_eight_lines(bench):
    field = bench.child("chat.input")
    one = field.height()
    field.setPlainText("\n".join("abc"))
    three = field.height()
    field.setPlainText("\n" * 30)
    assert one < three < field.height() <= 8 * field.fontMetrics().lineSpacing() + 10


def test_while_a_reply_runs_nothing_can_be_sent_and_stop_can_be_pressed(bench):
    bench.session.hold()
    send, stop, field = bench.child("chat.send"), bench.child("chat.stop"), bench.child("chat.input")
    assert not stop.isEnabled()
    place = send.mapTo(bench.page, QPoint(0, 0))
    field.setPlainText("go")
    send.click()
    bench.wait(lambda: "fox" in bench.page.transcript.toPlainText())
    assert stop.isEnabled()
    assert not send.isEnabled()
    assert send.toolTip() == "A reply is being written. Esc stops it."
    assert stop.mapTo(bench.page, QPoint(0, 0)) == place
    field.setPlainText("typed meanwhile")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.toPlainText() == "typed meanwhile"
    stop.click()
    bench.settle()
    assert bench.page.conversation.last_reply().state == "stopped"
    assert not stop.isEnabled()
    assert send.isEnabled()
    assert last_foot(bench).note.text() == "Stopped"


def test_what_a_reply_starts_with_is_sent_along_and_shown(bench):
    bench.session.script(" and so on.")
    bench.child("chat.reply_start_toggle").click()
    bench.child("chat.reply_start").setText("Well,")
    bench.say("go")
    assert bench.session.calls[-1][-2:] == ("go", "Well,")
    assert bench.page.transcript.toPlainText().endswith("Model\nWell, and so on.")
    assert bench.child("chat.reply_start").text() == ""


def test_drafts_are_kept_for_each_chat(unstarted):
    bench = unstarted
    one, two = bench.session.add_chat("one", "a", "b"), bench.session.add_chat("two", "c", "d")
    bench.session.start()
    field = bench.child("chat.input")
    bench.open(one)
    field.setPlainText("draft in one")
    bench.open(two)
    assert field.toPlainText() == ""
    bench.open(one)
    assert field.toPlainText() == "draft in one"


def test_the_system_prompt_goes_with_the_chat(bench):
    bench.session.script("ok", "ok")
    bench.child("chat.system").setPlainText("Be brief.")
    bench.say("go")
    assert ("new_chat", "Be brief.") in bench.session.calls
    bench.child("chat.system").setPlainText("Be long.")
    bench.wait(lambda: ("set_system", bench.page.chat_id, "Be long.") in bench.session.calls)


# -- waiting and failing


def test_before_the_first_token_it_says_how_far_the_prompt_is(bench):
    bench.session.prefill_s = 900
    bench.child("chat.input").setPlainText("go")
    bench.child("chat.send").click()
    bench.wait(lambda: any("reading the prompt… 33 %" in w._text for w in bench.page.findChildren(WaitPart) if w.isVisible()))
    bench.session.prefill_s = 0
    bench.child("chat.stop").click()


def test_a_message_sent_while_the_first_model_is_about_to_be_loaded_waits(make_bench, session):
    state = session._model
    session._model = events.ModelState("none")
    bench = make_bench()
    session.script("here I am")
    bench.child("chat.input").setPlainText("early")
    bench.child("chat.send").click()
    assert not any(call[0] == "send" for call in session.calls)
    session._model = state
    session.start()
    bench.wait(lambda: "here I am" in bench.page.transcript.toPlainText())


def test_a_reply_that_fails_says_why_and_can_be_tried_again(bench):
    bench.session.fail_next("The context window is full.", "Begin a new chat.")
    bench.say("go")
    bench.wait(lambda: last_foot(bench).note.text() == "The context window is full.")
    bench.session.script("now it works")
    last_foot(bench).resume.click()
    bench.settle()
    assert bench.page.transcript.toPlainText().endswith("now it works")


def test_a_worker_that_dies_leaves_what_was_written_and_a_way_on(bench):
    bench.session.hold()
    bench.child("chat.input").setPlainText("go")
    bench.child("chat.send").click()
    bench.wait(lambda: "fox" in bench.page.transcript.toPlainText())
    bench.session.kill_worker()
    bench.settle()
    bench.wait(lambda: bench.page._model.state == "lost")
    reply = bench.page.conversation.last_reply()
    assert reply.state == "interrupted"
    assert "fox" in reply.content
    bench.wait(lambda: last_foot(bench).note.text() == "Interrupted")
    assert not bench.child("chat.send").isEnabled()
    bench.session.go_on()
    bench.session.reload()
    bench.wait(lambda: bench.page._model.state == "ready")
    bench.session.script(" — and on it went.")
    last_foot(bench).resume.click()
    bench.settle()
    assert bench.page.conversation.message(reply.id).content == reply.content + " — and on it went."


def test_a_refused_message_stays_in_the_field(bench, monkeypatch):
    from playground.errors import PlaygroundError

    def refuse(*_arguments):
        raise PlaygroundError("A reply is still being written.", "Stop it first.")

    monkeypatch.setattr(bench.session, "send", refuse)
    bench.child("chat.input").setPlainText("keep me")
    bench.child("chat.send").click()
    assert bench.child("chat.input").toPlainText() == "keep me"
    assert bench.notices[-1][0] == "A reply is still being written."


@pytest.mark.parametrize(
    ("state", "title", "button"),
    [
        (events.ModelState("none"), "No model is loaded", "Choose a model"),
        (events.ModelState("failed", message="x is not a GGUF file."), "The model could not be loaded", "Choose a model"),
        (events.ModelState("lost", message="The engine was ended."), "The model's engine has stopped", "Load again"),
        (events.ModelState("loading", name="tiny", fraction=0.4), "Loading tiny…", ""),
    ],
)
def test_every_state_of_the_model_has_its_words(bench, state, title, button):
    bench.page.handle(state)
    welcome = bench.page.ui.welcome
    assert welcome.title.text() == title
    assert welcome.button.isVisibleTo(welcome) is bool(button)
    assert not button or welcome.button.text() == button


def test_the_examples_fill_the_field(bench):
    bench.child("chat.example.1").click()
    assert bench.child("chat.input").toPlainText() == "Repeat: red green blue"


# -- messages


def test_regenerate_makes_a_version_and_the_arrows_go_back(bench):
    bench.session.script("first answer", "second answer")
    bench.say("go")
    bench.page.regenerate_last()
    bench.settle()
    assert bench.page.transcript.toPlainText().endswith("second answer")
    shown = last_foot(bench)
    assert shown.count.text() == "2/2"
    assert not shown.forth.isEnabled()
    shown.back.click()
    bench.wait(lambda: bench.page.transcript.toPlainText().endswith("first answer"))
    bench.settle()
    assert last_foot(bench).count.text() == "1/2"


def test_editing_in_place_makes_a_version_of_the_question_and_its_reply(bench):
    bench.session.script("one", "two")
    bench.say("question")
    user = bench.page.conversation.path()[0]
    bench.page.transcript.begin_edit(user.id)
    field = bench.child("chat.edit")
    assert field.toPlainText() == "question"
    field.setPlainText("better question")
    QTest.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    bench.settle()
    assert bench.page.transcript.toPlainText() == "You\nbetter question\n\nModel\ntwo"


def test_an_edit_can_be_left_with_escape(bench):
    bench.session.script("one")
    bench.say("question")
    user = bench.page.conversation.path()[0]
    bench.page.transcript.begin_edit(user.id)
    field = bench.child("chat.edit")
    field.setPlainText("something else")
    QTest.keyClick(field, Qt.Key.Key_Escape)
    bench.settle()
    assert bench.page.transcript.toPlainText() == "You\nquestion\n\nModel\none"
    assert not any(call[0] == "edit" for call in bench.session.calls)


def test_a_reply_can_be_edited(bench):
    bench.session.script("one")
    bench.say("question")
    reply = bench.page.conversation.last_reply()
    bench.page.transcript.edited.emit(reply.id, "mended")
    bench.wait(lambda: bench.page.transcript.toPlainText().endswith("Model\nmended"))
    assert not bench.page._busy


def test_continue_goes_on_in_the_same_message(bench):
    bench.session.script("one", " two")
    bench.say("question")
    bench.page._message_action(foot.CONTINUE, bench.page.conversation.last_reply().id)
    bench.settle()
    assert bench.page.transcript.toPlainText().endswith("Model\none two")


def test_a_copied_message_is_its_source(bench):
    bench.session.script("**bold**")
    bench.say("go")
    last_foot(bench).tools[foot.COPY].click()
    assert QApplication.clipboard().text() == "**bold**"


def test_under_a_reply_stand_its_numbers(bench):
    bench.session.prefill_s = 0.12
    bench.say("go")
    text = last_foot(bench).stats.text()
    assert " tok/s · prefill 0.1 s · " in text
    assert text.endswith(" tokens")
    assert bench.page.ui.gauge.used > 0
    assert bench.page.ui.gauge.limit == 2048


def test_a_slider_moved_while_it_writes_leaves_a_mark(bench):
    bench.session.hold()
    bench.child("chat.input").setPlainText("go")
    bench.child("chat.send").click()
    bench.wait(lambda: "forest" in bench.page.transcript.toPlainText())
    bench.page.ui.panel.changed.emit(replace(bench.session.sampling, temperature=0.2))
    bench.session.go_on()
    bench.wait(lambda: bool(bench.page.conversation.entries()[-1].marks))
    bench.settle()
    chat_id = bench.page.chat_id
    marks = bench.page.conversation.entries()[-1].marks
    bench.page.new_chat()
    bench.open(chat_id)
    assert bench.page.conversation.entries()[-1].marks == marks
    bench.wait(lambda: any("0.2" in view.toPlainText() for view in bench.page.transcript._views()))


# -- chats


def test_chats_are_grouped_by_day(unstarted):
    bench = unstarted
    bench.session.add_chat("now", "a", "b")
    bench.session.add_chat("before", "a", "b", age_s=86_400)
    bench.session.start()
    model = bench.child("chat.list").model()
    bench.wait(lambda: model.rowCount() == 4)
    assert [model.index(i).data() for i in range(4)] == ["Today", "now", "Yesterday", "before"]


def test_search_finds_words_and_opens_the_message(unstarted):
    bench = unstarted
    bench.session.add_chat("one", "about owls", "Owls fly at night.")
    target = bench.session.add_chat("two", "about foxes", "Foxes are quick.")
    bench.session.start()
    bench.page.focus_search()
    search = bench.child("chat.search")
    bench.wait(search.hasFocus)
    search.setText("quick")
    listed = bench.child("chat.list")
    bench.wait(lambda: listed.model().searching and listed.model().rowCount() == 1)
    QTest.keyClick(search, Qt.Key.Key_Return)
    bench.wait(lambda: bench.page.chat_id == target)
    bench.settle()
    assert bench.page.transcript._current == bench.page.conversation.path()[1].id
    search.setText("nothing like it")
    bench.wait(lambda: bench.page.chats.empty.isVisible())
    QTest.keyClick(search, Qt.Key.Key_Escape)
    bench.wait(lambda: not listed.model().searching)


def test_what_was_missed_of_a_chat_does_not_call_back_who_has_left_it(unstarted):
    bench = unstarted
    one, two = (bench.session.add_chat(name, "a question", "an answer") for name in ("one", "two"))
    bench.session.start()
    bench.open(one)
    bench.page.open_chat(two)
    bench.page.handle(events.SessionChanged(replace(bench.page.conversation.session, tip="unheard of")))
    bench.wait(lambda: bench.page.chat_id == two)


def test_the_chat_that_was_asked_for_last_is_shown_whatever_comes_of_the_others(unstarted, monkeypatch):
    from concurrent.futures import Future

    bench = unstarted
    one, two, three = (bench.session.add_chat(name, "a question", "an answer") for name in ("one", "two", "three"))
    bench.session.start()
    bench.open(one)
    read = bench.session.chat
    answers = {chat_id: Future() for chat_id in (two, three)}
    monkeypatch.setattr(bench.session, "chat", answers.__getitem__)
    bench.page.open_chat(two)
    bench.page.open_chat(one)  # shown already
    answers[two].set_result(read(two).result())
    told = []
    bench.page.desk.when_done(read(one), bench.page, told.append)  # comes after the answer
    bench.wait(lambda: bool(told))
    assert bench.page.chat_id == one and not bench.page.opening
    answers[two] = Future()
    bench.page.open_chat(two)
    bench.page.open_chat(three)
    answers[two].set_exception(NotFoundError("There is no such chat."))
    answers[three].set_result(read(three).result())
    bench.wait(lambda: bench.page.chat_id == three)
    assert not bench.notices


def test_an_answer_to_an_old_search_is_dropped(bench):
    from concurrent.futures import Future

    answers = [Future(), Future()]
    waiting = iter(answers)
    bench.session.search = lambda words, limit=50: next(waiting)
    bench.page._search("first")
    bench.page._search("second")
    answers[1].set_result([])
    answers[0].set_result(["stale"])
    bench.wait(lambda: bench.page.chats.model.searching)
    assert bench.page.chats.model.rowCount() == 0


def test_rename_in_place(unstarted):
    bench = unstarted
    chat_id = bench.session.add_chat("old name", "a", "b")
    bench.session.start()
    listed = bench.child("chat.list")
    bench.wait(lambda: listed.model().rowCount() == 2)
    bench.page.chats.rename(chat_id)
    editor = listed.findChild(QLineEdit, "chat.rename")
    editor.setText("new name")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    bench.wait(lambda: listed.model().index(1).data() == "new name")


def test_delete_can_be_undone(unstarted):
    bench = unstarted
    chat_id = bench.session.add_chat("doomed", "a", "b")
    bench.session.start()
    listed = bench.child("chat.list")
    bench.wait(lambda: listed.model().rowCount() == 2)
    bench.open(chat_id)
    listed.setCurrentIndex(listed.model().index(1))
    QTest.keyClick(listed, Qt.Key.Key_Delete)
    bench.wait(lambda: listed.model().rowCount() == 0)
    assert bench.page.chat_id == ""
    message = "“doomed” was deleted."
    assert (message, "Undo") in bench.notices
    bench.runs[message]()
    bench.wait(lambda: listed.model().rowCount() == 2 and bench.page.chat_id == chat_id)


@pytest.mark.parametrize("form", ["md", "json"])
def test_export_writes_a_file(unstarted, tmp_path, form):
    bench = unstarted
    chat_id = bench.session.add_chat("to keep", "question", "answer")
    bench.session.start()
    file = tmp_path / f"chat.{form}"
    chat_export.write(bench.page, bench.page.desk, chat_id, form, file)
    bench.wait(file.exists)
    text = file.read_text()
    assert "answer" in text
    assert form == "md" or json.loads(text)["title"] == "to keep"
    assert list(tmp_path.glob("*.part")) == []


def test_an_export_that_cannot_be_written_says_so(unstarted, tmp_path):
    bench = unstarted
    chat_id = bench.session.add_chat("to keep", "question", "answer")
    bench.session.start()
    chat_export.write(bench.page, bench.page.desk, chat_id, "md", tmp_path / "missing" / "chat.md")
    bench.wait(lambda: bool(bench.notices))
    assert bench.notices[-1][0].startswith("chat.md could not be written")


def test_file_names_are_plain():
    assert chat_export.file_name("What? A/B: <fox> *", "md") == "What A B fox.md"
    assert chat_export.file_name("///", "json") == "chat.json"


def test_a_chat_that_is_written_in_can_be_left_and_opened_again(unstarted):
    bench = unstarted
    other = bench.session.add_chat("other", "a", "b")
    bench.session.start()
    bench.wait(lambda: bench.page._model.state == "ready")
    bench.session.hold()
    bench.child("chat.input").setPlainText("go")
    bench.child("chat.send").click()
    bench.wait(lambda: "fox" in bench.page.transcript.toPlainText())
    writing = bench.page.chat_id
    bench.page.open_chat(other)
    bench.wait(lambda: bench.page.chat_id == other)
    assert not bench.child("chat.send").isEnabled()
    bench.page.open_chat(writing)
    bench.wait(lambda: bench.page.chat_id == writing)
    bench.session.go_on()
    bench.settle()
    assert bench.page.transcript.toPlainText().endswith("And so she went to look.\n")


# -- reach


def tab_chain(page: QWidget) -> list[QWidget]:
    found, step = [], page.nextInFocusChain()
    while step is not page and len(found) < 2000:
        if step.focusPolicy() & Qt.FocusPolicy.TabFocus and step.isVisibleTo(page) and step.isEnabled():
            found.append(step)
        step = step.nextInFocusChain()
    return found


def test_everything_is_reached_by_the_tab_key(bench):
    bench.session.script("one two three")
    bench.say("go")
    names = [each.objectName() for each in tab_chain(bench.page)]
    for name in (
        "chat.new", "chat.search", "chat.list", "chat.system_toggle", "chat.transcript", "chat.input", "chat.reply_start_toggle",
        "chat.message.copy", "chat.message.edit", "chat.message.regenerate", "chat.message.continue", "chat.menu", "chat.panel",
    ):  # fmt: skip
        assert name in names, name
    after = names[names.index("chat.transcript") :]
    assert after.index("chat.message.copy") < after.index("chat.input")


def test_everything_that_can_be_pressed_has_a_name_and_says_what_it_does(bench):
    bench.session.script("one two three")
    bench.say("go")
    controls = [
        each
        for each in bench.page.findChildren(QWidget)
        if isinstance(each, (QAbstractButton, QLineEdit, QPlainTextEdit, QListView)) and each.objectName().startswith("chat.")
    ]
    assert len(controls) > 15
    for each in controls:
        text = each.text() if isinstance(each, QAbstractButton) else ""
        assert each.accessibleName() or text, each.objectName()
        if isinstance(each, QAbstractButton):
            assert each.toolTip(), each.objectName()


def test_in_a_small_window_the_list_gives_way(bench):
    assert not bench.page.chats.isHidden()
    bench.page.resize(968, 620)
    bench.wait(lambda: bench.page.chats.isHidden())
    bench.child("chat.list.show").click()
    assert not bench.page.chats.isHidden()
    bench.page.resize(1200, 760)
    bench.wait(lambda: not bench.page.chats.isHidden())


def test_pasted_rich_text_comes_as_text(bench):
    from PySide6.QtCore import QMimeData

    data = QMimeData()
    data.setHtml("<b>bold</b>")
    data.setText("bold")
    bench.child("chat.input").insertFromMimeData(data)
    assert bench.child("chat.input").toPlainText() == "bold"


def test_other_words_than_ascii(bench):
    bench.session.script("שלום 😀 你好")
    bench.say("こんにちは 🦊")
    assert bench.page.transcript.toPlainText() == "You\nこんにちは 🦊\n\nModel\nשלום 😀 你好"


def test_the_list_of_alternatives_stays_in_a_conversation_that_becomes_narrow(bench):
    bench.say("Hello")
    transcript = bench.page.transcript
    bench.page.set_colours("probability")
    reply = bench.page.conversation.last_reply().id
    bench.wait(lambda: bool(bench.page.marks_of(reply)))
    transcript.open_alternatives(reply, bench.page.marks_of(reply)[-1])
    bench.page.resize(700, 600)
    bench.settle()
    popup = transcript.alternatives
    assert popup.isVisible() and popup.pinned
    assert popup.geometry().right() <= transcript.width()
