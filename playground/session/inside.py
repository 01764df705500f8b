"""Looking inside: captures of attention, asked for, listed, opened, deleted; readings of layers; words in the token table.

Maps are read by `playground.inside.capture`, readings by `playground.inside.lens`.

A capture waits for nobody and gives way to a reply, as the lab's questions do. Nothing is computed until one is asked for.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from playground import protocol
from playground.errors import Cancelled, PlaygroundError, WorkerError, from_kind
from playground.history.store import Store
from playground.inside import lens, store
from playground.inside.capture import Capture, header_of
from playground.inside.layout import PARTS, SUFFIX, Token
from playground.inside.lens import LensReading
from playground.inside.store import Entry
from playground.params import ContextSettings
from playground.paths import Home
from playground.process import Exit
from playground.protocol import ChatMessage
from playground.session.engine import LLAMA, EngineHost, display_name, engine_of
from playground.session.guests import Guests
from playground.session.inside_tokens import Ids, ids_of_generation, ids_of_message, made_before, place_of
from playground.session.ledger import Ledger
from playground.session.reading_models import folder_to_read, is_encoder
from playground.session.replies import Replies
from playground.session.side_worker import SideWorker

log = logging.getLogger(__name__)

ENCODER = "playground.workers.attention_encoder"
TOKEN_TABLE = "playground.workers.token_table"

OnProgress = Callable[[float], None]


@dataclass(frozen=True)
class CaptureRequest:
    """What to capture: token ids, else messages rendered with the model's template, else a text as it stands."""

    text: str = ""
    messages: tuple[ChatMessage, ...] = ()
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()
    """numbers in the model; none for all"""
    heads: tuple[int, ...] = ()
    exact: bool = False
    """keep float32 weights, whatever that takes (else: square roots in 8 bits up to 512 tokens, queries and keys beyond)"""
    model: str = ""
    """the path of a model; empty for the loaded one. Another one is loaded beside it"""
    context: ContextSettings = field(default_factory=ContextSettings)
    """how another model is loaded"""
    target_text: str = ""
    """of a model that reads one text and writes another: what it writes; empty: what it would write, greedily"""
    parts: tuple[str, ...] = ()
    """of such a model: which of encoder, decoder, cross; all where none is named"""
    weights: str = ""
    """the path of a file that the weights are to be written to afterwards (`inside.capture.export`): there must be room for it as well"""


@dataclass(frozen=True)
class LensRequest:
    """What to read layer by layer: the text as in `CaptureRequest` (of a capture: the ids of its tokens, and its model's path)."""

    text: str = ""
    messages: tuple[ChatMessage, ...] = ()
    reply_start: str = ""
    prompt_ids: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    """tokens after which a prediction is read, from the end where below 0; none for all"""
    top: int = 8
    model: str = ""
    """the path of a folder; empty for the loaded model. Another one is loaded beside it"""
    context: ContextSettings = field(default_factory=ContextSettings)


@dataclass(frozen=True)
class EmbeddingsRequest:
    """Words to look up in the token table of a model, which need not be loaded."""

    words: tuple[str, ...]
    model: str
    """the path of a GGUF file or a folder"""
    count: int = 12
    """neighbours of each word"""
    table: str = "input"
    """`input`, or `output` where the model has a table of its own for it"""


