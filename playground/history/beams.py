"""A beam search with its tree as the database keeps it: one document a search. Knows the protocol's nodes, but no session and no engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from playground.errors import SettingError
from playground.params import BeamSettings, from_dict, to_dict
from playground.protocol import BeamFound, BeamNode


@dataclass(frozen=True)
class BeamSearchRow:
    """A beam search with its tree: what a session of kind `beam` consists of."""

    session_id: str
    prompt: str
    """as it was asked: a message of the user, or (`raw`) the text itself"""
    settings: BeamSettings = BeamSettings()
    system: str = ""
    reply_start: str = ""
    raw: bool = False
    state: str = "running"
    """`running`, `done`, `cancelled`, `failed`, `interrupted`"""
    error: str = ""
    hint: str = ""
    rendered: str = ""
    prompt_ids: tuple[int, ...] = ()
    steps: tuple[tuple[BeamNode, ...], ...] = ()
    beams: tuple[BeamFound, ...] = ()
    """the best first"""
    why: str = ""
    """it ended: see `BeamsFound`"""
    arithmetic: str = ""
    tokens: int = 0
    """computed, of all beams together"""
    prefill_s: float = 0.0
    decode_s: float = 0.0
    model_path: str = ""
    model_name: str = ""
    model_sha256: str = ""
    adapter: str = ""
    engine: str = ""
    engine_build: str = ""
    device: str = ""
    started: float = 0.0


def from_document(session_id: str, data: Mapping[str, Any]) -> BeamSearchRow | None:
    """None for a document that is none, or that another version wrote in a way that this one does not know."""
    known = {field.name for field in fields(BeamSearchRow)}
    try:
        values = {name: value for name, value in data.items() if name in known}
        values["settings"] = from_dict(BeamSettings, data["settings"])
        values["prompt_ids"] = tuple(data.get("prompt_ids", ()))
        values["steps"] = tuple(tuple(map(_node, step)) for step in data.get("steps", ()))
        values["beams"] = tuple(map(_found, data.get("beams", ())))
        return BeamSearchRow(**{**values, "session_id": session_id})
    except (TypeError, KeyError, ValueError, SettingError):
        return None


def to_document(search: BeamSearchRow) -> dict[str, Any]:
    """As it is stored: nodes as bare lists, which come by the hundred."""
    data = {field.name: getattr(search, field.name) for field in fields(search) if field.name != "session_id"}
    data["settings"] = to_dict(search.settings)
    data["steps"] = [[list(vars(node).values()) for node in step] for step in search.steps]
    data["beams"] = [vars(each) for each in search.beams]
    return data


def _node(values: Any) -> BeamNode:
    number, parent, token, text, logprob, total, length, state = values
    return BeamNode(number, parent, token, text, _logprob(logprob), _logprob(total), length, state)


def _found(data: Mapping[str, Any]) -> BeamFound:
    logprobs = tuple(map(_logprob, data["logprobs"]))
    more = {"token_ids": tuple(data["token_ids"]), "logprobs": logprobs}
    return BeamFound(**{**data, **more, "score": _logprob(data["score"]), "total": _logprob(data["total"])})


def _logprob(value: float | None) -> float:
    """JSON has no infinity: the database keeps null for minus infinity."""
    return -math.inf if value is None else value
