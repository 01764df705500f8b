"""`playground attention MODEL --text T`: what the model looks at while it reads a text, in every layer and head.

`-o OUT.npy` writes the weights after the softmax as they were computed: float32 of shape [layers, heads, tokens, tokens], row i is what token i looks
at. Without it they stay in the data folder as a capture, which the window's Inside page opens too. `--json` prints one object:

    {"model", "engine", "precision",
     "tokens": [text], "token_ids": [id],        of the rows
     "column_tokens", "column_token_ids",       what is looked at: the same, but in cross attention
     "kind",                                    causal, bidirectional or cross
     "part",                                    encoder, decoder or cross; "" for a model with one text
     "layers": [number], "heads": [number],     those in the file, all of the model's by default
     "shape": [layers, heads, rows, columns],
     "causal",                                  whether no token sees a later one
     "file", "bytes", "encoding",               npy, or how the capture keeps its weights: u8, f32, qk32, qk16
     "capture",                                 its id; "" with -o
     "parts": {part: {"capture", "file", "bytes", "shape"}},      all that were captured of a pair of texts, this one among them
     "left_out": [sentence],
     "scores": {name: [layer][head]},           from 0 to 1, null where the text cannot tell: see playground/inside/head_scores.py
     "capture_s"}

A model that reads one text and writes another (T5, BART) has three attentions: all are captured, and one is told of (`--part`, cross by default);
with `-o` that one alone is. The target is `--target`, or what the model writes by itself. An encoder that was trained on two texts (BERT) takes the
second as `--target` too.

A model folder is loaded in f32 unless `--precision` says otherwise: 16-bit formats round the weights to two or three digits.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.cli.common import WrongUsage, add_json, add_settings, emit, note, opened, settings_from, words
from playground.errors import StorageError
from playground.params import ContextSettings
from playground.paths import expanded

SILENT_S = 2.0
"""before progress is told"""

if TYPE_CHECKING:
    from playground.inside.capture import Capture
    from playground.inside.layout import Header
    from playground.inside.store import Entry
    from playground.session import Session


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "attention",
        help="what a model looks at while it reads a text: attention weights of layers and heads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "model",
        metavar="MODEL",
        help="'starter', a name of the library, or the path of a GGUF file or model folder (encoders too)",
    )
    verb.add_argument("--text", type=words, required=True, help="the text, as it stands")
    verb.add_argument(
        "--layer", type=_number, action="append", default=[], metavar="L", help="only this layer, from 0; may be repeated"
    )
    verb.add_argument(
        "--head", type=_number, action="append", default=[], metavar="H", help="only this head, from 0; may be repeated"
    )
    verb.add_argument("--target", type=words, default="", metavar="T", help="the second text: what the model writes")
    verb.add_argument("--part", choices=("encoder", "decoder", "cross"), default="", help="of a model with two texts")
    verb.add_argument("-o", "--output", default="", metavar="OUT.npy", help="where to write the weights")
    verb.add_argument("--exact", action="store_true", help="keep float32 weights in the capture too, whatever that takes")
    verb.add_argument("--adapter", default="", metavar="A", help="a LoRA to put on")
    add_json(verb)
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from playground.session.inside import CaptureRequest
    from playground.session.reading_models import is_encoder, writes_another

    if not args.text:
        raise WrongUsage("There is no text to look into.", "Give one with --text.")
    settings_from(args, ContextSettings)  # what is wrong with them is said before a model is looked for
    target = _target(args.output)
    with opened() as conversation:
        session = conversation.session
        path = session.find_model(args.model)
        request = CaptureRequest(
            args.text,
            layers=tuple(args.layer),
            heads=tuple(args.head),
            exact=args.exact or target is not None,
            weights="" if target is None else str(target),
        )
        if path.is_dir() and is_encoder(path):
            if args.adapter:
                raise WrongUsage("An encoder takes no adapter here.", "Leave --adapter out.")
            parts = (args.part,) if args.part else ("cross",) if target is not None and writes_another(path) else ()
            request = replace(request, model=str(path), target_text=args.target, parts=parts)
        else:
            if args.target or args.part:
                raise WrongUsage("This model goes on with one text.", "Leave --target and --part out.")
            load_to_look(session, path, args)
        started = time.perf_counter()
        entry = session.inside.capture(request, told("attention")).result()
        seconds = time.perf_counter() - started
        record = _record(session, entry, target) | {"capture_s": seconds}
    emit(record) if args.json else _print(record)
    return 0


def load_to_look(session: Session, path: Path, args: argparse.Namespace) -> None:
    """Loads a model as `--adapter` and the loading options say; a folder in f32 where they leave that open."""
    context = settings_from(args, ContextSettings)
    if path.is_dir() and context.precision == "auto" and not _quantized(path):
        context = replace(context, precision="f32")
    session.load(path, context, args.adapter).result()


def _record(session: Session, entry: Entry, target: Path | None) -> dict[str, Any]:
    """Writes `target`, if there is to be one, for which the capture is only a way; what `--json` prints."""
    header = entry.header
    found = session.inside.open(entry.id)
    try:
        record: dict[str, Any] = {
            "model": header.model,
            "engine": header.engine,
            "precision": header.precision,
            "tokens": [each.text for each in header.tokens],
            "token_ids": [each.id for each in header.tokens],
            "layers": list(header.layers),
            "heads": list(header.heads),
            "column_tokens": [each.text for each in header.column_tokens],
            "column_token_ids": [each.id for each in header.column_tokens],
            "kind": header.kind,
            "part": header.part,
            "shape": _shape(header),
            "causal": header.causal,
            "file": str(entry.path),
            "bytes": entry.bytes,
            "encoding": header.encoding,
            "capture": entry.id,
            "parts": {
                name: {"capture": each.id, "file": str(each.path), "bytes": each.bytes, "shape": _shape(each.header)}
                for name, each in session.inside.parts(entry.id).items()
                if target is None
            },
            "left_out": list(header.left_out),
            "scores": _scores(found),
        }
        if target is not None:
            _export(found, target)
    finally:
        found.close()
        if target is not None:
            session.inside.delete(entry.id)
    if target is not None:
        record |= {"file": str(target), "bytes": target.stat().st_size, "encoding": "npy", "capture": ""}
    return record


def _shape(header: Header) -> list[int]:
    return [len(header.layers), len(header.heads), header.length, header.width]


def _export(found: Capture, target: Path) -> None:
    from playground.inside.capture import export

    try:
        export(found, target)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written ({error.strerror or error}).", "Choose another place with -o."
        ) from None


def _scores(found: Capture) -> dict[str, list[list[float | None]]]:
    return {
        name: [[None if math.isnan(each) else round(each, 6) for each in row] for row in found.score(name).tolist()]
        for name in found.header.score_names
    }


def _target(name: str) -> Path | None:
    """Where to write, with a folder that is there and a name that ends in `.npy`: said before a model is loaded."""
    if not name:
        return None
    path = expanded(name).absolute()
    if path.is_dir() or not path.parent.is_dir():
        where = "is a folder" if path.is_dir() else f"would be in {path.parent}, which is not there"
        raise StorageError(f"{path} {where}.", "Name a file in a folder that is there, with -o.")
    return path


def _quantized(folder: Path) -> bool:
    import json

    try:
        return bool(json.loads((folder / "config.json").read_text("utf-8")).get("quantization_config"))
    except (OSError, ValueError, AttributeError):
        return False  # loading says what is wrong


def told(what: str) -> Any:
    """Progress on stderr, in tenths: a long text takes minutes."""
    started, last = time.monotonic(), 0

    def tell(fraction: float) -> None:
        nonlocal last
        if last < int(fraction * 10) < 10 and time.monotonic() - started > SILENT_S:
            last = int(fraction * 10)
            note(f"{what} {last * 10} %")

    return tell


def _number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _print(record: dict[str, Any]) -> None:
    layers, heads, length, columns = record["shape"]
    other = f" of the target, {columns:,} of the source" if record["kind"] == "cross" else ""
    print(f"{record['model']}: {length:,} tokens{other}, {layers} layers of {heads} heads, in {record['file']}")
    for sentence in record["left_out"]:
        print(sentence)
    print("\nhighest scores (layer.head)")
    for name, rows in record["scores"].items():
        found = [
            (score, f"{record['layers'][layer]}.{record['heads'][head]}")
            for layer, row in enumerate(rows)
            for head, score in enumerate(row)
            if score is not None
        ]
        best = "   ".join(f"{where} {score:.2f}" for score, where in sorted(found, key=lambda each: -each[0])[:4])
        print(f"{name:12}{best or 'this text cannot tell'}")