class Inside:
    """`Session.inside`. Every method may be called from any thread; those that give a `Future` return at once, the others read the disk."""

    def __init__(
        self, lock: threading.RLock, ledger: Ledger, engine: EngineHost, guests: Guests, replies: Replies, home: Home
    ) -> None:
        self._lock = lock
        self._ledger = ledger
        self._engine = engine
        self._guests = guests
        self._replies = replies
        self.folder = home.cache / "captures"
        self.limit = store.LIMIT
        """bytes that captures may take together; beyond it the oldest go"""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inside")
        self._tables = ThreadPoolExecutor(1, thread_name_prefix="token-tables")
        self._stops = 0
        self._begun = threading.local()
        """`stops`: how often everything had been stopped when what this thread does was asked for"""
        self._cancels: dict[Callable[[], None], bool] = {}
        """what ends each capture under way, and whether the loaded model computes it, which a reply may wait for"""
        self._encoder = SideWorker(ENCODER)
        self._token_table = SideWorker(TOKEN_TABLE)
        self._closed = False
        before = replies.make_way

        def make_way() -> None:
            before()
            self._stop_all(guests=False)

        replies.make_way = make_way

    def close(self) -> None:
        """Stops what is under way and waits for that."""
        self._closed = True
        self.stop()
        self._guests.close()  # what is being loaded there would be waited for
        self._encoder.stop()
        self._token_table.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._tables.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """Ends captures and readings that are under way; their futures have `Cancelled`, and nothing is left of them."""
        self._stop_all()

    # -- capturing

    def capture(self, request: CaptureRequest, on_progress: OnProgress | None = None) -> Future[Entry]:
        """Captures the attention over a text. `on_progress` gets fractions on a thread of the session's.

        The future has the new entry, or what is wrong: StorageError and MemoryShortError for what does not fit, before anything is computed.
        """
        other = self._other(request.model)
        return self._submit(self._thread, lambda: self._capture(request, other, on_progress or (lambda fraction: None)))

    def capture_message(
        self, message_id: str, request: CaptureRequest | None = None, on_progress: OnProgress | None = None
    ) -> Future[Entry]:
        """Of a reply with the prompt that it answered, token for token; of a message without a record, its text.

        Without a request, a capture that was made of it before is as good as another.
        """
        return self._of(lambda read: ids_of_message(read, message_id), request, on_progress)

    def capture_generation(
        self, generation_id: str, request: CaptureRequest | None = None, on_progress: OnProgress | None = None
    ) -> Future[Entry]:
        """Of a logged generation: its prompt and its tokens, as they were computed. Its model must be the one that is asked.

        Without a request, a capture that was made of it before is as good as another.
        """
        return self._of(lambda read: ids_of_generation(read, generation_id), request, on_progress)

    def place_of(self, message_id: str, generation_id: str, index: int) -> Future[tuple[str, int]]:
        """Where a token of a reply stands in the capture of its message ("", place), or of that generation (its id, place)."""
        return self._ledger.read(lambda read: place_of(read, message_id, generation_id, index))

    def parts(self, capture_id: str) -> dict[str, Entry]:
        """The captures of the same pair of texts by their part, this one among them; of a model with one text nothing."""
        pair, _, part = capture_id.rpartition("-")
        if part not in PARTS:
            return {}
        found = {each.id: each for each in self.list()}
        return {name: found[f"{pair}-{name}"] for name in PARTS if f"{pair}-{name}" in found}

    # -- other views of the inside

    def lens(self, request: LensRequest, on_progress: OnProgress | None = None) -> Future[LensReading]:
        """Every layer's state read as a prediction of the next token.

        Of a GGUF file that lies in the folder of its model, that folder is read beside it. PlaygroundError for any other GGUF file.
        """
        other = self._other(request.model)
        path = other or Path(self._engine.state.path)
        if engine_of(path) == LLAMA:
            other = folder_to_read(path, self._engine.state.info if other is None else None)
        if other is not None and is_encoder(other):
            raise PlaygroundError(
                f"{display_name(other)} does not say what comes next: it only reads.", "Take a model that writes."
            )
        return self._submit(self._thread, lambda: self._lens(request, other, on_progress or (lambda fraction: None)))

    def embeddings(self, request: EmbeddingsRequest, on_progress: OnProgress | None = None) -> Future[protocol.Embedded]:
        """Words in a model's token table: neighbours, similarities, a projection. Loads no model and waits for none."""

        def ask() -> protocol.Embedded:
            number, cancel = self._token_table.ask(
                lambda number: protocol.Embed(number, request.model, request.words, request.count, request.table)
            )
            found: protocol.Embedded = self._wait(
                self._token_table.inbox, number, cancel, on_progress or (lambda _: None), False
            )
            return found

        return self._submit(self._tables, ask)

    # -- what there is

    def list(self) -> list[Entry]:
        """All captures, the newest first."""
        return store.entries(self.folder)

    def open(self, capture_id: str) -> Capture:
        """NotFoundError where it is gone, DataError for a damaged one. Close it."""
        return Capture(store.path_of(self.folder, capture_id))

    def delete(self, capture_id: str) -> None:
        store.delete(self.folder, capture_id)

    def size(self, tokens: int, layers: int = 0, heads: int = 0, exact: bool = False, model: str = "") -> int:
        """Bytes that a capture would take on disk, all layers and heads where none are named; 0 where that cannot be told.

        `model`: a path; empty for the loaded one. Reads the model's header.
        """
        info = self._engine.state.info
        if not model and info is None:
            return 0
        from playground.session.inside_facts import bytes_of  # reads headers

        count = info.layers if info and not model else 0
        return bytes_of(Path(model or self._engine.state.path), tokens, layers or count, heads, exact)

    # -- inside

    def _submit(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Future[Any]:
        """Does it on a thread, unless everything is stopped before that comes to it."""
        with self._lock:
            stops = self._stops

        def begin() -> Any:
            self._begun.stops = stops
            if self._closed:
                raise Cancelled("The program is closing.")
            if stops != self._stops:
                raise Cancelled("This was stopped.")
            return work()

        return thread.submit(begin)

    def _of(
        self,
        read: Callable[[Store], Ids],
        request: CaptureRequest | None,
        on_progress: OnProgress | None,
    ) -> Future[Entry]:
        base = request or CaptureRequest()

        def work() -> Entry:
            text, ids, model = self._ledger.read(read).result()
            asked = base.model or self._engine.state.path
            if ids and model != asked:
                raise PlaygroundError("This reply was written by another model.", "Load that model to look inside it.")
            scale = self._replies.sampling.adapter_scale
            known = made_before(self.folder, ids, self._engine.state.info, scale) if request is None else None
            if known is not None:
                return known
            given = replace(base, text="" if ids else text, prompt_ids=ids, messages=())
            path = None if asked == self._engine.state.path else Path(asked)
            return self._capture(given, path, on_progress or (lambda fraction: None))

        if not base.model:
            self._replies.refuse_if_busy()
        return self._submit(self._thread, work)

    def _other(self, model: str) -> Path | None:
        """The path of a model that is not the loaded one, which is otherwise seen to be there and idle."""
        if model and model != self._engine.state.path:
            return Path(model)
        self._replies.refuse_if_busy()
        if self._engine.state.state == "loading":
            raise PlaygroundError("The model is still being loaded.", "Wait a moment.")
        return None

    def _lens(self, request: LensRequest, path: Path | None, on_progress: OnProgress) -> LensReading:
        folder = self.folder.with_name("lens")
        lens.sweep(folder)
        target = folder / f"{store.fresh_id()}.npz"
        scale = self._replies.sampling.adapter_scale
        host = self._engine if path is None else self._guests.load(str(path), request.context)
        try:
            answer: protocol.Lensed = self._ask(
                host,
                lambda number: protocol.Lens(
                    number,
                    str(target),
                    request.messages,
                    request.text,
                    request.reply_start,
                    request.prompt_ids,
                    request.positions,
                    request.top,
                    scale,
                ),
                on_progress,
            )
            tokens = [Token(each.token_id, each.text, each.special) for each in answer.tokens]
            return lens.read(target, tokens, dict(answer.labels), answer.gap, display_name(Path(host.state.path)))
        finally:
            target.unlink(missing_ok=True)

    def _capture(self, request: CaptureRequest, path: Path | None, on_progress: OnProgress) -> Entry:
        capture_id = store.fresh_id()
        target = store.path_of(self.folder, capture_id)
        store.sweep(self.folder)

        def command(number: int) -> protocol.Capture:
            return protocol.Capture(
                number,
                str(target),
                request.messages,
                request.text,
                request.reply_start,
                request.prompt_ids,
                request.layers,
                request.heads,
                request.exact,
                self._replies.sampling.adapter_scale,
                self.limit,
                "" if path is None else str(path),
                request.target_text,
                request.parts,
                request.weights,
            )

        try:
            if path is not None and is_encoder(path):
                number, cancel = self._encoder.ask(command)
                answer: protocol.Captured = self._wait(self._encoder.inbox, number, cancel, on_progress, False)
            else:
                host = self._engine if path is None else self._guests.load(str(path), request.context)
                answer = self._ask(host, command, on_progress)
        finally:
            store.sweep(self.folder, capture_id)
        store.clean(self.folder, self.limit, keep=capture_id)
        made = Path(answer.path)
        stat = made.stat()
        return Entry(made.name.removesuffix(SUFFIX), made, stat.st_size, stat.st_mtime, header_of(made))

    def _ask(self, host: EngineHost, make: Callable[[int], protocol.Message], on_progress: OnProgress) -> Any:
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        number = host.ask(make, inbox.put)
        return self._wait(inbox, number, lambda: host.cancel(number), on_progress, host is self._engine)

    def _wait(
        self, inbox: queue.SimpleQueue[Any], number: int, cancel: Callable[[], None], on_progress: OnProgress, ours: bool
    ) -> Any:
        """Until a request is answered: its answer. The worker's error is raised."""
        with self._lock:
            self._cancels[cancel] = ours
            stopped = self._closed or self._begun.stops != self._stops
        if stopped:
            cancel()
        try:
            while True:
                event = inbox.get()
                if isinstance(event, Exit):
                    raise WorkerError(event.sentence, event.hint or "Try again.")
                if isinstance(event, protocol.LogLine):
                    log.log(event.level, "%s", event.text)
                if getattr(event, "request", number) != number:
                    continue
                if isinstance(event, (protocol.Captured, protocol.Lensed, protocol.Embedded)):
                    return event
                if isinstance(event, protocol.Progress):
                    on_progress(event.fraction)
                elif isinstance(event, protocol.Failed):
                    if event.kind == "Bug":
                        log.error("a look inside failed: %s\n%s", event.message, event.details)
                    raise from_kind(event.kind, event.message, event.hint)
                elif isinstance(event, protocol.Finished):
                    raise Cancelled("This was stopped.")
        finally:
            with self._lock:
                del self._cancels[cancel]

    def _stop_all(self, guests: bool = True) -> None:
        with self._lock:
            self._stops += guests
            asked = [cancel for cancel, ours in self._cancels.items() if ours or guests]
        for cancel in asked:
            cancel()
