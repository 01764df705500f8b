"""The one form that every training row is converted to: messages with roles, or a text; and its line of JSON. Knows no file format."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

_sorted = json.JSONEncoder(sort_keys=True)

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class Message:
    """One message. `loss`: whether an answer is learned from; it says nothing of other roles."""

    role: str
    content: str
    loss: bool = True


@dataclass(frozen=True)
class Row:
    """A conversation that ends with an answer, or a plain text (then there are no messages).

    `input`: the part of the first question that came as a field of its own; the question ends with it.
    `rejected`: the answer that was liked less than the last one, kept for later. `number`: where the row stood in its file, from 1.
    """

    messages: tuple[Message, ...] = ()
    text: str = ""
    input: str = ""
    rejected: str = ""
    number: int = field(default=0, compare=False)

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple(each.content for each in self.messages if each.role == "assistant")

    @property
    def system(self) -> str:
        return "\n\n".join(each.content for each in self.messages if each.role == "system")

    def digest(self) -> str:
        """SHA-256 of what it says, in hexadecimal: the same for the same row wherever it stands."""
        said = {name: value for name, value in to_json(self).items() if name != "row"}
        return hashlib.sha256(_sorted.encode(said).encode("utf-8", "surrogatepass")).hexdigest()


def conversation(*turns: str, system: str = "", **more: Any) -> Row:
    """A row of questions and answers in turn, the first a question."""
    roles = ("user", "assistant")
    messages = [Message(roles[place % 2], turn) for place, turn in enumerate(turns)]
    return Row(((Message("system", system),) if system else ()) + tuple(messages), **more)


def to_json(row: Row) -> dict[str, Any]:
    """What a row's line in `data.jsonl` holds; fields that say nothing are left out."""
    line: dict[str, Any] = {}
    if row.messages:
        line["messages"] = [
            {"role": each.role, "content": each.content} | ({} if each.loss else {"loss": False}) for each in row.messages
        ]
    for name in ("text", "input", "rejected"):
        if value := getattr(row, name):
            line[name] = value
    if row.number:
        line["row"] = row.number
    return line


def from_json(line: dict[str, Any], number: int = 0) -> Row:
    """The inverse of `to_json`."""
    messages = tuple(Message(each["role"], each["content"], each.get("loss", True)) for each in line.get("messages", ()))
    return Row(messages, line.get("text", ""), line.get("input", ""), line.get("rejected", ""), line.get("row", number))


def with_input(instruction: str, text: str) -> str:
    """A question of an instruction and the text that it is about: what chat models are asked, as in Alpaca's data."""
    return f"{instruction}\n\n{text}" if instruction and text else instruction or text


def instruction_of(row: Row, question: str) -> str:
    """The question without the row's `input`: what stands at {instruction} in a base model's template."""
    if row.input and question.endswith(row.input):
        return question[: -len(row.input)].removesuffix("\n\n")
    return question


def without_trailing(row: Row) -> Row:
    """The row up to its last answer: what nobody answers cannot be learned from."""
    last = max((place for place, each in enumerate(row.messages) if each.role == "assistant"), default=-1)
    return replace(row, messages=row.messages[: last + 1])
