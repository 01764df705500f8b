"""torch and transformers, imported when they are first needed: offline, quiet, with a sentence where they are not installed.

Whatever they would fetch by themselves (kernels, code, newer files) is forbidden before they load; what they say of themselves goes to
nobody, faults end up as sentences of ours.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playground.errors import Cancelled, MemoryShortError, WorkerError

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "USE_HUB_KERNELS": "0",
    "BITSANDBYTES_NOWELCOME": "1",
}


def start() -> None:
    """Imports the libraries; a second call costs nothing. WorkerError if they are not installed or do not load."""
    os.environ.update(_OFFLINE)
    if "transformers" not in sys.modules:
        with uncollected():
            need("torch", "transformers")
        gc.freeze()  # they stay
    for name in ("transformers", "bitsandbytes", "peft", "accelerate", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from transformers.utils import logging as theirs

    theirs.set_verbosity_error()
    theirs.disable_progress_bar()


@contextmanager
def uncollected() -> Iterator[None]:
    """While the libraries are imported: Python's collector would go through all that they leave again and again, a tenth of the time."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def need(*names: str) -> None:
    """Imports libraries by name. WorkerError with a way out for one that is not there or does not load."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            if (getattr(error, "name", None) or "").partition(".")[0] == name:
                raise WorkerError(
                    f"Model folders need {name}, which is not installed.",
                    'Install it with: pip install "playground[train]" - or load a GGUF file instead.',
                ) from None
            raise WorkerError(f"{name} does not load ({error}).", "Install it again, or load a GGUF file instead.") from None
        except OSError as error:
            raise WorkerError(f"{name} does not load ({error}).", "Install it again, or load a GGUF file instead.") from None


def build(*more: str) -> str:
    """The versions that decide what is computed, as one line."""
    return ", ".join(
        f"{name} {importlib.metadata.version(name).partition('+')[0]}" for name in ("transformers", "torch", *more)
    )


@contextmanager
def short_memory_said() -> Iterator[None]:
    """What the library says when it gets no memory for what is computed, as MemoryShortError."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if "DefaultCPUAllocator" not in said and "out of memory" not in said:
            raise
        raise MemoryShortError(
            "There is not enough memory to go on with this.",
            "Compare fewer at once, set a lower longest reply, close other programs, or take a smaller model.",
        ) from None


@contextmanager
def watched_loading(on_progress: Callable[[float], bool]) -> Iterator[None]:
    """Hears from the library how far it is with the weights (0 to 1); Cancelled as soon as `on_progress` answers False."""
    from transformers.utils import logging as theirs

    def bar(make: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        bar = make(*given, **named)
        if not given or named.get("desc") != "Loading weights":
            return bar
        return _Counted(bar, len(given[0]), on_progress)

    before = theirs.set_tqdm_hook(bar)
    try:
        yield
    finally:
        theirs.set_tqdm_hook(before)


class _Counted:
    """A progress bar that tells us instead of the terminal."""

    def __init__(self, bar: Any, count: int, on_progress: Callable[[float], bool]) -> None:
        self._bar = bar
        self._count = max(1, count)
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[Any]:
        for place, each in enumerate(self._bar):
            if not self._on_progress(place / self._count):
                raise Cancelled("Loading was stopped.")
            yield each

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)
