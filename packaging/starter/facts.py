"""Skills about the small world: facts, comparisons, descriptions, and honest "I do not know"."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import world
from turns import Check, State, Turn, has_all, has_any
from wording import Split, an, belongs, lower_first, odd_word, pseudo_word, upper_first, vary


@dataclass(frozen=True)
class Fact:
    """One thing to know, with several ways to ask for it.

    A fact and a way of asking make a combination; a tenth of the combinations is held out.
    """

    key: tuple[str, Hashable]  # topic and subject
    questions: Sequence[str]  # {x} stands for the subject
    subject: str
    answer: str
    check: Check


# Homes are written "a den", "the forest"; these are not lived in but on, or at.
_ON = ("a rocky hill", "a grassy hill", "a mountain", "the icy shore", "a lake")
_AT = ("the seaside",)


def _animal_facts(rng: random.Random, topic: str) -> Fact:
    name = rng.choice(list(world.ANIMALS))
    animal = world.ANIMALS[name]
    subject, starts = an(name), upper_first(an(name))
    if topic == "sound":
        asks = ["What sound does {x} make?", "What noise does {x} make?"]
        asks += ["How does {x} sound?", "What does {x} say?"]
        answer, need = f"{starts} {animal.sound}.", animal.sound.split()[-1]
    elif topic == "home":
        asks = ["Where does {x} live?", "What is the home of {x}?"]
        asks += ["Where can I find {x}?", "Where would {x} sleep?"]
        where = "on" if animal.home in _ON else "at" if animal.home in _AT else "in"
        answer, need = f"{starts} lives {where} {animal.home}.", animal.home.split()[-1]
    elif topic == "food":
        asks = ["What does {x} eat?", "What do I feed {x}?"]
        asks += ["What food does {x} like?", "What is the favourite food of {x}?"]
        answer, need = f"{starts} likes to eat {animal.food}.", animal.food.split()[-1]
    elif topic == "colour":
        asks = list(_COLOUR_QUESTIONS)
        answer, need = f"{starts} is {animal.colour}.", animal.colour
    elif topic == "legs":
        asks = ["How many legs does {x} have?", "How many legs has {x} got?"]
        asks += ["Count the legs of {x}."]
        number = "no" if animal.legs == 0 else world.NUMBER_WORDS[animal.legs]
        answer, need = f"{starts} has {number} legs.", f"{number} legs"
    elif topic == "baby":
        asks = ["What is a baby {x} called?", "What do you call a baby {x}?"]
        asks += ["What is the name for a young {x}?"]
        subject = name
        answer, need = f"A baby {name} is called {an(animal.baby)}.", animal.baby
    else:
        able = animal.flies if topic == "fly" else animal.swims
        asks = [f"Can {{x}} {topic}?", f"Is {{x}} able to {topic}?", f"Does {{x}} {topic}?"]
        answer = f"Yes, {subject} can {topic}." if able else f"No, {subject} cannot {topic}."
        need = "yes," if able else "no,"
    return Fact((topic, name), asks, subject, answer, has_all(need))


_COLOUR_QUESTIONS = (
    "What colour is {x}?",
    "Which colour does {x} have?",
    "Tell me the colour of {x}.",
)


def _food_name(rng: random.Random, name: str) -> str:
    """Say "an apple", "milk", and now and then "apple"."""
    return name if name in world.UNCOUNTED or rng.random() < 0.2 else an(name)


def _food_facts(rng: random.Random, topic: str) -> Fact:
    name = rng.choice(list(world.FOODS))
    food = world.FOODS[name]
    subject = _food_name(rng, name)
    starts = upper_first(subject)
    if topic == "kindq":
        asks = ["What kind of food is {x}?", "What is {x}?", "What type of food is {x}?"]
        if food.kind.endswith(" food"):
            answer = f"{starts} is a kind of {food.kind}."
        else:
            answer = f"{starts} is a {food.kind}."
        need = food.kind.split()[0]
    elif topic == "fcol":
        asks = list(_COLOUR_QUESTIONS)
        answer, need = f"{starts} is {food.colour}.", f"is {food.colour}"
    else:
        asks = ["What does {x} taste like?", "How does {x} taste?", "What is the taste of {x}?"]
        answer, need = f"{starts} tastes {food.taste}.", food.taste
    return Fact((topic, name), asks, subject, answer, has_all(need))


def _yes_no_facts(rng: random.Random, topic: str) -> Fact:
    if topic == "fkind":
        name = rng.choice(list(world.FOODS))
        kind = rng.choice(["fruit", "vegetable", "drink"])
        true = world.FOODS[name].kind == kind
    else:
        name = rng.choice([*world.ANIMALS, *world.FOODS, *world.OBJECTS])
        kind = "animal"
        true = name in world.ANIMALS
    subject = _food_name(rng, name) if name in world.FOODS else an(name)
    asks = ["Is {x} " + an(kind) + "?", "Would you say {x} is " + an(kind) + "?"]
    answer = f"Yes, {subject} is {an(kind)}." if true else f"No, {subject} is not {an(kind)}."
    return Fact((topic, (name, kind)), asks, subject, answer, has_all("yes," if true else "no,"))


def _opposite_facts(rng: random.Random, topic: str) -> Fact:
    word = rng.choice(list(world.OPPOSITES))
    asks = ["What is the opposite of {x}?", "Give me the opposite of {x}."]
    asks += [
        "Which word is the opposite of {x}?",
        "{x} is the opposite of what?",
        "Opposite of {x}?",
    ]
    answer = f"The opposite of {word} is {world.OPPOSITES[word]}."
    return Fact((topic, word), asks, word, answer, has_all(f"is {world.OPPOSITES[word]}"))


def _thing_facts(rng: random.Random, topic: str) -> Fact:
    thing = rng.choice(list(world.THING_COLOURS))
    colour = world.THING_COLOURS[thing]
    subject = "the sky" if thing == "sky" else thing
    asks = ["What colour is {x}?", "Which colour is {x}?", "Tell me the colour of {x}."]
    return Fact((topic, thing), asks, subject, f"{upper_first(subject)} is {colour}.", has_all(colour))


def _job_facts(rng: random.Random, topic: str) -> Fact:
    job = rng.choice(list(world.JOBS))
    does = world.JOBS[job]
    answer = f"{upper_first(an(job))} {does}."
    if topic == "job":
        asks = ["What does {x} do?", "What is the job of {x}?", "Tell me what {x} does."]
        return Fact((topic, job), asks, an(job), answer, has_all(does.split()[-1]))
    asks = ["Who {x}?", "Which person {x}?", "Tell me who {x}."]
    return Fact((topic, job), asks, does, answer, has_all(job))


def _calendar_facts(rng: random.Random, topic: str) -> Fact:
    names = world.DAYS if topic == "day" else world.MONTHS
    place, step = rng.randrange(len(names)), rng.choice([1, -1])
    word = "after" if step > 0 else "before"
    asks = [f"What {topic} comes {word} {{x}}?", f"Which {topic} is {word} {{x}}?"]
    found = names[(place + step) % len(names)]
    answer = f"{found} comes {word} {names[place]}."
    return Fact((topic, (place, step)), asks, names[place], answer, Check("start", [found]))


def _naming_facts(rng: random.Random, topic: str) -> Fact:
    count = rng.choice([1, 2, 3, 3, 4])
    pools = {
        "animal": list(world.ANIMALS),
        "fruit": [name for name, food in world.FOODS.items() if food.kind == "fruit"],
        "vegetable": [name for name, food in world.FOODS.items() if food.kind == "vegetable"],
        "colour": world.COLOURS,
        "bird": ["duck", "hen", "owl", "parrot", "crow", "eagle", "swan", "penguin"],
        "day": world.DAYS,
        "name": world.NAMES,
    }
    kind = rng.choice(["animal", "fruit", "colour", "bird", "day", "vegetable", "name"])
    chosen = rng.sample(pools[kind], count)
    text = chosen[0] if count == 1 else ", ".join(chosen[:-1]) + " and " + chosen[-1]
    what = f"{world.NUMBER_WORDS[count]} {kind}{'s' if count > 1 else ''}."
    asks = [f"{verb} {what}" for verb in ("Name", "Give me", "Tell me", "List")]
    check = Check("pool", pools[kind], count)
    return Fact((topic, (kind, count)), asks, "", upper_first(text) + ".", check)


_TOPICS: dict[str, Callable[[random.Random, str], Fact]] = {
    **dict.fromkeys(["sound", "home", "food", "colour", "legs", "baby", "fly", "swim"], _animal_facts),
    **dict.fromkeys(["kindq", "fcol", "ftaste"], _food_facts),
    **dict.fromkeys(["fkind", "isan"], _yes_no_facts),
    "opp": _opposite_facts,
    "thing": _thing_facts,
    **dict.fromkeys(["job", "job2"], _job_facts),
    **dict.fromkeys(["day", "month"], _calendar_facts),
    "names": _naming_facts,
}
_TOPIC_DRAW = [*_TOPICS, "opp"]  # opposites come twice as often


def any_fact(rng: random.Random) -> Fact:
    """Draw one fact of any topic."""
    topic = rng.choice(_TOPIC_DRAW)
    return _TOPICS[topic](rng, topic)


def fact(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask for a fact; held out are pairs of a fact and a way of asking."""
    while True:
        found = any_fact(rng)
        number = rng.randrange(len(found.questions))
        if belongs(split, "fact", *found.key, number):
            break
    ask = upper_first(found.questions[number].replace("{x}", found.subject))
    if rng.random() < 0.2 and found.subject not in world.DAYS + world.MONTHS:
        ask = lower_first(ask)
    if rng.random() < 0.1:
        ask = ask.rstrip("?.")
    return Turn(ask, found.answer, found.check)


