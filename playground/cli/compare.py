"""`playground compare MODEL`: one prompt under several settings at once, read once and decoded together."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground import events
from playground.cli.chat import reply_record
from playground.cli.common import (
    Conversation,
    WrongUsage,
    add_json,
    add_settings,
    count,
    emit,
    note,
    opened,
    settings_from,
    words,
)
from playground.decoding import prompt_lists, sweeps
from playground.errors import Cancelled, PlaygroundError, SettingError
from playground.history.records import Column, new_id
from playground.params import ContextSettings, SamplingSettings, from_pairs, to_dict
from playground.session.set_export import FORMS, write_whole

PROGRESS_S = 2.0
"""seconds between two lines on how far a set is"""
OF_A_COLUMN = ("reply_start", "label", "model")
"""what a column has besides settings"""


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "compare",
        help="one prompt under several settings at once",
        description=f"{__doc__} Columns come from --with, --sweep, --preset and --seeds, in this order; the sampling options below hold for all.",
    )
    verb.add_argument("model", metavar="MODEL", help="'starter', or the path of a GGUF file")
    verb.add_argument("--prompt", type=words, help="what to ask all of them")
    verb.add_argument("--system", default="", type=words, help="the system prompt")
    verb.add_argument(
        "--with",
        dest="columns",
        action="append",
        default=[],
        type=words,
        metavar="SETTINGS",
        help='a column, e.g. "temperature=0.2 top_p=0.9"; reply_start=, label= and model= may stand there too',
    )
    verb.add_argument(
        "--sweep",
        action="append",
        default=[],
        type=words,
        metavar="RULE",
        help='columns from a rule, e.g. "temperature 0..1.5 4" or "top_p 0.5..1 2 x temperature 0..1 2"',
    )
    verb.add_argument(
        "--preset", action="append", default=[], type=words, metavar="NAME", help="a column with a preset's settings"
    )
    verb.add_argument("--seeds", type=count, metavar="N", help="the same settings with N seeds")
    verb.add_argument(
        "--prompts", type=Path, metavar="FILE", help="a prompt a line, JSON Lines or CSV: each asked of all columns"
    )
    verb.add_argument(
        "--resume", type=words, metavar="ID", help="goes on with a set of prompts that was ended before it was done"
    )
    verb.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="where the results of --prompts go: OUT.jsonl, OUT.csv or OUT.md"
    )
    verb.add_argument("--reply-start", default="", type=words, help="how the replies have to begin")
    verb.add_argument(
        "--adapter", default="", metavar="A", help="a LoRA to put on: a name, a folder in PEFT layout, or a GGUF file"
    )
    add_json(verb)
    add_settings(verb, SamplingSettings, "sampling")
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if sum(each is not None for each in (args.prompt, args.prompts, args.resume)) != 1:
        raise WrongUsage("It is not clear what to ask.", "Give one of --prompt, --prompts and --resume.")
    if args.prompt is None:
        return run_set(args)
    columns = columns_from(args)
    context = settings_from(args, ContextSettings)
    with opened() as conversation:
        session = conversation.session
        columns = tuple(replace(each, model=str(session.find_model(each.model))) if each.model else each for each in columns)
        session.load(args.model, context, args.adapter).result()
        comparison = session.compare.new(args.prompt, args.system, columns)
        _run(conversation, comparison, columns, args.json)
    return 0


def run_set(args: argparse.Namespace) -> int:
    """A set of prompts: asked, or gone on with, to its end; the results go to a file, to stdout as JSON Lines, or into one object."""
    form = args.output.suffix.lower().removeprefix(".") if args.output else "jsonl"
    if form not in FORMS:
        raise WrongUsage(f"'{args.output}' names no form.", f"Let it end in one of: {', '.join(f'.{each}' for each in FORMS)}.")
    columns = columns_from(args) if args.prompts else ()
    prompts = prompt_lists.read(args.prompts) if args.prompts else []
    context = settings_from(args, ContextSettings)
    with opened() as conversation:
        session = conversation.session
        if args.resume:
            known = session.chat(args.resume).result().session
            if known.kind != "prompts":
                raise PlaygroundError(f"'{args.resume}' is no set of prompts.", "Give the id that --prompts printed.")
        session.load(args.model, context, args.adapter).result()
        set_id = args.resume or session.prompt_sets.new(prompts, columns, args.system, args.prompts.name)
        note(f"set {set_id}: go on with  playground compare {args.model} --resume {set_id}")
        ended = _follow(conversation, set_id)
        if args.output:
            write_whole(args.output, session.prompt_sets.export(set_id, form).result())
        if args.json:
            lines = session.prompt_sets.export(set_id, "jsonl").result().splitlines()
            emit(
                {
                    "session_id": set_id,
                    "done": ended.done,
                    "total": ended.total,
                    "results": [json.loads(line) for line in lines],
                }
            )
        elif not args.output:
            print(session.prompt_sets.export(set_id, form).result(), end="")
    return 0


def _follow(conversation: Conversation, set_id: str) -> events.PromptSetProgress:
    """Starts a set and says on stderr how far it is. PlaygroundError if it cannot go on, Cancelled on Ctrl+C."""
    sets = conversation.session.prompt_sets
    sets.start(set_id)
    told = 0.0
    try:
        while not (isinstance(event := conversation.next(), events.PromptSetProgress) and event.state != "running"):
            if isinstance(event, events.PromptSetProgress) and time.monotonic() - told > PROGRESS_S:
                told = time.monotonic()
                left = f", {event.seconds_left:.0f} s left" if event.seconds_left >= 0 else ""
                note(f"{event.done:,} of {event.total:,}, {event.tokens_per_s:.0f} tokens/s{left}")
    except KeyboardInterrupt:
        sets.pause(wait_s=5)
        raise Cancelled("Cancelled.") from None
    if event.state != "done":
        raise PlaygroundError(event.message or "The set was paused.", event.hint)
    return event


def columns_from(args: argparse.Namespace) -> tuple[Column, ...]:
    """The columns that the options ask for. WrongUsage for none, for too many, and for what cannot be."""
    base = settings_from(args, SamplingSettings)
    try:
        found = [_column(text, base, args.reply_start) for text in args.columns]
        rules = [each for rule in args.sweep for each in sweeps.parse(rule, base)]
        rules += [replace(each, settings=_with_given(args, each.settings)) for each in sweeps.presets(args.preset)]
        rules += sweeps.seeds(base, args.seeds) if args.seeds else ()
    except SettingError as error:
        raise WrongUsage(error.message, error.hint) from None
    found += [Column(new_id(), each.settings, args.reply_start, each.label) for each in rules]
    if not found:
        raise WrongUsage("There is nothing to compare.", 'Give for example: --with "temperature=0.2" --with "temperature=1.2"')
    if len(found) > sweeps.MOST:
        raise WrongUsage(f"These are {len(found)} columns; a comparison has at most {sweeps.MOST}.", "Take fewer.")
    return tuple(found)


def _with_given(args: argparse.Namespace, settings: SamplingSettings) -> SamplingSettings:
    """A preset's settings, with those that were given as options."""
    given = to_dict(settings_from(args, SamplingSettings))
    return replace(
        settings, **{name: given[name] for name in ("seed", "max_tokens") if getattr(args, f"set_{name}") is not None}
    )


