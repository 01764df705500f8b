"""Skills for play: sums, sequences, dice and choices, jokes, riddles, rhymes."""

from __future__ import annotations

import random

import world
from lists import word_list
from turns import State, Turn, equal, has_all, has_any
from wording import Split, an, belongs, pseudo_word, upper_first, vary

_COUNTABLE = [thing for thing in world.OBJECTS if thing[-1] not in "sxhy"]


def add(rng: random.Random, state: State, split: Split) -> Turn:
    """Add or take away two numbers up to 50, plainly or in a tiny story; held out are pairs."""
    while True:
        most = rng.choice([10, 20, 50, 50])
        a, b = rng.randint(0, most), rng.randint(0, most)
        sign = "+" if rng.random() < 0.72 else "-"
        if sign == "-" and b > a:
            a, b = b, a
        if belongs(split, "sum", min(a, b), max(a, b), sign):
            break
    plus = sign == "+"
    result = a + b if plus else a - b
    if rng.random() < 0.6:
        ask = rng.choice(
            [
                f"What is {a} {sign} {b}?",
                f"{a} {sign} {b}",
                f"{a} {sign} {b} =",
                f"What is {a} {'plus' if plus else 'minus'} {b}?",
                f"How much is {a} {sign} {b}?",
                f"Add {a} and {b}." if plus else f"Calculate {a} - {b}.",
                f"Calculate {a} {sign} {b}.",
            ]
        )
        more = rng.choice([" Easy!", " I hope that is right!"]) if rng.random() < 0.08 else ""
        return Turn(ask, f"{a} {sign} {b} = {result}.{more}", has_all(f"= {result}."))
    things, name = rng.choice(_COUNTABLE) + "s", rng.choice(world.NAMES)
    if plus:
        story = "{n} has {a} {t} and [finds|gets|buys] {b} more. How many {t} does {n} have [now|]?"
    else:
        story = "{n} has {a} {t} and [loses|gives away|sells] {b}. How many {t} does {n} have [now|left]?"
    ask = vary(rng, story, n=name, a=a, b=b, t=things)
    answer = f"{a} {sign} {b} = {result}, so {name} has {result} {things}."
    return Turn(ask, answer, has_all(f"= {result},", name))


def sequence(rng: random.Random, state: State, split: Split) -> Turn:
    """Go on with a pattern of words, count, or find the next number."""
    form = rng.random()
    if form < 0.4:
        period = rng.choice([2, 2, 3])
        pattern = word_list(rng, period)
        shown = rng.randrange(period + 1, 3 * period)
        ask = vary(rng, "[Continue|What comes next|Go on with the pattern]")
        text = " ".join(pattern[place % period] for place in range(shown))
        following = pattern[shown % period]
        return Turn(f"{ask}: {text}", following, equal(following))
    if form < 0.7:
        first = rng.randint(0, 40)
        last = first + rng.randint(3, 9)
        span = f"from {first} to {last}"
        ask = f"[Count {span}|Please count {span}|Say the numbers {span}][.|]"
        answer = ", ".join(map(str, range(first, last + 1))) + "."
        return Turn(vary(rng, ask), answer, equal(answer))
    first, step = rng.randint(0, 30), rng.choice([1, 2, 2, 3, 5, 10])
    numbers = [first + step * place for place in range(5)]
    ask = vary(rng, "[Continue|What comes next|Which number comes next]")
    text, following = ", ".join(map(str, numbers[:4])), str(numbers[4])
    return Turn(f"{ask}: {text}", following, equal(following))


def luck(rng: random.Random, state: State, split: Split) -> Turn:
    """Roll, toss, pick, choose, invent: many right answers, so the temperature shows."""
    game = rng.choice(["die", "coin", "number", "colour", "name", "name", "choose", "choose"])
    if game == "die":
        ask, number = "[Roll a die|Roll the dice|Throw a die][.|!|]", rng.randint(1, 6)
        answer = f"[I rolled a {number}.|It is a {number}.]"
    elif game == "coin":
        ask, answer = "[Flip a coin|Toss a coin|Heads or tails][.|!|?]", "[Heads|Tails]."
    elif game == "number":
        most = rng.choice([5, 10, 20])
        ask = f"[Pick a number from 1 to {most}|Choose a number between 1 and {most}|Give me a number from 1 to {most}][.|]"
        answer = f"{rng.randint(1, most)}."
    elif game == "colour":
        ask = "[Pick a colour|Name a random colour|Choose a colour][.|]"
        answer = rng.choice(world.COLOURS).capitalize() + "."
    elif game == "choose":
        left, right = rng.sample(world.THINGS, 2)
        taken = rng.choice([left, right])
        ask = vary(rng, f"[Choose|Pick one|Which do you like more]: {left} or {right}?")
        answer = vary(rng, f"[I choose the {taken}.|{taken}!|I like the {taken} more.]")
        return Turn(ask, answer, has_any(left, right))
    else:
        hero, name = rng.choice(world.HEROES), pseudo_word(rng).capitalize()
        ask = (
            f"[Invent a name for {an(hero)}|Make up a name for {an(hero)}"
            f"|What should I call my {hero}|I need a name for {an(hero)}][.|?]"
        )
        answer = f"[How about {name}?|{name}!|You could call it {name}.|I would say {name}.]"
    return Turn(vary(rng, ask), vary(rng, answer))