def compare(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask which of two animals is bigger or smaller; held out are pairs of animals."""
    while True:
        left, right = rng.sample(list(world.ANIMALS), 2)
        sizes = {name: world.ANIMALS[name].size for name in (left, right)}
        apart = abs(sizes[left] - sizes[right]) >= 4
        if apart and belongs(split, "cmp", *sorted((left, right))):
            break
    bigger = rng.random() < 0.6
    winner = (max if bigger else min)(sizes, key=lambda name: sizes[name])
    other = right if winner == left else left
    word = "bigger" if bigger else "smaller"
    ask = f"[Which is {word}|What is {word}|Who is {word}], {an(left)} or {an(right)}?"
    starts = upper_first(an(winner))
    return Turn(vary(rng, ask), f"{starts} is {word} than {an(other)}.", Check("start", [starts]))


def describe(rng: random.Random, state: State, split: Split) -> Turn:
    """Tell several facts about an animal."""
    name = rng.choice(list(world.ANIMALS))
    animal = world.ANIMALS[name]
    first = f"{upper_first(an(name))} is {animal.colour}."
    more = [
        f"It likes to eat {animal.food}.",
        f"Its home is {animal.home}.",
        f"A baby {name} is called {an(animal.baby)}.",
        f"It {'can' if animal.flies else 'cannot'} fly.",
        f"It {'can' if animal.swims else 'cannot'} swim.",
    ]
    ask = vary(
        rng,
        f"[Describe {an(name)}|Tell me about {an(name)}|What is {an(name)}|What do you know about {an(name)}"
        f"|Tell me something about the {name}][.|?|]",
    )
    answer = " ".join([first, *rng.sample(more, rng.choice([2, 3, 4]))])
    return Turn(ask, answer, has_all(animal.colour))


_UNKNOWN_TOPICS = [
    "the capital of {w}", "the price of {w}", "the history of {w}", "the president of {w}",
    "how to build a {w}", "how to fix my {w}", "the {w} theory", "the meaning of {w}",
    "the weather in {w}", "the news about {w}", "a recipe for {w}", "{w} and politics",
    "the stock market", "the year 1999", "quantum physics", "the football results",
    "how to write code in {w}", "my homework on {w}", "the law about {w}",
    "why {w} is so expensive", "the distance to {w}", "who won the {w} cup", "the best phone",
    "my tax form",
]  # fmt: skip
_UNKNOWN_QUESTIONS = [
    "What is the capital of {country}?", "Who is the president of {country}?",
    "Where is {country}?", "How far is {country}?", "What language do they speak in {country}?",
    "How many people live in {country}?", "Who invented the {w}?", "Who wrote {w}?",
    "When was the {w} invented?", "How does a {w} work?", "Why is the {w} {quality}?",
    "How much does a {w} cost?", "What is {w} made of?", "How do I make a {w}?",
    "Where can I buy a {w}?", "What is the history of the {w}?", "What time is it?",
    "What is the date today?", "What is the weather like today?", "Will it rain tomorrow?",
    "What is the news?", "Who won the game?", "Translate {w} into {language}.",
    "How do you say {w} in {language}?", "Write code to sort a list.", "Write a python program.",
    "Write an essay about {w}.", "Write an email to my boss.", "Explain {w} to me.",
    "What is the meaning of life?", "What is {science}?", "Explain {science}.",
    "What is the square root of {n}?", "Solve this equation for me.", "What is {n} times {m}?",
    "What does a {odd} eat?", "What is a {odd}?", "What colour is a {odd}?",
    "What sound does a {odd} make?", "Tell me about {country}.", "Who is {name} {surname}?",
    "What happened in {year}?", "Can you open a file?", "Play some music.",
    "What should I wear today?", "Give me a recipe for {w} soup.", "Is {w} good for me?",
    "What is better, {w} or {v}?", "asdf", "qwerty", "{odd} {odd}", "{odd}?",
]  # fmt: skip
_COUNTRIES = [
    "France", "Germany", "Spain", "Italy", "England", "America", "Canada", "Mexico", "Brazil",
    "India", "China", "Japan", "Russia", "Egypt", "Kenya", "Norway", "Sweden", "Poland", "Greece",
    "Turkey", "Peru", "Chile", "Iran", "Cuba", "Rome", "Paris", "London", "Berlin", "Tokyo",
]  # fmt: skip
_LANGUAGES = ["French", "German", "Spanish", "Italian", "Russian", "Chinese", "Latin", "Greek"]
_SCIENCES = [
    "quantum physics", "gravity", "democracy", "photosynthesis", "inflation", "philosophy",
    "the stock market", "machine learning", "chemistry", "electricity", "evolution", "calculus",
    "a black hole", "an atom", "the internet", "blockchain",
]  # fmt: skip


def _unknown_question(rng: random.Random) -> str:
    if rng.random() < 0.3:
        word = pseudo_word(rng) if rng.random() < 0.5 else pseudo_word(rng).capitalize()
        return vary(
            rng,
            "[Tell me about|What do you know about|Explain|What is|Can you help me with"
            "|Do you know|I have a question about|Write about] {topic}[?|.|]",
            topic=rng.choice(_UNKNOWN_TOPICS).format(w=word),
        )
    country = rng.choice(_COUNTRIES) if rng.random() < 0.8 else odd_word(rng).capitalize()
    ask = rng.choice(_UNKNOWN_QUESTIONS).format(
        country=country,
        w=rng.choice(world.COMMON),
        v=rng.choice(world.COMMON),
        quality=rng.choice(world.ADJECTIVES + world.COLOURS),
        language=rng.choice(_LANGUAGES),
        science=rng.choice(_SCIENCES),
        n=rng.randint(2, 99),
        m=rng.randint(2, 99),
        odd=odd_word(rng),
        name=rng.choice(world.NAMES),
        surname=odd_word(rng).capitalize(),
        year=rng.randint(1000, 2030),
    )
    if rng.random() < 0.2:
        ask = lower_first(ask)
    return ask.rstrip("?.") if rng.random() < 0.2 else ask


def unknown(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask what the model cannot know. The right answer is to say so."""
    while True:
        ask = _unknown_question(rng)
        if belongs(split, "unk", ask):
            break
    answer = vary(
        rng,
        "[I do not know that, sorry.|I do not know about that, sorry.|Sorry, I do not know that."
        "|I am too small to know that.|Sorry, that is too hard for me.|That is more than I know.]"
        " [Try asking me for a story.|I know more about animals.|Shall I tell you a story instead?"
        "|Ask me about animals, food or small sums.|]",
    )
    return Turn(ask, answer, has_any("not know", "too small", "too hard", "more than"))
