"""``anomalies``: injected events are found and named, healthy runs left alone; units, names, order do not matter."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.errors import DataError


def spoil(frame, run, start, values):
    """The frame with ``values`` added to a run's losses from step ``start`` on."""
    out = frame.copy()
    rows = np.flatnonzero((out["run"] == run) & (out["step"] >= start))[: len(values)]
    out.loc[rows, "loss"] += values[: len(rows)]
    return out


def test_healthy_runs_raise_nothing_and_hard_batches_are_named(make_family, found):
    result = found(make_family(3, 1500))
    assert len(result) == 0
    assert len(result.alignment) == 6
    assert len(result.hard_batches) > 0


@pytest.mark.parametrize("siblings", [0, 1, 2, 5])
def test_works_with_any_number_of_siblings(make_family, found, siblings):
    frame = spoil(make_family(siblings + 1, 900, seed=4), "r0", 600, np.full(1, 3.0))
    events = found(frame).frame
    mine = events[(events["run"] == "r0") & (events["start_step"] > 500)]
    assert mine["start_step"].tolist() == [600.0]
    assert mine["kind"].tolist() == ["point"]
    assert mine["siblings"].tolist() == [siblings]
    assert mine["magnitude"].iloc[0] == pytest.approx(3.0, abs=0.4)


def test_shapes_are_told_apart_with_two_siblings(make_family, found):
    frame = make_family(3, 900)
    k = np.arange(301.0)
    cases = {
        "level_up": np.full(301, 0.05),
        "level_down": np.full(301, -0.05),
        "spike": 0.3 * np.exp(-k / 10),
        "malignant_spike": 0.25 * np.exp(-k / 10) + 0.04,
        "drift": np.minimum(k / 200, 1) * 0.4,
        "divergence": 0.02 * np.expm1(k / 50),
    }
    for kind, values in cases.items():
        events = found(spoil(frame, "r0", 600, values)).frame
        mine = events[events["run"] == "r0"]
        assert len(mine) == len(events) == 1, kind
        assert mine["kind"].iloc[0] == kind
        assert abs(mine["start_step"].iloc[0] - 600) <= (60 if kind in ("drift", "divergence") else 2), kind


SMOOTH = {
    "point": lambda k: 1.0 * (k == 0),
    "spike": lambda k: np.exp(-k / 5),
    "malignant_spike": lambda k: np.exp(-k / 5) + 0.3,
    "level_up": lambda k: np.full(len(k), 0.3),
    "level_down": lambda k: np.full(len(k), -0.3),
}


@pytest.mark.parametrize("kind", SMOOTH)
def test_on_a_curve_with_little_noise_the_filters_lag_is_not_the_events(kind, found):
    """Sparse rows of a steep, quiet curve: the filter lags by ten times the noise, before the event as after it."""
    step = 50.0 * np.arange(1, 601)
    rng = np.random.default_rng(0)
    clean = 1.7 + 0.76 + 410 / (step * 1e5) ** 0.28 + 0.003 * rng.standard_normal(600)
    frame = pd.DataFrame({"run": "a", "step": step, "loss": clean})
    events = found(spoil(frame, "a", step[400], SMOOTH[kind](np.arange(200.0)))).frame
    assert events["kind"].tolist() == [kind]
    assert events["start_step"].tolist() == [step[400]]
    assert events["expected"].iloc[0] == pytest.approx(clean[400], abs=0.015)


def test_noise_that_grows(make_family, found):
    rng = np.random.default_rng(5)
    events = found(spoil(make_family(3, 1200), "r0", 700, 0.012 * rng.standard_normal(500))).frame
    mine = events[events["run"] == "r0"]
    assert mine["kind"].iloc[0] == "variance"
    assert 690 <= mine["start_step"].iloc[0] <= 740


def test_severity_is_what_remains(make_family, found):
    frame = make_family(3, 900)
    k = np.arange(301.0)
    stays = found(spoil(frame, "r0", 600, 0.3 * np.exp(-k / 10) + 0.05)).frame.query("run == 'r0'").iloc[0]
    heals = found(spoil(frame, "r0", 600, 0.3 * np.exp(-k / 10))).frame.query("run == 'r0'").iloc[0]
    assert stays["severity"] == pytest.approx(0.05, abs=0.006)
    assert heals["severity"] == 0.0


