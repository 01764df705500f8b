"""Datasets on disk, the split, secrets."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.errors import DataError, NotFoundError
from playground.training import datasets, sensitive
from playground.training.problems import Problem
from playground.training.rows import Row, conversation, from_json, to_json
from playground.training.split import split

ROWS = [
    conversation("Hi", "Hello."),
    conversation("Bye", "Bye.", system="Be kind.", number=7),
    Row(text="A frog sat by a lake.", number=9),
]


def write(root: Path, rows: list[Row] = ROWS, name: str = "My data") -> datasets.Dataset:
    problems = [Problem("empty answer", 3, "answer", "the answer is empty.")]
    return datasets.write(root, name, rows, lambda: {"source": "a.jsonl", "counts": {"empty answer": 1}, "problems": problems})


def test_a_version_is_its_rows(tmp_path: Path) -> None:
    made = write(tmp_path)
    assert list(datasets.rows_of(made.file)) == ROWS and [row.number for row in datasets.rows_of(made.file)] == [1, 7, 9]
    assert made.path.parent.name == "My-data" and made.path.name == made.sha256[:16] and made.rows == 3 and made.counts
    assert '"row": 3' in (made.path / datasets.PROBLEMS).read_text(encoding="utf-8")
    assert write(tmp_path) == made  # the same rows are the same version, with its date
    other = write(tmp_path, ROWS[:2])
    assert [each.sha256 for each in datasets.kept(tmp_path)] == [other.sha256, made.sha256]
    assert datasets.find(tmp_path, "My data") == other and datasets.find(tmp_path, f"My data@{made.sha256[:8]}") == made
    assert datasets.find(tmp_path, made.sha256[:10]) == made == datasets.find(tmp_path, str(made.path))
    datasets.delete(tmp_path, "My data")
    assert datasets.kept(tmp_path) == [made]
    datasets.delete(tmp_path, made.sha256)
    assert not any(tmp_path.iterdir())
    with pytest.raises(NotFoundError, match="no dataset"):
        datasets.find(tmp_path, "My data")


def test_what_is_not_finished_is_no_version(tmp_path: Path) -> None:
    def broken() -> object:
        yield ROWS[0]
        raise DataError("The line broke.")

    with pytest.raises(DataError, match="The line broke"):
        datasets.write(tmp_path, "x", broken(), dict)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no row to learn from.*Row 3, answer"):
        write(tmp_path, [])
    assert not datasets.kept(tmp_path) and not any(tmp_path.iterdir())
    dead = tmp_path / "x" / ".999999999-1.part"
    dead.mkdir(parents=True)
    write(tmp_path, name="x")
    assert not dead.exists()


def test_the_same_rows_imported_by_two_programs_at_once_are_one_version(tmp_path: Path) -> None:
    class Late(Problem):
        """Written down when all rows are: by then the other program is through."""

        def to_dict(self) -> dict[str, object]:
            others.append(write(tmp_path))
            return super().to_dict()

    others: list[datasets.Dataset] = []
    found = datasets.write(
        tmp_path, "My data", ROWS, lambda: {"problems": [Late("empty answer", 1, "answer", "the answer is empty.")]}
    )
    assert others == [found] and datasets.kept(tmp_path) == [found]


def test_a_damaged_version_says_so(tmp_path: Path) -> None:
    made = write(tmp_path)
    made.file.write_text('{"messages": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match="Row 1 of My-data is damaged"):
        list(datasets.rows_of(made.file))
    (made.path / datasets.META).write_text("{", encoding="utf-8")
    assert datasets.kept(tmp_path) == []


texts = st.text(max_size=30)


@given(st.lists(texts, min_size=1, max_size=6), texts, st.integers(0, 10**6))
def test_a_row_is_its_line(turns: list[str], text: str, number: int) -> None:
    for row in (
        conversation(*turns, system=text, number=number),
        Row(text=text, number=number),
        conversation(*turns, rejected=text),
    ):
        again = from_json(to_json(row))
        assert again == row and again.number == row.number and again.digest() == row.digest()


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40), st.floats(0, 0.9), st.integers(0, 99), st.randoms())
def test_a_split_knows_rows_and_no_order(words: list[str], share: float, seed: int, rng: random.Random) -> None:
    rows = [conversation(word if at % 2 else f" {word.upper()}?", word) for at, word in enumerate(words)]
    learned, held = split(rows, share, seed)
    assert sorted(learned + held) == list(range(len(rows)))
    assert not {words[at] for at in learned} & {words[at] for at in held}
    if len(set(words)) > 1 and share:
        assert learned and held
    shuffled = list(enumerate(words))
    rng.shuffle(shuffled)
    again = split([rows[at] for at, _ in shuffled], share, seed)
    assert {words[at] for at in held} == {shuffled[at][1] for at in again[1]}


def test_a_split_is_as_large_as_wanted_and_another_seed_another() -> None:
    rows = [conversation(f"question {at}", "yes") for at in range(200)]
    learned, held = split(rows, 0.1, 1)
    assert (len(learned), len(held)) == (180, 20)
    assert split(rows, 0.1, 1) == (learned, held) != split(rows, 0.1, 2)
    twice = [rows[at % 2] for at in range(4)]  # each pair is more than the share: one goes, the same in any order
    turned = twice[1:] + twice[:1]
    assert {twice[at] for at in split(twice, 0.25, 0)[1]} == {turned[at] for at in split(turned, 0.25, 0)[1]}
    assert split(rows, 0.0, 1)[1] == [] and split(rows[:1], 0.5, 1)[1] == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("use ghp_" + "a1" * 18, "secret"),
        ("sk-ant-api03-" + "x" * 30, "secret"),
        ("hf_" + "aB" * 17, "secret"),
        ("password = 'correct-horse'", "secret"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "secret"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl", "secret"),
        ("mail a.b+c@mail.co.uk now", "e-mail address"),
        ("a@b, me@example.org, @name, the key is lost, sk-short, password: no", ""),
        ("Reset your password at the tokens page.", ""),
    ],
)
def test_secrets(text: str, kind: str) -> None:
    found = list(sensitive.find(text))
    assert [each for each, _ in found] == ([kind] if kind else [])
    assert not any("horse" in what or "a1a1a1" in what for _, what in found)
