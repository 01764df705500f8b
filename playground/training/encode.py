"""Rows to tokens: ids, which of them carry loss, packing, batches. What a preview shows and what is trained come from here alone.

Knows a tokenizer by its face only, and no framework: numpy.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from playground.errors import DataError, PlaygroundError
from playground.params import check, setting
from playground.training.layout import Loss, Marks, Span, check_prompt_template, lay_out
from playground.training.rows import Row

IGNORED = -100
"""the label of a token that carries no loss, as torch's cross entropy has it"""


class Tokenizer(Protocol):
    """What is needed of a model's tokenizer; `playground.workers.folder_tokenizer` makes one of a model folder."""

    marks: Marks
    eos_id: int
    """-1 if the model has none"""
    pad_id: int

    def encode(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        """Ids, and the stretch of the text [from, to) that each stands for, in characters; control tokens are recognised.

        A beginning-of-text token comes first where the model wants one and the text has none, with the stretch (0, 0).
        """
        ...


@dataclass(frozen=True)
class EncodeSettings:
    """How rows become tokens."""

    max_tokens: int = setting(
        1024,
        label="Sequence length",
        help="Rows longer than this are cut, plain texts go on in the next piece. Longer sequences take more memory.",
        minimum=8,
        maximum=1_048_576,
        step=8,
        unit="tokens",
        scale="log",
    )
    loss: Loss = setting(
        "answers",
        label="Learn from",
        help="What the model is taught to say: its answers, only the last answer of each conversation, or everything, questions included.",
    )
    truncation: Literal["end", "start", "skip"] = setting(
        "end",
        label="Too long rows",
        help="What is cut of a row that is too long: its end, its start (which keeps the last answer), or the whole row is skipped.",
    )
    prompt_template: str = setting(
        "",
        label="Template",
        help="For base models: a text with {instruction}, {input} and {response}. Empty takes the model's own chat template.",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.prompt_template:
            check_prompt_template(self.prompt_template)


@dataclass(frozen=True)
class Encoded:
    """A row as tokens. `ids` and `labels` are of one length; `pieces`, joined, give the text up to where it was cut.

    `cut`: how many tokens the row was too long by. `row`: the row's number.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pieces: tuple[str, ...] = ()
    cut: int = 0
    row: int = 0
    positions: tuple[int, ...] = field(default=(), repr=False)
    """of packed rows: the place of each token in its own row"""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learned(self) -> int:
        """How many tokens carry loss."""
        return sum(1 for label in self.labels if label != IGNORED)


def encode_row(
    row: Row, tokenizer: Tokenizer, template: str | None, settings: EncodeSettings = EncodeSettings(), pieces: bool = True
) -> Encoded:
    """The tokens of a row, cut to the settings' length. DataError, naming the row, if nothing of it would be learned."""
    ids, labels, texts = _whole(row, tokenizer, template, settings, pieces)
    length = settings.max_tokens
    over = max(0, len(ids) - length)
    if over and settings.truncation == "skip":
        raise DataError(
            f"Row {row.number} is {over} tokens too long.", f"Raise the sequence length to {len(ids)}, or cut rows."
        )
    if over and settings.truncation == "start":
        keep = 1 if tokenizer.marks.bos and texts[:1] in (("",), (tokenizer.marks.bos,)) else 0
        back = len(ids) - length + keep
        ids, labels, texts = ids[:keep] + ids[back:], labels[:keep] + labels[back:], texts[:keep] + texts[back:]
    elif over:
        ids, labels, texts = ids[:length], labels[:length], texts[:length]
    labels = (IGNORED, *labels[1:])  # nothing comes before the first token that could predict it
    if all(label == IGNORED for label in labels):
        raise _unlearnable(row, over, length)
    return Encoded(ids, labels, texts if pieces else (), over, row.number)


def encode_text(
    row: Row, tokenizer: Tokenizer, template: str | None, settings: EncodeSettings = EncodeSettings(), pieces: bool = True
) -> list[Encoded]:
    """A row as one sequence; a plain text as as many as it takes, each beginning with the last token of the one before."""
    if row.messages:
        return [encode_row(row, tokenizer, template, settings, pieces)]
    ids, labels, texts = _whole(row, tokenizer, template, settings, pieces)
    step = settings.max_tokens - 1
    found = []
    for start in range(0, max(1, len(ids) - 1), step):
        part = slice(start, start + settings.max_tokens)
        if len(ids[part]) > 1:
            found.append(
                Encoded(ids[part], (IGNORED, *labels[start + 1 : part.stop]), texts[part] if pieces else (), 0, row.number)
            )
    if not found:
        raise _unlearnable(row, 0, settings.max_tokens)
    return found


def encode_all(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    template: str | None,
    settings: EncodeSettings = EncodeSettings(),
    skipped: Callable[[Row, PlaygroundError], None] | None = None,
    pieces: bool = False,
) -> Iterator[Encoded]:
    """All rows that can be learned from, in their order; `skipped` is told of the others. What is trained on is this."""
    for row in rows:
        try:
            yield from encode_text(row, tokenizer, template, settings, pieces)
        except DataError as error:
            if skipped is None:
                raise
            skipped(row, error)


def _whole(
    row: Row, tokenizer: Tokenizer, template: str | None, settings: EncodeSettings, pieces: bool
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    laid = lay_out(row, template, tokenizer.marks, settings.loss, settings.prompt_template)
    text = laid.text.encode("utf-8", "replace").decode(
        "utf-8"
    )  # half a character, as JSON may hold one, becomes a question mark
    ids, offsets = tokenizer.encode(text)
    ranges = _ranges(offsets)
    labels = tuple(label if carries else IGNORED for label, carries in zip(ids, _carrying(ranges, laid.spans), strict=True))
    wanted = pieces or settings.truncation == "start"  # which looks at the first
    return tuple(ids), labels, _pieces(text, ranges) if wanted else ()


def _ranges(offsets: Sequence[Span]) -> list[Span]:
    """The stretch of each token, without gaps: what lies between two tokens (a space that was trimmed) belongs to the later one."""
    found, end = [], 0
    for begin, stop in offsets:
        found.append((min(begin, end) if stop > begin or stop > end else stop, stop))
        end = max(end, stop)
    return found


def _carrying(ranges: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """Which tokens lie in a stretch that carries loss, if only by a character: a token that holds the answer's first letter is learned."""
    found, place = [], 0
    for begin, end in ranges:
        while place < len(spans) and spans[place][1] <= begin:
            place += 1
        found.append(place < len(spans) and begin < end and end > spans[place][0])
    return found


def _pieces(text: str, ranges: Sequence[Span]) -> tuple[str, ...]:
    """What becomes readable with each token: nothing while a character's bytes are incomplete, then the whole character."""
    found, shown = [], 0
    for place, (_, end) in enumerate(ranges):
        following = ranges[place + 1][0] if place + 1 < len(ranges) else len(text)
        upto = len(text) if place + 1 == len(ranges) else end if following >= end else shown
        found.append(text[shown : max(shown, upto)])
        shown = max(shown, upto)
    return tuple(found)


def _unlearnable(row: Row, over: int, length: int) -> DataError:
    name = f"Row {row.number}" if row.number else "The row"
    if over:
        return DataError(
            f"{name}: its answer would be cut off wholly at {length} tokens (the row has {length + over}).",
            f"Raise the sequence length to {length + over}, cut rows at their start, or leave the row out.",
        )
    return DataError(f"{name} has nothing to learn from: its answer is empty.", "Write an answer, or leave the row out.")


# -- packing and batches


def pack(encoded: Iterable[Encoded], max_tokens: int) -> list[Encoded]:
    """Rows laid one behind another in few sequences (`packed`); each keeps its own positions.

    A row's first token carries no loss, so nothing is predicted from another row; that none is *seen* needs `position_ids` and no mask.
    """
    rows = list(encoded)
    return [joined([rows[place] for place in places]) for places in packed([len(row) for row in rows], max_tokens)]


def packed(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Which rows, by their places, are laid into one sequence: the longest first, each where it leaves the least room.

    In time n log n: datasets have hundreds of thousands of rows.
    """
    bins: list[list[int]] = []
    rooms: list[int] = []
    """that some sequence has left, ascending"""
    with_room: dict[int, list[int]] = {}
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        length = lengths[place]
        if length > max_tokens:
            raise ValueError(f"row {place} has {length} tokens, more than {max_tokens}")
        tightest = bisect_left(rooms, length)
        if tightest < len(rooms):
            room = rooms[tightest]
            number = with_room[room].pop()
            if not with_room[room]:
                del rooms[tightest], with_room[room]
        else:
            room, number = max_tokens, len(bins)
            bins.append([])
        bins[number].append(place)
        if left := room - length:
            if left not in with_room:
                insort(rooms, left)
                with_room[left] = []
            with_room[left].append(number)
    return bins


def joined(rows: Sequence[Encoded]) -> Encoded:
    """Rows as one sequence, one behind another."""
    return Encoded(
        tuple(token for row in rows for token in row.ids),
        tuple(label for row in rows for label in row.labels),
        tuple(piece for row in rows for piece in row.pieces),
        sum(row.cut for row in rows),
        rows[0].row,
        tuple(place for row in rows for place in range(len(row))),
    )


def collate(batch: Sequence[Encoded], pad_id: int, multiple: int = 1) -> dict[str, NDArray[np.int64]]:
    """A batch as arrays [rows, tokens] of int64: `input_ids`, `labels`, `attention_mask`; of packed rows `position_ids` too.

    Shorter rows are filled up behind with `pad_id`, label -100 and mask 0, to a length that is divisible by `multiple`. Labels stand
    under their own token (models shift them). With `position_ids` leave the mask away: that is how rows in one sequence are kept apart.
    """
    longest = max(len(each) for each in batch)
    shape = (len(batch), -(-longest // multiple) * multiple)
    arrays = {
        "input_ids": np.full(shape, pad_id, np.int64),
        "labels": np.full(shape, IGNORED, np.int64),
        "attention_mask": np.zeros(shape, np.int64),
    }
    packed = any(each.positions for each in batch)
    if packed:
        arrays["position_ids"] = np.zeros(shape, np.int64)
    for place, each in enumerate(batch):
        length = len(each)
        arrays["input_ids"][place, :length] = each.ids
        arrays["labels"][place, :length] = each.labels
        arrays["attention_mask"][place, :length] = 1
        if packed:
            arrays["position_ids"][place, :length] = each.positions or range(length)
            arrays["position_ids"][place, length:] = range(shape[1] - length)
    return arrays
