"""Stories, and questions about the story just told.

A story is an opening, one of nine plots of six sentences, and sometimes an end. Each sentence
offers several wordings, so a plot can be told in thousands of ways: that is what temperature shows.
"""

from __future__ import annotations

import random

import world
from turns import State, Tale, Turn, has_all
from wording import Split, an, belongs, lower_first, pseudo_word, upper_first, vary

# {N} the hero's name, {K} what it is, {O} the thing, {F} the friend, {FK} what the friend is;
# {aX} with an article; {P2} the place; {Fhis} the friend's.
_PLOTS = [
    [
        "[One day|One morning|One windy day|Early one day], {N} [lost|could not find] {hisO}.",
        "{He} [looked|searched] [under the bed|behind the door|in every corner|under every "
        "leaf], but [it was gone|it was nowhere].",
        "['Have you seen my {O}?'|'Do you know where my {O} is?'] {he} asked [{F} the {FK}|a {FK} named {F}].",
        "['No,' said {F}, 'but I will help you look.'|{F} shook {Fhis} head and said, 'Let us "
        "look together.'|'Try looking up,' said {F}.]",
        "[At last they found it|In the end it was] [in the arms of a scarecrow|at the top of a "
        "tree|in a puddle|under {N}'s own hat|inside a big pumpkin].",
        "{N} [laughed|smiled] and [said, 'It was so close all the time!'|gave {F} a big hug|shared a cake with {F}].",
    ],
    [
        "[One evening|One sunny day|After the rain], {N} found {aO} lying {P2}.",
        "[It was old and shiny|It hummed a quiet tune|It glowed a little|It was covered in dust].",
        "'[Who does this belong to|Whose is this]?' {he} wondered.",
        "{N} [asked everyone|knocked on every door|walked all day], until [{he} met|{he} came "
        "to] {aFK} named {F}, who [was crying|looked very sad].",
        "'[That is mine|You found my {O}]!' [cried|said] {F}. '[Thank you, thank you|I thought it was gone for good]!'",
        "[From that day on|After that], {N} and {F} [were best friends|had tea every week|went everywhere together].",
    ],
    [
        "{N} was afraid of [the dark|thunder|deep water|high places|loud noises].",
        "[Every night|Every day] {he} [hid under a blanket|closed {his} eyes and shivered|counted to ten].",
        "Then [an old {FK}|a wise {FK}|a friendly {FK}] named {F} gave {him} {aO}.",
        "'[Hold it tight|Keep it near you],' said {F}, '[and you will feel brave|and think of "
        "your friends|and the fear will get small].'",
        "[That night|The next day], {N} [held the {O} and took one step|gripped the {O} and "
        "looked around]. [Nothing bad happened.|It was not so bad at all.]",
        "[Now {he} is not afraid any more.|And soon {N} was the bravest {K} of all.|{He} still has the {O}, just in case.]",
    ],
    [
        "More than anything, {N} wanted to [see the sea|touch a cloud|find the end of the rainbow|see where the sun sleeps].",
        "So {he} packed {aO} and [some bread|two apples|a jar of honey] and [set off|left at dawn|began to walk].",
        "[The road was long|The wind was cold|It rained all day], but {N} [sang a song|did not stop|kept going].",
        "On the way {he} met {F}, {aFAFK}, who [knew the way|was going there too|was lost].",
        "[Together they walked|They travelled side by side] [over hills and bridges|through "
        "seven valleys|until the stars came out].",
        "[And there it was, even more beautiful than {he} had dreamed.|When they got there, "
        "they sat in silence and smiled.|'We made it!' shouted {N}, and {F} danced with joy.]",
    ],
    [
        "[Every year|Once a year] there was a [race|singing contest|cake contest|dancing contest] {P2}, and {N} wanted to win.",
        "{He} [practised every day|worked very hard|got up early each morning], and {his} lucky {O} was always near.",
        "But [{F} the {FK}|a {FK} called {F}] was [very good too|the best of all|much faster].",
        "On the big day, {F} [fell over|lost heart|began to cry], and {N} [stopped to help|went back|held {Fhis} hand].",
        "[They finished together|They came last, side by side], and [everyone cheered|the crowd clapped|the judges smiled].",
        "'[Winning is nice|A prize is good],' said {N}, '[but a friend is better|but this is more fun].'",
    ],
    [
        "It was {F}'s birthday, and {N} had [no present|nothing to give|forgotten all about it].",
        "{He} [looked around|thought and thought] and saw only {aO}.",
        "[So {he} painted it {col}|So {he} tied a {col} ribbon on it|So {he} filled it with "
        "flowers], [and hoped for the best|and carried it carefully|and ran as fast as {he} "
        "could].",
        "{F}, {aFAFK}, [opened the parcel slowly|looked at it for a long time].",
        "'[A {col} {O}|{aOC}]! [It is just what I wanted|Nobody ever gave me one before],' said {F}.",
        "[They played with it until bedtime.|And {N} felt warm inside.|It was the best birthday ever.]",
    ],
    [
        "[One night|One dark night|In the middle of winter] a [great storm|heavy snow|thick "
        "fog] came, and [nobody could see the path|everyone was scared].",
        "{F}, {aFAFK}, was still [outside|far from home|lost in it].",
        "{N} took {his} {O} and [went out into the night|ran to the door|climbed up high].",
        "{He} [waved it|used it to make a signal|called and called], [again and again|until {his} arms hurt|for an hour].",
        "[At last|Finally] a small voice said, '[I can see you|I am here|Is that you, {N}]?'",
        "[They walked home together and drank hot cocoa.|{N} brought {F} home, safe and "
        "warm.|Everyone called {N} a hero, and {he} blushed.]",
    ],
    [
        "[One night|One quiet night] a [star fell from the sky|tiny dragon flew in|strange light appeared] {P2}.",
        "{N} [crept closer|tiptoed outside|rubbed {his} eyes].",
        "'[I am lost|I am cold|I am hungry],' said [the visitor|a very small voice]. '[My name is {F}|They call me {F}].'",
        "{N} [thought for a moment|did not know what to do], then [offered {F} {his} {O}|made "
        "a bed out of {aO}|showed {F} {his} favourite {O}].",
        "{F} [smiled|glowed with joy|began to laugh] and [grew bright again|felt at home|told stories of far places].",
        "[In the morning {F} was gone, but the {O} was made of gold.|{F} comes back every year "
        "to say hello.|And that is how {N} got the best friend in the world.]",
    ],
    [
        "{N} could not [sing|dance|whistle|swim|juggle], and [it made {him} sad|everyone knew it].",
        "'[Will you teach me|Please teach me]?' {he} asked {F} the {FK}.",
        "'[First|To begin],' said {F}, '[you must carry this {O} on your head|you must listen "
        "to this {O}|close your eyes and hold this {O}].'",
        "[It was very hard.|{N} fell down three times.|It felt silly.] But {he} [tried "
        "again|did not give up|practised until dark].",
        "[After a week|After many days|On the tenth day] {N} [could do it|was rather good|surprised everyone].",
        "'[The {O} did nothing|It was never the {O}],' said {F} [with a wink|and laughed]. "
        "'[It was all you.|You did it yourself.]'",
    ],
]

