"""Training rows of the user's own log: conversations as they are seen, and votes of comparisons as preferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from playground.history.records import MessageRow
from playground.history.store import Store


@dataclass(frozen=True)
class LogFilter:
    """Which chats: these sessions (none: all), used in a time (seconds since 1970, 0 for open), with a title or a model that holds a text.

    `rating`: `any` takes chats and votes, `chats` chats alone, `preferred` only replies that were voted better than another.
    """

    sessions: tuple[str, ...] = ()
    since: float = 0.0
    until: float = 0.0
    rating: Literal["any", "chats", "preferred"] = "any"
    holds: str = ""


def logged_rows(store: Store, wanted: LogFilter) -> list[dict[str, Any]]:
    """Rows in the chat form, and preference pairs. A reply that failed or was broken off ends its row before it."""
    found = []
    for session in [each for kind in ("chat", "compare") for each in store.sessions(kind=kind)]:
        if wanted.sessions and session.id not in wanted.sessions:
            continue
        if session.updated < wanted.since or (wanted.until and session.updated > wanted.until):
            continue
        if wanted.holds and wanted.holds.casefold() not in f"{session.title}\n{session.model_name}".casefold():
            continue
        system = [{"role": "system", "content": session.system}] if session.system.strip() else []
        chat = store.chat(session.id)
        if session.kind == "chat" and wanted.rating != "preferred":
            said = _whole(chat.path())
            if any(each["role"] == "assistant" for each in said):
                found.append({"messages": system + said})
        if session.kind == "compare" and wanted.rating != "chats":
            by_id = {each.id: each for each in chat.messages}
            for vote in store.votes(session.id):
                if vote.verdict != "better":
                    continue
                better, worse = by_id.get(vote.better_id), by_id.get(vote.worse_id)
                asked = by_id.get(better.parent_id) if better is not None else None
                if better is not None and worse is not None and asked is not None and better.content.strip():
                    question = [*system, {"role": "user", "content": asked.content}]
                    found.append({"prompt": question, "chosen": [_said(better)], "rejected": [_said(worse)]})
    return found


def _whole(path: tuple[MessageRow, ...]) -> list[dict[str, str]]:
    """The messages up to the first reply that is not whole."""
    said = []
    for each in path:
        if each.role == "assistant" and (each.state not in ("complete", "stopped") or not each.content.strip()):
            break
        said.append(_said(each))
    return said


def _said(message: MessageRow) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
