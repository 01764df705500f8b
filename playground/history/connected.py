"""The connection to the database: statements, transactions, and sentences for what goes wrong.

The parts of `Store` are made of it. Used from the thread that made it. Knows no table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

from playground.errors import NotFoundError, StorageError
from playground.history import faults, opening, rows


class Connected:
    """An open database; `path` None keeps it in memory. The file and its folder are made if they are not there.

    A `read_only` one neither makes nor migrates anything. `timeout_s`: how long to wait for another process that is writing.
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False, timeout_s: float = 5.0) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = opening.connect(path, read_only, timeout_s)

    @classmethod
    def copy_in_memory(cls, path: Path) -> Self:
        """What can be read of a database that cannot be written to, in memory and brought up to date."""
        copy = cls.__new__(cls)
        copy.path = None
        copy._connection = opening.copy_in_memory(path)
        return copy

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- transactions

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing. Within another one it is a savepoint: what fails inside takes only itself back."""
        connection = self._open_connection
        nested = connection.in_transaction
        # IMMEDIATE: a transaction that begins by reading and then writes fails at once, without waiting, if another process wrote meanwhile.
        begin, commit = ("SAVEPOINT part", "RELEASE part") if nested else ("BEGIN IMMEDIATE", "COMMIT")
        with self._told():
            connection.execute(begin)
        try:
            yield
            with self._told():
                connection.execute(commit)
        except BaseException:
            if connection.in_transaction:  # an error as grave as a full disk has ended it already
                if nested:
                    connection.execute("ROLLBACK TO part")
                    connection.execute("RELEASE part")
                else:
                    connection.rollback()
            raise

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A transaction that is always taken back, and that writes nothing to the disk before: it works on a full one."""
        self._run("PRAGMA cache_spill = OFF")
        connection = self._open_connection
        with self._told():
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            if connection.in_transaction:
                connection.rollback()
            connection.execute("PRAGMA cache_spill = ON")

    @property
    def in_transaction(self) -> bool:
        return self._open_connection.in_transaction

    def wait_for_others(self, seconds: float) -> None:
        """How long to wait, from now on, for another process that is writing."""
        self._run(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    # -- statements

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError("The database is closed.")
        return self._connection

    def _told(self) -> AbstractContextManager[None]:
        return faults.told(self.path)

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """A statement by itself, committed unless a transaction is open."""
        connection = self._open_connection
        with self._told():
            if connection.in_transaction or statement.startswith("PRAGMA"):
                return connection.execute(statement, parameters)
            with self.atomic():
                return connection.execute(statement, parameters)

    def _query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._told():
            return self._open_connection.execute(statement, parameters).fetchall()

    def _select(self, table: str, columns: Sequence[str], rest: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        found = self._query(f"SELECT {', '.join(columns)} FROM {table} {rest}", parameters)
        return [dict(zip(columns, row, strict=True)) for row in found]

    def _one(self, table: str, what: str, columns: Sequence[str], row_id: str) -> dict[str, Any]:
        found = self._select(table, columns, "WHERE id = ?", [row_id])
        if not found:
            raise NotFoundError(f"There is no {what} '{row_id}'.", "See: playground log list")
        return found[0]

    def _add(self, table: str, columns: dict[str, Any]) -> None:
        places = ", ".join("?" * len(columns))
        self._run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", list(columns.values()))

    def _update(
        self,
        table: str,
        what: str,
        known: Sequence[str],
        row_id: str,
        fields: dict[str, Any],
        more: dict[str, Any] | None = None,
    ) -> None:
        unknown = fields.keys() - set(known[1:])
        if unknown:
            raise TypeError(f"a {what} has no {', '.join(sorted(unknown))}")
        columns = {name: rows.to_column(name, value) for name, value in fields.items()} | (more or {})
        if not columns:
            return
        assignments = ", ".join(f"{name} = ?" for name in columns)
        if not self._run(f"UPDATE {table} SET {assignments} WHERE id = ?", [*columns.values(), row_id]).rowcount:
            raise NotFoundError(f"There is no {what} '{row_id}'.", "See: playground log list")