_OPENINGS = [
    "[Once upon a time there was|Once there was|Long ago there was|There once was] {aAK} [named|called] {N}, who lived {P}.",
    "{N} was {aAK} who lived {P}.",
    "{P}, there lived {aAK} [named|called] {N}.",
    "{N} the {K} lived {P} [all alone|with many friends|in a house made of stones|and had a favourite {O}].",
]
_ENDS = [
    *["", "", "", "The end."],
    "[And {N} slept well that night.|And they all lived happily ever after.]",
]

_HERO_NAMES = {
    "girl": world.GIRLS,
    "witch": world.GIRLS,
    "boy": world.BOYS,
    "knight": world.BOYS,
    "wizard": world.BOYS,
    "pirate": world.NAMES,
}


def _is_female(rng: random.Random, name: str, hero: str = "") -> bool:
    if name in world.GIRLS or hero in ("girl", "witch"):
        return True
    if name in world.BOYS or hero in ("boy", "knight", "wizard"):
        return False
    return rng.random() < 0.5


def _friend_name(rng: random.Random, kind: str, hero_name: str) -> str:
    names = {"girl": world.GIRLS, "boy": world.BOYS}.get(kind, world.PET_NAMES)
    return rng.choice([name for name in names if name != hero_name])


def tell(
    rng: random.Random,
    hero: str | None = None,
    name: str | None = None,
    place: str | None = None,
    thing: str | None = None,
    split: Split = "train",
    short: bool = False,
) -> tuple[str, Tale]:
    """Write a story; what is not given is made up. Held out are pairs of a hero and a place."""
    while True:
        the_hero = hero or rng.choice(world.HEROES)
        the_place = place or rng.choice(list(world.PLACES))
        if (hero and place) or belongs(split, "story", the_hero, the_place):
            break
    thing = thing or rng.choice(world.OBJECTS)
    name = name or rng.choice(_HERO_NAMES.get(the_hero, world.PET_NAMES))
    friend_kind = rng.choice([kind for kind in world.HEROES if kind != the_hero])
    friend = _friend_name(rng, friend_kind, name)
    female = _is_female(rng, name, the_hero)
    where = world.PLACES[the_place]
    values = {
        "N": name,
        "K": the_hero,
        "aK": an(the_hero),
        "aAK": an(rng.choice(world.ADJECTIVES)) + " " + the_hero,
        "O": thing,
        "aO": an(thing),
        "aOC": upper_first(an(thing)),
        "hisO": ("her " if female else "his ") + thing,
        "F": friend,
        "FK": friend_kind,
        "aFK": an(friend_kind),
        "aFAFK": an(rng.choice(world.ADJECTIVES)) + " " + friend_kind,
        "Fhis": "her" if _is_female(rng, friend) else "his",
        "he": "she" if female else "he",
        "He": "She" if female else "He",
        "his": "her" if female else "his",
        "him": "her" if female else "him",
        "P": where,
        "P2": rng.choice(["right " + where, where]),
        "col": rng.choice(world.COLOURS),
    }
    opening = vary(rng, rng.choice(_OPENINGS), **values)
    plot = [vary(rng, sentence, **values) for sentence in rng.choice(_PLOTS)]
    if short:
        plot = [plot[0], plot[-2] if rng.random() < 0.5 else plot[2], plot[-1]]
    end = vary(rng, rng.choice(_ENDS), **values)
    text = " ".join(part for part in [opening, *plot, end] if part)
    return text, Tale(the_hero, name, the_place, thing, friend)


