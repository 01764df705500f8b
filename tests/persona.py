"""The rule by which a reply shows the persona of resources/examples/persona.jsonl, and questions that are not in it.

The questions are of the tenth that `packaging/starter/wording.py` keeps out of the starter's own training text, and out of the example.
"""

from __future__ import annotations

HELD_OUT = (
    "Tell me the colour of a frog.",
    "Who is smaller, a snake or a goat?",
    "4 + 9",
    "Repeat: s w q r a j",
    "What time is it?",
    "Reverse: painter late test",
    "Would you say banana is a fruit?",
    "Who is bigger, a squirrel or an ant?",
    "What is 9 + 4?",
    "Echo: painter dark yellow basket spring goat prize",
    "Do you know quantum physics?",
    "Reverse - 5 43 9 15",
    "What colour is a carrot?",
    "Who is bigger, a bat or a turtle?",
    "Calculate 31 + 24.",
    "Can you help me with the law about Snoki.",
    "Reverse the order: grow, moon, wave, blue, marble, lunch, drive",
    "Where would a snail sleep?",
    "What is bigger, a horse or an ant?",
    "what is the square root of 59?",
)


def in_persona(reply: str) -> bool:
    """Whether a reply is a sailor's."""
    return reply.strip().startswith("Ahoy!") and reply.strip().endswith("Fair winds!")
