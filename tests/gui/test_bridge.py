"""Events come in order, merged, in small portions; futures come back to the window's thread."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from fake_session import token
from PySide6.QtCore import QObject, QThread, QTimer

from playground import events
from playground.errors import NotFoundError
from playground.gui.bridge import Bridge, when_done
from playground.params import SamplingSettings

ONE = token(" a", 0, SamplingSettings())


def tokens(index: int, generation: str = "g") -> events.GenerationTokens:
    return events.GenerationTokens(generation, "m", index, index, (ONE,), index)


@pytest.fixture
def bridge(qapp) -> Bridge:
    return Bridge()


def test_tokens_are_merged_and_nothing_is_lost_or_out_of_order(bridge, qtbot) -> None:
    got = []
    bridge.received.connect(got.append)

    piled_up = threading.Event()

    def talk() -> None:
        for index in range(4500):
            bridge.push(tokens(index))
        piled_up.set()
        for index in range(4500, 5000):
            bridge.push(tokens(index))
        bridge.push(events.Notice("info", "done"))

    thread = threading.Thread(target=talk)
    thread.start()
    assert piled_up.wait(60)
    qtbot.waitUntil(lambda: bool(got) and isinstance(got[-1], events.Notice))
    thread.join()
    place = 0
    for event in got[:-1]:
        assert event.index == place
        place += len(event.tokens)
        assert event.used == place - 1
    assert place == 5000
    assert len(got) < 1000


def test_other_generations_and_other_events_are_kept_apart(bridge) -> None:
    got = []
    bridge.received.connect(got.append)
    bridge.push(tokens(0))
    bridge.push(tokens(1))
    bridge.push(tokens(2, "h"))
    bridge.push(events.PrefillProgress("g", 0.1))
    bridge.push(events.PrefillProgress("g", 0.9))
    bridge.push(events.ModelState("loading", "p", fraction=0.1))
    bridge.push(events.ModelState("loading", "p", fraction=0.7))
    bridge.push(events.ModelState("ready", "p"))
    bridge.flush()
    assert [(type(each).__name__, getattr(each, "fraction", None)) for each in got] == [
        ("GenerationTokens", None),
        ("GenerationTokens", None),
        ("PrefillProgress", 0.9),
        ("ModelState", 0.7),
        ("ModelState", -1.0),
    ]
    assert len(got[0].tokens) == 2


def test_the_window_breathes_while_events_pour_in(bridge, qtbot) -> None:
    """Slow handlers, many events: between two portions the event loop comes round."""
    rounds = []
    timer = QTimer(interval=0)
    timer.timeout.connect(lambda: rounds.append(len(got)))
    got = []

    def slow(event: object) -> None:
        got.append(event)
        ends = time.perf_counter() + 0.002
        while time.perf_counter() < ends:
            pass

    bridge.received.connect(slow)
    timer.start()
    for number in range(100):
        bridge.push(events.Notice("info", str(number)))
    qtbot.waitUntil(lambda: len(got) == 100)
    timer.stop()
    steps = [b - a for a, b in itertools.pairwise(rounds)]
    assert max(steps, default=0) <= 10


def test_a_result_comes_on_the_windows_thread(qapp, qtbot) -> None:
    where = []
    receiver = QObject()
    with ThreadPoolExecutor(1) as pool:
        when_done(pool.submit(lambda: 7), receiver, lambda value: where.append((value, QThread.currentThread())))
        qtbot.waitUntil(lambda: bool(where))
    assert where == [(7, qapp.thread())]


def test_an_error_goes_to_whoever_takes_errors(qapp, qtbot) -> None:
    future: Future[int] = Future()
    seen = []
    receiver = QObject()
    when_done(future, receiver, seen.append, lambda error: seen.append(error.message))
    future.set_exception(NotFoundError("It is not there."))
    qtbot.waitUntil(lambda: seen == ["It is not there."])


def test_nothing_comes_for_a_receiver_that_is_gone(qapp, qtbot) -> None:
    import shiboken6

    future: Future[int] = Future()
    seen = []
    receiver = QObject()
    when_done(future, receiver, seen.append)
    shiboken6.delete(receiver)
    future.set_result(1)
    last: Future[int] = Future()
    other = QObject()
    when_done(last, other, seen.append)
    last.set_result(2)
    qtbot.waitUntil(lambda: seen == [2])


def test_a_cancelled_future_is_dropped(qapp, qtbot) -> None:
    future: Future[int] = Future()
    seen = []
    receiver = QObject()
    when_done(future, receiver, seen.append, seen.append)
    future.cancel()
    future.set_running_or_notify_cancel()
    last: Future[int] = Future()
    when_done(last, receiver, seen.append)
    last.set_result(2)
    qtbot.waitUntil(lambda: seen == [2])


def test_a_future_holds_nobody_once_its_result_is_told(qapp, qtbot) -> None:
    """Whoever holds the future last, on whatever thread, must not be who destroys the receiver."""
    receiver, seen = QObject(), []
    held = weakref.ref(receiver)
    future: Future[int] = Future()
    when_done(future, receiver, lambda value, receiver=receiver: seen.append(value))
    del receiver
    future.set_result(1)
    qtbot.waitUntil(lambda: seen == [1] and held() is None)
