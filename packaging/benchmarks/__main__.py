"""Benchmarks: each prints ratios of the program against the bare libraries, the two sides measured in turn in one run.

Machines are noisy: a ratio is the median over rounds of pairs measured one after the other, and its spread is printed beside it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys

PARTS = {
    "streaming": "a completion through the session, against the same loop on bare llama-cpp-python",
    "compare": "four settings of one prompt together, against one after another and against a bare batched loop",
    "lab": "a slider's tick to the end of painting in the decoding lab, at a vocabulary of 152k",
    "start": "start to first paint, against a bare PySide6 window",
    "fit": "memory predicted before a load, against what the engine's process takes",
    "convert": "a folder of the 1B class to GGUF, against a plain copy of as many bytes; peak memory",
    "attention": "attention captured at 512 to 2,048 tokens, against output_attentions=True and BertViz: time, peak memory, bytes",
    "heads": "the Inside page over 32 x 32 heads at 2,048 tokens: opening, zooming, panning, other heads, what is seen of bright cells",
    "columns": "longest stall of the window's thread while eight columns of 2,000 tokens are written on the Compare page",
    "train": "a step of training, against the same step in a plain loop on the same libraries; memory predicted against measured",
    "training_stalls": "longest stall of the window's thread while a run trains and its page is open",
    "stalls": "longest stall of the window's thread while a reply streams, and the memory of its process",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="packaging/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="; ".join(f"{name}: {what}" for name, what in PARTS.items()))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs (attention, heads)")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements (default: 7)")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part called {unknown[0]!r}; there are: {', '.join(PARTS)}")
    results = {}
    for part in args.parts or PARTS:
        print(f"{part}: {PARTS[part]} ...", file=sys.stderr, flush=True)
        measure = importlib.import_module(part).measure
        smaller = {"quick": True} if args.quick and "quick" in inspect.signature(measure).parameters else {}
        results[part] = measure(args.rounds, **smaller)
        if not args.json:
            show(part, results[part])
    if args.json:
        print(json.dumps(results))
    return 0


def show(part: str, values: dict[str, object]) -> None:
    print(part)
    for name, value in values.items():
        print(f"  {name:<44} {value:.3f}" if isinstance(value, float) else f"  {name:<44} {value}")


if __name__ == "__main__":
    sys.exit(main())
