"""What is learned from every load: the model file's hash, and the memory it took beside what was predicted.

Runs beside the work and is never in its way. Knows the database and the estimates, but no chat.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from playground import events, protocol
from playground.history.records import FitRow, new_id
from playground.params import ContextSettings, to_dict
from playground.session.ledger import Ledger

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""how long closing waits for the record of what a load took, in seconds"""


class Measuring:
    """Its methods may be called from any thread and return at once, but for `known_hash`, which reads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="measuring")
        self._pending: list[Future[None]] = []
        self._fit: tuple[str, protocol.ModelInfo] | None = None
        self._unhashed: list[str] = []
        self._closed = False

    def close(self) -> None:
        """Waits a moment for what is nearly written."""
        wait(self._pending, PATIENCE_S)
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def loaded(self, info: protocol.ModelInfo, context: ContextSettings) -> None:
        """A model was loaded with these settings: predicts what that takes, and keeps it beside what the engine reports."""
        if not self._closed:
            self._pending = [self._thread.submit(self._predict, info, context)]

    def memory_used(self, used: protocol.MemoryUsed) -> None:
        """What the worker really takes; told and kept with the prediction."""
        if not self._closed:  # behind the prediction, which may still be computed
            self._pending.append(self._thread.submit(self._measured, used))

    def wants_hash(self, generation_id: str) -> None:
        """A generation was begun before its model's hash was known."""
        self._unhashed.append(generation_id)

    def hashed(self, path: str, sha256: str) -> None:
        """The hash of a model's file, for the file's next load and for generations that were begun without it."""
        try:
            size, changed = _stamp(Path(path))
        except OSError:
            return
        waiting, self._unhashed = self._unhashed, []
        self._ledger.write(lambda store: store.remember_model(path, size, changed, sha256))
        for generation_id in waiting:
            self._ledger.write(lambda store, each=generation_id: store.update_generation(each, model_sha256=sha256))  # type: ignore[misc]

    def known_hash(self, path: Path) -> str:
        """The hash of exactly this file, if it was computed before; else empty: the worker computes it."""
        try:
            size, changed = _stamp(path)
            return self._ledger.read(lambda store: store.model_sha256(str(path), size, changed)).result(5)
        except Exception:
            log.debug("no hash known of %s", path, exc_info=True)
            return ""

    def _predict(self, info: protocol.ModelInfo, context: ContextSettings) -> None:
        from playground.session import fitting  # reads headers and computes: not at the window's start

        try:
            settings = replace(context, context=info.context)
            runtime = fitting.learned_runtime(self._ledger.read(lambda store: store.fits(50)).result(), info.engine)
            found, _ = fitting.estimate(fitting.of_path(Path(info.path)), settings, runtime=runtime)
            row = FitRow(
                new_id(),
                info.path,
                info.name,
                info.engine_build,
                to_dict(settings),
                fitting.by_device(found),
                fitting.measured(info),
                time.time(),
            )
            self._fit = row.id, info
            self._ledger.write(lambda store: store.add_fit(row))
            self._ledger.tell(events.FitMeasured(row))
        except Exception:  # an estimate is never in the way of a model that runs
            log.exception("no estimate for %s", info.path)

    def _measured(self, used: protocol.MemoryUsed) -> None:
        from playground.session import fitting

        if self._fit is None or self._fit[1].path != used.path:
            return
        fit_id, info = self._fit
        found = fitting.measured(info, used.resident)
        self._ledger.write(lambda store: store.update_fit(fit_id, measured=found))
        for row in self._ledger.read(lambda store: store.fits(1, used.path)).result():
            self._ledger.tell(events.FitMeasured(row))


def _stamp(path: Path) -> tuple[int, float]:
    """Size in bytes and time of the last change: of a file, or of all weights in a folder together."""
    about = [each.stat() for each in (sorted(path.glob("*.safetensors")) if path.is_dir() else [path])]
    return sum(each.st_size for each in about), max((each.st_mtime for each in about), default=0.0)