def test_structural_events(make_family, found):
    frame = make_family(1, 800)
    frame.loc[frame["step"].between(400, 402), "loss"] = np.nan
    frame.loc[frame["step"].between(500, 520), "loss"] = 3.25
    frame = frame[~frame["step"].between(600, 640)]
    events = found(frame).frame.set_index("kind")
    assert events.loc["nonfinite", ["start_step", "end_step"]].tolist() == [400.0, 402.0]
    assert events.loc["frozen", ["start_step", "end_step"]].tolist() == [500.0, 520.0]
    assert events.loc["missing_steps", ["start_step", "end_step"]].tolist() == [599.0, 641.0]


def test_a_rewind_is_reported(make_family, found):
    import pandas as pd

    frame = make_family(1, 400)
    again = frame[frame["step"] >= 300]
    events = found(pd.concat([frame.iloc[:350], again])).frame
    assert events["kind"].tolist() == ["rewind"]


def spoiled(make_family):
    frame = spoil(make_family(3, 900), "r0", 600, 0.3 * np.exp(-np.arange(100) / 10))
    return spoil(frame, "r1", 700, np.full(1, 0.5))


COMPARED = ["kind", "start_step", "peak_step", "end_step"]


def test_units_names_order_and_duplicates_do_not_matter(make_family, found):
    import pandas as pd

    frame = spoiled(make_family)
    base = found(frame).frame
    assert base["run"].tolist() == ["r0", "r1"]

    scaled = found(frame.assign(loss=frame["loss"] * 1.4426950408889634)).frame
    assert scaled[["run", *COMPARED]].equals(base[["run", *COMPARED]])
    assert scaled["magnitude"].to_numpy() == pytest.approx(1.4426950408889634 * base["magnitude"].to_numpy(), rel=1e-4)

    renamed = found(frame.assign(run="x" + frame["run"])).frame
    assert renamed["run"].tolist() == ["x" + run for run in base["run"]]
    assert renamed[COMPARED].equals(base[COMPARED])

    repeated = found(pd.concat([frame, frame[frame["step"] % 7 == 0]]).sort_index(kind="stable")).frame
    shuffled = found(frame.sample(frac=1.0, random_state=3)).frame
    for other in (repeated, shuffled):
        other = other[other["kind"] != "rewind"].sort_values(["run", "start_step"]).reset_index(drop=True)
        assert other[["run", *COMPARED]].equals(base[["run", *COMPARED]])


def test_shifting_steps_with_tokens_fixed_only_shifts_labels(make_family, found):
    frame = spoiled(make_family)
    base = found(frame).frame
    moved = found(frame.assign(step=frame["step"] + 1000)).frame
    assert (moved["start_step"] - 1000).tolist() == base["start_step"].tolist()
    assert moved["magnitude"].to_numpy() == pytest.approx(base["magnitude"].to_numpy())


def test_the_eight_spikes_of_k2(shared_data):
    import pandas as pd

    import bayeslaw as bl
    from bayeslaw.anomalies import anomalies

    folder = shared_data("llm360-k2-65b")
    runs = bl.load(folder / "runs.csv").select("k2-65b")
    events = anomalies(runs).frame
    spikes = pd.read_csv(folder / "spikes.csv")
    steps = runs.curve("k2-65b")["step"].to_numpy(float)
    used = []
    for spike in spikes.itertuples():
        hit = events[(events["start_step"] <= spike.peak_step) & (events["end_step"] >= spike.start_step)]
        assert len(hit) == 1, spike
        event = hit.iloc[0]
        used.append(hit.index[0])
        assert abs(np.searchsorted(steps, event["start_step"]) - np.searchsorted(steps, spike.start_step)) <= 1
        assert event["end_step"] <= spike.recovered_step + 80
    assert len(events) - len(used) <= 3
    largest = events.sort_values("magnitude", ascending=False).index[:4]
    assert set(largest) == {i for i, s in zip(used, spikes.itertuples(), strict=True) if s.rise > 3}


def test_what_cannot_be_judged_is_said(make_family, found):
    frame = make_family(2, 5)
    with pytest.raises(DataError, match="single point"):
        found(frame[frame["step"] == 3])
    with pytest.raises(DataError, match="between 0 and 1"):
        found(frame, rate=3)


