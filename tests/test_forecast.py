"""Bands: their form, and that what is known of a run narrows and moves them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayeslaw import Runs, forecast
from bayeslaw.errors import DataError, FitError

DRAWS = 200
FAR = np.array([30_000.0, 60_000.0, 120_000.0])


@pytest.fixture(scope="module")
def rows():
    """``rows(run, group, n_params, steps)``: rows to forecast."""

    def make(run, group="c4", n_params=3e8, steps=FAR) -> pd.DataFrame:
        steps = np.asarray(steps, float)
        return pd.DataFrame({"run": run, "group": group, "n_params": n_params, "step": steps, "tokens": steps * 5e5})

    return make


@pytest.fixture(scope="module")
def band(toy_fit, rows):
    """A seen run and an unseen one of the same size and group, at the same steps."""
    return forecast(toy_fit, pd.concat([rows("c4-3e+08"), rows("new")]), draws=DRAWS, seed=1)


def width(frame: pd.DataFrame) -> np.ndarray:
    return (frame["hi90"] - frame["lo90"]).to_numpy()


def curve_width(frame: pd.DataFrame) -> np.ndarray:
    return (frame["curve_hi90"] - frame["curve_lo90"]).to_numpy()


def test_one_row_per_row_asked_for_in_their_order(toy_fit, rows):
    at = pd.concat([rows("b", steps=[900, 300, 600]), rows("a", n_params=1e9), rows("b", steps=[100])])
    at = at.sample(frac=1, random_state=2)
    found = forecast(toy_fit, at, draws=DRAWS).frame
    assert list(found.index) == list(range(len(at)))
    for column in ("run", "group", "n_params", "step", "tokens"):
        np.testing.assert_array_equal(found[column], at[column])
    # loss falls with tokens: every number went to the row that it belongs to
    assert found[found["run"] == "b"].sort_values("step")["curve_mean"].is_monotonic_decreasing
    shuffled = at.iloc[::-1]
    again = forecast(toy_fit, shuffled, draws=DRAWS).frame
    np.testing.assert_allclose(again["curve_mean"][::-1], found["curve_mean"], rtol=0.01)


def test_columns_and_shapes(band):
    wanted = ["mean", "median", "lo50", "hi50", "lo90", "hi90", "curve_lo90", "curve_hi90", "curve_mean", "tokens"]
    assert set(wanted) <= set(band.frame.columns)
    assert band.curve.shape == band.observed.shape == (DRAWS, 6)
    assert band.levels == (0.5, 0.9)
    assert repr(band) == "<Band: 6 rows of 2 runs, bands at 50 %, 90 %>"


def test_bounds_are_in_order_and_are_the_draws_quantiles(band):
    f = band.frame
    for low, high in (("lo90", "lo50"), ("lo50", "median"), ("median", "hi50"), ("hi50", "hi90")):
        assert (f[low] < f[high]).all()
        assert (f[f"curve_{low}"] < f[f"curve_{high}"]).all() if "median" not in (low, high) else True
    np.testing.assert_allclose(f["lo90"], np.quantile(band.observed, 0.05, axis=0))
    np.testing.assert_allclose(f["hi50"], np.quantile(band.observed, 0.75, axis=0))
    np.testing.assert_allclose(f["curve_hi90"], np.quantile(band.curve, 0.95, axis=0))
    np.testing.assert_allclose(f["mean"], band.observed.mean(axis=0))
    assert (width(f) > curve_width(f)).all(), "a loss has noise that the curve has not"


def test_the_median_is_smooth_and_splits_the_losses_evenly(toy_fit, band, rows):
    np.testing.assert_array_equal(band.frame["median"], np.median(band.curve, axis=0))
    below = (band.observed < band.frame["median"].to_numpy()).mean(axis=0)
    np.testing.assert_allclose(below, 0.5, atol=4 * 0.5 / np.sqrt(DRAWS))
    steps = np.geomspace(1000, 4000, 30)
    median = forecast(toy_fit, rows("new", steps=steps), draws=DRAWS).frame["median"].to_numpy()
    assert (np.diff(median) < 0).all()
    bend = np.diff(np.log(median), 2)
    assert np.abs(bend).max() < 3 * np.abs(np.diff(np.log(median))).max() / len(steps)


def test_draws_are_positive_and_near_the_truth(band, truth):
    assert (band.observed > 0).all()
    assert (band.curve > 0).all()
    np.testing.assert_allclose(band.frame["median"], np.tile(truth.law(3e8, FAR * 5e5), 2), rtol=0.03)


def test_an_unseen_run_has_a_wider_band_than_a_seen_one(toy_fit, rows):
    # at the end of the data, where the seen run's own level is known
    at = pd.concat([rows("c4-3e+08", steps=[15_000]), rows("new", steps=[15_000])])
    found = forecast(toy_fit, at, draws=DRAWS, seed=1).frame
    seen, new = curve_width(found)
    assert new > 1.3 * seen


@pytest.fixture(scope="module")
def prefix(toy_frame) -> pd.DataFrame:
    """A new run's first 10,000 steps, 2 % above what its group and size let expect."""
    part = toy_frame[(toy_frame["run"] == "c4-3e+08") & (toy_frame["step"] <= 10_000)]
    return part.assign(run="new", loss=part["loss"] * 1.02)


