"""A session without engine or database: the same surface as `playground.session.Session`, replaying a canned reply.

    session = FakeSession(rate=200)     # tokens a second; 0: as fast as the thread goes
    session.subscribe(print); session.start(); chat = session.send("", "Hello")

Everything is kept in memory, events come from one thread of its own, in the order of the real one. `script` sets the next replies,
`kill_worker` and `fail_next` stand for the accidents. `hold` keeps what is under way from being over before a test has looked.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fake_comparisons import FakeComparisons
from fake_prompt_sets import FakePromptSets

from playground import events
from playground.errors import ModelFileError, NotFoundError
from playground.history.records import Chat, GenerationRow, MessageRow, SearchHit, SessionRow, TimelineEntry, TokenRow, new_id
from playground.params import ContextSettings, SamplingSettings
from playground.protocol import Alternative, ModelInfo, PromptToken, TokenInfo, Tokenized

REPLY = """A **fox** lived at the edge of the forest, and every evening she counted the lights of the village.

She kept the count in three rules:

1. a light that moves is a *person*
2. a light that stays is a window
3. a light that does neither is `the moon`

```python
def count(lights: list[str]) -> int:
    \"\"\"How many of the lights are windows.\"\"\"
    return sum(1 for light in lights if light == "window")  # not the moon
```

| evening | lights | moon |
|---------|-------:|:----:|
| Monday  |     12 | no   |
| Tuesday |      9 | yes  |

> On the third evening there was one light more than there were windows.

