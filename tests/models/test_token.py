"""The token: where it comes from, and that it is nowhere to be read afterwards."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend

from playground.errors import GatedError, HubError
from playground.models import commands
from playground.models import token as tokens
from playground.models.hub import Hub
from playground.paths import Home
from playground.protocol import Failed, Finished, encode
from tests.loopback_hub import LoopbackHub
from tests.models.conftest import Getter
from tests.models.tiny import write_gguf

SECRET = "hf_VerySecretVerySecretVerySecret"


class MemoryKeyring(KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


def test_without_a_keyring_it_lasts_for_the_session() -> None:
    assert (tokens.current(), tokens.source()) == (None, "none")
    assert tokens.save(SECRET + "\n") == "session"
    assert (tokens.current(), tokens.source()) == (SECRET, "session")
    tokens.forget()
    assert tokens.current() is None


def test_a_keyring_keeps_it() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    try:
        assert tokens.save(SECRET) == "keyring"
        assert tokens.SESSION not in os.environ
        assert (tokens.current(), tokens.source()) == (SECRET, "keyring")
        tokens.forget()
        assert tokens.current() is None
    finally:
        keyring.set_keyring(before)


def test_an_existing_login_is_used_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "hf" / "token"
    file.parent.mkdir()
    file.write_text(SECRET)
    assert (tokens.current(), tokens.source()) == (SECRET, "login")
    tokens.forget()
    assert file.read_text() == SECRET


@pytest.mark.parametrize("text", ["", "  ", "two words", "line\nbreak", "smile\N{GRINNING FACE}"])
def test_what_cannot_be_a_token(text: str) -> None:
    with pytest.raises(HubError):
        tokens.save(text)


def test_it_is_nowhere_to_be_read(
    hub: LoopbackHub, get: Callable[..., Getter], home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A good download, refusals and breakdowns under a token; then everything that was written, sent or said is searched."""
    caplog.set_level(logging.DEBUG)
    tokens.save(SECRET)
    hub.add("acme/open", {"a.gguf": write_gguf(tmp_path / "made.gguf", weights=64)})
    hub.add("acme/locked", {"a.gguf": b"x"}, gated="manual")
    said = []
    for question in (lambda: Hub().gguf_header("acme/locked", "a.gguf"), lambda: Hub().model("acme/nobody"), Hub().who):
        with pytest.raises(HubError if question == Hub().who else Exception) as caught:
            question()
        said += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    with pytest.raises(GatedError):
        Hub().who()
    good, locked = get("acme/open"), get("acme/locked")
    assert good.ended() == Finished(1)
    failed = locked.ended()
    assert isinstance(failed, Failed)
    assert failed.kind == "GatedError"
    hub.faults.answer = "nothing"
    broken = get("acme/open")
    assert isinstance(broken.ended(), Failed)
    for getter in (good, locked, broken):
        said += [encode(event).decode() for event in getter.events if not hasattr(event, "asked")]
    said += [str(commands.list_models(home)), caplog.text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    said += [path.read_bytes().decode("latin-1") for path in files]
    assert any(asked.token == SECRET for asked in hub.log)
    assert not [text for text in said if SECRET in text]
    assert tokens.scrub(f"Bearer {SECRET}") == "Bearer [token]"
