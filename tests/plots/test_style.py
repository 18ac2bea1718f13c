"""The look of all pictures: names as they are written, a ground of their own, ticks enough to read by."""

from __future__ import annotations

import io
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import matplotlib
import matplotlib.colors
import matplotlib.style
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bayeslaw.data.runs import Runs
from bayeslaw.plots.bands import plot_band
from bayeslaw.plots.style import blank, fitted, plain, set_axis, shorten, tick_values, tidy
from bayeslaw.plots.whatif import COLOURS, PAST

LONG = "experiment/2026-11-28_llama-ablation_lr3e-4_wd0.1_QKNORM_zloss1e-4_seed1337_resume3_nodes128"


def make(names=("a",), *, rows=25):
    """Smooth curves of 60 losses, forecast at their last ``rows`` tokens."""
    tokens = np.linspace(1e8, 2e10, 60)
    frame = pd.DataFrame({"tokens": tokens, "n_params": 4e8, "loss": 1.7 + 400 * tokens**-0.28})
    logs = pd.concat([frame.assign(run=name) for name in names], ignore_index=True)
    band = pd.concat([frame[-rows:].assign(run=name, median=frame["loss"]) for name in names], ignore_index=True)
    band["lo90"], band["hi90"] = band["median"] - 0.05, band["median"] + 0.05
    return cast(Any, SimpleNamespace(frame=band.drop(columns="loss"))), Runs.from_frame(logs)


def panels(figure):
    return [ax for ax in figure.axes if ax.get_visible()]


@pytest.mark.parametrize("rows", [25, 1])
def test_a_name_with_dollars_is_no_formula(rows):
    band, runs = make(["a $_$ b"], rows=rows)
    figure = plot_band(band, runs if rows > 1 else None)
    figure.savefig(io.BytesIO())  # a formula that is none stops the drawing
    ax = panels(figure)[0]
    said = ax.get_title(loc="left") if rows > 1 else ax.get_yticklabels()[0].get_text()
    assert said.startswith(r"a \$_\$ b")


def test_a_name_of_two_lines_is_one():
    assert plain("a\nb\t $5") == r"a b \$5"


@pytest.mark.parametrize("count", [1, 5])
def test_long_names_end_before_the_next_panel(count):
    band, runs = make([f"{LONG}-{i}" for i in range(count)])
    figure = plot_band(band, runs)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [ax._left_title.get_window_extent(canvas.get_renderer()) for ax in panels(figure)]
    assert not [1 for a, b in pairwise(titles) if a.overlaps(b)]
    assert max(box.x1 for box in titles) <= figure.bbox.width


def test_fitted_keeps_both_ends_and_leaves_short_names_alone():
    said = fitted(lambda most: shorten(LONG, most) + ", N = 1B", 60, 200, 9)
    assert said.startswith("exp")
    assert said.endswith("128, N = 1B")
    assert "…" in said
    assert fitted(lambda most: shorten("short", most), 60, 200, 9) == "short"


def test_a_dark_style_leaves_the_pictures_ground_white():
    band, runs = make()
    with matplotlib.style.context("dark_background"):
        figure: Any = plot_band(band, runs)
        figure.savefig(picture := io.BytesIO(), format="rgba")
    size = figure.canvas.get_width_height()
    pixels = np.frombuffer(picture.getvalue(), np.uint8).reshape(size[1], size[0], 4)
    assert (pixels[:3, :, :3] == 255).all()
    assert {matplotlib.colors.to_hex(ax.get_facecolor()) for ax in panels(figure)} == {"#ffffff"}


@pytest.mark.parametrize(("limits", "most"), [((0, 1.9e6), 4), ((1.33, 2.45), 5), ((0, 2.06e10), 5), ((1.9, 2.6), 4)])
def test_a_linear_axis_has_three_ticks_or_more(limits, most):
    assert 3 <= len(tick_values(*limits, log=False, most=most)) <= most


def test_losses_over_decades_are_written_with_as_few_digits_as_each_needs():
    ax = blank(4, 3).subplots()
    tidy(ax)
    set_axis(ax.yaxis, (0.008, 300), True, large=False)
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.01", "0.1", "1", "10", "100"]


def said_above(figure):
    return [text.get_text() for ax in panels(figure) for text in ax.texts if "above" in text.get_text()]


def test_only_a_spike_is_said_to_be_above_the_picture():
    band, runs = make()
    assert said_above(plot_band(band, runs)) == []
    frame = runs.frame.copy()
    frame.loc[30, "loss"] = 9.0
    assert said_above(plot_band(band, Runs.from_frame(frame))) == ["↑ 1 loss above"] * 2


#: how the two commonest kinds of colour blindness see linear red, green and blue (Machado et al. 2009, severity 1)
SEEN = {
    "normal": np.eye(3),
    "deutan": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9690]],
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
}


def lab(colour, seen):
    """CIE L*a*b* of a colour as somebody sees it."""
    value = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ np.clip(seen @ linear, 0, 1) / [0.9505, 1, 1.089], 0.008856, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_schedules_are_told_apart_by_the_colour_blind(eyes):
    colours = [lab(colour, np.array(SEEN[eyes])) for colour in (*COLOURS, PAST)]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) > 18
