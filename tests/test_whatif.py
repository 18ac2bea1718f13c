"""What if: schedules from now on, their gaps filled from the run's past, and forecasts that know the difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, FitError
from bayeslaw.laws import Schedule
from bayeslaw.plots.whatif import plot_what_if
from bayeslaw.whatif import from_now, what_if

PAST = Schedule.constant(3e-4, 8000, 1000)
TRUTH = {"L0": 2.8, "A": 0.55, "alpha": 0.5, "C": 0.45}


def curve(run: str, schedule: Schedule, until: int, rng) -> pd.DataFrame:
    step = np.arange(1200, until + 1, 200, dtype=float)
    loss = TRUTH["L0"] + TRUTH["A"] * schedule.sums(step) ** -TRUTH["alpha"]
    loss -= TRUTH["C"] * schedule.tissue_s2(step, 0.999)
    loss *= np.exp(5e-4 * rng.standard_normal(len(step)))
    return pd.DataFrame({"run": run, "step": step, "tokens": step * 5e5, "lr": schedule.rate(step), "loss": loss})


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    family = [
        curve("cosine", Schedule.cosine(3e-4, 12_000, 1000), 12_000, rng),
        curve("two", Schedule.two_stage(3e-4, 9e-5, 6000, 10_000, 1000), 10_000, rng),
        curve("now", Schedule.constant(3e-4, 8000, 1000), 8000, rng),
    ]
    runs = Runs.from_frame(pd.concat(family, ignore_index=True))
    return at_mode(load_card("annealed"), runs, None, 300, {"seed": 0, "max_bins": 16})


def test_what_a_line_leaves_out_comes_from_the_run():
    decay = from_now("wsd:decay=0.2", PAST, 8000)
    assert decay.total == 10_000
    assert decay.rate([8000, 9000, 10_000]) == pytest.approx([3e-4, 1.5e-4, 0.0])
    assert decay.warmup == 1000
    steps = from_now("wsd:decay=500,shape=1-sqrt", PAST, 8000)
    assert steps.total == 8500
    assert from_now("wsd", PAST, 8000).total == 10_000
    later = from_now("wsd:decay=0.25,total=20000", PAST, 8000)
    assert later.rate(15_000) == pytest.approx(3e-4)
    assert from_now("constant:total=9000,peak=1e-4", PAST, 8000).eta_peak == 1e-4


@pytest.mark.parametrize("line", ["wsd:decay", "wsb:decay=0.2", "wsd:decay=x", "cosine:decay=0.1", "cosine", ""])
def test_a_line_that_cannot_be_read_says_why(line):
    with pytest.raises(DataError, match="Write"):
        from_now(line, PAST, 8000)


def test_a_decay_lowers_the_end_by_what_the_law_says(fit):
    found = what_if(fit, "now", schedules=["constant:total=10000", "wsd:decay=0.2"])
    flat, decay = found.frame.to_dict(orient="records")
    assert [flat["step"], decay["step"], decay["tokens"]] == pytest.approx([10_000, 10_000, 5e9])
    assert [flat["lr"], decay["lr"]] == pytest.approx([3e-4, 0.0])
    whole = Schedule.wsd(3e-4, 10_000, 1000, 2000)
    truth = {}
    for name, s in (("flat", Schedule.constant(3e-4, 10_000, 1000)), ("decay", whole)):
        s1, s2 = s.sums(10_000), s.tissue_s2(10_000, 0.999)[0]
        truth[name] = TRUTH["L0"] + TRUTH["A"] * s1 ** -TRUTH["alpha"] - TRUTH["C"] * s2
    for row, name in ((flat, "flat"), (decay, "decay")):
        assert row["median"] == pytest.approx(truth[name], abs=0.02)
        assert row["lo90"] < row["median"] < row["hi90"]
    assert decay["gain"] == pytest.approx(truth["flat"] - truth["decay"], abs=0.02)
    assert decay["gain_lo90"] < decay["gain"] < decay["gain_hi90"]
    assert flat["gain"] == 0
    # what a constant rate cannot tell makes the decay's band the wider one
    width = {r["schedule"]: r["curve_hi90"] - r["curve_lo90"] for r in (flat, decay)}
    assert width["wsd:decay=0.2"] > width["constant:total=10000"]
    assert "Tokens ahead are counted at 500,000 a step" in found.notes[-1]
    assert len(found.bands["wsd:decay=0.2"].frame) == 40


def test_given_rows_decide_where_now_is(fit):
    given = curve("other", Schedule.constant(3e-4, 4000, 1000), 4000, np.random.default_rng(1))
    found = what_if(fit, schedules=["wsd:decay=0.5", "constant:total=8000,peak=1e-4"], given=given)
    assert found.frame["run"].unique().tolist() == ["other"]
    assert found.frame["step"].tolist() == [8000, 8000]
    assert any("jumps from 0.0003 to 0.0001 at step 4,000" in note for note in found.notes)


def test_what_cannot_be_asked(fit, toy_fit):
    with pytest.raises(FitError, match="reads no learning rates"):
        what_if(toy_fit, "c4-1e+08", schedules=["wsd:decay=0.2"])
    with pytest.raises(FitError, match="Say which run to continue: 'cosine', 'two', 'now'"):
        what_if(fit, schedules=["wsd:decay=0.2"])
    with pytest.raises(FitError, match="no run 'then'"):
        what_if(fit, "then", schedules=["wsd:decay=0.2"])
    with pytest.raises(FitError, match="ends at step 6,000, and run 'now' is at step 8,000"):
        what_if(fit, "now", schedules=["cosine:total=6000"])
    with pytest.raises(FitError, match="at least one schedule"):
        what_if(fit, "now", schedules=[])


def test_the_picture_has_a_line_and_a_band_per_schedule(fit):
    figure = plot_what_if(what_if(fit, "now", schedules=["wsd:decay=0.2", "cosine:total=12000"]))
    top, bottom = figure.axes
    assert len(top.lines) == len(top.collections) == len(bottom.lines) == 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["wsd:decay=0.2", "cosine:total=12000"]
