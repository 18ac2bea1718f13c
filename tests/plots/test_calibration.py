"""The calibration picture says what the points say, and nothing in it overlaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from bayeslaw.backtest_result import Backtest
from bayeslaw.errors import DataError
from bayeslaw.plots.calibration import NOMINAL, plot_calibration


@pytest.fixture(scope="module")
def result():
    rng, parts = np.random.default_rng(0), []
    for level, scale in (("raw", 1.0), ("curve", 2.0)):
        z = scale * (0.8 * rng.standard_normal((30, 1)) + 0.6 * rng.standard_normal((30, 20)))
        run = np.repeat([f"r{i}" for i in range(30)], 20)
        parts.append(
            pd.DataFrame({"model": "multi-power", "run": run, "level": level, "pit": stats.norm.cdf(z).ravel()})
        )
    return Backtest(pd.concat(parts, ignore_index=True), (), {})


def test_lines_are_the_coverage_and_bands_hold_it(result):
    figure = plot_calibration(result)
    assert len(figure.axes) == 4
    for row, scale in ((0, 1.0), (2, 2.0)):
        ax = figure.axes[row]
        line = ax.lines[1].get_ydata()
        exact = 2 * stats.norm.cdf(stats.norm.ppf(0.5 + NOMINAL / 2) / scale) - 1
        np.testing.assert_allclose(line, exact, atol=0.15)
        band = ax.collections[0].get_paths()[0].vertices
        assert band[:, 1].min() >= 0
        assert band[:, 1].max() <= 1
    bars = figure.axes[1].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(10)


def test_nothing_is_cut_off_or_overlaps(result):
    figure = plot_calibration(result)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    inside = figure.bbox
    boxes = [ax.get_tightbbox(canvas.get_renderer()) for ax in figure.axes]
    for box in boxes:
        assert box.x0 >= inside.x0 - 1
        assert box.x1 <= inside.x1 + 1
    assert boxes[0].x1 <= boxes[1].x0 + 1
    assert boxes[0].y0 >= boxes[2].y1 - 1


def test_unknown_contestants_are_named(result):
    with pytest.raises(DataError, match="it has multi-power"):
        plot_calibration(result, "chinchilla")
    with pytest.raises(DataError, match="smooth"):
        plot_calibration(result, level="smooth")


def test_one_run_promises_no_band_and_its_line_is_whole(result):
    points = result.points[result.points["run"] == "r0"].assign(pit=0.5)
    figure = plot_calibration(Backtest(points, (), {}))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["multi-power", "honest"]
    ax = figure.axes[0]
    assert ax.get_title(loc="left") == "observed losses: 1 run"
    low, high = ax.get_ylim()
    assert low < ax.lines[1].get_ydata().min()
    assert ax.lines[1].get_ydata().max() == 1 < high
    words = [text.get_text() for text in plot_calibration(result).legends[0].get_texts()]
    assert words[1] == "95 % over runs, all points at once"
