"""Tokens a second of one completion: through session, worker, database and events, against the bare loop on the same file.

Two models: the starter, so small that a token takes less than a millisecond and every microsecond of ours shows, and one of random
weights in the shape of a real 0.5B model, where it is what a user meets.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
from pathlib import Path

from bare import Bare, threads
from pairs import in_turn, ratio

from playground import events
from playground.params import ContextSettings, SamplingSettings
from playground.paths import Home, starter
from playground.session import Session
from tests.models_made import half_billion

PROMPT = "Tell me a long story about a fox named Pepper and an owl."


def measure(rounds: int) -> dict[str, object]:
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "half_billion.gguf"
        half_billion(made)
        for name, path, count, cores in (("0.5B", made, 64, threads()), ("starter", starter(), 400, 1)):
            found = _one(path, count, cores, rounds, Path(folder) / name)
            results |= {f"{name} {key}": value for key, value in found.items()}
    return results


def _one(path: Path, count: int, cores: int, rounds: int, folder: Path) -> dict[str, object]:
    session = Session(Home(folder))
    told: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
    session.subscribe(told.put)
    session.start()
    context = ContextSettings(context=1024, threads=cores)
    session.load(path, context).result()
    sampling = SamplingSettings(max_tokens=count + 1, seed=1)

    def ours() -> float:
        """Tokens a second between the first and the last token, by the engine's own clock, as the user is shown."""
        session.set_sampling(sampling)
        session.send("", PROMPT)
        while not isinstance(event := told.get(), events.GenerationFinished):
            pass
        row = event.generation
        if row.state not in ("length", "end"):
            raise RuntimeError(f"the completion ended as {row.state}: {row.error}")
        lengths.append(row.completion_tokens)
        return (row.completion_tokens - 1) / row.decode_s

    lengths: list[int] = []
    ours()  # the prompt's tokens are the same ones for the bare loop
    generation = session.generation(session.generations(1).result()[0].id).result()
    bare = Bare(str(path), context.context, cores)
    theirs = lambda: bare.decode_rate(list(generation.prompt_ids), max(lengths[-1] - 1, 1))  # noqa: E731
    mine, other = in_turn(rounds, ours, theirs)
    session.close()
    return {
        "tokens": lengths[-1],
        "ours_tokens_per_s": statistics.median(mine),
        "bare_tokens_per_s": statistics.median(other),
        **ratio(mine, other),
    }
