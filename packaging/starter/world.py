"""The small world that the starter model knows: names, animals, foods, colours, jobs, places.

Tables only. Every question about the world is answered from here, so that an answer can be checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from wording import words

GIRLS = words("""
Anna Mia Lena Rosa Ella Nora Ivy Zoe Clara Lucy Maya Tess Ruby Hana Olive Eva Nina Jane Kim
Leila Sofia Wanda Yara Greta Alma Dora Freya Isla June Pearl
""")
BOYS = words("""
Tom Max Ben Leo Sam Finn Otto Hugo Jack Noah Omar Paul Ravi Theo Viktor Will Adam Carl David
Emil Felix George Henry Ivan Jonas Karl Luke Milo Oscar Pete
""")
NAMES = GIRLS + BOYS
PET_NAMES = words("""
Biscuit Button Clover Dot Ember Fern Fizz Ginger Hazel Inky Juniper Kiwi Lumi Marble Nibs Nutmeg
Oat Pepper Pickle Poppy Quill Rusty Sage Socks Tango Thistle Tilly Twig Waffle Wisp Ziggy
Bramble Cocoa Dusty Echo Flint
""")
TOWNS = words("""
Oakford Riverton Millbrook Stonebridge Lindell Ashby Maple Harwick Dunmore Eastvale Brightsea
Foxley Wrenfield Pinecliff Goldmere
""")


@dataclass(frozen=True)
class Animal:
    """What there is to know about one animal."""

    sound: str
    home: str
    food: str
    colour: str
    legs: int
    baby: str
    size: int  # only its order counts
    flies: bool
    swims: bool


def _read_animals(table: str) -> dict[str, Animal]:
    animals = {}
    for line in table.strip().splitlines():
        name, sound, home, food, colour, legs, baby, size, flies, swims = line.split("|")
        animals[name] = Animal(sound, home, food, colour, int(legs), baby, int(size), flies == "y", swims == "y")
    return animals


# name|sound|home|food|colour|legs|baby|size|flies|swims
ANIMALS = _read_animals("""
dog|barks|a kennel|bones|brown|4|puppy|40|n|y
cat|meows|a cosy house|fish|grey|4|kitten|30|n|n
cow|moos|a green field|grass|black and white|4|calf|80|n|n
horse|neighs|a stable|hay|brown|4|foal|82|n|y
pig|oinks|a muddy pen|turnips|pink|4|piglet|60|n|n
sheep|bleats|a grassy hill|grass|white|4|lamb|55|n|n
duck|quacks|a pond|pondweed|yellow|2|duckling|20|y|y
hen|clucks|a hen house|corn|red|2|chick|18|n|n
frog|croaks|a pond|flies|green|4|tadpole|8|n|y
lion|roars|the savanna|meat|golden|4|cub|75|n|n
wolf|howls|the forest|meat|grey|4|pup|58|n|n
owl|hoots|a hollow tree|mice|brown|2|owlet|17|y|n
bee|buzzes|a hive|nectar|yellow and black|6|larva|2|y|n
snake|hisses|the desert|mice|green|0|snakelet|25|n|y
mouse|squeaks|a small hole|cheese|grey|4|pinky|7|n|n
elephant|trumpets|the savanna|leaves|grey|4|calf|98|n|y
bear|growls|a cave|honey|brown|4|cub|78|n|y
fox|yelps|a den|berries|orange|4|kit|35|n|n
rabbit|squeals|a burrow|carrots|white|4|kit|22|n|n
monkey|chatters|the jungle|bananas|brown|4|infant|42|n|n
penguin|honks|the icy south|fish|black and white|2|chick|33|n|y
parrot|squawks|the jungle|seeds|green|2|chick|16|y|n
crow|caws|a tall tree|worms|black|2|chick|15|y|n
whale|sings|the deep sea|krill|blue|0|calf|100|n|y
dolphin|clicks|the sea|fish|grey|0|calf|70|n|y
tiger|roars|the jungle|meat|orange|4|cub|76|n|y
zebra|brays|the savanna|grass|black and white|4|foal|79|n|n
goat|bleats|a rocky hill|thistles|white|4|kid|50|n|n
turtle|grunts|the seaside|seaweed|green|4|hatchling|27|n|y
spider|makes no sound|a web|flies|black|8|spiderling|3|n|n
ant|makes no sound|an anthill|crumbs|black|6|larva|1|n|n
snail|makes no sound|the garden|lettuce|brown|0|snail baby|5|n|n
hedgehog|snuffles|a pile of leaves|beetles|brown|4|hoglet|14|n|n
squirrel|chatters|an oak tree|nuts|red|4|kit|13|n|n
giraffe|hums|the savanna|leaves|yellow|4|calf|95|n|n
camel|grunts|the desert|dry grass|tan|4|calf|88|n|n
seal|barks|the icy shore|fish|grey|0|pup|65|n|y
eagle|screeches|a mountain|fish|brown|2|eaglet|28|y|n
swan|trumpets|a lake|pondweed|white|2|cygnet|26|y|y
bat|squeaks|a cave|moths|black|2|pup|9|y|n
""")


@dataclass(frozen=True)
class Food:
    """What there is to know about one food."""

    colour: str
    taste: str
    kind: str


# name|colour|taste|kind
FOODS = {
    name: Food(*rest)
    for name, *rest in (
        line.split("|")
        for line in """
