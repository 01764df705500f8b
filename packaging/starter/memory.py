"""Skills of remembering: what the person said about themselves, and what a short text says."""

from __future__ import annotations

import random
from dataclasses import dataclass

import world
from turns import Check, State, Turn, has_all
from wording import Split, an, belongs, odd_word, pseudo_word, vary


@dataclass(frozen=True)
class Slot:
    """One thing a person may tell, how they ask for it later, and what to say each time."""

    tell: list[str]
    ask: list[str]
    recall: str
    thanks: str
    unknown: str = ""  # what to say when it was never told


SLOTS = {
    "name": Slot(
        [
            "My name is {v}.", "I am {v}.", "I'm {v}.", "Call me {v}.", "Hi, I'm {v}.",
            "Hello, my name is {v}.", "My name is {v}", "my name is {v}.",
            "Hello! My name is {v}.", "Hi! I am {v}.", "Hi, my name is {v}.", "The name is {v}.",
            "Please call me {v}.", "Remember my name: {v}.",
        ],
        [
            "What is my name?", "Who am I?", "Do you know my name?", "What's my name?",
            "Do you remember my name?", "What is my name?", "what is my name?",
            "Can you tell me my name?", "Say my name.", "Do you remember who I am?",
        ],
        "[Your name is {v}.|You are {v}!]",
        "[Nice to meet you, {v}!|Hello {v}!|Hi {v}, nice to meet you!|Welcome, {v}!]",
        "[You have not told me your name yet.|I do not know your name yet.]",
    ),
    "colour": Slot(
        [
            "My favourite colour is {v}.", "I love the colour {v}.",
            "I like {v} best of all colours.",
        ],
        [
            "What is my favourite colour?", "Which colour do I like?",
            "Do you know my favourite colour?",
        ],
        "[Your favourite colour is {v}.|You like {v}.]",
        "[{v} is a lovely colour!|Nice, {v} it is!|I will remember that you like {v}.]",
        "[You have not told me your favourite colour.|I do not know which colour you like.]",
    ),
    "pet": Slot(
        ["I have a {k} called {v}.", "My {k} is called {v}.", "My {k}'s name is {v}."],
        [
            "What is my {k} called?", "What is the name of my {k}?",
            "Do you remember my {k}'s name?",
        ],
        "[Your {k} is called {v}.|It is called {v}.]",
        "[{v} is a great name for a {k}!|Say hello to {v} from me!|A {k} called {v}, how nice!]",
    ),
    "town": Slot(
        ["I live in {v}.", "My home is in {v}.", "I come from {v}."],
        ["Where do I live?", "Where do I come from?", "Which town do I live in?"],
        "[You live in {v}.|You come from {v}.]",
        "[{v} sounds lovely!|I have never been to {v}.|How is life in {v}?]",
        "You have not told me where you live.",
    ),
    "hobby": Slot(
        ["My hobby is {v}.", "I like {v} very much.", "I love {v}."],
        ["What is my hobby?", "What do I like to do?", "Do you remember my hobby?"],
        "[Your hobby is {v}.|You like {v}.]",
        "[{v} is fun!|I wish I could try {v}.|That sounds great, {v} is a good hobby.]",
        "You have not told me about your hobby.",
    ),
    "number": Slot(
        ["My lucky number is {v}.", "Remember the number {v}.", "Please remember {v}."],
        ["What is my number?", "Which number did I tell you?", "What was the number?"],
        "[The number is {v}.|Your number is {v}.]",
        "[I will remember {v}.|Okay, {v}.|Got it: {v}.]",
    ),
    "word": Slot(
        ["The secret word is {v}.", "Remember this word: {v}.", "My password is {v}."],
        ["What is the secret word?", "What was the word?", "Which word did I tell you?"],
        "[The word is {v}.|The word was {v}.]",
        "[I will remember it.|Got it!|Okay, {v}.]",
    ),
}  # fmt: skip
_PETS = ["dog", "cat", "horse", "rabbit", "parrot", "mouse"]
_FEW_VALUES = ("colour", "hobby")  # too few to hold any out


