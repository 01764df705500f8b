"""Columns from a rule: steps, grids, seeds, presets, and the line of text that says them."""

from __future__ import annotations

import pytest

from playground.decoding import sweeps
from playground.errors import SettingError
from playground.params import PRESETS, SamplingSettings

BASE = SamplingSettings(top_k=7, seed=5)


def temperatures(found: tuple[sweeps.Labelled, ...]) -> list[float]:
    return [each.settings.temperature for each in found]


@pytest.mark.parametrize(
    "text",
    [
        "temperature 0..1.5 4",
        "Temperature 0 to 1.5 in 4 steps",
        "temperature=0...1.5 4",
        "temperature: 0 - 1.5 4 steps",
        "temperature 0, 0.5,1 ,1.5",
    ],
)
def test_the_same_sweep_in_other_words(text: str) -> None:
    found = sweeps.parse(text, BASE)
    assert temperatures(found) == [0, 0.5, 1, 1.5]
    assert [each.label for each in found] == ["Temperature 0", "Temperature 0.5", "Temperature 1", "Temperature 1.5"]
    assert all(each.settings.top_k == 7 and each.settings.seed == 5 for each in found)


def test_a_grid() -> None:
    found = sweeps.parse("top-p 0.5..1 2 x temperature 0..1 3", BASE)
    assert [(each.settings.top_p, each.settings.temperature) for each in found] == [
        (0.5, 0), (0.5, 0.5), (0.5, 1), (1, 0), (1, 0.5), (1, 1),
    ]  # fmt: skip
    assert found[1].label == "Top-p 0.5, Temperature 0.5"


def test_seeds() -> None:
    assert [each.settings.seed for each in sweeps.seeds(BASE, 3)] == [5, 6, 7]
    assert [each.settings.seed for each in sweeps.parse("seed 4", SamplingSettings())] == [1, 2, 3, 4]
    assert [each.settings.seed for each in sweeps.seeds(SamplingSettings(seed=2**32 - 2), 2)] == [2**32 - 2, 0]


def test_whole_numbers_and_labels_of_several_words() -> None:
    assert [each.settings.top_k for each in sweeps.parse("top_k 1..4 7", BASE)] == [1, 2, 3, 4]
    assert [each.settings.repeat_last_n for each in sweeps.parse("Penalty window 0,64", BASE)] == [0, 64]


def test_presets() -> None:
    found = sweeps.presets(list(PRESETS))
    assert [each.settings for each in found] == list(PRESETS.values()) and found[0].label == "Balanced"
    with pytest.raises(SettingError, match="Wild"):
        sweeps.presets(["Wild"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a sweep"),
        ("temperature", "not a sweep"),
        ("temperature 0..1.5", "not a sweep"),
        ("temperature 0..1 0", "0 steps"),
        ("temperature 0..3 4", "out of range"),
        ("stop 1,2", "no number called 'stop'"),
        ("warmth 0..1 2", "no number called 'warmth'"),
        ("temperature 0..1 9", "9 columns"),
        ("top_p 0..1 3 x temperature 0..1 3", "9 columns"),
        ("temperature 0,1 x temperature 0,1", "twice"),
        ("seed 0", "0 seeds"),
    ],
)
def test_what_is_none(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as error:
        sweeps.parse(text, BASE)
    assert error.value.hint
