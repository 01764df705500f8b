"""A file that comes into being whole or not at all, and the sentences for what can go wrong while it is written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ..errors import StorageError
from ..models import beside

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextlib.contextmanager
def whole_file(target: Path, size: int = 0) -> Iterator[Path]:
    """The temporary path to write to; renamed to `target` at the end, removed if anything raises. `size` in bytes is asked for first.

    Raises StorageError for a full disk or a folder that cannot be written to.
    """
    part = beside.part_of(target)
    try:
        beside.need(target.parent, size)
        yield part
        if target.is_dir():
            raise StorageError(f"{target} is a folder.", "Choose another name for the file.")
        beside.finish(part, target)
    except OSError as error:
        raise cannot_write(target, error) from None
    finally:
        beside.remove(part)


def cannot_write(target: Path, error: OSError) -> StorageError:
    """The sentence for an error while writing."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {target.name} could not be written.", "Free some space, or choose another folder."
        )
    return StorageError(f"{target} cannot be written: {error.strerror or error}.", "Choose another folder.")
