"""The picture of one long run: steps below, tokens above, spikes and asymptote where they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError
from bayeslaw.plots.longrun import plot_long_run
from bayeslaw.plots.style import DATA, FORECAST

BATCH = 4e6


def make(levels=("90",)):
    step = np.unique(np.geomspace(100, 2e5, 300).round())
    loss = 1.4 + 60 * step**-0.5
    loss[[150, 250]] += [0.2, 9.0]
    frame = pd.DataFrame({"run": "a", "n_params": 6.5e10, "step": step, "tokens": BATCH * step, "loss": loss})
    at = np.geomspace(1000, 4e5, 60)
    band = pd.DataFrame({"run": "a", "n_params": 6.5e10, "step": at, "tokens": BATCH * at})
    band["mean"] = band["median"] = 1.4 + 60 * at**-0.5
    for name in levels:
        for prefix, width in (("", 0.04), ("curve_", 0.01)):
            band[f"{prefix}lo{name}"], band[f"{prefix}hi{name}"] = band["median"] - width, band["median"] + width
    spikes = pd.DataFrame({"run": ["a", "a", "b"], "peak_step": [step[150], step[250], 500.0]})
    return cast(Any, SimpleNamespace(frame=band)), Runs.from_frame(frame), spikes


def endless():
    frame = pd.DataFrame({"run": ["a"], "curve_lo90": [1.35], "curve_hi90": [1.47]})
    return cast(Any, SimpleNamespace(frame=frame, curve=np.array([[1.36], [1.41], [1.45]])))


def test_real_is_solid_blue_predicted_dashed_orange_and_tokens_are_above():
    band, runs, _ = make()
    below, above = plot_long_run(band, runs).axes
    data, forecast = (next(x for x in below.lines if x.get_color() == colour) for colour in (DATA, FORECAST))
    assert (data.get_linestyle(), forecast.get_linestyle()) == ("-", "--")
    np.testing.assert_allclose(data.get_ydata(), runs.frame["loss"])
    np.testing.assert_allclose(np.array(below.get_xlim()) * BATCH, above.get_xlim())
    assert below.get_xscale() == above.get_xscale() == "log"
    assert (below.get_xlabel(), above.get_xlabel()) == ("optimizer step", "training tokens")


def test_own_spikes_are_marked_at_their_steps_and_high_ones_at_the_top():
    band, runs, spikes = make()
    ax = plot_long_run(band, runs, spikes=spikes).axes[0]
    marks = {x.get_label(): x for x in ax.lines if str(x.get_label()).startswith("spike")}
    assert marks["spike"].get_xdata() == spikes["peak_step"][0]
    assert marks["spike, beyond the axis"].get_xdata() == spikes["peak_step"][1]
    assert marks["spike, beyond the axis"].get_ydata() < ax.get_ylim()[1] < 10


def test_spikes_of_unknown_height_are_not_said_to_be_beyond_the_axis():
    band, _, spikes = make()
    ax = plot_long_run(band, spikes=spikes).axes[0]
    (marks,) = (x for x in ax.lines if str(x.get_label()).startswith("spike"))
    assert marks.get_label() == "spike"
    assert list(marks.get_xdata()) == list(spikes["peak_step"][:2])


def test_asymptote_is_in_words_and_inside_the_picture():
    band, runs, _ = make()
    figure = plot_long_run(band, runs, asymptote=endless(), given=runs.where("step < 50_000"))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "with endless tokens 1.41 (1.35 to 1.47, 90 %)" in words
    assert "fitted on" in words
    assert figure.axes[0].get_ylim()[0] < 1.35


def test_steps_that_are_no_tokens_have_no_axis_above():
    band, runs, _ = make()
    band.frame["tokens"] **= 1.1
    assert len(plot_long_run(band, runs).axes) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"run": "b"}, "no run 'b'"), ({"level": 0.5}, "no 50 % level"), ({"asymptote": make()[0]}, "one row")],
)
def test_what_cannot_be_drawn_is_said(settings, words):
    band, runs, _ = make()
    with pytest.raises(DataError) as error:
        plot_long_run(band, runs, **settings)
    assert words in str(error.value)


def test_a_band_without_steps_is_refused():
    band, runs, _ = make()
    band.frame["step"] = np.nan
    with pytest.raises(DataError, match="knows no step"):
        plot_long_run(band, runs)
