"""Measure the starter model on combinations it never saw: each skill, long talks, and stories.

    python packaging/starter/evaluate.py [FOLDER] [--prompts 200] [--json FILE]

Answers are made without chance (greedy) by transformers in float32, and judged by the generator's
own checks. Prints Markdown tables for the model card.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from conversation import SKILLS, conversation
from transformers import AutoModelForCausalLM, AutoTokenizer

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "starter"
Messages = list[dict[str, Any]]

STORY_ASKS = [
    "Tell me a story about a fox.",
    "Write a story about a robot named Bolt.",
    "Tell me a short story.",
    "Make up a story about a dragon and a teapot.",
]


class Speaker:
    """The model, answering many conversations at once."""

    def __init__(self, folder: Path) -> None:
        """Load the model from its Hugging Face folder."""
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def count(self, messages: Messages) -> int:
        """Return how many tokens a conversation takes."""
        return len(self.tokenizer.encode(self._prompt(messages), add_special_tokens=False))

    def _prompt(self, messages: Messages) -> str:
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        return self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)

    def answers(self, chats: list[Messages], temperature: float = 0.0, batch: int = 50) -> list[str]:
        """Return the next answer in each conversation."""
        order = sorted(range(len(chats)), key=lambda index: self.count(chats[index]))
        result = [""] * len(chats)
        for first in range(0, len(order), batch):
            indices = order[first : first + batch]
            prompts = [self._prompt(chats[index]) for index in indices]
            inputs = self.tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
            sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
            if temperature:
                sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0}
            with torch.no_grad():
                ids = self.model.generate(**inputs, max_new_tokens=260, top_k=0, **sampling)
            texts = self.tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for index, text in zip(indices, texts, strict=True):
                result[index] = text
        return result


def draw(make: Callable[[], Messages | None], count: int) -> list[Messages]:
    """Collect conversations whose last answer can be checked."""
    chats: list[Messages] = []
    while len(chats) < count:
        chat = make()
        if chat and chat[-1]["asked"].check:
            chats.append(chat)
    return chats


def accuracy(speaker: Speaker, chats: list[Messages], show: int = 0) -> float:
    """Return the share of right last answers; print some of the wrong ones."""
    answers = speaker.answers([chat[:-1] for chat in chats])
    right = 0
    for chat, answer in zip(chats, answers, strict=True):
        good = chat[-1]["asked"].check.passes(answer)
        right += good
        if not good and show > 0:
            show -= 1
            print(f"    {chat[-2]['content']!r} -> {answer!r}, not {chat[-1]['content']!r}")
    return right / len(chats)


def by_skill(speaker: Speaker, count: int, show: int) -> dict[str, float]:
    """Measure every skill whose answers can be checked, in talks of one to three turns."""
    result = {}
    for skill in SKILLS:
        if skill == "told":  # nothing to check: it only listens
            continue
        rng = random.Random(f"evaluate {skill}")
        turns = {"remember": (2, 5), "story question": (2, 3)}.get(skill, (1, 3))

        def make(rng: random.Random = rng, skill: str = skill, turns: tuple[int, int] = turns) -> Messages:
            return conversation(rng, "held", last=skill, turns=rng.randint(*turns))

        result[skill] = accuracy(speaker, draw(make, count), show)
        print(f"  {skill}: {result[skill]:.1%}", flush=True)
    return result


def lists_by_length(speaker: Speaker, count: int) -> dict[str, float]:
    """Measure repeating and reversing by the number of words, without a system prompt."""
    result = {}
    for skill in ("repeat", "reverse"):
        for shortest, longest in ((2, 3), (4, 5), (6, 8)):
            rng = random.Random(f"lists {skill} {shortest}")

            def make(
                rng: random.Random = rng, skill: str = skill, lengths: tuple[int, int] = (shortest, longest)
            ) -> Messages | None:
                chat = conversation(rng, "held", last=skill, turns=1)
                words = len(chat[-1]["content"].replace(" - ", " ").split())
                plain = chat[0]["role"] == "user" and chat[-1]["content"][-1] not in ".!?"
                return chat if plain and lengths[0] <= words <= lengths[1] else None

            name = f"{skill}, {shortest} to {longest} words"
            result[name] = accuracy(speaker, draw(make, count))
            print(f"  {name}: {result[name]:.1%}", flush=True)
    return result


def over_turns(speaker: Speaker, count: int) -> dict[str, float]:
    """Measure memory over several turns, and work far beyond the first 512 tokens."""
    rng = random.Random("turns")

    def name_later(fewest: int = 3, most: int = 6) -> Messages | None:
        chat = conversation(rng, "held", turns=rng.randint(fewest, most))
        asked = chat[-1]["asked"]
        if asked.skill != "remember" or not asked.check or "name" not in chat[-2]["content"]:
            return None
        told = next(m for m in chat if m["role"] == "user")
        return chat if asked.check.words[0] in told["content"] else None

    def long_talk(skill: str) -> Messages | None:
        chat = conversation(rng, "held", last=skill, turns=rng.randint(12, 24))
        return chat if 560 <= speaker.count(chat[:-1]) <= 900 else None

    def name_long_ago() -> Messages | None:
        chat = name_later(10, 24)
        return chat if chat and 560 <= speaker.count(chat[:-1]) <= 900 else None

    makers: dict[str, Callable[[], Messages | None]] = {
        "a name told 2 to 5 turns before": name_later,
        "repeat, after 560 to 900 tokens": lambda: long_talk("repeat"),
        "reverse, after 560 to 900 tokens": lambda: long_talk("reverse"),
        "facts, after 560 to 900 tokens": lambda: long_talk("facts"),
        "a name told 560 to 900 tokens before": name_long_ago,
    }
    result = {}
    for name, make in makers.items():
        result[name] = accuracy(speaker, draw(make, count))
        print(f"  {name}: {result[name]:.1%}", flush=True)
    return result


def distinct_pairs(texts: list[str]) -> float:
    """Return the share of different word pairs among all word pairs of several texts."""
    pairs: list[tuple[str, str]] = []
    for text in texts:
        spoken = text.split()
        pairs += pairwise(spoken)
    return len(set(pairs)) / max(1, len(pairs))


def stories(speaker: Speaker, samples: int = 12) -> dict[str, dict[str, float]]:
    """Tell the same stories at three temperatures; measure how much they differ."""
    torch.manual_seed(3)
    result = {}
    for temperature in (0.0, 0.7, 1.2):
        different = pairs = words = 0.0
        for ask in STORY_ASKS:
            chat: Messages = [{"role": "user", "content": ask}]
            texts = speaker.answers([chat] * samples, temperature)
            different += len(set(texts)) / samples
            pairs += distinct_pairs(texts)
            words += sum(len(text.split()) for text in texts) / samples
        result[str(temperature)] = {
            "different": different / len(STORY_ASKS),
            "distinct pairs": pairs / len(STORY_ASKS),
            "words": words / len(STORY_ASKS),
        }
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the starter model.")
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--show", type=int, default=0, help="print so many wrong answers each")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    speaker = Speaker(arguments.folder)
    count = arguments.prompts
    skills = by_skill(speaker, count, arguments.show)
    lengths = lists_by_length(speaker, count)
    turns = over_turns(speaker, count)
    told = stories(speaker)
    print("\n| Skill | Right |\n| --- | --- |")
    for name, share in (skills | lengths | turns).items():
        print(f"| {name} | {share:.1%} |")
    print("\n| Temperature | Different stories | Different word pairs | Words |")
    print("| --- | --- | --- | --- |")
    for name, row in told.items():
        different, pairs, words = row.values()
        print(f"| {name} | {different:.0%} | {pairs:.0%} | {words:.0f} |")
    if arguments.json:
        report = {"prompts": count, "skills": skills, "lists": lengths, "turns": turns}
        arguments.json.write_text(json.dumps(report | {"stories": told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
