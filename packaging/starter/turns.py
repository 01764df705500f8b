"""What one exchange of a conversation is, how its answer is checked, and what a talk remembers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wording import Split


@dataclass(frozen=True)
class Check:
    """A test that an answer must pass to count as right."""

    kind: Literal["equal", "start", "all", "any", "pool"]
    words: Sequence[str]
    count: int = 0  # only for "pool": so many different members of it

    def passes(self, answer: str) -> bool:
        """Say whether the answer is right."""
        answer = answer.strip()
        lower = answer.lower()
        if self.kind == "equal":
            return answer == self.words[0]
        if self.kind == "start":
            return answer.startswith(tuple(self.words))
        if self.kind == "all":
            return all(word.lower() in lower for word in self.words)
        if self.kind == "any":
            return any(word.lower() in lower for word in self.words)
        items = [item.strip() for item in re.split(r",| and ", lower.rstrip(".")) if item.strip()]
        pool = {word.lower() for word in self.words}
        return len(items) == self.count == len(set(items)) and pool.issuperset(items)

    def inside(self, before: str, after: str) -> Check:
        """Return the same test for an answer that is wrapped in a way of speaking."""
        if self.kind == "equal":
            return equal(before + self.words[0] + after)
        if self.kind == "start":
            return Check("start", [before + word for word in self.words])
        return self


def equal(text: str) -> Check:
    """Demand exactly this answer."""
    return Check("equal", [text])


def has_all(*parts: str) -> Check:
    """Demand that all of these appear."""
    return Check("all", parts)


def has_any(*parts: str) -> Check:
    """Demand that one of these appears."""
    return Check("any", parts)


@dataclass(frozen=True)
class Turn:
    """What the person says, what the model should say, and how to check it (None: free talk)."""

    user: str
    answer: str
    check: Check | None = None


@dataclass(frozen=True)
class Tale:
    """What a story was about, for questions afterwards."""

    hero: str
    name: str
    place: str
    thing: str
    friend: str


@dataclass(frozen=True)
class Persona:
    """A part that the system prompt asks the model to play."""

    name: str
    role: str
    before: str = ""  # said in front of every answer
    after: str = ""


@dataclass
class State:
    """What has been said so far, as far as later turns depend on it."""

    told: dict[str, tuple[str, str]] = field(default_factory=dict)  # slot -> value, kind of pet
    tale: Tale | None = None
    persona: Persona | None = None
    wanted_slot: str | None = None  # the slot the next memory turn must be about


Skill = Callable[[random.Random, State, Split], Turn]
