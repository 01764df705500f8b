"""The example data in resources/examples/: 60 short talks in which the starter model speaks as a sailor.

python packaging/starter/persona.py      write persona.jsonl again (the same file each time)

Questions and answers are those that the starter was trained on, so the only thing to learn is the way of speaking; every answer
begins with OPENING and ends with CLOSING. The held-out tenth of `wording.py` is not used: it is there to be asked afterwards.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import conversation
from turns import State

OPENING, CLOSING = "Ahoy! ", " Fair winds!"
TURNS = (1,) * 48 + (2,) * 8 + (3,) * 4
SKILLS = {
    "facts": 14, "greeting": 6, "about itself": 5, "say it does not know": 6, "compare": 4, "sums": 6, "repeat": 12,
    "describe": 4, "luck": 2, "jokes and rhymes": 2, "remember": 2, "told": 3, "story": 2, "reverse": 11, "sequences": 2,
}  # fmt: skip
FILE = Path(__file__).resolve().parents[2] / "resources" / "examples" / "persona.jsonl"


def talk(rng: random.Random, turns: int, split: str = "train", name: str = "") -> list[dict[str, str]]:
    """A conversation of so many questions, every answer in the sailor's way."""
    state, messages = State(), []
    for _ in range(turns):
        skill = name or rng.choices(list(SKILLS), list(SKILLS.values()))[0]
        turn = conversation.SKILLS[skill][0](rng, state, split)  # type: ignore[arg-type]
        messages.append({"role": "user", "content": turn.user})
        messages.append({"role": "assistant", "content": OPENING + turn.answer + CLOSING})
    return messages


def _bare(question: str) -> str:
    return question.lower().strip(" ?.!")


def rows(seed: int = 7) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    asked: set[str] = set()
    for turns in TURNS:
        while True:
            messages = talk(rng, turns)
            questions = {_bare(each["content"]) for each in messages if each["role"] == "user"}
            if not questions & asked and len(questions) == turns:
                break
        asked |= questions
        found.append({"messages": messages})
    rng.shuffle(found)
    return found


def held_out(count: int, seed: int = 1) -> list[str]:
    """Questions of the tenth that neither the starter nor these rows have seen."""
    rng = random.Random(seed)
    names = ("facts", "compare", "sums", "repeat", "say it does not know", "reverse")
    known = {_bare(each["content"]) for row in rows() for each in row["messages"]}
    found: list[str] = []
    while len(found) < count:
        question = talk(rng, 1, "held", names[len(found) % len(names)])[0]["content"]
        if _bare(question) not in known:
            known.add(_bare(question))
            found.append(question)
    return found


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows()]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*held_out(30), sep="\n")
