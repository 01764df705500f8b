"""Small tools for writing text: choices inside a template, articles, invented words, held-out sets.

Everything the starter model reads is written by the modules beside this one. No text of anyone
else goes in, so the model and its data are ours to give away.
"""

from __future__ import annotations

import hashlib
import random
import re
from typing import Any, Literal

Split = Literal["train", "held"]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_HELD_SHARE = 26  # of 256: about a tenth


def is_held(*key: Any) -> bool:
    """Say whether a combination belongs to the tenth that training never sees.

    The answer depends on the combination alone, so every run agrees about it.
    """
    return hashlib.md5(repr(key).encode()).digest()[0] < _HELD_SHARE


def belongs(split: Split, *key: Any) -> bool:
    """Say whether a combination may be used in this split."""
    return is_held(*key) == (split == "held")


def vary(rng: random.Random, template: str, **values: Any) -> str:
    """Fill in a template: pick one of each `[this|that]`, then put in the `{values}`.

    Innermost brackets go first, spaces are tidied, and sentences begin with a capital letter.
    """
    while match := _CHOICE.search(template):
        pick = rng.choice(match.group(1).split("|"))
        template = template[: match.start()] + pick + template[match.end() :]
    text = template.format(**values) if values else template
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.!?])", r"\1", text)
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)


def an(word: str) -> str:
    """Put "a" or "an" in front of a word."""
    return ("an " if word[0] in "aeiou" else "a ") + word


def upper_first(text: str) -> str:
    """Make the first letter a capital and leave the rest alone."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Make the first letter small and leave the rest alone."""
    return text[:1].lower() + text[1:]


def maybe_lower(rng: random.Random, text: str, chance: float) -> str:
    """Now and then begin with a small letter, as people do."""
    return lower_first(text) if rng.random() < chance else text


def words(text: str) -> list[str]:
    """Cut a text at its spaces: the short way to write a list of words."""
    return text.split()


STARTS = words("b d f g h k l m n p r s t v z bl br dr fl gr kl pl sn st tr")
VOWELS = words("a e i o u")
ENDS = words("n k m l t x")

MORE_STARTS = STARTS + words("w j y qu x th sh ch wh sp sw gn")
MORE_VOWELS = VOWELS + words("ee oo ai ea ou y")
MORE_ENDS = ENDS + words("s d p ng nd st rk th ll sh ss ck rn mp")


def pseudo_word(rng: random.Random, syllables: int | None = None) -> str:
    """Invent an easy word such as "brulo" or "tesnak"."""
    syllables = syllables or rng.choice([2, 2, 3])
    word = "".join(rng.choice(STARTS) + rng.choice(VOWELS) for _ in range(syllables))
    return word + (rng.choice(ENDS) if rng.random() < 0.4 else "")


def odd_word(rng: random.Random) -> str:
    """Invent a word with rarer letters, so that copying cannot lean on known pieces."""
    word = ""
    for _ in range(rng.choice([1, 2, 2, 3])):
        word += rng.choice(MORE_STARTS) + rng.choice(MORE_VOWELS)
        if rng.random() < 0.3:
            word += rng.choice(MORE_ENDS)
    return word + (rng.choice(MORE_ENDS) if rng.random() < 0.4 else "")
