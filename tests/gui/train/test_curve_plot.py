"""Curves: what is drawn is what was given, smoothed as said, thinned without losing a spike, and zoomed by mouse and keys."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from playground.gui.widgets.curve_math import limits, log_ticks, round_ticks, smoothed, thinned, tick_text
from playground.gui.widgets.curve_plot import Curve, CurvePlot


def test_an_average_starts_where_the_values_start() -> None:
    values = np.array([4.0, 4.0, 4.0, math.nan, 4.0])
    np.testing.assert_allclose(smoothed(values, 0.9), values)
    rising = smoothed(np.array([0.0, 1.0, 1.0]), 0.5)
    np.testing.assert_allclose(rising, [0, 1 / 1.5 * 0.5 / 0.5, (0.25 * 0 + 0.25 + 0.5) / 0.875])
    assert smoothed(rising, 0.0) is rising


@pytest.mark.parametrize("weight", [0.01, 0.5, 0.9, 0.999])
def test_an_average_is_what_its_recursion_says(weight: float) -> None:
    values = np.random.default_rng(5).normal(3, 2, 9000)
    values[[7, 4096, 8000]] = [math.nan, math.inf, math.nan]
    mean = share = 0.0
    wanted = values.copy()
    for place, value in enumerate(values):
        if math.isfinite(value):
            mean, share = weight * mean + (1 - weight) * value, weight * share + 1 - weight
            wanted[place] = mean / share
    np.testing.assert_allclose(smoothed(values, weight), wanted, rtol=1e-9)


def test_a_spike_between_two_pixels_is_drawn() -> None:
    x = np.arange(100_000, dtype=np.float64)
    y = np.sin(x / 9000)
    y[54_321], y[12_345] = 40.0, math.nan
    shown_x, shown_y = thinned(x, y, 0, 99_999, 600)
    assert len(shown_x) <= 4 * 602 and (np.diff(shown_x) > 0).all()
    assert 54_321 in shown_x and np.nanmax(shown_y) == 40.0 and np.isnan(shown_y).any()
    assert shown_x[0] == 0 and shown_x[-1] == 99_999
    part_x, _ = thinned(x, y, 500.5, 510.5, 600)
    assert part_x[0] == 500 and part_x[-1] == 511  # lines reach the edges


@pytest.mark.parametrize(("low", "high", "most"), [(0.0, 1.0, 5), (-3.2, 1e6, 7), (1e-9, 3e-9, 4), (0.31, 0.32, 3)])
def test_ticks_are_round_few_and_inside(low: float, high: float, most: int) -> None:
    found = round_ticks(low, high, most)
    assert 1 <= len(found) <= most and all(low - 1e-12 <= each <= high + 1e-6 for each in found)
    texts = [tick_text(each, found[1] - found[0]) for each in found] if len(found) > 1 else [""]
    assert len(set(texts)) == len(texts)


def test_a_logarithmic_axis_has_ticks_within_a_decade_too() -> None:
    assert log_ticks(-4.0, -1.0, 8) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert len(log_ticks(-0.3, -0.1, 5)) >= 2
    assert limits([np.array([0.0, -1.0])], log=True) == (-1.0, 0.0)


@pytest.fixture
def plot(qtbot: Any) -> CurvePlot:
    made = CurvePlot("train.loss", "Loss")
    made.resize(640, 240)
    qtbot.addWidget(made)
    steps = np.arange(1, 201, dtype=np.float64)
    made.show_curves(
        [
            Curve("train", "training", steps, 3 / steps + 0.5),
            Curve("eval", "validation", steps[9::10], 3 / steps[9::10], False, True, 1),
        ],
        end=400,
    )
    made.show()
    return made


def wheel(plot: CurvePlot, x: float, turns: int) -> None:
    at = QPointF(x, plot.height() / 2)
    event = QWheelEvent(
        at,
        plot.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * turns),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot, event)


def test_the_axis_reaches_the_run_s_end_and_zooming_keeps_what_is_under_the_mouse(plot: CurvePlot, qtbot: Any) -> None:
    assert plot.view() == (0.0, 400.0)
    seen: list[tuple[float, float]] = []
    plot.view_changed.connect(lambda low, high: seen.append((low, high)))
    left = 56 + (640 - 56 - 16) / 4
    before = 100
    wheel(plot, left, 3)
    low, high = plot.view()
    assert plot.zoomed() and low + (high - low) / 4 == pytest.approx(before, abs=0.6) and seen == [(low, high)]
    qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=QPoint(300, 100))
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert plot.view()[0] > low
    qtbot.mouseDClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(300, 100))
    assert not plot.zoomed() and plot.view() == (0.0, 400.0)


def test_smoothing_is_for_the_curves_that_want_it(plot: CurvePlot) -> None:
    plot.set_smoothing(0.9)
    train, evaluation = plot.curves()
    np.testing.assert_allclose(plot.drawn("train")[1], smoothed(train.y, 0.9))
    assert plot.drawn("eval")[1] is evaluation.y
    assert "validation" in plot.accessibleDescription()


def test_a_loss_that_is_no_number_breaks_the_line_and_nothing_else(plot: CurvePlot) -> None:
    plot.show_curves([Curve("train", "training", np.arange(5.0), np.array([1.0, math.nan, math.inf, 2.0, 0.0]))])
    for log in (False, True):
        plot.set_log(log)
        assert not plot.grab().isNull()
    plot.show_curves([])
    assert not plot.grab().isNull() and plot.accessibleDescription() == "Nothing yet"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_it_is_saved_as_a_picture(plot: CurvePlot, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"loss.{ending}"
    assert plot.save(file) and file.stat().st_size > 2000


def test_a_value_that_stays_has_a_readable_axis() -> None:
    steady = np.full(40, 500.0)
    for value in (steady, smoothed(steady, 0.6), steady * 2e-7):
        low, high = limits([value], False)
        assert low < value[0] < high
        assert (high - low) / value[0] == pytest.approx(0.1)
