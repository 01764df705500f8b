"""The decode loop: one prompt into any number of sequences, one decode call a step, settings that change between two tokens.

One prefill on sequence 0; the others share its cache. Knows the commands of a running request, but no loading.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from collections.abc import Sequence as Series
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.errors import ModelFileError, SettingError
from playground.params import SamplingSettings
from playground.protocol import (
    Cancel,
    ChatMessage,
    Finished,
    Generate,
    Logits,
    NextToken,
    Prefilled,
    Progress,
    PromptToken,
    SamplingChanged,
    SequenceFinished,
    SetPace,
    SetSampling,
    Tokenize,
    Tokenized,
    Tokens,
)
from playground.workers import llama_lib
from playground.workers.base import Link
from playground.workers.llama_cache import Cache, decode_failed
from playground.workers.llama_lib import C
from playground.workers.llama_model import Model
from playground.workers.llama_sampler import Candidates
from playground.workers.llama_sequence import Sequence
from playground.workers.template import render
from playground.workers.text import token_texts
from playground.workers.token_stats import Row

FLUSH_S = 0.02
"""Tokens are sent at most this often; the first at once."""


class Engine:
    """Answers `Generate`, `Tokenize` and `NextToken` for one loaded model."""

    def __init__(self, link: Link, model: Model) -> None:
        self._link = link
        self._model = model
        self.before_finish: Callable[[], None] = lambda: None
        """called when a completion has been computed"""
        self._cache = Cache(model)
        self._candidates = Candidates(model.n_vocab)
        self._views: dict[int, NDArray[np.float32]] = {}
        self._row = Row(model.n_vocab, llama_lib.exponentials)

    # -- commands

    def generate(self, command: Generate) -> None:
        self._check(command)
        started = time.perf_counter()
        text, ids = self._prompt(command)
        prompt = [*ids, *command.continued]
        samplings = tuple(
            each if each.seed >= 0 else replace(each, seed=secrets.randbelow(2**32 - 1)) for each in command.samplings
        )
        cached = self._prefill(command.request, prompt, command.batches)
        run = _Run(self, command, samplings, prompt)
        try:
            self._link.send(
                Prefilled(
                    command.request,
                    self._prompt_tokens(prompt),
                    text + "".join(token_texts(map(self._model.piece, command.continued))),
                    cached,
                    time.perf_counter() - started,
                    self._cache.batches(),
                    samplings,
                )
            )
            cancelled = run.go()
        finally:
            run.close()
        self.before_finish()
        self._link.send(Finished(command.request, "cancelled" if cancelled else "done"))

    def tokenize(self, command: Tokenize) -> None:
        text, ids = self._prompt(command)
        self._link.send(Tokenized(command.request, self._prompt_tokens(ids), text))

    def next_token(self, command: NextToken) -> None:
        _, ids = self._prompt(command)
        self._prefill(command.request, ids)
        folder = Path(os.environ.get("PLAYGROUND_CACHE") or tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="logits-", suffix=".f32", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(self.logits(-1).astype("<f4").tobytes())
        self._link.send(Logits(command.request, name, self._prompt_tokens(ids)))

    # -- parts

    def logits(self, place: int) -> NDArray[np.float32]:
        """A view of the logits of one place in the last batch, good until the next decode."""
        address = llama_lib.logits_address(self._model.context_handle, place)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise decode_failed(0)
            view = np.frombuffer((ctypes.c_float * self._model.n_vocab).from_address(address), np.float32)
            self._views = {address: view, **self._views} if len(self._views) < self._model.sequences else {address: view}
        return view

    def _check(self, command: Generate) -> None:
        if not command.samplings:
            raise SettingError("No sampling settings were given.", "Give at least one set of them.")
        if len(command.samplings) > self._model.sequences:
            raise SettingError(
                f"{len(command.samplings)} replies at once were asked for; the model is loaded for {self._model.sequences}.",
                "Load it with more sequences.",
            )

    def _prompt(self, command: Any) -> tuple[str, list[int]]:
        """The prompt as text and as tokens."""
        given = list(getattr(command, "prompt_ids", ()))
        if given:
            if min(given) < 0 or max(given) >= self._model.n_vocab:
                raise SettingError(
                    "The prompt has token numbers that this model does not know.", "It was made with another model."
                )
            return "".join(token_texts(map(self._model.piece, given))), given
        text = self.rendered(command.messages) if command.messages else command.text
        text += command.reply_start
        ids = self._model.tokenize(text)
        if not ids:  # a model must be asked something
            bos = C.llama_vocab_bos(self._model.vocab)
            ids = [bos if bos >= 0 else max(0, C.llama_vocab_eos(self._model.vocab))]
        return text, ids

    def rendered(self, messages: Series[ChatMessage]) -> str:
        return render(self._model.template, messages, self._model.bos(), self._model.eos())

    def _prompt_tokens(self, ids: Series[int]) -> tuple[PromptToken, ...]:
        special = [self._model.is_special(each) for each in ids]
        texts = token_texts(b"" if control else self._model.piece(each) for each, control in zip(ids, special, strict=True))
        return tuple(
            PromptToken(each, self._model.label(each) if control else text, control)
            for each, text, control in zip(ids, texts, special, strict=True)
        )

    def _prefill(self, request: int, prompt: Series[int], batches: Series[Any] = ()) -> int:
        return self._cache.prefill(
            prompt,
            batches,
            stop=lambda: self._link.pending and self._link.cancelled(request),
            on_progress=lambda fraction: self._link.send(Progress(request, fraction, "prompt")),
        )


class _Run:
    """One `Generate` after its prefill."""

    def __init__(self, engine: Engine, command: Generate, samplings: Series[SamplingSettings], prompt: Series[int]) -> None:
        self._engine = engine
        self._link = engine._link
        self._model = engine._model
        self._cache = engine._cache
        self._row = engine._row
        self._request = command.request
        self._alternatives = command.alternatives
        self._pace = command.pace
        self._prompt_length = len(prompt)
        self._sequences = [
            Sequence(
                number,
                self._model,
                engine._candidates,
                settings,
                prompt,
                command.continued,
                command.timeline if number == 0 else (),
            )
            for number, settings in enumerate(samplings)
        ]
        self._live = list(self._sequences)
        self._steps = 0
        self._started = self._flushed = time.perf_counter()
        self._due = 0.0
        self._cancelled = False
        self._places: dict[int, int] = {}
        """of sequences in the last batch; all begin at the last token of the prompt"""
        if len(self._sequences) > 1:
            self._cache.share(len(samplings), sum(each.max_tokens or self._model.window for each in samplings))

    def go(self) -> bool:
        """Decodes until every sequence has ended; whether all of it was cancelled."""
        self._started = time.perf_counter()
        while True:
            self._obey()
            self._draw()
            self._live = [each for each in self._live if not each.reason]
            now = time.perf_counter()
            if now - self._flushed >= FLUSH_S or self._steps == 1 or self._pace:
                self._flush(now)
            if not self._live or not self._decode():
                break
        return self._cancelled

    def close(self) -> None:
        """Leaves in the cache only what can be described exactly: of several sequences, the prompt."""
        for each in self._sequences:
            each.close()
        if len(self._sequences) > 1:
            self._cache.unshare(len(self._sequences))

    # -- one step

    def _obey(self) -> None:
        """Waits as long as the pace asks for, and does what was commanded meanwhile: in force for the token drawn next."""
        while True:
            if self._link.pending:
                self._take_commands()
            if not self._pace or not self._live:
                return
            wait = self._due - time.perf_counter()
            if wait <= 0:
                self._due = max(self._due + 1 / self._pace, time.perf_counter())
                return
            self._link.wait(wait)

    def _take_commands(self) -> None:
        settings: dict[int, SamplingSettings] = {}
        for command in self._link.take(self._request, SetSampling, SetPace, Cancel):
            if isinstance(command, SetSampling):
                settings[command.sequence] = command.settings
            elif isinstance(command, SetPace):
                self._pace = max(0.0, command.pace)
                self._due = time.perf_counter()
            else:
                self._cancel(command.sequence)
        if self._link.closing:
            self._cancel(-1)
        for each in self._live:
            if each.number in settings:
                self._changed(each, each.change(settings[each.number]))

    def _cancel(self, number: int) -> None:
        for each in self._live:
            if number in (-1, each.number):
                each.finish("cancelled")
                self._ended(each)
        self._live = [each for each in self._live if not each.reason]
        self._cancelled = self._cancelled or number == -1

    def _draw(self) -> None:
        """A token for every living sequence, each from its place in the last batch."""
        row = self._row
        read = None
        for each in self._live:
            if (applied := each.due()) is not None:
                self._changed(each, applied)
            place = self._places.get(each.number, -1)
            if place != read:
                read = place
                if not row.read(self._engine.logits(place)):
                    raise ModelFileError(
                        "The model gave no usable numbers for the next token.",
                        "Its file is probably damaged: download it again.",
                    )
            row.likeliest(max(1, self._alternatives, each.few))
            each.step(row, self._alternatives)
            if not each.reason and self._is_full(each):
                each.finish("context")
            if each.reason:
                self._ended(each)
        self._steps += 1

    def _is_full(self, sequence: Sequence) -> bool:
        return self._prompt_length + sequence.count > self._model.window

    def _decode(self) -> bool:
        """Computes the tokens just drawn, all in one call. False if there is no room for another."""
        if len(self._sequences) == 1:
            done = self._cache.append(self._live[0].token)
        else:
            done = self._decode_together()
        if not done:
            for each in self._live:
                each.finish("context")
                self._ended(each)
            self._live = []
        return done

    def _decode_together(self) -> bool:
        batch = self._cache.batch
        self._places.clear()
        for place, each in enumerate(self._live):
            batch.token[place] = each.token
            batch.position[place] = self._prompt_length + each.count - 1
            batch.sequence[place] = each.number
            batch.output[place] = 1
            self._places[each.number] = place
        batch.struct.n_tokens = len(self._live)
        code = C.llama_decode(self._model.context_handle, batch.struct)
        if code not in (0, 1):
            raise decode_failed(code)
        return bool(code == 0)

    # -- telling

    def _flush(self, now: float) -> None:
        for each in self._sequences:
            self._send_tokens(each)
        self._flushed = now

    def _send_tokens(self, sequence: Sequence) -> None:
        if sequence.ready:
            index, tokens = sequence.take()
            self._link.send(Tokens(self._request, sequence.number, index, tokens, self._prompt_length + index + len(tokens)))

    def _changed(self, sequence: Sequence, settings: SamplingSettings) -> None:
        self._send_tokens(sequence)
        self._link.send(SamplingChanged(self._request, sequence.number, sequence.count, settings))

    def _ended(self, sequence: Sequence) -> None:
        self._send_tokens(sequence)
        self._link.send(
            SequenceFinished(
                self._request,
                sequence.number,
                sequence.reason,
                "".join(sequence.text),
                sequence.count,
                time.perf_counter() - self._started,
            )
        )
        if len(self._sequences) > 1 and sequence.number:
            C.llama_memory_seq_rm(self._model.memory, sequence.number, -1, -1)
