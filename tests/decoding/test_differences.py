"""Numbers of how replies differ, against examples worked out by hand and properties that must hold for any."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from playground.decoding import differences as of


@pytest.mark.parametrize(
    ("sequences", "length"),
    [([], 0), ([[1, 2]], 2), ([[1, 2, 3], [1, 2, 4], [1, 2]], 2), ([[1], [2]], 0), ([[], [1]], 0)],
)
def test_common_prefix(sequences: list[list[int]], length: int) -> None:
    assert of.common_prefix(*sequences) == length


def test_where_two_replies_part_and_how_likely_each_was_to_the_other() -> None:
    same = (1, " the", 0.9, ((1, 0.9), (2, 0.1)))
    left = [same, (7, " fox", 0.6, ((7, 0.6), (8, 0.3)))]
    right = [same, (8, " owl", 0.4, ((8, 0.4),)), same]
    found = of.parting(left, right)
    assert found == of.Parting(1, of.Candidate(7, " fox", 0.6), of.Candidate(8, " owl", 0.4), 0.3, None)
    assert of.parting(left, left) is None
    assert of.parting(left[:1], left) == of.Parting(1, None, of.Candidate(7, " fox", 0.6))


def test_distinct_n_and_repetition() -> None:
    tokens = [1, 2, 1, 2, 1, 2]
    assert of.distinct_n(tokens, 1) == 2 / 6 and of.distinct_n(tokens, 2) == 2 / 5
    assert of.repetition_rate(tokens) == pytest.approx(1 / 3)  # (1 2 1 2) (2 1 2 1) (1 2 1 2)
    assert math.isnan(of.distinct_n([1], 2)) and math.isnan(of.repetition_rate([]))
    assert of.distinct_n(range(50), 3) == 1 and of.repetition_rate([5] * 50) == pytest.approx(46 / 47)
    with pytest.raises(ValueError, match="n-gram"):
        of.distinct_n(tokens, 0)


def test_repeated_context_looks_back_so_far_and_no_farther() -> None:
    assert of.repeated_context_rate([1, 2, 3, 1], window=3) == 0.25
    assert of.repeated_context_rate([1, 2, 3, 1], window=2) == 0
    assert of.repeated_context_rate([4, 4, 4, 4], window=1) == 0.75
    assert math.isnan(of.repeated_context_rate([]))


def test_means() -> None:
    assert of.mean_logprob([math.log(0.5), math.log(0.125)]) == pytest.approx(math.log(0.25))
    assert of.perplexity([math.log(0.25)] * 7) == pytest.approx(4)
    assert of.perplexity([-math.inf]) == math.inf and of.mean_logprob([-1e308, 0.0]) == -5e307
    assert math.isnan(of.perplexity([])) and math.isnan(of.mean_entropy([]))
    found = of.summary([1, 1], [-1.0, -3.0], [0.5, 1.5])
    assert (found.tokens, found.distinct_1, found.distinct_2, found.mean_logprob, found.entropy) == (2, 0.5, 1.0, -2.0, 1.0)
    assert found.perplexity == pytest.approx(math.exp(2)) and math.isnan(found.repetition)


def test_a_diff_puts_both_sides_together_again() -> None:
    chance = random.Random(3)
    for _ in range(50):
        left, right = ([chance.randrange(4) for _ in range(chance.randrange(40))] for _ in range(2))
        pieces = of.diff(left, right)
        assert [token for each in pieces for token in left[each.left_start : each.left_end]] == left
        assert [token for each in pieces for token in right[each.right_start : each.right_end]] == right
        common = 0
        for each in pieces:
            ours, theirs = left[each.left_start : each.left_end], right[each.right_start : each.right_end]
            kinds = {(True, True): "changed", (True, False): "left", (False, True): "right"}
            assert each.kind == ("same" if ours == theirs else kinds[bool(ours), bool(theirs)])
            common += len(ours) if each.kind == "same" else 0
        assert of.similarity(left, right) == pytest.approx(2 * common / (len(left) + len(right)) if left or right else 1)
    assert of.diff([9] * 300 + [1], [9] * 300) == [of.Piece("same", 0, 300, 0, 300), of.Piece("left", 300, 301, 300, 300)]


def test_counting_as_it_is_written_gives_the_same_numbers() -> None:
    dice = random.Random(7)
    tally = of.Tally()
    rows: list[tuple[int, float, float]] = []
    for _ in range(60):
        found, wanted = tally.summary(), of.summary(*([row[each] for row in rows] for each in range(3)))
        assert len(tally) == found.tokens == len(rows)
        assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(wanted), rel=1e-12, nan_ok=True)
        rows.append((dice.randrange(4), -dice.random() * 9, dice.random() * 3))
        tally.add(*rows[-1])
    certain = of.Tally()
    certain.add(3, -math.inf, 0.0)
    assert certain.summary().perplexity == math.inf