def _column(text: str, base: SamplingSettings, reply_start: str) -> Column:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise SettingError(f"'{text}' cannot be read: {error}.", "Close every quotation mark.") from None
    pairs: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise SettingError(f"'{part}' is not of the form name=value.", "Write for example: temperature=0.2 top_p=0.9")
        pairs[name.strip().replace("-", "_")] = value
    own = {name: pairs.pop(name) for name in OF_A_COLUMN if name in pairs}
    return Column(new_id(), from_pairs(SamplingSettings, pairs, base), **{"reply_start": reply_start, "label": text, **own})


def _run(conversation: Conversation, comparison: str, columns: tuple[Column, ...], as_json: bool) -> None:
    """Runs it, and prints a record or the columns one after another, each as soon as it and those before it have ended."""
    session = conversation.session
    room = session.compare.room(comparison).result()
    if room is not None and room.short:
        note(room.sentence)
    session.compare.run(comparison)
    tokens: dict[str, list[Any]] = {}
    ended: dict[str, events.GenerationFinished] = {}
    printed, hint = 0, ""
    finished: list[events.ComparisonFinished] = []
    try:
        while not (finished and finished[-1].last):
            event = conversation.next()
            if isinstance(event, events.Notice) and event.key == "reply":
                hint = event.hint
            elif isinstance(event, events.Notice) and event.key == "guest":
                note(event.message)
            elif isinstance(event, events.GenerationTokens):
                tokens.setdefault(event.generation_id, []).extend(event.tokens)
            elif isinstance(event, events.GenerationFinished):
                ended[event.generation.column_id] = event
                while not as_json and printed < len(columns) and columns[printed].id in ended:
                    _print(columns[printed], ended[columns[printed].id])
                    printed += 1
            elif isinstance(event, events.ComparisonFinished):
                finished.append(event)
    except KeyboardInterrupt:
        session.compare.stop()
        while session.compare.running:
            conversation.next()
        raise Cancelled("Cancelled.") from None
    records = []
    for column in columns:
        row, message = ended[column.id].generation, ended[column.id].message
        if row.state in ("failed", "interrupted"):
            raise PlaygroundError(row.error or "The reply was interrupted.", hint or session.model.hint)
        made = tokens.get(row.id, [])
        records.append(
            reply_record(row, message, [each.token_id for each in made], [each.logprob for each in made])
            | {"label": column.label, "column_id": column.id}
        )
    if any(each["finish_reason"] == "context" for each in records):
        note("The context window is full: load the model with a larger --context, or compare fewer at once.")
    rate = sum(each.tokens for each in finished) / max(sum(each.decode_s for each in finished), 1e-9)
    prefills = sum(each.prefill_count for each in finished)
    if as_json:
        emit({"sequences": records, "prefill_count": prefills, "decode_tokens_per_s": rate, "session_id": comparison})
    else:
        note(
            f"{rate:.0f} tokens/s together, the prompt read {'once' if prefills == 1 else f'{prefills} times'}  ({comparison})"
        )


def _print(column: Column, ended: events.GenerationFinished) -> None:
    row = ended.generation
    rate = f", {row.completion_tokens / row.decode_s:.0f} tok/s" if row.decode_s > 0 else ""
    print(
        f"--- {column.label}  [seed {row.seed}, {row.completion_tokens} tokens{rate}, {row.state}]\n{ended.message.content}\n",
        flush=True,
    )
