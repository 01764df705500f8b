"""The conversion worker: one GGUF file of one model folder, or of one adapter.

How a file is made is `conversion`; here are the messages and the cancel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground import conversion
from playground.conversion import adapter as adapters
from playground.protocol import Convert, ConvertAdapter, Made, Progress

BACKGROUND = True


class ConvertRole:
    """What this worker can do."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Convert: self._convert, ConvertAdapter: self._convert_adapter}

    def close(self) -> None: ...

    def _convert(self, command: Convert) -> None:
        request = command.request
        report = conversion.convert(
            Path(command.source),
            Path(command.target),
            command.type,
            lambda fraction, what: self._link.send(Progress(request, fraction, what)),
            lambda: self._link.pending and self._link.cancelled(request),
        )
        self._link.send(Made(request, str(report.path), report.bytes, report.seconds, report.notes))

    def _convert_adapter(self, command: ConvertAdapter) -> None:
        request, began = command.request, time.perf_counter()
        source, target = Path(command.source).absolute(), Path(command.target).absolute()
        base = adapters.base_of(Path(command.base) if command.base else adapters.named_base(source))

        def going(fraction: float) -> bool:
            self._link.send(Progress(request, fraction, "converting"))
            return not (self._link.pending and self._link.cancelled(request))

        size = adapters.convert_adapter(source, target, base, going)
        self._link.send(Made(request, str(target), size, time.perf_counter() - began))


def make(link: Any) -> ConvertRole:
    return ConvertRole(link)
