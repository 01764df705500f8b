"""`playground data`: training data looked at, imported as a dataset, listed. What is imported lies in the data folder and never leaves it.

FILE is a JSON Lines, JSON, CSV, TSV, Parquet, text or Markdown file, or a folder of these. What it holds is a guess, shown by `look`; the
options correct it. With `--model` the rows are shown as the tokens that the model would be trained on, those that carry loss in [brackets].
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from playground.cli.common import WrongUsage, add_json, add_settings, count, emit, note, opened, settings_from
from playground.params import to_dict
from playground.training.columns import PARTS, TITLES
from playground.training.encode import IGNORED, EncodeSettings
from playground.training.scan import Guess, recognised

if TYPE_CHECKING:
    from playground.protocol import DataPreviewed
    from playground.session.datasets import Look

SHOWN = 20
"""problems that are printed"""


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "data",
        help="training data: what a file holds, datasets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = verb.add_subparsers(metavar="WHAT")
    add_json(verb)
    verb.set_defaults(run=run_list, json=False)

    each = what.add_parser("look", help="what a file holds, and what is wrong in it")
    _add_reading(each)
    each.add_argument("--model", default="", metavar="M", help="show rows as the tokens of this model")
    each.add_argument("--rows", type=count, default=3, metavar="N", help="how many rows are shown as tokens")
    add_settings(each, EncodeSettings, "tokens")
    add_json(each)
    each.set_defaults(run=run_look)

    each = what.add_parser("import", help="keep a file's rows as a version of a dataset")
    _add_reading(each)
    each.add_argument("--name", default="", help="what the dataset is called; the file's name otherwise")
    add_json(each)
    each.set_defaults(run=run_import)

    each = what.add_parser("list", help="the datasets that were imported")
    add_json(each)
    each.set_defaults(run=run_list)

    each = what.add_parser("remove", help="delete a version of a dataset")
    each.add_argument("name", metavar="NAME[@HASH]")
    add_json(each)
    each.set_defaults(run=run_remove)

    each = what.add_parser("log", help="a dataset of your own chats and votes")
    each.add_argument("--name", default="chats")
    each.add_argument("--session", action="append", default=[], metavar="ID", help="only this chat; may be repeated")
    each.add_argument("--since", type=_day, default=0.0, metavar="DAY", help="used on this day or later, as 2026-11-22")
    each.add_argument("--until", type=_day, default=0.0, metavar="DAY", help="used before this day")
    each.add_argument(
        "--rating", choices=("any", "chats", "preferred"), default="any", help="preferred: only replies voted better"
    )
    each.add_argument("--holds", default="", metavar="TEXT", help="only with this text in title or model")
    add_json(each)
    each.set_defaults(run=run_log)


def _add_reading(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", metavar="FILE")
    verb.add_argument("--schema", choices=[each for each in TITLES if each], help="what the rows are")
    verb.add_argument(
        "--column",
        type=_pair,
        action="append",
        default=[],
        metavar="PART=NAME",
        help=f"which column holds what: {', '.join(PARTS)}",
    )
    verb.add_argument("--format", choices=("jsonl", "json", "csv", "tsv", "parquet", "text"), default=None)
    verb.add_argument("--encoding", default="", help="such as windows-1252")
    verb.add_argument("--delimiter", default="", help="what separates cells")
    verb.add_argument("--no-header", action="store_true", help="the table's first row is a row")
    verb.add_argument(
        "--fix",
        type=_pair,
        action="append",
        default=[],
        metavar="PROBLEM=skip|trim|keep",
        help="what is done about a kind of problem",
    )


def run_look(args: argparse.Namespace) -> int:
    settings = settings_from(args, EncodeSettings)
    with opened(to_write=False) as conversation:
        datasets = conversation.session.datasets
        look = datasets.look(args.file, _guess(args), dict(args.fix), tell=note).result()
        tokens = None
        if args.model:
            tokens = datasets.preview(look, args.model, to_dict(settings), count=args.rows).result()
    if args.json:
        emit(look.to_dict() | ({"tokens": _tokens(tokens)} if tokens is not None else {}))
        return 0
    _print_look(look)
    if tokens is not None:
        _print_tokens(tokens)
    return 0


def run_import(args: argparse.Namespace) -> int:
    with opened(to_write=False) as conversation:
        made = conversation.session.datasets.import_(args.file, args.name, _guess(args), dict(args.fix), tell=note).result()
    return _made(args, made)


def run_log(args: argparse.Namespace) -> int:
    from playground.session.datasets import LogFilter

    wanted = LogFilter(tuple(args.session), args.since, args.until, args.rating, args.holds)
    with opened() as conversation:
        made = conversation.session.datasets.from_log(wanted, args.name).result()
    return _made(args, made)


def run_list(args: argparse.Namespace) -> int:
    with opened(to_write=False) as conversation:
        found = conversation.session.datasets.list().result()
    if args.json:
        emit({"datasets": [each.to_dict() for each in found]})
        return 0
    for each in found:
        print(
            f"{each.name}@{each.sha256[:8]}  {each.rows:>8,} rows  {each.bytes / 1024:>10,.0f} KiB  {each.title}  from {each.source}"
        )
    if not found:
        note("There is no dataset yet. Import one: playground data import FILE")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    with opened(to_write=False) as conversation:
        gone = conversation.session.datasets.delete(args.name).result()
    if args.json:
        emit({"removed": gone.to_dict()})
    else:
        print(f"{gone.name}@{gone.sha256[:8]} is deleted.")
    return 0


def _made(args: argparse.Namespace, made: Any) -> int:
    if args.json:
        emit(made.to_dict())
    else:
        print(f"{made.name}@{made.sha256[:8]}: {made.rows:,} rows.")
        for each in made.notes:
            note(each)
    return 0


def _guess(args: argparse.Namespace) -> Guess | None:
    """Our own guess under what the options say; None where they say nothing."""
    from playground.paths import existing

    reading = (args.format, args.encoding, args.delimiter.replace("\\t", "\t"), False if args.no_header else None)
    path = existing(args.file)
    if path is None or not (any(reading) or args.no_header or args.schema or args.column):
        return None
    guess = recognised(path, *reading)
    names = dict(args.column)
    if unknown := set(names) - set(PARTS):
        raise WrongUsage(f"there is no part '{unknown.pop()}'; there are: {', '.join(PARTS)}")
    for name in names.values():
        if name not in guess.columns:
            raise WrongUsage(f"there is no column '{name}'; there are: {', '.join(guess.columns)}")
    schema = args.schema or guess.schema
    if names and not args.schema:
        schema = "chat" if "messages" in names else "text" if "text" in names else "pairs" if "rejected" in names else "answers"
    kept = guess.names if schema == guess.schema else {}
    return replace(guess, schema=schema, names={**kept, **names}, sure=True)


def _print_look(look: Look) -> None:
    guess = look.guess
    columns = ", ".join(f"{part} in '{name}'" for part, name in guess.names.items())
    print(f"{guess.title} ({guess.reading.form}, {guess.reading.encoding}){': ' + columns if columns else ''}")
    print(f"{look.read:,} rows read, {look.kept:,} to learn from, {look.characters:,} characters.")
    for each in (*guess.notes, *look.summary):
        print(each)
    for problem in look.problems[:SHOWN]:
        print(f"  {problem}")
    more = sum(look.counts.values()) - min(SHOWN, len(look.problems))
    if more > 0:
        print(f"  and {more:,} more")
    if not guess.schema and guess.columns:
        print(f"The columns are: {', '.join(guess.columns)}. Say which holds what: --column question=NAME --column answer=NAME")


def _print_tokens(tokens: DataPreviewed) -> None:
    print(
        f"{sum(tokens.lengths):,} tokens, {sum(tokens.learned):,} of them carry loss; the longest row has {max(tokens.lengths, default=0):,}; "
        f"{tokens.cut:,} rows are cut; packed {tokens.packed:,} sequences. By {tokens.template}."
    )
    for row in tokens.rows:
        print(f"-- row {row.row}" + (f", {row.cut:,} tokens cut" if row.cut else ""))
        print(row.problem or _marked(row.pieces, row.labels))
    for each in tokens.problems[:SHOWN]:
        print(f"  Row {each['row']}{', ' + each['field'] if each['field'] else ''}: {each['what']} {each['hint']}")


def _marked(pieces: tuple[str, ...], labels: tuple[int, ...]) -> str:
    text, before = "", False
    for piece, label in zip(pieces, labels, strict=True):
        carries = label != IGNORED
        text += ("]" if before and not carries else "[" if carries and not before else "") + piece
        before = carries
    return text + ("]" if before else "")


def _tokens(tokens: DataPreviewed) -> dict[str, Any]:
    return asdict(tokens)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form NAME=VALUE")
    return name.strip(), value.strip()


def _day(text: str) -> float:
    import datetime

    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no day; write it as 2026-11-22") from None
