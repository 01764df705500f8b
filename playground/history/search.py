"""Finding messages by their words. Whatever is typed is a question, never a syntax error.

Words are looked up in the full-text index, the last one as the beginning of a word; what stands in double quotes is a phrase. Words
in scripts without spaces are looked up as they stand, anywhere in a text. The best comes first among up to 2,000 hits; of more than
that, the newest: a common word is in half of all messages, and nobody wants the best of ten years ago. What no index finds,
punctuation or the middle of a word, is looked for in the newest 20,000 messages.
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from playground.history.records import SearchHit

Read = Callable[[str, Sequence[Any]], list[Any]]
"""runs a query and gives all its rows"""

RANKED = 2000
"""most hits that are ranked"""
SCANNED = 20_000
"""newest messages that are read through when no index helps"""
TITLES = 10
_BEGINNING = 3
"""letters that make a word's beginning: the index has a list of its own for each such beginning"""
_TERMS = 32
_TERM_LENGTH = 200

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese, Korean: written without spaces, or with endings grown on to the words"""
IS_UNSPACED = f"content GLOB '*[{_UNSPACED}]*'"
"""the condition of the index `messages_unspaced_rows`, letter for letter: never to be changed, a new step would be needed"""

_unspaced = re.compile(f"[{_UNSPACED}]")
_parts = re.compile(r'"([^"]*)"|([^\s"]+)')


@dataclass(frozen=True)
class _Term:
    text: str
    phrase: bool = False

    @property
    def spaced(self) -> bool:
        return not self.unspaced and any(letter.isalnum() for letter in self.text)

    @property
    def unspaced(self) -> bool:
        return bool(_unspaced.search(self.text))

    @property
    def like(self) -> str:
        escaped = re.sub(r"([\\%_])", r"\\\1", self.text)
        return f"%{escaped}%"


def search(read: Read, words: str, limit: int) -> list[SearchHit]:
    """Titles first, then messages. Nothing is found for nothing."""
    terms = _terms(words)
    if not terms or limit < 1:
        return []
    return (_titles(read, terms, min(limit, TITLES)) + _messages(read, terms, limit))[:limit]


def _messages(read: Read, terms: list[_Term], limit: int) -> list[SearchHit]:
    if any(term.unspaced for term in terms):
        return _excerpts(read, _unspaced_hits(read, terms, limit), terms)
    if any(term.spaced for term in terms):
        found = _ranked(read, [each for each in terms if each.spaced], [each for each in terms if not each.spaced], limit)
        if found:
            return _excerpts(read, found, terms)
    return _excerpts(read, _scan(read, terms, limit), terms)


# -- what is asked for


def _terms(words: str) -> list[_Term]:
    words = "".join(letter if letter.isprintable() else " " for letter in words[: _TERMS * _TERM_LENGTH])
    terms = [
        _Term((phrase.strip() or word)[:_TERM_LENGTH], phrase=bool(phrase.strip()))
        for phrase, word in _parts.findall(words)
        if phrase.strip() or word
    ]
    telling = [term for term in terms if not all(letter in string.punctuation for letter in term.text)]
    return (telling or terms)[:_TERMS]


def _match(terms: list[_Term], finished: bool = False) -> str:
    """A full-text expression that can only mean these words: each is quoted, so that no operator is one."""
    quoted = [f'"{term.text}"' for term in terms]  # a term holds no quotation mark: they were taken for those of a phrase
    last = terms[-1]
    beginning = re.search(r"(\w*)\W*$", last.text)
    if not finished and not last.phrase and beginning and len(beginning.group(1)) >= _BEGINNING:
        quoted[-1] += " *"
    return " AND ".join(quoted)


def _likes(terms: Sequence[_Term], column: str) -> tuple[str, list[str]]:
    """Conditions to add to a query, and their parameters."""
    return "".join(f" AND {column} LIKE ? ESCAPE '\\'" for _ in terms), [term.like for term in terms]


# -- numbers of messages found


def _ranked(read: Read, terms: list[_Term], others: list[_Term], limit: int) -> list[int]:
    """The best first; the newest first where there are too many to be told apart, for which the last word is taken as finished."""
    likes, patterns = _likes(others, "m.content")
    source = f"""FROM messages_fts CROSS JOIN messages m ON m.number = messages_fts.rowid CROSS JOIN sessions s ON s.id = m.session_id
        WHERE messages_fts MATCH ? AND s.deleted IS NULL{likes} ORDER BY messages_fts.rowid DESC LIMIT {RANKED}"""
    newest = read(f"SELECT m.number {source}", [_match(terms, finished=True), *patterns])
    if len(newest) < RANKED:
        scored = f"SELECT m.number AS number, bm25(messages_fts) AS score {source}"
        newest = read(f"SELECT number FROM ({scored}) ORDER BY score, number DESC", [_match(terms), *patterns])
    return [row[0] for row in newest[:limit]]


def _unspaced_hits(read: Read, terms: list[_Term], limit: int) -> list[int]:
    """Runs of three characters are indexed: longer terms are matched, shorter ones looked up as the beginning of such a run."""
    long = [term for term in terms if len(term.text) >= 3]
    short = [term for term in terms if len(term.text) < 3]
    if long:
        likes, patterns = _likes(short, "m.content")
        match = " AND ".join(f'"{term.text}"' for term in long)
        rows = read(
            f"""SELECT m.number FROM messages_unspaced f CROSS JOIN messages m ON m.number = f.rowid
                CROSS JOIN sessions s ON s.id = m.session_id
            WHERE messages_unspaced MATCH ? AND s.deleted IS NULL{likes} ORDER BY f.rowid DESC LIMIT ?""",
            [match, *patterns, limit],
        )
        return [row[0] for row in rows]
    rarest = max((term for term in short if term.unspaced), key=lambda term: len(term.text))
    begin = rarest.text.lower()
    places = read(
        f"SELECT doc FROM messages_unspaced_terms WHERE term >= ? AND term < ? LIMIT {SCANNED + 1}",
        [begin, begin + "\U0010ffff"],
    )
    if len(places) <= SCANNED:
        likes, patterns = _likes([term for term in short if term is not rarest], "m.content")
        rows = read(
            f"""SELECT m.number FROM messages m JOIN sessions s ON s.id = m.session_id
            WHERE m.number IN (SELECT value FROM json_each(?)) AND s.deleted IS NULL{likes} ORDER BY m.number DESC LIMIT ?""",
            [json.dumps(sorted({place[0] for place in places})), *patterns, limit],
        )
    else:  # so common that the newest messages are full of it
        likes, patterns = _likes(short, "m.content")
        rows = read(
            f"""SELECT m.number FROM messages m CROSS JOIN sessions s ON s.id = m.session_id
            WHERE m.{IS_UNSPACED} AND s.deleted IS NULL{likes} ORDER BY m.number DESC LIMIT ?""",
            [*patterns, limit],
        )
    return [row[0] for row in rows]


def _scan(read: Read, terms: list[_Term], limit: int) -> list[int]:
    likes, patterns = _likes(terms, "m.content")
    rows = read(
        f"""SELECT m.number FROM messages m CROSS JOIN sessions s ON s.id = m.session_id
        WHERE m.number > (SELECT max(number) FROM messages) - {SCANNED} AND s.deleted IS NULL{likes}
        ORDER BY m.number DESC LIMIT ?""",
        [*patterns, limit],
    )
    return [row[0] for row in rows]


# -- what is shown of them

_HIT = "m.session_id, s.title, m.id, m.role, m.created, m.number"
_FROM = "FROM messages m JOIN sessions s ON s.id = m.session_id"


def _excerpts(read: Read, numbers: list[int], terms: list[_Term]) -> list[SearchHit]:
    rows = read(f"SELECT {_HIT}, m.content {_FROM} WHERE m.number IN (SELECT value FROM json_each(?))", [json.dumps(numbers)])
    hits = {row[5]: _hit(row, excerpt(row[6], terms)) for row in rows}
    return [hits[number] for number in numbers if number in hits]


def _hit(row: Sequence[Any], snippet: str) -> SearchHit:
    session_id, title, message_id, role, created = row[:5]
    return SearchHit(session_id, title, message_id, role, snippet, created)


def _titles(read: Read, terms: list[_Term], limit: int) -> list[SearchHit]:
    """Chats whose title has the words; the hit's role is `title` and it names no message."""
    if all(term.spaced for term in terms):
        source = "sessions_fts f CROSS JOIN sessions s ON s.number = f.rowid WHERE sessions_fts MATCH ?"
        parameters: list[Any] = [_match(terms)]
    else:
        likes, patterns = _likes(terms, "s.title")
        source, parameters = f"sessions s WHERE 1{likes}", [*patterns]
    rows = read(
        f"SELECT s.id, s.title, s.updated FROM {source} AND s.deleted IS NULL ORDER BY s.updated DESC LIMIT ?",
        [*parameters, limit],
    )
    return [SearchHit(session_id, title, "", "title", excerpt(title, terms), when) for session_id, title, when in rows]


