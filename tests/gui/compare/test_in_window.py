"""The Compare page in the window: its place, its keys, and what the other pages make of its tokens."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget


def test_the_third_page_by_key_and_a_run_leaves_the_chats_panel_alone(window, session, qtbot) -> None:
    qtbot.waitUntil(lambda: window.session.model.state == "ready")
    panel = window.pages["chat"].ui.panel
    qtbot.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert window.page == "compare"
    page = window.pages["compare"]
    window.findChild(QWidget, "compare.start.seeds").click()
    window.findChild(QWidget, "compare.prompt").setPlainText("Tell me")
    qtbot.keyClick(window.findChild(QWidget, "compare.prompt"), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(page.comparing.replies) and not page.running and page.ui.board.settled)
    assert [len(reply.tokens) > 10 for reply in page.comparing.replies.values()] == [True] * 4
    assert not [label.text() for label in panel.findChildren(QLabel) if label.text().endswith(" bits")]


def test_the_kept_page_and_comparison_come_back_with_the_window(window, session, home, qtbot) -> None:
    from playground.gui.app import make_window

    window.open("compare")
    window.findChild(QWidget, "compare.start.presets").click()
    window.findChild(QWidget, "compare.prompt").setPlainText("Tell me")
    window.findChild(QWidget, "compare.run").click()
    page = window.pages["compare"]
    qtbot.waitUntil(lambda: bool(page.comparing.replies) and not page.running and page.ui.board.settled)
    kept = page.comparison_id
    window.preferences.save(wait=True)
    again = make_window(session, home)
    qtbot.addWidget(again)
    again.show()
    qtbot.waitUntil(lambda: "compare" in again.pages and again.pages["compare"].comparison_id == kept)
    qtbot.waitUntil(lambda: again.pages["compare"].ui.board.settled)
    titles = [view.title.text() for view in again.pages["compare"].ui.board.views]
    assert titles == [view.title.text() for view in page.ui.board.views]
    again.close()
