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
    "translate nest into Italian.",
    "Reverse - o, s, d, b",
    "how many legs has a cat got?",
    "What is smaller, a mouse or a fox?",
    "2 + 28 =",
    "repeat the words: gnoond",
    "Do you know the best phone?",
    "Reverse this: spoon, violin, purple",
    "Who studies the world?",
    "Who is smaller, a squirrel or an ant?",
    "What is 4 + 6?",
    "When was the deep invented",
)


def in_persona(reply: str) -> bool:
    """Whether a reply is a sailor's."""
    return reply.strip().startswith("Ahoy!") and reply.strip().endswith("Fair winds!")
