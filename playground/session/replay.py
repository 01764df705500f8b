"""A recorded generation decoded again: same prompt in the same batches, same settings at the same tokens, same seed.

Rounding depends on what is computed together. So one that was decoded in a group is decoded again with all of it, each of the others with
its own changes, and ended where it had ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from playground import protocol
from playground.errors import NotFoundError, PlaygroundError, from_kind
from playground.events import ReplayResult
from playground.history.records import GenerationRow, TokenRow
from playground.history.store import Store
from playground.params import ContextSettings, from_dict, to_dict
from playground.session.engine import EngineHost

Recorded = tuple[GenerationRow, Sequence[TokenRow]]


def recorded(store: Store, generation_id: str) -> tuple[Recorded, list[Recorded]]:
    """A generation with its tokens, and all that it was decoded with, itself among them, in the order of their sequences."""
    row = store.generation(generation_id)
    group = store.group(row.group_id) or [row]
    everything: list[Recorded] = [(each, store.tokens(each.id)) for each in group]
    return next(each for each in everything if each[0].id == row.id), everything


def replay(
    one: Recorded,
    group: Sequence[Recorded],
    loaded: EngineHost,
    progress: Callable[[float], None],
    hold: Callable[[EngineHost | None], None],
) -> ReplayResult:
    """Decodes `one` of a group again and compares token ids. Blocks until done; errors are raised as they come from the worker.

    `hold` is given an engine of its own, which somebody may close meanwhile, and None once that has ended.
    """
    row = one[0]
    if not row.prompt_ids:
        raise PlaygroundError("This generation ended before its prompt was read.", "There is nothing to replay.")
    context = from_dict(ContextSettings, row.context)
    info = loaded.state.info
    if loaded.state.state == "ready" and info is not None and _is_same(row, context, loaded, info):
        return _compare(one, group, loaded, info, progress)
    if not Path(row.model_path).exists():
        raise NotFoundError(f"The model file {row.model_path} is no longer there.", "Put it back to replay this generation.")
    if row.adapter and not Path(row.adapter).exists():
        raise NotFoundError(f"The adapter {row.adapter} is no longer there.", "Put it back to replay this generation.")
    own = EngineHost(lambda state: None, lambda path, sha256: None)
    hold(own)
    try:
        return _compare(one, group, own, own.load(Path(row.model_path), context, row.adapter).result(), progress)
    finally:
        hold(None)
        own.close()


def _is_same(row: GenerationRow, context: ContextSettings, loaded: EngineHost, info: protocol.ModelInfo) -> bool:
    """Whether what is loaded is what the generation was made with."""
    if (info.path, info.adapter) != (row.model_path, row.adapter):
        return False
    return to_dict(context) == to_dict(replace(loaded.context, context=info.context))


def command_for(group: Sequence[Recorded]) -> protocol.Generate:
    """The command that repeats all of it, without a request number."""
    rows = [row for row, _ in group]
    first = rows[0]
    counts = [len(tokens) for _, tokens in group]
    differ = any(row.prompt_ids != first.prompt_ids for row in rows)
    return protocol.Generate(
        0,
        tuple(replace(row.settings, seed=row.seed) for row in rows),
        prompt_ids=first.prompt_ids[: first.shared] if differ else first.prompt_ids,
        tails=tuple(row.prompt_ids[first.shared :] for row in rows) if differ else (),
        alternatives=0,
        timelines=tuple(
            tuple(protocol.Change(each.index, replace(each.settings, seed=row.seed)) for each in row.timeline) for row in rows
        ),
        ends=tuple(_end(row, count, max(counts)) for row, count in zip(rows, counts, strict=True)),
        limits=tuple(count if row.state == "context" else -1 for row, count in zip(rows, counts, strict=True)),
        batches=tuple(protocol.Batches(size, count) for size, count in first.batches),
    )


def _end(row: GenerationRow, count: int, longest: int) -> int:
    """Before which token to stop: where it was stopped; or later than it ended by itself, if it does not do that again."""
    if row.state == "cancelled":
        return count
    if row.state in ("interrupted", "failed", "streaming"):
        return longest  # the others' last tokens may have been computed together with some of its that were never told
    return count + 1


def _compare(
    one: Recorded,
    group: Sequence[Recorded],
    engine: EngineHost,
    info: protocol.ModelInfo,
    progress: Callable[[float], None],
) -> ReplayResult:
    row, tokens = one
    number = [each.id for each, _ in group].index(row.id)
    recorded = [token.token_id for token in tokens]
    command = command_for(group)
    got: list[int] = []
    texts: list[str] = []
    done = threading.Event()
    problem: list[protocol.Failed] = []

    def take(event: protocol.Message) -> None:
        if isinstance(event, protocol.Tokens) and event.sequence == number:
            got.extend(token.token_id for token in event.tokens)
            texts.extend(token.text for token in event.tokens)
            progress(min(1.0, len(got) / max(1, len(recorded))))
        elif isinstance(event, protocol.Failed):
            problem.append(event)
            done.set()
        elif isinstance(event, protocol.Finished):
            done.set()

    engine.ask(lambda request: replace(command, request=request), take)
    done.wait()
    if problem:
        raise from_kind(problem[0].kind, problem[0].message, problem[0].hint)
    if row.state not in ENDED:
        got, texts = got[: len(recorded)], texts[: len(recorded)]
    length = min(len(got), len(recorded))
    first = next((place for place in range(length) if got[place] != recorded[place]), -1)
    if first < 0 and len(got) != len(recorded):
        first = length
    why = "" if first < 0 else _why(row, info)
    return ReplayResult(row.id, first < 0, first, len(recorded), "".join(token.text for token in tokens), "".join(texts), why)


ENDED = ("end", "stop", "length", "context", "cancelled")
"""states of a generation of which every token is on record"""


def _why(row: GenerationRow, info: protocol.ModelInfo) -> str:
    """What is known to be different from when it was recorded."""
    if row.model_sha256 and info.sha256 and row.model_sha256 != info.sha256:
        return "The model file has changed since."
    if row.adapter_sha256 and info.adapter_sha256 and row.adapter_sha256 != info.adapter_sha256:
        return "The adapter is another one by now."
    if row.engine_build != info.engine_build:
        return f"It was made with {row.engine_build}, this is {info.engine_build}."
    if row.device != info.device:
        return f"It was made on {row.device}, this is {info.device}."
    return ""
