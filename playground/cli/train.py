"""`playground train MODEL DATA`: a model tuned on somebody's own data, as an adapter to chat with.

MODEL is `starter`, a model folder or a name of the library; DATA a file or folder of examples, or the name of a dataset. What is not named
is chosen from the model, the data and the memory that is free. Ctrl+C ends the run with a checkpoint; --resume goes on with it.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.cli.common import (
    Conversation,
    WrongUsage,
    add_json,
    add_settings,
    emit,
    given_settings,
    note,
    opened,
    settings_from,
)
from playground.errors import Cancelled, PlaygroundError
from playground.training.settings import TrainSettings

if TYPE_CHECKING:
    from playground.history.runs import RunRow
    from playground.session.training_jobs import TrainPlan

MIB = 1 << 20
QUIET = ("loading", "step")
"""events that are said otherwise, or too often, for a line of their own on a terminal"""


def add(verbs: Any) -> None:
    verb = verbs.add_parser("train", help="tune a model on your own data", description=__doc__)
    verb.add_argument("model", metavar="MODEL", nargs="?", help="'starter', a model folder, or a name of the library")
    verb.add_argument("data", metavar="DATA", nargs="?", help="a file or folder with examples, or the name of a dataset")
    verb.add_argument("--probe", action="append", default=[], metavar="TEXT", help="asked at every evaluation; may be repeated")
    verb.add_argument("-o", "--out", default="", metavar="ADAPTER", help="name or path of the result")
    verb.add_argument(
        "--resume", default="", metavar="RUN", help="go on with a run (an id, or `last`) from its last checkpoint"
    )
    verb.add_argument("--plan", action="store_true", help="print the settings, why, and what they take, and train nothing")
    verb.add_argument("--anyway", action="store_true", help="start even if it does not seem to fit")
    verb.add_argument("--list", action="store_true", help="list the runs there are")
    add_settings(verb, TrainSettings, "settings")
    add_json(verb)
    verb.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> int:
    settings_from(args, TrainSettings)  # refuses what cannot be before anything is opened
    wishes = given_settings(args, TrainSettings)
    if (place := wishes.get("tracking", "")) and ":" not in place and place != "databricks":
        wishes["tracking"] = str(Path(place).expanduser().absolute())  # wherever the run goes on
    with opened(to_write=False) as conversation:
        training = conversation.session.training
        if args.list:
            return _list(conversation, args)
        if args.resume:
            run_id = training.continue_(_named(conversation, args.resume), wishes)
            return _follow(conversation, run_id, args)
        if not args.model or not args.data:
            raise WrongUsage("which model, and on what data? For example: playground train starter examples.jsonl")
        if args.plan:
            return _show_plan(training.plan(args.model, args.data, wishes).result(), args)
        run_id = training.start(args.model, args.data, wishes, probes=args.probe, out=args.out, anyway=args.anyway)
        return _follow(conversation, run_id, args)


def _follow(conversation: Conversation, run_id: str, args: argparse.Namespace) -> int:
    from playground.session.training_jobs import RunChanged, RunNoted

    with _ending_on_interrupt(conversation, run_id):
        while True:
            event = conversation.next()
            if isinstance(event, RunNoted) and event.run_id == run_id:
                for each in event.events:
                    if args.json:
                        emit(each)
                    else:
                        _say(each)
            if isinstance(event, RunChanged) and event.run.id == run_id and event.run.ended:
                return _ended(event.run, args)


@contextlib.contextmanager
def _ending_on_interrupt(conversation: Conversation, run_id: str) -> Iterator[None]:
    """While it holds, Ctrl+C ends the run with a checkpoint; the second one ends this program."""

    def stop() -> None:
        with contextlib.suppress(PlaygroundError):  # it has ended meanwhile
            conversation.session.training.stop(run_id, keep=False)

    def interrupted(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        note("Ending with a checkpoint after this step ...")
        threading.Thread(target=stop, daemon=True).start()  # whatever lock this thread may hold just now

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ended(run: RunRow, args: argparse.Namespace) -> int:
    result = {
        "run": run.id,
        "state": run.state,
        "folder": run.folder,
        "adapter": run.adapter,
        "model": run.model_name,
        "data": run.data_name,
        "data_sha256": run.data_sha256,
        "step": run.step,
        "steps": run.steps,
        "seconds": round((run.finished or run.started) - run.started, 2),
        "settings": run.settings,
        **{name: value for name, value in run.summary.items() if name not in ("step", "steps", "doing", "began", "first")},
    }
    if run.error:
        result |= {"error": run.error, "hint": run.hint}
    if args.json:
        emit(result)
    if run.state in ("finished", "stopped"):
        if not args.json:
            print(f"{run.adapter}")
            note(f"Chat with it: playground chat {run.model_path or run.model_name} --adapter {run.adapter}")
        return 0
    less = run.summary.get("lower", {})
    if less:
        options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in less["changes"].items())
        how = (
            f"playground train --resume {run.id} {options}"
            if less["goes_on"] and run.step
            else f"the same command with {options}"
        )
        note(f"{less['sentence']} ({how})")
    if run.state == "ended":
        note(f"Go on with it: playground train --resume {run.id}")
        raise Cancelled("Cancelled.")
    raise PlaygroundError(
        run.error or "The run was interrupted.", run.hint or f"Go on with it: playground train --resume {run.id}"
    )


def _say(event: dict[str, Any]) -> None:
    match event["event"]:
        case "loading":
            note(f"Loading {event['what']} ...")
        case "started":
            note(
                f"{event['rows']:,} rows, {event['validation_rows']:,} held out; {event['steps']:,} steps; "
                f"{event['trained_parameters']:,} of {event['parameters']:,} weights are trained, on {event['device']}."
            )
        case "step":
            note(
                f"step {event['step']:5,}  loss {event['loss']:.4f}  gradient {event['grad_norm']:.2f}  "
                f"{event['tokens_per_s']:,.0f} tokens/s  {event['memory'] / MIB:,.0f} MiB"
            )
        case "evaluation":
            note(f"step {event['step']:5,}  validation loss {event['loss']:.4f}")
        case "sample":
            note(f"  {'base ' if event['base'] else 'tuned'} > {' '.join(event['reply'].split())[:110]}")
        case "warning" | "failed":
            note(event["message"])


def _show_plan(plan: TrainPlan, args: argparse.Namespace) -> int:
    if args.json:
        emit(plan.to_dict())
        return 0
    about = "about " if plan.each > 1 else ""
    print(f"{plan.model_name} on {plan.data.name}: {plan.fit.verdict}. {plan.fit.why}")
    print(
        f"  {plan.rows:,} rows, {about}{plan.tokens[0]:,} tokens, {plan.tokens[1]:,} of them learned; about {plan.steps:,} steps"
    )
    for name, value in plan.to_dict()["settings"].items():
        shown = ",".join(value) if isinstance(value, list) else value
        print(f"  {name:<16} {shown!s:<12} {plan.reasons.get(name, 'as you wish' if name in plan.wishes else '')}")
    for number, why in plan.skipped[:20]:
        note(f"left out: row {number}: {why}")
    return 0


def _named(conversation: Conversation, name: str) -> str:
    if name != "last":
        return name.rstrip("/").rpartition("/")[2]
    rows = conversation.session.training.runs().result()
    found = next((row.id for row in rows if row.resumable), "")
    if not found:
        raise PlaygroundError("There is no run to go on with.", "See playground train --list.")
    return found


def _list(conversation: Conversation, args: argparse.Namespace) -> int:
    rows = conversation.session.training.runs().result()
    if args.json:
        emit(
            [
                {
                    "run": row.id,
                    "title": row.title,
                    "state": row.state,
                    "step": row.step,
                    "steps": row.steps,
                    "adapter": row.adapter,
                    "validation_loss": row.summary.get("validation_loss"),
                }
                for row in rows
            ]
        )
        return 0
    for row in rows:
        loss = row.summary.get("validation_loss")
        shown = f"{loss:.4f}" if loss is not None else "-"
        print(f"{row.id}  {row.state:<12} {row.step:>6,}/{row.steps:<6,} validation loss {shown:>8}  {row.title}")
    return 0
