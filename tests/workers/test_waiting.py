"""How the engine's threads wait: spinning while they have the cores to themselves, asleep while others want them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from playground.params import SamplingSettings
from playground.paths import starter
from playground.workers import waiting
from playground.workers.waiting import Waiting
from tests.workers.talk import Talk


class Machine:
    """A clock, what the kernel has counted, and a crowd that only notes whether it is there."""

    def __init__(self) -> None:
        self.now = 100.0
        self.delayed = 5.0
        self.asked = 0
        self.there = False
        self.waiting = Waiting(self, self.delay, lambda: self.now)  # type: ignore[arg-type]

    def delay(self) -> float | None:
        self.asked += 1
        return self.delayed

    def gather(self) -> None:
        self.there = True

    def disperse(self) -> None:
        self.there = False

    def compute(self, seconds: float, share: float, step: float = 0.05) -> None:
        """Steps in which the threads wait for a core for such a share of the time."""
        for _ in range(round(seconds / step)):
            self.waiting.look()
            self.now += step
            self.delayed += step * share
            self.waiting.done()


def test_threads_sleep_while_others_want_the_cores_and_spin_again_when_that_is_over() -> None:
    machine = Machine()
    seen = []
    for seconds, share in ((3, 0.03), (0.6, 0.7), (5, 0.12), (0.6, 0.02), (1.5, 0.02)):
        machine.compute(seconds, share)
        seen.append(machine.there)
    assert seen == [False, True, True, True, False], "at once, as long as it is not surely over, and not for a moment's peace"


def test_steps_of_a_second_and_more_are_work_and_no_pause() -> None:
    machine = Machine()
    machine.compute(6, 0.9, step=1.5)
    assert machine.there
    machine.compute(12, 0.02, step=1.5)
    assert not machine.there


def test_the_kernel_is_asked_a_few_times_a_second_only() -> None:
    machine = Machine()
    machine.compute(10, 0.03)
    assert machine.asked <= 42


def test_what_was_counted_while_nothing_was_computed_says_nothing() -> None:
    """Loading, or another model's measurement, before the first step and between two replies."""
    machine = Machine()
    machine.delayed = 900.0
    machine.compute(0.3, 0.02)
    assert not machine.there
    machine.compute(1, 0.02)
    machine.now += 60
    machine.delayed += 40
    machine.compute(0.05, 0.02)
    assert not machine.there


def test_where_the_kernel_does_not_count_it_is_not_asked_again() -> None:
    machine = Machine()
    asked: list[None] = []
    machine.waiting = Waiting(machine, lambda: asked.append(None), lambda: machine.now)  # type: ignore[arg-type]
    machine.compute(3, 0.9)
    assert len(asked) == 1 and not machine.there


@pytest.mark.skipif(not waiting.counts(), reason="this kernel does not count")
def test_the_time_that_threads_wait_for_a_core_is_counted() -> None:
    """Twice as many threads as cores, all busy."""
    code = (
        "import json, os, sys, time; from playground.workers.waiting import delay; import numpy, threading\n"
        "block = numpy.ones((300, 300)); before = delay(); end = time.monotonic() + 60\n"
        "def work():\n"
        "    while time.monotonic() < end: numpy.sort(block.ravel())\n"
        "all = [threading.Thread(target=work) for _ in range(2 * len(os.sched_getaffinity(0)))]\n"
        "[each.start() for each in all]; time.sleep(1.2); print(json.dumps([before, delay()]), flush=True); os._exit(0)"
    )
    before, after = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert after - before > 0.2


def test_a_crowd_is_more_threads_than_cores_and_leaves_no_thread_behind() -> None:
    code = (
        "import ctypes, json, os, time; from playground.workers.waiting import Crowd\n"
        "count = lambda: len(os.listdir('/proc/self/task')); crowd = Crowd()\n"
        "crowd.gather(); without = count()\n"
        "library = ctypes.CDLL('libgomp.so.1'); cores = library.omp_get_num_procs()\n"
        "before = count(); crowd.gather(); crowd.gather(); there = count() - before; was = crowd.there\n"
        "crowd.disperse(); crowd.disperse()\n"
        "end = time.monotonic() + 60\n"
        "while count() > before and time.monotonic() < end: time.sleep(0.01)\n"
        "print(json.dumps([without, before, cores, there, was, crowd.there, count()]))"
    )
    if sys.platform != "linux":
        pytest.skip("GNU's OpenMP library is used on Linux")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "cannot open shared object" in done.stderr:
        pytest.skip("GNU's OpenMP library is not installed here")
    without, before, cores, there, was, is_there, after = json.loads(done.stdout)
    assert without == before, "nothing is begun where the library is not in use"
    assert was and there > cores
    assert not is_there and after == before


@pytest.mark.skipif(not waiting.counts(), reason="this kernel does not count")
def test_an_engine_beside_busy_programs_lets_its_threads_sleep(talk: Talk) -> None:
    """Seen from outside: the crowd are threads of the worker."""
    talk.load(starter(), context=512)
    worker = psutil.Process(talk.worker.pid)
    before, cores = worker.num_threads(), len(os.sched_getaffinity(0))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * cores)]
    try:
        most, end = before, time.monotonic() + 120
        while most <= before + cores and time.monotonic() < end:
            talk.generate(*(SamplingSettings(temperature=1.5, max_tokens=200, seed=seed) for seed in range(4)), text="Once")
            most = max(most, worker.num_threads())
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert most > before + cores, "more than the engine's own, of which there is at most one a core"


def test_what_the_user_has_set_stays() -> None:
    assert waiting.watched({"OMP_WAIT_POLICY": "passive"}) == waiting.watched({"GOMP_SPINCOUNT": "77"}) == {}
    assert waiting.watched({}) == (waiting.WATCHED if waiting.counts() else {})
