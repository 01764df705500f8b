"""A completion while it is being written: the worker's events, turned into rows and into what the listeners are told.

One `Running` stands between one `Generate` and its `Finished`. It counts characters, so that a mark can be put where a setting changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace

from playground import events, protocol
from playground.history.records import GenerationRow, MessageRow, TimelineEntry, TokenRow
from playground.history.store import Store
from playground.params import SamplingSettings

Write = Callable[[Callable[[Store], object]], object]
"""queues a job for the database; what is told after it comes after it"""

MESSAGE_STATES = {
    "end": "complete",
    "stop": "complete",
    "length": "complete",
    "context": "complete",
    "cancelled": "stopped",
    "interrupted": "interrupted",
    "failed": "failed",
}


class Running:
    """Takes the events of one request on the worker's thread, and calls `done` with itself when the last one came.

    `write` queues database work; `tell` queues an event behind it.
    """

    def __init__(
        self,
        generation: GenerationRow,
        message: MessageRow,
        write: Write,
        tell: Callable[[events.Event], None],
        done: Callable[[Running], None],
    ) -> None:
        self.generation = generation
        self.message = message
        self.request = 0
        self.problem: protocol.Failed | None = None
        self.prefills = 0
        """how often a prompt was read for it"""
        self.stored = False
        """whether the database has the generation: not before its model is there"""
        self.used = 0
        self._write = write
        self._tell = tell
        self._done = done
        self._base = message.content
        self._text = ""
        self._count = 0
        self._settings = generation.settings
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def content(self) -> str:
        """The message as far as it has come."""
        return self._base + self._text

    @property
    def so_far(self) -> tuple[GenerationRow, MessageRow]:
        """The generation and its message as far as they have come."""
        return replace(self.generation, completion_tokens=self._count), replace(self.message, content=self.content)

    def take(self, event: protocol.Message) -> None:
        """One event of this request, in order."""
        if self._ended:
            return
        match event:
            case protocol.Progress():
                self._tell(events.PrefillProgress(self.generation.id, event.fraction))
            case protocol.Prefilled():
                self._prefilled(event)
            case protocol.Tokens():
                self._tokens(event)
            case protocol.SamplingChanged():
                self._sampling(event)
            case protocol.SequenceFinished():
                self._text = event.text
                self._change(state=event.reason, completion_tokens=event.tokens, decode_s=event.decode_s)
            case protocol.Failed():
                self.problem = None if event.kind == "Cancelled" else event
                died = event.kind in ("WorkerError", "Cancelled")
                self._change(state="interrupted" if died or self._count else "failed", error=event.message)
                self.end()
            case protocol.Finished():
                if self.generation.state == "streaming":
                    self._change(state="cancelled")
                self.end()

    def interrupt(self) -> None:
        """Ends it without the worker's word: the program is closing."""
        if not self._ended:
            self._change(state="interrupted")
            self.end()

    def end(self) -> None:
        """Writes and tells how it ended."""
        self._ended = True
        self._change(finished=time.time(), completion_tokens=self._count)
        self.message = replace(self.message, content=self.content, state=MESSAGE_STATES[self.generation.state])
        generation, message = self.generation, self.message

        def finish(store: Store) -> None:
            store.update_message(message.id, content=message.content, state=message.state)
            if not self.stored:
                return
            store.update_generation(
                generation.id,
                state=generation.state,
                error=generation.error,
                finished=generation.finished,
                completion_tokens=generation.completion_tokens,
                decode_s=generation.decode_s,
                timeline=generation.timeline,
            )

        self._write(finish)
        self._done(self)
        self._tell(events.GenerationFinished(generation, message))

    def _prefilled(self, event: protocol.Prefilled) -> None:
        number = self.generation.sequence
        settings = event.samplings[number]
        prompt = event.prompt + (event.tails[number] if event.tails else ())
        self.prefills += 1
        self._settings = settings
        self._change(
            prompt=event.texts[number] if event.texts else event.text,
            prompt_ids=tuple(token.token_id for token in prompt),
            shared=len(event.prompt) if event.tails else 0,
            batches=tuple((each.size, each.count) for each in event.batches),
            seed=settings.seed,
            settings=settings,
            prompt_tokens=len(prompt),
            cached_tokens=event.cached,
            prefill_s=event.seconds,
        )
        row = self.generation
        self._write(
            lambda store: store.update_generation(
                row.id,
                prompt=row.prompt,
                prompt_ids=row.prompt_ids,
                shared=row.shared,
                batches=row.batches,
                seed=row.seed,
                settings=row.settings,
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                prefill_s=row.prefill_s,
            )
        )
        self.used = row.prompt_tokens
        self._tell(events.GenerationPrefilled(row.id, row.message_id, row.prompt_tokens, row.cached_tokens, row.prefill_s))

    def _tokens(self, event: protocol.Tokens) -> None:
        rows = [token_row(event.index + place, token) for place, token in enumerate(event.tokens)]
        offset = len(self.content)
        self._text += "".join(token.text for token in event.tokens)
        self._count = event.index + len(event.tokens)
        self.used = event.used
        row = self.generation
        self._write(lambda store: store.append_tokens(row.id, rows))
        self._tell(events.GenerationTokens(row.id, row.message_id, event.index, offset, event.tokens, event.used))

    def _sampling(self, event: protocol.SamplingChanged) -> None:
        names = tuple(
            field.name
            for field in fields(SamplingSettings)
            if getattr(event.settings, field.name) != getattr(self._settings, field.name)
        )
        if not names:
            return
        self._settings = event.settings
        entry = TimelineEntry(event.index, len(self._text), event.settings)
        self._change(timeline=(*(each for each in self.generation.timeline if each.index != entry.index), entry))
        row = self.generation
        self._write(lambda store: store.update_generation(row.id, timeline=row.timeline))
        self._tell(events.SamplingApplied(row.id, row.message_id, entry.index, len(self.content), entry.settings, names))

    def _change(self, **values: object) -> None:
        self.generation = replace(self.generation, **values)  # type: ignore[arg-type]


def token_row(index: int, token: protocol.TokenInfo) -> TokenRow:
    """A token as it is stored."""
    return TokenRow(
        index,
        token.token_id,
        token.text,
        token.logprob,
        token.probability,
        token.entropy,
        tuple((each.token_id, each.text, each.logprob, each.probability) for each in token.alternatives),
    )
