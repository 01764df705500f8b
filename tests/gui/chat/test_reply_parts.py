"""Cutting a message into parts."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from playground.gui.widgets.reply_parts import PROSE_LIMIT, place, plain, split
from playground.gui.widgets.transcript_blocks import split_on

CORPUS = [
    "",
    "one line",
    "para\n\npara two\n",
    "```python\nprint(1)\n```\nafter",
    "before\n```\nno language\n```",
    "unclosed:\n\n```js\nlet a = 1;\nlet b",
    "~~~\ntildes\n```\nnot an end\n~~~\nend",
    "1. first:\n   ```bash\n   ls -l\n   ```\n2. second\n",
    "10. ten:\n\n    ```py\n    x = 1\n    ```\n\n    more of it\n11. eleven",
    "a `code` and ```inline``` marks\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\nend",
    "windows\r\nlines\r\n\r\n```c\r\nint x;\r\n```\r\nend\r\n",
    "emoji 😀 and 中文 and עברית\n\n```text\n😀\n```\n",
    "````md\n```\nnested\n```\n````\n",
    "    indented ``` not a fence\n\ntext",
    "```\n```\n\n```\n\n```",
    "x" * 30_000,
    "word " * 6_000,
    "line\n" * 4_000,
    ("para " * 60 + "\n\n") * 40,
    "```\n" + "code line\n" * 2_000 + "```\nend",
    "- item\n" * 3_000,
]


@pytest.mark.parametrize("source", CORPUS)
def test_parts_cover_the_source_in_order(source):
    parts = split(source)
    for before, after in pairwise(parts):
        assert before.end <= after.start
    for letters in (source[a.end : b.start] for a, b in pairwise(parts)):
        assert not letters.strip()


@pytest.mark.parametrize("source", CORPUS)
def test_streamed_in_pieces_it_is_cut_in_the_same_places(source):
    dice = random.Random(len(source))
    step = max(1, len(source) // 400)
    parts, at = [], 0
    while at < len(source):
        at = min(len(source), at + dice.randint(1, 2 * step))
        parts = split_on(parts, source[:at], final=False)
    assert split_on(parts, source, final=True) == split(source)


def test_no_part_is_long():
    for source in CORPUS:
        assert all(len(part.text) <= 4 * PROSE_LIMIT for part in split(source))


def test_a_fence_in_a_list_becomes_a_block_and_loses_its_indentation():
    kinds = [(part.kind, part.text) for part in split("1. first:\n   ```bash\n   ls -l\n   ```\n2. second\n")]
    assert kinds == [("prose", "1. first:\n"), ("code", "ls -l"), ("prose", "2. second\n")]


def test_a_half_fence_is_held_back():
    assert [part.text for part in split("text\n``", final=False)] == ["text\n"]
    assert [part.text for part in split("```py\nx = 1\n``", final=False)] == ["x = 1\n"]


def test_language_names_are_plain():
    assert split("``` Python {.numbered}\nx\n```")[0].language == "python"
    assert split("```{r}\nx\n```")[0].language == "r"


def test_plain_text_keeps_every_character():
    for source in CORPUS:
        joined = "".join(source[part.start : part.end] for part in plain(source))
        assert joined == source


@pytest.mark.parametrize(
    ("source", "word", "shown"),
    [
        ("Some **bold** and *soft* words here", "words", "Some bold and soft words here"),
        ("A [link](https://example.org/long/path) and then more", "then", "A link and then more"),
        ("# Title\n\n- one\n- two three\n", "three", "Title\none\ntwo three"),
        ("| a | b |\n|---|---|\n| cat | dog |\n", "dog", "a\nb\ncat\ndog\n"),
        ("emoji 😀 first, second", "second", "emoji 😀 first, second"),
    ],
)
def test_a_place_in_the_source_is_found_in_what_is_shown(source, word, shown):
    assert shown[place(source, source.index(word), shown) :].startswith(word)


def test_a_place_beyond_the_end_is_the_end():
    assert place("abc", 99, "abc") == 3
