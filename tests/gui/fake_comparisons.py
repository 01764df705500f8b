"""Comparisons without engine or database, for the fake session: the same surface as `playground.session.compare.Comparisons`.

    compare = session.compare      # replies come at the fake session's rate, one token of every column in turn

What differs between columns is the text: each column's reply is `script(...)`'s next one, or the usual one with a word of its own.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from playground import events
from playground.history.records import Column, GenerationRow, MessageRow, SessionRow, TimelineEntry, VoteRow, new_id
from playground.params import SamplingSettings


class FakeComparisons:
    """See the module's docstring."""

    def __init__(self, session: Any, token: Callable[..., Any], pieces: Callable[[str], list[str]]) -> None:
        self._session = session
        self._token, self._pieces = token, pieces
        self._stops: set[str] = set()
        self._moved: dict[str, SamplingSettings] = {}
        self._votes: list[VoteRow] = []
        self.running = ""
        self.replies: list[str] = []

    def script(self, *replies: str) -> None:
        """The next replies, column by column."""
        self.replies += replies

    def new(
        self,
        prompt: str = "",
        system: str = "",
        columns: Sequence[Column] | None = None,
        title: str = "",
        kind: str = "compare",
    ) -> str:
        self._session.calls.append(("compare.new", prompt, system, tuple(columns or ())))
        row = SessionRow(
            new_id(), kind, title, "starter", "starter", system, created=time.time(), updated=time.time(), prompt=prompt,
            columns=tuple(columns or ()),
        )  # fmt: skip
        self._session._sessions[row.id] = row
        self._tell_row(row.id)
        return row.id

    def _tell_row(self, number: str, **changes: Any) -> None:
        row = dataclasses.replace(self._session._sessions[number], updated=time.time(), **changes)
        self._session._sessions[number] = row
        self._session._post(lambda: self._session._tell(events.ComparisonChanged(row)))

    def all(self) -> Future[list[SessionRow]]:
        rows = [row for row in tuple(self._session._sessions.values()) if row.kind == "compare" and row.deleted is None]
        return self._session._future(lambda: sorted(rows, key=lambda row: -row.updated))

    def set_prompt(self, number: str, prompt: str) -> None:
        self._tell_row(number, prompt=prompt)

    def set_system(self, number: str, text: str) -> None:
        self._tell_row(number, system=text)

    def set_columns(self, number: str, columns: Sequence[Column]) -> None:
        self._session.calls.append(("compare.set_columns", tuple(columns)))
        self._tell_row(number, columns=tuple(columns))

    def set_sampling(self, number: str, column_id: str, settings: SamplingSettings) -> None:
        self._session.calls.append(("compare.set_sampling", column_id, settings))
        columns = self._session._sessions[number].columns
        changed = tuple(dataclasses.replace(each, settings=settings) if each.id == column_id else each for each in columns)
        self._tell_row(number, columns=changed)
        self._moved[column_id] = settings

    def plan(self, number: str) -> Future[list[str]]:
        models = {each.model for each in self._session._sessions[number].columns} - {""}
        return self._session._future(lambda: [f"{model} is loaded beside the other and takes 1 GB." for model in models])

    def stop(self, number: str = "", column_id: str = "") -> None:
        self._session.calls.append(("compare.stop", column_id))
        self._stops.add(column_id)

    def run(self, number: str, column_ids: Sequence[str] = ()) -> None:
        self._session.calls.append(("compare.run", number, tuple(column_ids)))
        self.running = number
        self._stops, self._moved = set(), {}
        self._session._post(lambda: self._session._begin(self._go(number, tuple(column_ids))))

    def _go(self, number: str, column_ids: Sequence[str]) -> Iterator[float]:
        session, tell = self._session, self._session._tell
        row = session._sessions[number]
        tip = row.tip
        if not tip or session._messages[tip].content != row.prompt:
            asked = MessageRow(new_id(), number, "", "user", row.prompt, "complete", time.time())
            session._messages[asked.id] = asked
            tell(events.MessageAdded(asked))
            self._tell_row(number, tip=asked.id, title=row.title or row.prompt[:60])
            tip = asked.id
        group = new_id()
        columns = [each for each in row.columns if not column_ids or each.id in column_ids]
        made = []
        for column in columns:
            message = MessageRow(
                new_id(), number, tip, "assistant", column.reply_start, "streaming", time.time(), column.reply_start
            )
            session._messages[message.id] = message
            seed = column.settings.seed if column.settings.seed >= 0 else random.randrange(2**31)
            settings = dataclasses.replace(column.settings, seed=seed)
            generation = GenerationRow(
                new_id(), number, message.id, "starter", "starter", "", "llama.cpp", "0.3", "CPU", seed=seed, settings=settings,
                started=time.time(), group_id=group, column_id=column.id,
            )  # fmt: skip
            session._generations[generation.id] = generation
            session._tokens[generation.id] = []
            made.append((column, generation, message))
        tell(events.ComparisonStarted(number, group, tuple((c.id, g.id, m.id) for c, g, m in made)))
        for _column, generation, message in made:
            tell(events.MessageAdded(message))
            tell(events.GenerationStarted(generation.id, number, message.id, generation.settings))
        for _column, generation, message in made:
            session._generations[generation.id] = dataclasses.replace(generation, prompt_tokens=20)
            tell(events.GenerationPrefilled(generation.id, message.id, 20, 0, 0.01))
        texts = {
            c.id: self._pieces(self.replies.pop(0) if self.replies else f"A fox {c.label}. {session.reply}") for c in columns
        }
        began = time.monotonic()
        live = list(made)
        place = 0
        while live:
            due = time.monotonic()
            while session.held(place) and not self._stops:
                yield 0.005
            for each in tuple(live):
                column, generation, message = each
                generation = session._generations[generation.id]
                ended = ""
                if "" in self._stops or column.id in self._stops:
                    ended = "cancelled"
                elif place >= len(texts[column.id]):
                    ended = "end"
                elif column.settings.max_tokens and place >= column.settings.max_tokens:
                    ended = "length"
                if ended:
                    live.remove(each)
                    self._end(generation, ended, place, time.monotonic() - began)
                    continue
                moved = self._moved.get(column.id)
                if moved is not None and dataclasses.replace(moved, seed=generation.seed) != generation.settings:
                    now = dataclasses.replace(moved, seed=generation.seed)
                    last = generation.timeline[-1].settings if generation.timeline else generation.settings
                    if last != now:
                        offset = len(session._messages[message.id].content)
                        entry = TimelineEntry(place, offset, now)
                        generation = dataclasses.replace(generation, timeline=(*generation.timeline, entry))
                        session._generations[generation.id] = generation
                        names = ("temperature",)
                        tell(events.SamplingApplied(generation.id, message.id, place, offset, now, names))
                info = self._token(texts[column.id][place], place, column.settings)
                session._tokens[generation.id].append(info)
                content = session._messages[message.id].content
                session._change_message(message.id, content=content + info.text)
                tell(events.GenerationTokens(generation.id, message.id, place, len(content), (info,), 20 + place))
            place += 1
            yield max(0.0, (due + 1 / session.rate if session.rate else due) - time.monotonic())
        tokens = sum(len(session._tokens[g.id]) for _c, g, _m in made)
        self.running = ""
        tell(events.ComparisonFinished(number, group, 1, tokens, max(1e-6, time.monotonic() - began)))

    def _end(self, generation: GenerationRow, state: str, count: int, seconds: float) -> None:
        self._session._finish(generation, state, "stopped" if state == "cancelled" else "complete", count, seconds)

    def vote(self, number: str, verdict: str, winners: Sequence[str] = (), note: str = "") -> None:
        self._session.calls.append(("compare.vote", verdict, tuple(winners)))
        shown = self.shown(number)
        messages = list(shown.values())
        won = [shown[each] for each in winners]
        if verdict == "better":
            pairs = [(best, other) for best in won for other in messages if other not in won]
        else:
            pairs = [(one, other) for place, one in enumerate(messages) for other in messages[place + 1 :]]
        self._votes = [VoteRow(new_id(), number, one, other, verdict, time.time()) for one, other in pairs if verdict]
        votes = tuple(self._votes)
        self._session._post(lambda: self._session._tell(events.VotesChanged(number, votes)))

    def shown(self, number: str) -> dict[str, str]:
        """Of each column, the newest message."""
        made = sorted(self._session._generations.values(), key=lambda each: each.id)
        return {each.column_id: each.message_id for each in made if each.session_id == number and each.column_id}

    def votes(self, number: str) -> Future[list[VoteRow]]:
        return self._session._future(lambda: [each for each in self._votes if each.session_id == number])
