"""Memory predicted before anything is loaded, against the growth of the engine's process after a prompt and a reply.

The starter and random weights in the shapes of real models of about a billion: grouped heads, sliding windows, a mixture of experts;
in a format that the processor gets a second copy of and in one that it does not. Nothing here depends on what else the machine does.
"""

from __future__ import annotations

import queue
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from playground import protocol
from playground.params import ContextSettings, SamplingSettings
from playground.paths import starter
from playground.process import WorkerProcess
from playground.session import fitting
from tests.models_made import GROUPED_1B, MIXTURE_1B, WINDOW_1B, shaped_model

MIB = 1 << 20
PROMPT, REPLY, CONTEXT = 600, 32, 2048
MODELS = (
    ("grouped Q4_0", GROUPED_1B, "Q4_0"),
    ("grouped Q8_0", GROUPED_1B, "Q8_0"),
    ("window Q4_0", WINDOW_1B, "Q4_0"),
    ("mixture Q4_0", MIXTURE_1B, "Q4_0"),
    ("mixture Q8_0", MIXTURE_1B, "Q8_0"),
)


def measure(rounds: int) -> dict[str, object]:
    """One load of each: a size has no noise worth a second. Largest error in per cent and in MiB, each with its model's other one."""
    results: dict[str, object] = {}
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape, kind in (("starter", None, ""), *MODELS):
            path = starter() if shape is None else shaped_model(Path(folder) / "made.gguf", shape, kind)
            predicted, taken, text = compare(path)
            error = predicted - taken
            results[name] = f"{text}; measured {taken / MIB:.1f}; error {error / MIB:+.1f} MiB, {100 * error / taken:+.1f} %"
            print(f"  {name}: {results[name]}", file=sys.stderr, flush=True)
            if abs(error) > max(0.03 * taken, 50 * MIB):
                missed.append(name)
    return results | {"outside 3 % or 50 MiB": ", ".join(missed) or "none"}


def compare(path: Path) -> tuple[int, int, str]:
    """Bytes predicted, bytes taken, and the prediction term by term."""
    settings = ContextSettings(context=CONTEXT)
    shape = fitting.of_path(path)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    worker = WorkerProcess("playground.workers.llama", told.put, told.put, "model")
    worker.start()
    try:
        worker.send(protocol.Load(1, str(path), settings))
        loaded = _until(told, protocol.Loaded)
        in_force = ContextSettings(context=loaded.model.context)
        fit, _ = fitting.estimate(shape, in_force)
        rng = random.Random(1)
        ids = tuple(rng.randrange(256) for _ in range(PROMPT))
        worker.send(protocol.Generate(2, (SamplingSettings(temperature=0, max_tokens=REPLY),), prompt_ids=ids))
        used = _until(told, protocol.MemoryUsed)
    finally:
        worker.stop()
    terms = ", ".join(f"{name} {nbytes / MIB:.1f}" for name, nbytes in fit.terms.to_dict().items())
    return fit.total, used.resident, f"predicted {fit.total / MIB:.1f} ({terms})"


def _until(told: queue.SimpleQueue[Any], kind: type) -> Any:
    while not isinstance(event := told.get(timeout=600), kind):
        if isinstance(event, protocol.Failed):
            raise RuntimeError(event.message)
    return event
