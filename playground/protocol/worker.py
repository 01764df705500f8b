"""What every worker is told and says, whatever its role. Knows nothing of the work itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cancel:
    """Stop a request at the next token (or chunk of prompt); `sequence` -1 stands for all of them."""

    request: int
    sequence: int = -1


@dataclass(frozen=True)
class Shutdown:
    """Finish and exit."""


@dataclass(frozen=True)
class Started:
    """The first word of every worker."""

    pid: int
    role: str


@dataclass(frozen=True)
class Progress:
    """How far a request is; `fraction` from 0 to 1, or -1 when it cannot be said."""

    request: int
    fraction: float
    what: str = ""


@dataclass(frozen=True)
class Finished:
    """A request is done; nothing more of it follows."""

    request: int
    outcome: str = "done"
    """`done` or `cancelled`"""


@dataclass(frozen=True)
class Failed:
    """A request could not be done. `kind` is the class in `errors`; `Bug` for anything that is none, with the traceback in `details`."""

    request: int
    kind: str
    message: str
    hint: str = ""
    details: str = ""


@dataclass(frozen=True)
class LogLine:
    """A line for the log file: what a worker or the library in it printed."""

    level: int
    text: str
