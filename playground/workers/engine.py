"""Answers of a loaded model, the same for every engine: completions, tokens of a text, the next token's logits.

Knows how a prompt is made of a command, but neither computing (`Decoder`) nor loading.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from collections.abc import Sequence as Series
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.decoding.cells import growth
from playground.decoding.differences import common_prefix
from playground.errors import ContextFullError, SettingError, StorageError
from playground.params import SamplingSettings
from playground.protocol import (
    Alternative,
    Beam,
    Capture,
    ChatMessage,
    Finished,
    Generate,
    Lens,
    Logits,
    NextToken,
    Prefilled,
    Progress,
    PromptToken,
    Score,
    Scored,
    ScoredToken,
    Tokenize,
    Tokenized,
)
from playground.template import render
from playground.workers import attention, beam
from playground.workers.base import Link
from playground.workers.decode_loop import Decoder, Run
from playground.workers.sequence import Vocabulary
from playground.workers.text import token_texts
from playground.workers.token_stats import Row

LATEST = 4096
"""tokens of a prompt that penalties may look at: what `SamplingSettings.repeat_last_n` can be at most"""


class Engine:
    """Answers `Generate`, `Beam`, `Tokenize`, `NextToken` and `Score` for one loaded model."""

    def __init__(self, link: Link, vocabulary: Vocabulary, decoder: Decoder) -> None:
        self._link = link
        self._vocabulary = vocabulary
        self._decoder = decoder
        self.before_finish: Callable[[], None] = lambda: None
        """called when a completion has been computed"""

    # -- commands

    def generate(self, command: Generate) -> None:
        self._check(command)
        started = time.perf_counter()
        text, ids, tails, texts = self._prompts(command)
        prompt = [*ids, *command.continued]
        samplings = tuple(
            each if each.seed >= 0 else replace(each, seed=secrets.randbelow(2**32 - 1)) for each in command.samplings
        )
        more = self._growth(command, len(prompt), samplings, tails)
        cached = self._prefill(command.request, prompt, command.batches, samplings[0].adapter_scale, more)
        run = Run(self._link, self._vocabulary, self._decoder, command, samplings, prompt, tails)
        try:
            run.read_tails(self._stop(command.request))
            self._link.send(
                Prefilled(
                    command.request,
                    self._prompt_tokens(prompt),
                    text + self._text_of(command.continued),
                    cached,
                    time.perf_counter() - started,
                    self._decoder.batches(),
                    samplings,
                    tuple(map(self._prompt_tokens, tails)),
                    tuple(texts),
                )
            )
            cancelled = run.go()
        finally:
            run.close()
        self.before_finish()
        self._link.send(Finished(command.request, "cancelled" if cancelled else "done"))

    def beam(self, command: Beam, arithmetic: str = "engine") -> None:
        text, ids = self._prompt(command)
        started = time.perf_counter()
        width, limit = command.settings.width, command.settings.max_tokens
        beams = width if 1 < width <= self._decoder.sequences else 0
        more = growth(self._decoder.window, len(ids), [limit] * beams)
        cached = self._prefill(command.request, ids, scale=command.adapter_scale, growth=more)
        seconds = time.perf_counter() - started
        self._link.send(
            Prefilled(command.request, self._prompt_tokens(ids), text, cached, seconds, self._decoder.batches(), ())
        )
        found = beam.search(command, ids, self._vocabulary, self._decoder, self._link.send, self._stop(command.request))
        self.before_finish()
        self._link.send(replace(found, arithmetic=arithmetic))
        self._link.send(Finished(command.request, "cancelled" if found.why == "cancelled" else "done"))

    def tokenize(self, command: Tokenize) -> None:
        text, ids = self._prompt(command, or_first=False)
        pieces = tuple(self._vocabulary.piece(each).hex() for each in ids)
        ends = bool(ids) and self._vocabulary.is_end(ids[-1])
        self._link.send(Tokenized(command.request, self._prompt_tokens(ids), text, pieces, ends))

    def next_token(self, command: NextToken) -> None:
        _, ids = self._prompt(command)
        self._prefill(command.request, ids, scale=command.adapter_scale)
        logits, row = self._decoder.logits(-1), self._decoder.row
        likeliest: list[int] = []
        if row.read(logits):
            likeliest = row.likeliest(min(command.labels, self._vocabulary.n_vocab)).tolist()
        labels = tuple((each, self._vocabulary.label(each)) for each in dict.fromkeys((*likeliest, *ids[-LATEST:])))
        try:
            Path(command.target).write_bytes(logits.astype("<f4").tobytes())
        except OSError as error:
            raise StorageError(
                f"The numbers could not be written to {Path(command.target).parent} ({error.strerror or error}).",
                "Free some space on that disk.",
            ) from None
        self._link.send(Logits(command.request, command.target, self._prompt_tokens(ids), labels))

    def score(self, command: Score) -> None:
        text, ids = self._prompt(command, or_first=False)
        if len(ids) > self._decoder.window:
            raise ContextFullError(
                f"The text has {len(ids):,} tokens; the context window holds {self._decoder.window:,}.",
                "Shorten it, or load the model with a larger context window.",
            )
        shown = self._prompt_tokens(ids)
        found = [self._unscored(each) for each in shown]
        row = self._decoder.row
        place = 0
        for part in self._decoder.score(ids, command.adapter_scale, self._stop(command.request)):
            for logits in part:
                place += 1
                if row.read(logits):
                    found[place] = self._scored(found[place], row, command.alternatives)
            self._link.send(Progress(command.request, place / max(1, len(ids) - 1), "score"))
        self._link.send(Scored(command.request, tuple(found), text))

    def capture(self, command: Capture, about: attention.About, source: attention.Source) -> None:
        _, ids = self._prompt(command, or_first=False)
        attention.capture(self._link, command, self._prompt_tokens(ids), self._decoder.window, about, source)

    def lens(self, command: Lens, net: Any, name: str) -> None:
        """`net`: the network of a model folder."""
        from playground.workers import lens_torch  # this engine's alone

        _, ids = self._prompt(command, or_first=False)
        shown = self._prompt_tokens(ids)
        lens_torch.answer(self._link, command, shown, self._decoder.window, net, name, self._vocabulary.label)

    # -- parts

    def _unscored(self, token: PromptToken) -> ScoredToken:
        data = token.text.encode("utf-8", "replace") if token.special else self._vocabulary.piece(token.token_id)
        return ScoredToken(token.token_id, token.text, data.hex(), token.special)

    def _scored(self, token: ScoredToken, row: Row, alternatives: int) -> ScoredToken:
        """With what a row of logits, which was read, says of it."""
        number = token.token_id
        mine = row.logits[number]
        before = int((row.logits > mine).sum()) + int((row.logits[:number] == mine).sum())
        likeliest = row.likeliest(alternatives).tolist() if alternatives else ()
        chances = [(each, row.logprob(each)) for each in likeliest]
        return replace(
            token,
            rank=before + 1,
            logprob=row.logprob(number),
            entropy=row.entropy,
            alternatives=tuple(
                Alternative(each, self._vocabulary.label(each), chance, math.exp(chance)) for each, chance in chances
            ),
        )

    def _check(self, command: Generate) -> None:
        if not command.samplings:
            raise SettingError("No sampling settings were given.", "Give at least one set of them.")
        if len(command.samplings) > self._decoder.sequences:
            raise SettingError(
                f"{len(command.samplings)} replies at once were asked for; the model is loaded for {self._decoder.sequences}.",
                "Load it with more sequences.",
            )
        for name in ("timelines", "ends", "limits", "prompts", "reply_starts", "tails"):
            if getattr(command, name) and len(getattr(command, name)) != len(command.samplings):
                raise SettingError(f"{name} must have one entry for each sequence, or none at all.")

    def _prompts(self, command: Generate) -> tuple[str, list[int], list[list[int]], list[str]]:
        """What all sequences begin with, as text and as tokens; where they differ, what follows in each, and the whole texts."""
        if command.tails:
            head, tails = list(command.prompt_ids), [list(tail) for tail in command.tails]
            if not all(tails):
                raise SettingError("A recorded prompt has no token of its own.", "This record cannot be repeated exactly.")
            texts = [self._prompt(replace(command, prompt_ids=(*head, *tail)))[0] for tail in tails]
            return self._text_of(head), head, tails, texts
        if command.prompt_ids or not (command.prompts or command.reply_starts):
            return *self._prompt(command), [], []
        known: dict[tuple[Any, str], tuple[str, list[int]]] = {}
        every = []
        for number in range(len(command.samplings)):
            messages = command.prompts[number] if command.prompts else command.messages
            start = command.reply_starts[number] if command.reply_starts else command.reply_start
            if (messages, start) not in known:
                known[messages, start] = self._prompt(replace(command, messages=messages, reply_start=start))
            every.append(known[messages, start])
        if all(ids == every[0][1] for _, ids in every):
            return *every[0], [], []
        # Each keeps a token of its own, whose logits its reply begins with.
        length = common_prefix(*(ids[:-1] for _, ids in every))
        head = every[0][1][:length]
        return self._text_of(head), head, [ids[length:] for _, ids in every], [text for text, _ in every]

    def _text_of(self, ids: Series[int]) -> str:
        return "".join(token_texts(map(self._vocabulary.piece, ids)))

    def _prompt(self, command: Any, or_first: bool = True) -> tuple[str, list[int]]:
        """The prompt as text and as tokens. `or_first`: an empty one becomes the token that a text begins with."""
        given = list(getattr(command, "prompt_ids", ()))
        if given:
            if min(given) < 0 or max(given) >= self._vocabulary.n_vocab:
                raise SettingError(
                    "The prompt has token numbers that this model does not know.", "It was made with another model."
                )
            return self._text_of(given), given
        text = self.rendered(command.messages) if command.messages else command.text
        text += command.reply_start
        ids = self._vocabulary.tokenize(text)
        if not ids and or_first:
            ids = [self._vocabulary.first_token()]
        return text, ids

    def rendered(self, messages: Series[ChatMessage]) -> str:
        return render(self._vocabulary.template, messages, self._vocabulary.bos(), self._vocabulary.eos())

    def _prompt_tokens(self, ids: Series[int]) -> tuple[PromptToken, ...]:
        special = [self._vocabulary.is_special(each) for each in ids]
        texts = token_texts(
            b"" if control else self._vocabulary.piece(each) for each, control in zip(ids, special, strict=True)
        )
        return tuple(
            PromptToken(each, self._vocabulary.label(each) if control else text, control)
            for each, text, control in zip(ids, texts, special, strict=True)
        )

    def _stop(self, request: int) -> Callable[[], bool]:
        return lambda: self._link.pending and self._link.cancelled(request)

    def _growth(
        self, command: Generate, shared: int, samplings: Series[SamplingSettings], tails: Series[Series[int]]
    ) -> list[int]:
        """How many tokens each of several sequences may need in the cache beside the shared ones; nothing for one alone."""
        if len(samplings) == 1:
            return []
        told = [each.max_tokens for each in samplings]
        if command.limits:
            told = [limit if limit > 0 else most for limit, most in zip(command.limits, told, strict=True)]
        scales = [each.adapter_scale for each in samplings]
        return growth(self._decoder.window, shared, told, [len(tail) for tail in tails], scales)

    def _prefill(
        self, request: int, prompt: Series[int], batches: Series[Any] = (), scale: float = 1.0, growth: Series[int] = ()
    ) -> int:
        return self._decoder.prefill(
            prompt,
            batches,
            stop=self._stop(request),
            on_progress=lambda fraction: self._link.send(Progress(request, fraction, "prompt")),
            scale=scale,
            growth=growth,
        )
