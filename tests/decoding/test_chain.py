"""The sampler chain in numpy: by hand on small cases, and against llama.cpp's own chain on logits of real size."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from playground.decoding.chain import Stage, distribution, model_stage, softmax, stages
from playground.params import STAGES, SamplingSettings

OFF = SamplingSettings(temperature=1, top_k=0, top_p=1, min_p=0)


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, np.float32))


HALVES = logits(0.5, 0.25, 0.125, 0.125)


def test_with_everything_off_the_models_own_distribution_remains() -> None:
    found = stages(HALVES, OFF)
    assert [stage.name for stage in found] == ["model", *STAGES]
    for stage in found:
        assert stage.ids.tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(stage.probabilities, [0.5, 0.25, 0.125, 0.125], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "survivors"),
    [
        (replace(OFF, top_k=1), {0: 1.0}),
        (replace(OFF, top_k=3), {0: 4 / 7, 1: 2 / 7, 2: 1 / 7}),  # of equals, the lower id
        (replace(OFF, top_k=9), {0: 0.5, 1: 0.25, 2: 0.125, 3: 0.125}),
        (replace(OFF, top_p=0.5), {0: 1.0}),
        (replace(OFF, top_p=0.51), {0: 2 / 3, 1: 1 / 3}),
        (replace(OFF, top_p=0.0), {0: 1.0}),
        (replace(OFF, min_p=0.3), {0: 2 / 3, 1: 1 / 3}),
        (replace(OFF, min_p=1.0), {0: 1.0}),
        (replace(OFF, temperature=0.5), {0: 16 / 22, 1: 4 / 22, 2: 1 / 22, 3: 1 / 22}),
        (replace(OFF, temperature=0), {0: 1.0}),
        (
            replace(OFF, temperature=2, top_k=2, stages=("temperature", "top_k", "penalties", "top_p", "min_p")),
            {0: 0.5858, 1: 0.4142},
        ),
    ],
)
def test_each_stage_by_hand(settings: SamplingSettings, survivors: dict[int, float]) -> None:
    found = distribution(HALVES, settings)
    assert dict(zip(found.ids.tolist(), found.probabilities.tolist(), strict=True)) == pytest.approx(survivors, abs=1e-4)
    assert all(found.probability(token) == pytest.approx(chance, abs=1e-4) for token, chance in survivors.items())
    assert found.probability(77) == 0


def test_penalties_look_at_the_window_and_count() -> None:
    raw = np.array([2.0, -2.0, 1.0, 0.0], np.float32)
    settings = replace(OFF, repetition_penalty=2.0, frequency_penalty=0.5, presence_penalty=0.25, repeat_last_n=4)
    penalised = stages(raw, settings, [2, 0, 0, 1, 3])[1]
    np.testing.assert_allclose(penalised.logits, [2 / 2 - 2 * 0.5 - 0.25, -2 * 2 - 0.75, 1.0, 0 - 0.75])
    assert stages(raw, replace(settings, repeat_last_n=0), [0, 1])[1].logits.tolist() == raw.tolist()
    assert stages(raw, settings, [])[1].logits.tolist() == raw.tolist()
    assert stages(raw, settings, [900])[1].logits.tolist() == raw.tolist()


@pytest.mark.parametrize("place", range(5))
def test_greedy_takes_the_likeliest_after_the_penalties_wherever_they_stand(place: int) -> None:
    order = [stage for stage in STAGES if stage != "penalties"]
    order.insert(place, "penalties")
    raw = np.array([1.0, 3.0, 2.9, 0.0], np.float32)
    settings = SamplingSettings(temperature=0, presence_penalty=1.0, top_k=3, min_p=0, top_p=1, stages=tuple(order))
    assert distribution(raw, settings, [1]).likeliest(9) == [(2, 1.0)]


def test_the_raw_stage_can_be_kept_while_settings_move() -> None:
    raw = np.random.default_rng(0).normal(0, 3, 5000).astype(np.float32)
    kept = model_stage(raw)
    for top_p in (0.1, 0.5, 0.9):
        settings = SamplingSettings(top_p=top_p)
        assert np.array_equal(distribution(kept, settings).ids, distribution(raw, settings).ids)
        assert stages(kept, settings)[0] is kept


def test_logits_are_not_changed() -> None:
    raw = np.random.default_rng(0).normal(0, 3, 500).astype(np.float32)
    before = raw.copy()
    stages(raw, SamplingSettings(repetition_penalty=1.5, temperature=0.5), [1, 2, 3])
    assert np.array_equal(raw, before)


@pytest.mark.parametrize("bad", [[], [np.nan, 1], [np.inf, 1], [-np.inf, -np.inf]])
def test_what_is_no_distribution_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        model_stage(np.array(bad, np.float32))


def test_softmax_of_extremes() -> None:
    assert softmax(np.array([3e38, -3e38, -np.inf], np.float32)).tolist() == [1.0, 0.0, 0.0]


# -- against llama.cpp


def rows(vocabulary: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(vocabulary)
    peaked = rng.normal(0, 8, vocabulary)
    sparse = np.where(rng.random(vocabulary) < 0.9, -np.inf, rng.normal(0, 2, vocabulary))
    sparse[vocabulary // 2] = 5
    extreme = rng.normal(0, 1, vocabulary)
    extreme[:4] = [1e6, -1e6, 0.9e6, 80]  # beyond 3e8 the library's own sort overflows
    found = {
        "typical": rng.normal(0, 3, vocabulary),
        "flat": rng.normal(0, 0.01, vocabulary),
        "peaked": peaked,
        "ties": np.round(rng.normal(0, 3, vocabulary) * 2) / 2,
        "all equal": np.zeros(vocabulary),
        "ruled out": sparse,
        "extreme": extreme,
    }
    return {name: row.astype(np.float32) for name, row in found.items()}


def some_settings(number: int) -> SamplingSettings:
    pick = random.Random(number).choice
    order = list(STAGES)
    if number % 3 == 2:
        random.Random(number).shuffle(order)
    return SamplingSettings(
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


DEFAULTS = [
    SamplingSettings(seed=1),
    SamplingSettings(temperature=1.2, top_k=0, top_p=1, min_p=0.05, seed=1),
    replace(OFF, seed=1),
]


@pytest.fixture(scope="module")
def native() -> Any:
    """llama.cpp's samplers, in this process."""
    pytest.importorskip("llama_cpp.llama_cpp", reason="the engine is not installed")
    from playground.workers import llama_lib, llama_sampler, token_stats

    llama_lib.start()
    return llama_sampler, token_stats


