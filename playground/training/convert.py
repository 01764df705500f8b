"""Records to rows: conversations of several dialects, questions with answers, pairs, texts. What is wrong is named, never guessed away.

Knows columns by what they hold (`columns`), no files.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from playground.training.columns import Columns, flat, guess
from playground.training.files import Record
from playground.training.problems import Fix, Problem
from playground.training.rows import Message, Row, with_input

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "person", "customer", "client", "question", "instruction"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "bot", "chatgpt", "model", "ai", "agent", "functioncall", "answer", "response"), "assistant"
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "functionresponse", "toolresponse", "ipython"), "tool"),
}
_SPEAKER = ("role", "from", "speaker", "author", "sender")
_SAID = ("content", "value", "text", "message", "utterance", "body")
_TURN = re.compile(r"^\s*(Human|User|Assistant|AI|Bot):[ \t]?", re.MULTILINE)


class _Wrong(Exception):
    """A row that cannot be converted: a problem's kind, field and sentence."""

    def __init__(self, kind: str, field: str, what: str) -> None:
        super().__init__(what)
        self.kind, self.field, self.what = kind, field, what


class Converter:
    """Converts records one after another. `mixed` counts the rows whose own columns told another schema than the file's."""

    def __init__(self, columns: Columns, fixes: Mapping[str, Fix] | None = None) -> None:
        self._columns = columns
        self._fixes = fixes or {}
        self._others: dict[tuple[str, ...], Columns] = {}
        self.mixed = 0

    def convert(self, record: Record) -> tuple[Row | None, list[Problem]]:
        """The row, or None, and what was wrong. What a fix other than `skip` mends is told as well."""
        found: list[Problem] = []

        def tell(kind: str, field: str, what: str) -> Fix:
            problem = Problem(kind, record.number, field, what, record.file)
            found.append(problem)
            return self._fixes.get(kind, problem.fix)

        try:
            fields = as_fields(record.value)
            return self._row(fields, self._for(fields), record.number, tell), found
        except _Wrong as wrong:
            tell(wrong.kind, wrong.field, wrong.what)
            return None, found

    def _for(self, fields: Mapping[str, Any]) -> Columns:
        """The columns that hold for this row: the file's, or its own if it lacks those."""
        needed = [self._columns[part] for part in ("messages", "answer", "text") if self._columns[part]]
        if self._columns.schema and all(name in fields for name in needed):
            return self._columns
        keys = tuple(sorted(fields))
        own = self._others.get(keys) or guess(
            [{name: "x" if value in (None, "", []) else value for name, value in fields.items()}]
        )
        if len(self._others) < 1000:
            self._others[keys] = own
        if not own.schema or not own.sure:  # one row's looks tell nothing
            has = ", ".join(f"'{name[:40]}'" for name in list(fields)[:6]) or "nothing"
            lacks = f"it has no '{needed[0]}', only" if needed else "no column tells what to learn; there are"
            raise _Wrong("columns", needed[0] if needed else "", f"{lacks} {has}.")
        self.mixed += 1 if self._columns.schema else 0
        return own

    def _row(self, fields: Mapping[str, Any], columns: Columns, number: int, tell: Any) -> Row | None:
        if columns.schema == "text":
            text = as_text(fields[columns["text"]], columns["text"])
            if not text.strip():
                raise _Wrong("empty answer", columns["text"], "the text is empty.")
            return Row(text=text, number=number)
        system = as_text(fields.get(columns["system"]), columns["system"]) if columns["system"] else ""
        before = [Message("system", system)] if system.strip() else []
        if columns.schema == "chat":
            said = turns_of(fields[columns["messages"]], columns["messages"], tell)
            return _in_order(before + said if said is not None else None, columns["messages"], number, tell)
        if columns.schema == "pairs":
            return self._pair(fields, columns, before, number, tell)
        disliked = columns["liked"] and fields.get(columns["liked"]) is False
        if disliked and tell("disliked", columns["liked"], "the answer is marked as a bad one.") == "skip":
            return None
        parts = [fields.get(columns[part]) for part in ("question", "answer")]
        if any(isinstance(part, list) and part and isinstance(part[0], Mapping) and _speaks(part[0]) for part in parts):
            return self._pair(fields, columns, before, number, tell)
        question = as_text(fields.get(columns["question"]), columns["question"])
        given = as_text(fields.get(columns["input"]), columns["input"]) if columns["input"] else ""
        answer = _answer(fields, columns["answer"])
        asked = with_input(question, given)
        if not asked.strip():
            raise _Wrong("no question", columns["question"], "the question is empty.")
        messages = (*before, Message("user", asked), Message("assistant", answer))
        return Row(messages, input=given if question else "", number=number)

    def _pair(self, fields: Mapping[str, Any], columns: Columns, before: list[Message], number: int, tell: Any) -> Row | None:
        """A preference: the chosen answer is learned, the rejected one kept."""
        chosen = self._side(fields, columns, "answer", tell)
        rejected = self._side(fields, columns, "rejected", tell) if columns["rejected"] else []
        if chosen is None:
            return None
        row = _in_order(before + chosen, columns["answer"], number, tell)
        said = next((each.content for each in reversed(rejected or []) if each.role == "assistant"), "")
        return row and Row(row.messages, rejected=said, number=number)

    def _side(self, fields: Mapping[str, Any], columns: Columns, part: str, tell: Any) -> list[Message] | None:
        name, asked = columns[part], fields.get(columns["question"]) if columns["question"] else None
        value = fields.get(name)
        prompt = turns_of(asked, columns["question"], tell) if isinstance(asked, list) else None
        if prompt is None and asked is not None:
            prompt = _transcript(as_text(asked, columns["question"])) or [Message("user", as_text(asked, columns["question"]))]
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            said = turns_of(value, name, tell)
            return said if said is None or len(said) > 1 or not prompt else prompt + said
        text = as_text(value, name)
        if told := _transcript(text):
            return told
        if not text.strip() and part == "answer":
            raise _Wrong("empty answer", name, "the answer is empty.")
        return [*(prompt or []), Message("assistant", text)]


