"""What replies have in common and where they part, as tokens come in any order that happens."""

from __future__ import annotations

from playground import events
from playground.gui.widgets.compare_state import Comparing, Reply, labels
from playground.history.records import Column, GenerationRow, MessageRow
from playground.params import SamplingSettings
from playground.protocol import Alternative, TokenInfo

A, B, C = (Column(name) for name in "abc")


def begun(*columns: Column) -> Comparing:
    made = Comparing(columns)
    made.begin([Reply(each.id, f"m{each.id}", f"g{each.id}", each.reply_start) for each in columns], columns)
    return made


def tell(comparing: Comparing, column: str, words: str, index: int = 0, odds: float = 0.5) -> set[str]:
    tokens = tuple(TokenInfo(ord(w), w, -1.0, odds, 1.0, (Alternative(ord("x"), "x", -2.0, 0.125),)) for w in words)
    return comparing.apply(events.GenerationTokens(f"g{column}", f"m{column}", index, index, tokens, 0))


def end(comparing: Comparing, column: str, text: str) -> None:
    row = GenerationRow(f"g{column}", "s", f"m{column}", *[""] * 6, state="end", column_id=column)
    comparing.apply(events.GenerationFinished(row, MessageRow(f"m{column}", "s", "", "assistant", text)))


def test_what_all_begin_with_and_the_first_parting() -> None:
    comparing = begun(A, B, C)
    tell(comparing, "a", "abcd")
    tell(comparing, "b", "abxd")
    tell(comparing, "c", "a")
    assert comparing.common() == 1  # the third one has come no further yet
    tell(comparing, "c", "bxe", 1)
    assert comparing.common() == 2
    (at_a,) = comparing.branches("a")
    assert at_a.index == 2
    assert at_a.own is not None
    assert (at_a.own.text, {number for number, _ in at_a.others}) == ("c", {"b", "c"})
    assert at_a.others[0][1].left_of_right == 0.125  # the chance that a's settings gave to x
    assert [branch.index for branch in comparing.branches("b")] == [2, 3]


def test_one_that_ends_earlier_parts_there() -> None:
    comparing = begun(A, B)
    tell(comparing, "a", "ab")
    tell(comparing, "b", "abc")
    assert comparing.branches("a") == []
    end(comparing, "a", "ab")
    (branch,) = comparing.branches("a")
    assert (branch.index, branch.own) == (2, None)
    assert branch.others[0][1].right.text == "c"


def test_replies_that_were_made_to_begin_differently_have_nothing_to_part_from() -> None:
    comparing = begun(Column("a", reply_start="Yes"), Column("b", reply_start="No"))
    tell(comparing, "a", "ab")
    tell(comparing, "b", "ab")
    assert comparing.common() == 0
    assert comparing.branches("a") == []


def test_tokens_of_several_models_are_compared_by_their_text() -> None:
    comparing = begun(A, Column("b", model="/other.gguf"))
    tell(comparing, "a", "ab")
    other = tuple(TokenInfo(7 + place, word, -1.0, 0.5, 1.0) for place, word in enumerate("ab"))
    comparing.apply(events.GenerationTokens("gb", "mb", 0, 0, other, 0))
    assert comparing.common() == 2


def test_where_replies_of_several_models_part_by_their_text_though_the_numbers_are_the_same() -> None:
    comparing = begun(A, Column("b", model="/other.gguf"))
    tell(comparing, "a", "ab")
    other = (Alternative(7, "b", -2.0, 0.25),)
    tokens = tuple(TokenInfo(ord(number), word, -1.0, 0.5, 1.0, other) for number, word in zip("ab", "az", strict=True))
    comparing.apply(events.GenerationTokens("gb", "mb", 0, 0, tokens, 0))
    (branch,) = comparing.branches("a")
    ((column, parting),) = branch.others
    assert (branch.index, column, parting.left.text, parting.right.text) == (1, "b", "b", "z")
    assert parting.right_of_left == 0.25  # b's settings gave that to the text of a's token, whatever its number


