"""Where garbage is collected: Qt objects in cycles are destroyed on the window's thread, however busy another one is."""

from __future__ import annotations

import gc
import threading

from PySide6.QtCore import QObject, Qt

from playground.gui import collector


class Ring(QObject):
    """An object that only the collector can free; its child tells on which thread it went."""

    def __init__(self, went: list[threading.Thread]) -> None:
        super().__init__()
        self.ring = self
        self.child = QObject(self)
        self.child.destroyed.connect(lambda: went.append(threading.current_thread()), Qt.ConnectionType.DirectConnection)


def busy() -> None:
    """Makes so much that Python would collect on any thread."""
    kept: list[list[int]] = [[] for _ in range(200_000)]
    del kept


def test_another_thread_destroys_nothing_of_the_windows(qtbot, monkeypatch) -> None:
    monkeypatch.setattr(collector, "PAUSE_MS", 10)
    went: list[threading.Thread] = []
    with collector.collected_here():
        gc.collect()
        Ring(went)
        thread = threading.Thread(target=busy)
        thread.start()
        thread.join()
        assert went == []
        kept: list[object] = []

        def collected() -> bool:
            kept.append(
                [[] for _ in range(2 * gc.get_threshold()[0])]
            )  # what earlier tests left goes meanwhile, and counts against it
            return bool(went)

        qtbot.waitUntil(collected)
    assert went == [threading.main_thread()]
    assert kept


def test_python_collects_by_itself_afterwards_as_before(qtbot) -> None:
    was = gc.isenabled()
    gc.enable()
    try:
        with collector.collected_here():
            assert not gc.isenabled()
            with collector.collected_here():
                assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled()
    finally:
        if not was:
            gc.disable()