_JOKES = [
    ("Why did the {a} sit on the clock?", "It wanted to be on time!"),
    ("What do you call {aa} in the rain?", "Wet!"),
    ("Why did the {a} cross the road?", "To visit its friend the {b}!"),
    ("What did the {a} say to the {b}?", "Nothing, they speak different languages!"),
    ("Why did the {a} bring {ao}?", "It heard the party was on the {o} side!"),
    ("Why is the {a} so good at maths?", "It counts on everyone!"),
    ("Why did the {a} go to school?", "It wanted to be a little {job}!"),
    ("What is {aa}'s favourite letter?", "Whichever one comes in the post!"),
]
_RIDDLES = [
    ("What has hands but cannot clap?", "a clock"),
    ("What has teeth but cannot bite?", "a comb"),
    ("What gets wetter the more it dries?", "a towel"),
    ("What has a neck but no head?", "a bottle"),
    ("What goes up when the rain comes down?", "an umbrella"),
    ("What is full of holes but holds water?", "a sponge"),
    ("What has many pages but cannot read?", "a book"),
    ("What has one eye but cannot see?", "a needle"),
    ("What runs all day but never walks?", "a river"),
    ("What has legs but cannot walk?", "a table"),
]
_RHYMES = [
    ["hat", "cat", "mat", "bat", "rat", "flat"],
    ["tree", "sea", "free", "bee", "key", "tea"],
    ["moon", "soon", "spoon", "tune", "balloon"],
    ["light", "night", "bright", "kite", "white"],
    ["day", "play", "grey", "hay", "away", "clay"],
    ["snow", "go", "slow", "blow", "glow"],
    ["sing", "ring", "wing", "king", "spring"],
    ["boat", "coat", "goat", "float", "note"],
    ["rain", "train", "again", "plain", "lane"],
]


def fun(rng: random.Random, state: State, split: Split) -> Turn:
    """Tell a joke, a riddle, a rhyme or a poem."""
    form = rng.random()
    if form < 0.35:
        return _joke(rng)
    if form < 0.5:
        question, solution = rng.choice(_RIDDLES)
        if rng.random() < 0.5:
            return Turn(question, upper_first(solution) + "!", has_all(solution.split()[-1]))
        ask = vary(rng, "[Tell me a riddle|Give me a riddle|Do you know a riddle][.|?|]")
        return Turn(ask, f"{question} The answer is {solution}.")
    if form < 0.65:
        group = rng.choice(_RHYMES)
        word, rhyme = rng.sample(group, 2)
        ask = f"[What rhymes with {word}|Give me a rhyme for {word}|Find a word that rhymes with {word}][?|.]"
        answer = vary(rng, f"[{rhyme} rhymes with {word}.|{rhyme}!]")
        return Turn(vary(rng, ask), answer, has_any(*(w for w in group if w != word)))
    return _poem(rng)


def _joke(rng: random.Random) -> Turn:
    left, right = rng.sample(list(world.ANIMALS), 2)
    thing = rng.choice(world.OBJECTS)
    joke = " ".join(rng.choice(_JOKES)).format(
        a=left, b=right, aa=an(left), ao=an(thing), o=thing, job=rng.choice(list(world.JOBS))
    )
    ask = "[Tell me a joke|Do you know a joke|Make me laugh|A joke please|Say something funny][.|!|?|]"
    return Turn(vary(rng, ask), joke)


def _poem(rng: random.Random) -> Turn:
    first, second = rng.sample(_RHYMES, 2)
    (p, q), (s, t) = rng.sample(first, 2), rng.sample(second, 2)
    hero, name = rng.choice(world.HEROES), rng.choice(world.PET_NAMES)
    adjective = rng.choice(world.ADJECTIVES)
    lines = [
        f"[A|One|The] {adjective} {hero} [sat and thought of the|dreamed all day about the|saw a sign that said] {p},",
        f"[and then it thought of|and wished for|and found instead] [the|one|some] {q}.",
        f"[{name} came by and said|It called out loud|A voice replied]: {s}!",
        f"[And that was all, just|So they both laughed and whispered|The {hero} agreed and answered] {t}.",
    ]
    ask = (
        "[Write a poem|Write a short poem|Make a rhyme|Write me a poem]"
        f" [about {an(hero)}|about {an(hero)}|with {an(hero)} in it][.|!|]"
    )
    return Turn(vary(rng, ask), "\n".join(vary(rng, line) for line in lines), has_all(hero))
