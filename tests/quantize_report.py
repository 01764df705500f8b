"""Every type that this llama.cpp makes, on a model with random weights of the 1B class: sizes, times, and whether the file loads and talks.

    nice -n 19 python -m tests.quantize_report FOLDER [--small] [--types Q8_0,Q4_K_M,...] [--threads N]

Prints a line for each type as it comes: predicted and real size, bits a weight, seconds, tokens of a reply. Not part of the suite: on two
cores it takes an hour.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from playground import protocol
from playground.process import Exit
from tests.models_made import GROUPED_1B, Shape, shaped_model
from tests.workers import talk as talking
from tests.workers.talk import Talk, greedy

SMALL = Shape("llama", 4096, 512, 4, 8, 2, 1536, 2048)
ROLE = "playground.workers.quantize"

talking.PATIENCE = 7200.0
"""one matrix of a quarter of a billion weights may take many minutes"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--small", action="store_true", help="a model of 20 million weights")
    options.add_argument("--types", default="")
    options.add_argument("--threads", type=int, default=0)
    args = options.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    source = args.folder / ("small-F16.gguf" if args.small else "1b-F16.gguf")
    if not source.exists():
        from dataclasses import replace

        part = source.with_suffix(".part")
        shaped_model(part, SMALL if args.small else replace(GROUPED_1B, outer="F16"), "F16")
        part.rename(source)
    print(f"{source.name}: {source.stat().st_size:,} bytes", flush=True)
    matrix = args.folder / f"{source.stem}.imatrix.gguf"
    if not matrix.exists():
        text = args.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. 0123456789 " * 40)
        print(
            f"importance matrix: {_answer(protocol.CollectImatrix(1, str(source), str(text), str(matrix), 256, 2))}", flush=True
        )
    sizes = {each.type: each for each in _answer(protocol.SurveyTypes(1, str(source))).sizes}
    wanted = (
        args.types.split(",")
        if args.types
        else sorted(sizes, key=lambda name: (name.startswith(("IQ1", "IQ2", "IQ3")), -sizes[name].bytes))
    )
    print(f"{len(sizes)} types: {', '.join(sizes)}", flush=True)
    for kind in wanted:
        print(_line(source, args.folder / f"{kind}.gguf", sizes[kind], matrix, args.threads), flush=True)


def _line(source: Path, target: Path, size: protocol.TypeSize, matrix: Path, threads: int) -> str:
    needed = str(matrix) if size.needs_imatrix else ""
    made = _answer(protocol.QuantizeGguf(1, str(source), str(target), size.type, needed, threads=threads))
    if not isinstance(made, protocol.Made):
        return f"{size.type:<10} FAILED {made}"
    talk = Talk()
    try:
        talk.load(target, context=256)
        reply = talk.generate(greedy(8), text="Once upon a time")
        said = len(reply.ids())
        finite = all(abs(token.logprob) < 1e6 for token in reply.tokens[0])
    finally:
        talk.close()
        target.unlink()
    return (
        f"{size.type:<10} {made.bytes:>14,} bytes (predicted {made.bytes - size.bytes:+,})  {size.bits_per_weight:6.3f} bits  "
        f"{made.seconds:7.1f} s  {said} tokens{'' if finite else ' NOT FINITE'}  {' '.join(made.notes)}"
    )


def _answer(command: protocol.Message) -> protocol.Message:
    talk = Talk(ROLE, "quantization")
    begun = time.perf_counter()
    try:
        while True:
            event = talk.next()
            if isinstance(event, (protocol.Made, protocol.Failed, protocol.TypesSurveyed, Exit)):
                return event
            if isinstance(event, protocol.Started):
                talk.send(command)
            if time.perf_counter() - begun > 3600:
                raise TimeoutError(command)
    finally:
        talk.close()


if __name__ == "__main__":
    main()
