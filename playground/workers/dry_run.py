"""The dry-run worker: what llama.cpp itself would allocate for a model and a context, counted by its own code, nothing allocated.

A process of its own: the library ends the process at some headers, and one that only counts must not take a loaded model with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import SettingError
from playground.params import ContextSettings
from playground.protocol import DryRun, DryRunDone, Finished, MemoryTerm
from playground.workers.base import Link
from playground.workers.llama_lib import C, library_log
from playground.workers.llama_model import DEFAULT_CONTEXT, Model, memory_terms

MOST_CELLS = 1 << 30
"""Tokens that a cache can be asked for: the library counts them in 32 bits, and wraps."""


class _Counted(Model):
    """A model whose memory is only counted. It can decode nothing."""

    dry = True

    def _window(self, settings: ContextSettings) -> int:
        window = settings.context or min(self._trained(), DEFAULT_CONTEXT)
        if window * settings.sequences > MOST_CELLS:
            raise SettingError(
                f"A context window of {window:,} tokens for {settings.sequences} sequences is more than the engine can count.",
                "Take a smaller one.",
            )
        return window


class DryRuns:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {DryRun: self.run}

    def close(self) -> None:
        pass

    def run(self, command: DryRun) -> None:
        model = _Counted(Path(command.path), command.context)
        try:
            found = [term for term in memory_terms(library_log.lines) if term.kind != "kv_cache"]
            found += cache_terms(library_log.lines)
            if not any(term.kind == "weights" and term.bytes for term in found):  # one device: the log is silent about them
                found.insert(0, MemoryTerm("CPU", "weights", C.llama_model_size(model.handle)))
            self._link.send(DryRunDone(command.request, tuple(found), model.window, model.gpu_layers))
        finally:
            model.close()
        self._link.send(Finished(command.request))


def cache_terms(lines: Iterable[str]) -> list[MemoryTerm]:
    """The caches' sizes as the library logs them where it allocates none: a sum each, shared here among the devices of its layers."""
    found: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    for line in lines:
        if placed := re.search(r"\blayer\s+\d+: dev = (\S+)", line):
            layers[placed[1]] += 1
        elif size := re.search(r": size =\s*([\d.]+) MiB \(\s*\d+ cells", line):
            layers = layers or Counter({"CPU": 1})
            for device, count in layers.items():
                found[device] += round(float(size[1]) * (1 << 20) * count / layers.total())
            layers = Counter()
    return [MemoryTerm(device, "kv_cache", nbytes) for device, nbytes in found.items()]


def make(link: Link) -> DryRuns:
    return DryRuns(link)
