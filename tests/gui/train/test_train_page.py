"""The Train page over training that answers as a test says: what is planned, started, shown, told, and used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_training import plan_of
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QTableWidget, QWidget

from playground.errors import DataError, PlaygroundError
from playground.events import StoreReady
from playground.history.runs import SampleRow
from playground.session.workshop_jobs import JobChanged, Making
from playground.training.settings import TrainSettings

ROWS = '{"prompt": "Hi", "completion": "Ahoy!"}\n{"prompt": "You", "completion": "Aye, me!"}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "talk.jsonl"
    made.write_text(ROWS, encoding="utf-8")
    return made


@pytest.fixture
def page(window, file, qtbot):
    window.open("train", data=str(file))
    found = window.pages["train"]
    qtbot.waitUntil(lambda: find(found, "train.new.start").isEnabled())
    return found


def find(page: QWidget, name: str):
    found = page.window().findChild(QWidget, name)
    assert found is not None, name
    return found


def held(window, file: Path) -> bool:
    """Drops a file on the window's open page; whether anybody would take it."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    page = window.stack.currentWidget()
    place, action, button, keys = (
        QPoint(300, 200),
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(place, action, data, button, keys)
    QApplication.sendEvent(page, enter)
    QApplication.sendEvent(page, QDropEvent(QPointF(place), action, data, button, keys))
    return enter.isAccepted()


def test_a_plan_is_shown_with_its_reasons_and_started_as_it_is(page, session, file) -> None:
    assert find(page, "train.data.facts").text() == "40 rows, 1,200 tokens, 400 of them learned."
    assert find(page, "train.chosen.rank").text() == "16"
    assert find(page, "train.reason.batch").text() == "Steps of 8 rows suit 36 rows."
    find(page, "train.new.start").click()
    what, _, data, wishes, encode, probes, title, anyway = session.training.asked[-1]
    assert (what, data, wishes, encode, probes, anyway) == ("start", str(file), {}, {}, (), False)
    assert find(page, "train.run.title").text() == title


def test_the_page_comes_in_pieces_and_its_keys_go_through_it_in_order(window, qtbot) -> None:
    window.open("train")
    page = window.pages["train"]
    assert page.findChild(QWidget, "train.data") is not None
    assert page.findChild(QWidget, "train.probes") is None
    qtbot.waitUntil(lambda: page.findChild(QWidget, "train.model") is not None and bool(page.setup.model()))
    wanted = [
        "train.data",
        "train.data.datasets",
        "train.data.look",
        "train.model",
        "train.more",
        "train.sweep",
        "train.probes",
    ]
    wanted.append("train.new.start")
    chain = [find(page, "train.data")]
    while (each := chain[-1].nextInFocusChain()) is not chain[0]:
        chain.append(each)
    assert [each.objectName() for each in chain if each.objectName() in wanted] == wanted


def test_a_plan_of_what_was_chosen_before_is_not_shown(page, session, qtbot) -> None:
    training = session.training
    training.hold_plans = True
    page.setup.set_wishes({"rank": 4})
    asked = len(training.plans)
    qtbot.waitUntil(lambda: len(training.plans) == asked + 1)
    page.setup.set_wishes({"rank": 8})
    training.plans[-1].set_result(plan_of("model", "data", {"rank": 4}))
    qtbot.waitUntil(lambda: len(training.plans) == asked + 2)
    assert not find(page, "train.new.start").isEnabled()
    training.plans[-1].set_result(plan_of("model", "data", {"rank": 8}))
    qtbot.waitUntil(lambda: find(page, "train.new.start").isEnabled())
    assert find(page, "train.chosen.rank").text() == "8"
    page.setup.show_plan(replace(plan_of("model", "data"), rows=120, each=3))  # of many rows, some are measured
    assert find(page, "train.data.facts").text() == "120 rows, about 3,600 tokens, 1,200 of them learned."


def test_what_is_wrong_with_data_is_said_where_it_was_chosen(page, session, qtbot) -> None:
    session.training.refuse = DataError("talk.jsonl has no row to learn from.", "Choose another file.")
    find(page, "train.data").setText("/other.jsonl")
    qtbot.waitUntil(lambda: "no row to learn" in find(page, "train.data.facts").text())
    assert not find(page, "train.new.start").isEnabled()


def test_a_run_is_followed_and_its_result_used(page, session, window, qtbot) -> None:
    find(page, "train.new.start").click()
    training = session.training
    training.note("run0", {"event": "loading", "what": "the model"})
    qtbot.waitUntil(lambda: "Loading the model" in (each.text() for each in page.run.findChildren(QLabel)))
    for step in range(1, 6):
        training.step("run0", step, loss=5 / step)
    qtbot.waitUntil(lambda: len(find(page, "train.loss").curves()[0].x) == 5)
    find(page, "train.pause").click()
    assert training.asked[-1] == ("pause", "run0")
    training.finish("run0", "/adapters/made")
    qtbot.waitUntil(lambda: page.run.row().ended)
    session.calls.clear()
    find(page, "train.compare").click()
    assert window.page == "compare"
    assert session.calls[0][0] == "load"
    assert "/adapters/made" in map(str, session.calls[0])
    compare = window.pages["compare"]
    assert [column.settings.adapter_scale for column in compare.columns] == [0.0, 1.0]


def test_a_sweep_queues_every_pair_and_runs_are_compared(page, session, qtbot) -> None:
    find(page, "train.sweep").setChecked(True)
    find(page, "train.sweep.ranks").setText("4, 8")
    find(page, "train.sweep.rates").setText("1e-4, 3e-4, x")
    qtbot.waitUntil(lambda: not find(page, "train.new.start").isEnabled())
    find(page, "train.sweep.rates").setText("1e-4, 3e-4")
    find(page, "train.new.start").click()
    started = [each[3] for each in session.training.asked if each[0] == "start"]
    assert [(each["rank"], each["learning_rate"]) for each in started] == [(4, 1e-4), (4, 3e-4), (8, 1e-4), (8, 3e-4)]
    for number in range(4):
        session.training.finish(f"run{number}")
    qtbot.waitUntil(lambda: len(page.runs.model.runs) == 4 and all(each.ended for each in page.runs.model.runs))
    page.runs.table.selectAll()
    table = page.findChild(QTableWidget, "train.runs.settings")
    heads = [table.horizontalHeaderItem(place).text() for place in range(table.columnCount())]
    assert heads == ["Run", "Rank", "Learning rate", "Loss"]
    assert sorted(table.item(row, 1).text() for row in range(4)) == ["4", "4", "8", "8"]


def test_data_dropped_anywhere_opens_in_train_and_models_load_as_before(window, session, file, tmp_path, qtbot) -> None:
    window.open("log")
    assert held(window, file)
    assert window.page == "train"
    assert find(window.pages["train"], "train.data").text() == str(file)
    window.open("log")
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "one.md").write_text("A note.")
    assert held(window, folder)
    assert find(window.pages["train"], "train.data").text() == str(folder)
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF")
    assert held(window, model)
    qtbot.waitUntil(lambda: session.model.name == "tiny")
    assert find(window.pages["train"], "train.data").text() == str(folder)
    (folder / "picture.png").write_bytes(b"PNG")
    window.open("log")
    assert not held(window, folder / "picture.png")


