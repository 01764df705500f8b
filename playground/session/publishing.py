"""Publishing to the hub, for a face: what would be sent is shown first, and sent only by a second, explicit intent.

Every method returns at once; a worker sends. Knows no widget.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playground.errors import NotFoundError, SettingError
from playground.paths import Home
from playground.protocol import Publish, Published
from playground.session.shelf_lane import Lane
from playground.session.workshop_steps import REQUEST, Step, Stop, run_step
from playground.training.publishing import Parcel, is_name, parcel

MODULE = "playground.workers.publish"
Tell = Callable[[float, str], None]
"""hears how far it is, 0 to 1, and what is done, in words"""


@dataclass(frozen=True)
class PublishPlan:
    """What would be sent, and where. Show `parcel.files`, `parcel.held_back`, `parcel.card` and `parcel.notes` before it is."""

    parcel: Parcel
    repo: str
    private: bool
    url: str
    """where it can be seen afterwards"""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self.parcel) | {"repo": self.repo, "private": self.private, "url": self.url, "bytes": self.parcel.bytes}


class Publishing:
    """See the module's docstring. Cheap to make."""

    def __init__(self, home: Home, find: Callable[[str], Path]) -> None:
        self._home, self._find = home, find
        self._lane, self._quick = Lane("publishing"), Lane("publishing-plan")
        self._stop = Stop()

    def plan(
        self, what: str, repo: str, *, private: bool = False, base: str = "", card: str | None = None
    ) -> Future[PublishPlan]:
        """What of an adapter or model (a name or a path) would be sent. Asks nobody. A newer question drops one that still waits.

        `repo`: `owner/name`; `base`: the name on the hub of the model that it was made from; `card`: README.md in place of its own.
        NotFoundError, ModelFileError, DataError, SettingError.
        """

        def work() -> PublishPlan:
            from playground.models import hub_client

            name = repo.strip().removeprefix(f"{hub_client.endpoint()}/").strip("/")
            if not is_name(name):
                raise SettingError(f"'{repo}' cannot be the name of a model on the hub.", "Write it as OWNER/NAME.")
            if base and not is_name(base):
                raise SettingError(f"'{base}' cannot be the name of a model on the hub.", "Write it as OWNER/NAME.")
            return PublishPlan(parcel(self._find(what), base, card), name, private, f"{hub_client.endpoint()}/{name}")

        return self._quick.submit(work, "plan")

    def publish(self, plan: PublishPlan, tell: Tell | None = None) -> Future[Published]:
        """Sends what a plan shows, with the user's token, in one commit: all of it or nothing. Only ever by somebody's explicit wish.

        GatedError without a token that may write there, HubError, OfflineError, DataError where the folder has changed meanwhile.
        """

        def work() -> Published:
            stop = self._stop
            sent = plan.parcel
            files = tuple(name for name, _ in sent.files)
            command = Publish(REQUEST, sent.path, plan.repo, files, sent.base, sent.card, plan.private)
            outcome = run_step(
                Step("Publishing", MODULE, command, word="publisher"),
                stop,
                lambda done, said: tell(done, said) if tell else None,
            )
            return next(each for each in outcome.other if isinstance(each, Published))

        return self._lane.submit(work)

    def cancel(self) -> None:
        """Ends what is being sent; nothing is visible there."""
        stop, self._stop = self._stop, Stop()
        stop.now()

    def close(self) -> None:
        self._lane.close()
        self._quick.close()
        self.cancel()


def find(home: Home, name: str) -> Path:
    """The folder or file of an adapter or a model, by name or path; an adapter first."""
    from playground.models import adapters, library

    try:
        return adapters.resolve(home, name)
    except NotFoundError:
        return library.resolve(home, name)


__all__ = ["PublishPlan", "Published", "Publishing", "find"]
