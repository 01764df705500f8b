"""Fixtures of the window's tests: offscreen, a home of their own, a fake session, and nothing left running."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from fake_session import FakeSession

from playground.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data folder that nobody else uses."""
    return Home(tmp_path / "home")


@pytest.fixture
def session(home: Home):
    """A fake session, not started; closed after the test."""
    made = FakeSession(home, rate=0, prefill_s=0, load_s=0)
    yield made
    made.close()


@pytest.fixture
def dressed(qapp):
    """The application with the theme on."""
    from playground.gui import theme

    theme.apply(qapp, "light")
    return qapp
