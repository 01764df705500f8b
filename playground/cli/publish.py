"""`playground publish WHAT OWNER/NAME`: an adapter or a model on the hub, where others can get it.

WHAT is an adapter (a name or its folder), a model folder or a GGUF file. Without --yes nothing is sent: what would be is shown, with the
card. Data that a model was trained on, checkpoints and optimizer states are never sent. The token is that of your Hugging Face login.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.cli.common import add_json, emit, note, opened
from playground.errors import DataError

if TYPE_CHECKING:
    from playground.session.publishing import PublishPlan


def add(verbs: Any) -> None:
    verb = verbs.add_parser("publish", help="put an adapter or a model on the hub", description=__doc__)
    verb.add_argument("what", metavar="WHAT", help="an adapter, a model folder or a GGUF file")
    verb.add_argument("repo", metavar="OWNER/NAME", help="the repository; it is made where there is none")
    verb.add_argument("--private", action="store_true", help="make it visible to you alone")
    verb.add_argument("--base", default="", metavar="OWNER/NAME", help="the hub's name of the model that an adapter is for")
    verb.add_argument("--card", type=Path, metavar="FILE", help="a Markdown file in place of its model card")
    verb.add_argument("--yes", action="store_true", help="send it; without this nothing leaves this computer")
    add_json(verb)
    verb.set_defaults(run=run_publish)


def run_publish(args: argparse.Namespace) -> int:
    card = _text(args.card) if args.card is not None else None
    with opened(to_write=False) as conversation:
        publishing = conversation.session.publishing
        plan = publishing.plan(args.what, args.repo, private=args.private, base=args.base, card=card).result()
        if not args.json:
            _show(plan)
        if not args.yes:
            if args.json:
                emit(plan.to_dict() | {"published": False})
            note("Nothing was sent. With --yes it is.")
            return 0
        sent = publishing.publish(plan, lambda done, what: note(f"{what} {done:4.0%}")).result()
    if args.json:
        emit(plan.to_dict() | {"published": True, "commit": sent.commit, "created": sent.created})
    else:
        print(sent.url)
    return 0


def _show(plan: PublishPlan) -> None:
    from playground.models.commands import size

    made = plan.parcel
    note(f"{made.path} -> {plan.url} ({'private' if plan.private else 'public'})")
    for name, count in made.files:
        note(f"  {name:<36} {size(count):>10}")
    for name, why in made.held_back:
        note(f"  {name:<36} {'stays':>10}: {why}")
    note("")
    for line in made.card.splitlines():
        note(f"| {line}")
    note("")
    for each in made.notes:
        note(each)


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}).", "Name a Markdown file.") from None
