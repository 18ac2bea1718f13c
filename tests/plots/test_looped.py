"""Pictures of looped models: every cell where it belongs, with its own curve and band."""

from __future__ import annotations

from itertools import pairwise, product
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError
from bayeslaw.plots.looped import plot_looped_steps, plot_looped_total
from bayeslaw.plots.style import DATA, FORECAST

SIZES, DEPTHS = (7e3, 5e4, 2e5), (1, 2, 4)


def loss(n, depth, tokens):
    return 1.0 + 5 / n**0.2 + 0.2 / depth + 200 * tokens**-0.4


@pytest.fixture
def cells():
    """Band and runs of every size and depth, with the loss of each step, and of one more group."""
    tokens, parts = np.linspace(1e5, 4e6, 50), []
    for group, n, depth in product(("code", "prose"), SIZES, DEPTHS):
        for step in (np.nan, *range(1, depth + 1)):
            level = loss(n, depth if np.isnan(step) else step, tokens) + (group == "prose")
            parts.append(
                pd.DataFrame(
                    {"run": f"{group}-{n:g}-{depth}", "group": group, "n_params": n, "recurrence": depth,
                     "exit_step": step, "tokens": tokens, "loss": level}
                )
            )  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    band = frame.drop(columns="loss").assign(mean=frame["loss"] + 0.01, median=frame["loss"] + 0.01)
    for name, width in (("lo90", -0.05), ("hi90", 0.05), ("curve_lo90", -0.02), ("curve_hi90", 0.02)):
        band[name] = band["median"] + width
    return cast(Any, SimpleNamespace(frame=band)), Runs.from_frame(frame)


def panels(figure):
    return [ax for ax in figure.axes if ax.axison and ax.lines]


def line(ax, colour):
    return next(one for one in ax.lines if one.get_color() == colour)


def test_a_row_for_each_depth_and_a_column_for_each_size(cells):
    band, runs = cells
    figure = plot_looped_total(band, runs)
    assert len(panels(figure)) == 9
    for ax, (depth, n) in zip(panels(figure), product(DEPTHS, SIZES), strict=True):
        data, forecast = line(ax, DATA), line(ax, FORECAST)
        assert (data.get_linestyle(), forecast.get_linestyle()) == ("-", "--")
        np.testing.assert_allclose(data.get_ydata(), loss(n, depth, data.get_xdata()))
        np.testing.assert_allclose(forecast.get_ydata(), loss(n, depth, forecast.get_xdata()) + 0.01)
    titles = [ax.get_title() for ax in figure.axes[:3]]
    assert titles == ["N = 7k", "N = 50k", "N = 200k"]
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == [f"maximum depth {d}" for d in DEPTHS]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["real", "predicted, median", "curve, 90 % band", "observed loss, 90 % band"]


def test_steps_of_one_maximum_depth(cells):
    band, runs = cells
    figure = plot_looped_steps(band, runs, recurrence=4, group="prose")
    assert len(panels(figure)) == 12
    for ax, (step, n) in zip(panels(figure), product((1, 2, 3, 4), SIZES), strict=True):
        data = line(ax, DATA)
        np.testing.assert_allclose(data.get_ydata(), loss(n, step, data.get_xdata()) + 1)


def test_given_region_only_where_a_run_was_given(cells):
    band, runs = cells
    figure = plot_looped_total(band, runs, given=runs.where("n_params < 1e5 and tokens < 2e6"))
    shaded = [any(patch.get_facecolor()[:3] == (0xF1 / 255, 0xF1 / 255, 0xEF / 255) for patch in ax.patches)
              for ax in panels(figure)]  # fmt: skip
    assert shaded == [n < 1e5 for _, n in product(DEPTHS, SIZES)]
    assert "fitted on" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_missing_cell_stays_empty(cells):
    band, runs = cells
    frame = band.frame.loc[~((band.frame["recurrence"] == 4) & (band.frame["n_params"] > 1e5))]
    assert len(panels(plot_looped_total(cast(Any, SimpleNamespace(frame=frame)), runs))) == 8


def test_nothing_overlaps(cells):
    band, runs = cells
    few = cast(Any, SimpleNamespace(frame=band.frame.loc[band.frame["n_params"] < 1e5]))
    given = runs.where("tokens < 1e6")
    for figure in (plot_looped_total(few, runs, given=given), plot_looped_steps(band, runs, recurrence=4, given=given)):
        renderer = cast(Any, FigureCanvasAgg(figure)).get_renderer()
        figure.draw(renderer)
        for ax in figure.axes:
            boxes = [tick.get_window_extent(renderer) for tick in ax.get_xticklabels() if tick.get_visible()]
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        legend = figure.legends[0].get_window_extent(renderer)
        assert all(not legend.overlaps(ax.get_tightbbox(renderer)) for ax in figure.axes)
        assert legend.x0 >= 0
        assert legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda band, runs: plot_looped_total(band, runs, group="web"), "no group 'web'"),
        (lambda band, runs: plot_looped_total(band, runs, level=0.8), "no 80 % level"),
        (lambda band, runs: plot_looped_steps(band, runs, recurrence=3), "maximum depth of 3"),
        (
            lambda band, runs: plot_looped_total(SimpleNamespace(frame=band.frame.drop(columns="recurrence")), runs),
            "knows no recurrence",
        ),
        (
            lambda band, runs: plot_looped_total(SimpleNamespace(frame=band.frame.dropna(subset="exit_step")), runs),
            "plot_looped_steps",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(cells, call, words):
    with pytest.raises(DataError) as error:
        call(*cells)
    assert words in str(error.value)


def test_a_run_never_seen_says_so(cells):
    band, runs = cells
    known = runs.where((runs.frame["run"] != "code-200000-4").to_numpy())
    said = [[text.get_text() for text in ax.texts] for ax in panels(plot_looped_total(band, runs, given=known))]
    assert said == [[]] * 8 + [["not fitted on"]]
    assert not [1 for ax in panels(plot_looped_total(band, runs)) if ax.texts]


def test_the_legend_of_a_single_size_is_whole(cells):
    band, runs = cells
    one = cast(Any, SimpleNamespace(frame=band.frame[band.frame["n_params"] == SIZES[0]]))
    figure = plot_looped_total(one, runs)
    (canvas := FigureCanvasAgg(figure)).draw()
    box = figure.legends[0].get_window_extent(canvas.get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