def test_what_was_left_out_and_what_is_secret_is_told_without_looking_at_the_rows(page, session, file, qtbot) -> None:
    file.write_text(ROWS + '{"prompt": "Me?", "completion": "I am me@mail.org"}\n{"prompt": "Well?", "completion": ""}\n')
    made = session.datasets.import_(file).result()
    session.training.hold_plans = True
    page.setup.set_wishes({"rank": 4})
    asked = len(session.training.plans)
    qtbot.waitUntil(lambda: len(session.training.plans) == asked + 1)
    plan = plan_of("model", str(file))
    session.training.plans[-1].set_result(replace(plan, data=replace(plan.data, sha256=made.sha256)))
    qtbot.waitUntil(lambda: find(page, "train.data.notes").isVisible())
    assert find(page, "train.data.notes").text() == "E-mail address: 1 row, kept.  Empty answer: 1 row, left out."
    find(page, "train.data").setText("")
    qtbot.waitUntil(lambda: not find(page, "train.data.notes").isVisible())


def test_another_file_does_not_wait_for_the_one_before(page, session, file, qtbot) -> None:
    assert find(page, "train.data.facts").text().startswith("40 rows")
    session.datasets.asked.clear()
    session.training.hold_plans = True
    find(page, "train.data").setText("/large.jsonl")
    assert session.datasets.asked == [("cancel",)]
    assert "rows" not in find(page, "train.data.facts").text()
    assert find(page, "train.data.look").isEnabled()
    assert not find(page, "train.new.start").isEnabled()


