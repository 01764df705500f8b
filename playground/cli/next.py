"""`playground next MODEL`: the distribution of the next token stage by stage, or (`--tokens`) a text token by token.

`--json` prints one object. With `--prompt`:

    {"model", "engine", "prompt_tokens",    the prompt's length after the chat template
     "prompt",                              its tokens: [{"token_id", "text", "special"}]
     "vocabulary",                          how many candidates there are
     "settings",                            all sampling settings in force
     "stages": [                            the model's own softmax ("model"), then every stage in the settings' order
        {"name", "kept",                    tokens left
         "kept_mass",                       the share of the model's own probability that they hold
         "entropy",                         in nats, of the distribution if the chain ended here
         "perplexity",                      exp(entropy)
         "top": [{"token_id", "text", "probability"}]}],    the --top likeliest
     "candidates": [                        the --top likeliest of the model itself
        {"token_id", "text", "logit", "rank",
         "probabilities": {stage: p},       0 where it is cut off
         "cut_by"}]}                        the stage that cut it off, "" if it is still there: the last is what is drawn from

With `--tokens TEXT`:

    {"model", "engine", "text", "count", "context",        the window, in tokens
     "logprob", "perplexity",               of the whole text but its first token
     "tokens": [{"token_id", "text", "bytes", "special",    bytes in hexadecimal
                 "logprob", "probability", "rank",         null for the first token, which nothing predicts
                 "entropy", "top": [{"token_id", "text", "probability"}]}]}
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from playground.cli.common import WrongUsage, add_json, add_settings, count, emit, opened, settings_from, words
from playground.params import ContextSettings, SamplingSettings, to_dict
from playground.protocol import ChatMessage, ModelInfo, Scored
from playground.session import Session
from playground.session.lab import NextLogits


def add(verbs: Any) -> None:
    verb = verbs.add_parser(
        "next",
        help="the next token's distribution, stage by stage; a text token by token",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "model", metavar="MODEL", help="'starter', a name of the library, or the path of a GGUF file or model folder"
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", type=words, help="what is said to the model")
    what.add_argument("--tokens", type=words, metavar="TEXT", help="show this text token by token instead")
    verb.add_argument("--system", type=words, default="", help="the system prompt")
    verb.add_argument("--raw", action="store_true", help="take the prompt as it stands, without the chat template")
    verb.add_argument("--reply-start", type=words, default="", help="how the reply has begun")
    verb.add_argument("--top", type=count, default=20, metavar="N", help="how many candidates to show (default: 20)")
    verb.add_argument("--adapter", default="", metavar="A", help="a LoRA to put on")
    add_json(verb)
    add_settings(verb, SamplingSettings, "sampling", ("seed", "max_tokens", "stop"))
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    sampling = settings_from(args, SamplingSettings)
    context = settings_from(args, ContextSettings)
    if args.system and (args.raw or args.tokens is not None):
        raise WrongUsage("--system goes into the chat template.", "Leave it out, or leave out --raw and --tokens.")
    with opened() as conversation:
        session = conversation.session
        session.set_sampling(sampling)
        info = session.load(args.model, context, args.adapter).result()
        if args.tokens is not None:
            scored = session.lab.score(args.tokens, alternatives=min(args.top, 50)).result()
            emit(scored_record(scored, info)) if args.json else _print_scored(scored, info)
        else:
            record = next_record(_ask(session, args), sampling, info, args.top)
            emit(record) if args.json else _print_next(record)
    return 0


def _ask(session: Session, args: argparse.Namespace) -> NextLogits:
    if args.raw:
        return session.lab.next_logits(text=args.prompt, reply_start=args.reply_start, labels=max(256, args.top)).result()
    system = (ChatMessage("system", args.system),) if args.system.strip() else ()
    messages = (*system, ChatMessage("user", args.prompt))
    return session.lab.next_logits(messages, reply_start=args.reply_start, labels=max(256, args.top)).result()


def next_record(found: NextLogits, settings: SamplingSettings, info: ModelInfo, top: int) -> dict[str, Any]:
    """As `--json` prints it: see the module's docstring."""
    steps = found.chain.steps(settings)
    names = [step.name for step in steps]
    likeliest = [token for token, _ in steps[0].likeliest(top)]
    columns = [step.probabilities(likeliest) for step in steps]
    kept = [[chance > 0 for chance in column] for column in columns]
    return {
        "model": info.name,
        "engine": info.engine,
        "prompt_tokens": len(found.prompt),
        "prompt": [{"token_id": each.token_id, "text": each.text, "special": each.special} for each in found.prompt],
        "vocabulary": len(found.logits),
        "settings": to_dict(settings),
        "stages": [
            {
                "name": step.name,
                "kept": step.kept,
                "kept_mass": step.mass,
                "entropy": step.entropy,
                "perplexity": step.perplexity,
                "top": [
                    {"token_id": token, "text": found.text(token), "probability": chance}
                    for token, chance in step.likeliest(top)
                ],
            }
            for step in steps
        ],
        "candidates": [
            {
                "token_id": token,
                "text": found.text(token),
                "logit": float(found.logits[token]),
                "rank": place + 1,
                "probabilities": dict(zip(names, (column[place] for column in columns), strict=True)),
                "cut_by": next((names[at] for at in range(1, len(names)) if kept[0][place] and not kept[at][place]), ""),
            }
            for place, token in enumerate(likeliest)
        ],
    }


