"""Skills with word lists: repeat, reverse, pick one, count, say.

Copying is what a small model learns late, and what makes its attention heads worth looking at. So
the words come from everywhere: the small world, everyday words, names, letters, numbers, and words
invented on the spot, which can only be copied and never be known by heart.
"""

from __future__ import annotations

import random

import facts
import world
from turns import State, Turn, equal, has_all
from wording import Split, belongs, maybe_lower, odd_word, pseudo_word, vary

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def any_word(rng: random.Random) -> str:
    """Take a word from anywhere."""
    chance = rng.random()
    if chance < 0.45:
        return rng.choice(world.ALL_WORDS)
    if chance < 0.75:
        return pseudo_word(rng)
    if chance < 0.9:
        return odd_word(rng)
    return rng.choice(world.NAMES)


def _word_of_kind(rng: random.Random, kind: float) -> str:
    """Take a word; `kind`, between 0 and 1, fixes where the words of one list come from."""
    if kind < 0.20:
        return pseudo_word(rng, 2)
    if kind < 0.28:
        return odd_word(rng)
    if kind < 0.33:
        return pseudo_word(rng)
    if kind < 0.56:
        return rng.choice(world.THINGS)
    if kind < 0.75:
        return rng.choice(world.ALL_WORDS)
    if kind < 0.82:
        return rng.choice(world.NAMES)
    if kind < 0.88:
        return rng.choice(LETTERS)
    if kind < 0.90:
        return rng.choice(LETTERS).upper()
    if kind < 0.95:
        return str(rng.randint(0, rng.choice([9, 20, 99])))
    return any_word(rng)


def word_list(rng: random.Random, length: int, familiar: bool = False) -> list[str]:
    """Make a list of different words, mostly all of one kind; `familiar` invents fewer of them."""
    kind = rng.random()
    if familiar and kind > 0.1:
        kind = min(0.999, 0.17 + kind * 0.83)
    chosen: list[str] = []
    while len(chosen) < length:
        word = _word_of_kind(rng, kind)
        if word not in chosen:
            chosen.append(word)
    if rng.random() < 0.03:
        chosen = [word.capitalize() for word in chosen]
    return chosen


def split_list(rng: random.Random, length: int, split: Split, familiar: bool = False) -> list[str]:
    """Make a list that belongs to this split."""
    while True:
        chosen = word_list(rng, length, familiar)
        if belongs(split, "list", *chosen):
            return chosen


def _separator(rng: random.Random) -> str:
    return rng.choices([" ", ", ", "\n", " - "], [60, 35, 3, 2])[0]


def _colon(rng: random.Random) -> str:
    return rng.choice([": ", ": ", ": ", ":\n", " - ", " "])


def repeat(rng: random.Random, state: State, split: Split) -> Turn:
    """Say again what was given: mostly a list, now and then a sentence."""
    colon = _colon(rng)
    if rng.random() < 0.10:
        text = _sentence(rng)
        colon = ": " if colon in (" ", " - ") else colon
    else:
        length = rng.choice([1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8])
        text = _separator(rng).join(split_list(rng, length, split))
    ask = "Repeat"
    if rng.random() >= 0.35:
        ask = vary(
            rng,
            "[Repeat|Repeat these words|Repeat this|Repeat this list|Copy these words|Copy this"
            "|Say these words again|Write these words again|Repeat after me|Copy|Please repeat"
            "|Can you repeat|Echo|Say this|Repeat the words|Repeat the following|Say it again]",
        )
    return Turn(maybe_lower(rng, ask, 0.25) + colon + text, text, equal(text))


def _sentence(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return facts.any_fact(rng).answer
    sentence = vary(
        rng,
        "[I|we|they|{name}] [like|love|saw|want|found|lost] [the|a|my|one|your] {adjective} {thing}"
        " [today|again|in the morning|and the {other}|]",
        name=rng.choice(world.NAMES),
        adjective=rng.choice(world.ADJECTIVES),
        thing=rng.choice(world.ALL_WORDS),
        other=any_word(rng),
    )
    return sentence + rng.choice([".", "!", ""])


def reverse(rng: random.Random, state: State, split: Split) -> Turn:
    """Say the words of a list in the opposite order, with the same marks between them."""
    length = rng.choice([2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8])
    chosen = split_list(rng, length, split, familiar=True)
    separator = _separator(rng)
    answer = separator.join(reversed(chosen))
    colon = _colon(rng)
    ask = "Reverse"
    if rng.random() >= 0.4:
        ask = vary(
            rng,
            "[Reverse|Reverse these words|Reverse this|Reverse this list|Reverse the list"
            "|Reverse the words|Reverse the order|Say these words backwards|Say this backwards"
            "|Write these words in reverse order|Turn this list around|Please reverse"
            "|Can you reverse|Backwards]",
        )
    return Turn(maybe_lower(rng, ask, 0.25) + colon + separator.join(chosen), answer, equal(answer))


def pick(rng: random.Random, state: State, split: Split) -> Turn:
    """Smaller tasks with a list: its first, last or n-th word, how many, twice, or one word."""
    length = rng.choice([3, 3, 4, 4, 5, 5, 6, 7, 8])
    task = rng.choice(["first", "last", "nth", "count", "twice", "say", "say"])
    chosen = split_list(rng, length, split)
    separator = rng.choice([" ", " ", ", "])
    colon = rng.choice([": ", ":\n", ": "])
    if task == "twice":
        text = separator.join(chosen[:4])
        ask = vary(rng, "[Say this twice|Repeat this two times|Write this twice]")
        answer = f"{text}. {text}."
        return Turn(ask + colon + text, answer, equal(answer))
    if task == "say":
        word = any_word(rng)
        ask = vary(rng, "[Say|Say the word|Please say|Write|Write the word] {word}[.|]", word=word)
        return Turn(ask, word, equal(word))
    text = separator.join(chosen)
    if task == "count":
        ask = vary(rng, "[How many words are here|Count these words|How many words]")
        number = world.NUMBER_WORDS[length]
        return Turn(ask + colon + text, f"There are {number} words.", has_all(number))
    place = {"first": 0, "last": length - 1}.get(task, rng.randrange(1, min(length, 4)))
    which = task if task != "nth" else ["first", "second", "third", "fourth"][place]
    ask = vary(
        rng,
        f"[What is the {which} word here|Which word comes {which}|Give me the {which} word]",
    )
    answer = f"The {which} word is {chosen[place]}."
    return Turn(ask + colon + text, answer, has_all(chosen[place]))


def drill(rng: random.Random) -> str:
    """Write plain text for copying: a random sequence, said two to four times."""
    separator = rng.choice([" ", " ", ", "])
    text = separator.join(any_word(rng) for _ in range(rng.randint(3, 14)))
    gap = rng.choice([" ", ". ", "\n", " ; ", " and again "])
    return gap.join([text] * rng.choice([2, 2, 3, 4]))