def excerpt(content: str, terms: Sequence[_Term], width: int = 160) -> str:
    """A piece of a text around the first of the words, with all of them marked by \\x02 and \\x03."""
    content = content.replace("\x02", " ").replace("\x03", " ")
    folded = _folded(content)
    # Whole words where there are any, since they are what was found; else the words wherever they stand.
    places = [place.span() for place in _pattern(terms, whole=True).finditer(folded)]
    places = places or [place.span() for place in _pattern(terms, whole=False).finditer(folded)]
    start = max(0, places[0][0] - width // 3) if places else 0
    end = start + width
    parts, done = [], start
    for begin, stop in places:
        if done <= begin < end:
            parts += [content[done:begin], "\x02", content[begin:stop], "\x03"]
            done = stop
    parts.append(content[done : max(end, done)])
    return _one_line(("…" if start else "") + "".join(parts) + ("…" if max(end, done) < len(content) else ""))


def _pattern(terms: Sequence[_Term], whole: bool) -> re.Pattern[str]:
    found = []
    for number, term in enumerate(terms):
        text = _folded(term.text)
        if whole and term.spaced:
            unfinished = number == len(terms) - 1 and not term.phrase
            text = r"[\W_]+".join(map(re.escape, re.findall(r"[^\W_]+", text)))
            found.append(rf"(?<![^\W_]){text}" + (r"[^\W_]*" if unfinished else r"(?![^\W_])"))
        else:
            found.append(re.escape(text))
    return re.compile("|".join(sorted(found, key=len, reverse=True)))


class _Folding(dict[int, str]):
    """Each letter as the index sees it, small and without marks, one for one, so that places in a text stay what they are."""

    def __missing__(self, letter: int) -> str:
        small = chr(letter).lower()
        base = unicodedata.normalize("NFD", small)[:1] if letter < 0xAC00 or letter > 0xD7A3 else small
        self[letter] = base if len(base) == 1 else small[:1]
        return self[letter]


_folding = _Folding()


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_folding)


def _one_line(text: str) -> str:
    return re.sub(r"[\s\x00]+", " ", text).strip()
