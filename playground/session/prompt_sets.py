"""Sets of prompts run through the columns of a comparison, in the background, however often the program is ended meanwhile.

A set is a session of kind `prompts`: its prompts and, for every cell (prompt, column) that was replied to, one result are in the database.
What is still to do is what has no result, so that going on needs nothing else. As many cells are decoded at once as the model has
sequences; their common beginning is read once, and a prompt once for all of its columns. Chats and comparisons come in between.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from playground import events, protocol
from playground.decoding import differences, prompt_lists
from playground.decoding.prompt_lists import Prompt, Recognised
from playground.errors import PlaygroundError, from_kind
from playground.history.records import Column, PromptRow, ResultRow, SessionRow
from playground.history.store import Store
from playground.session.compare import Comparisons
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger
from playground.session.set_export import FORMS, write_whole

log = logging.getLogger(__name__)

T = TypeVar("T")
State = Literal["running", "paused", "done", "failed"]
Cell = tuple[PromptRow, Column]


class PromptSets:
    """`Session.prompt_sets`. One set runs at a time."""

    def __init__(self, ledger: Ledger, engine: EngineHost, comparisons: Comparisons) -> None:
        self._ledger = ledger
        self._engine = engine
        self._comparisons = comparisons
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def new(self, prompts: Sequence[Prompt], columns: Sequence[Column], system: str = "", title: str = "") -> str:
        """A set of prompts; a prompt's own system prompt goes before `system`. Returns its id, once it is queued to be written."""
        if not prompts:
            raise PlaygroundError("There is no prompt in this set.", "Write one a line.")
        set_id = self._comparisons.new("", system, columns, title or f"{len(prompts):,} prompts", kind="prompts")
        rows = [PromptRow(index, each.prompt, each.system, each.more) for index, each in enumerate(prompts)]
        self._ledger.write(lambda store: store.add_prompts(set_id, rows))
        return set_id

    def all(self) -> Future[list[SessionRow]]:
        """All sets, the last used first."""
        return self._ledger.read(lambda store: store.sessions(kind="prompts"))

    def start(self, set_id: str) -> None:
        """Begins, or goes on with, what has no result yet, in the model that is loaded. `PromptSetProgress` and `PromptResult` follow."""
        with self._lock:
            if self._run is not None and not self._run.over:
                raise PlaygroundError("A set of prompts is running already.", "Pause it first, or wait for its end.")
            if self._engine.state.state != "ready":
                raise PlaygroundError("No model is loaded.", "Choose one, or load the last one again.")
            self._run = _Run(set_id, self._ledger, self._engine)
            self._run.start()

    def pause(self, wait_s: float = 0.0) -> None:
        """Stops at the next token. What was not replied to in full is done again when the set is started again."""
        with self._lock:
            run = self._run
        if run is not None:
            run.pause()
            if wait_s:
                run.join(wait_s)

    def close(self) -> None:
        """The program is closing: pauses, and waits a moment for that."""
        self.pause(wait_s=2.0)

    @property
    def running(self) -> str:
        """The id of the set that is running; empty: none."""
        run = self._run
        return run.set_id if run is not None and not run.over else ""

    def prompts(self, set_id: str, limit: int = -1, offset: int = 0) -> Future[list[PromptRow]]:
        return self._ledger.read(lambda store: store.prompts(set_id, limit, offset))

    def results(self, set_id: str, first: int = 0, last: int = -1) -> Future[list[ResultRow]]:
        """Of the prompts with index `first` to `last` (-1: the end), by prompt, then by column id."""
        return self._ledger.read(lambda store: store.results(set_id, first, last))

    def cells(self, set_id: str, indices: Sequence[int]) -> Future[list[tuple[PromptRow, dict[str, ResultRow]]]]:
        """Some prompts, in the order given, each with its results by column id."""
        return self._ledger.read(lambda store: store.cells(set_id, indices))

    def matching(self, set_id: str, words: str = "", state: str = "") -> Future[list[int]]:
        """The indices of prompts with these words in the prompt or a reply. `state`: `open`, `failed`, `different`; empty for all."""
        return self._ledger.read(lambda store: store.matching(set_id, words, state, len(store.session(set_id).columns)))

    def recognise(self, source: str | Path) -> Future[Recognised]:
        """The prompts of a file (a `Path`) or of a pasted text, read in the background. DataError names the row that is none."""
        if isinstance(source, Path):
            return self._ledger.read(lambda store: prompt_lists.recognise_file(source))
        return self._ledger.read(lambda store: prompt_lists.recognise(source))

    def all_with_counts(self) -> Future[list[tuple[SessionRow, int, int]]]:
        """All sets, the last used first, each with how many of its cells are done and how many there are."""
        return self._ledger.read(_with_counts)

    def unfinished(self) -> Future[list[tuple[SessionRow, int, int]]]:
        """The same of those that are not done."""
        return self._ledger.read(unfinished)

    def export_to(self, set_id: str, form: str, path: Path) -> Future[Path]:
        """Writes what `export` makes to a file, whole or not at all."""
        make = FORMS[form]

        def write(store: Store) -> Path:
            write_whole(path, make(store.session(set_id), store.prompts(set_id), store.results(set_id)))
            return path

        return self._ledger.read(write)

    def counts(self, set_id: str) -> Future[tuple[int, int]]:
        """Cells that have a result, and all that there are."""
        return self._ledger.read(lambda store: _counts(store, set_id))

    def export(self, set_id: str, form: str) -> Future[str]:
        """All prompts with their results: `md` to read, `csv` one row a prompt, `jsonl` one object a cell."""
        make = FORMS.get(form)
        if make is None:
            raise PlaygroundError(f"There is no form called '{form}'.", f"Choose one of: {', '.join(FORMS)}.")
        return self._ledger.read(lambda store: make(store.session(set_id), store.prompts(set_id), store.results(set_id)))


