"""What a model's header says of its attention: the window of its layers and soft caps, which a capture does not say, and what one would take."""

from __future__ import annotations

from pathlib import Path

from playground.errors import PlaygroundError
from playground.inside.explaining import ModelFacts
from playground.inside.layout import capture_size
from playground.session import fitting


def facts_of(path: Path) -> ModelFacts | None:
    """Reads a model's header. None where it is gone, or is of a kind that is not known."""
    try:
        shape = fitting.of_path(path).shape
    except (PlaygroundError, OSError, ValueError):
        return None
    return ModelFacts(shape.window, tuple(each.sliding for each in shape.layers), shape.attention_softcap)


def bytes_of(path: Path, tokens: int, layers: int, heads: int, exact: bool) -> int:
    """Bytes that a capture would take on disk, all layers and heads for 0 of them; 0 where that cannot be told."""
    try:
        shape = fitting.of_path(path).shape
    except PlaygroundError:  # of kinds whose memory is not reckoned: loading says what is wrong, if anything is
        return 0
    attending = [layer for layer in shape.layers if layer.heads and layer.attention]
    if not attending:
        return 0
    each = attending[0]
    return capture_size(
        layers or len(attending),
        heads or each.heads,
        tokens,
        each.kv_heads or each.heads,
        each.head_k or 128,
        shape.causal,
        exact,
    )
