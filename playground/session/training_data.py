"""Which dataset a name or a file stands for, as training needs it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from playground.errors import NotFoundError
from playground.paths import Home, existing
from playground.session.training_jobs import DataRef


def find(home: Home, name: str) -> DataRef:
    """A file of rows in the training form (JSON lines). NotFoundError if there is none."""
    path = existing(name)
    if path is None or not path.is_file():
        raise NotFoundError(f"There is no dataset {name}.", "Name a file.")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return DataRef(str(path), Path(name).stem, sha256, str(path))