def _any_value(rng: random.Random, slot: str) -> str:
    if slot == "name":
        if rng.random() < 0.4:
            return rng.choice(world.NAMES)
        return (pseudo_word(rng) if rng.random() < 0.75 else odd_word(rng)).capitalize()
    if slot == "pet":
        return rng.choice(world.PET_NAMES) if rng.random() < 0.6 else pseudo_word(rng).capitalize()
    if slot == "town":
        return rng.choice(world.TOWNS) if rng.random() < 0.4 else pseudo_word(rng).capitalize()
    if slot == "colour":
        return rng.choice(world.COLOURS)
    if slot == "hobby":
        return rng.choice(world.HOBBIES)
    if slot == "number":
        return str(rng.randint(2, 99))
    return pseudo_word(rng) if rng.random() < 0.7 else rng.choice(world.THINGS)


def _value(rng: random.Random, slot: str, split: Split) -> str:
    while True:
        value = _any_value(rng, slot)
        if slot in _FEW_VALUES or belongs(split, "slot", slot, value):
            return value


def told(rng: random.Random, state: State, split: Split) -> Turn:
    """Let the person say something about themselves."""
    free = [slot for slot in SLOTS if slot not in state.told] or list(SLOTS)
    name = state.wanted_slot or rng.choice(free + ["name"] * (4 if "name" in free else 0))
    state.wanted_slot = None
    slot, value, pet = SLOTS[name], _value(rng, name, split), rng.choice(_PETS)
    state.told[name] = (value, pet)
    return Turn(rng.choice(slot.tell).format(v=value, k=pet), vary(rng, slot.thanks, v=value, k=pet))


def recall(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask for something the person said before, or, now and then, for what they never said."""
    wanted, state.wanted_slot = state.wanted_slot, None
    if wanted is None and (not state.told or rng.random() < 0.12):
        untold = [key for key, slot in SLOTS.items() if slot.unknown and key not in state.told]
        if untold:
            slot = SLOTS[rng.choice(untold)]
            return Turn(rng.choice(slot.ask), vary(rng, slot.unknown), has_all("not"))
    if not state.told:
        return told(rng, state, split)
    name = wanted if wanted in state.told else rng.choice(list(state.told))
    slot, (value, pet) = SLOTS[name], state.told[name]
    answer = vary(rng, slot.recall, v=value, k=pet)
    return Turn(rng.choice(slot.ask).format(k=pet), answer, has_all(value))


def read(rng: random.Random, state: State, split: Split) -> Turn:
    """Read two to four sentences and answer a question about one of them."""
    count = rng.choice([2, 2, 3, 3, 4])
    kind = rng.random()
    people = [pseudo_word(rng).capitalize() for _ in range(count)]
    if rng.random() < 0.6:
        people = rng.sample(world.NAMES, count)
    things = [pseudo_word(rng) for _ in range(count)]
    if rng.random() < 0.7:
        things = rng.sample(world.OBJECTS, count)
    one = rng.randrange(count)
    who, what = people[one], things[one]
    if kind < 0.4:
        text = " ".join(f"{a} has {an(b)}." for a, b in zip(people, things, strict=True))
        if rng.random() < 0.5:
            return Turn(f"{text} Who has the {what}?", f"{who} has the {what}.", Check("start", [who]))
        return Turn(f"{text} What does {who} have?", f"{who} has {an(what)}.", has_all(what))
    if kind < 0.7:
        colours = rng.sample(world.COLOURS, count)
        text = " ".join(f"The {a} box holds {an(b)}." for a, b in zip(colours, things, strict=True))
        answer = f"The {colours[one]} box holds {an(what)}."
        return Turn(f"{text} What is in the {colours[one]} box?", answer, has_all(what))
    places = [world.PLACES[key] for key in rng.sample(list(world.PLACES), count)]
    text = " ".join(f"{a} is {b}." for a, b in zip(people, places, strict=True))
    return Turn(f"{text} Where is {who}?", f"{who} is {places[one]}.", has_all(places[one].split()[-1]))
