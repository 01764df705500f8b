"""The completions of a session, one at a time: from a place in a chat's tree to a command, and from the worker's answers to rows.

Holds what is in force for the next token (sampling and pace) and the completion that is being written. Knows no face.
"""

from __future__ import annotations

import codecs
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from playground import events, protocol
from playground.errors import PlaygroundError
from playground.history.owner import owner
from playground.history.records import Chat, GenerationRow, MessageRow, TokenRow, new_id
from playground.history.work import nothing
from playground.params import SamplingSettings, to_dict
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger
from playground.session.measuring import Measuring
from playground.session.running import Running
from playground.session.tree import Tree

log = logging.getLogger(__name__)

Recorded = tuple[GenerationRow, Sequence[TokenRow], int]
"""a generation, its tokens before some place, and where that is in the message, in characters"""
ALTERNATIVES = 8
"""candidates recorded with every token"""


class Replies:
    """All of it under the session's lock, which the caller holds or which is taken here."""

    def __init__(self, lock: threading.RLock, ledger: Ledger, engine: EngineHost, measuring: Measuring) -> None:
        self._lock = lock
        self._ledger = ledger
        self._engine = engine
        self._measuring = measuring
        self.running: Running | None = None
        self._queued: Callable[[], None] | None = None
        self.sampling = SamplingSettings()
        self.pace = 0.0
        self.elsewhere: Callable[[], bool] = lambda: False
        """whether a comparison has the model"""
        self.make_way: Callable[[], None] = lambda: None
        """ends what the lab asks of the model"""

    def set_sampling(self, settings: SamplingSettings) -> None:
        """In force for the next token if a completion is running."""
        with self._lock:
            self.sampling = settings
            if (running := self.running) is not None and running.request:
                seeded = replace(settings, seed=running.generation.settings.seed)
                self._engine.tell(protocol.SetSampling(running.request, seeded))

    def set_pace(self, tokens_per_s: float) -> None:
        with self._lock:
            self.pace = tokens_per_s
            if (running := self.running) is not None and running.request:
                self._engine.tell(protocol.SetPace(running.request, tokens_per_s))

    def stop(self) -> None:
        """Stops at the next token, or takes back what waits for the model."""
        with self._lock:
            running = self.running
            if running is not None and running.request == 0:
                self._queued = None
                running.take(protocol.Finished(0, "cancelled"))
            elif running is not None:
                self._engine.cancel(running.request)

    def waiting(self) -> Callable[[], None] | None:
        """What waited for the model to be loaded (or to fail). To be asked and called on another thread than the engine's."""
        with self._lock:
            queued, self._queued = self._queued, None
        return queued

    def snapshot(self, tree: Tree) -> Chat:
        """A chat with what has come of the reply that is being written in it: the tree has that when it has ended."""
        chat, running = tree.snapshot(), self.running
        if running is None or running.message.session_id != chat.session.id:
            return chat
        generation, message = running.so_far
        messages = tuple(message if each.id == message.id else each for each in chat.messages)
        generations = chat.generations | ({message.id: generation} if running.stored else {})
        return replace(chat, messages=messages, generations=generations)

    def refuse_if_busy(self, model_needed: bool = True) -> None:
        if self.running is not None or self.elsewhere():
            raise PlaygroundError("A reply is still being written.", "Stop it first, or wait for its end.")
        if model_needed and self._engine.state.state in ("none", "failed", "lost"):
            raise PlaygroundError("No model is loaded.", "Choose one, or load the last one again.")

    def reply(self, tree: Tree, parent_id: str, reply_start: str) -> None:
        """A new assistant's message below `parent_id`, and the command that fills it."""
        prompt = tree.prompt(parent_id)
        message = tree.add("assistant", reply_start, parent_id, "streaming", reply_start)
        put(self._ledger, tree, message)
        sampling = self.sampling
        pace = self.pace
        self._begin(
            tree,
            message,
            0,
            lambda request: protocol.Generate(
                request, (sampling,), prompt, reply_start=reply_start, alternatives=ALTERNATIVES, pace=pace
            ),
        )

    def continue_reply(self, tree: Tree, message_id: str) -> None:
        """From the recorded tokens where they are this model's and make up the message, else from its text."""
        message = tree.message(message_id)
        if message.role != "assistant":
            raise PlaygroundError("Only a reply can be continued.", "Choose one of the model's messages.")
        before = tree.generations.get(message_id)
        if before is None or before.model_path != self._engine.state.path:
            self._continue_with(tree, message, None, [])
            return

        def found(answer: Future[tuple[GenerationRow, list[TokenRow]]]) -> None:
            whole: GenerationRow | None = None
            tokens: list[TokenRow] = []
            try:
                whole, tokens = answer.result()
            except Exception:  # its text is still there to go on from
                log.exception("could not read generation %s", before.id)
            with self._lock:
                if self.running is None:
                    self._continue_with(tree, message, whole, tokens)

        self._ledger.read(lambda store: (store.generation(before.id), store.tokens(before.id))).add_done_callback(found)

    def _continue_with(self, tree: Tree, message: MessageRow, before: GenerationRow | None, tokens: list[TokenRow]) -> None:
        text = "".join(token.text for token in tokens)
        prompt = tree.prompt(message.parent_id)
        sampling, pace = self.sampling, self.pace
        message = tree.change(message.id, state="streaming")
        self._ledger.write(lambda store: store.update_message(message.id, state="streaming"))
        self._ledger.tell(events.MessageChanged(message))
        if before is not None and before.prompt_ids and tokens and message.content.endswith(text):
            ids = tuple(token.token_id for token in tokens)
            head = before.prompt_ids[: len(before.prompt_ids) - before.continued]
            tail = before.prompt_ids[len(head) :] + ids
            self._begin(
                tree,
                message,
                len(tail),
                lambda request: protocol.Generate(
                    request, (sampling,), prompt_ids=head, continued=tail, alternatives=ALTERNATIVES, pace=pace
                ),
            )
        else:
            self._begin(
                tree,
                message,
                0,
                lambda request: protocol.Generate(
                    request, (sampling,), prompt, reply_start=message.content, alternatives=ALTERNATIVES, pace=pace
                ),
            )

    def fork(self, tree: Tree, of: MessageRow, record: Recorded, token_id: int) -> None:
        """Another version of a reply, beside it: the same tokens up to a place, `token_id` there, and what the model says then.

        `record`: the generation, its tokens before that place, and how far the message's text goes until there.
        """
        before, tokens, offset = record
        if before.model_path != self._engine.state.path:
            raise PlaygroundError(
                f"This reply was written by {before.model_name or 'another model'}.",
                "Load that model to let the reply fork here.",
            )
        head = before.prompt_ids[: len(before.prompt_ids) - before.continued]
        tail = (*before.prompt_ids[len(head) :], *(token.token_id for token in tokens), token_id)

        def named(event: protocol.Message) -> None:
            with self._lock:
                if isinstance(event, protocol.Tokenized) and self.running is None:
                    content = of.content[:offset] + text_of_last(event.pieces)
                    self._fork_with(tree, of, head, tail, content, event.ends)
                elif isinstance(event, protocol.Failed):
                    self._ledger.tell(events.Notice("error", event.message, event.hint, key="reply"))

        self._engine.ask(lambda request: protocol.Tokenize(request, prompt_ids=tail[-4:]), named)

    def _fork_with(
        self, tree: Tree, of: MessageRow, head: tuple[int, ...], tail: tuple[int, ...], content: str, ends: bool
    ) -> None:
        message = tree.add("assistant", content, of.parent_id, "complete" if ends else "streaming", of.reply_start)
        put(self._ledger, tree, message)
        if ends:  # the model's own end was chosen: nothing follows
            return
        sampling, pace = self.sampling, self.pace
        self._begin(
            tree,
            message,
            len(tail),
            lambda request: protocol.Generate(
                request, (sampling,), prompt_ids=head, continued=tail, alternatives=ALTERNATIVES, pace=pace
            ),
        )

    def _begin(self, tree: Tree, message: MessageRow, continued: int, command: Callable[[int], protocol.Generate]) -> None:
        """Stores a generation and, once that is written, sends its command; waits for a model that is being loaded."""
        row = GenerationRow(
            new_id(),
            tree.session.id,
            message.id,
            "",
            "",
            "",
            "",
            "",
            "",
            continued=continued,
            settings=self.sampling,
            owner=owner(),
            started=time.time(),
        )
        running = Running(row, message, self._ledger.write, self._ledger.tell, lambda ended: self._ended(tree, ended))
        self.running = running

        def go() -> None:
            with self._lock:
                if self.running is not running or running.request:
                    return
                state = self._engine.state
                if state.state == "loading":
                    self._queued = go
                    return
                if state.info is None:
                    running.take(protocol.Failed(0, "WorkerError", state.message or "No model is loaded.", state.hint))
                    return
                running.generation = self.with_model(running.generation, self.sampling)
                started = running.generation
                tree.put_generation(started)
                running.stored = True
                self._ledger.write(lambda store: store.add_generation(started))
                self._ledger.tell(events.GenerationStarted(started.id, started.session_id, message.id, started.settings))
                self._ledger.write(nothing, ask)

        def ask() -> None:
            with self._lock:
                if self.running is not running:
                    return
                self.make_way()
                try:
                    running.request = self._engine.ask(command, running.take)
                except PlaygroundError as error:
                    running.take(protocol.Failed(0, error.kind, error.message, error.hint))

        go()

    def with_model(self, row: GenerationRow, sampling: SamplingSettings, engine: EngineHost | None = None) -> GenerationRow:
        """A generation that the loaded model, or that of another engine, begins with these settings."""
        engine = engine or self._engine
        info = engine.state.info
        assert info is not None
        if not info.sha256:
            self._measuring.wants_hash(row.id)
        context = to_dict(engine.context) | {"context": info.context}
        return replace(
            row,
            model_path=info.path,
            model_name=info.name,
            model_sha256=info.sha256,
            engine=info.engine,
            engine_build=info.engine_build,
            device=info.device,
            context=context,
            adapter=info.adapter,
            adapter_sha256=info.adapter_sha256,
            settings=sampling,
        )

    def _ended(self, tree: Tree, running: Running) -> None:
        with self._lock:
            if self.running is running:
                self.running = None
            if running.stored:
                tree.put_generation(running.generation)
            tree.change(running.message.id, content=running.message.content, state=running.message.state)
            problem = running.problem
            if problem is None or problem.kind == "WorkerError":  # the model's own notice says that
                return
            if problem.kind == "Bug":
                log.error("generation failed: %s\n%s", problem.message, problem.details)
            self._ledger.tell(events.Notice("error", problem.message, problem.hint, key="reply"))


def text_of_last(pieces: Sequence[str]) -> str:
    """What becomes readable with the last of some tokens, given the bytes of each in hexadecimal."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces[:-1]:
        decoder.decode(bytes.fromhex(piece))
    return decoder.decode(bytes.fromhex(pieces[-1])) if pieces else ""


def put(ledger: Ledger, tree: Tree, message: MessageRow, **session_fields: Any) -> None:
    """A new message at the tip of a chat: written, then told."""
    ledger.write(lambda store: store.add_message(message))
    change(ledger, tree, tip=message.id, **session_fields)
    ledger.tell(events.MessageAdded(message))


def change(ledger: Ledger, tree: Tree, **fields: Any) -> None:
    """Other values for fields of a chat: written, then told."""
    row = tree.change_session(**fields)
    ledger.write(lambda store: store.update_session(row.id, updated=row.updated, **fields))
    ledger.tell(events.SessionChanged(row) if row.kind == "chat" else events.ComparisonChanged(row))