def scored_record(scored: Scored, info: ModelInfo) -> dict[str, Any]:
    """As `--json` prints it: see the module's docstring."""
    known = [each for each in scored.tokens if each.rank]
    total = sum(each.logprob for each in known)
    return {
        "model": info.name,
        "engine": info.engine,
        "text": scored.text,
        "count": len(scored.tokens),
        "context": info.context,
        "logprob": total,
        "perplexity": math.exp(-total / len(known)) if known else None,
        "tokens": [
            {
                "token_id": each.token_id,
                "text": each.text,
                "bytes": each.bytes,
                "special": each.special,
                "logprob": each.logprob if each.rank else None,
                "probability": math.exp(each.logprob) if each.rank else None,
                "rank": each.rank or None,
                "entropy": each.entropy if each.rank else None,
                "top": [
                    {"token_id": other.token_id, "text": other.text, "probability": other.probability}
                    for other in each.alternatives
                ],
            }
            for each in scored.tokens
        ],
    }


def _print_next(record: dict[str, Any]) -> None:
    names = [stage["name"] for stage in record["stages"]]
    print(f"{record['model']}: the next token after {record['prompt_tokens']:,} tokens of prompt\n")
    print(f"{'':18}" + "".join(f"{name:>13}" for name in names))
    for label, line in (
        ("tokens left", [f"{stage['kept']:,}" for stage in record["stages"]]),
        ("model's mass", [f"{stage['kept_mass']:.2%}" for stage in record["stages"]]),
        ("entropy, nats", [f"{stage['entropy']:.3f}" for stage in record["stages"]]),
        ("perplexity", [f"{stage['perplexity']:,.2f}" for stage in record["stages"]]),
    ):
        print(f"{label:18}" + "".join(f"{each:>13}" for each in line))
    print()
    for each in record["candidates"]:
        shares = [f"{chance:.4f}" if chance > 0 else "-" for chance in each["probabilities"].values()]
        print(f"{each['text']!r:18.18}" + "".join(f"{share:>13}" for share in shares))


def _print_scored(scored: Scored, info: ModelInfo) -> None:
    print(f"{len(scored.tokens):,} of {info.context:,} tokens\n")
    print(f"{'id':>8}  {'token':24} {'bytes':24} {'p':>8} {'rank':>8}")
    for each in scored.tokens:
        chance = f"{math.exp(each.logprob):.4f}" if each.rank else "-"
        mark = "*" if each.special else " "
        data = bytes.fromhex(each.bytes).hex(" ")
        print(f"{each.token_id:>8} {mark}{each.text!r:24.24} {data:24.24} {chance:>8} {each.rank or '-':>8}")
