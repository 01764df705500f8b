"""The texts that belong to the starter model: its world has no others, and general ones would only measure how little it knows."""

from __future__ import annotations

import filecmp
from pathlib import Path

from playground.paths import resources, starter

EVALUATION, CALIBRATION = "evaluation.txt", "calibration.txt"


def text_for(model: Path, name: str) -> Path:
    """The text of that name that came with the program: the starter's own for the starter, the general one for any other model."""
    return (starter().parent if is_starter(model) else resources()) / name


def is_starter(model: Path) -> bool:
    """Whether this is the starter model or a copy of it."""
    ours = starter() if model.is_file() else starter().parent / "model.safetensors"
    theirs = model if model.is_file() else model / "model.safetensors"
    try:
        return filecmp.cmp(ours, theirs, shallow=False)
    except OSError:
        return False
