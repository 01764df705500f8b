"""A page that ends at any moment, with parts half made: nothing is made for it any more, and nothing of it is in the way of the next."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import shiboken6
from PySide6.QtWidgets import QWidget

from playground.gui import ahead
from playground.gui.pages import models_making
from tests.gui.models.conftest import Bench, row


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are made ahead one right after the other."""
    monkeypatch.setattr(ahead.make_ahead, "__defaults__", (0,))
    monkeypatch.setattr(ahead, "PAUSE_MS", 0)
    monkeypatch.setattr(models_making, "FIRST_MS", 0)


def test_a_page_may_end_while_its_parts_are_made(
    hasty: None, dressed: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, session: Any, preferences: Any, home: Any
) -> None:
    monkeypatch.setattr(qtbot, "addWidget", lambda page: None)  # it would close what is gone
    for parts in (1, 30, 200):
        bench = Bench(qtbot, session, preferences, home)
        model = row("one")
        bench.rows(model)
        bench.page.library.select(model.path)
        begun = len(bench.page.findChildren(QWidget))
        qtbot.waitUntil(lambda page=bench.page, wanted=begun + parts: len(page.findChildren(QWidget)) >= wanted)
        page = bench.page
        del bench
        gc.collect()
        if parts % 2:
            shiboken6.delete(page)
        else:
            page.deleteLater()
            qtbot.waitUntil(lambda page=page: not shiboken6.isValid(page))
        del page
        gc.collect()
    last = Bench(qtbot, session, preferences, home)
    last.rows(row("two"))
    assert last.page.library.table.model().rowCount() == 1
    shiboken6.delete(last.page)
