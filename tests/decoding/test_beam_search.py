"""Beam search against looking at every continuation there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from playground.decoding.beam_search import BeamSearch, Candidate, Node, enough
from playground.params import BeamSettings

VOCABULARY, END = 5, 4


def table(seed: int, length: int) -> dict[tuple[int, ...], list[float]]:
    """Log-probabilities of the next token after every continuation that has not ended."""
    chance = np.random.default_rng(seed)
    found = {}
    for size in range(length):
        for path in itertools.product(range(END), repeat=size):
            logits = chance.normal(0, 1.5, VOCABULARY)
            found[path] = (logits - np.log(np.exp(logits).sum())).tolist()
    return found


def searched(
    model: dict[tuple[int, ...], list[float]], settings: BeamSettings
) -> tuple[BeamSearch, list[list], list[list[Node]]]:
    search = BeamSearch(settings, settings.max_tokens)
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    steps = []
    while not search.done:
        given = []
        for beam in search.running:
            after = model[paths[beam.id] if beam else ()]
            order = sorted(range(VOCABULARY), key=lambda each: -after[each])
            given.append([Candidate(each, after[each], each == END) for each in order])
        seen = search.step(given)
        paths.update({each.id: (*paths[each.parent], each.token) for each in seen})
        steps.append(seen)
    return search, [[paths[each.node.id], each.score] for each in search.finished], steps


def every(model: dict[tuple[int, ...], list[float]], length: int, penalty: float) -> list[list]:
    found: list[list] = []

    def go(path: tuple[int, ...], total: float) -> None:
        for token, logprob in enumerate(model[path]):
            longer = (*path, token)
            if token == END or len(longer) == length:
                found.append([longer, (total + logprob) / len(longer) ** penalty])
            else:
                go(longer, total + logprob)

    go((), 0.0)
    return sorted(found, key=lambda each: -each[1])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
def test_beams_as_wide_as_the_tree_find_the_best_of_all(penalty: float) -> None:
    for seed in range(5):
        model = table(seed, 3)
        settings = BeamSettings(width=64, max_tokens=3, length_penalty=penalty, early_stopping="never")
        _, found, _ = searched(model, settings)
        best = every(model, 3, penalty)[: len(found)]
        assert [path for path, _ in found] == [path for path, _ in best]
        assert [score for _, score in found] == pytest.approx([score for _, score in best])


def test_one_beam_is_greedy() -> None:
    model = table(3, 4)
    path: tuple[int, ...] = ()
    while len(path) < 4 and END not in path:
        path = (*path, int(np.argmax(model[path])))
    _, found, _ = searched(model, BeamSettings(width=1, max_tokens=4))
    assert found[0][0] == path


def test_what_is_told_of_each_step_makes_up_the_tree() -> None:
    settings = BeamSettings(width=3, max_tokens=4, length_penalty=0.0)
    search, found, steps = searched(table(1, 4), settings)
    nodes = {each.id: each for step in steps for each in step}
    for number, step in enumerate(steps, 1):
        assert [each.total for each in step] == sorted((each.total for each in step), reverse=True)
        assert all(each.length == number for each in step)
        assert all(each.parent == -1 or nodes[each.parent].state == "kept" for each in step)
        assert sum(each.state == "kept" for each in step) == (3 if number < 4 else 0)
    for beam, (path, _) in zip(search.finished, found, strict=True):
        total, at = 0.0, beam.node.id
        while at != -1:
            total, at = total + nodes[at].logprob, nodes[at].parent
        assert total == pytest.approx(beam.score) and len(path) == beam.node.length


def test_an_end_that_is_not_among_the_best_does_not_count() -> None:
    search = BeamSearch(BeamSettings(width=2, max_tokens=8), 8)
    given = [Candidate(0, -0.5), Candidate(1, -1.0), Candidate(END, -1.5, True), Candidate(2, -2.0)]
    assert [each.state for each in search.step([given])] == ["kept", "kept", "pruned", "pruned"]
    assert search.finished == [] and not search.done


def test_stopping_early_or_not() -> None:
    """Two ends at once, and a living beam that is worse: `off` has seen enough; `never` waits for what a long one might reach."""
    given = [[Candidate(END, -0.1, True), Candidate(5, -0.2, True), Candidate(0, -3.0), Candidate(1, -4.0)]]
    why = {}
    for kind in ("off", "on", "never"):
        search = BeamSearch(BeamSettings(width=2, max_tokens=50, early_stopping=kind), 50)
        search.step(given)
        why[kind] = search.why
    assert why == {"off": "better", "on": "full", "never": ""}


def test_room_that_runs_out_ends_the_beams_as_they_are() -> None:
    search = BeamSearch(BeamSettings(width=2, max_tokens=8), 8)
    search.step([[Candidate(0, -0.5), Candidate(1, -1.0), Candidate(2, -2.0), Candidate(3, -3.0)]])
    search.stop()
    assert search.why == "context"
    assert [each.score for each in search.finished] == [-0.5, -1.0]


def test_how_many_candidates_are_enough() -> None:
    ends = [Candidate(each, -1.0, True) for each in range(3)]
    assert not enough([*ends, Candidate(7, -2.0)], 2)
    assert enough([*ends, Candidate(7, -2.0), Candidate(8, -math.inf)], 2)
