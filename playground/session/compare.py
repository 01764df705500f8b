"""Comparisons: one prompt under several settings, decoded together. Intents in, events out, as `Session` does for chats.

A comparison is a session of kind `compare`. Its columns say what differs; every run adds one reply for each of them below the prompt's
message, so that older runs stay. What it shows is `Chat.latest()`: of each column the newest reply to the prompt at the tip.
A comparison is renamed, deleted, searched and exported like a chat, through the session's own methods.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from playground import events, protocol
from playground.decoding.sweeps import MOST, Labelled
from playground.errors import PlaygroundError
from playground.history.owner import owner
from playground.history.records import Chat, Column, GenerationRow, SessionRow, VoteRow, new_id
from playground.params import SamplingSettings
from playground.session.engine import EngineHost
from playground.session.group import Group
from playground.session.ledger import Ledger
from playground.session.replies import ALTERNATIVES, Replies, change, put
from playground.session.running import Running
from playground.session.tree import Tree, title_of

log = logging.getLogger(__name__)

VERDICTS = ("better", "tie", "both_bad")

WithTree = Callable[[str, Callable[[Tree], None]], None]
"""calls a function with a session's tree, under the session's lock: at once if it is in memory, else when it has been read"""


def columns_of(labelled: Iterable[Labelled], reply_start: str = "", model: str = "") -> tuple[Column, ...]:
    """New columns of what a sweep made (see `decoding.sweeps`)."""
    return tuple(Column(new_id(), each.settings, reply_start, each.label, model) for each in labelled)


class Comparisons:
    """`Session.compare`. One comparison runs at a time, and not while a chat's reply is being written."""

    def __init__(
        self,
        lock: threading.RLock,
        ledger: Ledger,
        engine: EngineHost,
        replies: Replies,
        trees: dict[str, Tree],
        with_tree: WithTree,
    ) -> None:
        self._lock = lock
        self._ledger = ledger
        self._engine = engine
        self._replies = replies
        self._trees = trees
        self._with_tree = with_tree
        self._group: Group | None = None
        self._queued: Callable[[], None] | None = None
        replies.elsewhere = lambda: self._group is not None

    # -- comparisons

    def new(
        self,
        prompt: str = "",
        system: str = "",
        columns: Sequence[Column] | None = None,
        title: str = "",
        kind: str = "compare",
    ) -> str:
        """A comparison; without columns it has two with the settings in force. Returns its id."""
        if columns is None:
            columns = [Column(new_id(), self._replies.sampling) for _ in range(2)]
        checked = _checked(columns)
        now = time.time()
        model = self._engine.state
        row = SessionRow(
            new_id(), kind, title, model.path, model.name, system, created=now, updated=now, prompt=prompt, columns=checked
        )
        with self._lock:
            self._trees[row.id] = Tree(Chat(row))
            self._ledger.write(lambda store: store.add_session(row))
            self._ledger.tell(events.ComparisonChanged(row))
        return row.id

    def all(self) -> Future[list[SessionRow]]:
        """All comparisons, the last used first."""
        return self._ledger.read(lambda store: store.sessions(kind="compare"))

    def set_prompt(self, comparison_id: str, prompt: str) -> None:
        """The prompt that the next run asks. What was said to an earlier one stays below it."""
        self._with_tree(comparison_id, lambda tree: change(self._ledger, tree, prompt=prompt))

    def set_system(self, comparison_id: str, text: str) -> None:
        self._with_tree(comparison_id, lambda tree: change(self._ledger, tree, system=text))

    # -- columns

    def set_columns(self, comparison_id: str, columns: Sequence[Column]) -> None:
        """Other columns, in this order. Those that keep their id keep their replies."""
        checked = _checked(columns)
        self._with_tree(comparison_id, lambda tree: change(self._ledger, tree, columns=checked))

    def add_column(self, comparison_id: str, column: Column | None = None) -> str:
        """One more, at the end: by default with the settings in force. Returns its id."""
        column = column or Column(new_id(), self._replies.sampling)
        self._change_columns(comparison_id, lambda columns: [*columns, column])
        return column.id

    def duplicate_column(self, comparison_id: str, column_id: str) -> str:
        """The same settings once more, to the right of it. Returns the new column's id."""
        copy_id = new_id()

        def doubled(columns: Sequence[Column]) -> list[Column]:
            place = _place(columns, column_id)
            return [*columns[: place + 1], replace(columns[place], id=copy_id), *columns[place + 1 :]]

        self._change_columns(comparison_id, doubled)
        return copy_id

    def change_column(self, comparison_id: str, column_id: str, **fields: Any) -> None:
        """Other `reply_start`, `label` or `model`; settings are changed with `set_sampling`."""

        def other(columns: Sequence[Column]) -> list[Column]:
            place = _place(columns, column_id)
            return [*columns[:place], replace(columns[place], **fields), *columns[place + 1 :]]

        self._change_columns(comparison_id, other)

    def move_column(self, comparison_id: str, column_id: str, place: int) -> None:
        """To another place, counted from 0 without it."""

        def moved(columns: Sequence[Column]) -> list[Column]:
            column = columns[_place(columns, column_id)]
            rest = [each for each in columns if each.id != column_id]
            return [*rest[:place], column, *rest[place:]]

        self._change_columns(comparison_id, moved)

    def remove_column(self, comparison_id: str, column_id: str) -> None:
        """Its replies stay in the log. One that is being written is stopped."""
        self.stop(comparison_id, column_id)
        self._change_columns(
            comparison_id, lambda columns: [each for each in columns if each.id != columns[_place(columns, column_id)].id]
        )

    def set_sampling(self, comparison_id: str, column_id: str, settings: SamplingSettings) -> None:
        """Other settings for one column, in force for its next token if it is being written. A running column keeps its seed."""

        def other(columns: Sequence[Column]) -> list[Column]:
            place = _place(columns, column_id)
            return [*columns[:place], replace(columns[place], settings=settings), *columns[place + 1 :]]

        self._change_columns(comparison_id, other)
        with self._lock:
            group = self._group
            running = group.member(column_id) if group is not None and group.session_id == comparison_id else None
            if group is not None and running is not None and group.request:
                seeded = replace(settings, seed=running.generation.settings.seed)
                self._engine.tell(protocol.SetSampling(group.request, seeded, running.generation.sequence))

    def _change_columns(self, comparison_id: str, new: Callable[[Sequence[Column]], Sequence[Column]]) -> None:
        self._with_tree(comparison_id, lambda tree: change(self._ledger, tree, columns=_checked(new(tree.session.columns))))

    # -- running

    @property
    def running(self) -> str:
        """The id of the comparison that is being written or waits for the model; empty: none."""
        group = self._group
        return group.session_id if group is not None else ""

    def run(self, comparison_id: str, column_ids: Sequence[str] = ()) -> None:
        """Asks the prompt of all columns at once, or of some of them.

        `MessageAdded` and `GenerationStarted` follow for each, `ComparisonStarted` before them and `ComparisonFinished` at the end.
        Refused while anything else is being written, without a model, or without a prompt.
        """
        self._replies.refuse_if_busy()
        self._with_tree(comparison_id, lambda tree: self._begin(tree, column_ids))

    def stop(self, comparison_id: str = "", column_id: str = "") -> None:
        """Stops one column, or all, at the next token."""
        with self._lock:
            group = self._group
            if group is None or (comparison_id and group.session_id != comparison_id):
                return
            if group.request == 0:
                if not column_id:
                    self._queued = None
                    group.take(protocol.Finished(0, "cancelled"))
            elif not column_id:
                self._engine.cancel(group.request)
            elif (member := group.member(column_id)) is not None:
                self._engine.tell(protocol.Cancel(group.request, member.generation.sequence))

    def waiting(self) -> Callable[[], None] | None:
        """What waited for the model to be loaded (or to fail). To be asked and called on another thread than the engine's."""
        with self._lock:
            queued, self._queued = self._queued, None
        return queued

    def interrupt(self) -> None:
        """The program is closing, and the engine has gone."""
        if (group := self._group) is not None:
            group.interrupt()

    def _begin(self, tree: Tree, column_ids: Sequence[str]) -> None:
        self._replies.refuse_if_busy()  # the tree may have had to be read
        session = tree.session
        columns = [each for each in session.columns if not column_ids or each.id in column_ids]
        if not session.prompt.strip() and not any(each.reply_start for each in columns):
            raise PlaygroundError("There is nothing to ask.", "Write a prompt first.")
        if not columns:
            raise PlaygroundError("There is no column to run.", "Add one first.")
        asked = self._asked(tree)
        group_id = new_id()
        members = [self._member(tree, asked, group_id, place, column) for place, column in enumerate(columns)]
        self._group = group = Group(group_id, session.id, members, lambda ended: self._ended(tree, ended))
        prompt = tree.prompt(asked)

        def command(request: int) -> protocol.Generate:
            starts = tuple(each.reply_start for each in columns)
            return protocol.Generate(
                request,
                tuple(each.generation.settings for each in members),
                prompt,
                reply_starts=starts if any(starts) else (),
                alternatives=ALTERNATIVES,
                pace=self._replies.pace,
            )

        def go() -> None:
            with self._lock:
                if self._group is not group or group.request:
                    return
                state = self._engine.state
                if state.state == "loading":
                    self._queued = go
                    return
                if state.info is None:
                    group.take(protocol.Failed(0, "WorkerError", state.message or "No model is loaded.", state.hint))
                    return
                self._start(tree, group)
                self._ledger.write(lambda store: None, ask)

        def ask() -> None:
            with self._lock:
                if self._group is not group:
                    return
                try:
                    group.request = self._engine.ask(command, group.take)
                except PlaygroundError as error:
                    group.take(protocol.Failed(0, error.kind, error.message, error.hint))

        go()

    def _asked(self, tree: Tree) -> str:
        """The message with the prompt: the one at the tip if it says the same, else a new one beside it."""
        session = tree.session
        if session.tip and tree.message(session.tip).content == session.prompt:
            change(self._ledger, tree)  # it was used
            return session.tip
        fields = {} if session.title else {"title": title_of(session.prompt)}
        message = tree.add("user", session.prompt, "")
        put(self._ledger, tree, message, **fields)
        return message.id

    def _member(self, tree: Tree, asked: str, group_id: str, place: int, column: Column) -> Running:
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
        return Running(row, message, self._ledger.write, self._ledger.tell, lambda ended: self._member_ended(tree, ended))

    def _start(self, tree: Tree, group: Group) -> None:
        """Stores the generations, and tells of them."""
        for member in group.members:
            member.generation = started = self._replies.with_model(member.generation, member.generation.settings)
            tree.put_generation(started)
            member.stored = True
            self._ledger.write(lambda store, row=started: store.add_generation(row))  # type: ignore[misc]
        made = [each.generation for each in group.members]
        columns = tuple((each.column_id, each.id, each.message_id) for each in made)
        self._ledger.tell(events.ComparisonStarted(group.session_id, group.id, columns))
        for member, row in zip(group.members, made, strict=True):
            self._ledger.tell(events.MessageAdded(member.message))
            self._ledger.tell(events.GenerationStarted(row.id, row.session_id, row.message_id, row.settings))

    def _member_ended(self, tree: Tree, running: Running) -> None:
        with self._lock:
            if running.stored:
                tree.put_generation(running.generation)
            tree.change(running.message.id, content=running.message.content, state=running.message.state)

    def _ended(self, tree: Tree, group: Group) -> None:
        with self._lock:
            if self._group is group:
                self._group = None
            problem = next((each.problem for each in group.members if each.problem is not None), None)
            if problem is not None and problem.kind != "WorkerError":  # the model's own notice says that
                if problem.kind == "Bug":
                    log.error("a comparison failed: %s\n%s", problem.message, problem.details)
                self._ledger.tell(events.Notice("error", problem.message, problem.hint, key="reply"))
            self._ledger.tell(
                events.ComparisonFinished(tree.session.id, group.id, group.prefills, group.tokens, group.decode_s)
            )

    # -- votes

    def vote(self, comparison_id: str, verdict: str, winners: Sequence[str] = (), note: str = "") -> None:
        """What somebody thinks of the replies that a comparison shows, in place of what was thought of them before.

        `better`: the columns `winners` are better than all others; `tie`; `both_bad`: none is any good; empty: no opinion any more.
        Kept as pairs of messages, as preference data wants them. `VotesChanged` follows.
        """
        if verdict and verdict not in VERDICTS:
            raise PlaygroundError(f"'{verdict}' is no verdict.", f"Choose one of: {', '.join(VERDICTS)}.")
        if (verdict == "better") != bool(winners):
            raise PlaygroundError("A vote for the better names the winner, and no other does.", "Name a column.")

        def go(tree: Tree) -> None:
            shown = tree.snapshot().latest()
            unknown = set(winners) - {column.id for column, _ in shown}
            if unknown:
                raise PlaygroundError("That column has no reply to vote for.", "Run the comparison first.")
            messages = [message.id for _, message in shown]
            won = [message.id for column, message in shown if column.id in winners]
            if verdict == "better":
                pairs = [(best, other) for best in won for other in messages if other not in won]
            else:
                pairs = [(one, other) for place, one in enumerate(messages) for other in messages[place + 1 :]]
            now = time.time()
            votes = [VoteRow(new_id(), comparison_id, best, other, verdict, now, note) for best, other in pairs if verdict]
            self._ledger.write(lambda store: store.replace_votes(messages, votes))
            self.votes(comparison_id).add_done_callback(tell)

        def tell(found: Future[list[VoteRow]]) -> None:
            if found.exception() is None:
                self._ledger.tell(events.VotesChanged(comparison_id, tuple(found.result())))

        self._with_tree(comparison_id, go)

    def votes(self, comparison_id: str) -> Future[list[VoteRow]]:
        """All of a comparison, by age."""
        return self._ledger.read(lambda store: store.votes(comparison_id))


def _checked(columns: Sequence[Column]) -> tuple[Column, ...]:
    if not 1 <= len(columns) <= MOST:
        raise PlaygroundError(f"A comparison has 1 to {MOST} columns, not {len(columns)}.", "Add or remove some.")
    if len({each.id for each in columns}) < len(columns):
        raise PlaygroundError("Two columns have the same id.", "Duplicate one to have it twice.")
    return tuple(columns)


def _place(columns: Sequence[Column], column_id: str) -> int:
    place = next((place for place, each in enumerate(columns) if each.id == column_id), -1)
    if place < 0:
        raise PlaygroundError("That column is no longer there.", "Open the comparison again.")
    return place
