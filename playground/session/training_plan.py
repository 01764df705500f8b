"""What a run would be: joins a model's header, a dataset's rows as tokens and the memory that is free. Asks a worker for the tokens."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import DataError, ModelFileError
from playground.memory.devices import find_devices
from playground.params import from_dict, to_dict
from playground.protocol import MeasureRows, RowsMeasured
from playground.session import fitting
from playground.session import training_folders as folders
from playground.session.training_jobs import DataRef, TrainPlan
from playground.session.training_suggest import QUANTIZED, Given, suggest
from playground.session.workshop_steps import REQUEST, Step, Stop, run_step
from playground.training.encode import EncodeSettings, packed

MODULE = "playground.workers.train"
LIMIT = 4000
"""rows that are measured for a plan; of more, as many spread evenly"""


class Planner:
    """Makes plans. What was measured of the same rows is not measured again."""

    def __init__(
        self,
        find: Callable[[str], Path],
        dataset: Callable[[str], DataRef],
        learned: Callable[[], tuple[dict[str, int], dict[str, float]]],
    ) -> None:
        self._find, self._dataset, self._learned = find, dataset, learned
        self._measured: dict[tuple[Any, ...], RowsMeasured] = {}
        self._lock = threading.Lock()
        self._stop = Stop()

    def close(self) -> None:
        self._stop.now()

    def plan(self, model: str, data: str, wishes: Mapping[str, Any], encode: Mapping[str, Any]) -> TrainPlan:
        """Blocks. DataError, NotFoundError, ModelFileError, SettingError for what cannot be trained."""
        folder = folders.training_folder(self._find(model))
        if (stored := _stored(folder)) not in ("", *QUANTIZED):
            raise ModelFileError(
                f"{folders.shown_name(folder)} is stored in {stored}, which cannot be trained.", "Get the original model."
            )
        found = self._dataset(data)
        encode = to_dict(from_dict(EncodeSettings, dict(encode)))
        rows = self.measure(folder, found, encode)
        if not rows.lengths:
            raise DataError(
                f"{found.name} has no row to learn from.",
                rows.skipped[0][1] if rows.skipped else "Choose another file, or look at how its columns are read.",
            )
        given = Given(
            fitting.of_path(folder).shape,
            rows.lengths,
            rows.rows - len(rows.skipped) if rows.rows < LIMIT else rows.rows,
            find_devices(),
            _cores(),
            _has_bf16(),
            stored,
            *self._learned(),
            starts=rows.starts,
        )
        made = suggest(given, wishes)
        settings = made.settings
        each = max(1, -(-rows.rows // LIMIT))
        sequences = max(1, round(given.rows * (1 - settings.validation_share)))
        if settings.packing:
            cut = [min(length, settings.sequence_length) for length in rows.lengths]
            sequences = max(1, round(sequences * len(packed(cut, settings.sequence_length)) / len(cut)))
        in_epoch = -(-sequences // settings.group)
        return TrainPlan(
            str(folder),
            folders.shown_name(folder),
            found,
            settings,
            made.reasons,
            made.fit,
            rows.rows,
            rows.lengths,
            rows.learned,
            rows.skipped,
            settings.steps or max(1, math.ceil(in_epoch * settings.epochs)),
            each * sum(1 for length in rows.lengths if length > settings.sequence_length),
            dict(wishes),
            {**encode, "max_tokens": settings.sequence_length},
            each,
        )

    def measure(self, folder: Path, data: DataRef, encode: Mapping[str, Any]) -> RowsMeasured:
        key = (str(folder), data.path, data.sha256 or os.stat(data.path).st_mtime_ns, repr(encode))
        with self._lock:
            if key not in self._measured:
                command = MeasureRows(REQUEST, str(folder), data.path, dict(encode), LIMIT)
                outcome = run_step(
                    Step("Reading the data", MODULE, command, word="reader"), self._stop, lambda fraction, what: None
                )
                (found,) = [each for each in outcome.other if isinstance(each, RowsMeasured)]
                while len(self._measured) > 8:
                    self._measured.pop(next(iter(self._measured)))
                self._measured[key] = found
            return self._measured[key]


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_bf16() -> bool:
    """Whether the first graphics card computes in bf16 (from compute capability 8.0 on); True where that cannot be said."""
    with contextlib.suppress(Exception):
        import pynvml

        pynvml.nvmlInit()
        try:
            major, _ = pynvml.nvmlDeviceGetCudaComputeCapability(pynvml.nvmlDeviceGetHandleByIndex(0))
            return bool(major >= 8)
        finally:
            pynvml.nvmlShutdown()
    return True


def _stored(folder: Path) -> str:
    """How a model's folder is stored, if in few bits: `nf4`, `int8`, or the name of another way."""
    from playground.models.details import read_json

    how = read_json(folder / "config.json").get("quantization_config")
    if not isinstance(how, dict):
        return ""
    return (
        "nf4" if how.get("load_in_4bit") else "int8" if how.get("load_in_8bit") else str(how.get("quant_method") or "few bits")
    )
