"""Workers to talk to. One per module where tests only read from it, one per test where they break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.paths import starter
from tests.models_made import random_model, reciting_model
from tests.workers.talk import Talk


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A llama.cpp worker without a model."""
    talk = Talk()
    yield talk
    talk.close()


@pytest.fixture(scope="module")
def talking() -> Iterator[Talk]:
    """A llama.cpp worker with the starter model, shared by the module's tests."""
    talk = Talk()
    talk.load(starter())
    yield talk
    talk.close()


PIECES = (
    b"start",
    b"Hel",
    b"lo ",
    b"\xc3",
    b"\xa9",
    b"\xf0",
    b"\x9f",
    b"\xa6",
    b"\x8a",
    b" EN",
    b"D.",
    b" more",
    b" and",
    b" last",
)
"""What the reciting model says: `Hello é🦊 END. more and last`, with characters and words in pieces."""


@pytest.fixture(scope="module")
def reciting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """A worker with a model that says `PIECES` after the prompt `[257]`, and then ends."""
    path = tmp_path_factory.mktemp("models") / "reciting.gguf"
    reciting_model(path, PIECES)
    talk = Talk()
    talk.load(path)
    yield talk
    talk.close()


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in Q8_0."""
    return random_model(tmp_path_factory.mktemp("models") / "random-Q8_0.gguf", "Q8_0")
