"""Opening the database's file: its kind is checked before anything in it is touched, then its tables are brought up to date."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

from playground.errors import StorageError
from playground.history import faults

APPLICATION_ID = 0x504C4159
"""`PLAY`, in the file's header: which program a database belongs to"""

STEPS = (
    "m001_tables",
    "m002_search",
    "m003_fits",
    "m004_adapters",
    "m005_comparisons",
    "m006_measured",
    "m007_documents",
    "m008_training",
)
"""the steps of `migrations.py` by name: a database that has had them all is opened without sqlite-utils"""

COPIED = 512 << 20
"""bytes: a larger database that cannot be written to is not copied into memory"""


def connect(path: Path | None, read_only: bool, timeout_s: float) -> sqlite3.Connection:
    """A connection with everything set; `path` None: in memory. `StorageError` if it cannot be had.

    A read-only one neither makes nor migrates anything. `timeout_s`: how long to wait for another process that is writing.
    """
    with faults.told(path):
        if path is None:
            connection = sqlite3.connect(":memory:")
        else:
            if not read_only:
                faults.touch_private(path)
            uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
            connection = sqlite3.connect(uri, uri=True, timeout=timeout_s)
        try:
            _check_kind(connection, path)
            connection.execute("PRAGMA temp_store = MEMORY")  # a full disk may be the one with the temporary files
            if not read_only:
                _set_up(connection, path, timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection


def copy_in_memory(path: Path) -> sqlite3.Connection:
    """A copy of a database that cannot be written to. `StorageError` if it cannot be read either, or is too large."""
    with faults.told(path):
        if path.stat().st_size > COPIED:
            raise StorageError(f"{path} is too large to be copied into memory.")
        uri = f"{path.absolute().as_uri()}?mode=ro"
        copy = sqlite3.connect(":memory:")
        try:
            try:
                _copy(uri, path, copy)
            except sqlite3.OperationalError:
                # In a folder that cannot be written to, SQLite reads a file with a write-ahead log only when told that nobody changes it.
                _copy(uri + "&immutable=1", path, copy)
            if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise faults.damaged(path)
            _set_up(copy, None, 0)
        except BaseException:
            copy.close()
            raise
        return copy


def _copy(uri: str, path: Path, copy: sqlite3.Connection) -> None:
    source = sqlite3.connect(uri, uri=True)
    try:
        _check_kind(source, path)
        source.backup(copy)
    finally:
        source.close()


def _check_kind(connection: sqlite3.Connection, path: Path | None) -> None:
    """Refuses the database of another program. An empty one is nobody's."""
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and kind != APPLICATION_ID:
        raise faults.foreign(path)


def _set_up(connection: sqlite3.Connection, path: Path | None, timeout_s: float) -> None:
    connection.execute("PRAGMA foreign_keys = 1")
    connection.execute("PRAGMA synchronous = NORMAL")
    if path is not None:
        _use_write_ahead_log(connection, timeout_s)
    # Under one lock, because two processes may open a new database at the same time. It also proves that the file can be written to.
    connection.execute("BEGIN IMMEDIATE")
    try:
        had = _steps_had(connection)
        if had - set(STEPS):
            raise faults.newer(path)
        if had != set(STEPS):
            _migrate(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        connection.rollback()
        if isinstance(error, sqlite3.Error) and faults.storage_error(error, path) is None:
            raise faults.outdated(path, error) from error
        raise


def _steps_had(connection: sqlite3.Connection) -> set[str]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
        return set()
    return {row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'playground'")}


def _migrate(connection: sqlite3.Connection) -> None:
    # sqlite-utils imports pandas where it is installed, for a function that is not used here: half a second and 60 MB.
    # Nothing of ours imports pandas in this process, so that no other thread can miss it meanwhile.
    spared = sys.modules.setdefault("pandas", None) is None  # type: ignore[arg-type]
    try:
        from sqlite_utils import Database

        from playground.history.migrations import migrations
    finally:
        if spared:
            del sys.modules["pandas"]
    # Its plugins are not run: they are not ours.
    migrations.apply(Database(connection, execute_plugins=False))


def _use_write_ahead_log(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Readers then never wait for the writer. Where it cannot be had (some network disks), SQLite stays with what it has."""
    until = time.monotonic() + timeout_s
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # This one switch does not wait by itself for another process that is just opening the database.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
