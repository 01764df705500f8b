"""Capture files: what is written is what is read, in every encoding; refusals, leftovers, pictures that lose no bright cell."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.errors import DataError, ModelFileError, NotFoundError, SettingError, StorageError
from playground.inside import head_scores, pooling, store
from playground.inside.capture import Capture, export
from playground.inside.layout import Header, Token, capture_size, open_header
from playground.inside.recompute import Rule, bounds_of, weights
from playground.inside.rollout import difference
from playground.inside.writer import NotCausal, Writer

LAYERS, HEADS, KV, WIDTH = 3, 4, 2, 8


def header(length: int, encoding: str, **more: Any) -> Header:
    tokens = tuple(Token(place % 17, f"t{place}", place == 0) for place in range(length))
    base = Header(encoding, True, tuple(range(LAYERS)), tuple(range(HEADS)), LAYERS, HEADS, KV, WIDTH, tokens, created=1.0)
    return replace(base, **more)


def softmax_maps(
    length: int, causal: bool = True, window: int = 0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries [layers, tokens, heads, width], keys, which tokens each sees, and the weights, computed the plain way."""
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(LAYERS, length, HEADS, WIDTH)).astype(np.float32)
    k = rng.normal(size=(LAYERS, length, KV, WIDTH)).astype(np.float32)
    place = np.arange(length)
    seen = np.ones((length, length), bool) if not causal else place <= place[:, None]
    if window:
        seen &= place > place[:, None] - window
    logits = np.einsum("lqhd,lkhd->lhqk", q, np.repeat(k, HEADS // KV, axis=2)) * 0.7
    logits = np.where(seen, logits, -np.inf)
    found = np.exp(logits - logits.max(-1, keepdims=True))
    return q, k, seen, (found / found.sum(-1, keepdims=True)).astype(np.float32)


def written(path: Path, about: Header, step: int = 13, causal: bool = True, window: int = 0) -> np.ndarray:
    """Writes a capture in chunks of rows; gives the weights of all heads."""
    q, k, seen, maps = softmax_maps(about.length, causal, window)
    writer = Writer(path, about)
    try:
        for start in range(0, about.length, step):
            rows = slice(start, start + step)
            for place, layer in enumerate(about.layers):
                if about.recomputed:
                    writer.queries_and_keys(place, start, q[layer, rows], k[layer, rows])
                    writer.bounds(place, start, seen[rows])
                    writer.rule(place, Rule(0.7))
                writer.rows(place, start, maps[layer, :, rows])
        writer.finish()
    except BaseException:
        writer.discard()
        raise
    return maps


@pytest.mark.parametrize(
    ("encoding", "tolerance"), [("u8", 0.004), ("f32", 0.0), ("qk32", 2e-6), ("qk16", 0.02)], ids=lambda each: str(each)
)
@pytest.mark.parametrize("window", [0, 9])
def test_what_is_written_is_read(tmp_path: Path, encoding: str, tolerance: float, window: int) -> None:
    about = header(50, encoding)
    maps = written(tmp_path / "a.attention", about, window=window)
    assert os.listdir(tmp_path) == ["a.attention"]
    found = Capture(tmp_path / "a.attention")
    assert found.header == about
    for layer, head in itertools.product(range(LAYERS), range(HEADS)):
        assert np.abs(found.map(layer, head) - maps[layer, head]).max() <= tolerance
        assert not np.triu(found.map(layer, head), 1).any()
        if tolerance < 0.01:
            assert np.abs(pooling.decode(found.codes(layer, head)) - maps[layer, head]).max() < 0.004
        assert np.array_equal(found.row(layer, head, 20), found.map(layer, head)[20])
    assert np.allclose(found.mean(1), maps[1].mean(0), atol=tolerance + 1e-6)
    assert np.allclose(found.mean_row(2, 7), maps[2].mean(0)[7], atol=tolerance + 1e-6)
    for layer, head in itertools.product(range(LAYERS), range(HEADS)):
        expected = head_scores.of_map([each.id for each in about.tokens], maps[layer, head])
        assert dict(zip(found.header.score_names, found.scores[layer, head].tolist(), strict=True)) == pytest.approx(
            expected, abs=1e-5
        )
    found.close()


@pytest.mark.parametrize("encoding", ["u8", "f32", "qk32"])
def test_rows_may_end_at_their_own_token(tmp_path: Path, encoding: str) -> None:
    """What is behind it is nothing: the file is the same to the byte, in whatever pieces rows come."""
    about = header(150, encoding)
    _, _, _, maps = softmax_maps(150)
    written(tmp_path / "whole.attention", about, step=150)
    writer = Writer(tmp_path / "short.attention", about)
    q, k, seen, _ = softmax_maps(150)
    for place in range(LAYERS):
        if about.recomputed:
            writer.queries_and_keys(place, 0, q[place], k[place])
            writer.bounds(place, 0, seen)
            writer.rule(place, Rule(0.7))
        for start in range(0, 150, 47):
            end = min(150, start + 47)
            writer.rows(place, start, maps[place, :, start:end, :end])
    writer.finish()
    one, other = Capture(tmp_path / "whole.attention"), Capture(tmp_path / "short.attention")
    assert np.array_equal(one.thumbnails(), other.thumbnails()) and np.allclose(one.scores, other.scores, atol=1e-7)
    for layer, head in itertools.product(range(LAYERS), range(HEADS)):
        assert np.array_equal(one.map(layer, head), other.map(layer, head))
        assert np.abs(one.map(layer, head) - maps[layer, head]).max() <= (0.004 if encoding == "u8" else 2e-6)


def test_a_window_that_moves_on_within_the_rows_computed_together(tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", header(300, "qk32"), step=300, window=9)
    found = Capture(tmp_path / "a.attention")
    assert np.abs(found.map(1, 2) - maps[1, 2]).max() <= 2e-6
    assert all(np.allclose(found.row(1, 3, row), maps[1, 3, row], atol=2e-6) for row in (0, 63, 64, 200, 299))


def test_heads_and_layers_that_were_chosen(tmp_path: Path) -> None:
    for encoding in ("f32", "qk32"):
        path = tmp_path / f"{encoding}.attention"
        maps = written(path, header(30, encoding, layers=(0, 2), heads=(1, 3)))
        found = Capture(path)
        assert np.allclose(found.map(2, 3), maps[2, 3], atol=2e-6) and np.allclose(found.map(0, 1), maps[0, 1], atol=2e-6)
        assert found.thumbnails().shape == (2, 2, 30, 30) and found.scores.shape == (2, 2, 6)
        with pytest.raises(SettingError, match=r"no layer 1 in this capture.*0, 2"):
            found.map(1, 1)
        with pytest.raises(SettingError, match="Rollout needs all layers"):
            found.rollout()


def test_a_text_read_both_ways_keeps_what_looks_ahead(tmp_path: Path) -> None:
    for encoding in ("f32", "u8", "qk32"):
        path = tmp_path / f"{encoding}.attention"
        maps = written(path, header(30, encoding, causal=False), causal=False, step=30)
        found = Capture(path)
        assert np.abs(found.map(1, 2) - maps[1, 2]).max() < 0.004 and found.map(1, 2)[0, 29] > 0
    with pytest.raises(NotCausal):
        written(tmp_path / "c.attention", header(30, "f32"), causal=False)


def test_thumbnails_are_maxima_whatever_the_chunks(tmp_path: Path) -> None:
    about = header(150, "u8")
    maps = written(tmp_path / "a.attention", about, step=37)
    thumbs = Capture(tmp_path / "a.attention").thumbnails()
    assert thumbs.shape == (LAYERS, HEADS, 64, 64)
    edges = [*pooling.thumb_edges(150, 64), 150]
    codes = pooling.encode(maps[2, 1])
    for i, j in itertools.product(range(64), range(64)):
        assert thumbs[2, 1, i, j] == codes[edges[i] : edges[i + 1], edges[j] : edges[j + 1]].max()


def test_isolated_bright_cells_survive_every_level() -> None:
    rng = np.random.default_rng(0)
    codes = np.zeros((1001, 777), np.uint8)
    bright = rng.choice(codes.size, 300, replace=False)
    codes.reshape(-1)[bright] = 255
    for level, each in enumerate(pooling.pyramid(codes)):
        assert all(each[(cell // 777) >> level, (cell % 777) >> level] == 255 for cell in bright)
    assert max(each.shape) <= 64
    assert pooling.level_for(1001, 800) == 1 and pooling.level_for(640, 800) == 0 and pooling.level_for(2048, 500) == 3


def test_codes_are_exact_to_what_is_said_of_them() -> None:
    values = np.linspace(0, 1, 100_001, dtype=np.float32)
    assert np.abs(pooling.decode(pooling.encode(values)) - values).max() < 0.004


@pytest.mark.parametrize("cap", [0.0, 5.0])
@pytest.mark.parametrize("sink", [None, 1.5])
def test_rows_are_computed_again_as_the_formula_says(cap: float, sink: float | None) -> None:
    rng = np.random.default_rng(1)
    q, k = rng.normal(size=(6, 8)), rng.normal(size=(6, 8))
    bounds = np.array([[max(0, row - 2), row] for row in range(6)], np.int32)
    found = weights(q.astype(np.float32), k.astype(np.float32), Rule(0.6, cap, 1.1), bounds, sink)
    for row in range(6):
        x = {j: float(q[row] @ k[j]) * 0.6 for j in range(max(0, row - 2), row + 1)}
        x = {j: (cap * np.tanh(v / cap) if cap else v) * 1.1 for j, v in x.items()}
        total = sum(np.exp(v) for v in x.values()) + (np.exp(sink) if sink is not None else 0)
        assert found[row] == pytest.approx([np.exp(x[j]) / total if j in x else 0 for j in range(6)], abs=1e-6)


def test_a_file_whose_numbers_are_damaged_ends_no_program(tmp_path: Path) -> None:
    path = tmp_path / "a.attention"
    written(path, header(40, "qk32"))
    array = open_header(path)[1].arrays["bounds"]
    with path.open("r+b") as file:
        file.seek(array.offset)
        file.write(np.full(array.shape, (-7, 1 << 30), "<i4").tobytes())
    assert Capture(path).map(0, 0).shape == (40, 40)


def test_a_mask_with_gaps_has_no_bounds() -> None:
    assert bounds_of(np.array([[1, 0, 0], [1, 1, 0]], bool)).tolist() == [[0, 0], [0, 1]]  # type: ignore[union-attr]
    assert bounds_of(np.array([[1, 0, 1]], bool)) is None and bounds_of(np.array([[0, 0]], bool)) is None


def test_weights_that_queries_and_keys_do_not_explain_are_refused(tmp_path: Path) -> None:
    q, k, seen, maps = softmax_maps(20)
    writer = Writer(tmp_path / "a.attention", header(20, "qk32"))
    writer.queries_and_keys(0, 0, q[0], k[0])
    writer.bounds(0, 0, seen)
    writer.rule(0, Rule(0.9))  # not the scale that it was computed with
    with pytest.raises(DataError, match="cannot be kept for this model"):
        writer.rows(0, 0, maps[0])
    writer.discard()
    assert not os.listdir(tmp_path)


def test_numbers_that_are_none_are_said(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.attention", header(4, "u8"))
    with pytest.raises(ModelFileError, match="no numbers"):
        writer.rows(0, 0, np.full((HEADS, 4, 4), np.nan, np.float32))
    writer.discard()
    unfinished = Writer(tmp_path / "b.attention", header(4, "u8"))
    with pytest.raises(ModelFileError, match="no attention for some"):
        unfinished.finish()
    unfinished.discard()
    assert not os.listdir(tmp_path)


def test_rollout_is_the_product_of_the_layers(tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", header(25, "f32")).astype(np.float64)
    product = np.eye(25)
    for layer in range(LAYERS):
        product = (0.5 * maps[layer].mean(0) + 0.5 * np.eye(25)) @ product
    found = Capture(tmp_path / "a.attention")
    assert np.allclose(found.rollout(), product, atol=1e-5) and np.allclose(found.rollout().sum(1), 1, atol=1e-5)
    assert np.allclose(found.rollout_row(11), product[11], atol=1e-5)
    assert np.allclose(found.rollout(0), 0.5 * maps[0].mean(0) + 0.5 * np.eye(25), atol=1e-5)
    assert np.allclose(difference(found.map(0, 0), found.map(1, 0)), maps[1, 0] - maps[0, 0], atol=1e-6)
    with pytest.raises(DataError, match="25 and 24 tokens"):
        difference(found.map(0, 0), found.map(0, 0)[:24, :24])


def test_scores_know_the_heads_they_are_named_for() -> None:
    tokens = [5, 6, 7, 8, 5, 6, 7, 8, 9, 5, 6, 7]
    length = len(tokens)
    previous, sink, induction, duplicate, uniform = (np.zeros((length, length), np.float32) for _ in range(5))
    for i in range(length):
        before = [j for j in range(i) if tokens[j] == tokens[i]]
        previous[i, max(0, i - 1)] = sink[i, 0] = 1
        uniform[i, : i + 1] = 1 / (i + 1)
        induction[i, before[-1] + 1 if before else i] = 1
        duplicate[i, before[-1] if before else i] = 1
    for name, each in (
        ("previous", previous),
        ("sink", sink),
        ("induction", induction),
        ("duplicate", duplicate),
        ("uniform", uniform),
    ):
        scores = head_scores.of_map(tokens, each)
        assert scores[name] == pytest.approx(1, abs=1e-5)
        others = [scores[other] for other in ("previous", "sink", "induction", "duplicate", "uniform") if other != name]
        assert max(others) < 0.5
    assert head_scores.of_map(tokens, previous)["local"] == pytest.approx(1)
    alone = head_scores.of_map([1, 2, 3], uniform[:3, :3])
    assert np.isnan(alone["induction"]) and np.isnan(alone["duplicate"]) and np.isnan(alone["local"])


def test_a_file_that_went_or_was_damaged_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.attention"
    written(path, header(40, "qk32"))
    found = Capture(path)
    data = path.read_bytes()
    found.codes(0, 0)
    found.mean(1)  # what is in memory already is no reason to be silent
    path.unlink()
    looks = (
        lambda: found.codes(0, 0),
        lambda: found.mean(1),
        found.thumbnails,
        lambda: found.row(1, 1, 3),
        lambda: Capture(path),
    )
    for look in looks:
        with pytest.raises(NotFoundError, match="was deleted"):
            look()
    path.write_bytes(data[:-1])
    for look in (lambda: found.codes(0, 0), lambda: Capture(path)):
        with pytest.raises(DataError):
            look()
    path.write_bytes(data)
    found = Capture(path)
    noise = np.random.default_rng(0).bytes(len(data))
    path.write_bytes(noise)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # a clock that ticks too seldom to tell
    with pytest.raises(DataError, match="changed by another program"):
        found.codes(0, 0)
    assert not found.whole
    for other in (b"something else", noise, data[:16] + noise[16:], b""):
        path.write_bytes(other)
        with pytest.raises(DataError, match="no capture of attention"):
            Capture(path)
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="no capture of attention"):
        Capture(path)


def test_maps_are_kept_within_bounds(tmp_path: Path) -> None:
    written(tmp_path / "a.attention", header(50, "qk32"))
    found = Capture(tmp_path / "a.attention", keep=25_000)
    for _, layer, head in itertools.product(range(2), range(LAYERS), range(HEADS)):
        again = found.map(layer, head)
        assert found.map(layer, head) is again
    assert found._held <= 25_000
    with pytest.raises(ValueError, match="read-only"):
        again[0, 0] = 1


def test_numbers_leave_as_npy(tmp_path: Path) -> None:
    maps = written(tmp_path / "a.attention", header(20, "f32"))
    found = Capture(tmp_path / "a.attention")
    assert export(found, tmp_path / "all.npy") == (LAYERS, HEADS, 20, 20)
    assert np.array_equal(np.load(tmp_path / "all.npy"), maps)
    export(found, tmp_path / "one.npy", (2,), (1, 3))
    assert np.array_equal(np.load(tmp_path / "one.npy"), maps[2:, [1, 3]])


# -- the folder


def test_the_size_said_beforehand_is_the_size(tmp_path: Path) -> None:
    for length, encoding, exact in ((60, "u8", False), (60, "f32", True)):
        path = tmp_path / f"{encoding}.attention"
        written(path, header(length, encoding))
        said = capture_size(LAYERS, HEADS, length, KV, WIDTH, exact=exact)
        assert said == pytest.approx(path.stat().st_size, abs=40 * length)
    assert capture_size(12, 12, 512) < 40 << 20
    sizes = [capture_size(32, 32, tokens, 8) for tokens in (2048, 4096, 8192)]
    assert sizes[0] < 0.75e9 and sizes[2] / sizes[1] == pytest.approx(2, rel=0.02), "linear in the length of a long text"


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    for number in range(4):
        path = store.path_of(tmp_path, f"c{number}")
        written(path, header(30, "u8", created=float(number)))
        os.utime(path, (1000 + number, 1000 + number))
    each = path.stat().st_size
    assert [entry.id for entry in store.entries(tmp_path)] == ["c3", "c2", "c1", "c0"]
    assert store.clean(tmp_path, 2 * each) == ["c0", "c1"]
    assert store.clean(tmp_path, 0, keep="c3") == ["c2"]
    store.delete(tmp_path, "c3")
    with pytest.raises(NotFoundError, match="c3 is not there"):
        store.delete(tmp_path, "c3")


def test_what_a_dead_worker_left_is_swept_away(tmp_path: Path) -> None:
    fresh, stale = tmp_path / "a.attention.1.part", tmp_path / "b.attention.2.part"
    for each in (fresh, stale):
        each.write_bytes(b"half")
    os.utime(stale, (1000, 1000))
    store.sweep(tmp_path)
    assert os.listdir(tmp_path) == [fresh.name]
    store.sweep(tmp_path, "a")
    assert not os.listdir(tmp_path)


def test_what_does_not_fit_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"would take 3\.0 GiB; captures may take 2\.0 GiB"):
        store.refuse_too_large(tmp_path / "a", 3 << 30, 2 << 30)
    with pytest.raises(StorageError, match=r"would take 1,048,576\.0 GiB on the disk"):
        store.refuse_too_large(tmp_path / "not" / "yet" / "a", 1 << 50, 1 << 62)
    with pytest.raises(StorageError, match=r"The file out\.npy would take 1,048,576\.0 GiB on the disk"):
        store.refuse_without_room("The file out.npy", tmp_path / "out.npy", 1 << 50)
    with pytest.raises(StorageError, match=r"would take 0\.0 MiB on the disk; 0\.0 MiB can be had"):
        store.refuse_without_room("It", tmp_path / "out.npy", 1000, before=shutil.disk_usage(tmp_path).free)
    assert store.on_one_disk(tmp_path / "a", tmp_path / "not" / "yet" / "b")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("encoding", ["u8", "f32", "qk32"])
def test_a_cross_attention_has_two_texts(tmp_path: Path, encoding: str) -> None:
    """Rows are the target's tokens, columns the source's: 90 rows of 130, thumbnails of 64 x 64, and none of the scores that compare places."""
    rows, columns = 90, 130
    rng = np.random.default_rng(3)
    q = rng.normal(size=(LAYERS, rows, HEADS, WIDTH)).astype(np.float32)
    k = rng.normal(size=(LAYERS, columns, KV, WIDTH)).astype(np.float32)
    logits = np.einsum("lqhd,lkhd->lhqk", q, np.repeat(k, HEADS // KV, axis=2)) * 0.7
    exps = np.exp(logits - logits.max(-1, keepdims=True))
    maps = (exps / exps.sum(-1, keepdims=True)).astype(np.float32)
    source = tuple(Token(place, f"s{place}") for place in range(columns))
    about = header(rows, encoding, causal=False, part="cross", columns=source)
    writer = Writer(tmp_path / "a.attention", about)
    for place in range(LAYERS):
        if about.recomputed:
            writer.queries_and_keys(place, 0, q[place], k[place])
            writer.bounds(place, 0, np.ones((rows, columns), bool))
            writer.rule(place, Rule(0.7))
        for start in range(0, rows, 40):
            writer.rows(place, start, maps[place, :, start : start + 40])
    writer.finish()
    found = Capture(tmp_path / "a.attention")
    assert found.header == about and found.header.kind == "cross" and found.header.column_tokens == source
    tolerance = 0.004 if encoding == "u8" else 2e-6
    for layer, head in itertools.product(range(LAYERS), range(HEADS)):
        assert found.map(layer, head).shape == (rows, columns)
        assert np.abs(found.map(layer, head) - maps[layer, head]).max() <= tolerance
        assert np.abs(found.row(layer, head, 71) - maps[layer, head, 71]).max() <= tolerance
    assert np.abs(found.mean_of_all() - maps.mean((0, 1))).max() <= tolerance
    thumbs = found.thumbnails()
    assert thumbs.shape == (LAYERS, HEADS, 64, 64)
    assert (thumbs.max((2, 3)) == pooling.encode(maps).max((2, 3))).all()
    assert found.score("sink")[1, 2] == pytest.approx(float(maps[1, 2, :, 0].mean()), abs=1e-6)
    assert np.isnan(found.score("induction")).all() and np.isfinite(found.score("uniform")).all()
    with pytest.raises(SettingError, match="one text to another"):
        found.rollout()


def test_files_made_before_there_were_parts_open(tmp_path: Path) -> None:
    """Their header has neither `part` nor `columns`; that of a model with one text still has none."""
    about = header(20, "u8")
    written(tmp_path / "a.attention", about)
    data = (tmp_path / "a.attention").read_bytes()
    assert b'"part"' not in data and b'"columns"' not in data
    assert Capture(tmp_path / "a.attention").header.kind == "causal"
    assert header(20, "u8", causal=False).kind == "bidirectional"
