"""Which card a log is given, and the rows ahead of it."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.errors import DataError


def table(runs=1, sizes=False, tokens=True, rate=None, **more):
    step = np.arange(1, 41) * 100.0
    parts = []
    for i in range(runs):
        one = pd.DataFrame({"run": f"r{i}", "step": step, "loss": 2 + 30 / step**0.5})
        if tokens:
            one["tokens"] = step * 1e6
        if sizes:
            one["n_params"] = 1e8 * (1 + i)
        if rate is not None:
            one["lr"] = rate(step)
        parts.append(one.assign(**more))
    return bl.Runs.from_frame(pd.concat(parts, ignore_index=True))


@pytest.mark.parametrize(
    ("runs", "model", "together"),
    [
        (table(), "power-law", True),
        (table(tokens=False), "power-law-steps", True),
        (table(3), "power-law", False),
        (table(3, n_params=1e8), "power-law", True),
        (table(3, sizes=True), "chinchilla", True),
        (table(2, sizes=True), "power-law", False),
        (table(3, sizes=True, tokens=False), "power-law-steps", False),
    ],
)
def test_the_card_follows_what_the_log_holds(runs, model, together):
    choice = bl.suggest(runs)
    assert (choice.model, choice.together) == (model, together)
    assert choice.model in str(choice)
    assert bl.load_card(choice.model).law


def test_looped_runs_get_looped_laws():
    base = table(3, sizes=True).frame.assign(recurrence=np.repeat([1, 2, 4], 40))
    parts = base.assign(n_params_once=5e7, n_params_recurrent=5e7)
    stops = base.assign(exit_step=1)
    for frame, model in ((base, "looped-total"), (stops, "looped-stepwise"), (parts, "iso-depth")):
        choice = bl.suggest(bl.Runs.from_frame(frame))
        assert (choice.model, choice.together) == (model, True)


@pytest.mark.parametrize("rows", [66, 83])
@pytest.mark.parametrize(("total", "exit_step"), [(True, np.nan), (False, 4.0)])
def test_rows_ahead_are_of_the_total_loss_or_the_last_exit_however_often_each_was_logged(rows, total, exit_step):
    step, parts = np.arange(1.0, rows + 1) * 100, []
    for exits, every in ((1, 1), (2, 1), (4, 5 - 4 * total), (np.nan, 5)):
        mine = step[::-every][::-1] if total else step[::every]
        if total or exits == exits:
            parts.append(pd.DataFrame({"run": "a", "step": mine, "tokens": mine * 997_376, "exit_step": exits}))
    frame = pd.concat(parts, ignore_index=True).assign(loss=lambda f: 2 + 30 / f["step"] ** 0.5, recurrence=4.0)
    runs = bl.Runs.from_frame(frame)
    layout = SimpleNamespace(likelihood="curves")
    fit = cast(Any, SimpleNamespace(problem=SimpleNamespace(bins=runs.bins(max_bins=12).frame, layout=layout)))
    for source in (runs, fit):
        found = bl.ahead(source, tokens=2 * frame["tokens"].max(), rows=3)
        assert found.get("exit_step", pd.Series([np.nan] * 3)).tolist() == pytest.approx([exit_step] * 3, nan_ok=True)


def test_what_is_known_of_the_rate_is_said():
    notes = {
        "not in the log": bl.suggest(table()),
        "is falling": bl.suggest(table(rate=lambda s: 1e-3 * (1 - s / 5000))),
        "taken to stay": bl.suggest(table(rate=lambda s: 1e-3 + 0 * s)),
    }
    for words, choice in notes.items():
        assert any(words in note for note in choice.notes)


def test_a_schedule_needs_a_log_of_the_rate():
    assert bl.suggest(table(rate=lambda s: 1e-3 + 0 * s), schedule=True).model == "multi-power"
    with pytest.raises(DataError, match="no lr"):
        bl.suggest(table(), schedule=True)


def test_rows_ahead_end_at_the_target_and_count_steps_on():
    rows = bl.ahead(table(n_params=1e8), tokens="8B", rows=10)
    assert len(rows) == 10
    assert rows["tokens"].iloc[-1] == 8e9
    np.testing.assert_allclose(rows["step"], rows["tokens"] / 1e6)
    assert (rows["tokens"] > 4e9).all()
    assert set(rows["n_params"]) == {1e8}
    assert "loss" not in rows
    ratio = rows["tokens"].to_numpy()[1:] / rows["tokens"].to_numpy()[:-1]
    np.testing.assert_allclose(ratio, ratio[0])


def test_tokens_are_counted_on_at_the_late_rate_after_a_batch_ramp():
    frame = table().frame
    step = frame["step"].to_numpy()
    frame = frame.assign(tokens=np.where(step <= 1000, step * 1e6, 1e9 + (step - 1000) * 4e6))
    rows = bl.ahead(bl.Runs.from_frame(frame), step=5000)
    assert rows["tokens"].iloc[-1] == pytest.approx(frame["tokens"].max() + 1000 * 4e6)


def test_rows_ahead_of_a_fit_begin_where_it_ends(toy_fit, toy_frame):
    rows = bl.ahead(toy_fit, step=40_000, rows=4)
    assert set(rows["run"]) == set(toy_frame["run"])
    assert (rows["step"] > 20_000).all()
    assert rows.groupby("run")["step"].max().eq(40_000).all()
    band = bl.forecast(toy_fit, at=rows, draws=50)
    assert len(band.frame) == len(rows)


def test_runs_at_the_target_are_left_out():
    frame = table(2).frame
    short = bl.Runs.from_frame(frame[(frame["run"] == "r0") | (frame["step"] < 2000)])
    assert set(bl.ahead(short, step=4000)["run"]) == {"r1"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one target"),
        ({"tokens": "8B", "step": 9000}, "one target"),
        ({"tokens": "1B"}, "r0 is at 4B tokens"),
        ({"step": 100}, "r0 is at step 4,000"),
        ({"tokens": 0}, "ahead"),
        ({"tokens": "many"}, "Cannot read 'many'"),
        ({"tokens": "8B", "names": ["other"]}, "no run 'other'"),
        ({"tokens": "8B", "rows": 0}, "at least 1"),
    ],
)
def test_a_target_that_is_none_is_refused(options, words):
    with pytest.raises(DataError, match=words):
        bl.ahead(table(), **options)


def test_without_tokens_a_target_in_tokens_says_what_to_give():
    with pytest.raises(DataError, match="--batch-tokens 4M"):
        bl.ahead(table(tokens=False), tokens="2T")


def test_steps_ahead_are_whole_numbers():
    steps = bl.ahead(table(), step=4005, rows=30)["step"]
    assert steps.tolist() == [4001, 4002, 4003, 4004, 4005]
    far = bl.ahead(table(), step="50k", rows=30)["step"]
    assert len(far) == 30
    assert (far == far.round()).all()


def points():
    size = np.tile([1e8, 3e8, 1e9], 6)
    tokens = np.geomspace(1e9, 1e11, 18)
    loss = 1.8 + 480 / size**0.35 + 2100 / tokens**0.37
    names = [f"p{i}" for i in range(18)]
    return bl.Runs.from_frame({"run": names, "n_params": size, "tokens": tokens, "loss": loss})


def test_single_points_are_not_continued_whether_of_a_log_or_of_a_fit():
    runs = points()
    fit = bl.fit(runs, "chinchilla", chains=1, warmup=50, draws=10)
    for source in (runs, fit):
        with pytest.raises(DataError, match=r"is a single point.*--at FILE.*bayeslaw plan"):
            bl.ahead(source, tokens="1T")


def test_a_fit_of_a_handful_of_rows_is_no_curve_either():
    fit = bl.fit(bl.Runs.from_frame(table().frame.head(5)), "power-law", chains=1, warmup=50, draws=10)
    with pytest.raises(DataError, match="5 rows"):
        bl.ahead(fit, tokens="2T")


def test_a_handful_of_rows_is_no_curve():
    with pytest.raises(DataError, match="5 rows"):
        bl.ahead(bl.Runs.from_frame(table().frame.head(5)), tokens="2T")
