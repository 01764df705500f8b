"""Beam search on the batched sequences: one decode call a step for all beams, their caches copied where a beam splits.

The same for every engine. Which beams live is decided by `decoding.beam_search`; this computes what follows each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Sequence as Series
from dataclasses import dataclass, field
from typing import Any

from playground.decoding.beam_search import ROOT, BeamSearch, Candidate, Node, enough
from playground.errors import Cancelled, ContextFullError, ModelFileError, SettingError
from playground.params import SamplingSettings
from playground.protocol import Beam, BeamFound, BeamNode, BeamsFound, BeamStep
from playground.workers.decode_loop import Decoder
from playground.workers.sequence import Vocabulary
from playground.workers.text import token_texts


@dataclass
class Place:
    """A sequence of the decoder with the beam that stands in it: as much of a `Sequence` as decoding asks for."""

    number: int
    settings: SamplingSettings
    tokens: list[int]
    node: Node | None = field(default=None)

    @property
    def token(self) -> int:
        return self.tokens[-1]

    @property
    def position(self) -> int:
        return len(self.tokens) - 1


def search(
    command: Beam,
    prompt: Series[int],
    vocabulary: Vocabulary,
    decoder: Decoder,
    tell: Callable[[Any], None],
    stop: Callable[[], bool],
) -> BeamsFound:
    """Runs it on a prompt that is in the decoder's cache; `tell` gets every `BeamStep`. SettingError, ContextFullError.

    `stop` is asked at every step; what had ended by then is given back.
    """
    settings = command.settings
    if settings.width > decoder.sequences:
        raise SettingError(
            f"{settings.width} beams were asked for; the model is loaded for {decoder.sequences} sequences.",
            "Load it with more sequences, or take fewer beams.",
        )
    # The last token of a continuation is drawn, not computed: it needs no place in the window.
    limit = min(settings.max_tokens, decoder.window - len(prompt) + 1)
    if limit < 1:
        raise ContextFullError("The context window is full.", "Load the model with a larger context window.")
    run = _Run(command, prompt, vocabulary, decoder, BeamSearch(settings, limit))
    started = time.perf_counter()
    cancelled = False
    try:
        run.share(limit, stop)
        while not run.search.done:
            if stop():
                cancelled = True
                break
            tell(BeamStep(command.request, run.search.steps + 1, run.step()))
            if not run.search.done and not run.decode():
                run.search.stop()
    except Cancelled:
        cancelled = True
    finally:
        run.close()
    why = "cancelled" if cancelled else run.search.why
    if why == "length" and limit < settings.max_tokens and run.search.steps == limit:
        why = "context"
    return BeamsFound(command.request, run.found(why), why, run.computed, time.perf_counter() - started)


class _Run:
    def __init__(
        self, command: Beam, prompt: Series[int], vocabulary: Vocabulary, decoder: Decoder, search: BeamSearch
    ) -> None:
        self._vocabulary = vocabulary
        self._decoder = decoder
        self._width = command.settings.width
        self._settings = SamplingSettings(temperature=0.0, adapter_scale=command.adapter_scale)
        self._prompt = list(prompt)
        self._places = [Place(0, self._settings, list(prompt))]
        self._nodes: dict[int, Node] = {}
        self._shared = False
        self.search = search
        self.computed = 0

    def share(self, limit: int, stop: Callable[[], bool]) -> None:
        if self._width > 1:
            self._shared = True
            self._decoder.share([self._settings.adapter_scale] * self._width, self._width * limit, stop)

    def close(self) -> None:
        """Leaves the prompt in the cache, as it was."""
        if self._shared:
            self._decoder.unshare(self._width)

    # -- a step

    def step(self) -> tuple[BeamNode, ...]:
        """Looks at what may follow, and gives every living beam its sequence for the next decode call."""
        before = {place.node.id if place.node else ROOT: place for place in self._places}
        seen = self.search.step([self._candidates(before[node.id if node else ROOT]) for node in self.search.running])
        self._nodes.update((each.id, each) for each in seen)
        self._places = self._move(before)
        return tuple(
            BeamNode(
                each.id,
                each.parent,
                each.token,
                self._vocabulary.label(each.token),
                each.logprob,
                each.total,
                each.length,
                each.state,
            )
            for each in seen
        )

    def _candidates(self, place: Place) -> list[Candidate]:
        row = self._decoder.row
        if not row.read(self._decoder.logits(self._decoder.places.get(place.number, -1))):
            raise ModelFileError(
                "The model gave no usable numbers for the next token.", "Its file is probably damaged: download it again."
            )
        count = 2 * self._width
        while True:
            count = min(count, self._vocabulary.n_vocab)
            found = [
                Candidate(each, row.logprob(each), self._vocabulary.is_end(each)) for each in row.likeliest(count).tolist()
            ]
            if enough(found, self._width) or count == self._vocabulary.n_vocab:
                return found
            count *= 2

    def _move(self, before: dict[int, Place]) -> list[Place]:
        """The first beam out of another stays in its sequence; the others take those that nothing came out of."""
        living = [each for each in self.search.running if each is not None]
        stays: dict[int, int] = {}
        for each in living:
            stays.setdefault(each.parent, each.id)
        taken = {before[parent].number for parent in stays}
        free = [number for number in range(self._width) if number not in taken]
        moved = []
        for each in living:
            parent = before[each.parent]
            number = parent.number
            if stays[each.parent] != each.id:
                number = free.pop(0)
                self._decoder.copy(parent.number, number)
            moved.append(Place(number, self._settings, [*parent.tokens, each.token], each))
        return moved

    def decode(self) -> bool:
        """Computes the last token of every living beam in one call. False if there is no room."""
        if not self._shared:
            done = self._decoder.append(self._places[0].token, self._settings.adapter_scale)
        else:
            done = self._decoder.decode(self._places)  # type: ignore[arg-type]
        self.computed += len(self._places) if done else 0
        return done

    # -- what was found

    def found(self, why: str) -> tuple[BeamFound, ...]:
        return tuple(self._found(each.node, each.score, why) for each in self.search.finished)

    def _found(self, node: Node, score: float, why: str) -> BeamFound:
        path = [node]
        while path[0].parent != ROOT:
            path.insert(0, self._nodes[path[0].parent])
        ids = [each.token for each in path]
        said = ids[:-1] if node.state == "ended" else ids
        reason = "end" if node.state == "ended" else "context" if why == "context" else "length"
        return BeamFound(
            node.id,
            tuple(ids),
            tuple(each.logprob for each in path),
            "".join(token_texts(self._vocabulary.piece(each) for each in said)),
            score,
            node.total,
            reason,
        )
