"""The database: everything that was said, and how it came about, as records in and records out.

One connection, used from the thread that made it; `recorder.py` gives the program its writing and its reading thread. A method either
does all of what it says or raises: `StorageError` for a disk, a lock or a damaged file, `NotFoundError` for a row that is not there.
Knows SQLite and the records, nothing of engines, workers or windows.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import NotFoundError, StorageError
from playground.history import faults, opening, rows
from playground.history import search as searching
from playground.history.owner import alive, owner
from playground.history.records import Chat, FitRow, GenerationRow, MessageRow, SearchHit, SessionRow, TokenRow
from playground.history.runs import Runs

_ASKED = """(SELECT substr(asked.content, 1, 200) FROM messages AS reply JOIN messages AS asked ON asked.id = reply.parent_id
    WHERE reply.id = g.message_id)"""


class Store(Runs):
    """An open database; `path` None keeps it in memory. The file and its folder are made if they are not there.

    A `read_only` store neither makes nor migrates anything. `timeout_s`: how long to wait for another process that is writing.
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False, timeout_s: float = 5.0) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = opening.connect(path, read_only, timeout_s)

    @classmethod
    def copy_in_memory(cls, path: Path) -> Store:
        """What can be read of a database that cannot be written to, in memory and brought up to date."""
        copy = cls.__new__(cls)
        copy.path = None
        copy._connection = opening.copy_in_memory(path)
        return copy

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sessions

    def add_session(self, session: SessionRow) -> None:
        self._add("sessions", rows.to_columns(session))

    def update_session(self, session_id: str, **fields: Any) -> SessionRow:
        """Changes some fields and gives the row as it is now. `updated` is set by the caller where the change counts as use."""
        self._update("sessions", "chat", rows.SESSION, session_id, fields)
        return self.session(session_id)

    def session(self, session_id: str) -> SessionRow:
        return rows.session(self._one("sessions", "chat", rows.SESSION, session_id))

    def sessions(self, deleted: bool = False, kind: str = "chat") -> list[SessionRow]:
        """All of a kind that are not thrown away (or all that are), the last used first."""
        condition = "deleted IS NOT NULL" if deleted else "deleted IS NULL"
        rest = f"WHERE {condition} AND kind = ? ORDER BY updated DESC, id DESC"
        return [rows.session(row) for row in self._select("sessions", rows.SESSION, rest, [kind])]

    def delete_session(self, session_id: str) -> SessionRow:
        """Throws a session away; it is not found any more, until `undelete_session` or for good with `purge_deleted`."""
        return self.update_session(session_id, deleted=time.time())

    def undelete_session(self, session_id: str) -> SessionRow:
        return self.update_session(session_id, deleted=None)

    def purge_deleted(self, older_than: float) -> int:
        """Removes sessions thrown away before that time (seconds since 1970), with all that belongs to them. Returns how many."""
        return self._run("DELETE FROM sessions WHERE deleted < ?", [older_than]).rowcount

    def chat(self, session_id: str) -> Chat:
        """A session with its messages by age and the newest generation of each, without prompts (see `generations`)."""
        session = self.session(session_id)
        newest: dict[str, dict[str, Any]] = {}
        for row in self._select("generations", rows.GENERATION_LIGHT, "WHERE session_id = ? ORDER BY number", [session_id]):
            newest[row["message_id"]] = row
        return Chat(session, tuple(self.messages(session_id)), {name: rows.generation(row) for name, row in newest.items()})

    # -- messages

    def add_message(self, message: MessageRow) -> None:
        self._add("messages", {**rows.to_columns(message), "owner": owner() if message.state == "streaming" else ""})

    def update_message(self, message_id: str, **fields: Any) -> None:
        """Changes some fields. Content need not be written while a message is streaming: its tokens are its content until then."""
        more = {"owner": owner() if fields["state"] == "streaming" else ""} if "state" in fields else {}
        self._update("messages", "message", rows.MESSAGE, message_id, fields, more)

    def message(self, message_id: str) -> MessageRow:
        return self._with_live_content(rows.message(self._one("messages", "message", rows.MESSAGE, message_id)))

    def messages(self, session_id: str) -> list[MessageRow]:
        """All of a session, by age. One that is streaming has the content that its tokens make so far."""
        found = self._select("messages", rows.MESSAGE, "WHERE session_id = ? ORDER BY number", [session_id])
        return [self._with_live_content(rows.message(row)) for row in found]

    # -- generations and their tokens

    def add_generation(self, generation: GenerationRow) -> None:
        columns = rows.to_columns(generation)
        if generation.state == "streaming" and not generation.owner:
            columns["owner"] = owner()
        self._add("generations", columns)

    def update_generation(self, generation_id: str, **fields: Any) -> None:
        self._update("generations", "generation", rows.GENERATION, generation_id, fields)

    def generation(self, generation_id: str) -> GenerationRow:
        """With prompt and prompt ids."""
        return rows.generation(self._one("generations", "generation", rows.GENERATION, generation_id))

    def generations(self, limit: int = 1000, offset: int = 0, session_id: str | None = None) -> list[GenerationRow]:
        """The newest first, without `prompt` and `prompt_ids`, which only `generation` reads. Chats thrown away are left out."""
        condition, parameters = "deleted IS NULL", [limit, offset]
        of_session: list[Any] = []
        if session_id is not None:
            condition, of_session = "g.session_id = ?", [session_id]
        columns = ", ".join(f"g.{name}" for name in rows.GENERATION_LIGHT) + f", {_ASKED}"
        found = self._query(
            f"SELECT {columns} FROM generations g CROSS JOIN sessions s ON s.id = g.session_id WHERE {condition}"
            " ORDER BY g.started DESC, g.number DESC LIMIT ? OFFSET ?",
            [*of_session, *parameters],
        )
        names = (*rows.GENERATION_LIGHT, "asked")
        return [rows.generation(dict(zip(names, row, strict=True))) for row in found]

    def generations_of(self, message_id: str) -> list[GenerationRow]:
        """All that made one message, in order: the first, and one for each time it was continued. With prompts."""
        found = self._select("generations", rows.GENERATION, "WHERE message_id = ? ORDER BY number", [message_id])
        return [rows.generation(row) for row in found]

    def append_tokens(self, generation_id: str, tokens: Iterable[TokenRow]) -> None:
        columns = [(generation_id, *rows.token_columns(token)) for token in tokens]
        with self.atomic(), self._told():
            self._open_connection.executemany(
                f"INSERT INTO tokens (generation_id, {', '.join(rows.TOKEN)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns
            )

    def tokens(self, generation_id: str) -> list[TokenRow]:
        found = self._query(f"SELECT {', '.join(rows.TOKEN)} FROM tokens WHERE generation_id = ? ORDER BY idx", [generation_id])
        return [rows.token(row) for row in found]

    def mark_interrupted(self) -> int:
        """Ends what a process that is gone was still writing, with the tokens that arrived. Returns the number of messages concerned."""
        with self.atomic():
            left = self._query("SELECT id, message_id, owner FROM generations WHERE state = 'streaming'")
            dead = [(row[0], row[1]) for row in left if not alive(row[2])]
            left = self._query("SELECT id, owner FROM messages WHERE state = 'streaming'")
            messages = {message_id for _, message_id in dead} | {row[0] for row in left if not alive(row[1])}
            for message_id in messages:
                message = rows.message(self._one("messages", "message", rows.MESSAGE, message_id))
                if message.state == "streaming":
                    self.update_message(message_id, content=self._rebuilt(message), state="interrupted")
            for generation_id, _ in dead:
                self._run(
                    "UPDATE generations SET state = 'interrupted',"
                    " completion_tokens = (SELECT count(*) FROM tokens WHERE generation_id = generations.id) WHERE id = ?",
                    [generation_id],
                )
        return len(messages)

    # -- finding

    def knows(self, ids: Sequence[str]) -> bool:
        """Whether any of these is the id of a session, message or generation here, thrown away or not."""
        listed = json.dumps(list(ids))
        return bool(
            self._query(
                "SELECT 1 FROM sessions WHERE id IN (SELECT value FROM json_each(?1))"
                " UNION ALL SELECT 1 FROM messages WHERE id IN (SELECT value FROM json_each(?1))"
                " UNION ALL SELECT 1 FROM generations WHERE id IN (SELECT value FROM json_each(?1)) LIMIT 1",
                [listed],
            )
        )

    def search(self, words: str, limit: int = 50) -> list[SearchHit]:
        """Messages and titles with these words, see `search.py`. Any text may be asked for."""
        return searching.search(self._query, words, limit)

    # -- models

    def remember_model(
        self, path: str, size: int, mtime: float, sha256: str = "", name: str = "", used: float | None = None
    ) -> None:
        """Notes a model's file and, as far as they are given, its hash, its name and when it was last loaded.

        A hash noted for a file of another size or time is forgotten.
        """
        self._run(
            """INSERT INTO models (path, size, mtime, sha256, name, last_used) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (path) DO UPDATE SET
                sha256 = CASE WHEN excluded.sha256 != '' OR size != excluded.size OR mtime != excluded.mtime
                    THEN excluded.sha256 ELSE sha256 END,
                name = CASE WHEN excluded.name != '' THEN excluded.name ELSE name END,
                last_used = coalesce(excluded.last_used, last_used), size = excluded.size, mtime = excluded.mtime""",
            [rows.clean(path), size, mtime, sha256, rows.clean(name), used],
        )

    def model_sha256(self, path: str, size: int, mtime: float) -> str:
        """The hash noted for exactly this file; empty if there is none."""
        found = self._query(
            "SELECT sha256 FROM models WHERE path = ? AND size = ? AND mtime = ?", [rows.clean(path), size, mtime]
        )
        return str(found[0][0]) if found else ""

    def recent_models(self, limit: int = 20) -> list[tuple[str, str, float]]:
        """(path, name, when) of the models loaded last."""
        found = self._query(
            "SELECT path, name, last_used FROM models WHERE last_used IS NOT NULL ORDER BY last_used DESC LIMIT ?", [limit]
        )
        return [(row[0], row[1], row[2]) for row in found]

    def forget_model(self, path: str) -> None:
        self._run("DELETE FROM models WHERE path = ?", [rows.clean(path)])

    # -- fits

    def add_fit(self, fit: FitRow) -> None:
        self._add("fits", rows.to_columns(fit))

    def update_fit(self, fit_id: str, **fields: Any) -> None:
        self._update("fits", "fit", rows.FIT, fit_id, fields)

    def fits(self, limit: int = 100, model_path: str = "") -> list[FitRow]:
        """Predicted against measured, the newest first; of one model if it is named."""
        condition, parameters = ("WHERE model_path = ?", [rows.clean(model_path)]) if model_path else ("", [])
        return [
            rows.fit(row)
            for row in self._select("fits", rows.FIT, f"{condition} ORDER BY made DESC LIMIT ?", [*parameters, limit])
        ]

    # -- documents

    def put_document(self, session_id: str, data: dict[str, Any]) -> None:
        """What a session consists of that is no conversation, in place of what it was before."""
        self._run(
            "INSERT OR REPLACE INTO documents (session_id, data) VALUES (?, ?)", [session_id, rows.clean(rows.dump(data))]
        )

    def document(self, session_id: str) -> dict[str, Any]:
        """Empty where there is none."""
        found = self._query("SELECT data FROM documents WHERE session_id = ?", [session_id])
        data = rows.load(found[0][0], {}) if found else {}
        return data if isinstance(data, dict) else {}

    # -- quality

    def add_measured(
        self, original: str, model: str, text: str, context: int, chunks: int, made: float, figures: dict[str, Any]
    ) -> None:
        """What a model lost against an original on a text, all three named by their hashes. Replaces what was measured before."""
        self._run(
            "INSERT OR REPLACE INTO measured (original, model, text, context, chunks, made, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [original, model, text, context, chunks, made, rows.dump(figures)],
        )

    def measured(self, original: str, text: str, context: int, chunks: int) -> dict[str, dict[str, Any]]:
        """What was measured against an original in just this way, by model."""
        found = self._query(
            "SELECT model, figures FROM measured WHERE original = ? AND text = ? AND context = ? AND chunks = ?",
            [original, text, context, chunks],
        )
        return {row[0]: rows.load(row[1], {}) for row in found}

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

    # -- below

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

    def _with_live_content(self, message: MessageRow) -> MessageRow:
        return replace(message, content=self._rebuilt(message)) if message.state == "streaming" else message

    def _rebuilt(self, message: MessageRow) -> str:
        """What a message says by its tokens: the reply's given start, then all its generations in order.

        Where the stored content cannot have come about like that (a reply that was edited and then continued), it stands, and what
        the unfinished generation wrote comes after it.
        """
        parts = [
            (
                state,
                self._query(
                    "SELECT coalesce(group_concat(text, ''), '') FROM"
                    " (SELECT text FROM tokens WHERE generation_id = ? ORDER BY idx)",
                    [generation_id],
                )[0][0],
            )
            for generation_id, state in self._query(
                "SELECT id, state FROM generations WHERE message_id = ? ORDER BY number", [message.id]
            )
        ]
        whole = message.reply_start + "".join(text for _, text in parts)
        if whole.startswith(message.content):
            return whole
        return message.content + "".join(text for state, text in parts if state == "streaming")
