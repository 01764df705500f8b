"""The chain that follows sliders gives what the chain gives: same survivors, same probabilities, whatever moved and in whatever order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from playground.decoding.chain import stages
from playground.decoding.live_chain import LiveChain
from playground.params import STAGES, SamplingSettings, changed

V = 40_000


def rows() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(11)
    peaked = chance.normal(0, 3, V).astype(np.float32)
    flat = chance.normal(0, 0.2, V).astype(np.float32)
    ties = np.round(chance.normal(0, 2, V) * 2).astype(np.float32) / 2
    ruled_out = peaked.copy()
    ruled_out[chance.integers(0, V, V // 3)] = -np.inf
    return {"peaked": peaked, "flat": flat, "ties": ties, "ruled out": ruled_out, "equal": np.zeros(V, np.float32)}


ROWS = rows()
TOKENS = [*np.random.default_rng(5).integers(0, V, 300).tolist(), 7, 7, 7, 8]


def check(live: LiveChain, logits: np.ndarray, settings: SamplingSettings) -> None:
    found = live.steps(settings)
    wanted = stages(logits, settings, TOKENS)
    raw = wanted[0].probabilities
    looked_at = [*range(0, V, 997), 7, 8, *(token for token, _ in wanted[-1].likeliest(20))]
    assert [each.name for each in found] == [each.name for each in wanted]
    for mine, true in zip(found, wanted, strict=True):
        assert mine.kept == len(true), (mine.name, settings)
        assert np.array_equal(mine.survivors(), np.sort(true.ids)), (mine.name, settings)
        full = np.zeros(V)
        full[true.ids] = true.probabilities
        assert np.allclose(mine.probabilities(looked_at), full[looked_at], rtol=1e-5, atol=1e-12), (mine.name, settings)
        kept = true.probabilities[true.probabilities > 0].astype(np.float64)
        assert mine.entropy == pytest.approx(-float((kept * np.log(kept)).sum()), abs=2e-4)
        assert mine.perplexity == pytest.approx(np.exp(mine.entropy))
        assert mine.mass == pytest.approx(min(1.0, float(raw[true.ids].sum(dtype=np.float64))), abs=1e-6)
        top = true.likeliest(15)
        assert [token for token, _ in mine.likeliest(15)] == [token for token, _ in top]


WALK = (
    {},
    {"top_p": 0.5},
    {"top_k": 0},
    {"top_p": 0.99},
    {"repetition_penalty": 1.4},
    {"frequency_penalty": -0.3},
    {"min_p": 0.0},
    {"temperature": 1.6},
    {"top_p": 0.3},
    {"top_p": 1.0},
    {"min_p": 0.2},
    {"repeat_last_n": 3},
    {"temperature": 0.0},
    {"temperature": 1.0},
    {"repetition_penalty": 0.7},
    {"top_k": 1000},
    {"top_k": 1},
    {"presence_penalty": 1.5, "top_k": 0, "top_p": 0.9},
    {"repeat_last_n": 0},
)


@pytest.mark.parametrize("kind", ROWS)
def test_a_walk_through_all_settings_is_the_chain_at_every_step(kind: str) -> None:
    logits = ROWS[kind]
    live = LiveChain(logits, TOKENS)
    settings = SamplingSettings()
    for step in WALK:
        settings = changed(settings, **step)
        check(live, logits, settings)


@pytest.mark.parametrize("kind", ["flat", "ties"])
def test_any_order_of_stages_is_the_chain(kind: str) -> None:
    logits = ROWS[kind]
    live = LiveChain(logits, TOKENS)
    wide = SamplingSettings(temperature=1.3, top_k=0, top_p=0.97, min_p=0.1, repetition_penalty=1.2, presence_penalty=0.1)
    for number, order in enumerate(itertools.permutations(STAGES)):
        if number % 6 == (1 if kind == "flat" else 4):
            check(live, logits, changed(wide, stages=order))
            check(live, logits, changed(wide, stages=order, temperature=0.0))


def test_what_was_computed_is_kept_for_the_stages_before_the_one_that_moved() -> None:
    live = LiveChain(ROWS["flat"], TOKENS)
    first = live.steps(SamplingSettings(top_k=0, repetition_penalty=1.2, top_p=0.9))
    second = live.steps(SamplingSettings(top_k=0, repetition_penalty=1.2, top_p=0.8))
    assert second[1] is first[1] and second[2] is first[2] and second[3] is not first[3]


def test_a_row_that_is_no_distribution_is_refused() -> None:
    with pytest.raises(ValueError):
        LiveChain(np.array([1.0, np.nan], np.float32))