def test_a_prefix_narrows_the_band_and_moves_it_there(toy_fit, rows, prefix):
    at = rows("new", steps=[12_000, 14_000])
    before = forecast(toy_fit, at, draws=DRAWS).frame
    after = forecast(toy_fit, at, prefix, draws=DRAWS).frame
    assert (curve_width(after) < 0.8 * curve_width(before)).all()
    shift = (after["curve_mean"] / before["curve_mean"]).to_numpy()
    assert (shift > 1.008).all()
    assert (shift < 1.025).all()
    # from below, it moves down
    low = forecast(toy_fit, at, prefix.assign(loss=prefix["loss"] / 1.04), draws=DRAWS).frame
    assert (low["curve_mean"] < before["curve_mean"]).all()


def test_given_may_be_a_table_or_runs(toy_fit, rows, prefix):
    at = rows("new")
    table, runs = (forecast(toy_fit, at, g, draws=DRAWS) for g in (prefix, Runs.from_frame(prefix)))
    np.testing.assert_array_equal(table.observed, runs.observed)


def test_given_for_a_fitted_run_replaces_its_rows(toy_fit, rows, toy_frame):
    """The same rows again change next to nothing, others move the band."""
    own = toy_frame[toy_frame["run"] == "c4-3e+08"]
    at = rows("c4-3e+08", steps=[15_000, 20_000])
    plain = forecast(toy_fit, at, draws=DRAWS).frame
    same = forecast(toy_fit, at, own, draws=DRAWS).frame
    np.testing.assert_allclose(same["curve_mean"], plain["curve_mean"], rtol=2e-4)
    higher = forecast(toy_fit, at, own.assign(loss=own["loss"] * 1.01), draws=DRAWS).frame
    assert (higher["curve_mean"] > 1.005 * plain["curve_mean"]).all()


def test_given_of_runs_not_asked_for_is_named(toy_fit, rows, prefix):
    both = pd.concat([prefix, prefix.assign(run="stranger")])
    found = forecast(toy_fit, rows("new"), both, draws=DRAWS)
    assert "Not used: 1 runs of given that are not in at, for example 'stranger'." in found.notes


def test_given_of_other_runs_only(toy_fit, rows, prefix):
    found = forecast(toy_fit, rows("new"), prefix.assign(run="stranger"), draws=DRAWS)
    plain = forecast(toy_fit, rows("new"), draws=DRAWS)
    assert any("stranger" in note for note in found.notes)
    np.testing.assert_allclose(found.frame["curve_mean"], plain.frame["curve_mean"], rtol=0.01)


def test_a_loss_column_is_not_looked_at(toy_fit, rows):
    at = rows("new")
    plain = forecast(toy_fit, at, draws=DRAWS)
    for loss in (9.0, -1.0, np.nan, "secret"):
        np.testing.assert_array_equal(forecast(toy_fit, at.assign(loss=loss), draws=DRAWS).observed, plain.observed)
    with_loss = Runs.from_frame(at.assign(loss=[2.5, 2.4, 2.3]))
    np.testing.assert_array_equal(forecast(toy_fit, with_loss, draws=DRAWS).observed, plain.observed)


def test_unseen_group_and_size(toy_fit, rows, band):
    at = pd.concat([rows("new"), rows("x", group="books"), rows("y", n_params=2e9), rows("z", "books", 2e9)])
    made = forecast(toy_fit, at, draws=DRAWS)
    assert "No run of group 'books' was fitted, so that its band is as wide as groups differ." in made.notes[0]
    found = made.frame
    known, group, size, both = np.split(curve_width(found), 4)
    assert (group > known).all()
    assert (both > known).all()
    assert np.isfinite(found.drop(columns=["run", "group"]).to_numpy(float)).all()
    assert (size > 0).all()


