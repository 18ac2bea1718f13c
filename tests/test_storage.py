"""Saved fits: the same fit comes back, and what cannot be read is refused for the reason it has."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from bayeslaw import Runs, forecast, load_fit
from bayeslaw.backtest_work import at_mode
from bayeslaw.cards import load_card
from bayeslaw.errors import FileError
from bayeslaw.fit import Fit


@pytest.fixture(scope="module")
def saved(toy_fit, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fits") / "toy.nc"
    toy_fit.save(path)
    return path


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copy(saved, tmp_path / "copy.nc"))


def rewrite(path: Path, **changes) -> None:
    """Change entries of the record inside a saved fit."""
    with h5py.File(path, "r+") as file:
        record = json.loads(file.attrs["bayeslaw"]) | changes
        file.attrs["bayeslaw"] = json.dumps(record)


def test_what_comes_back_forecasts_the_same(saved, toy_fit, toy_frame):
    back = load_fit(saved)
    at = toy_frame[::40].assign(tokens=lambda f: 3 * f["tokens"], step=lambda f: 3 * f["step"])
    first, second = (forecast(f, at, draws=50, seed=5) for f in (toy_fit, back))
    np.testing.assert_array_equal(first.observed, second.observed)
    np.testing.assert_array_equal(first.curve, second.curve)


def test_everything_else_comes_back_too(saved, toy_fit):
    back = load_fit(saved)
    np.testing.assert_array_equal(back.z, toy_fit.z)
    assert back.problem.layout == toy_fit.problem.layout
    assert back.problem.levels == toy_fit.problem.levels
    assert back.problem.notes == toy_fit.problem.notes
    assert back.runs == toy_fit.runs
    assert back.card == toy_fit.card
    assert back.meta == toy_fit.meta
    assert back.stats.keys() == toy_fit.stats.keys()
    for name, values in toy_fit.stats.items():
        np.testing.assert_array_equal(back.stats[name], values)
    assert list(saved.parent.iterdir()) == [saved]


def half_named(toy_frame, rest) -> Fit:
    """A fit of runs of which half say their group, and the others ``rest``."""
    known = toy_frame["group"] == "c4"
    frame = toy_frame.assign(group=toy_frame["group"].where(known, rest))
    made = at_mode(load_card("chinchilla"), Runs.from_frame(frame), None, 20, {"seed": 0, "max_bins": 8})
    return replace(made, stats={})


@pytest.mark.parametrize(("rest", "groups"), [(None, None), ("", ["", "c4"])])
def test_a_text_column_that_is_partly_empty_comes_back(toy_frame, tmp_path, rest, groups):
    made = half_named(toy_frame, rest)
    assert made.problem.levels.get("group") == groups
    made.save(tmp_path / "fit.nc")
    back = load_fit(tmp_path / "fit.nc")
    assert back.problem.levels == made.problem.levels
    assert back.problem.notes == made.problem.notes
    np.testing.assert_array_equal(back.problem.bins["group"].isna(), made.problem.bins["group"].isna())
    at = toy_frame[::40].drop(columns="group").assign(tokens=lambda f: 3 * f["tokens"], step=lambda f: 3 * f["step"])
    at = at if groups is None else at.assign(group="c4", run="new " + at["run"])
    first, second = (forecast(f, at, draws=10, seed=5, backtest=False) for f in (made, back))
    np.testing.assert_array_equal(first.observed, second.observed)


def test_saving_again_replaces_the_file(saved, toy_fit, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_text("something else")
    toy_fit.save(path)
    np.testing.assert_array_equal(load_fit(path).z, toy_fit.z)


def refusal(path: Path) -> str:
    """The reason why a file is refused, without its name."""
    with pytest.raises(FileError) as caught:
        load_fit(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path)).strip()


def test_missing_file(tmp_path):
    path = tmp_path / "nowhere.nc"
    assert refusal(path) == (f"does not exist. Save one with fit.save({str(path)!r}) or bayeslaw fit ... -o {path}.")


def test_directory(tmp_path):
    assert refusal(tmp_path).startswith("is a directory, not a saved fit. ")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_file_cut_short(copy, share):
    whole = copy.read_bytes()
    copy.write_bytes(whole[: int(share * len(whole))])
    reason = refusal(copy)
    assert re.fullmatch(
        r"cannot be read as a saved fit \(.+\): it is not netCDF, or was cut short\. "
        r"Fit again, or copy the file anew\.",
        reason,
    )


def test_random_bytes(tmp_path):
    path = tmp_path / "noise.nc"
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    assert refusal(path).startswith("is no saved fit. If it is a log, fit it first: bayeslaw fit ")


def test_another_netcdf_file(tmp_path):
    path = tmp_path / "other.nc"
    with h5py.File(path, "w") as file:
        file.attrs["title"] = "rain"
    assert refusal(path) == "is a netCDF file but not a fit that bayeslaw saved: it has no bayeslaw record."


def test_form_of_a_newer_version(copy):
    from bayeslaw import __version__
    from bayeslaw.storage import FORMAT

    rewrite(copy, format=FORMAT + 1, meta={"versions": {"bayeslaw": "99.1"}})
    assert refusal(copy) == (
        f"was written by bayeslaw 99.1, in form {FORMAT + 1}; this is {__version__}, which reads up to form {FORMAT}. "
        f"Upgrade: pip install -U bayeslaw."
    )


@pytest.mark.parametrize("form", ["two", None, [1]])
def test_form_that_is_no_number(copy, form):
    rewrite(copy, format=form)
    assert refusal(copy)


def test_draws_of_another_card(copy, toy_fit):
    card = {**toy_fit.card.source, "offset": {}}
    rewrite(copy, card=card)
    reason = refusal(copy)
    assert reason == (
        "is not whole or was changed: its draws are of other parameters than its card and data have. Fit again."
    )


def test_a_law_of_ones_own_that_is_not_registered_yet(copy, toy_fit):
    # nothing is wrong with the file
    rewrite(copy, card={**toy_fit.card.source, "law": "mine"})
    assert refusal(copy) == (
        "was fitted with the law 'mine', which is not known here. If it is one of your own, import the module that "
        "registers it, in Python, before the fit is read."
    )


def test_group_taken_out(copy):
    with h5py.File(copy, "r+") as file:
        del file["observed_data"]
    assert refusal(copy).startswith("is not whole or was changed: ")


def test_place_that_cannot_be_written(toy_fit, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileError, match=r"^Cannot save the fit as .*taken: Is a directory\.$"):
        toy_fit.save(tmp_path / "taken")
    with pytest.raises(FileError, match=r"^Cannot save the fit as .*fit\.nc: No such file or directory\.$"):
        toy_fit.save(tmp_path / "no" / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_nothing_is_left_of_a_save_that_fails(toy_fit, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    path.write_text("the old one")

    def fill_up(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bayeslaw.storage.os.replace", fill_up)
    with pytest.raises(FileError, match="No space left on device"):
        toy_fit.save(path)
    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]
