"""A chat as Markdown, to be read, and as JSON, to be kept: the JSON holds everything and can be taken in again.

The order of keys and rows is fixed, so that two exports of one chat are the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sqlite3
import time
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_type_hints

from playground.errors import DataError
from playground.history import rows
from playground.history.records import (
    Chat,
    GenerationRow,
    MessageRow,
    PromptRow,
    ResultRow,
    SessionRow,
    TokenRow,
    VoteRow,
    new_id,
)
from playground.history.store import Store
from playground.params import SamplingSettings, to_dict

FORMAT = "playground chat"
VERSION = 1


# -- Markdown


def to_markdown(chat: Chat) -> str:
    """The visible branch, each reply with a line on what made it."""
    session = chat.session
    parts = [f"# {_one_line(session.title) or 'Untitled chat'}", f"*{_when(session.created)}*"]
    if session.system:
        parts += ["## System", session.system]
    for message in chat.path():
        parts += ["## You" if message.role == "user" else "## Model", _closed(message.content.strip())]
        made = chat.generations.get(message.id)
        if message.role == "assistant" and made is not None:
            parts.append(_made_by(made, message))
    for column, message in chat.latest():
        parts += [f"## {_escaped(column.label) or 'Column'}", _closed(message.content.strip())]
        parts.append(_made_by(chat.generations[message.id], message))
    return "\n\n".join(part for part in parts if part) + "\n"


def _made_by(made: GenerationRow, message: MessageRow) -> str:
    default = to_dict(SamplingSettings())
    moved = {
        name: value
        for name, value in to_dict(made.settings).items()
        if name == "temperature" or (value != default[name] and name != "seed")
    }
    words = [
        made.model_name or "unknown model",
        *(f"{name} {_value(value)}" for name, value in moved.items()),
        f"seed {made.seed}",
    ]
    if made.timeline:
        words.append(f"settings changed {len(made.timeline)} x on the way")
    words.append(f"{made.completion_tokens} tokens")
    if message.state != "complete":
        words.append(message.state)
    return f"<sub>{_escaped(' · '.join(words))}</sub>"


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return _one_line(text).replace("&", "&amp;").replace("<", "&lt;")


def _closed(text: str) -> str:
    """A reply that ended inside a code block must not swallow what comes after it."""
    fence = ""
    for line in text.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark.group(1)
        elif mark and mark.group(1)[0] == fence[0] and len(mark.group(1)) >= len(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


# -- JSON


def to_json(store: Store, session_id: str, with_tokens: bool = True) -> str:
    """Everything of a chat: its tree of messages, every generation, and (unless they are left out) every token."""
    session = store.session(session_id)
    messages = store.messages(session_id)
    generations = []
    for message in messages:
        for made in store.generations_of(message.id):
            data = _plain(made)
            del data["owner"]  # a process of this machine
            if with_tokens:
                data["tokens"] = [_plain(token) for token in store.tokens(made.id)]
            generations.append(data)
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "session": _plain(session),
        "messages": [_plain(message) for message in messages],
        "generations": generations,
    }
    if session.kind != "chat":
        whole |= {
            "votes": [_plain(vote) for vote in store.votes(session_id)],
            "prompts": [_plain(prompt) for prompt in store.prompts(session_id)],
            "results": [_plain(result) for result in store.results(session_id)],
        }
    return json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def from_json(store: Store, text: str) -> str:
    """Takes an exported chat in and returns its id. One that is here already comes in as a copy, under new ids.

    `DataError` for text that is no such export; nothing of it is in the database then.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"This is not JSON: {error}.", "Choose a file that was exported as JSON.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DataError("This is not a chat exported by Playground.", "Choose a file that was exported as JSON.")
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise DataError("This chat was exported by a newer version of Playground.", "Update Playground.")
    with store.atomic():
        try:
            return _take_in(store, data)
        except _DAMAGE as error:
            what = f"{type(error).__name__}: {error}"
            raise DataError(f"The exported chat is incomplete or damaged ({what}).", "Export it once more.") from error


_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, sqlite3.IntegrityError, sqlite3.ProgrammingError)


