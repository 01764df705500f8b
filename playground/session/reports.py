"""Quality reports that were made, one JSON file each in the data folder, and which of their models nothing beats.

Knows measured rows and a folder; measuring is the workshop's. A file that cannot be read is left out of the list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from playground.errors import StorageError
from playground.history.records import new_id
from playground.paths import Home
from playground.protocol import QualityRow

FOLDER = "reports"
_LIMIT = 1 << 20
"""bytes; a report has a row a model, so that a larger file is none of ours"""


@dataclass(frozen=True)
class Report:
    """What was measured: `rows` with the original first, on `text` (a name, for people), at a time in seconds since 1970."""

    id: str
    made: float
    text: str
    rows: tuple[QualityRow, ...]

    @property
    def original(self) -> QualityRow:
        return self.rows[0]


def front(rows: Sequence[QualityRow]) -> frozenset[str]:
    """Paths of the Pareto front by size and KL divergence, the original (first) left out: no other row is as small and as near to it.

    Of rows that are equal in both, all are on the front.
    """
    rest = rows[1:]

    def beaten(row: QualityRow) -> bool:
        return any(
            other.size <= row.size
            and other.kl_divergence <= row.kl_divergence
            and (other.size, other.kl_divergence) != (row.size, row.kl_divergence)
            for other in rest
        )

    return frozenset(row.path for row in rest if not beaten(row))


def keep(home: Home, text: str, made: float, rows: Sequence[QualityRow]) -> Report:
    """Writes a report. StorageError if it cannot be kept."""
    report = Report(new_id(), made, text, tuple(rows))
    target = home.root / FOLDER / f"{report.id}.json"
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(asdict(report), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StorageError(f"The report cannot be kept: {error.strerror or error}.", "Check the data folder.") from None
    return report


def kept(home: Home) -> list[Report]:
    """All reports, the newest first."""
    found = []
    try:
        files = [each for each in (home.root / FOLDER).iterdir() if each.suffix == ".json"]
    except OSError:
        return []
    for file in files:
        report = _read(file)
        if report is not None:
            found.append(report)
    return sorted(found, key=lambda each: -each.made)


def forget(home: Home, number: str) -> None:
    """Throws a report away."""
    (home.root / FOLDER / f"{Path(number).name}.json").unlink(missing_ok=True)


def _read(file: Path) -> Report | None:
    try:
        if file.stat().st_size > _LIMIT:
            return None
        data = json.loads(file.read_bytes())
        rows = tuple(_row(each) for each in data["rows"])
        return Report(str(data["id"]), float(data["made"]), str(data["text"]), rows) if rows else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _row(data: dict[str, Any]) -> QualityRow:
    """A row of the file; fields that later versions add are left out. TypeError, ValueError for what is none."""
    kinds = {"str": str, "int": int, "float": float}
    return QualityRow(**{each.name: kinds[str(each.type)](data[each.name]) for each in fields(QualityRow)})
