"""What is submitted to the database's threads: jobs with their futures, and running many of them in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playground.errors import PlaygroundError, StorageError
from playground.history.store import Store

T = TypeVar("T")
Job = Callable[[Store], T]
"""what to do with the database; touches nothing else, because it may be run more than once"""

log = logging.getLogger(__name__)


def nothing(store: Store) -> None:
    """A job that only wants its place in the line: nothing is written for it, and no transaction begun where there is no other."""


@dataclass
class Work:
    """A job in the line. `then` is called once, when the job is written, or kept where it cannot be."""

    job: Job[Any]
    then: Callable[[], None] | None
    future: Future[Any] = field(default_factory=Future)

    def tell(self) -> None:
        then, self.then = self.then, None
        if then is not None:
            try:
                then()
            except Exception:
                log.exception("what follows a write has failed")


Outcome = tuple[Any, Exception | None]
"""a job's value, or its own error"""


def write(store: Store, works: list[Work]) -> list[Outcome]:
    """All in one transaction; a job that fails for reasons of its own takes back only itself."""
    if works and all(work.job is nothing for work in works):
        return [(None, None)] * len(works)
    with store.atomic():
        return run(store, works)


def run(store: Store, works: list[Work]) -> list[Outcome]:
    """The same inside a transaction. StorageError where the database fails, whatever the job."""
    outcomes: list[Outcome] = []
    for work in works:
        if work.job is nothing:
            outcomes.append((None, None))
            continue
        try:
            with store.atomic():
                outcomes.append((work.job(store), None))
        except StorageError:
            raise
        except Exception as error:
            if not store.in_transaction:
                raise StorageError("The database took everything back.") from error
            outcomes.append((None, error))
    return outcomes


def settle(works: list[Work], outcomes: list[Outcome]) -> None:
    """Gives the futures what came of their jobs, and tells whoever waits for the writing."""
    for work, (value, error) in zip(works, outcomes, strict=True):
        if error is not None:
            if not isinstance(error, PlaygroundError):
                log.error("a write has failed", exc_info=error)
            if not work.future.done():
                work.future.set_exception(error)
            continue
        if not work.future.done():
            work.future.set_result(value)
        work.tell()