def _take_in(store: Store, data: dict[str, Any]) -> str:
    head = _fields(SessionRow, data["session"])
    as_json = {name: json.dumps(head.get(name)) for name in ("sampling", "columns")}
    session = rows.session({**head, **as_json})
    messages = _parents_first([MessageRow(**_fields(MessageRow, each)) for each in data["messages"]])
    generations = [_fields(GenerationRow, each) for each in data["generations"]]
    ids = [session.id, *(each.id for each in messages), *(each["id"] for each in generations)]
    names = _Names(fresh=store.knows(ids))
    store.add_session(dataclasses.replace(session, id=names[session.id], tip=names[session.tip], deleted=None))
    for message in messages:
        named: dict[str, Any] = {
            "id": names[message.id],
            "session_id": names[session.id],
            "parent_id": names[message.parent_id],
        }
        store.add_message(dataclasses.replace(message, **named, state=_ended(message.state)))
    for fields, whole in zip(generations, data["generations"], strict=True):
        as_columns = {
            name: json.dumps(fields.get(name)) for name in ("context", "settings", "timeline", "batches", "prompt_ids")
        }
        made = rows.generation({**fields, **as_columns})
        named = {
            "id": names[made.id],
            "session_id": names[session.id],
            "message_id": names[made.message_id],
            "group_id": names[made.group_id],
        }
        store.add_generation(dataclasses.replace(made, **named, state=_ended(made.state), owner=""))
        store.append_tokens(names[made.id], [_token(each) for each in whole.get("tokens", [])])
    _take_in_compared(store, data, names, names[session.id])
    return names[session.id]


def _take_in_compared(store: Store, data: dict[str, Any], names: _Names, session_id: str) -> None:
    """What only comparisons and sets of prompts have."""
    votes = [VoteRow(**_fields(VoteRow, each)) for each in data.get("votes", [])]
    for vote in votes:
        better, worse = names[vote.better_id], names[vote.worse_id]
        kept = dataclasses.replace(vote, better_id=better, worse_id=worse, id=new_id(), session_id=session_id)
        store.replace_votes([kept.better_id, kept.worse_id], [kept])
    store.add_prompts(session_id, [PromptRow(**_fields(PromptRow, each)) for each in data.get("prompts", [])])
    for each in data.get("results", []):
        fields = _fields(ResultRow, each)
        means = {name: math.nan if fields.get(name) is None else fields[name] for name in ("mean_logprob", "mean_entropy")}
        ids = tuple(int(token) for token in fields.get("token_ids", ()))
        store.put_result(session_id, ResultRow(**{**fields, **means, "token_ids": ids}))


def _ended(state: str) -> str:
    """Nobody here goes on with what was streaming when it was exported."""
    return "interrupted" if state == "streaming" else state


class _Names:
    """The ids of a file, as they are or each with a new one."""

    def __init__(self, fresh: bool) -> None:
        self._fresh = fresh
        self._given: dict[str, str] = {"": ""}

    def __getitem__(self, name: str) -> str:
        if not isinstance(name, str):
            raise TypeError("an id must be text")
        if name not in self._given:
            self._given[name] = new_id() if self._fresh else name
        return self._given[name]


def _token(data: Mapping[str, Any]) -> TokenRow:
    fields = _fields(TokenRow, data)
    return rows.token(
        (
            fields["index"],
            fields["token_id"],
            fields["text"],
            fields.get("logprob"),
            fields.get("probability"),
            fields.get("entropy"),
            json.dumps(fields.get("alternatives", [])),
        )
    )


def _parents_first(messages: list[MessageRow]) -> list[MessageRow]:
    """A file edited by hand may have another order; a message whose parent is missing or its own ancestor is an error."""
    children: dict[str, list[MessageRow]] = {}
    for message in messages:
        children.setdefault(message.parent_id, []).append(message)
    ordered, waiting = [], children.pop("", [])
    while waiting:
        ordered += waiting
        waiting = [child for parent in waiting for child in children.pop(parent.id, [])]
    if children:
        raise ValueError(f"message '{next(iter(children.values()))[0].id}' has no parent")
    place = {message.id: number for number, message in enumerate(messages)}
    in_order = all(not each.parent_id or place[each.parent_id] < place[each.id] for each in messages)
    return messages if in_order else ordered


_KINDS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    float: (int, float, NoneType),  # a token's numbers may be unknown
    float | None: (int, float, NoneType),
}


def _fields(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of a record, each of its type; a newer version may have written more."""
    hints = get_type_hints(cls)
    found = {name: value for name, value in data.items() if name in hints}
    for name, value in found.items():
        kinds = _KINDS.get(hints[name], (object,))
        if not isinstance(value, kinds) or (isinstance(value, bool) and object not in kinds):
            raise TypeError(f"{name} is {value!r:.50}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is not finite")
    return found


def _plain(value: Any) -> Any:
    """Records as JSON values in the order of their fields; numbers that JSON lacks become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return rows.finite(value)
    return value
