"""How often a token decoded beside others differs from the same token decoded alone, and by how much its logits do. Run by hand:

    PYTHONPATH=. python tests/exactness_report.py [--half-billion KIND] [--tokens N] [--prompts N]

The same prompt, settings and seeds, each column once alone and once in a batch of 2, 4 and 8. Sampling is the same arithmetic on both sides
(one generator a sequence, one number from it a token), so every difference comes from the logits: a matrix product's sums are taken in
another order for several rows than for one, and in a shared cache a sequence's keys lie elsewhere.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playground.params import SamplingSettings
from playground.paths import starter
from tests.models_made import half_billion
from tests.workers.talk import Talk, user

PROMPTS = (
    "Tell me a story about a fox.",
    "Repeat: red green blue",
    "What is the name of the owl?",
    "Write a poem about the sea.",
    "Count from one to ten.",
    "Who lives in the forest, and why?",
)


def columns(count: int, seed: int, tokens: int) -> list[SamplingSettings]:
    """Greedy first, then hotter and hotter, with and without cuts."""
    every = [
        SamplingSettings(temperature=0.0, seed=seed, max_tokens=tokens),
        SamplingSettings(temperature=0.8, seed=seed, max_tokens=tokens),
        SamplingSettings(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed, max_tokens=tokens),
        SamplingSettings(temperature=1.5, top_k=0, top_p=0.9, min_p=0.0, seed=seed, max_tokens=tokens),
    ]
    return [SamplingSettings(**{**vars(every[place % 4]), "seed": seed + place // 4}) for place in range(count)]


def measure(path: Path, tokens: int, prompts: int, seeds: int) -> None:
    talk = Talk()
    talk.load(path, context=4096)
    try:
        for count in (2, 4, 8):
            differing: dict[str, list[int]] = {"greedy": [], "sampled": []}
            total = {"greedy": 0, "sampled": 0}
            compared, largest = 0, 0.0
            for number in range(prompts):
                for seed in range(seeds):
                    settings = columns(count, 100 * seed + 1, tokens)
                    ask = user(PROMPTS[number % len(PROMPTS)])
                    text = PROMPTS[number % len(PROMPTS)]
                    prompt = {"messages": ask} if path == starter() else {"text": text}
                    together = talk.generate(*settings, **prompt)  # type: ignore[arg-type]
                    for sequence, each in enumerate(settings):
                        alone = talk.generate(each, **prompt)  # type: ignore[arg-type]
                        kind = "greedy" if each.greedy else "sampled"
                        left, right = together.tokens.get(sequence, []), alone.tokens.get(0, [])
                        same = 0
                        while same < min(len(left), len(right)) and left[same].token_id == right[same].token_id:
                            largest = max(largest, abs(left[same].logprob - right[same].logprob))
                            same += 1
                        compared += same
                        total[kind] += 1
                        if same < max(len(left), len(right)):
                            differing[kind].append(same)
            print(
                f"{path.stem} batch of {count}: greedy columns that differ {len(differing['greedy'])} of {total['greedy']}"
                f" (at tokens {differing['greedy']}), sampled {len(differing['sampled'])} of {total['sampled']}"
                f" (at tokens {differing['sampled']}); {compared} equal tokens, largest difference of a logprob {largest:.2g}",
                flush=True,
            )
    finally:
        talk.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--half-billion", metavar="KIND", help="a random model of a real 0.5B shape of this type instead of the starter"
    )
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--prompts", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if not args.half_billion:
        measure(starter(), args.tokens, args.prompts, args.seeds)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"half-billion-{args.half_billion}.gguf"
        half_billion(path, args.half_billion)
        measure(path, args.tokens, args.prompts, args.seeds)


if __name__ == "__main__":
    main()
