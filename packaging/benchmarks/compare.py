"""Four settings of one prompt: all columns together through session, worker, database and events, against (a) the same four one after
another through the same session, and (b) a batched loop on bare llama-cpp-python with a sampler chain a sequence and nothing else.

The model has random weights in the shape of a real 0.5B model with a vocabulary of 151,936.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from bare import Bare, threads
from pairs import in_turn, ratio

from playground import events
from playground.history.records import Column
from playground.params import ContextSettings, SamplingSettings
from playground.paths import Home
from playground.session import Session
from tests.models_made import half_billion

PROMPT = "Tell me a long story about a fox named Pepper and an owl."
COLUMNS = 4
TOKENS = 128


def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "half_billion.gguf"
        half_billion(made, "Q8_0")
        return _measure(made, rounds, Path(folder) / "home")


def _measure(path: Path, rounds: int, folder: Path) -> dict[str, object]:
    session = Session(Home(folder))
    told: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
    session.subscribe(told.put)
    session.start()
    context = ContextSettings(context=2048, threads=threads())
    session.load(path, context).result()
    settings = [
        SamplingSettings(temperature=(0.4, 0.8, 1.0, 1.2)[place], seed=place, max_tokens=TOKENS) for place in range(COLUMNS)
    ]
    comparison = session.compare.new(PROMPT, columns=[Column(str(place), each) for place, each in enumerate(settings)])

    def together() -> float:
        """Tokens a second of all columns, from the first token to the last, by the engine's own clock, as the user is shown."""
        session.compare.run(comparison)
        while not isinstance(event := told.get(), events.ComparisonFinished):
            pass
        if event.tokens != COLUMNS * TOKENS:
            raise RuntimeError(f"a column ended early: {event.tokens} tokens")
        return (event.tokens - COLUMNS) / event.decode_s

    def in_turn_alone() -> float:
        spent = 0.0
        for each in settings:
            session.set_sampling(replace(each))
            session.send("", PROMPT)
            while not isinstance(event := told.get(), events.GenerationFinished):
                pass
            spent += event.generation.decode_s
        return COLUMNS * (TOKENS - 1) / spent

    together()
    prompt = list(session.generation(session.generations(1).result()[0].id).result().prompt_ids)
    bare = Bare(str(path), context.context, context.threads)
    batched = lambda: bare.batched_rate(prompt, TOKENS - 1, COLUMNS)  # noqa: E731
    ours, theirs = in_turn(rounds, together, batched)
    again, alone = in_turn(max(1, rounds // 3), together, in_turn_alone)
    single = [bare.decode_rate(prompt, TOKENS - 1) for _ in range(max(1, rounds // 3))]
    session.close()
    limit = statistics.median(theirs) / statistics.median(single)
    return {
        "columns": COLUMNS,
        "tokens_each": TOKENS,
        "together_tokens_per_s": statistics.median(ours),
        "bare_batched_tokens_per_s": statistics.median(theirs),
        **ratio(ours, theirs),
        "in_turn_tokens_per_s": statistics.median(alone),
        "times_faster_than_in_turn": ratio(again, alone)["ratio"],
        "engine_limit_of_that (bare batched / bare single)": limit,
    }