def test_every_setting_can_be_changed_by_hand_and_left_to_us_again(page, session, qtbot) -> None:
    find(page, "train.more").click()
    qtbot.waitUntil(lambda: page.findChild(QWidget, "train.setting.tracking") is not None)
    assert {f"train.setting.{name}" for name in TrainSettings.__dataclass_fields__} <= {
        each.objectName() for each in page.setup.form.findChildren(QWidget)
    }
    for name, text in (("learning_rate", "3e-5"), ("epochs", "0.5"), ("targets", "q_proj, v_proj"), ("tracking", "runs.db")):
        field = find(page, f"train.setting.{name}")
        field.setText(text)
        field.editingFinished.emit()
    find(page, "train.setting.steps").setValue(120)
    wanted = {"learning_rate": 3e-5, "epochs": 0.5, "targets": ("q_proj", "v_proj"), "tracking": "runs.db", "steps": 120}
    assert page.setup.wishes() == wanted
    rate = find(page, "train.setting.learning_rate")
    rate.setText("much")
    rate.editingFinished.emit()
    assert "learning_rate must be a number" in find(page, "train.refused").text()
    assert float(rate.text()) == 3e-5
    qtbot.waitUntil(lambda: session.training.asked[-1][3] == wanted)
    qtbot.waitUntil(lambda: find(page, "train.reason.learning_rate").text() == "as you want it")
    find(page, "train.suggested").click()
    qtbot.waitUntil(lambda: session.training.asked[-1][3] == {})
    qtbot.waitUntil(lambda: float(rate.text()) == 2e-4)


def test_what_is_made_of_a_run_is_followed_to_its_end_without_the_models_page(page, session, window, qtbot) -> None:
    find(page, "train.new.start").click()
    session.training.finish("run0", "/adapters/made")
    qtbot.waitUntil(lambda: page.run.row().ended)
    find(page, "train.export").click()
    assert "models" not in window.pages
    making = Making("job", "adapter", "Merging made", "running", fraction=0.5)
    session.emit(JobChanged(making))
    qtbot.waitUntil(lambda: "making.job" in window.jobs.jobs())
    session.emit(JobChanged(replace(making, state="done", path="/models/made-Q4_K_M.gguf", bytes=3_500_000)))
    qtbot.waitUntil(lambda: "making.job" not in window.jobs.jobs())
    assert "made-Q4_K_M.gguf is here, 3.5 MB." in window.notices()


def test_samples_are_shown_with_their_prompts_as_they_come(page, session, qtbot) -> None:
    find(page, "train.new.start").click()
    for step, base, reply in ((0, True, "Hello."), (5, False, "Ahoy!")):
        session.training.sample("run0", SampleRow(step, 0, "Who are you?", reply, base))
    qtbot.waitUntil(lambda: page.run.samples.shown() == [("Who are you?", "Hello.", "Ahoy!")])


