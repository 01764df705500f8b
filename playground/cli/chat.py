"""`playground chat MODEL`: one reply to a prompt, or a conversation on the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from playground import events
from playground.cli.common import Conversation, add_json, add_settings, emit, note, opened, settings_from
from playground.errors import Cancelled, PlaygroundError
from playground.history.records import GenerationRow, MessageRow
from playground.params import ContextSettings, SamplingSettings, to_dict


def add(verbs: Any) -> None:
    verb = verbs.add_parser("chat", help="talk to a model", description=__doc__)
    verb.add_argument("model", metavar="MODEL", help="'starter', or the path of a GGUF file")
    verb.add_argument("--prompt", help="what to say; without it, lines are read from the terminal or a pipe")
    verb.add_argument("--system", default="", help="the system prompt")
    verb.add_argument("--reply-start", default="", help="how the reply has to begin")
    verb.add_argument(
        "--adapter", default="", metavar="A", help="a LoRA to put on: a name, a folder in PEFT layout, or a GGUF file"
    )
    add_json(verb)
    add_settings(verb, SamplingSettings, "sampling")
    add_settings(verb, ContextSettings, "loading")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    sampling = settings_from(args, SamplingSettings)
    context = settings_from(args, ContextSettings)
    with opened() as conversation:
        session = conversation.session
        session.set_sampling(sampling)
        session.load(args.model, context, args.adapter).result()
        chat_id = session.new_chat(args.system)
        if args.prompt is not None:
            _say(conversation, chat_id, args.prompt, args)
        else:
            for line in _lines(args.json):
                _say(conversation, chat_id, line, args)
    return 0


def _say(conversation: Conversation, chat_id: str, text: str, args: argparse.Namespace) -> None:
    """One turn: streams the reply, or prints its record as JSON."""
    session = conversation.session
    session.send(chat_id, text, args.reply_start)
    logprobs: list[float] = []
    ids: list[int] = []
    hint = ""
    try:
        if not args.json and args.reply_start:
            print(args.reply_start, end="")
        while not isinstance(event := conversation.next(), events.GenerationFinished):
            if isinstance(event, events.Notice) and event.key == "reply":
                hint = event.hint
            elif isinstance(event, events.GenerationTokens):
                ids += [token.token_id for token in event.tokens]
                logprobs += [token.logprob for token in event.tokens]
                if not args.json:
                    print("".join(token.text for token in event.tokens), end="", flush=True)
    except KeyboardInterrupt:
        session.stop()
        while not isinstance(event := conversation.next(), events.GenerationFinished):
            pass
        raise Cancelled("Cancelled.") from None
    row, message = event.generation, event.message
    if not args.json:
        print()
    if row.state in ("failed", "interrupted"):
        raise PlaygroundError(row.error or "The reply was interrupted.", hint or session.model.hint)
    if row.state == "context":
        note("The context window is full: start a new conversation, or load the model with a larger --context.")
    if args.json:
        emit(reply_record(row, message, ids, logprobs))


def reply_record(row: GenerationRow, message: MessageRow, ids: list[int], logprobs: list[float]) -> dict[str, Any]:
    """A reply as `--json` prints it."""
    return {
        "text": message.content,
        "token_ids": ids,
        "logprobs": logprobs,
        "settings": to_dict(row.settings),
        "seed": row.seed,
        "engine": row.engine,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "prefill_s": row.prefill_s,
        "decode_s": row.decode_s,
        "generation_id": row.id,
        "finish_reason": row.state,
        "cached_tokens": row.cached_tokens,
        "session_id": row.session_id,
        "model": row.model_name,
        "adapter": row.adapter,
    }


def _lines(silent: bool) -> Any:
    """What is typed, line by line, until the end of the input."""
    asking = sys.stdin.isatty() and not silent
    while True:
        if asking:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.rstrip("\n")
