"""What if: schedules from now on, their gaps filled from the run's past, and forecasts that know the difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, FitError
from bayeslaw.laws import Schedule
from bayeslaw.laws.schedule_ahead import from_now, joined
from bayeslaw.laws.schedule_updates import tissue_s2
from bayeslaw.plots.whatif import plot_what_if
from bayeslaw.whatif import what_if

PAST = Schedule.constant(3e-4, 8000, 1000)
TRUTH = {"L0": 2.8, "A": 0.55, "alpha": 0.5, "C": 0.45}


def curve(run: str, schedule: Schedule, until: int, rng) -> pd.DataFrame:
    step = np.arange(1200, until + 1, 200, dtype=float)
    loss = TRUTH["L0"] + TRUTH["A"] * schedule.sums(step) ** -TRUTH["alpha"]
    loss -= TRUTH["C"] * tissue_s2(schedule, step, 0.999)
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


def test_what_is_held_or_decays_from_now_goes_on_from_the_rate_of_now():
    past = Schedule.cosine(3e-4, 12_000, 1000)
    now = float(past.rate(8000))
    assert 9e-5 < now < 2e-4
    for line in ("wsd:decay=0.2", "wsd:decay=500", "constant:total=9000", "wsd:decay=0.25,total=12000"):
        ahead = from_now(line, past, 8000)
        whole = joined(past, ahead, 8000)
        assert whole.rate([8000, 8001]) == pytest.approx([now, now], rel=0.01)
        # the law measures rates by what the run once had
        assert whole.eta_peak == whole.rate(1000) == 3e-4
    assert from_now("wsd:decay=0.2,final_fraction=0.1", past, 8000).rate(10_000) == pytest.approx(0.1 * now)
    assert from_now("wsd:decay=0.25,total=12000", past, 8000).rate(9000) == pytest.approx(now)
    assert from_now("two-stage:second=5e-5,at=9000,total=10000", past, 8000).rate(8500) == pytest.approx(now)
    assert from_now("wsd:decay=0.2,peak=3e-4", past, 8000).rate(8000) == pytest.approx(3e-4)


def test_a_shape_that_has_begun_already_began_at_the_runs_peak():
    cosine = Schedule.cosine(3e-4, 12_000, 1000)
    assert from_now("cosine:total=12000", cosine, 8000).rate([8000, 9000]) == pytest.approx(cosine.rate([8000, 9000]))
    wsd = Schedule.wsd(3e-4, 10_000, 1000, 0.4)
    own = from_now("wsd:decay=0.4,total=10000", wsd, 8000)
    assert own.rate([8000, 9000]) == pytest.approx(wsd.rate([8000, 9000]))
    # a run that has decayed to nothing, or that is warming up, has no rate to go on with
    assert from_now("wsd:decay=0.2", wsd, 10_000).eta_peak == 3e-4
    assert from_now("wsd:total=10000", wsd, 500).eta_peak == 3e-4


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
        s1, s2 = s.sums(10_000), tissue_s2(s, 10_000, 0.999)[0]
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


def test_a_decay_of_a_few_steps_is_told(fit):
    found = what_if(fit, "now", schedules=["wsd:decay=2", "wsd:decay=500", "wsd:decay=0.2"], draws=50)
    assert found.frame["step"].tolist() == [8002, 8500, 10_000]
    told = [note for note in found.notes if "number of steps" in note]
    assert told == ["wsd:decay=2: a decay above 1 is a number of steps, so it takes 2 steps; up to 1 it is a share."]


def test_the_past_comes_with_the_answer(fit):
    found = what_if(fit, "now", schedules=["wsd:decay=0.2"], draws=50)
    bins = fit.problem.bins[fit.problem.bins["run"] == "now"]
    assert found.past is not None
    assert found.past["step"].iloc[-1] == 8000
    np.testing.assert_allclose(found.past["loss"].dropna(), bins["loss"])
    assert found.past["lr"].iloc[-1] == pytest.approx(3e-4)
    given = curve("other", Schedule.constant(3e-4, 4000, 1000), 4000, np.random.default_rng(1))
    found = what_if(fit, schedules=["wsd:decay=0.5"], given=given, draws=50)
    assert found.past is not None
    np.testing.assert_allclose(found.past[["step", "loss"]], given[["step", "loss"]])


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
    found = what_if(fit, "now", schedules=["wsd:decay=0.2", "cosine:total=12000"])
    figure = plot_what_if(replace(found, past=None))
    top, bottom = figure.axes
    assert len(top.lines) == len(top.collections) == len(bottom.lines) == 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["wsd:decay=0.2", "cosine:total=12000"]
    # a decay lowers the loss: its line, drawn through the curve's draws, falls all the way
    assert (np.diff(top.lines[0].get_ydata()) < 0).all()


def test_the_picture_has_the_run_up_to_now(fit):
    found = what_if(fit, "now", schedules=["wsd:decay=0.2"], draws=50)
    assert found.past is not None
    figure = plot_what_if(found)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["losses so far", "wsd:decay=0.2"]
    for ax in figure.axes:
        left, right = ax.get_xlim()
        assert left < 8000 < right
        assert any(np.all(np.asarray(line.get_xdata()) == 8000) for line in ax.lines), "a line at now"
    drawn = figure.axes[0].lines[0]
    shown = found.past.dropna()[found.past.dropna()["step"] >= figure.axes[0].get_xlim()[0]]
    assert len(shown) > 2
    np.testing.assert_allclose(drawn.get_ydata(), shown["loss"])
    low, high = figure.axes[0].get_ylim()
    assert shown["loss"].between(low, high).all()


def test_steps_that_are_near_have_ticks_that_differ(fit):
    found = what_if(fit, "now", schedules=["wsd:decay=40"], draws=50)
    figure = plot_what_if(replace(found, past=None))
    figure.canvas.draw()
    labels = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert len(labels) == len(set(labels)) > 2


def test_schedules_that_end_later_change_no_draw_before():
    rng = np.random.default_rng(0)
    family = [
        curve("cosine", Schedule.cosine(3e-4, 12_000, 1000), 12_000, rng),
        curve("now", Schedule.constant(3e-4, 8000, 1000), 8000, rng),
    ]
    runs = Runs.from_frame(pd.concat(family, ignore_index=True))
    # its discrepancy has knots all along, the more of them the later a schedule ends
    fit = at_mode(load_card("multi-power"), runs, None, 100, {"seed": 0, "max_bins": 16})
    lines = [f"constant:total={total}" for total in (12_000, 24_000, 40_000)]
    bands = what_if(fit, "now", schedules=lines, rows=8, backtest=False).bands
    first, *later = bands.values()
    for band in later:
        same = np.intersect1d(first.frame["step"], band.frame["step"])
        assert len(same)
        mine, theirs = (b.curve[:, np.isin(b.frame["step"], same)] for b in (first, band))
        assert theirs == pytest.approx(mine, rel=1e-9)


def test_rows_beyond_what_is_known_of_the_rate_say_that_it_was_held(fit):
    from bayeslaw.forecast import forecast

    at = pd.DataFrame({"run": "cosine", "step": [11_000.0, 12_000.0], "tokens": [5.5e9, 6e9]})
    assert forecast(fit, at, backtest=False).notes == ()
    later = at.assign(run="now")
    (note,) = forecast(fit, later, backtest=False).notes
    assert "run 'now' is known up to step 8,000, where it is 0.0003: from there on it was held" in note
    declared = {"now": "cosine:peak=3e-4,total=10000,warmup=1000"}
    assert "up to step 10,000, where it is 3e-05:" in forecast(fit, later, schedules=declared, backtest=False).notes[0]
    logged = later.assign(step=[8500.0, 9000.0], lr=3e-4)
    assert forecast(fit, logged, backtest=False).notes == ()


def test_tokens_are_counted_on_at_the_late_rate_after_a_batch_ramp(fit):
    given = curve("other", Schedule.constant(3e-4, 4000, 1000), 4000, np.random.default_rng(1))
    step = given["step"].to_numpy()
    given["tokens"] = np.where(step <= 1800, step * 5e5, 9e8 + (step - 1800) * 2e6)
    found = what_if(fit, schedules=["constant:total=8000"], given=given)
    assert found.frame["tokens"].iloc[0] == pytest.approx(given["tokens"].max() + 4000 * 2e6)
    assert "Tokens ahead are counted at 2,000,000 a step" in found.notes[-1]