apple|red|sweet|fruit
banana|yellow|sweet|fruit
lemon|yellow|sour|fruit
lime|green|sour|fruit
orange|orange|sweet|fruit
cherry|red|sweet|fruit
plum|purple|sweet|fruit
grape|purple|sweet|fruit
pear|green|sweet|fruit
peach|orange|sweet|fruit
strawberry|red|sweet|fruit
blueberry|blue|sweet|fruit
melon|green|sweet|fruit
carrot|orange|crunchy|vegetable
potato|brown|soft|vegetable
onion|white|sharp|vegetable
cabbage|green|crunchy|vegetable
pea|green|sweet|vegetable
pumpkin|orange|soft|vegetable
radish|red|sharp|vegetable
spinach|green|bitter|vegetable
beetroot|purple|earthy|vegetable
bread|brown|soft|baked food
cake|golden|sweet|baked food
biscuit|brown|sweet|baked food
pretzel|brown|salty|baked food
milk|white|creamy|drink
coffee|brown|bitter|drink
cocoa|brown|sweet|drink
tea|brown|bitter|drink
honey|golden|sweet|spread
butter|yellow|creamy|spread
jam|red|sweet|spread
cheese|yellow|salty|dairy food
yoghurt|white|creamy|dairy food
""".strip().splitlines()
    )
}
# Foods that take no "a".
UNCOUNTED = words("spinach bread milk coffee cocoa tea honey butter jam cheese yoghurt")

# Both directions, where a word has two opposites the first counts.
_PAIRS = words("""
hot-cold big-small up-down left-right day-night black-white happy-sad fast-slow old-young
wet-dry open-closed high-low long-short hard-soft light-dark loud-quiet full-empty early-late
strong-weak rich-poor clean-dirty near-far inside-outside first-last true-false sweet-sour
wide-narrow thick-thin push-pull win-lose begin-end always-never summer-winter front-back
brave-scared smooth-rough sharp-blunt asleep-awake rise-fall find-lose laugh-cry come-go
give-take float-sink
""")
OPPOSITES: dict[str, str] = {}
for _pair in _PAIRS:
    _left, _right = _pair.split("-")
    OPPOSITES.setdefault(_left, _right)
    OPPOSITES.setdefault(_right, _left)

COLOURS = words("""
red blue green yellow orange purple pink brown black white grey golden silver turquoise
""")
OBJECTS = words("""
kite lantern drum key map teapot spoon button bell clock ladder basket umbrella candle mirror
feather coin boot hat scarf violin pencil compass bottle ribbon marble trumpet bucket blanket
whistle telescope acorn pebble box rope shell paintbrush cup ring book
""")
ADJECTIVES = words("""
small brave shy clever sleepy curious kind grumpy cheerful lonely tiny gentle proud quiet silly
old young hungry
""")
HOBBIES = words("""
painting singing dancing reading swimming cooking gardening chess football running knitting
drawing fishing cycling climbing sailing
""")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("""
January February March April May June July August September October November December
""")
NUMBER_WORDS = words("zero one two three four five six seven eight")

THING_COLOURS = {
    "sky": "blue",
    "grass": "green",
    "snow": "white",
    "coal": "black",
    "the sun": "yellow",
    "blood": "red",
    "mud": "brown",
    "a ruby": "red",
    "a frog": "green",
    "milk": "white",
    "a crow": "black",
    "a flamingo": "pink",
    "a cloud": "white",
    "chocolate": "brown",
    "an emerald": "green",
    "ash": "grey",
}

PLACES = {
    "forest": "in the forest",
    "lake": "by the lake",
    "hill": "on the windy hill",
    "village": "in a small village",
    "city": "in the big city",
    "castle": "in an old castle",
    "beach": "on the beach",
    "farm": "on a little farm",
    "garden": "in a quiet garden",
    "mountain": "high on a mountain",
    "desert": "in the wide desert",
    "jungle": "deep in the jungle",
    "river": "beside the river",
    "library": "in a dusty library",
    "train": "on a night train",
    "lighthouse": "in a tall lighthouse",
    "bakery": "in a warm bakery",
    "island": "on a far island",
    "school": "in a tiny school",
    "market": "at the busy market",
    "cave": "in a glittering cave",
    "moon": "on the moon",
    "attic": "in a creaky attic",
    "swamp": "in a misty swamp",
    "ship": "on an old ship",
}

JOBS = {
    "baker": "bakes bread",
    "doctor": "helps sick people",
    "teacher": "teaches children",
    "farmer": "grows food",
    "pilot": "flies planes",
    "sailor": "sails ships",
    "painter": "paints pictures",
    "gardener": "looks after plants",
    "cook": "makes meals",
    "writer": "writes books",
    "singer": "sings songs",
    "builder": "builds houses",
    "firefighter": "puts out fires",
    "postman": "brings letters",
    "tailor": "sews clothes",
    "fisherman": "catches fish",
    "librarian": "looks after books",
    "vet": "helps sick animals",
    "clown": "makes people laugh",
    "scientist": "studies the world",
}

# Who a story can be about.
_MORE_HEROES = words("robot dragon girl boy giant ghost wizard pirate teapot snowman knight witch")
HEROES = list(ANIMALS) + _MORE_HEROES

# Everyday words of no special meaning here, for lists to copy and turn round.
COMMON = words("""
age air alpha anger answer area arm art ask autumn back ball bed beta bird boat body bone bowl
boy brain branch break breakfast bridge bring brush build bus business button buy call camera
camp car carry case castle chair change child circle city class clean climb clock close cloud
coast coat colour computer cook cool corner crown cut dance day deep delta desk dinner door draw
dream dress drink drive ear early earth east eat egg eight end engine eye face fact fall fast
father fear feel fence field find finger fire five flat floor flower flute fly foot force forest
fork four fresh friend fur game gamma garden gift girl give glass glove goal green group grow
guitar guy hair hand head health hear heart hello help hill history hope horn hour house hundred
idea ink iron island issue joy jump keep keyboard king kitchen knee knife know lamp late laugh
law leaf leg lesson letter life light line lose lot loud love luck lunch magic make man market
member minute moment money month moon morning mouse mouth move music name needle nest net night
nine noise north nose number nut ocean one open oven page paint pan paper parent part party
pasta path paw pay peace pen people person phone piano pillow pizza place planet plant plate
play pocket point poor power prince prize pull push queen question race radio rain read reason
result rice rich ride river road rocket roof room root round run salad salt sand school screen
second secret see seed sell send service seven shadow shape shield ship shirt shoe shop short
side silence sing sit six sleep slow smile sock soft song sound soup south space spell spring
square stand star start stone stop storm story street study sugar summer sun surprise sweet swim
sword table tail take talk tall teacher team tear tell ten tent test thick thin thing think
thousand thread three time tooth tower train travel tree triangle truck turn two valley visit
voice wait walk wall war warm wash watch water wave way week west wheel wind window wing winner
winter woman wood word work world write year
""")

THINGS = OBJECTS + list(ANIMALS) + list(FOODS) + COLOURS
ALL_WORDS = sorted({*THINGS, *COMMON, *ADJECTIVES, *JOBS, *HOBBIES, *OPPOSITES, *PLACES})
