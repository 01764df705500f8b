"""Training rows: conversations as token ids, several packed into each row, made on demand."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import torch
from conversation import conversation, plain_text
from tokenizer import END_ID, END_OF_TEXT, START_ID, render
from transformers import PreTrainedTokenizerFast

Stage = Literal["focus", "mix", "long"]

# How much the text of the person counts. A little: it teaches words, and what people ask.
USER_WEIGHT = 0.1
# Documents drawn at a time; from so many, rows can be filled nearly without gaps.
DRAW = 1500
OPEN_ROWS = 60


@dataclass
class Row:
    """Token ids, and how much each counts in the loss."""

    ids: list[int]
    weights: list[float]

    def padded(self, length: int) -> Row:
        """Fill up to a length with tokens that do not count."""
        gap = length - len(self.ids)
        return Row(self.ids + [0] * gap, self.weights + [0.0] * gap)


class Rows:
    """An endless supply of batches for one stage of training."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, length: int, stage: Stage, seed: int) -> None:
        """Prepare rows of `length` tokens (and one more, the last one's target)."""
        self._encoder = tokenizer.backend_tokenizer
        self._assistant = tokenizer.convert_tokens_to_ids("assistant")
        self._size = length + 1
        self._stage = stage
        self._rng = random.Random(seed)
        self._open: list[Row] = []
        self._ready: list[Row] = []

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (count, length + 1) and the weights of the targets (count, length)."""
        while len(self._ready) < 4 * count:
            self._draw()
        rows = [self._ready.pop() for _ in range(count)]
        ids = torch.tensor([row.ids for row in rows])
        weights = torch.tensor([row.weights for row in rows])
        return ids, weights[:, 1:]

    def _document(self) -> str:
        rng = self._rng
        if self._stage == "focus":
            if rng.random() < 0.10:
                return END_OF_TEXT + plain_text(rng)
            return render(conversation(rng, focus=True))
        if self._stage == "long" and rng.random() < 0.7:
            return render(conversation(rng, turns=rng.randint(6, 26)))
        if rng.random() < 0.05:
            return END_OF_TEXT + plain_text(rng)
        return render(conversation(rng))

    def _weights(self, ids: list[int]) -> list[float]:
        """Let what the assistant says, and how it stops, count fully."""
        if START_ID not in ids:
            return [0.0] + [1.0] * (len(ids) - 1)
        weights = [USER_WEIGHT] * len(ids)
        weights[0] = 0.0
        speaking = False
        for place, token in enumerate(ids):
            if token == self._assistant and ids[place - 1] == START_ID:
                speaking = True
                continue
            newline = ids[place - 1] == self._assistant and ids[place - 2] == START_ID
            if speaking and not newline:
                weights[place] = 1.0
            if token == END_ID:
                speaking = False
        return weights

    def _draw(self) -> None:
        """Write new documents and put each into the first row with room for it."""
        texts = [self._document() for _ in range(DRAW)]
        for encoding in self._encoder.encode_batch(texts, add_special_tokens=False):
            ids = encoding.ids[: self._size]
            weights = self._weights(ids)
            for row in self._open:
                if len(row.ids) + len(ids) <= self._size:
                    row.ids += ids
                    row.weights += weights
                    break
            else:
                self._open.append(Row(ids, weights))
            full = [row for row in self._open if len(row.ids) > self._size - 13]
            if len(self._open) > OPEN_ROWS and not full:
                full = [max(self._open, key=lambda row: len(row.ids))]
            for row in full:
                self._open.remove(row)
                self._ready.append(row.padded(self._size))
        self._rng.shuffle(self._ready)