def test_same_seed_same_band(toy_fit, rows):
    first, again, other = (forecast(toy_fit, rows("new"), draws=DRAWS, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.observed, again.observed)
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert (first.observed != other.observed).all()


def test_losses_that_no_model_has_are_told(toy_fit, rows, band):
    """A few thousand tokens trained on: the law says dozens of nats, and the reader that it does not hold there."""
    assert not [note for note in band.notes if "No law holds" in note]
    early = pd.concat([rows("tiny", steps=[1]), rows("small", steps=[1])]).assign(tokens=2e4)
    (said,) = [note for note in forecast(toy_fit, early, draws=DRAWS).notes if "No law holds" in note]
    assert said.startswith("Run 'tiny' and 1 more: a median above 15 nats a token")


def test_levels(toy_fit, rows):
    found = forecast(toy_fit, rows("new"), levels=[0.8, 0.975], draws=DRAWS)
    assert {"lo80", "hi80", "lo97.5", "curve_hi97.5"} <= set(found.frame.columns)
    assert "lo50" not in found.frame
    for levels in ([], [0.0], [0.5, 1.0], [90], [float("nan")]):
        with pytest.raises(FitError, match=r"^levels are fractions between 0 and 1, such as \(0\.5, 0\.9\); got \("):
            forecast(toy_fit, rows("new"), levels=levels)


def test_missing_columns_are_named(toy_fit, rows):
    with pytest.raises(FitError, match=r"Law chinchilla needs the column tokens, and the rows to forecast have "):
        forecast(toy_fit, rows("new").drop(columns="tokens"))
    with pytest.raises(FitError, match=r"pools over group: the rows to forecast need group in every row"):
        forecast(toy_fit, rows("new").drop(columns="group"))
    at = rows("new")
    at.loc[1, "n_params"] = np.nan
    with pytest.raises(FitError, match=r"needs n_params, which is empty in 1 of 1 runs, for example 'new'"):
        forecast(toy_fit, at)


def test_many_rows_come_in_pieces_without_a_seam(toy_fit, rows):
    steps = np.linspace(500, 20_000, 1500).round()
    found = forecast(toy_fit, rows("c4-1e+08", n_params=1e8, steps=steps), draws=20)
    # a draw's curve is one curve: the step between the pieces is like its neighbours
    jumps = np.abs(np.diff(np.log(found.curve), axis=1))
    assert jumps.max() < 0.01
    assert len(found.frame) == 1500


def test_draws_are_at_most_those_of_the_fit(toy_fit, rows):
    assert forecast(toy_fit, rows("new"), draws=10**6).curve.shape == (200, 3)
    assert dataclasses.replace(toy_fit, z=toy_fit.z[:, :30]).draws(None).shape[0] == 60


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("seed", -1, "0 and below 2^63"), ("seed", 0.5, "0 and below 2^63"), ("seed", 2**70, "0 and below 2^63"),
     ("draws", 0, "1"), ("draws", "many", "1"), ("draws", float("nan"), "1")],
)  # fmt: skip
def test_seed_and_draws_are_whole_numbers(toy_fit, rows, name, value, least):
    with pytest.raises(FitError) as caught:
        forecast(toy_fit, rows("new"), **{name: value})
    assert str(caught.value) == f"{name} is a whole number of at least {least}, not {value!r}."


def test_numbers_of_numpy_will_do(toy_fit, rows):
    first = forecast(toy_fit, rows("new"), draws=int(np.int64(20)), seed=7)
    again = forecast(toy_fit, rows("new"), draws=np.int64(20), seed=np.float64(7))
    np.testing.assert_array_equal(first.observed, again.observed)


# --- noise of a raw row -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noisy(truth):
    """``noisy(count)``: the first 10,000 steps of a new run in ``count`` rows, five times as noisy as the fitted."""

    def make(count: int) -> pd.DataFrame:
        steps = np.linspace(250, 10_000, count).round()
        return truth.curve("new", "c4", 3e8, steps, np.random.default_rng(4), level=0.0, noise=0.02)

    return make


def test_the_noise_of_a_given_run_is_measured(toy_fit, rows, noisy):
    """Of 2,000 rows the later half counts 1,000 against 30 of the fitted runs: nearly the run's own 2 %."""
    at = pd.concat([rows("new", steps=np.linspace(11_000, 12_000, 20).round()), rows("c4-3e+08"), rows("other")])
    found = forecast(toy_fit, at, noisy(2000), draws=DRAWS)
    sd = np.log(found.observed / found.curve).std(axis=0)
    assert sd[:20].mean() == pytest.approx(0.02, rel=0.1)
    # the others keep theirs
    np.testing.assert_allclose(sd[20:], 0.004, rtol=0.3)