@pytest.mark.parametrize("vocabulary", [2_048, 32_000, 152_064])
@pytest.mark.parametrize("kind", ["typical", "flat", "peaked", "ties", "all equal", "ruled out", "extreme"])
def test_llama_cpp_keeps_the_same_tokens_with_the_same_probabilities(native: Any, vocabulary: int, kind: str) -> None:
    llama_sampler, token_stats = native
    raw = rows(vocabulary)[kind]
    candidates, row = llama_sampler.Candidates(vocabulary), token_stats.Row(vocabulary)
    assert row.read(raw)
    for number in range(12):
        settings = DEFAULTS[number] if number < len(DEFAULTS) else some_settings(number)
        tokens = [int(each) for each in np.random.default_rng(number).integers(0, vocabulary, 90)] + [int(raw.argmax())] * 2
        sampler = llama_sampler.Sampler(candidates, settings, tokens)
        try:
            draw = sampler.draw(row)
            expected = distribution(raw, settings, tokens)
            compare(sampler, draw, expected, row.likeliest(8).tolist(), str(settings))
        finally:
            sampler.close()


def compare(sampler: Any, draw: Any, expected: Stage, ids: list[int], what: str) -> None:
    if sampler.settings.greedy:
        best = expected.logits[0]
        assert draw.token == expected.ids[0] or np.isin(draw.token, expected.ids) or best == expected.logits.max(), what
        return
    got, want = draw.survivors, expected
    assert len(got) == len(want), what
    order, wanted = np.argsort(got["id"]), np.argsort(want.ids)
    if np.array_equal(got["id"][order], want.ids[wanted]):
        np.testing.assert_allclose(got["p"][order], want.probabilities[wanted], atol=1e-5, err_msg=what)
        reported = sampler.probabilities(draw, ids, likeliest=True)
        np.testing.assert_allclose(reported, [want.probability(each) for each in ids], atol=1e-5, err_msg=what)
    else:  # among equal logits at a cut, the library leaves open which stay
        np.testing.assert_array_equal(np.sort(got["logit"]), np.sort(want.logits), err_msg=what)
        np.testing.assert_allclose(np.sort(got["p"]), np.sort(want.probabilities), atol=1e-5, err_msg=what)


@pytest.mark.parametrize("vocabulary", [50, 2_048, 152_001])
@pytest.mark.parametrize("of", ["token_stats", "llama_lib"])
def test_what_a_row_says_of_itself(native: Any, vocabulary: int, of: str) -> None:
    from playground.workers import llama_lib

    _, token_stats = native
    row = token_stats.Row(vocabulary, {"token_stats": token_stats, "llama_lib": llama_lib}[of].exponentials)
    for kind, raw in rows(vocabulary).items():
        assert row.read(raw), kind
        exact = raw.astype(np.float64) - raw.max()
        chances = np.exp(exact) / np.exp(exact).sum()
        order = np.lexsort((np.arange(vocabulary), -raw))
        for count in (1, 8, 40, 500):
            assert row.read(raw)
            assert row.likeliest(count).tolist() == order[:count].tolist(), kind
        assert row.logprob(int(order[0])) == pytest.approx(np.log(chances[order[0]]), abs=1e-5), kind
        surprise = -np.where(chances > 0, np.log(np.where(chances > 0, chances, 1)), 0)
        assert row.entropy == pytest.approx(float((chances * surprise).sum()), abs=1e-3), kind
    for bad in (np.nan, np.inf):
        raw = rows(vocabulary)["typical"]
        raw[7] = bad
        assert not row.read(raw)
    assert not row.read(np.full(vocabulary, -np.inf, np.float32))