def _speaks(turn: Mapping[str, Any]) -> bool:
    return any(isinstance(turn.get(name), str) for name in _SPEAKER)


def as_fields(value: Any) -> dict[str, Any]:
    """A record as columns; a bare text or a bare list of turns gets a column's name."""
    if isinstance(value, Mapping):
        return flat(value)
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, list):
        return {"messages": value}
    raise _Wrong("type", "", f"it is {_kind(value)}, not an object with columns.")


def as_text(value: Any, name: str) -> str:
    """What a cell says: texts as they stand, numbers as they are written, the first of several answers. _Wrong for what is no text."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list):
        if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in value):
            return "".join(part["text"] for part in value)
        if not value or not isinstance(value[0], Mapping | list):
            return as_text(value[0], name) if value else ""
    raise _Wrong("type", name, f"it holds {_kind(value)}, not a text.")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing", bytes: "bytes"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _answer(fields: Mapping[str, Any], name: str) -> str:
    answer = as_text(fields.get(name), name)
    if not answer.strip():
        raise _Wrong("empty answer", name, "the answer is empty.")
    return answer


# -- conversations


def turns_of(value: Any, name: str, tell: Any) -> list[Message] | None:
    """The messages of a list of turns, in any of the dialects; None if the row is to be left out."""
    if isinstance(value, str):
        if value.lstrip()[:1] == "[":  # a list that was written into a cell of a table
            try:
                return turns_of(json.loads(value), name, tell)
            except (ValueError, RecursionError):
                pass
        if told := _transcript(value):
            return told
    if not isinstance(value, list):
        raise _Wrong("type", name, f"it holds {_kind(value)}, not a list of messages.")
    if not value:
        raise _Wrong("empty answer", name, "there are no messages.")
    found: list[Message] = []
    for place, turn in enumerate(value):
        where = f"{name}[{place}]"
        if isinstance(turn, str):
            found.append(Message(("user", "assistant")[place % 2], turn))
        elif isinstance(turn, list) and len(turn) == 2:
            found += [Message("user", as_text(turn[0], where)), Message("assistant", as_text(turn[1], where))]
        elif isinstance(turn, Mapping):
            told = _turn(turn, where, tell)
            if told is None:
                return None
            found += told
        else:
            raise _Wrong("type", where, f"it is {_kind(turn)}, not a message.")
    return found


def _turn(turn: Mapping[str, Any], where: str, tell: Any) -> list[Message] | None:
    speaker = next((name for name in _SPEAKER if isinstance(turn.get(name), str)), "")
    said = next((name for name in _SAID if name in turn), "")
    if not speaker:
        pairs = [(ROLES.get(re.sub(r"[^a-z]", "", name.lower()), ""), name) for name in turn]
        if any(role for role, _ in pairs):  # {"user": ..., "assistant": ...}
            return [Message(role, as_text(turn[name], f"{where}.{name}")) for role, name in pairs if role]
        raise _Wrong("columns", where, "the message does not say who speaks.")
    role = ROLES.get(re.sub(r"[^a-z]", "", turn[speaker].lower()), "")
    if not role:
        fix = tell("role", f"{where}.{speaker}", f"'{turn[speaker][:40]}' is no role.")
        return [] if fix == "trim" else None
    content = as_text(turn[said], f"{where}.{said}") if said else ""
    if calls := turn.get("tool_calls") or turn.get("function_call"):
        content = "\n".join(part for part in (content, _calls(calls)) if part)
    if not said and not calls:
        raise _Wrong("columns", where, "the message has no content.")
    return [Message(role, content, turn.get("weight", 1) not in (0, 0.0, False) and turn.get("loss", True) is not False)]


def _calls(calls: Any) -> str:
    """Tool calls as the text that a model is to write: an object with name and arguments a line."""
    lines = []
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                pass
        lines.append(json.dumps({"name": function.get("name", ""), "arguments": arguments}, ensure_ascii=False))
    return "\n".join(lines)


def _transcript(text: str) -> list[Message] | None:
    """The turns of a text that is written as "Human: ... Assistant: ..."; None if it is not."""
    parts = _TURN.split(text)
    if len(parts) < 3 or parts[0].strip() or parts[1] not in ("Human", "User"):
        return None
    roles = {"Human": "user", "User": "user"}
    return [Message(roles.get(who, "assistant"), said.strip()) for who, said in zip(parts[1::2], parts[2::2], strict=True)]


def _in_order(messages: Sequence[Message] | None, name: str, number: int, tell: Any) -> Row | None:
    """The conversation as a template wants it: begun by a question, ended by an answer, speakers in turn; mended as the fixes say."""
    if messages is None:
        return None
    kept = list(messages)
    spoken = [place for place, each in enumerate(kept) if each.role != "system"]
    first = next((place for place in spoken if kept[place].role == "user"), -1)
    if not any(each.role == "assistant" for each in kept):
        raise _Wrong("empty answer", name, "nobody answers.")
    if first < 0:
        raise _Wrong("no question", name, "nobody asks anything.")
    if spoken[0] != first:
        if tell("starts with an answer", f"{name}[{spoken[0]}]", "the conversation starts with an answer.") == "skip":
            return None
        kept = [each for place, each in enumerate(kept) if each.role == "system" or place >= first]
    last = max((place for place, each in enumerate(kept) if each.role == "assistant"), default=-1)
    if last < 0:
        raise _Wrong("empty answer", name, "nobody answers the question.")
    if last < len(kept) - 1:
        if tell("ends with a question", f"{name}[{last + 1}]", "nobody answers the last message.") == "skip":
            return None
        kept = kept[: last + 1]
    joined: list[Message] = []
    for place, each in enumerate(kept):
        if joined and each.role == joined[-1].role and each.role != "tool":
            if (
                each.role != "system"
                and tell("same role twice", f"{name}[{place}]", f"the {each.role} speaks twice in a row.") == "skip"
            ):
                return None
            joined[-1] = Message(each.role, f"{joined[-1].content}\n\n{each.content}", joined[-1].loss and each.loss)
        else:
            joined.append(each)
    for place, each in enumerate(joined):
        if each.role == "assistant" and not each.content.strip():
            raise _Wrong("empty answer", f"{name}[{place}].content", "the answer is empty.")
        if each.role == "user" and not each.content.strip():
            raise _Wrong("no question", f"{name}[{place}].content", "the question is empty.")
    if not any(each.role == "assistant" and each.loss for each in joined):
        raise _Wrong("not learnable", name, "every answer is marked as not to be learned from.")
    return Row(tuple(joined), number=number)
