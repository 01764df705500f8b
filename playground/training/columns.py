"""Which column holds what: a guess by the names and by what stands in the first rows, which the user can correct.

Knows records as dictionaries and no file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from playground.training.json_stream import TURNS

Schema = Literal["chat", "answers", "pairs", "text", ""]
"""conversations; a question and an answer each; an answer with one that was liked less; plain text; not recognised"""

PARTS = ("messages", "system", "question", "input", "answer", "rejected", "liked", "text")
"""what a column can hold"""

TITLES: dict[str, str] = {
    "chat": "Conversations",
    "answers": "Questions and answers",
    "pairs": "Preferred and rejected answers",
    "text": "Plain text",
    "": "Not recognised",
}

_NAMES: dict[str, tuple[str, ...]] = {
    "messages": TURNS,
    "system": ("system", "systemprompt", "systemmessage"),
    "question": ("instruction", "prompt", "question", "query", "user", "human", "problem", "request", "task", "userprompt", "q", "inputs",
                 "source", "input", "frage", "anweisung", "pregunta", "pergunta", "domanda", "вопрос", "问题", "指令", "質問", "질문"),
    "input": ("input", "context", "passage", "eingabe", "输入"),
    "answer": ("output", "response", "completion", "answer", "answers", "assistant", "reply", "target", "solution", "gpt", "bot", "outputs",
               "answertext", "a", "label", "antwort", "ausgabe", "réponse", "respuesta", "resposta", "risposta", "ответ", "回答", "答案", "输出",
               "応答", "답변"),
    "rejected": ("rejected", "rejectedresponse"),
    "text": ("text", "content", "document", "body", "article", "story", "markdown", "code"),
}  # fmt: skip
DEPTH = 16
"""objects within each other that have names of columns; nobody reads the names of deeper ones"""
_CHOSEN = ("chosen", "chosenresponse", "preferred")


@dataclass(frozen=True)
class Columns:
    """What a row's columns hold: `schema`, and the column's name for each part that there is."""

    schema: Schema
    names: Mapping[str, str] = field(default_factory=dict)
    sure: bool = True
    """False where only the looks of the columns told"""

    def __getitem__(self, part: str) -> str:
        return self.names.get(part, "")


def flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A record with the fields of inner objects under dotted names: {"a": {"b": 1}} is {"a.b": 1}; down to `DEPTH` objects."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping) and value and before.count(".") < DEPTH:
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def guess(records: Sequence[Mapping[str, Any]]) -> Columns:
    """What the columns of most of these (flat) records hold; schema "" if nothing tells."""
    kinds: dict[frozenset[str], Columns] = {}
    for record in records:
        if (keys := frozenset(record)) not in kinds:
            kinds[keys] = _guess([record])
    cores = Counter(_core(kinds[frozenset(record)]) for record in records if kinds[frozenset(record)].sure)
    if len(kinds) > 1 and cores and (most := cores.most_common(1)[0][0])[0]:
        records = [record for record in records if _core(kinds[frozenset(record)]) == most]
    return _guess(records)


def _core(columns: Columns) -> tuple[str, ...]:
    """What tells one kind of row from another: not the columns that a row may lack."""
    return (columns.schema, *(columns[part] for part in ("messages", "question", "answer", "rejected", "text")))


def _guess(records: Sequence[Mapping[str, Any]]) -> Columns:
    names = list(dict.fromkeys(name for record in records for name in record))
    filled = [name for name in names if name.strip() and any(record.get(name) not in (None, "", []) for record in records)]
    found = {part: _named(filled, known) for part, known in _NAMES.items()}
    turns = found["messages"] if found["messages"] and _holds_turns(records, found["messages"]) else ""
    turns = turns or next((name for name in filled if _holds_turns(records, name)), "")
    chosen = _named(filled, _CHOSEN)
    system = {"system": found["system"]} if found["system"] else {}
    if chosen and found["rejected"]:
        prompt = _named([each for each in filled if each not in (chosen, found["rejected"])], _NAMES["question"])
        asked = {"question": prompt} if prompt else {}
        return Columns("pairs", system | asked | {"answer": chosen, "rejected": found["rejected"]})
    if turns and turns not in (found["answer"], found["question"]):
        return Columns("chat", system | {"messages": turns})
    if found["question"] and found["answer"]:
        rest = [each for each in filled if each not in (found["question"], found["answer"])]
        more = {"input": _named(rest, _NAMES["input"]), "liked": _named(rest, ("label", "liked"))}
        if not any(isinstance(record.get(more["liked"]), bool) for record in records):
            more["liked"] = ""
        more = {part: name for part, name in more.items() if name}
        return Columns("answers", system | {"question": found["question"], "answer": found["answer"]} | more)
    if found["text"] and not found["question"]:
        return Columns("text", {"text": found["text"]})
    return _by_looks(records, filled, found)


def _by_looks(records: Sequence[Mapping[str, Any]], names: list[str], found: dict[str, str]) -> Columns:
    """One column of text is a text; two are a question and, the longer, its answer."""
    texts = [name for name in names if any(_is_words(record.get(name)) for record in records)]
    wordy = [name for name in texts if _mean_length(records, name) >= 3]
    if len(wordy) == 1 and len(texts) <= 2 and not found["question"] and not found["answer"]:
        return Columns("text", {"text": wordy[0]}, sure=False)
    if len(texts) == 2:
        question, answer = sorted(texts, key=lambda name: _mean_length(records, name))
        if found["question"] in texts:
            question = found["question"]
        if found["answer"] in texts:
            question = next(each for each in texts if each != found["answer"])
        answer = next(each for each in texts if each != question)
        numbered = all(re.fullmatch(r"column \d+", each) for each in texts)
        if numbered:
            question, answer = texts  # a table without names: the question stands first
        return Columns("answers", {"question": question, "answer": answer}, sure=False)
    return Columns("", {}, sure=False)


def _is_words(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*[-+]?[\d.,]*\s*", value) is None


def _mean_length(records: Sequence[Mapping[str, Any]], name: str) -> float:
    found = [len(value) for record in records if isinstance(value := record.get(name), str)]
    return sum(found) / max(1, len(found))


def plain(name: str) -> str:
    """A column's name without what only spells it: case, spaces, underscores, what it lies in."""
    return re.sub(r"[\W_]", "", name.rpartition(".")[2].lower())


def _named(names: Sequence[str], known: Sequence[str]) -> str:
    by_name = {plain(name): name for name in reversed(names)}
    by_whole = {re.sub(r"[\W_]", "", name.lower()): name for name in reversed(names)}
    inner = {
        plain(name.rpartition(".")[0]): name for name in reversed(names) if plain(name) == "text"
    }  # answers.text, as in SQuAD
    return next((place[each] for each in known for place in (by_whole, by_name, inner) if each in place), "")


def _holds_turns(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    value = next((record[name] for record in records if record.get(name)), None)
    if isinstance(value, str):  # as a cell of a table holds it
        return re.match(r"\s*\[\s*{", value) is not None
    if not isinstance(value, list) or not value:
        return False
    return isinstance(value[0], Mapping) or (isinstance(value[0], list | str) and len(value) > 1)
