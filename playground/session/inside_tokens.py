"""Which tokens a capture is of: those of a logged generation or a message, where one of them stands, and a capture that was made of them already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from playground.errors import NotFoundError, PlaygroundError
from playground.history.store import Store
from playground.inside import store
from playground.inside.store import Entry
from playground.protocol import ModelInfo

Ids = tuple[str, tuple[int, ...], str]
"""a text where there are no tokens on record, the tokens, and the path of their model"""


def ids_of_message(read: Store, message_id: str) -> Ids:
    """Of a reply with the prompt that it answered; of a message without a record, its text."""
    message = read.message(message_id)
    if message is None:
        raise NotFoundError("That message is not there any more.")
    rows = read.generations_of(message_id)
    if not rows or not rows[-1].prompt_ids:
        return message.content, (), ""
    return "", (*rows[-1].prompt_ids, *(each.token_id for each in read.tokens(rows[-1].id))), rows[-1].model_path


def ids_of_generation(read: Store, generation_id: str) -> Ids:
    """Of a logged generation: its prompt and what it drew."""
    row = read.generation(generation_id)
    if not row.prompt_ids:
        raise PlaygroundError("This reply ended before its prompt was read.", "There is nothing to look at.")
    return "", (*row.prompt_ids, *(each.token_id for each in read.tokens(generation_id))), row.model_path


def place_of(read: Store, message_id: str, generation_id: str, index: int) -> tuple[str, int]:
    """Where a token of a reply, recorded as `index` of a generation, stands in a capture: ("", place) in that of the message, or the generation.

    A reply may have been continued or forked: its tokens are then recorded with several generations, whose texts begin alike. They need not, where
    a reply was continued from its text.
    """
    _, ids, _ = ids_of_generation(read, generation_id)
    drawn = [each.index for each in read.tokens(generation_id)]
    place = len(ids) - len(drawn) + (drawn.index(index) if index in drawn else index)
    _, whole, _ = ids_of_message(read, message_id)
    same = len(whole) > place and whole[:place] == ids[:place]
    return ("" if same else generation_id), place


def made_before(folder: Path, ids: Sequence[int], info: ModelInfo | None, adapter_scale: float) -> Entry | None:
    """A capture of all layers and heads over these tokens by this model, as it is loaded, its adapter as strong as that; the newest."""
    if info is None or not ids:
        return None
    wanted = tuple(ids)
    of = (info.path, info.engine, info.adapter)
    changed = _changed(Path(info.adapter)) if info.adapter else 0.0
    for entry in store.entries(folder):
        header = entry.header
        if (
            (header.model_path, header.engine, header.adapter) == of
            and (not info.adapter or (header.adapter_scale == adapter_scale and header.created > changed))
            and not (header.model_sha256 and info.sha256 and header.model_sha256 != info.sha256)  # each may not be known yet
            and (len(header.layers), len(header.heads)) == (header.model_layers, header.model_heads)
            and header.length == len(wanted)
            and tuple(each.id for each in header.tokens) == wanted
        ):
            return entry
    return None


def _changed(adapter: Path) -> float:
    """When an adapter, a file or a folder, was last written; never mind what is gone."""
    files = [adapter, *adapter.glob("*.safetensors")] if adapter.is_dir() else [adapter]
    return max((each.stat().st_mtime for each in files if each.exists()), default=math.inf)
