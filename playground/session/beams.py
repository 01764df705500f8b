"""Beam searches: the likeliest continuations of a prompt, with the tree they come from. Intents in, events out.

A search is a session of kind `beam` with one document: prompt, settings, model, tree and result, so that it reopens as it was. It is written
when it is asked for, and again when it has ended, one way or another.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

from playground import events, protocol
from playground.errors import NotFoundError, PlaygroundError
from playground.history import beams
from playground.history.beams import BeamSearchRow
from playground.history.records import SessionRow, new_id
from playground.history.store import Store
from playground.params import BeamSettings
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger
from playground.session.replies import Replies
from playground.session.tree import title_of

log = logging.getLogger(__name__)

KIND = "beam"


class BeamSearches:
    """`Session.beams`. One search runs at a time, and not while a reply is being written."""

    def __init__(self, ledger: Ledger, engine: EngineHost, replies: Replies) -> None:
        self._ledger = ledger
        self._engine = engine
        self._replies = replies
        self._lock = threading.RLock()
        self._running: BeamSearchRow | None = None
        self._request = 0
        self._told = 0

    def search(self, prompt: str, settings: BeamSettings, system: str = "", reply_start: str = "", raw: bool = False) -> str:
        """Asks the model that is loaded. `raw`: the prompt is the text itself, without the chat template. Returns the session's id;
        `BeamsChanged` events follow.
        """
        if not (prompt.strip() or reply_start):
            raise PlaygroundError("There is nothing to continue.", "Write a prompt first.")
        self._replies.refuse_if_busy()
        with self._lock:
            if self._running is not None:
                raise PlaygroundError("A beam search is running already.", "Stop it first, or wait for its end.")
            info = self._engine.state.info
            if info is None:
                raise PlaygroundError("No model is loaded.", "Choose one first.")
            now = time.time()
            row = SessionRow(
                new_id(), KIND, title_of(prompt), info.path, info.name, system, created=now, updated=now, prompt=prompt
            )
            found = BeamSearchRow(
                row.id,
                prompt,
                settings,
                system,
                reply_start,
                raw,
                model_path=info.path,
                model_name=info.name,
                model_sha256=info.sha256,
                adapter=info.adapter,
                engine=info.engine,
                engine_build=info.engine_build,
                device=info.device,
                started=now,
            )
            self._running, self._request, self._told = found, 0, 0
            self._ledger.write(lambda store: store.add_session(row))
            self._put(found)
            self._ledger.tell(events.BeamsChanged(found))
            try:
                self._request = self._engine.ask(lambda request: _command(request, found), self._take)
            except PlaygroundError as error:
                self._end("failed", error=error.message, hint=error.hint)
                raise
        return row.id

    def stop(self) -> None:
        """Ends the search that runs; what had ended by then stays."""
        if self._request:
            self._engine.cancel(self._request)

    def close(self) -> None:
        """The program is closing: what came so far is kept."""
        with self._lock:
            if self._running is not None:
                self._end("interrupted")

    @property
    def running(self) -> str:
        """The id of the search that runs; empty: none."""
        found = self._running
        return found.session_id if found is not None else ""

    def all(self) -> Future[list[SessionRow]]:
        """All searches, the last first."""
        return self._ledger.read(lambda store: store.sessions(kind=KIND))

    def get(self, session_id: str) -> Future[BeamSearchRow]:
        """A search as it was left. NotFoundError."""

        def read(store: Store) -> BeamSearchRow:
            found = beams.from_document(session_id, store.document(session_id))
            if found is None:
                raise NotFoundError(f"There is no beam search '{session_id}'.", "See: playground beam --list")
            # One that a killed program left says so.
            return replace(found, state="interrupted") if found.state == "running" and self.running != session_id else found

        return self._ledger.read(read)

    # -- on the worker's thread

    def _take(self, event: protocol.Message) -> None:
        with self._lock:
            found = self._running
            if found is None:
                return
            match event:
                case protocol.Prefilled():
                    ids = tuple(each.token_id for each in event.prompt)
                    self._running = replace(found, rendered=event.text, prompt_ids=ids, prefill_s=event.seconds)
                case protocol.BeamStep():
                    self._running = replace(found, steps=(*found.steps, event.nodes))
                    self._ledger.tell(events.BeamsChanged(self._running, (event.nodes,)))
                case protocol.BeamsFound():
                    self._running = replace(
                        found,
                        beams=event.beams,
                        why=event.why,
                        arithmetic=event.arithmetic,
                        tokens=event.tokens,
                        decode_s=event.decode_s,
                    )
                case protocol.Finished():
                    self._end(event.outcome)
                case protocol.Failed():
                    if event.kind == "Bug":
                        log.error("a beam search failed: %s\n%s", event.message, event.details)
                    state = {"Cancelled": "cancelled", "WorkerError": "interrupted"}.get(event.kind, "failed")
                    self._end(state, error=event.message, hint=event.hint)

    def _end(self, state: str, error: str = "", hint: str = "") -> None:
        found = self._running
        assert found is not None
        ended = replace(found, state=state, error=error, hint=hint)
        self._running, self._request = None, 0
        self._put(ended)
        self._ledger.tell(events.BeamsChanged(ended))

    def _put(self, found: BeamSearchRow) -> None:
        self._ledger.write(lambda store: store.put_document(found.session_id, beams.to_document(found)))


def _command(request: int, found: BeamSearchRow) -> protocol.Beam:
    if found.raw:
        return protocol.Beam(request, found.settings, text=found.prompt, reply_start=found.reply_start)
    system = (protocol.ChatMessage("system", found.system),) if found.system else ()
    messages = (*system, protocol.ChatMessage("user", found.prompt))
    return protocol.Beam(request, found.settings, messages, reply_start=found.reply_start)