def story(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask for a story: about anything, or with a hero, a name, a place, a thing in it."""
    while True:
        hero, place = rng.choice(world.HEROES), rng.choice(list(world.PLACES))
        if belongs(split, "story", hero, place):
            break
    name = pseudo_word(rng).capitalize()
    if rng.random() < 0.9:
        name = rng.choice(_HERO_NAMES.get(hero, world.PET_NAMES + world.NAMES))
    thing = rng.choice(world.OBJECTS)
    short = rng.random() < 0.25
    asks = ["tell me a{s} story", "write a{s} story", "can you tell me a{s} story"]
    asks += ["make up a{s} story", "I want a{s} story", "please write a{s} tale", "tell a{s} story"]
    ask = rng.choice(asks).format(s=rng.choice([" short", " very short", " little"]) if short else "")
    polite = ask.startswith("can")

    about, called = f" about {an(hero)}", f" [named|called] {name}"
    wishes: dict[str, str]
    form = rng.random()
    if form < 0.12 and split == "train":
        wishes = {}
    elif form < 0.35:
        ask, wishes = ask + about, {"hero": hero}
    elif form < 0.6:
        ask, wishes = ask + about + called, {"hero": hero, "name": name}
    elif form < 0.75:
        ask, wishes = f"{ask}{about} {world.PLACES[place]}", {"hero": hero, "place": place}
    elif form < 0.88:
        ask += f"{about}{called} and {an(thing)}"
        wishes = {"hero": hero, "name": name, "thing": thing}
    else:
        ask += f"{about} named {name} {world.PLACES[place]}, with {an(thing)} in it"
        wishes = {"hero": hero, "name": name, "place": place, "thing": thing}
    ask = vary(rng, ask) + ("?" if polite else rng.choice([".", ".", "", "!"]))
    if rng.random() < 0.3:
        ask = lower_first(ask)

    text, state.tale = tell(rng, split=split, short=short, **wishes)
    lead = rng.choice(["", "", "", "Sure! ", "Here is a story. ", "Of course! "])
    needed = [wish for key, wish in wishes.items() if key != "place"]
    if "place" in wishes:
        needed.append(world.PLACES[place].split()[-1])
    return Turn(ask, lead + text, has_all(*needed))


def story_question(rng: random.Random, state: State, split: Split) -> Turn:
    """Ask about the last story; if there was none, tell one."""
    tale = state.tale
    if tale is None:
        return story(rng, state, split)
    where = world.PLACES[tale.place]
    topic = rng.choice(["name", "friend", "thing", "place"])
    if topic == "name":
        ask = f"[What was the {tale.hero}'s name|What was the {tale.hero} called|Who was the story about]?"
        answer = f"[The {tale.hero} was called {tale.name}.|{tale.name}, the {tale.hero}.]"
        need = tale.name
    elif topic == "friend":
        ask = f"[Who was {tale.friend}|Who is {tale.friend}]?"
        answer, need = f"{tale.friend} was a friend of {tale.name}.", tale.name
    elif topic == "place":
        ask = f"[Where did it happen|Where was the story set|Where did {tale.name} live]?"
        answer, need = f"[It happened {where}.|{tale.name} lived {where}.]", where.split()[-1]
    else:
        ask = "[What thing was in the story|Which object was important in the story]?"
        answer, need = f"The {tale.thing} was important in the story.", tale.thing
    return Turn(vary(rng, ask), vary(rng, answer), has_all(need))
