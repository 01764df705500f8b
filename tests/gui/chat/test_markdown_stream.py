"""Markdown that is rendered while it is written is in the end what it would have been at once."""

from __future__ import annotations

import random

import pytest
from PySide6.QtGui import QTextDocument, QTextFormat

from playground.gui import theme
from playground.gui.widgets.markdown_stream import MarkdownStream, speculate

CORPUS = {
    "paragraphs": "One.\n\nTwo *soft* **bold** `code`.\nStill two.\n\nThree.\n",
    "headings": "# One\n\n## Two\n\ntext\n### Three\nmore\n",
    "list": "Rules:\n\n- one\n- two **bold**\n  - nested\n- three\n\nend\n",
    "loose list": "1. one\n\n   still one\n\n2. two\n\n3. three\n\nend",
    "tasks": "- [x] done\n- [ ] open\n",
    "table": "Look:\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\nend\n\nand more",
    "table midway": "| a | b |\n|---|--",
    "quote": "> one\n> two\n\nafter\n\n> > deep\n",
    "rule": "a\n\n---\n\nb\n",
    "unclosed": "this **is not closed\n\nand `this neither",
    "fence in a quote": "> ```py\n> x = 1\n> ```\n\nend",
    "unclosed fence": "text\n\n```\ncode\nmore",
    "crlf": "one\r\n\r\n- a\r\n- b\r\n\r\nend",
    "emoji": "😀 **😀** and 👩‍👩‍👧 done\n\n- 🦊 fox\n",
    "rtl": "שלום **עולם**\n\nمرحبا بالعالم\n\nend",
    "link": "See [here](https://example.org) and <https://example.com> and https://example.net/x?y=1 now.",
    "html": "<b>no</b> and <script>alert(1)</script>\n\n<div>block</div>\n\nend",
    "entities": "AT&amp;T &lt;b&gt; &copy; &nbsp; end",
    "hard breaks": "one  \ntwo\\\nthree\n",
    "one line": "word " * 700,
    "no spaces": "x" * 3000,
    "setext": "Title\n=====\n\nSub\n---\n\ntext",
    "indented code": "para\n\n    code one\n    code two\n\nafter",
    "escapes": r"\*not soft\* and \`not code\` and 1\. not a list",
    "empty": "\n\n\n",
}


def document() -> QTextDocument:
    made = QTextDocument()
    made.setDefaultFont(theme.font("body"))
    made.setTextWidth(600)
    return made


def structure(made: QTextDocument) -> list[tuple]:
    """What a reader can tell apart: text, headings, lists, quotes, and how stretches of characters look."""
    found = []
    block = made.begin()
    while block.isValid():
        form = block.blockFormat()
        stretches: list[list] = []
        step = block.begin()
        while not step.atEnd():
            look = step.fragment().charFormat()
            key = (look.fontWeight(), look.fontItalic(), look.fontFixedPitch(), look.isAnchor() and look.anchorHref())
            if stretches and stretches[-1][0] == key:
                stretches[-1][1] += step.fragment().text()
            else:
                stretches.append([key, step.fragment().text()])
            step += 1
        if block.text() or block.textList() is not None:
            level = form.intProperty(QTextFormat.Property.BlockQuoteLevel)
            listed = block.textList() is not None and block.textList().itemText(block)
            found.append((block.text(), form.headingLevel(), level, listed, str(stretches)))
        block = block.next()
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_streamed_and_finished_it_equals_a_full_render(dressed, name):
    source = CORPUS[name]
    streamed, whole = document(), document()
    stream = MarkdownStream(streamed)
    dice = random.Random(name)
    at = 0
    while at < len(source):
        at = min(len(source), at + dice.randint(1, 7))
        stream.show(source[:at], final=False)
    stream.show(source, final=True)
    MarkdownStream(whole).show(source, final=True)
    assert structure(streamed) == structure(whole)


LOOSE = {"loose list", "unclosed", "table midway", "unclosed fence", "one line", "no spaces"}
"""Where what stands there before the end may differ: lists with gaps count anew, what is open is guessed at."""


@pytest.mark.parametrize("name", sorted(set(CORPUS) - LOOSE))
def test_even_before_the_end_nothing_but_the_last_words_differs(dressed, name):
    source = CORPUS[name].rstrip() + "\n\nlast words\n\n"
    streamed, whole = document(), document()
    stream = MarkdownStream(streamed)
    for at in range(1, len(source) + 1):
        stream.show(source[:at], final=False)
    MarkdownStream(whole).show(source, final=True)
    assert structure(streamed) == structure(whole)


@pytest.mark.parametrize("name", CORPUS)
def test_its_height_hardly_jumps_at_the_end(dressed, name):
    source = CORPUS[name]
    made = document()
    stream = MarkdownStream(made)
    for at in range(1, len(source) + 1, 3):
        stream.show(source[:at], final=False)
    stream.show(source, final=False)
    before = made.size().height()
    stream.show(source, final=True)
    assert abs(made.size().height() - before) <= 40


@pytest.mark.parametrize(
    ("half", "shown"),
    [
        ("This is **bo", "This is **bo**"),
        ("This is `co", "This is `co`"),
        ("text **", "text "),
        ("Rules:\n-", "Rules:\n"),
        ("Rules:\n1.", "Rules:\n"),
        ("done **bold** and", "done **bold** and"),
    ],
)
def test_half_marks_do_not_flicker(half, shown):
    assert speculate(half) == shown


def test_marks_come_into_the_text_and_leave_its_markdown_alone(dressed):
    source = "One **bold word** and a [link](https://example.org/a/b) then\n\n- item one\n- item two\n\n| a | b |\n|---|---|\n| cat | dog |\n"
    for word in ("word", "then", "one", "two", "dog"):
        plain, marked = document(), document()
        MarkdownStream(plain).show(source, final=True)
        MarkdownStream(marked).show(source, final=True, marks=[(source.index(word), "0.2", "tip")])
        text = marked.toPlainText()
        assert text.count("0.2") == 1
        assert text.replace("\xa00.2\xa0\xa0", "").replace(" 0.2  ", "") == plain.toPlainText()
        after = text[text.index("0.2") + 3 :].replace("\xa0", " ").strip()
        assert after.startswith(word)


def test_marks_are_where_they_belong_while_streaming(dressed):
    source = "Once upon a time there was a fox.\n\nShe was small and 😀 quick, and then she ran.\n\nThe end."
    made = document()
    stream = MarkdownStream(made)
    offset = source.index("quick")
    for at in range(1, len(source) + 1):
        marks = [(offset, "0.2", "")] if at >= offset else []
        stream.show(source[:at], final=False, marks=marks)
    text = made.toPlainText().replace("\xa0", " ")
    assert "0.2  quick" in text
    assert text.count("0.2") == 1
