"""The one exception tree. A `PlaygroundError` is something to tell the user; anything else is a bug.

PlaygroundError            one sentence (message) and a way out (hint)
├── SettingError           a setting out of its range, or a combination that cannot work
├── NotFoundError          a model, session, generation or file that is not there
├── ModelFileError         a file that is no model, or a damaged one
├── TemplateError          a chat template that cannot be rendered
├── MemoryShortError       more memory asked for than there is
├── ContextFullError       a prompt longer than the context window
├── WorkerError            a worker that died, hung or could not be started
├── StorageError           the database or the data folder cannot be used
│   └── InUseError         another window holds the data folder
├── HubError               the hub did not answer, refused, or answered nonsense
│   ├── OfflineError       there is no way to the hub
│   └── GatedError         the repository asks for a login or an agreement
├── DataError              training data that cannot be used; names the row and the field
└── Cancelled              an outcome, not a failure: somebody asked for it to stop
"""

from __future__ import annotations


class PlaygroundError(Exception):
    """Something the user can understand and act on: one sentence, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def kind(self) -> str:
        """The class's name: what crosses a process boundary in `protocol.Failed.kind`."""
        return type(self).__name__


class SettingError(PlaygroundError):
    """A setting out of its range, or a combination of settings that cannot work."""


class NotFoundError(PlaygroundError):
    """A model, session, generation or file that is not there."""


class ModelFileError(PlaygroundError):
    """A file that is no model, or a damaged one."""


class TemplateError(PlaygroundError):
    """A chat template that cannot be rendered."""


class MemoryShortError(PlaygroundError):
    """More memory asked for than the device has."""


class ContextFullError(PlaygroundError):
    """A prompt longer than the context window."""


class WorkerError(PlaygroundError):
    """A worker that died, hung or could not be started."""


class StorageError(PlaygroundError):
    """The database or the data folder cannot be used."""


class InUseError(StorageError):
    """Another window holds the data folder."""


class HubError(PlaygroundError):
    """The hub did not answer, refused, or answered nonsense."""


class OfflineError(HubError):
    """There is no way to the hub."""


class GatedError(HubError):
    """The repository asks for a login or an agreement first."""


class DataError(PlaygroundError):
    """Training data that cannot be used; the message names the row and the field."""


class Cancelled(PlaygroundError):
    """Stopped because somebody asked for it: an outcome, not a failure."""


def from_kind(kind: str, message: str, hint: str = "") -> PlaygroundError:
    """The error that a worker named by its class, made again on this side of the connection."""
    found = _by_name(PlaygroundError).get(kind, PlaygroundError)
    return found(message, hint)


def _by_name(root: type[PlaygroundError]) -> dict[str, type[PlaygroundError]]:
    tree = {root.__name__: root}
    for child in root.__subclasses__():
        tree |= _by_name(child)
    return tree
