"""What the pictures show is what the band says, and nothing in them overlaps."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError
from bayeslaw.plots.bands import plot_band
from bayeslaw.plots.style import DATA, FORECAST, apart, set_axis, shorten, tick_values


def make(names=("a",), *, rows=25, logged=60, noise=0.01, end=2e10, seen=6e9):
    """A band and its runs: each run logged to ``seen`` tokens and forecast from there to ``end``."""
    rng = np.random.default_rng(1)
    logs, bands = [], []
    for i, name in enumerate(names):
        tokens, at = np.linspace(end / logged, end, logged), np.geomspace(seen * 1.01, end, rows) if rows > 1 else [end]
        loss, median = (1.7 + 400 * np.asarray(x) ** -0.28 - 0.1 * i for x in (tokens, at))
        logs.append(
            pd.DataFrame(
                {"run": name, "n_params": 4e8, "tokens": tokens, "loss": loss + noise * rng.normal(size=logged)}
            )
        )
        bands.append(pd.DataFrame({"run": name, "n_params": 4e8, "tokens": at, "mean": median, "median": median}))
    frame, data = pd.concat(bands, ignore_index=True), pd.concat(logs, ignore_index=True)
    for level, width in ((50, 0.02), (90, 0.05)):
        frame[f"lo{level}"], frame[f"hi{level}"] = frame["median"] - width, frame["median"] + width
    frame["curve_lo90"], frame["curve_hi90"] = frame["median"] - 0.01, frame["median"] + 0.01
    band = cast(Any, SimpleNamespace(frame=frame))
    return band, Runs.from_frame(data)


def panels(figure):
    return [ax for ax in figure.axes if ax.get_visible()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_data_are_solid_blue_and_the_forecast_dashed_orange():
    band, runs = make()
    ax = panels(plot_band(band, runs))[0]
    data, forecast = (next(line for line in ax.lines if line.get_color() == colour) for colour in (DATA, FORECAST))
    assert (data.get_linestyle(), forecast.get_linestyle()) == ("-", "--")
    np.testing.assert_allclose(data.get_ydata(), runs.frame["loss"])
    np.testing.assert_allclose(forecast.get_ydata(), band.frame["median"])


def test_bands_have_the_ends_that_the_frame_has_and_the_curve_is_darker():
    band, runs = make()
    ax = panels(plot_band(band, runs))[0]
    observed, curve = ax.collections
    for drawn, (low, high) in ((observed, ("lo90", "hi90")), (curve, ("curve_lo90", "curve_hi90"))):
        ends = drawn.get_paths()[0].vertices[:, 1]
        assert (ends.min(), ends.max()) == pytest.approx((band.frame[low].min(), band.frame[high].max()))
    assert curve.get_alpha() > observed.get_alpha()


def test_the_legend_names_the_level():
    band, runs = make()
    assert "observed loss, 90 % band" in legend(plot_band(band, runs))
    assert "curve, 90 % band" in legend(plot_band(band, runs))
    # this band has no curve at 50 %, so none is drawn and none is named
    assert legend(plot_band(band, runs, level=0.5)) == ["data", "given", "forecast, median", "observed loss, 50 % band"]


def test_one_run_has_a_linear_and_a_logarithmic_panel():
    band, runs = make()
    linear, logarithmic = panels(plot_band(band, runs))
    assert (linear.get_xscale(), linear.get_yscale()) == ("linear", "linear")
    assert (logarithmic.get_xscale(), logarithmic.get_yscale()) == ("log", "log")


def test_the_given_region_ends_where_the_forecast_begins():
    band, runs = make()
    ax = panels(plot_band(band, runs))[0]
    edge = next(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2)
    tokens = runs.frame["tokens"]
    assert edge == tokens[tokens <= 6e9].max()


def test_given_overrules_the_guess():
    band, runs = make()
    ax = panels(plot_band(band, runs, given=runs.where("tokens < 1e9")))[0]
    assert next(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2) < 1e9


def test_rows_that_are_not_kept_are_not_drawn():
    band, _ = make()
    data = pd.DataFrame(
        {"run": "a", "step": [1, 2, 2, 3], "tokens": [1e9, 2e9, 2e9, 3e9], "loss": [4.0, 9.0, 3.0, 2.9]}
    )
    ax = panels(plot_band(band, Runs.from_frame(data)))[0]
    drawn = next(line for line in ax.lines if line.get_color() == DATA)
    assert list(drawn.get_ydata()) == [4.0, 3.0, 2.9]


def test_small_multiples_say_how_many_were_left_out():
    band, runs = make([f"run-{i}" for i in range(15)])
    figure = plot_band(band, runs, max_runs=10)
    assert len(panels(figure)) == 10
    assert figure.legends[0].get_title().get_text() == "the first 10 of 15 runs"


def test_exit_steps_are_series_of_their_own():
    band, _ = make()
    frame = pd.concat([band.frame.assign(exit_step=step) for step in (1.0, 4.0)], ignore_index=True)
    figure = plot_band(cast(Any, SimpleNamespace(frame=frame)), log=(False,))
    assert [ax.get_title(loc="left") for ax in panels(figure)] == ["a, T = 1, N = 400M", "a, T = 4, N = 400M"]


def test_points_are_one_row_per_run():
    band, runs = make(["a", "b"], rows=1)
    figure = plot_band(band, runs.where("tokens == 2e10"))
    (ax,) = panels(figure)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a, N = 400M, D = 20B", "b, N = 400M, D = 20B"]
    assert "data" in legend(figure)


def test_tokens_have_human_ticks_and_axes_have_units():
    band, runs = make()
    figure = plot_band(band, runs)
    figure.canvas.draw()
    labels = [text.get_text() for text in panels(figure)[0].get_xticklabels()]
    assert labels == ["0", "5B", "10B", "15B", "20B"]
    assert figure.get_supylabel() == "loss (nats per token)"
    assert figure.get_supxlabel() == "training tokens"


@pytest.mark.parametrize("names", [["a"], ["a", "b"], [f"a-rather-long-run-name-{'x' * 40}-{i}" for i in range(7)]])
def test_nothing_overlaps(names):
    band, runs = make(names)
    figure = plot_band(band, runs)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [figure.legends[0].get_window_extent(renderer)]
    boxes += [ax.get_tightbbox(renderer) for ax in panels(figure)]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    for ax in panels(figure):
        ticks = [text.get_window_extent(renderer) for text in ax.get_xticklabels() if text.get_text()]
        assert not [1 for a, b in pairwise(ticks) if a.overlaps(b)]
    area = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]
    assert area == []


def test_nothing_is_drawn_through_pyplot():
    band, runs = make()
    before = "matplotlib.pyplot" in sys.modules
    assert isinstance(plot_band(band, runs), matplotlib.figure.Figure)
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_level_that_the_band_lacks_is_named_with_the_remedy():
    band, runs = make()
    with pytest.raises(DataError, match=r"no 80 % level; it has 50, 90 .*levels=\(0\.8,\)"):
        plot_band(band, runs, level=0.8)


def test_an_empty_band_is_an_error():
    band, _ = make()
    with pytest.raises(DataError, match="no rows"):
        plot_band(cast(Any, SimpleNamespace(frame=band.frame.iloc[:0])))


def test_nothing_to_draw_against_is_an_error():
    band, _ = make()
    with pytest.raises(DataError, match="neither tokens, step, flops nor n_params"):
        plot_band(cast(Any, SimpleNamespace(frame=band.frame.drop(columns=["tokens", "n_params"]))))


@pytest.mark.parametrize(
    ("low", "high"), [(1e8, 2e10), (6e9, 2.1e10), (3e7, 1e14), (2.0, 2.2), (1e3, 1.001e3), (0.9, 11)]
)
@pytest.mark.parametrize("log", [False, True])
def test_ticks_are_two_to_six_and_inside(low, high, log):
    ticks = tick_values(low, high, log)
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_shorten_keeps_both_ends():
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abc", 5) == "abc"


def test_a_run_called_by_its_size_is_named_once():
    from bayeslaw.plots.series import Series

    frame = pd.DataFrame({"run": ["778M"], "n_params": [778e6], "tokens": [1e9]})
    assert Series("778M", frame, frame, None).label(60) == "778M"
    assert Series("mine", frame, frame, None).label(60) == "mine, N = 778M"


def test_sparse_rows_held_back_from_a_dense_run_are_dots():
    tokens = np.concatenate([np.geomspace(1e8, 1e9, 60), [2e9, 3e9, 4e9]])
    runs = Runs.from_frame({"tokens": tokens, "loss": 3 - 0.1 * np.log(tokens / 1e8)})
    at = pd.DataFrame({"run": "run", "tokens": tokens[60:], "median": 2.6, "lo90": 2.5, "hi90": 2.7})
    figure = plot_band(SimpleNamespace(frame=at, levels=(0.9,)), runs, given=runs.where(tokens <= 1e9), level=0.9)
    for ax in figure.axes:
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        assert [line.get_xdata().tolist() for line in dots] == [[2e9, 3e9, 4e9]]


@pytest.mark.parametrize(("low", "high"), [(12_500, 12_502), (9375, 12_502), (1.2e9, 1.2004e9), (0, 2e10)])
def test_ticks_of_near_limits_differ(low, high):
    figure = matplotlib.figure.Figure()
    ax = figure.subplots()
    set_axis(ax.xaxis, (low, high), False, large=True)
    figure.canvas.draw()
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert len(set(labels)) == len(labels) >= 2


def test_limits_that_are_one_number_are_set_apart():
    assert apart(7e9, 7e9, log=True) == (3.5e9, 14e9)
    assert apart(0.0, 0.0, log=False) == (-0.5, 0.5)
    assert apart(2.0, 3.0, log=False) == (2.0, 3.0)
