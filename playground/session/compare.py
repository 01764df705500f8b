"""Comparisons: one prompt under several settings, decoded together. Intents in, events out, as `Session` does for chats.

A comparison is a session of kind `compare`. Its columns say what differs; every run adds one reply for each of them below the prompt's
message, so that older runs stay. What it shows is `Chat.latest()`: of each column the newest reply to the prompt at the tip.
A comparison is renamed, deleted, searched and exported like a chat, through the session's own methods.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from playground import events
from playground.decoding.sweeps import MOST, Labelled
from playground.errors import PlaygroundError
from playground.history.records import Chat, Column, SessionRow, VoteRow, new_id
from playground.params import SamplingSettings
from playground.session.comparison_run import ComparisonRun
from playground.session.engine import EngineHost
from playground.session.guests import Guests
from playground.session.ledger import Ledger
from playground.session.replies import Replies, change, put
from playground.session.tree import Tree, title_of

if TYPE_CHECKING:
    from playground.session.compare_room import Room

T = TypeVar("T")

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
        guests: Guests,
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
        self._guests = guests
        self._run: ComparisonRun | None = None
        replies.elsewhere = lambda: self._run is not None

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
            if (run := self._run) is not None and run.session_id == comparison_id:
                run.set_sampling(column_id, settings)

    def _change_columns(self, comparison_id: str, new: Callable[[Sequence[Column]], Sequence[Column]]) -> None:
        self._with_tree(comparison_id, lambda tree: change(self._ledger, tree, columns=_checked(new(tree.session.columns))))

    # -- running

    @property
    def running(self) -> str:
        """The id of the comparison that is being written or waits for the model; empty: none."""
        run = self._run
        return run.session_id if run is not None else ""

    def run(self, comparison_id: str, column_ids: Sequence[str] = ()) -> None:
        """Asks the prompt of all columns at once, or of some of them.

        `MessageAdded` and `GenerationStarted` follow for each, `ComparisonStarted` before them and `ComparisonFinished` at the end; once
        for each model, if the columns have several. Refused while anything else is being written, without a model, or without a prompt.
        """
        self._replies.refuse_if_busy()
        self._with_tree(comparison_id, lambda tree: self._begin(tree, column_ids))

    def plan(self, comparison_id: str) -> Future[list[str]]:
        """What a run will do with memory: a sentence on the columns of the loaded model where they need more than that has, and one for
        each model that is not the loaded one.

        MemoryShortError if one of those does not fit beside it: the run would say the same. Reads headers of files, no weights.
        """

        def work(tree: Tree) -> list[str]:
            models = {each.model for each in tree.session.columns} - {"", self._engine.state.path}
            room = self._room(tree)
            return [
                *([room.sentence] if room else []),
                *(self._guests.plan(each, self._engine.context) for each in sorted(models)),
            ]

        return self._worked_out(comparison_id, work)

    def room(self, comparison_id: str) -> Future[Room | None]:
        """What the columns of the loaded model need beside it; None where they need nothing, or no model is loaded. Reads headers."""
        return self._worked_out(comparison_id, self._room)

    def _room(self, tree: Tree) -> Room | None:
        from playground.session.compare_room import room_for  # reads headers

        state, session = self._engine.state, tree.session
        if state.info is None:
            return None
        mine = [each for each in session.columns if each.model in ("", state.path)]
        return room_for(Path(state.path), self._engine.context, state.info, mine, session.system + session.prompt)

    def _worked_out(self, comparison_id: str, work: Callable[[Tree], T]) -> Future[T]:
        """On a thread of its own."""
        answer: Future[T] = Future()

        def run(tree: Tree) -> None:
            try:
                answer.set_result(work(tree))
            except Exception as error:
                answer.set_exception(error)

        self._with_tree(
            comparison_id, lambda tree: threading.Thread(target=run, args=[tree], name="comparison-plan", daemon=True).start()
        )
        return answer

    def stop(self, comparison_id: str = "", column_id: str = "") -> None:
        """Stops one column, or all, at the next token."""
        with self._lock:
            if (run := self._run) is not None and comparison_id in ("", run.session_id):
                run.stop(column_id)

    def waiting(self) -> Callable[[], None] | None:
        """What waited for the model to be loaded (or to fail). To be asked and called on another thread than the engine's."""
        with self._lock:
            if (run := self._run) is None:
                return None
            queued, run.queued = run.queued, None
        return queued

    def close(self) -> None:
        """The program is closing, and the loaded model has gone."""
        self._guests.close()
        if (run := self._run) is not None:
            run.interrupt()

    def _begin(self, tree: Tree, column_ids: Sequence[str]) -> None:
        self._replies.refuse_if_busy()  # the tree may have had to be read
        session = tree.session
        columns = [each for each in session.columns if not column_ids or each.id in column_ids]
        if not session.prompt.strip() and not any(each.reply_start for each in columns):
            raise PlaygroundError("There is nothing to ask.", "Write a prompt first.")
        if not columns:
            raise PlaygroundError("There is no column to run.", "Add one first.")
        self._run = ComparisonRun(self._lock, self._ledger, self._engine, self._guests, self._replies, tree, self._run_ended)
        self._run.begin(self._asked(tree), columns)

    def _run_ended(self) -> None:
        self._run = None

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
