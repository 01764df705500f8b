"""The shelf of models, for a face: what is on this computer, what the hub has, what is on its way, and whether it will fit.

Every method returns at once (with a `Future` where there is an answer); what changes by itself is told as an event through `tell`, on
whatever thread noticed. The hub is asked only what the face asks. Knows no widget, no engine and no database.

    LibraryChanged    rows of the library, in batches while they are found
    DownloadChanged   a download is new, further, done, or gone
    VerdictsKnown     whether rows fit, by path
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import GatedError, NotFoundError
from playground.history.records import FitRow
from playground.models import library, places
from playground.models import token as tokens
from playground.models.files import Choice, ChoiceVerdicts, Verdict
from playground.models.hub import PAGE, Found, Hub, ModelPage, Query, Search
from playground.models.library import Row
from playground.paths import Home
from playground.session.shelf_details import RowDetails, read_details
from playground.session.shelf_downloads import DownloadChanged, Downloading, Downloads
from playground.session.shelf_fit import Fits, VerdictsKnown, held_by
from playground.session.shelf_lane import Lane
from playground.session.shelf_scan import scan_apart
from playground.session.verdicts import usual

log = logging.getLogger(__name__)

WATCH_S = 3.0
"""how often folders are looked at for changes, while somebody wants to know"""
BATCH_S, BATCH = 0.2, 200
"""rows are told at the latest after so many seconds, and at most so many at once"""

PATIENCE_S = 0.4
"""a scan that takes longer than this goes on in a process of its own; one that finds what it knows is through by then"""
WORK_S, REST_S = 0.006, 0.003
"""a scan on a thread works so long at a stretch, then lets others have the interpreter"""


@dataclass(frozen=True)
class LibraryChanged:
    """Rows of the library. While a first scan goes on these are the rows found since the last event; `complete`: these are all."""

    rows: tuple[Row, ...]
    notices: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class Results:
    """The next results of a search; `ended`: there are no more. `search` is what `more` wants."""

    rows: tuple[Found, ...]
    ended: bool
    search: Search


class Shelf:
    """See the module's docstring. Cheap to make: no thread, no folder and no network before the first question."""

    def __init__(
        self,
        home: Home,
        tell: Callable[[Any], None],
        measured: Callable[[], Future[list[FitRow]]] | None = None,
        hub: Hub | None = None,
    ) -> None:
        self.home = home
        self._tell = tell
        self._hub = hub or Hub()
        self._hub_lane, self._disk = Lane("hub", 4), Lane("shelf", 2)
        self._downloads = Downloads(home, tell, self.refresh)
        self.fits = Fits(tell, measured)
        """estimates: see `shelf_fit`"""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None
        self._watching = False
        self._wanted = False
        self._found: library.Scan | None = None

    def close(self) -> None:
        """Ends downloads (what has arrived stays) and drops what was asked."""
        self._closed.set()
        self._wake.set()
        self._hub_lane.close()
        self._disk.close()
        self.fits.close()
        self._downloads.close()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(2.0)

    # -- on this computer

    def rows(self) -> tuple[Row, ...]:
        """The rows of the last whole scan."""
        return self._found.rows if self._found is not None else ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What was in the way of the last whole scan, a sentence each."""
        return self._found.notices if self._found is not None else ()

    def refresh(self) -> None:
        """Looks at all places again; `LibraryChanged` follows."""
        with self._lock:
            self._wanted = True
            if self._watcher is None and not self._closed.is_set():
                self._watcher = threading.Thread(target=self._watch, name="library", daemon=True)
                self._watcher.start()
        self._wake.set()

    def watch(self, wanted: bool) -> None:
        """Whether changes made by others are to be noticed: every few seconds, as long as somebody looks."""
        self._watching = wanted
        self._wake.set()

    def add(self, path: str | Path) -> Future[Row | None]:
        """Adds a model file or a folder where it lies. A file's row, None for a folder. ModelFileError for what is no model."""

        def work() -> Row | None:
            where = Path(path).expanduser().absolute()
            row = None if where.is_dir() and not (where / "config.json").exists() else library.inspect(where)
            places.add(self.home, where)
            self.refresh()
            return row

        return self._disk.submit(work)

    def remove(self, row: Row, trash: Callable[[Path], None]) -> Future[None]:
        """Moves a model of ours to the trash by `trash(path)`; one that was added is only taken off the list."""

        def work() -> None:
            if not (row.place == "added" and places.take_out(self.home, Path(row.path))):
                library.remove(self.home, row, trash)
            self.refresh()

        return self._disk.submit(work)

    def details(self, row: Row) -> Future[RowDetails]:
        """Everything the headers of a row say. A newer row drops the question before."""
        return self._disk.submit(lambda: read_details(row), "details")

    # -- on the hub

    def search(self, query: Query) -> Future[Results]:
        """The first results; a newer query drops those that still wait."""
        return self._hub_lane.submit(lambda: self._more(self._hub.search(query)), "search")

    def more(self, results: Results) -> Future[Results]:
        """The next results of a search."""
        return self._hub_lane.submit(lambda: self._more(results.search), "more")

    def page(self, repo: str, revision: str = "main") -> Future[ModelPage]:
        """What the hub knows of a model. NotFoundError, GatedError, OfflineError, HubError."""
        return self._hub_lane.submit(lambda: self._hub.model(repo, revision), "page")

    def card(self, repo: str, revision: str = "main") -> Future[str]:
        """A model's card as Markdown."""
        return self._hub_lane.submit(lambda: self._hub.card(repo, revision), "card")

    def has_token(self) -> Future[str]:
        """Where the hub's token comes from: `session`, `keyring`, `login`, or `none`."""
        return self._hub_lane.submit(lambda: str(tokens.source()))

    def set_token(self, token: str) -> Future[str]:
        """Keeps a token; gives the account's name. HubError for what is no token, GatedError for one that the hub does not take."""

        def work() -> str:
            kept = tokens.save(token)
            try:
                return self._hub.who() or kept
            except GatedError:
                tokens.forget()  # a token that is not accepted would also close what is open to everybody
                raise
            except NotFoundError:  # a mirror of the hub without accounts
                return kept

        return self._hub_lane.submit(work)

    # -- on its way

    def downloads(self) -> tuple[Downloading, ...]:
        """Those of this session, and the unfinished ones of earlier ones; the newest first."""
        return self._downloads.list()

    def download(self, page: ModelPage, choice: Choice) -> str:
        """Gets a choice; returns the download's id. `DownloadChanged` follows."""
        return self._downloads.start(page, choice)

    def pause(self, number: str) -> None:
        self._downloads.pause(number)

    def resume(self, number: str) -> None:
        self._downloads.resume(number)

    def cancel(self, number: str, delete: bool = False) -> None:
        self._downloads.cancel(number, delete)

    def forget(self, number: str) -> None:
        """Takes a finished download off the list."""
        self._downloads.forget(number)

    # -- inside

    def _more(self, search: Search) -> Results:
        rows = search.more(PAGE)
        return Results(tuple(rows), search.ended, search)

    def _watch(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(WATCH_S if self._watching else None)
            self._wake.clear()
            if self._closed.is_set():
                return
            try:
                if self._wanted or (self._watching and self._changed()):
                    self._wanted = False
                    self._scan()
            except Exception:  # a library that cannot be listed once is listed the next time
                log.exception("the library could not be listed")

    def _changed(self) -> bool:
        found = self._found
        if found is None:
            return False
        where = tuple(str(place.path) for place in places.known(self.home))
        return where != found.snapshot.places or library.changed_since(found.snapshot)

    def _scan(self) -> None:
        first = self._found is None
        batch: list[Row] = []
        begun = told = rested = time.monotonic()

        def tell(rows: tuple[Row, ...]) -> None:
            if first and rows:  # else the face has the rows already: it hears of the whole at the end
                self._tell(LibraryChanged(rows))

        def on_row(row: Row) -> None:
            nonlocal told, rested
            if time.monotonic() - rested > WORK_S:  # a window in this process waits for us at every step of its painting
                time.sleep(REST_S)
                rested = time.monotonic()
            batch.append(row)
            if len(batch) >= BATCH or time.monotonic() - told > BATCH_S:
                tell(tuple(batch))
                batch.clear()
                told = time.monotonic()

        found: library.Scan | None = library.scan(
            self.home, on_row=on_row, cancelled=lambda: self._closed.is_set() or time.monotonic() - begun > PATIENCE_S
        )
        tell(tuple(batch))
        if found is not None and not found.complete and not self._closed.is_set():
            found = scan_apart(self.home, tell, self._closed.is_set)
            if found is None and not self._closed.is_set():  # no process to be had: slower, but it is listed
                found = library.scan(self.home, cancelled=self._closed.is_set)
        if found is not None and found.complete:
            self._found = found
            self._tell(LibraryChanged(found.rows, found.notices, complete=True))


__all__ = [
    "ChoiceVerdicts",
    "DownloadChanged",
    "Downloading",
    "Downloads",
    "Fits",
    "LibraryChanged",
    "Results",
    "RowDetails",
    "Shelf",
    "Verdict",
    "VerdictsKnown",
    "held_by",
    "usual",
]
