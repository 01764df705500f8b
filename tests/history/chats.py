"""Rows to fill a database with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from playground.history.records import GenerationRow, MessageRow, SessionRow, TokenRow
from playground.history.store import Store

ROOT = Path(__file__).parents[2]
NOBODY = "999999999:long ago"
"""an owner that is no process"""


def session(session_id: str = "s", **fields: Any) -> SessionRow:
    return SessionRow(session_id, **{"created": 1.0, "updated": 1.0, **fields})


def message(message_id: str, content: str, parent_id: str = "", session_id: str = "s", **fields: Any) -> MessageRow:
    return MessageRow(message_id, session_id, parent_id, **{"role": "user", "created": 1.0, **fields}, content=content)


def reply(message_id: str, content: str, parent_id: str, **fields: Any) -> MessageRow:
    return message(message_id, content, parent_id, **{"role": "assistant", **fields})


def generation(generation_id: str, message_id: str, session_id: str = "s", **fields: Any) -> GenerationRow:
    named = {"model_path": "/m.gguf", "model_name": "m", "model_sha256": "ab", "engine": "llama.cpp", "engine_build": "b1"}
    return GenerationRow(generation_id, session_id, message_id, **{**named, "device": "CPU", "started": 1.0, **fields})


def tokens(*texts: str, start: int = 0) -> list[TokenRow]:
    return [TokenRow(start + place, 100 + place, text, -0.5, 0.6, 1.5) for place, text in enumerate(texts)]


def add_chat(store: Store, session_id: str, *texts: str, **fields: Any) -> None:
    """A chat of one branch: the texts in turn from the user and from the model."""
    store.add_session(session(session_id, tip=f"{session_id}-{len(texts) - 1}" if texts else "", **fields))
    parent = ""
    for number, text in enumerate(texts):
        role = "assistant" if number % 2 else "user"
        store.add_message(message(f"{session_id}-{number}", text, parent, session_id, role=role, created=float(number)))
        parent = f"{session_id}-{number}"


def child(code: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    """Another Python that runs `code`, with its input and output as pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        **more,
    )


def run_child(code: str, *arguments: object) -> list[str]:
    """The lines that another Python printed; it must have ended well."""
    with child(code, *arguments) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()