def test_few_given_rows_leave_most_of_the_noise_of_the_fitted_runs(toy_fit, rows, noisy):
    at = rows("new", steps=np.linspace(11_000, 12_000, 20).round())
    found = forecast(toy_fit, at, noisy(6), draws=DRAWS)
    assert 0.003 < np.log(found.observed / found.curve).std() < 0.012


def test_a_mean_over_rows_scatters_less_by_the_rows_own_share(toy_fit, rows, noisy):
    at = rows("new", steps=np.linspace(11_000, 12_000, 20).round())
    band = forecast(toy_fit, at, noisy(200), draws=400)
    share = band.row_share
    assert share is not None
    assert share.shape == (len(at),)
    assert ((share >= 0) & (share <= 1)).all()
    np.testing.assert_allclose(band.averaged(1), band.observed, rtol=1e-12)
    one, many = (np.log(draws / band.curve).var(axis=0) for draws in (band.observed, band.averaged(1e12)))
    np.testing.assert_allclose(many, (1 - share) * one, rtol=1e-6, atol=1e-12)
    bare = dataclasses.replace(band, row_share=None)
    np.testing.assert_allclose(np.log(bare.averaged(4) / band.curve).var(axis=0), one / 4, rtol=1e-6)


# --- who is asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"n_params": 9e8}, {"group": "web"}])
def test_a_known_run_cannot_be_asked_for_as_another_model(toy_fit, rows, change):
    """Else a mistyped size would be told the deviations of a run that it is not."""
    name = next(iter(change))
    asked = rows("c4-3e+08").assign(**change)
    with pytest.raises(DataError, match=rf"Run 'c4-3e\+08': {name} is .* in at, but .* in the fit. A run of that name"):
        forecast(toy_fit, asked, draws=DRAWS)
    with pytest.raises(DataError, match=rf"Run 'new': {name} is .* in at, but .* in given"):
        forecast(toy_fit, rows("new").assign(**change), rows("new", steps=[500, 900]).assign(loss=3.0), draws=DRAWS)


def test_sizes_that_differ_by_rounding_are_one_size(toy_fit, rows):
    asked = rows("c4-3e+08").astype({"n_params": "float32"}).assign(n_params=lambda t: t["n_params"] * (1 + 2e-7))
    assert len(forecast(toy_fit, asked, draws=DRAWS).frame) == len(FAR)


def test_rows_without_a_name_are_no_claim_to_a_fitted_run(toy_fit, rows):
    at = rows("any", n_params=9e8).drop(columns="run")
    bins = toy_fit.problem.bins.replace({"run": {"c4-3e+08": "run"}})
    renamed = dataclasses.replace(toy_fit, problem=dataclasses.replace(toy_fit.problem, bins=bins))
    assert set(forecast(renamed, at, draws=DRAWS).frame["run"]) == {"new run"}


def test_rows_may_come_as_a_list_or_with_their_names_in_the_index(toy_fit, rows):
    at = rows("c4-3e+08")
    plain = forecast(toy_fit, at, draws=DRAWS).frame
    for form in (at.to_dict("records"), at.set_index(["run", "step"])):
        pd.testing.assert_frame_equal(forecast(toy_fit, form, draws=DRAWS).frame, plain)


@pytest.mark.parametrize("levels", ["high", (50, 90), None, (0.5, "x")])
def test_levels_that_are_none_are_refused(toy_fit, rows, levels):
    with pytest.raises(FitError, match="levels are fractions between 0 and 1"):
        forecast(toy_fit, rows("new"), levels=levels, draws=DRAWS)


def test_one_level_may_stand_alone(toy_fit, rows):
    assert forecast(toy_fit, rows("new"), levels=0.8, draws=DRAWS).levels == (0.8,)


def test_a_path_is_neither_a_fit_nor_rows(toy_fit, rows):
    with pytest.raises(FitError, match=r"A Fit is needed here, not str. .* bayeslaw.load_fit\(path\)"):
        forecast("fit.nc", rows("new"))
    with pytest.raises(DataError, match="Cannot take str for at"):
        forecast(toy_fit, "future.csv")


def test_an_infinite_draw_is_no_warning(toy_fit, rows, monkeypatch):
    """Student-t noise of a fit of single points reaches beyond the largest number; warnings are errors here."""
    from bayeslaw.engine import conditioning

    monkeypatch.setattr(
        conditioning, "_noise", lambda question, z, sd, rng: np.where(rng.random(sd.shape) < 0.01, 1e3, 0)
    )
    found = forecast(toy_fit, rows("new"), draws=DRAWS)
    assert np.isinf(found.observed).any()
    # such noise has no mean: that of the draws is kept within a factor of five of the median
    assert (found.frame["mean"] < 2 * found.frame["median"]).all()
    assert np.isfinite(found.frame["hi90"]).all()
