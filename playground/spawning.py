"""How child processes are started here. Knows nothing of what they do."""

from __future__ import annotations

import multiprocessing.spawn
import threading
from typing import Any

_spawning = threading.Lock()


class WithoutMain:
    """While it holds, spawned children do not import the parent's `__main__`.

    A worker needs nothing of it, it may be slow (pytest) or unguarded (a script), and it would run in every worker.
    """

    def __enter__(self) -> None:
        _spawning.acquire()
        self._original = multiprocessing.spawn.get_preparation_data

        def shortened(name: str) -> dict[str, Any]:
            data = self._original(name)
            return {key: value for key, value in data.items() if not key.startswith("init_main")}

        multiprocessing.spawn.get_preparation_data = shortened

    def __exit__(self, *_: object) -> None:
        multiprocessing.spawn.get_preparation_data = self._original
        _spawning.release()
