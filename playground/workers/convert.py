"""The conversion worker: one GGUF file of one model folder. How a file is made is `conversion`; here are the messages and the cancel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground import conversion
from playground.protocol import Convert, Finished, Made, Progress


class ConvertRole:
    """What this worker can do."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Convert: self._convert}

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
        self._link.send(Finished(request))


def make(link: Any) -> ConvertRole:
    return ConvertRole(link)
