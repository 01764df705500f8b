"""Which process writes a row, as `<pid>:<start time>`: a pid alone may long since be somebody else's."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def owner() -> str:
    """The process that asks."""
    return _owner(os.getpid())


@cache
def _owner(pid: int) -> str:
    return f"{pid}:{_started(pid)}"


def alive(owner: str) -> bool:
    """Whether the process that is named so still runs. An empty name is nobody's."""
    pid, colon, started = owner.partition(":")
    if not colon or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process began, as text that does not change while it lives; empty if there is no such process."""
    if Path("/proc/self/stat").exists():
        # Clock ticks since boot, and which boot: the time of day may be set anew while a process runs.
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        except (OSError, ValueError):
            return ""
        return "" if fields[0] in "ZX" else f"{boot}-{fields[19]}"
    import psutil  # some 30 ms, not needed on Linux

    try:
        return "" if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else str(int(psutil.Process(pid).create_time()))
    except (psutil.Error, ValueError, OverflowError):
        return ""
