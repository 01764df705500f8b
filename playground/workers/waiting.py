"""How the threads of an engine wait for each other: spinning while they have the processor to themselves, asleep while others want it.

llama.cpp computes a step in hundreds of short pieces, and all of its threads meet after each. Whoever comes first can look again and again
(nothing is lost, as long as the core is not wanted by anybody) or sleep and be woken (which takes longer than many a piece). Of four columns
of a 0.5B model on two cores, spinning came to 56 tokens/s and sleeping to 28 on a quiet machine; beside one busy program, to 16 and 28.

GNU's OpenMP library reads once, at its start, how often to look. But it takes a second, small number while more threads of its own exist than
there are cores (its documentation, GOMP_SPINCOUNT), and that can be brought about and undone: by a team of threads that only sleeps.
How much others want the cores is what the kernel counts for every thread: the time that it could have run and did not.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")

SPARING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "3000"}
"""for a library that nobody watches: few looks, then sleep"""
WATCHED = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
"""As many looks as without any setting, and 1,000 where `Waiting` finds that others want the cores. The last is for LLVM's library, which
some systems have under the name of GNU's: its own default, where the first alone would have it look for ever."""

LOOK_S = 0.25
CROWDED = 0.2
"""seconds of waiting for a core, of all threads together in one second, from which on they sleep"""
FREE = 0.08
"""the same below which they spin again, if it stays so"""
QUIET_LOOKS = 4
_IDLE_S = 1.0
"""so long after the last piece of work, what was counted says nothing of the next"""


def watched(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set for a library that is watched: nothing where the user has set how it waits, or the kernel does not count."""
    is_free = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & environment.keys()
    return WATCHED if is_free and counts() else {}


def counts() -> bool:
    """Whether the kernel counts how long threads wait for a core; where it does not, the file may be there with nothing in it."""
    try:
        return int(Path("/proc/self/schedstat").read_bytes().split()[2]) > 0
    except (OSError, ValueError, IndexError):
        return False


def delay() -> float | None:
    """Seconds that this process's threads have waited for a core, since each began; None where the kernel does not say."""
    total = 0
    try:
        for each in os.listdir(_TASKS):
            with suppress(FileNotFoundError, ProcessLookupError):  # one that has just ended
                total += int((_TASKS / each / "schedstat").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


class Crowd:
    """A team of sleeping threads: while it is there, the OpenMP library counts more threads than cores."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def there(self) -> bool:
        return self._thread is not None

    def gather(self) -> None:
        """Nothing happens where the engine was built without this library."""
        if self._thread is not None:
            return
        library = _library()
        if library is None:
            return
        idle = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # what each of them does: free(NULL), which is nothing
        count = library.omp_get_num_procs() + 1
        end, gathered = threading.Event(), threading.Event()

        def lead() -> None:
            try:
                library.GOMP_parallel(idle, None, ctypes.c_uint(count), ctypes.c_uint(0))
            finally:
                gathered.set()
            end.wait()  # they belong to this thread, and end with it

        thread = threading.Thread(target=lead, name="crowd", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads: they go on spinning
            return
        self._end, self._thread = end, thread
        gathered.wait()

    def disperse(self) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None


def _library() -> ctypes.CDLL | None:
    """GNU's OpenMP library as this process has loaded it; a wheel may have brought its own, under a longer name."""
    lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    for path in dict.fromkeys(line[line.index("/") :] for line in lines if "/libgomp" in line and ".so" in line):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            if library.GOMP_parallel and library.omp_get_num_procs:
                return library
    return None


class Waiting:
    """`look` before every piece of work and say when it is `done`: a few times a second it decides how the threads will wait."""

    def __init__(
        self,
        crowd: Crowd | None = None,
        delay: Callable[[], float | None] = delay,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.crowd = crowd or Crowd()
        self._delay = delay
        self._clock = clock
        self._looked = self._ended = float("-inf")
        self._delayed = 0.0
        self._quiet = 0

    def look(self) -> None:
        now = self._clock()
        since = now - self._looked
        if since < LOOK_S:
            return
        delayed = self._delay()
        if delayed is None:
            self._looked = float("inf")  # never again
            return
        share = (delayed - self._delayed) / since
        self._looked, self._delayed = now, delayed
        if now - self._ended > _IDLE_S:
            return
        self._quiet = self._quiet + 1 if share < FREE else 0
        if share > CROWDED:
            self.crowd.gather()
        elif self._quiet >= QUIET_LOOKS:
            self.crowd.disperse()

    def done(self) -> None:
        self._ended = self._clock()
