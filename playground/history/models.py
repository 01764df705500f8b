"""The part of the database that belongs to models: files and their hashes, predicted against measured memory, what quantizing lost."""

from __future__ import annotations

from typing import Any

from playground.history import rows
from playground.history.connected import Connected
from playground.history.records import FitRow


class Models(Connected):
    """What `Store` can do for models."""

    # -- files

    def remember_model(
        self, path: str, size: int, mtime: float, sha256: str = "", name: str = "", used: float | None = None
    ) -> None:
        """Notes a model's file and, as far as they are given, its hash, its name and when it was last loaded.

        A hash noted for a file of another size or time is forgotten.
        """
        self._run(
            """INSERT INTO models (path, size, mtime, sha256, name, last_used) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (path) DO UPDATE SET
                sha256 = CASE WHEN excluded.sha256 != '' OR size != excluded.size OR mtime != excluded.mtime
                    THEN excluded.sha256 ELSE sha256 END,
                name = CASE WHEN excluded.name != '' THEN excluded.name ELSE name END,
                last_used = coalesce(excluded.last_used, last_used), size = excluded.size, mtime = excluded.mtime""",
            [rows.clean(path), size, mtime, sha256, rows.clean(name), used],
        )

    def model_sha256(self, path: str, size: int, mtime: float) -> str:
        """The hash noted for exactly this file; empty if there is none."""
        found = self._query(
            "SELECT sha256 FROM models WHERE path = ? AND size = ? AND mtime = ?", [rows.clean(path), size, mtime]
        )
        return str(found[0][0]) if found else ""

    def recent_models(self, limit: int = 20) -> list[tuple[str, str, float]]:
        """(path, name, when) of the models loaded last."""
        found = self._query(
            "SELECT path, name, last_used FROM models WHERE last_used IS NOT NULL ORDER BY last_used DESC LIMIT ?", [limit]
        )
        return [(row[0], row[1], row[2]) for row in found]

    def forget_model(self, path: str) -> None:
        self._run("DELETE FROM models WHERE path = ?", [rows.clean(path)])

    # -- fits

    def add_fit(self, fit: FitRow) -> None:
        self._add("fits", rows.to_columns(fit))

    def update_fit(self, fit_id: str, **fields: Any) -> None:
        self._update("fits", "fit", rows.FIT, fit_id, fields)

    def fits(self, limit: int = 100, model_path: str = "") -> list[FitRow]:
        """Predicted against measured, the newest first; of one model if it is named."""
        condition, parameters = ("WHERE model_path = ?", [rows.clean(model_path)]) if model_path else ("", [])
        return [
            rows.fit(row)
            for row in self._select("fits", rows.FIT, f"{condition} ORDER BY made DESC LIMIT ?", [*parameters, limit])
        ]

    # -- quality

    def add_measured(
        self, original: str, model: str, text: str, context: int, chunks: int, made: float, figures: dict[str, Any]
    ) -> None:
        """What a model lost against an original on a text, all three named by their hashes. Replaces what was measured before."""
        self._run(
            "INSERT OR REPLACE INTO measured (original, model, text, context, chunks, made, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [original, model, text, context, chunks, made, rows.dump(figures)],
        )

    def measured(self, original: str, text: str, context: int, chunks: int) -> dict[str, dict[str, Any]]:
        """What was measured against an original in just this way, by model."""
        found = self._query(
            "SELECT model, figures FROM measured WHERE original = ? AND text = ? AND context = ? AND chunks = ?",
            [original, text, context, chunks],
        )
        return {row[0]: rows.load(row[1], {}) for row in found}
