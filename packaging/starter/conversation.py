"""Whole conversations: which skills, how often, under which system prompt, over how many turns.

python packaging/starter/conversation.py      print a few of them
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import chat
import facts
import games
import lists
import memory
import stories
import world
from turns import Check, Skill, State, Turn
from wording import Split, pseudo_word, vary

# How often each skill comes, roughly in turns of 155.
SKILLS: dict[str, tuple[Skill, float]] = {
    "story": (stories.story, 7),
    "story question": (stories.story_question, 3),
    "about itself": (chat.about_itself, 8),
    "greeting": (chat.greet, 7),
    "repeat": (lists.repeat, 18),
    "reverse": (lists.reverse, 20),
    "pick from list": (lists.pick, 7),
    "sums": (games.add, 13),
    "facts": (facts.fact, 17),
    "compare": (facts.compare, 4),
    "told": (memory.told, 9),
    "remember": (memory.recall, 9),
    "read and answer": (memory.read, 7),
    "sequences": (games.sequence, 7),
    "luck": (games.luck, 4),
    "jokes and rhymes": (games.fun, 5),
    "describe": (facts.describe, 4),
    "say it does not know": (facts.unknown, 7),
}

# The first stretch of training is mostly copying and remembering: the attention heads for it
# form early then, and everything else profits.
_FOCUS = {"repeat": 2.2, "reverse": 2.6, "told": 1.3, "remember": 1.3, "story": 0.35}

_EXACT = ("repeat", "reverse", "pick from list")  # skills whose prompts must stay as they are


@dataclass(frozen=True)
class Asked:
    """An answer of the model, with the skill it belongs to and its check."""

    skill: str
    check: Check | None


def system_prompt(rng: random.Random, state: State) -> tuple[str | None, str]:
    """Choose a system prompt, or none; also return what must end every answer."""
    chance = rng.random()
    if chance < 0.10:
        state.persona = chat.random_persona(rng)
        return chat.persona_prompt(rng, state.persona), ""
    if chance < 0.18:
        word = pseudo_word(rng) if rng.random() < 0.5 else rng.choice(world.THINGS)
        orders = "End every answer with the word {w}.|Always finish with {w}.|"
        orders += "Say {w} at the end of each answer."
        return vary(rng, f"[{orders}]", w=word), " " + word
    if chance < 0.30:
        prompts = "You are Pip, a tiny language model.|You are a helpful assistant.|"
        prompts += "You are a friendly assistant.|You are Pip."
        return vary(rng, f"[{prompts}]"), ""
    return None, ""


def _choose_skill(rng: random.Random, state: State, number: int, turns: int, far: bool, focus: bool) -> str:
    """Choose what the next turn is about."""
    weights = [weight * (_FOCUS.get(name, 1) if focus else 1) for name, (_, weight) in SKILLS.items()]
    name = rng.choices(list(SKILLS), weights)[0]
    if state.tale and rng.random() < 0.25:
        name = "story question"
    if state.told and rng.random() < 0.22:
        name = "remember"
    if number == 0 and rng.random() < 0.07:
        name = "greeting"
    if far and number in (0, turns - 1):
        state.wanted_slot = "name"
        name = "told" if number == 0 else "remember"
    return name


def _in_style(turn: Turn, state: State, ending: str) -> Turn:
    """Say the answer as the system prompt demands."""
    before = state.persona.before if state.persona else ""
    after = (state.persona.after if state.persona else "") + ending
    check = turn.check.inside(before, after) if turn.check else None
    return replace(turn, answer=before + turn.answer + after, check=check)


def conversation(
    rng: random.Random,
    split: Split = "train",
    last: str | None = None,
    turns: int | None = None,
    focus: bool = False,
) -> list[dict[str, Any]]:
    """Write a conversation as messages; answers carry an `Asked` under "asked".

    `last` forces the skill of the last turn (for evaluation), `turns` the number of turns.
    """
    state = State()
    messages: list[dict[str, Any]] = []
    system, ending = system_prompt(rng, state)
    if system:
        messages.append({"role": "system", "content": system})
    turns = turns or rng.choices([1, 2, 3, 4, 5, 6, 8], [30, 18, 15, 13, 10, 8, 6])[0]
    # In a fifth of the longer talks the name is told first and asked for at the very end.
    far = last is None and turns >= 3 and rng.random() < 0.2
    for number in range(turns):
        name = _choose_skill(rng, state, number, turns, far, focus)
        if last and number == turns - 1:
            name = last
        elif last == "remember" and number == 0:
            name = "told"
        elif last == "story question" and number == turns - 2:
            name = "story"
        turn = SKILLS[name][0](rng, state, split)
        user = turn.user
        if name not in _EXACT and rng.random() < 0.3:
            user = user.replace("colour", "color")
        turn = _in_style(turn, state, ending)
        messages.append({"role": "user", "content": user})
        asked = Asked(name, turn.check)
        messages.append({"role": "assistant", "content": turn.answer, "asked": asked})
    return messages


def plain_text(rng: random.Random) -> str:
    """Write a text that is no conversation: a story, or a copying drill."""
    return stories.tell(rng)[0] if rng.random() < 0.4 else lists.drill(rng)


def main() -> None:
    """Print a few conversations and plain texts."""
    rng = random.Random()
    for _ in range(12):
        for message in conversation(rng):
            print(f"{message['role']:>9}: {message['content']}")
        print("-" * 20)
    for _ in range(3):
        print(plain_text(rng), "\n")


if __name__ == "__main__":
    main()
