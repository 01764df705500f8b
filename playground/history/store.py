"""The database: everything that was said, and how it came about, as records in and records out.

One connection, used from the thread that made it; `recorder.py` gives the program its writing and its reading thread. A method either
does all of what it says or raises: `StorageError` for a disk, a lock or a damaged file, `NotFoundError` for a row that is not there.
Knows SQLite and the records, nothing of engines, workers or windows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from playground.history import rows
from playground.history import search as searching
from playground.history.compared import Compared
from playground.history.models import Models
from playground.history.owner import alive, owner
from playground.history.records import Chat, GenerationRow, MessageRow, SearchHit, SessionRow, TokenRow
from playground.history.runs import Runs

_ASKED = """(SELECT substr(asked.content, 1, 200) FROM messages AS reply JOIN messages AS asked ON asked.id = reply.parent_id
    WHERE reply.id = g.message_id)"""


class Store(Compared, Runs, Models):
    """An open database; `path` None keeps it in memory. The file and its folder are made if they are not there.

    A `read_only` store neither makes nor migrates anything. `timeout_s`: how long to wait for another process that is writing.
    """

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

    # -- below

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