def test_a_column_that_gets_another_model_is_compared_with_what_the_others_replied_before() -> None:
    comparing = begun(A, B)
    tell(comparing, "a", "ab")
    tell(comparing, "b", "ab")
    moved = Column("b", model="/other.gguf")
    comparing.begin([Reply("b", "mb2", "gb2")], [A, moved])
    tokens = tuple(TokenInfo(7 + place, word, -1.0, 0.5, 1.0) for place, word in enumerate("ab"))
    comparing.apply(events.GenerationTokens("gb2", "mb2", 0, 0, tokens, 0))
    assert comparing.branches("a") == []
    assert comparing.common() == 2


def test_recorded_replies_whose_tokens_come_one_after_another_part_where_they_did() -> None:
    comparing = begun(A, B)
    for column, words in (("a", "abc"), ("b", "abd")):
        row = GenerationRow(f"g{column}", "s", f"m{column}", *[""] * 6, state="end", column_id=column, completion_tokens=3)
        comparing.replies[column].take_record(row, MessageRow(f"m{column}", "s", "", "assistant", words))
    comparing.fill("a", "ga", [TokenInfo(ord(w), w, -1.0, 0.5, 1.0) for w in "abc"])
    assert comparing.branches("a") == comparing.branches("b") == []  # of b nothing is known yet
    comparing.fill("b", "gb", [TokenInfo(ord(w), w, -1.0, 0.5, 1.0) for w in "abd"])
    assert [branch.index for branch in comparing.branches("a")] == [2]
    assert comparing.common() == 2


def test_tokens_behind_a_gap_wait_for_those_before_them_and_none_comes_twice() -> None:
    comparing = begun(A)
    assert tell(comparing, "a", "cd", 2) == {"a"}
    reply = comparing.replies["a"]
    assert reply.text == ""
    comparing.fill("a", "ga", [TokenInfo(ord(w), w, -1.0, 0.5, 1.0) for w in "abc"])
    assert reply.text == "abcd"
    tell(comparing, "a", "bcde", 1)
    assert reply.text == "abcde"


def test_a_stop_string_that_was_begun_is_not_in_the_reply() -> None:
    comparing = begun(A)
    tell(comparing, "a", "abST")
    end(comparing, "a", "ab")
    assert comparing.replies["a"].text == "ab"


def test_columns_of_two_models_are_two_prefills() -> None:
    comparing = begun(A)
    comparing.apply(events.GenerationPrefilled("ga", "ma", 9, 0, 0.1))
    assert comparing.prefills == 1
    comparing.apply(events.ComparisonFinished("s", "group", 1, 10, 1.0, last=False))
    comparing.begin([Reply("b", "mb", "gb")], (A, Column("b", model="/other.gguf")))
    comparing.apply(events.GenerationPrefilled("gb", "mb", 9, 0, 0.1))
    comparing.apply(events.ComparisonFinished("s", "other", 1, 20, 1.0))
    assert comparing.prefills == 2
    assert [each.tokens for each in comparing.finished] == [10, 20]


def test_a_column_that_has_gone_parts_from_nobody() -> None:
    comparing = begun(A, B, C)
    for column, words in (("a", "ab"), ("b", "ab"), ("c", "xy")):
        tell(comparing, column, words)
    assert comparing.common() == 0
    comparing.forget("c")
    assert comparing.common() == 2
    assert comparing.branches("a") == []


def test_labels_say_what_differs() -> None:
    cold, warm = SamplingSettings(temperature=0.2), SamplingSettings(temperature=1.2, top_k=0)
    assert labels([Column("a", cold), Column("b", warm)]) == ["Temperature 0.2, Top-k 40", "Temperature 1.2, Top-k 0"]
    assert labels([Column("a", cold), Column("b", cold)]) == ["Temperature 0.2"] * 2
    assert labels([Column("a", cold, "No"), Column("b", cold)]) == ["starts “No”", "free start"]
