"""Scales and colours: what a colour says of a weight, what a legend says of a colour, differences, pictures of all heads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.inside import atlas, colours, look, pooling, scales


def maps(count: int = 3, length: int = 40, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.exponential(size=(count, length, length)).astype(np.float32) ** 3 * np.tri(length, dtype=np.float32)
    return np.asarray(found / found.sum(-1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", scales.KINDS)
def test_more_weight_is_never_less_colour_and_ends_are_ends(kind: str) -> None:
    spread = scales.spread(pooling.encode(maps()), causal=True)
    places = scales.code_places(kind, spread).astype(int)
    assert (np.diff(places) >= 0).all()
    assert places[0] == 0
    assert places[round(255 * spread.greatest**0.5)] == 255


@pytest.mark.parametrize("kind", scales.KINDS)
def test_a_legend_says_what_the_colours_say(kind: str) -> None:
    spread = scales.spread(pooling.encode(maps()), causal=True)
    ticks = scales.ticks(kind, spread)
    assert len(ticks) >= 3
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)
    assert ticks[-1][0] == 1.0
    for place, weight in ticks:
        assert scales.value_at(kind, place, spread) == pytest.approx(weight, rel=0.02, abs=1e-4)


def test_the_first_token_looking_at_itself_is_not_the_greatest() -> None:
    weights = np.full((1, 4, 4), 0.01, np.float32) * np.tri(4, dtype=np.float32)
    weights[0, 0, 0] = 1.0
    weights[0, 2, 1] = 0.25
    spread = scales.spread(pooling.encode(weights), causal=True)
    assert spread.greatest == pytest.approx(0.25, abs=0.004)
    assert spread.beyond
    assert not scales.spread(pooling.encode(weights), causal=False).beyond
    weights[0, 3, 0] = 0.9
    assert scales.spread(pooling.encode(weights), causal=True).greatest == pytest.approx(0.9, abs=0.004)
    assert scales.spread(pooling.encode(weights), causal=True, hide_sink=True).greatest == pytest.approx(0.25, abs=0.004)


def test_percentiles_have_as_many_cells_on_both_sides_of_the_middle() -> None:
    codes = pooling.encode(maps(4, 64))
    spread = scales.spread(codes)
    places = scales.code_places("percentile", spread)[codes]
    seen = codes > 0
    assert 0.4 < (places[seen] < 128).mean() < 0.6


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=64))
def test_a_difference_survives_its_8_bits(values: list[float]) -> None:
    given_ = np.array(values, np.float32)
    codes = look.encode_difference(given_)
    assert np.abs(look.decode_difference(codes) - given_).max() <= 0.008
    assert (codes[given_ == 0] == look.NO_DIFFERENCE).all()
    assert (look.encode_difference(-given_).astype(int) == 256 - codes.astype(int)).all()


def test_the_halvings_of_a_difference_keep_what_differs_most() -> None:
    values = np.zeros((131, 131), np.float32)
    values[7, 90], values[130, 3], values[60, 61], values[61, 61] = -0.9, 0.4, 0.3, -0.5
    small = look.decode_difference(look.signed_pyramid(look.encode_difference(values))[-1])
    assert sorted(small[np.abs(small) > 0.01].tolist()) == pytest.approx([-0.9, -0.5, 0.4], abs=0.01)
    assert small.shape == (33, 33)


@pytest.mark.parametrize("kind", scales.KINDS)
def test_scales_of_differences_are_the_same_on_both_sides(kind: str) -> None:
    one, other = maps(2, 40)
    codes = look.encode_difference(other - one)
    places = scales.code_places(kind, scales.spread(codes, signed=True)).astype(int)
    assert places[128] == 128
    assert (np.diff(places[1:]) >= 0).all()
    assert (places[129:] + places[127:0:-1] == 256).all()


def lightness(table: np.ndarray) -> np.ndarray:
    return np.asarray(table.astype(float) @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("name", colours.SEQUENTIAL)
def test_colours_of_weights_are_told_apart_without_their_hue(name: str) -> None:
    assert (np.diff(lightness(colours.sequential(name))) > -0.6).all()
    assert np.ptp(lightness(colours.sequential(name))) > 150


def test_colours_of_differences_darken_on_a_light_page_and_lighten_on_a_dark_one() -> None:
    for dark, sign in ((False, -1), (True, 1)):
        light = lightness(colours.blue_orange(dark)) * sign
        assert (np.diff(light[128:]) >= -0.6).all() and (np.diff(light[1:129]) <= 0.6).all()
        blue, orange = colours.blue_orange(dark)[[20, 236]].astype(int)
        assert blue[2] > blue[0] and orange[0] > orange[2]


@pytest.mark.parametrize(("rows", "columns", "side"), [(64, 64, 9), (64, 64, 64), (58, 58, 25), (5, 31, 8)])
def test_every_bright_cell_of_every_head_is_in_the_picture_of_all(rows: int, columns: int, side: int) -> None:
    rng = np.random.default_rng(3)
    thumbs = np.zeros((3, 5, rows, columns), np.uint8)
    where = [(rng.integers(rows), rng.integers(columns)) for _ in range(15)]
    for head, (row, column) in enumerate(where):
        thumbs[head // 5, head % 5, row, column] = 200
    table = np.arange(256, dtype=np.uint32)
    gap = 2
    picture = atlas.compose(atlas.fitted(thumbs, side), table, side, gap, 7)
    assert picture.shape == (3 * (side + gap), 5 * (side + gap))
    for head in range(15):
        top, left = head // 5 * (side + gap), head % 5 * (side + gap)
        part = picture[top : top + side, left : left + side]
        assert (part == 200).any()
        row, column = (int(each.mean()) for each in np.nonzero(part == 200))
        assert abs(row / side - where[head][0] / rows) < 0.2 and abs(column / side - where[head][1] / columns) < 0.2
        assert (picture[top + side : top + side + gap] == 7).all()


def test_the_mask_of_a_thumbnail_leaves_the_diagonal() -> None:
    thumbs = np.full((1, 1, 16, 16), 90, np.uint8)
    picture = atlas.compose(thumbs, np.arange(256, dtype=np.uint32), 16, 1, 0, mask=1000)
    assert (picture[:16, :16] == np.where(np.tri(16, dtype=bool), 90, 1000)).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("hide", [False, True])
def test_the_scales_of_all_heads_at_once_are_those_of_each(signed: bool, hide: bool) -> None:
    thumbs = (np.random.default_rng(2).exponential(size=(2, 3, 20, 20)) * 40).clip(1, 255).astype(np.uint8)
    thumbs[1, 2] = 128 if signed else 0
    found = scales.each_spread(thumbs, True, signed, hide)
    places = np.array([scales.percentile_places(row) for row in found])
    ends = scales.each_greatest(thumbs, True, signed, hide)
    for layer, head in np.ndindex(2, 3):
        alone = scales.spread(thumbs[layer, head], True, signed, hide)
        together = found[layer][head]
        assert together.greatest == alone.greatest == ends[layer, head] and (together.counts == alone.counts).all()
        there = np.flatnonzero(alone.counts)
        assert np.abs(scales.code_places("percentile", alone).astype(int) - places[layer, head])[there].max() <= 1


def test_thumbnails_of_a_beginning() -> None:
    """Exact where a cell is a token; else every token's weight is in its cell, as in a thumbnail of the beginning alone."""
    rng = np.random.default_rng(4)
    short = rng.integers(0, 255, (2, 2, 40, 40)).astype(np.uint8)
    assert (atlas.beginning(short, 40, 17) == short[..., :17, :17]).all()
    assert (atlas.beginning(short, 40, 40) == short).all()
    codes = (rng.random((1, 1, 200, 200)) > 0.99) * np.uint8(200)
    thumbs = np.zeros((1, 1, 64, 64), np.uint8)
    pooling.pool_rows(codes[0], 0, 200, thumbs[0])
    found = atlas.beginning(thumbs, 200, 90)
    edges = [*pooling.thumb_edges(90, 64), 90]
    assert found.shape == (1, 1, 64, 64)
    for row, column in np.ndindex(64, 64):
        inside = codes[0, 0, edges[row] : edges[row + 1], edges[column] : edges[column + 1]].max()
        assert found[0, 0, row, column] >= inside