def unfinished(store: Store) -> list[tuple[SessionRow, int, int]]:
    """Sets that are not done, the last used first, each with how many of its cells are done and how many there are."""
    return [each for each in _with_counts(store) if each[1] < each[2]]


def _with_counts(store: Store) -> list[tuple[SessionRow, int, int]]:
    return [(each, *_counts(store, each.id)) for each in store.sessions(kind="prompts")]


def _counts(store: Store, set_id: str) -> tuple[int, int]:
    columns, done = store.session(set_id).columns, store.result_counts(set_id)
    return sum(done.get(each.id, 0) for each in columns), store.prompt_count(set_id) * len(columns)


@dataclass
class _Part:
    """One cell while it is decoded."""

    cell: Cell
    tokens: list[protocol.TokenInfo] = field(default_factory=list)
    end: protocol.SequenceFinished | None = None
    seed: int = 0
    prompt_tokens: int = 0


class _Stopped(Exception):
    """The set was paused, or its model has gone; with the sentence and hint for the latter."""


class _Run:
    """Works through a set on a thread of its own, a batch after the other."""

    def __init__(self, set_id: str, ledger: Ledger, engine: EngineHost) -> None:
        self._thread = threading.Thread(target=self._run, name="prompt-set", daemon=True)
        self.start = self._thread.start
        self.join = self._thread.join
        self.set_id = set_id
        self.over = False
        """set before anybody hears how it ended: another may begin at once"""
        self._ledger = ledger
        self._engine = engine
        self._paused = threading.Event()
        self._request = 0
        self._done = self._all = self._tokens = 0
        self._started = time.monotonic()
        self._here = 0
        """cells done by this run"""

    def pause(self) -> None:
        self._paused.set()
        if self._request:
            self._engine.cancel(self._request)

    def _run(self) -> None:
        try:
            self._work()
            self._tell("done")
        except _Stopped as stopped:
            self._tell("paused", *stopped.args)
        except PlaygroundError as error:
            self._tell("failed", error.message, error.hint)
        except Exception:
            log.exception("a set of prompts failed")
            self._tell("failed", "Something went wrong; the log file says what.")

    def _work(self) -> None:
        session = self._read(lambda store: store.session(self.set_id))
        columns = {each.id: each for each in session.columns}
        self._done, self._all = self._read(lambda store: _counts(store, self.set_id))
        self._tell("running")
        at_once = max(1, self._engine.context.sequences)
        index = -1
        while True:
            names = list(columns)
            prompts = self._read(lambda store: store.open_prompts(self.set_id, names, index, at_once))  # noqa: B023
            if not prompts:
                return
            indices = [each.index for each in prompts]
            there = self._read(lambda store: store.cells_done(self.set_id, indices))  # noqa: B023
            cells = [(each, columns[name]) for each in prompts for name in columns if (each.index, name) not in there]
            # Whole prompts together, as long as there is room: their columns share all of it.
            batch = cells[:at_once]
            last = batch[-1][0].index
            if (
                len(batch) < len(cells)
                and len({prompt.index for prompt, _ in batch}) > 1
                and cells[len(batch)][0].index == last
            ):
                batch = [cell for cell in batch if cell[0].index != last]
            self._do(session.system, batch)
            index = batch[-1][0].index - 1

    def _do(self, system: str, cells: Sequence[Cell]) -> None:
        """One batch; where the context is too small for all of it, in halves."""
        try:
            parts = self._decode(system, cells)
        except PlaygroundError as error:
            if self._paused.is_set():
                raise _Stopped from None
            if error.kind in ("WorkerError", "Cancelled"):
                raise _Stopped(error.message, error.hint) from None
            if len(cells) == 1:
                self._put(_failed(cells[0], error))
                return
            if error.kind != "ContextFullError":
                raise
            parts = [_Part(cell) for cell in cells]
        again = []
        for part in parts:
            if len(cells) > 1 and (part.end is None or part.end.reason == "context"):
                again.append(part.cell)
            else:
                self._put(_result(part))
        if again:
            half = max(1, len(cells) // 2)
            for start in range(0, len(again), half):
                self._do(system, again[start : start + half])

    def _decode(self, system: str, cells: Sequence[Cell]) -> list[_Part]:
        parts = [_Part(cell) for cell in cells]
        ended: Future[None] = Future()

        def take(event: protocol.Message) -> None:
            match event:
                case protocol.Prefilled():
                    for number, part in enumerate(parts):
                        part.seed = event.samplings[number].seed
                        part.prompt_tokens = len(event.prompt) + (len(event.tails[number]) if event.tails else 0)
                case protocol.Tokens():
                    parts[event.sequence].tokens += event.tokens
                case protocol.SequenceFinished():
                    parts[event.sequence].end = event
                case protocol.Failed():
                    if event.kind == "Bug":
                        log.error("a set of prompts failed: %s\n%s", event.message, event.details)
                    ended.set_exception(_error(event))
                case protocol.Finished():
                    ended.set_result(None)

        def command(request: int) -> protocol.Generate:
            starts = tuple(column.reply_start for _, column in cells)
            return protocol.Generate(
                request,
                tuple(column.settings for _, column in cells),
                prompts=tuple(_messages(system, prompt) for prompt, _ in cells),
                reply_starts=starts if any(starts) else (),
                alternatives=0,
            )

        if self._paused.is_set():
            raise _Stopped
        try:
            self._request = self._engine.ask(command, take)
        except PlaygroundError as error:  # the model has gone between two batches
            state = self._engine.state
            raise _Stopped(state.message or error.message, state.hint or error.hint) from None
        if self._paused.is_set():
            self._engine.cancel(self._request)
        try:
            ended.result()
        finally:
            self._request = 0
        if self._paused.is_set():  # what had ended by itself counts
            for part in parts:
                if part.end is not None and part.end.reason not in ("cancelled", "context"):
                    self._put(_result(part))
            raise _Stopped
        return parts

    def _put(self, result: ResultRow) -> None:
        self._ledger.write(lambda store: store.put_result(self.set_id, result))
        self._ledger.tell(events.PromptResult(self.set_id, result))
        self._done += 1
        self._here += 1
        self._tokens += result.completion_tokens
        self._tell("running")

    def _tell(self, state: State, message: str = "", hint: str = "") -> None:
        self.over = state != "running"
        spent = time.monotonic() - self._started
        left = (self._all - self._done) * spent / self._here if self._here else -1.0
        self._ledger.tell(
            events.PromptSetProgress(
                self.set_id, state, self._done, self._all, self._tokens / spent if spent > 0 else 0.0, left, message, hint
            )
        )

    def _read(self, job: Callable[[Store], T]) -> T:
        return self._ledger.read(job).result()


def _error(event: protocol.Failed) -> PlaygroundError:
    return from_kind(event.kind, event.message, event.hint)


def _messages(system: str, prompt: PromptRow) -> tuple[protocol.ChatMessage, ...]:
    said = prompt.system or system
    first = (protocol.ChatMessage("system", said),) if said.strip() else ()
    return (*first, protocol.ChatMessage("user", prompt.prompt))


def _result(part: _Part) -> ResultRow:
    prompt, column = part.cell
    assert part.end is not None
    return ResultRow(
        prompt.index,
        column.id,
        part.end.reason,
        column.reply_start + part.end.text,
        tuple(token.token_id for token in part.tokens),
        part.seed,
        part.prompt_tokens,
        part.end.tokens,
        differences.mean_logprob([token.logprob for token in part.tokens]),
        differences.mean_entropy([token.entropy for token in part.tokens]),
        part.end.decode_s,
        finished=time.time(),
    )


def _failed(cell: Cell, error: PlaygroundError) -> ResultRow:
    """A prompt that cannot be replied to: too long, mostly. It counts as done, or the set would never end."""
    return ResultRow(cell[0].index, cell[1].id, "failed", "", error=error.message, finished=time.time())