def test_a_sample_that_is_one_long_word_is_broken_and_none_of_them_is_markup(page, session, window, qtbot) -> None:
    window.resize(960, 640)
    find(page, "train.new.start").click()
    prompt, reply = "Repeat the words <b>h</b>", "h" + "y" * 200
    session.training.sample("run0", SampleRow(5, 0, prompt, reply, False))
    qtbot.waitUntil(lambda: page.run.samples.shown() == [(prompt, "not yet", reply)])
    card = find(page, "train.samples.0")
    assert card.minimumSizeHint().width() <= find(page, "train.samples.list").viewport().width()
    assert prompt in [label.text() for label in card.findChildren(QLabel) if label.textFormat() == Qt.TextFormat.PlainText]


def test_less_memory_goes_on_with_the_same_probes(page, session, qtbot) -> None:
    find(page, "train.probes").setPlainText("Who are you?\nWhere do you live?")
    find(page, "train.new.start").click()
    session.training.fail(
        "run0", "Memory ran out.", lower={"sentence": "Half the batch.", "changes": {"batch": 1}, "goes_on": False}
    )
    qtbot.waitUntil(lambda: page.run.row().state == "failed")
    find(page, "train.lower").click()
    begun = [each for each in session.training.asked if each[0] == "start"]
    assert [each[5] for each in begun] == [("Who are you?", "Where do you live?")] * 2


def test_runs_are_deleted_when_that_was_said_twice(page, session, window, qtbot) -> None:
    find(page, "train.new.start").click()
    find(page, "train.run.close").click()
    qtbot.waitUntil(lambda: len(page.runs.model.runs) == 1)
    page.runs.table.selectAll()
    qtbot.keyClick(page.runs.table, Qt.Key.Key_Delete)
    assert not window.notices()  # it is running
    session.training.fail("run0", "It did not work.")
    qtbot.waitUntil(lambda: page.runs.model.runs[0].ended)
    window.notify("", key="train.run0")
    qtbot.keyClick(page.runs.table, Qt.Key.Key_Delete)
    assert window.notices() == ("Delete “starter on talk”?",)
    assert len(page.runs.model.runs) == 1
    next(each for each in window.findChildren(QAbstractButton) if each.isVisible() and each.text() == "Delete").click()
    qtbot.waitUntil(lambda: not page.runs.model.runs)
    assert not window.notices()


def test_columns_are_few_in_a_narrow_window(page, window, qtbot, session) -> None:
    find(page, "train.new.start").click()
    find(page, "train.run.close").click()
    table = page.runs.table
    for size in ((1280, 800), (960, 600)):
        window.resize(*size)
        qtbot.waitUntil(lambda size=size: window.width() == size[0])
        qtbot.waitUntil(lambda: not table.horizontalScrollBar().maximum() and table.columnWidth(0) >= 100)


def test_the_keys_and_names_of_a_run(page, qtbot) -> None:
    find(page, "train.new.start").click()
    unnamed = [
        each.objectName()
        for each in page.findChildren(QAbstractButton)
        if each.isVisible() and not (each.accessibleName() or each.text())
    ]
    assert not unnamed
    assert isinstance(find(page, "train.what"), QLabel)
    qtbot.keyClick(page.run, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not page.run.isVisible())


def test_a_window_that_begins_with_this_page_is_there_before_the_database(window, session, monkeypatch, qtbot) -> None:
    def not_yet():
        raise PlaygroundError("The database is not open yet.", "Try again in a moment.")

    with monkeypatch.context() as soon:
        soon.setattr(session.training, "runs", not_yet)
        window.open("train")
    page = window.pages["train"]
    run_id = session.training.start("model", "data", {})
    page.runs.show_runs([])
    page.handle(StoreReady(True))
    qtbot.waitUntil(lambda: [each.id for each in page.runs.model.runs] == [run_id])
