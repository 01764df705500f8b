"""`playground embeddings MODEL --nearest W` and `--words A,B,C`: words in a model's table of tokens.

Likeness is the cosine of two rows. A word that the tokenizer cuts into several tokens is the mean of their rows. A word is looked up as it stands
within a sentence (with a space in front) where that takes no more tokens than as it is written; one with a space in front is taken as written.
The model is not loaded: its tokenizer and one tensor are read. `--json` prints one object:

    {"model", "table", "rows", "width", "kind", "tied",             the tensor, its shape and number format; whether input and output are one
     "words": [{"text", "tokens", "token_ids", "norm"}],
     "neighbours": [[{"token_id", "text", "similarity"}]],           of each word, the nearest first
     "matrix": [[cosine]],                                           of each word and each
     "points": [{"text", "token_id", "word", "x", "y"}],             the two main directions of words (token_id -1) and neighbours
     "explained": [share, share],                                    of the points' variance along x and y
     "lookup_s"}
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from playground.cli.attention import told
from playground.cli.common import WrongUsage, add_json, emit, opened, words

COLUMN = 10


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "embeddings",
        help="words in a model's table of tokens: neighbours, similarities, a projection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "model", metavar="MODEL", help="'starter', a name of the library, or the path of a GGUF file or model folder"
    )
    verb.add_argument("--nearest", type=words, action="append", default=[], metavar="W", help="a word; may be repeated")
    verb.add_argument("--words", type=words, default="", metavar="A,B,C", help="several words, with commas between them")
    verb.add_argument("--count", type=_count, default=12, metavar="N", help="neighbours of each word (default: 12)")
    verb.add_argument(
        "--table", choices=("input", "output"), default="input", help="which table, where the model has two (default: input)"
    )
    add_json(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from playground.session.inside import EmbeddingsRequest

    asked = (*args.nearest, *(each for each in args.words.split(",") if each.strip()))
    if not asked:
        raise WrongUsage("There is no word to look up.", "Give one with --nearest, or several with --words.")
    with opened(to_write=False) as conversation:
        session = conversation.session
        path = session.find_model(args.model)
        started = time.perf_counter()
        request = EmbeddingsRequest(asked, str(path), args.count, args.table)
        answer = session.inside.embeddings(request, told("token table")).result()
        found = asdict(answer)
        record = {
            "model": str(path),
            **{name: found[name] for name in ("table", "rows", "width", "kind", "tied", "words", "neighbours", "matrix")},
            "points": found["points"],
            "explained": list(found["explained"]),
            "lookup_s": time.perf_counter() - started,
        }
    emit(record) if args.json else _print(record)
    return 0


def _print(record: dict[str, Any]) -> None:
    both = ", for input and output" if record["tied"] else ""
    print(f"{record['table']}: {record['rows']:,} tokens of {record['width']:,} numbers, {record['kind']}{both}")
    for word, line in zip(record["words"], record["neighbours"], strict=True):
        cut = " + ".join(repr(each) for each in word["tokens"])
        several = f" (the mean of {len(word['tokens'])} tokens)" if len(word["tokens"]) > 1 else ""
        print(f"\n{word['text'].strip()}: {cut}{several}")
        for each in line:
            print(f"  {each['similarity']:6.3f}  {each['text']!r}")
    if len(record["words"]) > 1:
        names = [each["text"].strip()[:COLUMN] for each in record["words"]]
        print("\n" + " " * COLUMN + "".join(f"{each:>{COLUMN + 1}}" for each in names))
        for name, row in zip(names, record["matrix"], strict=True):
            print(f"{name:<{COLUMN}}" + "".join(f"{each:>{COLUMN + 1}.3f}" for each in row))


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        raise ValueError(text)
    return value
