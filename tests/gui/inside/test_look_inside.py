"""The ways into the Inside page: a message's menu, a token's list by mouse and by key, a row of the log."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QMenu, QTextEdit, QWidget

from playground.gui.widgets import message_foot as foot
from playground.gui.widgets.token_marks import TokenMark
from playground.history.records import GenerationRow


def mark(index: int = 3) -> TokenMark:
    alternatives = ((1, " fox", -0.5, 0.6), (2, " owl", -1.5, 0.2))
    token = SimpleNamespace(
        token_id=1, text=" fox", logprob=-0.5, probability=0.6, entropy=1.0, alternatives=alternatives, index=index
    )
    return TokenMark(0, 4, token, "g1", index)


@pytest.fixture
def popup(dressed: Any, qtbot: Any) -> Any:
    from playground.gui.widgets.alternatives import Alternatives

    page = QTextEdit()  # takes the keys by a click, as the conversation does
    page.resize(500, 400)
    qtbot.addWidget(page)
    page.show()
    made = Alternatives(page)
    made.show_mark(mark(), QRect(20, 20, 40, 20), 4, True, pin=True)
    yield made
    page.close()  # held until here: the popup is its child


def test_the_list_of_a_token_leads_inside_by_a_click(popup: Any, qtbot: Any) -> None:
    assert popup.isVisible() and popup.pinned
    with qtbot.waitSignal(popup.look_wanted) as told:
        qtbot.mouseClick(popup.inside, Qt.MouseButton.LeftButton)
    assert told.args[0].index == 3 and not popup.isVisible()


def test_and_by_a_key(popup: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(popup.look_wanted):
        qtbot.keyClick(popup.list, Qt.Key.Key_I)
    assert not popup.isVisible()


def test_the_menu_of_a_message_has_it(dressed: Any, qtbot: Any, monkeypatch: Any) -> None:
    menus: list[QMenu] = []
    monkeypatch.setattr(QMenu, "popup", lambda self, where: menus.append(self))
    line = foot.MessageFoot()
    qtbot.addWidget(line)
    message = SimpleNamespace(content="Hello", state="")
    entry: Any = SimpleNamespace(
        role="user", message=message, generation=None, live=None, versions=1, version=1, streaming=False
    )
    for busy in (False, True):
        line.show_entry(entry, busy=busy)
        line.menu(QPoint(0, 0))
        action = next(each for each in menus[-1].actions() if each.text() == "Look inside")
        assert action.isEnabled() is not busy
        if not busy:
            with qtbot.waitSignal(line.pressed) as told:
                action.trigger()
            assert told.args == [foot.INSIDE]


def test_a_message_and_a_token_of_it_open_the_page(window: Any, qtbot: Any, monkeypatch: Any) -> None:
    session = window.session
    window.open("chat")
    page = window.pages["chat"]
    opened: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(page, "desk", _Listening(page.desk, opened))
    reply = "m1"
    page.look_inside(reply)
    assert opened == [("inside", {"message_id": reply, "tab": "text"})]

    def place_of(message_id: str, generation_id: str, index: int) -> Future[tuple[str, int]]:
        future: Future[tuple[str, int]] = Future()
        future.set_result(("", 40 + index) if generation_id == "g1" else (generation_id, index))
        return future

    monkeypatch.setattr(session.inside, "place_of", place_of, raising=False)
    page.transcript.look_wanted.emit(reply, mark())
    qtbot.waitUntil(lambda: len(opened) == 2)
    assert opened[1] == ("inside", {"message_id": reply, "token": 43, "tab": "text"})
    other = mark()
    page.transcript.look_wanted.emit(reply, TokenMark(0, 4, other.token, "g0", 7))
    qtbot.waitUntil(lambda: len(opened) == 3)
    assert opened[2] == ("inside", {"generation_id": "g0", "token": 7, "tab": "text"}), "a part that the message has no more"


class _Listening:
    """A desk that writes down what is opened."""

    def __init__(self, desk: Any, opened: list[tuple[str, dict[str, Any]]]) -> None:
        self._desk, self._opened = desk, opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    def open_page(self, page: str, **arguments: Any) -> None:
        self._opened.append((page, arguments))


def test_a_row_of_the_log_that_has_a_prompt_can_be_looked_into(dressed: Any, qtbot: Any) -> None:
    from playground.gui.widgets.log_detail import LogDetail

    detail = LogDetail()
    qtbot.addWidget(detail)
    button = detail.findChild(QWidget, "log.inside")
    of = ("m.gguf", "m", "", "llama.cpp", "", "CPU")
    row = GenerationRow("g1", "m", "s", *of, prompt_tokens=12, state="end")
    detail.show_row(row)
    assert button is not None and button.isEnabled()
    with qtbot.waitSignal(detail.inside_wanted) as told:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert told.args[0] is row
    detail.show_row(GenerationRow("g2", "m", "s", *of, state="interrupted"))
    assert not button.isEnabled(), "it ended before its prompt was read"
