"""Finding what was said, whatever is typed into the search box."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from playground.history import search as searching
from playground.history.store import Store
from tests.history.chats import add_chat, message, reply, session


def found(store: Store, words: str, limit: int = 50) -> list[str]:
    return [hit.message_id or f"title of {hit.session_id}" for hit in store.search(words, limit)]


@pytest.fixture
def library(store: Store) -> Store:
    add_chat(store, "en", 'The quick brown fox says "hello"', "A crème brûlée, C++ and foo_bar 100% done", title="Animals")
    add_chat(store, "zh", "我想学习大型语言模型", "東京は日本の首都です。Tokyo", title="语言学习")
    add_chat(store, "ko", "안녕하세요 언어모델입니다", "ภาษาไทยไม่มีช่องว่าง", title="한국어")
    return store


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fox", ["en-0"]),
        ("FOX quick", ["en-0"]),
        ("bro", ["en-0"]),  # the last word may be unfinished
        ("bro quick", ["en-0"]),  # so may another, when whole words find nothing
        ('"quick brown"', ["en-0"]),
        ('"brown quick"', []),
        ("creme brulee", ["en-1"]),
        ("foo_bar", ["en-1"]),
        ("100%", ["en-1"]),
        ("C++", ["en-1"]),
        ("++", ["en-1"]),
        ("fox - hello", ["en-0"]),
        ("rown", ["en-0"]),  # the middle of a word: no index, but near enough
        ("animal", ["title of en"]),
        ("学习", ["title of zh", "zh-0"]),
        ("型", ["zh-0"]),
        ("大型语言模型", ["zh-0"]),
        ("模型", ["zh-0"]),  # its end is the end of the text
        ("東京", ["zh-1"]),
        ("tokyo 首都", ["zh-1"]),
        ("京都", []),
        ("모델", ["ko-0"]),
        ("언어모델", ["ko-0"]),
        ("한국", ["title of ko"]),
        ("ไทย", ["ko-1"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words_are_found(library: Store, words: str, expected: list[str]) -> None:
    assert found(library, words) == expected


def test_a_hit_says_where_and_shows_the_words(library: Store) -> None:
    (hit,) = library.search("brown fox")
    assert (hit.session_id, hit.session_title, hit.role, hit.created) == ("en", "Animals", "user", 0.0)
    assert hit.snippet == 'The quick \x02brown\x03 \x02fox\x03 says "hello"'
    assert library.search("语言模型")[0].snippet == "我想学习大型\x02语言模型\x03"
    assert library.search("animals")[0].role == "title"


def test_a_long_message_is_shown_around_the_words(store: Store) -> None:
    add_chat(store, "s", "x " * 5000 + "needle" + " y" * 5000, "好" * 5000 + "針" + "字" * 5000)
    for words in ("needle", "針"):
        (hit,) = store.search(words)
        assert f"\x02{words}\x03" in hit.snippet
        assert hit.snippet.startswith("…")
        assert hit.snippet.endswith("…")
        assert len(hit.snippet) < 300


def test_the_index_follows_changes(library: Store) -> None:
    library.update_message("en-0", content="一只狐狸")
    assert found(library, "fox") == []
    assert found(library, "狐狸") == ["en-0"]
    library.update_message("en-0", content="a fox again")
    assert found(library, "狐狸") == []
    assert found(library, "fox") == ["en-0"]
    library.update_session("en", title="Plants")
    assert found(library, "animals") == []
    assert found(library, "plants") == ["title of en"]


def test_the_best_comes_first(store: Store) -> None:
    store.add_session(session())
    store.add_message(message("old", "fox " * 8))
    for number in range(20):
        store.add_message(message(f"m{number}", f"number {number} has one fox and many other words that are not asked for"))
    store.add_message(message("best", "fox fox fox"))
    hits = found(store, "fox", 30)
    assert len(hits) == 22
    assert set(hits[:2]) == {"old", "best"}
    assert hits[2:] == [f"m{number}" for number in reversed(range(20))]  # equally good: the newest first
    assert len(found(store, "fox", 5)) == 5


HOSTILE = [
    '"', '""', '"""', "'", "''", "\\", "%", "_", "*", "**", "^", "^fox", "-", "--", "- fox", "+", "()", "(", ")", "fox)",
    "NEAR", "NEAR(fox hello)", "NEAR(fox, 3)", "AND", "OR", "NOT", "fox AND", "AND fox", "fox OR", "NOT fox", "content:fox",
    "content : fox", "{content}: fox", "-content:fox", "fox*", '"fox', 'fox"', 'fo"x', '"fox"*', "'; DROP TABLE messages; --",
    '" OR 1=1 --', "fox\x00hello", "\x00", "\x01\x02\x03", "\ud83e", "\ud83e\udd8a", "🦊", "\u200b", "\u202e", "\ufeff",
    "\uffff", "\U0010ffff", "\U0002fa1d", "\u0e31", "a\u0300\u0301", "[", "]", "[a-z]", "[[", "?", "?1", ":ids", "$x", "@x",
    "\n", "\t", "\r\n", "x" * 100_000, "fox " * 10_000, '"' * 9_999, "好" * 10_000, "好 " * 100, '"好"', '好"', "好*", "%好", "_",
    "好%", "1.5e400", "0x0",
]  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_no_question_is_an_error(library: Store, words: str) -> None:
    library.search(words)


def test_no_mixture_is_an_error_and_every_text_finds_itself(library: Store) -> None:
    rng = random.Random(3)
    alphabet = "ab 0\"'*^()-+:{}[]\\%_\n\x00é好の모ไ🦊\ud83e"
    for number in range(400):
        text = "".join(rng.choices(alphabet, k=rng.randrange(1, 12)))
        library.search(text)
        words = text.replace('"', " ").replace("\x00", " ").split()
        if words and any(word.isalnum() for word in words) and "\ud83e" not in text:
            library.add_message(message(f"n{number}", " ".join(words), session_id="en"))
            assert f"n{number}" in found(library, " ".join(words), 1000), (text, words)


@pytest.mark.slow
def test_a_common_word_in_a_large_library(path: Path) -> None:
    with Store(path) as store, store.atomic():
        store.add_session(session())
        for number in range(50_000):
            store.add_message(
                message(f"m{number}", f"the fox number {number} 的" + (" rare 稀有" if number % 10_000 == 0 else ""))
            )
        assert found(store, "the")[0] == "m49999"
        assert found(store, "rare") == [f"m{number}" for number in (40_000, 30_000, 20_000, 10_000, 0)]
        assert found(store, "稀有") == [f"m{number}" for number in (40_000, 30_000, 20_000, 10_000, 0)]
        assert found(store, "的", 3) == ["m49999", "m49998", "m49997"]
        assert found(store, "fox 12345") == ["m12345"]
        assert len(found(store, "t", 10)) == 10


def test_the_indexes_are_whole_after_everything(library: Store, tmp_path: Path) -> None:
    library.update_message("zh-0", content="")
    library.add_message(reply("new", "好", "zh-0", session_id="zh", state="streaming"))
    library.update_message("new", content="hello")
    library.delete_session("ko")
    library.purge_deleted(9e9)
    copy = sqlite3.connect(":memory:")
    library._open_connection.backup(copy)
    for table in ("messages_fts", "messages_unspaced", "sessions_fts"):
        copy.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
    copy.close()


def test_of_too_many_the_newest_comes_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "RANKED", 10)
    store.add_session(session())
    for number in range(30):
        store.add_message(message(f"m{number}", "fox " * (30 - number)))
    assert found(store, "fox", 5) == [f"m{number}" for number in (29, 28, 27, 26, 25)]
