"""A recorded generation decoded again: same prompt in the same batches, same settings at the same tokens, same seed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from playground import protocol
from playground.errors import NotFoundError, PlaygroundError, from_kind
from playground.events import ReplayResult
from playground.history.records import GenerationRow, TokenRow
from playground.params import ContextSettings, from_dict, to_dict
from playground.session.engine import EngineHost


def replay(
    row: GenerationRow, tokens: Sequence[TokenRow], loaded: EngineHost, progress: Callable[[float], None]
) -> ReplayResult:
    """Decodes `row` again and compares token ids. Blocks until done; errors are raised as they come from the worker."""
    if not row.prompt_ids:
        raise PlaygroundError("This generation ended before its prompt was read.", "There is nothing to replay.")
    context = from_dict(ContextSettings, row.context)
    info = loaded.state.info
    if loaded.state.state == "ready" and info is not None and _is_same(row, context, loaded, info):
        return _compare(row, tokens, loaded, info, progress)
    if not Path(row.model_path).exists():
        raise NotFoundError(f"The model file {row.model_path} is no longer there.", "Put it back to replay this generation.")
    if row.adapter and not Path(row.adapter).exists():
        raise NotFoundError(f"The adapter {row.adapter} is no longer there.", "Put it back to replay this generation.")
    own = EngineHost(lambda state: None, lambda path, sha256: None)
    try:
        return _compare(row, tokens, own, own.load(Path(row.model_path), context, row.adapter).result(), progress)
    finally:
        own.close()


def _is_same(row: GenerationRow, context: ContextSettings, loaded: EngineHost, info: protocol.ModelInfo) -> bool:
    """Whether what is loaded is what the generation was made with."""
    if (info.path, info.adapter) != (row.model_path, row.adapter):
        return False
    return to_dict(context) == to_dict(replace(loaded.context, context=info.context))


def _compare(
    row: GenerationRow,
    tokens: Sequence[TokenRow],
    engine: EngineHost,
    info: protocol.ModelInfo,
    progress: Callable[[float], None],
) -> ReplayResult:
    recorded = [token.token_id for token in tokens]
    # One token more than was recorded where the model ended by itself: the replay has to end there too.
    limit = len(recorded) + (1 if row.state in ("end", "stop") else 0)
    sampling = replace(row.settings, seed=row.seed, max_tokens=max(limit, 1))
    command = protocol.Generate(
        0,
        (sampling,),
        prompt_ids=row.prompt_ids,
        alternatives=0,
        timeline=tuple(
            protocol.Change(each.index, replace(each.settings, seed=row.seed, max_tokens=max(limit, 1)))
            for each in row.timeline
        ),
        batches=tuple(protocol.Batches(size, count) for size, count in row.batches),
    )
    got: list[int] = []
    texts: list[str] = []
    done = threading.Event()
    problem: list[protocol.Failed] = []

    def take(event: protocol.Message) -> None:
        if isinstance(event, protocol.Tokens):
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
    if not recorded:  # nothing was drawn: one token had to be asked for, and says nothing
        got, texts = [], []
    length = min(len(got), len(recorded))
    first = next((place for place in range(length) if got[place] != recorded[place]), -1)
    if first < 0 and len(got) != len(recorded):
        first = length
    why = "" if first < 0 else _why(row, info)
    return ReplayResult(row.id, first < 0, first, len(recorded), "".join(token.text for token in tokens), "".join(texts), why)


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
