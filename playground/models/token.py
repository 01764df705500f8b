"""The hub's token: an existing Hugging Face login is used; our own is kept in the system's keyring, else for this session.

The token itself appears in no log, database, message or exception: a worker reads it here, it is not sent to one. Who must
quote something that came from outside runs it through `scrub`. What a repository needs is not known here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from playground.errors import HubError

SERVICE = "playground"
ACCOUNT = "huggingface"
SESSION = "PLAYGROUND_HF_TOKEN"
"""The environment variable that holds a token for this session: workers inherit it, nothing writes it down."""

Source = Literal["session", "keyring", "login", "none"]

_seen: set[str] = set()


def current() -> str | None:
    """The token in force: this session's, ours from the keyring, or that of an existing login (`hf auth login`, `HF_TOKEN`)."""
    return _find()[0]


def source() -> Source:
    """Where the token in force comes from."""
    return _find()[1]


def save(token: str) -> Source:
    """Keeps a token that the user entered: in the keyring where there is one, else until the program ends. Says which."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise HubError("That is not a Hugging Face token.", "Copy it whole from https://huggingface.co/settings/tokens.")
    _seen.add(token)
    try:
        import keyring

        keyring.set_password(SERVICE, ACCOUNT, token)
        if keyring.get_password(SERVICE, ACCOUNT) == token:
            os.environ.pop(SESSION, None)
            return "keyring"
    except Exception:  # a keyring backend may fail in any way it likes, and its words could quote the token
        pass
    os.environ[SESSION] = token
    return "session"


def forget() -> None:
    """Forgets our own token. An existing Hugging Face login is somebody else's and stays."""
    os.environ.pop(SESSION, None)
    with suppress(Exception):
        import keyring

        keyring.delete_password(SERVICE, ACCOUNT)


def scrub(text: str) -> str:
    """The text without any token that this process has seen."""
    for token in _seen:
        text = text.replace(token, "[token]")
    return text


def _find() -> tuple[str | None, Source]:
    ways: tuple[tuple[Source, object], ...] = (("session", _session), ("keyring", _keyring), ("login", _login))
    for name, way in ways:
        token = way()  # type: ignore[operator]
        if token:
            _seen.add(token)
            return token, name
    return None, "none"


def _session() -> str | None:
    return os.environ.get(SESSION)


def _keyring() -> str | None:
    try:
        import keyring

        found = keyring.get_password(SERVICE, ACCOUNT)
        return str(found) if found else None
    except Exception:  # no keyring, a locked one, a broken one: the same to us
        return None


def _login() -> str | None:
    from playground.models import hub_client

    return hub_client.login_token()
