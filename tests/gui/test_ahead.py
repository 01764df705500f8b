"""What is made ahead of time: step by step, one that is not done yet again, and no longer than its owner."""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QObject

from playground.gui import ahead


def test_a_step_is_taken_until_it_is_done(qtbot, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "PAUSE_MS", 0)
    owner, done, left = QObject(), [], [1, 2]

    def twice() -> bool:
        done.append(left.pop(0))
        return bool(left)

    ahead.make_ahead(owner, [lambda: done.append("first"), twice, lambda: done.append("last")], 0)
    qtbot.waitUntil(lambda: done[-1:] == ["last"])
    assert done == ["first", 1, 2, "last"]


def test_nothing_is_made_for_an_owner_that_is_gone(qtbot, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "PAUSE_MS", 0)
    owner, other, done = QObject(), QObject(), []
    ahead.make_ahead(owner, [lambda: done.append("gone")], 0)
    ahead.make_ahead(other, [lambda: None, lambda: done.append("there")], 0)
    shiboken6.delete(owner)
    qtbot.waitUntil(lambda: bool(done))
    assert done == ["there"]
