"""`playground beam MODEL`: the likeliest continuations of a prompt by beam search, with the tree they come from."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from playground import events
from playground.cli.common import WrongUsage, add_json, add_settings, emit, looking_back, note, opened, settings_from, words
from playground.errors import Cancelled, PlaygroundError
from playground.history.beams import BeamSearchRow
from playground.params import BeamSettings, ContextSettings, to_dict

SMALL = 64 << 20
"""bytes of a folder's weights, in whatever they are stored, up to which they are taken as f32"""


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "beam",
        help="the likeliest continuations of a prompt, by beam search",
        description=f"{__doc__} Best sequence and score are those of transformers' generate(num_beams=N, do_sample=False).",
    )
    verb.add_argument("model", metavar="MODEL", nargs="?", help="'starter', a name of the library, or a path")
    verb.add_argument("--prompt", type=words, help="what to say")
    verb.add_argument("--text", type=words, help="a text to continue as it stands, without the chat template")
    verb.add_argument("--system", default="", type=words, help="the system prompt")
    verb.add_argument("--reply-start", default="", type=words, help="how the continuations have to begin")
    verb.add_argument("--beams", type=int, metavar="N", help="the same as --width")
    verb.add_argument("--show", metavar="ID", help="print a search that was made earlier")
    verb.add_argument("--list", action="store_true", dest="listing", help="list the searches that were made")
    verb.add_argument("--tree", action="store_true", help="print the tree as well (it is always in the JSON)")
    verb.add_argument(
        "--adapter", default="", metavar="A", help="a LoRA to put on: a name, a folder in PEFT layout, or a GGUF file"
    )
    add_json(verb)
    add_settings(verb, BeamSettings, "search")
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.listing:
        return _list(args.json)
    if args.show:
        with looking_back() as session:
            _print(session.beams.get(args.show).result(), args)
        return 0
    if args.model is None or (args.prompt is None) == (args.text is None):
        raise WrongUsage("It is not clear what to continue.", "Give a model, and one of --prompt and --text.")
    if args.beams is not None:
        args.set_width = args.beams
    settings, context = settings_from(args, BeamSettings), settings_from(args, ContextSettings)
    if args.set_sequences is None and settings.width > context.sequences:
        context = replace(context, sequences=settings.width)
    if args.set_precision is None and settings.arithmetic != "engine" and _is_small_folder(args.model):
        context = replace(context, precision="f32")
    with opened() as conversation:
        session = conversation.session
        session.load(args.model, context, args.adapter).result()
        raw = args.text is not None
        session.beams.search(args.text if raw else args.prompt, settings, args.system, args.reply_start, raw)
        try:
            while not (isinstance(event := conversation.next(), events.BeamsChanged) and event.search.state != "running"):
                pass
        except KeyboardInterrupt:
            session.beams.stop()
            raise Cancelled("Cancelled.") from None
        if event.search.state in ("failed", "interrupted"):
            raise PlaygroundError(event.search.error or "The search was interrupted.", event.search.hint or session.model.hint)
        _print(event.search, args)
    return 0


def _is_small_folder(model: str) -> bool:
    """Whether it is a folder of unquantized weights that cost little in f32: scores are not rounded then."""
    folder = Path(model)
    try:
        weights = sum(each.stat().st_size for each in folder.glob("*.safetensors"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return 0 < weights <= SMALL and isinstance(config, dict) and not config.get("quantization_config")


def _list(as_json: bool) -> int:
    with looking_back() as session:
        rows = session.beams.all().result()
    for row in rows:
        if as_json:
            emit({"session_id": row.id, "title": row.title, "model": row.model_name, "created": row.created})
        else:
            print(f"{row.id}  {row.model_name}  {row.title}")
    return 0


def _print(search: BeamSearchRow, args: argparse.Namespace) -> None:
    if args.json:
        emit(record(search))
        return
    for beam in search.beams:
        print(f"{beam.score:9.4f}  {beam.text!r}  [{len(beam.token_ids)} tokens, {beam.reason}]")
    if args.tree:
        for number, step in enumerate(search.steps, 1):
            print(f"step {number}")
            for node in step:
                print(
                    f"  {node.id:5} <- {node.parent:5}  {node.total:9.4f}  {node.logprob:9.4f}  {node.state:6}  {node.text!r}"
                )
    note(f"{search.tokens} tokens in {search.decode_s:.2f} s, arithmetic: {search.arithmetic}  ({search.session_id})")


def record(search: BeamSearchRow) -> dict[str, Any]:
    """A search as `--json` prints it. `token_ids` are with the token that ended a beam, as transformers gives them."""
    best = search.beams[0] if search.beams else None
    return {
        "text": best.text if best else "",
        "token_ids": list(best.token_ids) if best else [],
        "score": best.score if best else None,
        "beams": [
            {
                "text": each.text,
                "token_ids": list(each.token_ids),
                "logprobs": list(each.logprobs),
                "score": each.score,
                "sum_logprob": each.total,
                "finish_reason": each.reason,
                "node": each.node,
            }
            for each in search.beams
        ],
        "tree": [[asdict(node) for node in step] for step in search.steps],
        "settings": to_dict(search.settings),
        "why": search.why,
        "arithmetic": search.arithmetic,
        "prompt_ids": list(search.prompt_ids),
        "prompt": search.rendered,
        "tokens": search.tokens,
        "prefill_s": search.prefill_s,
        "decode_s": search.decode_s,
        "model": search.model_name,
        "engine": search.engine,
        "session_id": search.session_id,
        "state": search.state,
    }
