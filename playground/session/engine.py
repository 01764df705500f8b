"""The parent's side of the engine worker: one model at most, and who asked it for what.

Turns the worker's life into `ModelState` events and hands every other message to the handler of its request. Knows the protocol and
processes, but neither chats nor the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from playground import protocol
from playground.errors import PlaygroundError, WorkerError, from_kind
from playground.events import ModelState
from playground.params import ContextSettings
from playground.process import Exit, WorkerProcess

log = logging.getLogger(__name__)

Handler = Callable[[protocol.Message], None]

CLOSING = (
    protocol.Finished,
    protocol.Failed,
    protocol.Loaded,
    protocol.Tokenized,
    protocol.Logits,
    protocol.Scored,
    protocol.Captured,
    protocol.Lensed,
)
"""events after which nothing more of a request comes"""
LLAMA = "playground.workers.llama"
TRANSFORMERS = "playground.workers.torch_engine"


def engine_of(path: Path) -> str:
    """The worker's module that runs what lies at a path: a folder of safetensors goes to transformers, a file to llama.cpp."""
    return TRANSFORMERS if path.is_dir() or path.suffix == ".safetensors" or path.name == "config.json" else LLAMA


class EngineHost:
    """Loads, replaces and loses models. `changed` hears of every new `ModelState`, `hashed` of (path, SHA-256) pairs.

    Both are called from whatever thread noticed; neither may block. `known_hash` may: it spares the worker hashing a file again.
    """

    def __init__(
        self,
        changed: Callable[[ModelState], None],
        hashed: Callable[[str, str], None],
        known_hash: Callable[[Path], str] = lambda path: "",
        memory_used: Callable[[protocol.MemoryUsed], None] = lambda used: None,
    ) -> None:
        self._changed = changed
        self._hashed = hashed
        self._known_hash = known_hash
        self._memory_used = memory_used
        self._lock = threading.RLock()
        self._control = ThreadPoolExecutor(1, thread_name_prefix="engine-control")
        self._worker: WorkerProcess | None = None
        self._handlers: dict[int, Handler] = {}
        self._requests = 0
        self._state = ModelState("none")
        self._context = ContextSettings()
        self._adapter = ""
        self._loads = 0
        self._closed = False

    @property
    def state(self) -> ModelState:
        return self._state

    @property
    def context(self) -> ContextSettings:
        """The settings that the model was last asked to load with."""
        return self._context

    @property
    def adapter(self) -> str:
        """The path of the adapter that the model was last asked to load with, empty for none."""
        return self._adapter

    def load(self, path: Path, context: ContextSettings, adapter: str = "") -> Future[protocol.ModelInfo]:
        """Ends the worker there is and loads `path` in a new one, with an adapter's path if there is to be one."""
        answer: Future[protocol.ModelInfo] = Future()
        with self._lock:
            if self._closed:
                raise PlaygroundError("The program is closing.")
            self._loads += 1
            ticket = self._loads
            self._context, self._adapter = context, adapter
            self._set(ModelState("loading", str(path), display_name(path)))
            self._control.submit(self._replace, ticket, path, context, adapter, answer)
        return answer

    def unload(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._loads += 1
            self._set(ModelState("none"))
            self._control.submit(self._end_worker)

    def close(self) -> None:
        """Ends the worker and waits for that: 3 s of patience, then it is killed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._loads += 1
        self._control.submit(self._end_worker)
        self._control.shutdown(wait=True)

    def ask(self, make: Callable[[int], protocol.Message], handler: Handler) -> int:
        """Sends the command that `make` makes of a new request number; `handler` gets what comes of it, a `Failed` if the worker dies."""
        with self._lock:
            worker = self._worker
            if worker is None or self._state.state != "ready":
                raise PlaygroundError("No model is loaded.", "Choose one first.")
            self._requests += 1
            request = self._requests
            self._handlers[request] = handler
        worker.send(make(request))
        return request

    def cancel(self, request: int) -> None:
        """Stops a request at its next token; a worker that does not heed that is ended."""
        worker = self._worker
        if worker is not None:
            worker.cancel(request)

    def tell(self, command: protocol.Message) -> None:
        """Sends a command that concerns a request under way; nothing happens if the worker is gone."""
        worker = self._worker
        if worker is not None:
            worker.send(command)

    # -- on the control thread

    def _replace(
        self, ticket: int, path: Path, context: ContextSettings, adapter: str, answer: Future[protocol.ModelInfo]
    ) -> None:
        try:
            self._end_worker()
            with self._lock:
                if ticket != self._loads:
                    answer.set_exception(PlaygroundError("Another model was chosen meanwhile."))
                    return
                self._requests += 1
                request = self._requests
                self._handlers[request] = lambda event: self._loading(ticket, event, answer)
                worker = WorkerProcess(
                    engine_of(path), lambda event: self._event(ticket, event), lambda end: self._exit(ticket, end), "engine"
                )
                self._worker = worker
            worker.start()
            worker.send(protocol.Load(request, str(path), context, sha256=self._known_hash(path), adapter=adapter))
        except Exception as error:  # the caller must hear of it, whatever it is, and only of this
            log.exception("could not start the engine worker")
            with self._lock:
                self._handlers.clear()
            said = error if isinstance(error, WorkerError) else WorkerError(f"The engine could not be started: {error}.")
            self._failed(ticket, said, answer)

    def _end_worker(self) -> None:
        with self._lock:
            worker, self._worker = self._worker, None
            waiting, self._handlers = self._handlers, {}
        if worker is not None:
            worker.stop()
        for request, handler in waiting.items():
            handler(protocol.Failed(request, "Cancelled", "The model was unloaded."))

    # -- on the worker's inbox thread

    def _event(self, ticket: int, event: protocol.Message) -> None:
        if isinstance(event, protocol.LogLine):
            log.log(event.level, "%s", event.text)
        elif isinstance(event, protocol.ModelHashed):
            self._learn_hash(ticket, event)
        elif isinstance(event, protocol.MemoryUsed):
            self._memory_used(event)
        elif (request := getattr(event, "request", None)) is not None:
            with self._lock:  # the worker's end answers whoever is still waiting, and nobody is answered twice
                handler = self._handlers.pop(request, None) if isinstance(event, CLOSING) else self._handlers.get(request)
            if handler is not None:
                handler(event)

    def _exit(self, ticket: int, end: Exit) -> None:
        with self._lock:
            if ticket != self._loads or self._worker is None:
                return  # it was told to go
            self._worker = None
            waiting, self._handlers = self._handlers, {}
            before = self._state
            if before.state == "ready":
                self._set(replace(before, state="lost", message=end.sentence, hint=end.hint or "Load the model again."))
        for request, handler in waiting.items():
            handler(protocol.Failed(request, "WorkerError", end.sentence, end.hint))

    def _loading(self, ticket: int, event: protocol.Message, answer: Future[protocol.ModelInfo]) -> None:
        if isinstance(event, protocol.Progress):
            with self._lock:
                if ticket == self._loads:
                    self._set(replace(self._state, fraction=event.fraction))
        elif isinstance(event, protocol.Loaded):
            with self._lock:
                current = ticket == self._loads
                if current:
                    self._set(ModelState("ready", event.model.path, event.model.name, 1.0, event.model))
            if event.model.sha256:
                self._hashed(event.model.path, event.model.sha256)
            if current:
                answer.set_result(event.model)
            else:
                answer.set_exception(PlaygroundError("Another model was chosen meanwhile."))
        elif isinstance(event, protocol.Failed):
            if event.kind == "Bug":
                log.error("loading failed: %s\n%s", event.message, event.details)
            self._failed(ticket, from_kind(event.kind, event.message, event.hint), answer)

    def _failed(self, ticket: int, error: PlaygroundError, answer: Future[protocol.ModelInfo]) -> None:
        with self._lock:
            if ticket == self._loads:
                self._set(replace(self._state, state="failed", info=None, message=error.message, hint=error.hint))
                if not self._closed:
                    self._control.submit(self._end_worker)
        answer.set_exception(error)

    def _learn_hash(self, ticket: int, event: protocol.ModelHashed) -> None:
        with self._lock:
            info = self._state.info
            if ticket == self._loads and info is not None and info.path == event.path:
                self._set(replace(self._state, info=replace(info, sha256=event.sha256)))
        self._hashed(event.path, event.sha256)

    def _set(self, state: ModelState) -> None:
        self._state = state
        self._changed(state)


def display_name(path: Path) -> str:
    """What a model is called before its header has been read; a snapshot in the Hugging Face cache by its repository."""
    if path.parent.name == "snapshots":
        return path.parent.parent.name.removeprefix("models--").rpartition("--")[2]
    return path.stem if path.suffix == ".gguf" else path.name