def test_a_table_is_not_taken_for_runs(make_family):
    from bayeslaw.anomalies import anomalies

    with pytest.raises(DataError, match=r"anomalies takes Runs, got DataFrame. .* bayeslaw.Runs.from_frame\(table\)"):
        anomalies(make_family(1, 5))


def test_nan_is_told_of_without_steps_too(make_family, found):
    frame = make_family(1, 300).drop(columns="step")
    frame.loc[150, "loss"] = np.nan
    result = found(frame)
    assert result.frame[["kind", "start_step"]].to_numpy().tolist() == [["nonfinite", frame["tokens"][150]]]
    assert result.notes[0] == "The table has no steps: start_step and its like count tokens here."


def test_where_nothing_can_be_told_is_said(make_family, found):
    """A spike in the rows that teach the noise is not told of, and where they are many of a run's, that is."""
    result = found(spoil(make_family(1, 900, seed=7), "r0", 50, np.full(3, 2.0)))
    assert len(result) == 0
    assert result.notes == ("The first 100 rows of a run only teach the noise: no spike or shift is told of them.",)
    assert found(make_family(1, 1200, seed=7)).notes == ()


def test_intervals_of_what_is_lost_hold_the_truth(make_family, found):
    """Of twelve shifts that stay, among two siblings, the 90 % interval holds nearly all; the error has little bias."""
    error, inside = [], []
    for seed in range(12):
        frame = make_family(3, 1000, seed=200 + seed)
        frame.loc[(frame["run"] == "r0") & (frame["step"] > 500 + 20 * seed), "loss"] += 0.05
        events = found(frame).frame
        event = events[(events["run"] == "r0") & (events["kind"] == "level_up")].iloc[-1]
        error.append(event["severity"] - 0.05)
        inside.append(event["severity_lo90"] <= 0.05 <= event["severity_hi90"])
    assert np.mean(inside) >= 0.75
    assert abs(np.mean(error)) < 0.0015


def test_rows_of_other_metrics_are_no_losses_of_nan(make_family, found):
    """A log with a row for each validation, and NaN later: only the latter was a loss."""
    frame = make_family(1, 400)
    frame["loss"] = frame["loss"].astype(object)
    frame.loc[frame["step"] > 397, "loss"] = np.nan
    between = frame[frame["step"] % 50 == 0].assign(step=lambda f: f["step"] + 0.5, loss=None, accuracy=0.5)
    table = pd.concat([frame, between]).sort_values("step", ignore_index=True)
    told = found(table).frame
    assert told[["kind", "start_step", "end_step"]].to_numpy().tolist() == [["nonfinite", 398.0, 400.0]]


def test_nan_that_a_restart_wrote_again_is_one_event_of_the_past(make_family, found):
    """A crash in NaN at 320, resumed from 250: a stream tells of it once, and so does the table."""
    frame = make_family(1, 500)
    first = frame[frame["step"] <= 320].copy()
    first.loc[first["step"] > 300, "loss"] = np.nan
    told = found(pd.concat([first, frame[frame["step"] > 250]], ignore_index=True)).frame
    broken = told[told["kind"] == "nonfinite"]
    assert broken[["start_step", "end_step", "open"]].to_numpy().tolist() == [[301.0, 320.0, False]]
    assert "Finite losses came after it" in broken["message"].iloc[0]
    assert (told["kind"] == "rewind").sum() == 1


def test_nan_that_was_resumed_from_just_before_it_is_over(make_family, found):
    frame = make_family(1, 500)
    first = frame[frame["step"] <= 320].copy()
    first.loc[first["step"] > 300, "loss"] = np.nan
    told = found(pd.concat([first, frame[frame["step"] > 300]], ignore_index=True)).frame
    assert told[["kind", "start_step", "end_step", "open"]].to_numpy().tolist() == [["nonfinite", 301.0, 320.0, False]]


def test_runs_of_nothing_but_nan_are_told(make_family, found):
    frame = make_family(3, 200)
    frame.loc[(frame["run"] == "r1") | ((frame["run"] == "r2") & (frame["step"] > 1)), "loss"] = np.nan
    told = found(frame).frame
    assert told[["run", "kind", "start_step", "end_step", "open"]].to_numpy().tolist() == [
        ["r1", "nonfinite", 1.0, 200.0, True],
        ["r2", "nonfinite", 2.0, 200.0, True],
    ]
