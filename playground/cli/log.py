"""`playground log`: what was said, found, shown, exported, and replayed token for token."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from playground.cli.common import add_json, count, emit, looking_back, note, words
from playground.errors import NotFoundError
from playground.history.records import Chat, GenerationRow
from playground.params import to_dict


def add(verbs: Any) -> None:
    verb = verbs.add_parser("log", help="what was said so far", description=__doc__)
    what = verb.add_subparsers(metavar="WHAT")
    verb.set_defaults(run=run_list, json=False, limit=20)
    add_json(verb)

    each = what.add_parser("list", help="the newest completions")
    each.add_argument("--limit", type=count, default=20, help="how many (default: 20)")
    add_json(each)
    each.set_defaults(run=run_list)

    each = what.add_parser("search", help="messages with these words")
    each.add_argument("words", nargs="+", type=words, metavar="WORD")
    each.add_argument("--limit", type=count, default=20, help="how many (default: 20)")
    add_json(each)
    each.set_defaults(run=run_search)

    each = what.add_parser("show", help="a completion or a whole chat")
    each.add_argument("id", type=words, metavar="ID")
    add_json(each)
    each.set_defaults(run=run_show)

    each = what.add_parser("export", help="a chat as Markdown or JSON")
    each.add_argument("id", type=words, metavar="ID", help="a chat, or a completion in it")
    each.add_argument("--format", choices=("md", "json"), default="md")
    add_json(each)
    each.set_defaults(run=run_export)

    each = what.add_parser("replay", help="decode a completion again and compare")
    each.add_argument("id", type=words, metavar="ID")
    add_json(each)
    each.set_defaults(run=run_replay)


def run_list(args: argparse.Namespace) -> int:
    with looking_back() as session:
        rows = session.generations(args.limit).result()
    if args.json:
        emit({"generations": [_generation(row, brief=True) for row in rows]})
        return 0
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started))
        rate = f"{row.completion_tokens / row.decode_s:6.0f} tok/s" if row.decode_s > 0 else " " * 12
        print(f"{row.id}  {when}  {row.model_name:<20.20}  {row.completion_tokens:6} tokens {rate}  {row.state}")
    if not rows:
        note("Nothing was said yet. Try: playground chat starter --prompt Hello")
    return 0


def run_search(args: argparse.Namespace) -> int:
    with looking_back() as session:
        hits = session.search(" ".join(args.words), args.limit).result()
    if args.json:
        emit({"hits": [dataclasses.asdict(hit) for hit in hits]})
        return 0
    for hit in hits:
        snippet = " ".join(hit.snippet.replace("\x02", "[").replace("\x03", "]").split())
        print(f"{hit.session_id}  {hit.role:<9}  {snippet}")
    if not hits:
        note("Nothing was found.")
    return 0


def run_show(args: argparse.Namespace) -> int:
    with looking_back() as session:
        try:
            row = session.generation(args.id).result()
        except NotFoundError:
            chat = session.chat(args.id).result()
            if args.json:
                emit(_chat(chat))
            else:
                print(session.export(args.id, "md").result())
            return 0
        tokens = session.tokens(args.id).result()
    if args.json:
        emit(_generation(row) | {"tokens": [dataclasses.asdict(token) for token in tokens]})
        return 0
    on = f" + {Path(row.adapter).name}" if row.adapter else ""
    print(f"{row.model_name}{on}  {row.engine} {row.engine_build}  {row.device}  seed {row.seed}  {row.state}")
    print("  ".join(f"{name}={value}" for name, value in to_dict(row.settings).items()))
    for change in row.timeline:
        print(f"from token {change.index}: " + "  ".join(f"{k}={v}" for k, v in to_dict(change.settings).items()))
    print(f"--- prompt, {row.prompt_tokens} tokens\n{row.prompt}")
    print(f"--- completion, {row.completion_tokens} tokens\n{''.join(token.text for token in tokens)}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    with looking_back() as session:
        try:
            chat_id = session.generation(args.id).result().session_id
        except NotFoundError:
            chat_id = args.id
        text = session.export(chat_id, "json" if args.json else args.format).result()
    if args.json:
        emit(json.loads(text))
    else:
        print(text)
    return 0


def run_replay(args: argparse.Namespace) -> int:
    with looking_back() as session:
        result = session.replay(args.id).result()
    if args.json:
        emit(dataclasses.asdict(result))
    elif result.identical:
        print(f"Identical: all {result.tokens} tokens.")
    else:
        print(f"Different from token {result.first_difference} of {result.tokens} on. {result.why}".strip())
        print(f"--- recorded\n{result.recorded_text}\n--- now\n{result.text}")
    return 0


def _generation(row: GenerationRow, brief: bool = False) -> dict[str, Any]:
    data = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    data["settings"] = to_dict(row.settings)
    data["timeline"] = [
        {"index": each.index, "offset": each.offset, "settings": to_dict(each.settings)} for each in row.timeline
    ]
    if brief:
        for name in ("prompt", "prompt_ids", "batches"):
            del data[name]
    return data


def _chat(chat: Chat) -> dict[str, Any]:
    session = {field.name: getattr(chat.session, field.name) for field in dataclasses.fields(chat.session)}
    return {
        "session": session
        | {
            "sampling": to_dict(chat.session.sampling),
            "columns": [dataclasses.asdict(column) for column in chat.session.columns],
        },
        "messages": [dataclasses.asdict(message) for message in chat.messages],
        "generations": [_generation(row) for row in chat.generations.values()],
    }
