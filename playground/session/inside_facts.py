"""What a model's header says of its attention and a capture does not: the window of its layers, soft caps."""

from __future__ import annotations

from pathlib import Path

from playground.errors import PlaygroundError
from playground.inside.explaining import ModelFacts
from playground.session import fitting


def facts_of(path: Path) -> ModelFacts | None:
    """Reads a model's header. None where it is gone, or is of a kind that is not known."""
    try:
        shape = fitting.of_path(path).shape
    except (PlaygroundError, OSError, ValueError):
        return None
    return ModelFacts(shape.window, tuple(each.sliding for each in shape.layers), shape.attention_softcap)
