"""`playground quantize SOURCE --to TYPE`: a model in another number format, from a GGUF file or a Hugging Face folder, in one go."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any

from playground.cli import quantize_report
from playground.cli.common import Conversation, WrongUsage, add_json, emit, note, opened
from playground.errors import Cancelled, PlaygroundError
from playground.paths import existing, starter

MIB = 1 << 20


def add(verbs: Any) -> None:
    verb = verbs.add_parser("quantize", help="a model in another number format", description=__doc__)
    verb.add_argument("source", metavar="SOURCE", help="'starter', a GGUF file, a model folder, or a name of the library")
    verb.add_argument("--to", metavar="TYPE", default="", help="Q4_K_M, Q8_0, ... (see --list), f32, f16, bf16, nf4 or int8")
    verb.add_argument(
        "-o", "--out", metavar="OUT", default="", help="where to (default: the data folder, under the model's name)"
    )
    verb.add_argument("--list", action="store_true", help="print what the model could become, with sizes, and make nothing")
    how = verb.add_argument_group("how")
    how.add_argument("--imatrix", metavar="auto|FILE", default="", help="an importance matrix; auto computes one")
    how.add_argument("--calibration", metavar="TEXT", default="", help="the text file to compute it from (default: ours)")
    how.add_argument("--output-type", metavar="TYPE", default="", help="another type for the output matrix")
    how.add_argument("--embedding-type", metavar="TYPE", default="", help="another type for the token table")
    how.add_argument("--keep-output", action="store_true", help="leave the output matrix as it is")
    how.add_argument("--allow-requantize", action="store_true", help="take a source that is quantized already, and lose twice")
    how.add_argument("--single", action="store_true", help="nf4: leave the scales as they are (default: quantize them as well)")
    how.add_argument("--adapter", metavar="A", default="", help="an adapter folder that is merged into the weights first")
    how.add_argument("--scale", type=float, default=1.0, metavar="S", help="how much of the adapter (default: 1)")
    quantize_report.add_options(verb)
    add_json(verb)
    verb.set_defaults(run=run_quantize)


def run_quantize(args: argparse.Namespace) -> int:
    if not (args.list or args.to or args.report):
        raise WrongUsage("which type? Say --to Q4_K_M, or see --list.")
    with opened(to_write=False) as conversation:
        source = _source(conversation, args.source, args.to)
        if args.report:
            return quantize_report.run(conversation, source, args, follow, _imatrix(args.imatrix))
        if args.list:
            return _list(conversation, source, args)
        return _make(conversation, source, args)


def _make(conversation: Conversation, source: Path, args: argparse.Namespace) -> int:
    from playground.session.workshop import QuantizeRequest

    request = QuantizeRequest(
        source=str(source),
        to=args.to,
        out=args.out,
        adapter=args.adapter,
        scale=args.scale,
        imatrix=_imatrix(args.imatrix),
        calibration=args.calibration,
        output_type=args.output_type,
        embedding_type=args.embedding_type,
        keep_output=args.keep_output,
        allow_requantize=args.allow_requantize,
        double=not args.single,
    )
    workshop = conversation.session.workshop
    made = follow(conversation, workshop.quantize(request))
    path = Path(made.path)
    result = {
        "path": made.path,
        "bytes": made.bytes,
        "type": path_type(request.to),
        "bits_per_weight": _bits(path),
        "seconds": round(made.seconds, 3),
        "notes": list(made.notes),
        "steps": list(made.steps),
    }
    if args.json:
        emit(result)
    else:
        for line in made.notes:
            note(line)
        print(f"{made.path}  {made.bytes / MIB:,.1f} MiB, {result['bits_per_weight']:.2f} bits a weight, {made.seconds:.1f} s")
    return 0


def follow(conversation: Conversation, number: str) -> Any:
    """Waits for a job of the workshop, with its progress on stderr. Its error is raised; Ctrl+C cancels it, and raises Cancelled."""
    from playground.session.workshop import JobChanged

    shown, said = "", 0.0
    workshop = conversation.session.workshop
    while True:
        try:
            event = conversation.next()
        except KeyboardInterrupt:
            workshop.cancel(number)
            _wait_cancelled(conversation, number)
            raise Cancelled("Cancelled.") from None
        if not isinstance(event, JobChanged) or event.making.id != number:
            continue
        making = event.making
        if making.state == "done":
            return making
        if making.state == "cancelled":
            raise Cancelled("Cancelled.")
        if making.state == "failed":
            raise PlaygroundError(making.message, making.hint)
        step = making.step.partition(":")[0]
        if making.running and (step != shown or time.monotonic() - said > 1.0):
            shown, said = step, time.monotonic()
            percent = f"{100 * making.fraction:3.0f} %  " if making.fraction >= 0 else ""
            left = f", about {making.seconds_left:,.0f} s left" if making.seconds_left > 1 else ""
            note(f"{percent}{making.step}{left}")


def _wait_cancelled(conversation: Conversation, number: str) -> None:
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        with contextlib.suppress(KeyboardInterrupt):
            if all(each.ended for each in conversation.session.workshop.list() if each.id == number):
                return
            time.sleep(0.02)


def _list(conversation: Conversation, source: Path, args: argparse.Namespace) -> int:
    plan = conversation.session.workshop.plan(source, args.adapter).result()
    if not plan.rows:
        raise PlaygroundError(plan.problem, plan.hint)
    if args.json:
        emit(
            {
                "name": plan.name,
                "bytes": plan.size,
                "quantization": plan.quantization,
                "steps": list(plan.steps),
                "problem": plan.problem,
                "types": [
                    {
                        "type": row.name,
                        "bytes": row.size,
                        "bits_per_weight": round(row.bits_per_weight, 4),
                        "exact": row.exact,
                        "quality": row.quality,
                        "expected_kl": row.kl if row.kl >= 0 else None,
                        "expected_perplexity_rise_percent": row.loss if row.loss >= 0 else None,
                        "needs_imatrix": row.needs_imatrix,
                        "recommended": row.recommended,
                        "verdict": row.verdict,
                        "disk": row.disk,
                        "notes": list(row.notes),
                    }
                    for row in plan.rows
                ],
            }
        )
        return 0
    print(f"{plan.name}: {plan.size / MIB:,.1f} MiB, {plan.quantization or plan.kind}")
    if plan.problem:
        note(f"{plan.problem} {plan.hint}".strip())
    print(f"  {'type':<10} {'MiB':>10} {'bits':>6} {'KL':>7}  fit")
    for row in plan.rows:
        kl = f"{row.kl:.3f}" if row.kl >= 0 else "-"
        marks = "".join((" *" if row.recommended else "", " (imatrix)" if row.needs_imatrix else ""))
        print(
            f"  {row.name:<10} {row.size / MIB:10,.1f} {row.bits_per_weight:6.2f} {kl:>7}  {row.verdict:<12} {row.quality}{marks}"
        )
    print("KL: divergence from the original to expect, in nats, as measured on a model of 8 billion weights. *: recommended.")
    return 0


def _source(conversation: Conversation, name: str, to: str) -> Path:
    """The model; of the starter the folder, where that is what the type is made of."""
    if name == "starter" and to.lower() in ("nf4", "int8"):
        return starter().parent
    return conversation.session.find_model(name)


def _imatrix(text: str) -> str:
    if text and text != "auto" and existing(text) is None:
        raise WrongUsage(f"there is no importance matrix {text}. Name a file, or say --imatrix auto.")
    return text


def path_type(to: str) -> str:
    """A type as the result names it."""
    from playground.session.workshop_files import spelled

    return spelled(to)


def _bits(path: Path) -> float:
    """Mean bits a weight, of the weights alone."""
    from playground.models.gguf_header import open_gguf
    from playground.models.safetensors_header import open_safetensors

    with contextlib.suppress(PlaygroundError, ZeroDivisionError):
        header = open_safetensors(path) if path.is_dir() else open_gguf(path)
        return round(8 * header.weight_bytes / header.parameters, 4)
    return 0.0
