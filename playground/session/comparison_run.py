"""One run of a comparison: its columns in groups, one for each model, one group after another.

The columns of the loaded model come first and wait for it if it is still being loaded; those of another model are decoded by an engine
of their own. Knows a tree to put replies into, but no intent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from playground import events, protocol
from playground.errors import PlaygroundError
from playground.history.owner import owner
from playground.history.records import Column, GenerationRow, new_id
from playground.history.work import nothing
from playground.params import SamplingSettings
from playground.session.engine import EngineHost
from playground.session.group import Group
from playground.session.guests import Guests
from playground.session.ledger import Ledger
from playground.session.replies import ALTERNATIVES, Replies
from playground.session.running import Running
from playground.session.tree import Tree

log = logging.getLogger(__name__)


@dataclass
class _Part:
    """The columns of one model."""

    model: str
    """empty for the loaded one"""
    columns: list[Column]
    group: Group
    engine: EngineHost


class ComparisonRun:
    """`begin` it once; `done` is called when the last column has ended. All of it under the session's lock."""

    def __init__(
        self,
        lock: threading.RLock,
        ledger: Ledger,
        engine: EngineHost,
        guests: Guests,
        replies: Replies,
        tree: Tree,
        done: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._ledger = ledger
        self._engine = engine
        self._guests = guests
        self._replies = replies
        self._tree = tree
        self._done = done
        self._parts: list[_Part] = []
        self._turn = 0
        self._stopped = False
        self._prompt: tuple[protocol.ChatMessage, ...] = ()
        self.queued: Callable[[], None] | None = None
        """what waits for the model to be loaded"""

    @property
    def session_id(self) -> str:
        return self._tree.session.id

    def begin(self, asked: str, columns: Sequence[Column]) -> None:
        """Makes a reply to the message `asked` for each column, and begins with the first group."""
        by_model: dict[str, list[Column]] = {}
        for column in columns:
            own = column.model in ("", self._engine.state.path)
            by_model.setdefault("" if own else column.model, []).append(column)
        self._prompt = self._tree.prompt(asked)
        for model in sorted(by_model):  # the loaded one's name is empty: it comes first
            group_id = new_id()
            members = [self._member(asked, group_id, place, each) for place, each in enumerate(by_model[model])]
            group = Group(group_id, self.session_id, members, self._ended)
            group.guest = bool(model)
            self._parts.append(_Part(model, by_model[model], group, self._engine))
        self._go()

    def set_sampling(self, column_id: str, settings: SamplingSettings) -> None:
        """In force for the column's next token, if it is being written. It keeps its seed."""
        for part in self._parts:
            member = part.group.member(column_id)
            if member is not None and part.group.request:
                seeded = replace(settings, seed=member.generation.settings.seed)
                part.engine.tell(protocol.SetSampling(part.group.request, seeded, member.generation.sequence))

    def stop(self, column_id: str = "") -> None:
        """Stops one column that is being written, or all, also those that wait."""
        self._stopped = self._stopped or not column_id
        for part in self._parts[self._turn :]:
            member = part.group.member(column_id)
            if not part.group.request:
                if self._stopped and part is self._parts[self._turn]:
                    self.queued = None
                    part.group.take(protocol.Finished(0, "cancelled"))  # the others follow it
                    return
            elif not column_id:
                part.engine.cancel(part.group.request)
            elif member is not None:
                part.engine.tell(protocol.Cancel(part.group.request, member.generation.sequence))

    def interrupt(self) -> None:
        """Ends all without a worker's word: the program is closing."""
        for part in self._parts:
            part.group.interrupt()

    # -- one group

    def _member(self, asked: str, group_id: str, place: int, column: Column) -> Running:
        tree = self._tree
        message = tree.add("assistant", column.reply_start, asked, "streaming", column.reply_start, at_tip=False)
        self._ledger.write(lambda store: store.add_message(message))
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
            settings=column.settings,
            owner=owner(),
            started=time.time(),
            group_id=group_id,
            sequence=place,
            column_id=column.id,
        )
        return Running(row, message, self._ledger.write, self._ledger.tell, self._member_ended)

    def _go(self) -> None:
        """Begins with the group whose turn it is."""
        with self._lock:
            part = self._parts[self._turn]
            if part.group.request or not part.group.running:
                return
            if part.model:
                threading.Thread(target=self._load, args=[part], name="guest-model", daemon=True).start()
                return
            state = self._engine.state
            if state.state == "loading":
                self.queued = self._go
            elif state.info is None:
                part.group.take(protocol.Failed(0, "WorkerError", state.message or "No model is loaded.", state.hint))
            else:
                self._start(part)

    def _load(self, part: _Part) -> None:
        """On a thread of its own: the model of these columns, if there is room for it."""
        try:
            settings = self._engine.context
            self._ledger.tell(events.Notice("info", self._guests.plan(part.model, settings), key="guest"))
            part.engine = self._guests.load(part.model, settings)
        except PlaygroundError as error:
            failed = protocol.Failed(0, error.kind, error.message, error.hint)
        except Exception as error:
            log.exception("the model of a column could not be loaded")
            failed = protocol.Failed(0, "Bug", str(error))
        else:
            with self._lock:
                if part.group.running:
                    self._start(part)
            return
        with self._lock:
            part.group.take(failed)

    def _start(self, part: _Part) -> None:
        """Stores the generations, tells of them, and sends the command when they are written."""
        group = part.group
        for member in group.members:
            row = self._replies.with_model(member.generation, member.generation.settings, part.engine)
            member.generation = row
            self._tree.put_generation(row)
            member.stored = True
            self._ledger.write(lambda store, row=row: store.add_generation(row))  # type: ignore[misc]
        made = [each.generation for each in group.members]
        told = tuple((each.column_id, each.id, each.message_id) for each in made)
        self._ledger.tell(events.ComparisonStarted(group.session_id, group.id, told))
        for member, row in zip(group.members, made, strict=True):
            self._ledger.tell(events.MessageAdded(member.message))
            self._ledger.tell(events.GenerationStarted(row.id, row.session_id, row.message_id, row.settings))
        self._ledger.write(nothing, lambda: self._ask(part))

    def _ask(self, part: _Part) -> None:
        with self._lock:
            if not part.group.running:
                return
            try:
                part.group.request = part.engine.ask(lambda request: self._command(part, request), part.group.take)
            except PlaygroundError as error:
                part.group.take(protocol.Failed(0, error.kind, error.message, error.hint))

    def _command(self, part: _Part, request: int) -> protocol.Generate:
        starts = tuple(each.reply_start for each in part.columns)
        return protocol.Generate(
            request,
            tuple(each.generation.settings for each in part.group.members),
            self._prompt,
            reply_starts=starts if any(starts) else (),
            alternatives=ALTERNATIVES,
            pace=self._replies.pace,
        )

    # -- the end

    def _member_ended(self, running: Running) -> None:
        with self._lock:
            if running.stored:
                self._tree.put_generation(running.generation)
            self._tree.change(running.message.id, content=running.message.content, state=running.message.state)

    def _ended(self, group: Group) -> None:
        with self._lock:
            problem = next((each.problem for each in group.members if each.problem is not None), None)
            if problem is not None and (problem.kind != "WorkerError" or group.guest):  # the model's own notice says that
                if problem.kind == "Bug":
                    log.error("a comparison failed: %s\n%s", problem.message, problem.details)
                self._ledger.tell(events.Notice("error", problem.message, problem.hint, key="reply"))
            self._turn += 1
            last = self._turn == len(self._parts)
            if last:
                self._done()
            self._ledger.tell(
                events.ComparisonFinished(group.session_id, group.id, group.prefills, group.tokens, group.decode_s, last)
            )
            if not last and self._stopped:
                self._parts[self._turn].group.take(protocol.Finished(0, "cancelled"))
            elif not last:
                self._go()