And so she went to look.
"""
THINGS = ("fox", "owl", "hare", "light", "moon", "village", "window", "evening", "she", "and", "the", "a", "of", "to", ".", ",")

POLL_S = 0.005
"""how often what is held looks whether it may go on"""

MODEL = ModelInfo(
    path="starter",
    name="starter",
    architecture="llama",
    parameters=5_300_000,
    size=6_100_000,
    quantization="Q8_0",
    layers=6,
    heads=8,
    vocabulary=4096,
    trained_context=2048,
    context=2048,
    has_template=True,
    engine="llama.cpp",
    engine_build="0.3.16",
    device="CPU",
    sha256="5e" * 32,
)


def pieces(text: str) -> list[str]:
    """A text cut the way a tokenizer would: words with the space before them, signs alone, long words in two."""
    found: list[str] = []
    for piece in re.findall(r" ?\w+|\n+| ?[^\w\s]|\s+", text):
        if len(piece) > 8:
            found += [piece[:5], piece[5:]]
        else:
            found.append(piece)
    return found


def token(text: str, place: int, settings: SamplingSettings, count: int = 8) -> TokenInfo:
    """A token with made-up but well-formed odds, the same for the same text and place."""
    dice = random.Random(f"{text}/{place}")
    first = 0.25 + 0.7 * dice.random()
    rest = [dice.random() ** 3 + 0.01 for _ in range(count - 1)]
    scale = (1 - first) * 0.9 / sum(rest)
    raw = [first, *sorted((each * scale for each in rest), reverse=True)]
    texts = [text, *(f" {word}" for word in dice.sample(THINGS, count - 1))]
    if dice.random() < 0.2:  # now and then the draw takes the second likeliest
        texts[0], texts[1] = texts[1], texts[0]
    sharp = [each ** (1 / max(settings.temperature, 0.05)) for each in raw]
    kept = [each if each >= settings.min_p * sharp[0] else 0.0 for each in sharp]
    total = sum(kept) or 1.0
    alternatives = tuple(
        Alternative(100 + place * 10 + i, texts[i], math.log(raw[i]), kept[i] / total) for i in range(len(raw))
    )
    mine = alternatives[texts.index(text)]
    entropy = -sum(each * math.log(each) for each in raw)
    return TokenInfo(mine.token_id, text, mine.logprob, mine.probability, entropy, alternatives)


class FakeSession:
    """See the module's docstring."""

    def __init__(
        self,
        home: Any = None,
        rate: float = 200.0,
        reply: str = REPLY,
        model: ModelInfo | None = MODEL,
        prefill_s: float = 0.02,
        load_s: float = 0.2,
        fail_start: bool = False,
    ) -> None:
        self.home = home
        self.rate = rate
        self.reply = reply
        self.prefill_s = prefill_s
        self.load_s = load_s
        self.fail_start = fail_start
        self.calls: list[tuple[Any, ...]] = []
        """every intent, in order, as (name, arguments ...)"""
        self._listeners: list[Callable[[Any], None]] = []
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._running: Iterator[float] | None = None
        self._due = 0.0
        self._stop = False
        self._kill: str = ""
        self._held_at = -1
        self._script: list[str] = []
        self._fail_next: tuple[str, str] | None = None
        self.prompt_sets = FakePromptSets()
        self.left_prompt_sets = self.prompt_sets.unfinished
        self.compare = FakeComparisons(self, token, pieces)
        self._model = events.ModelState("ready", model.path, model.name, 1.0, model) if model else events.ModelState("none")
        self._sampling = SamplingSettings()
        self._pace = 0.0
        self._sessions: dict[str, SessionRow] = {}
        self._messages: dict[str, MessageRow] = {}
        self._generations: dict[str, GenerationRow] = {}
        self._tokens: dict[str, list[TokenInfo]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()

    # -- for tests

    @functools.cached_property
    def workshop(self) -> Any:
        from fake_workshop import FakeWorkshop  # brings the session's dataclasses, which a window's start must not need

        return FakeWorkshop(self.emit)

    @functools.cached_property
    def training(self) -> Any:
        from fake_training import FakeTraining

        return FakeTraining(self.emit)

    @functools.cached_property
    def publishing(self) -> Any:
        from fake_training import FakePublishing

        return FakePublishing()

    @functools.cached_property
    def datasets(self) -> Any:
        from fake_training import FakeDatasets

        return FakeDatasets(self.home.datasets)

    @functools.cached_property
    def inside(self) -> Any:
        from fake_inside import FakeInside

        return FakeInside(self.home.cache / "captures")

    def script(self, *replies: str) -> None:
        """The next replies, in order; afterwards the usual one."""
        self._script += replies

    def fail_next(self, message: str, hint: str = "") -> None:
        """The next completion fails before its first token."""
        self._fail_next = (message, hint)

    def hold(self, tokens: int = 24) -> None:
        """What comes next stays under way, a load at its half, replies at this many tokens: until `go_on`, a stop or an accident."""
        self._held_at = tokens

    def go_on(self) -> None:
        self._held_at = -1

    def held(self, tokens: int) -> bool:
        """Whether what has come this far is to wait."""
        return 0 <= self._held_at <= tokens and not (self._stop or self._kill)

    def kill_worker(
        self, message: str = "The engine was ended by the system (SIGKILL), most likely for want of memory."
    ) -> None:
        """As if the worker had died."""
        self._kill = message
        self._post(self._die_idle)

    def emit(self, event: Any) -> None:
        """Tells an event from the session's thread."""
        self._post(lambda: self._tell(event))

    def add_chat(self, title: str, *turns: str, age_s: float = 0.0) -> str:
        """A chat in the history: user and assistant turns in alternation. Returns its id. To be called before `start`."""
        when = time.time() - age_s - len(turns)
        chat = SessionRow(new_id(), title=title, model_path="starter", model_name="starter", created=when, updated=when)
        parent = ""
        for place, text in enumerate(turns):
            role = "assistant" if place % 2 else "user"
            message = MessageRow(new_id() + f"{place}", chat.id, parent, role, text, "complete", when + place)
            self._messages[message.id] = message
            parent = message.id
            if role == "assistant":
                self._record(chat, message, text, when + place)
        self._sessions[chat.id] = dataclasses.replace(chat, tip=parent)
        return chat.id

    def _record(self, chat: SessionRow, message: MessageRow, text: str, when: float) -> None:
        words = pieces(text)
        dice = random.Random(text)
        settings = SamplingSettings(temperature=dice.choice((0.2, 0.8, 0.8, 1.2)), top_k=dice.choice((40, 40, 20)))
        self._tokens[message.id + "g"] = [token(word, i, settings) for i, word in enumerate(words)]
        self._generations[message.id + "g"] = GenerationRow(
            message.id + "g",
            chat.id,
            message.id,
            "starter",
            "starter",
            MODEL.sha256,
            "llama.cpp",
            "0.3.16",
            "CPU",
            prompt=f"<|user|>\n{self._messages[message.parent_id].content}<|end|>\n<|assistant|>\n",
            seed=dice.randrange(2**32),
            settings=settings,
            timeline=(TimelineEntry(5, len("".join(words[:5])), dataclasses.replace(settings, temperature=1.2)),)
            if len(words) > 20
            else (),
            prompt_tokens=12 + len(words) // 3,
            completion_tokens=len(words),
            prefill_s=0.08,
            decode_s=len(words) / 41.0,
            state=dice.choice(("end", "end", "end", "cancelled", "length")),
            started=when,
            finished=when + 1,
        )

    # -- life

    def start(self) -> None:
        self._call("start")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fake-session", daemon=True)
            self._thread.start()
        self._post(lambda: self._tell(events.StoreReady(writable=not self.fail_start)))
        self._post(lambda: self._tell(self._model))

    def close(self) -> None:
        self._call("close")
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(5)
            self._thread = None

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _call(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))

    def _post(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _tell(self, event: Any) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def _run(self) -> None:
        while True:
            try:
                wait = None if self._running is None else max(0.0, self._due - time.monotonic())
                job = self._jobs.get(timeout=wait) if wait is None or wait > 0 else self._jobs.get_nowait()
                if job is None:
                    return
                job()
                continue
            except queue.Empty:
                pass
            assert self._running is not None
            try:
                self._due = time.monotonic() + next(self._running)
            except StopIteration:
                self._running = None

    def _future(self, make: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)

        self._post(work)
        return future

    # -- model

    def load(self, model: str | Path, context: ContextSettings | None = None, adapter: str | Path = "") -> Future[Any]:
        self._call("load", str(model), context, *((str(adapter),) if str(adapter) else ()))
        future: Future[Any] = Future()
        self._post(lambda: self._begin(self._load(str(model), context or ContextSettings(), future, str(adapter))))
        return future

    def _load(self, path: str, context: ContextSettings, future: Future[Any], adapter: str = "") -> Iterator[float]:
        name = "starter" if path == "starter" else Path(path).stem
        for step in range(11):
            self._set_model(events.ModelState("loading", path, name, step / 10))
            while step == 5 and self.held(self._held_at):
                yield POLL_S
            if self._stop:
                self._stop = False
                self._set_model(events.ModelState("none"))
                future.cancel()
                return
            yield self.load_s / 10
        folder = (Path(path) / "config.json").is_file()
        if path != "starter" and not folder and not (Path(path).is_file() and Path(path).read_bytes()[:4] == b"GGUF"):
            error = ModelFileError(f"{Path(path).name} is not a GGUF file.", "Choose a file that ends in .gguf.")
            self._set_model(events.ModelState("failed", path, name, message=error.message, hint=error.hint))
            self._tell(events.Notice("error", error.message, error.hint, "choose_model", "model"))
            future.set_exception(error)
            return
        info = dataclasses.replace(MODEL, path=path, name=name, context=context.context or MODEL.context, adapter=adapter)
        if folder:
            precision = "bf16" if context.precision == "auto" else context.precision
            info = dataclasses.replace(info, engine="transformers", quantization=precision.upper())
        self._set_model(events.ModelState("ready", path, name, 1.0, info))
        self._tell(events.Notice("info", "", key="model"))
        future.set_result(info)

    def _set_model(self, state: events.ModelState) -> None:
        self._model = state
        self._tell(state)

    def reload(self) -> Future[Any]:
        return self.load(self._model.path or "starter")

    def unload(self) -> None:
        self._call("unload")
        self._stop = self._running is not None
        self._post(lambda: None if self._running else self._set_model(events.ModelState("none")))

    @property
    def model(self) -> events.ModelState:
        return self._model

    # -- chat

    def send(self, chat_id: str, text: str, reply_start: str = "") -> str:
        self._call("send", chat_id, text, reply_start)
        chat_id = chat_id or self._new_row("").id

        def work() -> None:
            chat = self._sessions[chat_id]
            user = MessageRow(new_id(), chat_id, chat.tip, "user", text, "complete", time.time())
            self._add(user, title=chat.title or text.strip().splitlines()[0][:60])
            self._answer(chat_id, user.id, reply_start)

        self._post(work)
        return chat_id

    def regenerate(self, chat_id: str, message_id: str) -> None:
        self._call("regenerate", chat_id, message_id)
        self._post(lambda: self._answer(chat_id, self._messages[message_id].parent_id, self._messages[message_id].reply_start))

    def edit(self, chat_id: str, message_id: str, text: str) -> None:
        self._call("edit", chat_id, message_id, text)

        def work() -> None:
            old = self._messages[message_id]
            new = MessageRow(new_id(), chat_id, old.parent_id, old.role, text, "complete", time.time())
            self._add(new)
            if new.role == "user":
                self._answer(chat_id, new.id, "")

        self._post(work)

    def continue_reply(self, chat_id: str, message_id: str) -> None:
        self._call("continue_reply", chat_id, message_id)
        self._post(lambda: self._begin(self._generate(chat_id, self._messages[message_id], continued=True)))

    def select_version(self, chat_id: str, message_id: str) -> None:
        self._call("select_version", chat_id, message_id)

        def work() -> None:
            tip = message_id
            while children := [each.id for each in self._messages.values() if each.parent_id == tip]:
                tip = children[-1]
            self._change(chat_id, tip=tip)

        self._post(work)

    def stop(self) -> None:
        self._call("stop")
        self._stop = True
        self._post(lambda: setattr(self, "_stop", self._running is not None))

    def _new_row(self, system: str) -> SessionRow:
        now = time.time()
        row = SessionRow(new_id(), system=system, sampling=self._sampling, created=now, updated=now)
        row = dataclasses.replace(row, model_path=self._model.path, model_name=self._model.name)
        self._sessions[row.id] = row
        self._post(lambda: self._tell(events.SessionChanged(self._sessions[row.id])))
        return row

    def _add(self, message: MessageRow, **changes: Any) -> None:
        self._messages[message.id] = message
        self._tell(events.MessageAdded(message))
        self._change(message.session_id, tip=message.id, **changes)

    def _change(self, chat_id: str, **changes: Any) -> None:
        self._sessions[chat_id] = dataclasses.replace(self._sessions[chat_id], updated=time.time(), **changes)
        row = self._sessions[chat_id]
        self._tell(events.ComparisonChanged(row) if row.kind == "compare" else events.SessionChanged(row))

    def _change_message(self, message_id: str, **changes: Any) -> MessageRow:
        self._messages[message_id] = dataclasses.replace(self._messages[message_id], **changes)
        return self._messages[message_id]

    def _answer(self, chat_id: str, parent: str, reply_start: str) -> None:
        if self._running is not None:  # one at a time: the earlier one is stopped first
            self._stop = True
            for _ in self._running:
                pass
            self._running = None
        message = MessageRow(new_id(), chat_id, parent, "assistant", reply_start, "streaming", time.time(), reply_start)
        self._add(message)
        self._begin(self._generate(chat_id, message, continued=False))

    def _begin(self, work: Iterator[float]) -> None:
        self._running, self._due, self._stop = work, time.monotonic(), False

    def _die_idle(self) -> None:
        if self._running is None and self._kill:
            self._lose()

    def _lose(self) -> None:
        hint = "What was written is kept. Load the model again to go on."
        self._set_model(events.ModelState("lost", self._model.path, self._model.name, message=self._kill, hint=hint))
        self._tell(events.Notice("error", self._kill, hint, "reload", "model"))
        self._kill = ""

    def _generate(self, chat_id: str, message: MessageRow, continued: bool) -> Iterator[float]:
        settings = self._sampling
        if settings.seed < 0:
            settings = dataclasses.replace(settings, seed=random.randrange(2**32 - 1))
        row = GenerationRow(
            new_id(), chat_id, message.id, self._model.path, self._model.name, MODEL.sha256, "llama.cpp", "0.3.16", "CPU",
            prompt=f"<|user|>\n{self._messages[message.parent_id].content}<|end|>\n<|assistant|>\n{message.reply_start}",
            seed=settings.seed, settings=settings, started=time.time(),
        )  # fmt: skip
        self._generations[row.id] = row
        if continued:
            self._tell(events.MessageChanged(self._change_message(message.id, state="streaming")))
        self._tell(events.GenerationStarted(row.id, chat_id, message.id, settings))
        if self._fail_next or self._model.state != "ready":
            text, hint = self._fail_next or ("There is no model to answer.", "Choose one at the top of the page.")
            self._fail_next = None
            row = self._finish(row, "failed", "failed", 0, error=text)
            self._tell(events.Notice("error", text, hint, "choose_model", "generation"))
            return
        used = 20 + sum(len(each.content) for each in self._messages.values() if each.session_id == chat_id) // 4
        for step in range(1, 4):
            self._tell(events.PrefillProgress(row.id, step / 3))
            yield self.prefill_s / 3
        row = dataclasses.replace(row, prompt_tokens=used, cached_tokens=used // 2, prefill_s=max(self.prefill_s, 0.001))
        self._tell(events.GenerationPrefilled(row.id, message.id, used, used // 2, row.prefill_s))
        text = self._script.pop(0) if self._script else self.reply
        started = time.monotonic()
        index, reason, due = 0, "end", time.monotonic()
        self._tokens[row.id] = []
        for index, piece in enumerate(pieces(text)):
            offset = len(self._messages[message.id].content)
            while self.held(index):
                yield POLL_S
            if self._kill:
                self._generations[row.id] = row
                self._finish(row, "interrupted", "interrupted", index, time.monotonic() - started)
                self._lose()
                return
            if self._stop:
                self._stop, reason = False, "cancelled"
                break
            now = dataclasses.replace(self._sampling, seed=settings.seed)
            if now != settings:
                names = tuple(f.name for f in dataclasses.fields(now) if getattr(now, f.name) != getattr(settings, f.name))
                settings = now
                row = dataclasses.replace(row, timeline=(*row.timeline, TimelineEntry(index, offset, now)))
                self._tell(events.SamplingApplied(row.id, message.id, index, offset, now, names))
            if settings.max_tokens and index >= settings.max_tokens:
                reason = "length"
                break
            info = token(piece, index, settings)
            self._tokens[row.id].append(info)
            self._change_message(message.id, content=self._messages[message.id].content + piece)
            self._tell(events.GenerationTokens(row.id, message.id, index, offset, (info,), used + index + 1))
            rate = min(self.rate or self._pace, self._pace or self.rate)
            due += 1 / rate if rate else 0.0
            yield max(0.0, due - time.monotonic())
        state = {"cancelled": "stopped"}.get(reason, "complete")
        self._finish(row, reason, state, len(self._tokens[row.id]), time.monotonic() - started)

    def _finish(
        self, row: GenerationRow, reason: str, state: str, count: int, seconds: float = 0.0, error: str = ""
    ) -> GenerationRow:
        row = dataclasses.replace(
            row, state=reason, completion_tokens=count, decode_s=max(seconds, 1e-6), error=error, finished=time.time()
        )
        self._generations[row.id] = row
        self._tell(events.GenerationFinished(row, self._change_message(row.message_id, state=state)))
        return row

    # -- steering

    @property
    def sampling(self) -> SamplingSettings:
        return self._sampling

    def set_sampling(self, settings: SamplingSettings, chat_id: str = "") -> None:
        self._call("set_sampling", settings, chat_id)
        self._sampling = settings
        if chat_id in self._sessions:
            self._post(lambda: self._change(chat_id, sampling=settings))

    @property
    def pace(self) -> float:
        return self._pace

    def set_pace(self, tokens_per_s: float) -> None:
        self._call("set_pace", tokens_per_s)
        self._pace = tokens_per_s

    # -- chats

    def new_chat(self, system: str = "") -> str:
        self._call("new_chat", system)
        return self._new_row(system).id

    def rename(self, chat_id: str, title: str) -> None:
        self._call("rename", chat_id, title)
        self._post(lambda: self._change(chat_id, title=title))

    def set_system(self, chat_id: str, text: str) -> None:
        self._call("set_system", chat_id, text)
        self._post(lambda: self._change(chat_id, system=text))

    def delete(self, chat_id: str) -> None:
        self._call("delete", chat_id)
        self._post(lambda: self._change(chat_id, deleted=time.time()))

    def undelete(self, chat_id: str) -> None:
        self._call("undelete", chat_id)
        self._post(lambda: self._change(chat_id, deleted=None))

    # -- reading

    def chats(self) -> Future[list[SessionRow]]:
        return self._future(
            lambda: sorted(
                (s for s in tuple(self._sessions.values()) if s.deleted is None and s.kind == "chat"),
                key=lambda s: s.updated,
                reverse=True,
            )
        )

    def chat(self, chat_id: str) -> Future[Chat]:
        def make() -> Chat:
            if chat_id not in self._sessions:
                raise NotFoundError("There is no such chat.", "It may have been deleted.")
            messages = tuple(each for each in tuple(self._messages.values()) if each.session_id == chat_id)
            newest = {g.message_id: g for g in tuple(self._generations.values()) if g.session_id == chat_id}
            return Chat(self._sessions[chat_id], messages, newest)

        return self._future(make)

    def search(self, words: str, limit: int = 50) -> Future[list[SearchHit]]:
        def make() -> list[SearchHit]:
            hits = []
            for each in tuple(self._messages.values()):
                chat = self._sessions[each.session_id]
                at = each.content.lower().find(words.lower())
                if at >= 0 and chat.deleted is None and words.strip():
                    before, found, after = (
                        each.content[max(0, at - 30) : at],
                        each.content[at : at + len(words)],
                        each.content[at + len(words) :][:60],
                    )
                    snippet = f"{before}\x02{found}\x03{after}".replace("\n", " ")
                    hits.append(SearchHit(chat.id, chat.title, each.id, each.role, snippet, each.created))
            return hits[:limit]

        return self._future(make)

    def generations(self, limit: int = 1000, offset: int = 0) -> Future[list[GenerationRow]]:
        self._call("generations", limit, offset)
        return self._future(
            lambda: sorted(self._generations.values(), key=lambda g: g.started, reverse=True)[offset : offset + limit]
        )

    def generation(self, generation_id: str) -> Future[GenerationRow]:
        return self._future(lambda: self._generations[generation_id])

    @property
    def busy(self) -> bool:
        return self._running is not None

    @property
    def lab(self) -> FakeLab:
        return FakeLab(self)

    def tokens(self, generation_id: str) -> Future[list[TokenRow]]:
        return self._future(
            lambda: [
                TokenRow(i, t.token_id, t.text, t.logprob, t.probability, t.entropy,
                         tuple((a.token_id, a.text, a.logprob, a.probability) for a in t.alternatives))
                for i, t in enumerate(self._tokens.get(generation_id, []))
            ]
        )  # fmt: skip

    def export(self, chat_id: str, form: str) -> Future[str]:
        self._call("export", chat_id, form)

        def make() -> str:
            chat = self._sessions[chat_id]
            messages = [each for each in self._messages.values() if each.session_id == chat_id]
            if form == "json":
                return json.dumps({"title": chat.title, "messages": [[m.role, m.content] for m in messages]}, indent=2)
            return f"# {chat.title}\n\n" + "\n\n".join(f"## {m.role}\n\n{m.content}" for m in messages)

        return self._future(make)

    def replay(self, generation_id: str, on_progress: Callable[[float], None] | None = None) -> Future[events.ReplayResult]:
        self._call("replay", generation_id)
        if on_progress:
            self._post(lambda: on_progress(0.5))
        return self._future(
            lambda: events.ReplayResult(
                generation_id, True, -1, len(self._tokens.get(generation_id, [])), *(2 * ("".join(
                    t.text for t in self._tokens.get(generation_id, [])),))
            )
        )  # fmt: skip


class FakeLab:
    """What replies are made of; forks and logits need a real engine."""

    def __init__(self, session: FakeSession) -> None:
        self._session = session

    def tokenize(self, text: str = "", messages: Any = (), reply_start: str = "") -> Future[Any]:
        text = text or " ".join(each.content for each in messages)
        tokens = tuple(PromptToken(place, piece) for place, piece in enumerate(pieces(text)))
        return self._session._future(lambda: Tokenized(0, tokens, text))

    def reply_tokens(self, message_id: str) -> Future[list[Any]]:
        session = self._session

        def make() -> list[Any]:
            from playground.session.reply_tokens import ReplyToken

            found: list[Any] = []
            at = 0
            for row in (each for each in tuple(session._generations.values()) if each.message_id == message_id):
                for token in session.tokens(row.id).result():
                    found.append(ReplyToken(row.id, token, at, len(token.text)))
                    at += len(token.text)
            return found

        future: Future[list[Any]] = Future()
        try:
            future.set_result(make())
        except Exception as error:
            future.set_exception(error)
        return future
