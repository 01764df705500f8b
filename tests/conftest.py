"""What holds for all tests, however they were started."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and nothing said of how long they take: what fails on one machine fails on all.
settings.register_profile("playground", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("playground")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has Ctrl+C ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What workers keep that no session started: not in the data folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
