"""A database in memory, one on disk, and chats to put into them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.history.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "playground.db"
