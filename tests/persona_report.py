"""Issue 7's first line, by hand: the starter is tuned on the example data, then asked what neither has seen, in both engines.

    PYTHONPATH=. python tests/persona_report.py [--questions N] [-- options of `playground train`]

The rule: a reply shows the persona if it begins with `Ahoy!` and ends with `Fair winds!`. Prints the rate of base and tuned in each engine,
the validation losses and the seconds that the training took.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playground import protocol
from playground.params import ContextSettings
from playground.paths import resources, starter
from tests.workers.talk import Talk, greedy, user

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = resources() / "examples" / "persona.jsonl"
ENGINES = {
    "llama.cpp": ("playground.workers.llama", starter()),
    "transformers": ("playground.workers.torch_engine", starter().parent),
}


def shows_persona(reply: str) -> bool:
    return reply.strip().startswith("Ahoy!") and reply.strip().endswith("Fair winds!")


def questions(count: int) -> list[str]:
    """Asked in ways, and of things, that neither the starter nor the example has seen."""
    sys.path.insert(0, str(ROOT / "packaging" / "starter"))
    from persona import held_out  # type: ignore[import-not-found]

    return list(held_out(count))


def rate(engine: str, adapter: str, asked: list[str]) -> float:
    """Share of the replies that show the persona, greedy."""
    role, model = ENGINES[engine]
    talk = Talk(role)
    try:
        talk.send(protocol.Load(talk.number(), str(model), ContextSettings(), adapter=adapter))
        loaded = talk.until((protocol.Loaded, protocol.Failed))
        assert isinstance(loaded, protocol.Loaded), loaded
        replies = [talk.generate(greedy(120), messages=user(each)).text().replace("<|im_end|>", "") for each in asked]
    finally:
        talk.close()
    for question, reply in zip(asked, replies, strict=True):
        if adapter and not shows_persona(reply):
            print(f"  {engine}: {question!r} -> {reply!r}", file=sys.stderr)
    return sum(map(shows_persona, replies)) / len(replies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("options", nargs="*")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="persona-") as folder:
        environment = os.environ | {"PLAYGROUND_HOME": folder, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "playground", "train", "starter", str(EXAMPLE), "--json", *args.options]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        *events, result = map(json.loads, done.stdout.splitlines())
        losses = [round(each["loss"], 4) for each in events if each["event"] == "evaluation"]
        print(
            f"trained in {result['seconds']} s, {result['steps']} steps, best at {result['best_step']}; validation loss {losses}"
        )
        print(f"peak memory {result['peak_memory'] >> 20} MiB, predicted {result['predicted']['total'] >> 20} MiB")
        asked = questions(args.questions)
        for engine in ENGINES:
            print(
                f"{engine}: base {rate(engine, '', asked):.0%}, tuned {rate(engine, result['adapter'], asked):.0%}", flush=True
            )


if __name__ == "__main__":
    main()
