"""Both engines' sampler chains against the one definition in `decoding`, on rows of real size with ties and extremes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from playground.decoding.chain import Stage, distribution
from playground.params import STAGES, SamplingSettings
from playground.workers.row_sampler import RowSampler
from playground.workers.token_stats import Row

VOCABULARY = 152_064
OFF = SamplingSettings(temperature=1, top_k=0, top_p=1, min_p=0)


def rows() -> dict[str, np.ndarray]:
    """Logits as models give them, and as none should: float32 [VOCABULARY]."""
    rng = np.random.default_rng(0)
    normal = rng.normal(0, 3, VOCABULARY)
    tied = np.round(normal * 2) / 2
    head = np.sort(normal)[::-1].copy()
    head[35:60] = head[35]  # equal at the cut of top-k 40
    rng.shuffle(head)
    nucleus = np.full(VOCABULARY, -30.0)
    nucleus[rng.choice(VOCABULARY, 64, replace=False)] = 10.0  # 64 alike share everything: cut anywhere by top-p
    edge = np.full(VOCABULARY, -20.0)
    edge[:8] = 5.0
    edge[8:40] = np.float32(5.0) + np.float32(np.log(np.float32(0.05)))  # exactly at the cut of min-p 0.05
    ruled_out = np.where(rng.random(VOCABULARY) < 0.99, -np.inf, normal)
    only = np.full(VOCABULARY, -np.inf)
    only[77] = -4.0
    huge = normal.copy()
    huge[:4] = [1e6, -1e6, 0.9e6, 80]
    found = {
        "typical": normal,
        "ties everywhere": tied,
        "ties at the cut of top-k": head,
        "ties at the cut of top-p": nucleus,
        "ties at the cut of min-p": edge,
        "all equal": np.zeros(VOCABULARY),
        "nearly ruled out": ruled_out,
        "one left": only,
        "huge": huge,
        "as bf16 gives them": (np.round(normal * 32) / 32),
    }
    return {name: row.astype(np.float32) for name, row in found.items()}


def settings() -> Iterator[SamplingSettings]:
    yield SamplingSettings(seed=1)
    yield replace(OFF, seed=1)
    yield replace(OFF, top_k=40, seed=1)
    yield replace(OFF, top_p=0.9, seed=1)
    yield replace(OFF, min_p=0.05, seed=1)
    yield replace(OFF, temperature=0.3, repetition_penalty=1.3, repeat_last_n=4096, seed=1)
    yield replace(OFF, temperature=0, frequency_penalty=1.5, seed=1)
    yield replace(OFF, temperature=0, seed=1)
    for number in range(12):
        pick = random.Random(number).choice
        order = list(STAGES)
        random.Random(number).shuffle(order)
        yield SamplingSettings(
            temperature=pick([0, 0.2, 0.8, 1, 1.7]),
            top_k=pick([0, 1, 40, 200, 1000]),
            top_p=pick([0.0, 0.5, 0.95, 0.999, 1]),
            min_p=pick([0, 0.05, 0.5, 1]),
            repetition_penalty=pick([1, 1.3, 0.7]),
            frequency_penalty=pick([0, 0.5]),
            presence_penalty=pick([0, -0.3]),
            repeat_last_n=pick([0, 16, 64, 4096]),
            seed=number,
            stages=tuple(order),
        )


@pytest.fixture(scope="module")
def chains(engine: str) -> Any:
    """A function that makes an engine's sampler, and one that gives (ids, probabilities) of what a draw left."""
    if engine == "transformers":
        return (
            lambda given, tokens: RowSampler(VOCABULARY, given, tokens),
            lambda draw: (np.asarray(draw.ids), np.asarray(draw.probabilities)),
        )
    pytest.importorskip("llama_cpp.llama_cpp", reason="the engine is not installed")
    from playground.workers import llama_lib, llama_sampler

    llama_lib.start()
    candidates = llama_sampler.Candidates(VOCABULARY)
    return (
        lambda given, tokens: llama_sampler.Sampler(candidates, given, tokens),
        lambda draw: (draw.survivors["id"].copy(), draw.survivors["p"].copy()),
    )


@pytest.mark.parametrize("kind", list(rows()))
def test_the_same_tokens_survive_with_the_same_probabilities(chains: Any, engine: str, kind: str) -> None:
    make, survivors = chains
    raw = rows()[kind]
    row = Row(VOCABULARY)
    assert row.read(raw)
    for given in settings():
        tokens = [int(each) for each in np.random.default_rng(given.seed).integers(0, VOCABULARY, 90)] + [int(raw.argmax())] * 2
        expected = distribution(raw, given, tokens)
        sampler = make(given, tokens)
        try:
            draw = sampler.draw(row)
            if given.greedy:
                assert raw[draw.token] == raw[expected.ids[0]] and draw.probability == 1, given
                assert engine == "llama.cpp" or draw.token == expected.ids[0], given
                continue
            check(*survivors(draw), raw, expected, engine, given)
            assert draw.probability == pytest.approx(expected.probability(draw.token), abs=1e-5) or engine == "llama.cpp"
            reported = sampler.probabilities(draw, row.likeliest(8).tolist(), likeliest=True)
            assert sum(reported) <= 1 + 1e-5
        finally:
            sampler.close()


def check(ids: np.ndarray, chances: np.ndarray, raw: np.ndarray, expected: Stage, engine: str, given: SamplingSettings) -> None:
    assert len(ids) == len(expected), given
    order, wanted = np.argsort(ids), np.argsort(expected.ids)
    if np.array_equal(ids[order], expected.ids[wanted]):
        np.testing.assert_allclose(chances[order], expected.probabilities[wanted], atol=1e-5, err_msg=str(given))
        return
    assert engine == "llama.cpp", given  # of equal logits at a cut, the library leaves open which stay
    np.testing.assert_array_equal(np.sort(raw[ids]), np.sort(raw[expected.ids]), err_msg=str(given))
    np.testing.assert_allclose(np.sort(chances), np.sort(expected.probabilities), atol=1e-5, err_msg=str(given))


def test_what_is_drawn_is_distributed_as_told() -> None:
    rng = np.random.default_rng(3)
    raw = rng.normal(0, 1, 12).astype(np.float32)
    row = Row(12)
    assert row.read(raw)
    given = replace(OFF, temperature=0.7, seed=9)
    sampler = RowSampler(12, given, [])
    counts = np.zeros(12)
    for _ in range(20_000):
        counts[sampler.draw(row).token] += 1
    np.testing.assert_allclose(counts / 20_000, distribution(raw, given, []).probabilities, atol=0.015)
    again = RowSampler(12, given, [])
    first = [again.draw(row).token for _ in range(50)]
    other = RowSampler(12, given, [])
    assert [other.draw(row).token for _ in range(50)] == first


def test_numbers_too_large_to_be_divided() -> None:
    raw = np.array([3e38, 2.9e38, 1.0, -3e38], np.float32)
    row = Row(4)
    assert row.read(raw)
    draw = RowSampler(4, replace(OFF, temperature=0.2, seed=1), []).draw(row)
    assert draw.token == 0 and draw.probability == 1
