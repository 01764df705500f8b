"""A capture's tokens as running text: what each of them puts on the line. Knows tokens, and neither fonts nor widgets.

Tokens of models that write are their text already. Encoders name theirs by the vocabulary's entries, in which a space is a sign of its own
(`▁` of SentencePiece, `Ġ` of byte-level BPE) or is left out between words (WordPiece, whose `##` goes on with a word): they are turned back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.inside.layout import Header, Token

NEWLINE = "⏎"
EMPTY = "∅"
"""for a token without a text of its own: a part of a character, which comes with the token that completes it"""
_CONTROLS = {ord("\r"): "␍", 0x2028: NEWLINE, 0x2029: NEWLINE} | {
    code: chr(0x2400 + code) for code in range(32) if code not in (9, 10, 13)
}
_CLOSING = ".,;:!?)]}%'’”»"
_OPENING = "([{«“"


@dataclass(frozen=True)
class Piece:
    """A stretch of one line that belongs to one token. `kind`: nothing for its text, `special` for a control token, `mark` for a sign of ours."""

    token: int
    text: str
    kind: str = ""


def lines(header: Header) -> list[list[Piece]]:
    """The text, line by line as its own line breaks have it. Every token has a piece at least, in the order of the tokens.

    Of a cross attention first the source's text, then, after an empty line, the target's: target tokens are counted on from the source's.
    """
    named = not header.causal and not header.part  # tokens of a pair of texts come as their text
    if not header.columns:
        return _lines(header.tokens, named, 0)
    return [*_lines(header.columns, named, 0), [], *_lines(header.tokens, named, len(header.columns))]


def _lines(tokens: Sequence[Token], named: bool, first: int) -> list[list[Piece]]:
    found: list[list[Piece]] = [[]]
    for place, (token, text) in enumerate(
        zip(tokens, _texts(tokens) if named else [each.text for each in tokens], strict=True), first
    ):
        if token.special:
            found[-1].append(Piece(place, text.replace("\n", NEWLINE) or f"<{token.id}>", "special"))
            continue
        if not text:
            found[-1].append(Piece(place, EMPTY, "mark"))
            continue
        parts = text.split("\n")
        for number, part in enumerate(parts):
            if part:
                found[-1].append(Piece(place, part.translate(_CONTROLS)))
            if number < len(parts) - 1:
                found[-1].append(Piece(place, NEWLINE, "mark"))
                found.append([])
    return found


def _texts(tokens: Sequence[Token]) -> list[str]:
    """The text of tokens that are named by the vocabulary's entries, with spaces where they are read."""
    texts = [token.text for token in tokens]
    plain = [token.text for token in tokens if not token.special]
    if any(" " in each or "\n" in each for each in plain):
        return texts
    for sign, line in (("Ġ", "Ċ"), ("▁", "\n")):
        if any(each.startswith(sign) for each in plain):
            return [
                text if token.special else text.replace(sign, " ").replace(line, "\n")
                for token, text in zip(tokens, texts, strict=True)
            ]
    return _from_word_pieces(tokens)


def _from_word_pieces(tokens: Sequence[Token]) -> list[str]:
    found: list[str] = []
    glued = True
    for token in tokens:
        text = token.text
        if token.special:
            found.append(text)
            glued = False
            continue
        if text.startswith("##"):
            found.append(text[2:])
        else:
            found.append(text if glued or text in _CLOSING else f" {text}")
        glued = text in _OPENING
    return found
