"""Captures made for tests: random weights, or those that are given, in a file as the engines write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from playground.inside.layout import Header, Token
from playground.inside.writer import Writer

LAYERS, HEADS, KV, WIDTH = 3, 4, 2, 8


def tokens(texts: Sequence[str], special: Sequence[int] = (0,)) -> tuple[Token, ...]:
    """Tokens with these texts; the same text has the same number."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return tuple(Token(numbers[text], text, place in special) for place, text in enumerate(texts))


def random_maps(length: int, seed: int = 0, width: int = 0) -> np.ndarray:
    """[layers, heads, tokens, tokens], rows summing to 1, nothing ahead; with `width` [.., tokens, width], everything seen."""
    rng = np.random.default_rng(seed)
    found = rng.exponential(size=(LAYERS, HEADS, length, width or length)).astype(np.float32) ** 2
    if not width:
        found *= np.tri(length, dtype=np.float32)
    return np.asarray(found / found.sum(-1, keepdims=True), np.float32)


def written(path: Path, texts: Sequence[str], maps: np.ndarray | None = None, encoding: str = "f32", **more: Any) -> np.ndarray:
    """Writes a capture of a text; its weights."""
    about = Header(
        encoding,
        True,
        tuple(range(LAYERS)),
        tuple(range(HEADS)),
        LAYERS,
        HEADS,
        KV,
        WIDTH,
        tokens(texts),
        model="made",
        created=1.0,
    )
    about = replace(about, **more)
    if maps is None:
        maps = random_maps(len(texts), width=len(about.columns))
    writer = Writer(path, about)
    for layer in range(LAYERS):
        writer.rows(layer, 0, maps[layer])
    writer.finish()
    return maps
