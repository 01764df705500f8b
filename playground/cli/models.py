"""`playground models`: what is on this machine, what is on the hub, and the way from there to here."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from playground.cli.common import add_json, count, emit, note
from playground.paths import home

if TYPE_CHECKING:
    from playground.models.files import ChoiceVerdicts
    from playground.models.hub import ModelPage


def add(verbs: Any) -> None:
    verb = verbs.add_parser("models", help="find, download and keep models", description=__doc__)
    what = verb.add_subparsers(metavar="WHAT")
    add_json(verb)
    verb.set_defaults(run=run_list, json=False)

    each = what.add_parser("list", help="the models on this machine")
    add_json(each)
    each.set_defaults(run=run_list)

    each = what.add_parser("search", help="models on the hub")
    each.add_argument("query", nargs="*", metavar="WORD")
    each.add_argument(
        "--format", choices=("gguf", "safetensors"), action="append", default=[], help="only models with such files"
    )
    each.add_argument("--sort", choices=("downloads", "likes", "recent"), default="downloads")
    each.add_argument("--licence", default="", help="only with this licence, as the hub writes it (apache-2.0, ...)")
    each.add_argument("--limit", type=count, default=20)
    add_json(each)
    each.set_defaults(run=run_search)

    each = what.add_parser("show", help="a repository's files with size and fit, or a model on this machine")
    each.add_argument("model", metavar="MODEL|REPO")
    each.add_argument("--card", action="store_true", help="with the model's card")
    add_json(each)
    each.set_defaults(run=run_show)

    each = what.add_parser("get", help="download; the same command again goes on where it was")
    each.add_argument("repo", metavar="REPO[:FILE]")
    each.add_argument("--file", action="append", default=[], help="a file of the repository (may be given several times)")
    each.add_argument("--revision", default="main")
    add_json(each)
    each.set_defaults(run=run_get)

    each = what.add_parser("add", help="a folder or file to look for models in, where it lies")
    each.add_argument("path", metavar="PATH")
    add_json(each)
    each.set_defaults(run=run_add)

    each = what.add_parser("remove", help="a model of ours to the trash, or an added folder off the list")
    each.add_argument("model", metavar="MODEL")
    add_json(each)
    each.set_defaults(run=run_remove)


def run_list(args: argparse.Namespace) -> int:
    from playground.models import commands

    return _give(args, "list", commands.list_models(home()))


def run_search(args: argparse.Namespace) -> int:
    from playground.models import commands
    from playground.models.hub import Query

    query = Query(" ".join(args.query), formats=tuple(args.format), sort=args.sort, licence=args.licence)
    return _give(args, "search", commands.search(query, args.limit))


def run_show(args: argparse.Namespace) -> int:
    from playground.cli.fit import learned_runtime
    from playground.models import commands

    def judge(page: ModelPage) -> ChoiceVerdicts:
        from playground.session.verdicts import judge_page  # a model on this disk needs no arithmetic

        return judge_page(page, learned_runtime())

    return _give(args, "show", commands.show(home(), args.model, judge, args.card))


def run_get(args: argparse.Namespace) -> int:
    from playground.models import commands

    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    shown = [0.0]

    def progress(event: Any) -> None:
        now = time.monotonic()
        if event.message or now - shown[0] > (0.2 if sys.stderr.isatty() else 2.0):
            shown[0] = now
            line = commands.progress_line(event)
            print(f"\r\x1b[K{line}" if sys.stderr.isatty() else line, end="" if sys.stderr.isatty() else "\n", file=sys.stderr)

    try:
        result = commands.get(
            home(), args.repo, tuple(args.file), args.revision, on_progress=progress, cancelled=lambda: bool(stopped)
        )
    finally:
        signal.signal(signal.SIGINT, before)
        if sys.stderr.isatty():
            note("")
    return _give(args, "get", result)


def run_add(args: argparse.Namespace) -> int:
    from playground.models import commands

    return _give(args, "add", commands.add(home(), args.path))


def run_remove(args: argparse.Namespace) -> int:
    from playground.models import commands

    return _give(args, "remove", commands.remove(home(), args.model))


def _give(args: argparse.Namespace, verb: str, result: dict[str, Any]) -> int:
    from playground.models import commands

    if args.json:
        emit(result)
    else:
        for line in commands.lines(verb, result):
            print(line)
    return 0
