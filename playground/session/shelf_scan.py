"""A long listing of the library, in a process of its own: reading thousands of headers would take the interpreter from the window.

A window waits for the interpreter at every step of its painting, and a thread that reads headers gives it up every five milliseconds only.
The child lives as long as the listing. It speaks JSON, like every worker: what it reads is nobody's promise.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from playground.models import library
from playground.models.library import Row, Scan, Snapshot
from playground.paths import Home
from playground.spawning import apart

BATCH_S, BATCH = 0.2, 200


def scan_apart(home: Home, on_rows: Callable[[tuple[Row, ...]], None], cancelled: Callable[[], bool]) -> Scan | None:
    """The listing, with rows in batches as they are found. None if it was cancelled, or no child could be started, or it ended without a word."""
    context = multiprocessing.get_context("spawn")
    try:
        ours, theirs = context.Pipe(duplex=False)
    except OSError:
        return None
    # Not a daemon: it starts a helper of its own. It ends with the listing, or when nobody reads what it finds.
    child = context.Process(target=_child, args=(str(home.root), theirs), name="library", daemon=False)
    try:
        with apart():
            child.start()
    except OSError:
        ours.close()
        return None
    finally:
        theirs.close()
    found: Scan | None = None
    rows: list[Row] = []
    try:
        while found is None and not cancelled():
            if not ours.poll(0.1):
                continue
            told = json.loads(ours.recv_bytes())
            batch = tuple(_row(each) for each in told["rows"])
            rows += batch
            if batch:
                on_rows(batch)
            if "notices" in told:
                snapshot = Snapshot(
                    told["folders"], {path: (size, when) for path, (size, when) in told["files"].items()}, tuple(told["places"])
                )
                found = Scan(tuple(rows), tuple(told["notices"]), snapshot)
    except (EOFError, OSError, ValueError, KeyError, TypeError):
        pass  # it was killed, or said nonsense: the caller has another way
    finally:
        ours.close()
        child.join(0.5 if found is not None else 0)
        if child.is_alive():
            child.kill()
            child.join(2)
        child.close()
    return found


def _row(data: dict[str, Any]) -> Row:
    return Row(**{**data, "files": tuple(data["files"])})


def _child(root: str, connection: Connection) -> None:
    batch: list[dict[str, Any]] = []
    told = time.monotonic()

    def send(**more: Any) -> None:
        nonlocal told
        connection.send_bytes(json.dumps({"rows": batch, **more}, separators=(",", ":")).encode("utf-8", "surrogatepass"))
        batch.clear()
        told = time.monotonic()

    def on_row(row: Row) -> None:
        batch.append({field.name: getattr(row, field.name) for field in dataclasses.fields(row)})
        if len(batch) >= BATCH or time.monotonic() - told > BATCH_S:
            send()

    try:
        found = library.scan(Home(Path(root)), on_row=on_row, helped=True)
        snapshot = found.snapshot
        send(notices=found.notices, folders=snapshot.folders, files=snapshot.files, places=snapshot.places)
    except OSError:
        pass  # nobody listens any more
