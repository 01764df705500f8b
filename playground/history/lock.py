"""One window a data folder. The system lets go of the lock when its holder dies, however it dies. The command line takes none."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from pathlib import Path
from typing import IO

from playground.errors import InUseError

log = logging.getLogger(__name__)

_PLACE = 1 << 30
"""the locked byte, far behind the holder's number: on Windows a locked byte cannot be read by others"""


class WindowLock:
    """Held from its making until `release` or the end of the process. `InUseError` if another window holds it.

    Where no lock can be had at all (a read-only folder, some network disks) the window opens without one: `held` is False then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False
        self._file: IO[str] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("r+" if path.exists() else "w+", encoding="ascii", errors="replace")
            _lock(self._file)
        except OSError as error:
            holder = self._holder()
            self.release()
            # Windows says EACCES for a locked byte as well as for a file that may not be opened.
            if error.errno in (errno.EAGAIN, errno.EDEADLK) or (error.errno == errno.EACCES and holder is not None):
                who = f" (process {holder})" if holder else ""
                raise InUseError(
                    f"Another Playground window{who} is using {path.parent}.",
                    "Go on in that window, or set PLAYGROUND_HOME to another folder.",
                ) from None
            log.warning("no lock on %s: %s", path, error)
            return
        self.held = True
        self._note(f"{os.getpid()}\n")

    def release(self) -> None:
        if self._file is None:
            return
        if self.held:
            self._note("")
            self.held = False
        with contextlib.suppress(OSError):
            self._file.close()  # the lock goes with it; the file stays, or two could hold locks on two files of one name
        self._file = None

    def _note(self, text: str) -> None:
        """Leaves word of who holds the lock; a full disk is no reason to fail."""
        assert self._file is not None
        with contextlib.suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text)
            self._file.flush()

    def _holder(self) -> str | None:
        """The number of the process that noted itself; empty if it is not known, None if the file could not be opened."""
        if self._file is None:
            return None
        try:
            self._file.seek(0)
            noted = self._file.read(20).strip()
        except OSError:
            return ""
        return noted if noted.isdigit() else ""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
