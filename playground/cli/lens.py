"""`playground lens MODEL --text T`: what each layer would have said next, at every token of a text or at chosen ones.

The state after each layer is put through the model's final norm and its output layer (the logit lens, nostalgebraist 2020). Row 0 is the state
before the first layer, the last row what the model says itself. Without `--json` a position's layers are printed one below the other, of the last
token where none is named. `--json` prints one object:

    {"model", "tokens": [text], "token_ids": [id], "layers",       without row 0
     "gap",                        largest difference of the last row's logits to the model's own, over their spread
     "positions": [{"position", "token", "next",                    the token there, and the one that follows ("" at the end)
                    "settled",                                      the first row from which on the likeliest token stays the last row's
                    "rows": [{"layer", "top": [{"token_id", "text", "probability"}],
                              "entropy",                            nats
                              "rank", "probability"}]}],            of the token that follows; 0 and null at the end
     "lens_s"}

It is for model folders: a GGUF file does not give its layers out. Of a file that lies in the folder of its model, as the starter's does, that
folder is read, and stderr says so.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

from playground.cli.attention import load_to_look, told
from playground.cli.common import WrongUsage, add_json, add_settings, count, emit, note, opened, words
from playground.params import ContextSettings

if TYPE_CHECKING:
    from playground.inside.lens import LensReading

MOST = 1000
"""of a layer's tokens that can be asked for"""
SHOWN = 5
"""likeliest tokens in a printed row"""


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "lens",
        help="what each layer would have said next: the logit lens of a model folder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("model", metavar="MODEL", help="'starter', or a model folder: its path, or a name of the library")
    verb.add_argument("--text", type=words, required=True, help="the text, as it stands")
    verb.add_argument(
        "--position",
        type=int,
        action="append",
        default=[],
        metavar="P",
        help="only after this token, from 0, or from the end with -1 and less; may be repeated",
    )
    verb.add_argument("--top", type=count, default=8, metavar="N", help="likeliest tokens of each layer (default: 8)")
    verb.add_argument("--adapter", default="", metavar="A", help="a LoRA to put on")
    add_json(verb)
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from playground.session.inside import LensRequest
    from playground.session.reading_models import folder_of, is_encoder

    if not args.text:
        raise WrongUsage("There is no text to read.", "Give one with --text.")
    positions = tuple(args.position) or (() if args.json else (-1,))
    with opened(to_write=False) as conversation:
        session = conversation.session
        path = session.find_model(args.model)
        if path.is_file() and (folder := folder_of(path)) is not None:
            note(f"{path.name} does not give its layers out: the folder it lies in is read, {folder}")
            path = folder
        if path.is_dir() and not is_encoder(path):  # of others the session says what they are
            load_to_look(session, path, args)
        started = time.perf_counter()
        request = LensRequest(args.text, positions=positions, top=min(args.top, MOST), model=str(path))
        found = session.inside.lens(request, told("lens")).result()
        record = _record(found) | {"lens_s": time.perf_counter() - started}
    emit(record) if args.json else _print(record)
    return 0


def _record(found: LensReading) -> dict[str, Any]:
    return {
        "model": found.model,
        "tokens": [each.text for each in found.tokens],
        "token_ids": [each.id for each in found.tokens],
        "layers": found.layers,
        "gap": found.gap,
        "positions": [_position(found, int(each)) for each in found.positions],
    }


def _position(found: LensReading, position: int) -> dict[str, Any]:
    tokens = found.tokens
    rows = []
    for layer in range(found.layers + 1):
        each = found.at(layer, position)
        rows.append(
            {
                "layer": layer,
                "top": [{"token_id": number, "text": text, "probability": chance} for number, text, chance in each.top],
                "entropy": each.entropy,
                "rank": each.rank,
                "probability": None if math.isnan(each.probability) else each.probability,
            }
        )
    return {
        "position": position,
        "token": tokens[position].text,
        "next": tokens[position + 1].text if position + 1 < len(tokens) else "",
        "settled": found.settled(position),
        "rows": rows,
    }


def _print(record: dict[str, Any]) -> None:
    print(f"{record['model']}: {record['layers']} layers, {len(record['tokens']):,} tokens")
    for each in record["positions"]:
        follows = f", before {each['next']!r}" if each["next"] else ""
        print(f"\nafter token {each['position']} {each['token']!r}{follows}")
        for row in each["rows"]:
            top = "   ".join(f"{one['text']!r} {one['probability']:.2f}" for one in row["top"][:SHOWN])
            rank = f"rank {row['rank']:<7,}" if row["rank"] else ""
            print(f"{row['layer']:>4}  {rank}{row['entropy']:5.2f} nats   {top}")
        print(f"the likeliest token is the last layer's from layer {each['settled']} on")
