"""All tokens of a reply, wherever they are recorded: a reply may have been continued, or have forked off another one.

A fork records what came after it. What it began with is on record with the replies beside it, which begin with the same tokens, and the token
that was chosen is among the alternatives there. Reads the database, knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from playground.history.records import GenerationRow, MessageRow, TokenRow
from playground.history.store import Store


@dataclass(frozen=True)
class ReplyToken:
    """A token and where it is recorded: `row.index` counts in that generation. `offset` is where its text begins in the message."""

    generation_id: str
    row: TokenRow
    offset: int
    length: int
    """characters of its text in the message"""


@dataclass(frozen=True)
class _Known:
    """`source` is empty while nothing is known of a token but its number."""

    token_id: int
    source: str = ""
    row: TokenRow | None = None


def reply_tokens(store: Store, message_id: str) -> list[ReplyToken]:
    """In the order of the text. Empty for a message without a record; from where the record begins, if the text had a beginning before."""
    message = store.message(message_id)
    known = _known(store, message)
    if any(each.row is None for each in known):
        known = _from_siblings(store, message, known)
    return _placed(message, known)


def _known(store: Store, message: MessageRow) -> list[_Known]:
    found: list[_Known] = []
    for generation in store.generations_of(message.id):
        before = _before(generation)
        if [each.token_id for each in found] != before:
            if before[: len(found)] == [each.token_id for each in found]:
                found += [_Known(each) for each in before[len(found) :]]
            else:  # continued from its text: other tokens, which are not on record
                found = [_Known(each) for each in before]
        found += [_Known(row.token_id, generation.id, row) for row in store.tokens(generation.id)]
    return found


def _before(generation: GenerationRow) -> list[int]:
    count = generation.continued
    return list(generation.prompt_ids[len(generation.prompt_ids) - count :]) if count else []


def _from_siblings(store: Store, message: MessageRow, known: Sequence[_Known]) -> list[_Known]:
    ids = [each.token_id for each in known]
    found = list(known)
    for sibling in store.messages(message.session_id):
        if sibling.parent_id != message.parent_id or sibling.id == message.id or sibling.role != "assistant":
            continue
        for place, each in enumerate(_known(store, sibling)):
            if place >= len(ids):
                break
            if each.row is not None and found[place].row is None:
                if each.token_id == ids[place]:
                    found[place] = each
                else:
                    found[place] = _chosen(ids[place], each)
            if each.token_id != ids[place]:
                break
        if all(each.row is not None for each in found):
            break
    return found


def _chosen(token_id: int, drawn: _Known) -> _Known:
    """The alternative that was taken instead of a token."""
    assert drawn.row is not None
    for number, text, logprob, probability in drawn.row.alternatives:
        if number == token_id:
            row = replace(drawn.row, token_id=token_id, text=text, logprob=logprob, probability=probability)
            return _Known(token_id, drawn.source, row)
    return _Known(token_id)


def _placed(message: MessageRow, known: Sequence[_Known]) -> list[ReplyToken]:
    """With places in the message: counted from its beginning, and from its end behind whatever has no known text."""
    content = message.content
    start = len(message.reply_start) if content.startswith(message.reply_start) else 0
    gap = next((place for place, each in enumerate(known) if each.row is None or _is_uncertain(each)), len(known))
    front: list[ReplyToken] = []
    at = start
    for each in known[:gap]:
        assert each.row is not None
        front.append(ReplyToken(each.source, each.row, at, len(each.row.text)))
        at += len(each.row.text)
    if gap == len(known) and at <= len(content) and content[start:at] == "".join(each.row.text for each in front):
        return front
    back: list[ReplyToken] = []
    end = len(content)
    for place in range(len(known) - 1, gap - 1, -1):
        each = known[place]
        if each.row is None or _is_uncertain(each):
            if place == gap and each.row is not None and at <= end:  # all around it is known
                back.append(ReplyToken(each.source, replace(each.row, text=content[at:end]), at, end - at))
                return [*front, *reversed(back)]
            break
        end -= len(each.row.text)
        back.append(ReplyToken(each.source, each.row, end, len(each.row.text)))
    if gap == len(known) or end < at:  # the text was changed since, or begins with what is not on record
        back = _from_the_end(content, known)
        front = []
    return [*front, *reversed(back)]


def _is_uncertain(each: _Known) -> bool:
    """A chosen token is known by its name, which is not its share of the text if it is part of a character."""
    return each.row is not None and each.row.token_id == each.token_id and "\ufffd" in each.row.text


def _from_the_end(content: str, known: Sequence[_Known]) -> list[ReplyToken]:
    found: list[ReplyToken] = []
    end = len(content)
    for each in reversed(known):
        if each.row is None or content[max(0, end - len(each.row.text)) : end] != each.row.text:
            break
        end -= len(each.row.text)
        found.append(ReplyToken(each.source, each.row, end, len(each.row.text)))
    return found
