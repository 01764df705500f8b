"""The decoding lab's questions: what comes next after a prompt or at a token of a reply, and what the model thinks of a text.

Each is answered with a `Future`. They wait for nobody: while a reply or a comparison is being written they are refused, and one that is under
way gives way to a reply.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from playground import protocol
from playground.decoding.live_chain import LiveChain
from playground.errors import Cancelled, NotFoundError, PlaygroundError, from_kind
from playground.history.records import GenerationRow, TokenRow
from playground.models import beside
from playground.paths import Home
from playground.protocol import ChatMessage, PromptToken
from playground.session.engine import EngineHost
from playground.session.ledger import Ledger
from playground.session.replies import Replies
from playground.session.reply_tokens import ReplyToken, reply_tokens
from playground.session.tree import Tree

log = logging.getLogger(__name__)

T = TypeVar("T")
WithTree = Callable[[str, Callable[[Tree], None], Callable[[BaseException], None]], None]


@dataclass(frozen=True, eq=False)
class NextLogits:
    """Raw logits of the next token, float32 [vocabulary], the prompt before it, and the sampler chain over them, ready for sliders."""

    logits: NDArray[np.float32]
    prompt: tuple[PromptToken, ...]
    chain: LiveChain
    texts: dict[int, str] = field(default_factory=dict)
    """of the likeliest tokens and of the latest of the prompt, by id"""

    def text(self, token: int) -> str:
        """A token to show; its number where its text was not asked for."""
        return self.texts.get(token, f"#{token}")


class Lab:
    """`Session.lab`."""

    def __init__(
        self,
        lock: threading.RLock,
        ledger: Ledger,
        engine: EngineHost,
        replies: Replies,
        with_tree: WithTree,
        home: Home,
    ) -> None:
        self._lock = lock
        self._ledger = ledger
        self._engine = engine
        self._replies = replies
        self._with_tree = with_tree
        self._open: set[int] = set()
        self._folder = home.cache / "logits"
        self._files: set[Path] = set()
        """of questions that have no answer yet"""
        beside.sweep(self._folder)
        self._making = ThreadPoolExecutor(1, thread_name_prefix="lab")
        replies.make_way = self.stop

    def close(self) -> None:
        self._making.shutdown(wait=False, cancel_futures=True)
        for file in tuple(self._files):
            self._forget(file)

    def stop(self) -> None:
        """Ends what is under way; its futures have `Cancelled`."""
        with self._lock:
            asked = tuple(self._open)
        for request in asked:
            self._engine.cancel(request)

    # -- what comes next

    def next_logits(
        self,
        messages: Sequence[ChatMessage] = (),
        text: str = "",
        reply_start: str = "",
        prompt_ids: Sequence[int] = (),
        labels: int = 256,
        adapter_scale: float | None = None,
    ) -> Future[NextLogits]:
        """After a prompt: token ids, else messages rendered with the model's template, else a text as it stands. The adapter is at the scale
        in force unless told otherwise.
        """
        scale = self._replies.sampling.adapter_scale if adapter_scale is None else adapter_scale
        target = beside.passing(self._folder, ".f32")

        def ask(request: int) -> protocol.NextToken:
            self._files.add(target)
            return protocol.NextToken(
                request, str(target), tuple(messages), text, reply_start, tuple(prompt_ids), adapter_scale=scale, labels=labels
            )

        # Whatever came: half of it may be there where the worker died or the disk is full.
        return self._ask(ask, protocol.Logits, _read, lambda: self._forget(target))

    def at_end(self, chat_id: str, typed: str = "", reply_start: str = "", system: str = "") -> Future[NextLogits]:
        """Of the reply that a chat would get now, or that it would get to a message with what is typed.

        Without a chat, of a conversation that begins with it. A chat that ends with a reply and nothing typed: after that reply, as if it
        were to go on.
        """
        if not chat_id:
            begun = (ChatMessage("system", system),) if system.strip() else ()
            return self.next_logits((*begun, ChatMessage("user", typed)), reply_start=reply_start)
        answer: Future[NextLogits] = Future()

        def go(tree: Tree) -> None:
            prompt = tree.prompt(tree.session.tip)
            start = reply_start
            if typed.strip():
                prompt = (*prompt, ChatMessage("user", typed))
            elif prompt and prompt[-1].role == "assistant":
                prompt, start = prompt[:-1], prompt[-1].content
            _follow(lambda: self.next_logits(prompt, reply_start=start), answer)

        self._with_tree(chat_id, go, answer.set_exception)
        return answer

    def at_token(self, generation_id: str, index: int) -> Future[NextLogits]:
        """In the place of a token of a reply: what the model weighed there, computed again over its recorded tokens."""
        answer: Future[NextLogits] = Future()

        def found(read: Future[tuple[GenerationRow, list[TokenRow]]]) -> None:
            def ask() -> Future[NextLogits]:
                row, tokens = read.result()
                self._refuse_another_model(row)
                ids = (*row.prompt_ids, *(token.token_id for token in tokens[:index]))
                return self.next_logits(prompt_ids=ids)

            _follow(ask, answer)

        self._ledger.read(lambda store: (store.generation(generation_id), store.tokens(generation_id))).add_done_callback(found)
        return answer

    # -- a given text

    def score(
        self,
        text: str = "",
        messages: Sequence[ChatMessage] = (),
        prompt_ids: Sequence[int] = (),
        alternatives: int = 8,
    ) -> Future[protocol.Scored]:
        """What the model thinks of every token of a text, of rendered messages, or of tokens."""
        scale = self._replies.sampling.adapter_scale
        return self._ask(
            lambda request: protocol.Score(
                request, tuple(messages), text, prompt_ids=tuple(prompt_ids), alternatives=alternatives, adapter_scale=scale
            ),
            protocol.Scored,
            lambda event: event,
        )

    def score_message(self, message_id: str) -> Future[protocol.Scored]:
        """Of a reply with the prompt that it answered, token for token as they were computed; of what has no record, its text."""
        answer: Future[protocol.Scored] = Future()

        def found(read: Future[tuple[str, tuple[int, ...], GenerationRow | None]]) -> None:
            def ask() -> Future[protocol.Scored]:
                content, ids, row = read.result()
                if row is not None and row.model_path == self._engine.state.path:
                    return self.score(prompt_ids=ids)
                return self.score(content)

            _follow(ask, answer)

        self._ledger.read(lambda store: _ids_of(store, message_id)).add_done_callback(found)
        return answer

    def tokenize(
        self, text: str = "", messages: Sequence[ChatMessage] = (), reply_start: str = ""
    ) -> Future[protocol.Tokenized]:
        """How a text, or rendered messages, are cut into tokens."""
        return self._ask(
            lambda request: protocol.Tokenize(request, tuple(messages), text, reply_start),
            protocol.Tokenized,
            lambda event: event,
        )

    # -- replies

    def reply_tokens(self, message_id: str) -> Future[list[ReplyToken]]:
        """All tokens of a reply with their alternatives, where they stand in it, and where they are recorded."""
        return self._ledger.read(lambda store: reply_tokens(store, message_id))

    # -- inside

    def _forget(self, file: Path) -> None:
        beside.remove(file)
        self._files.discard(file)

    def _ask(
        self,
        make: Callable[[int], protocol.Message],
        wanted: type,
        turn: Callable[[Any], T],
        settled: Callable[[], None] = lambda: None,
    ) -> Future[T]:
        """What `turn` makes of the event that answers. `settled` is called when nothing more will come, whether somebody waits for it or not."""
        self._replies.refuse_if_busy()
        answer: Future[T] = Future()
        mine: list[int] = []

        def take(event: protocol.Message) -> None:
            if isinstance(event, wanted | protocol.Failed | protocol.Finished):
                with self._lock:
                    self._open.difference_update(mine)
                    mine.append(-1)
                try:
                    self._making.submit(_settle, answer, event, wanted, turn, settled)
                except RuntimeError:  # closed meanwhile
                    settled()
                    answer.set_exception(Cancelled("The program is closing."))

        if self._engine.state.state == "loading":
            raise PlaygroundError("The model is still being loaded.", "Wait a moment.")
        request = self._engine.ask(make, take)
        with self._lock:
            if not mine:
                mine.append(request)
                self._open.add(request)
        return answer

    def _refuse_another_model(self, row: GenerationRow) -> None:
        if row.model_path != self._engine.state.path:
            raise PlaygroundError(
                f"This reply was written by {row.model_name or 'another model'}.",
                "Load that model to look at its distribution.",
            )
        if not row.prompt_ids:
            raise PlaygroundError("This reply ended before its prompt was read.", "There is nothing to look at.")


def _settle(answer: Future[T], event: Any, wanted: type, turn: Callable[[Any], T], settled: Callable[[], None]) -> None:
    try:
        found = _outcome(event, wanted, turn)
    except Exception as error:
        settled()
        answer.set_exception(error)
    else:
        settled()
        answer.set_result(found)


def _outcome(event: Any, wanted: type, turn: Callable[[Any], T]) -> T:
    if isinstance(event, wanted):
        return turn(event)
    if not isinstance(event, protocol.Failed):
        raise Cancelled("A reply came first.")
    if event.kind == "Bug":
        log.error("the lab's question failed: %s\n%s", event.message, event.details)
    raise from_kind(event.kind, event.message, event.hint)


def _follow(ask: Callable[[], Future[T]], answer: Future[T]) -> None:
    """Gives one future what another one gets."""

    def done(found: Future[T]) -> None:
        error = found.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found.result())

    try:
        ask().add_done_callback(done)
    except Exception as error:
        answer.set_exception(error)


def _read(event: protocol.Logits) -> NextLogits:
    logits = np.fromfile(event.file, "<f4").astype(np.float32, copy=False)
    try:
        live = LiveChain(logits, [each.token_id for each in event.prompt])
    except ValueError:
        raise PlaygroundError(
            "The model gave no usable numbers for the next token.", "Its file is probably damaged: download it again."
        ) from None
    return NextLogits(logits, event.prompt, live, dict(event.labels))


def _ids_of(store: Any, message_id: str) -> tuple[str, tuple[int, ...], GenerationRow | None]:
    message = store.message(message_id)
    if message is None:
        raise NotFoundError("That message is not there any more.")
    rows = store.generations_of(message_id)
    if not rows or not rows[-1].prompt_ids:
        return message.content, (), None
    return message.content, (*rows[-1].prompt_ids, *(each.token_id for each in store.tokens(rows[-1].id))), rows[-1]
