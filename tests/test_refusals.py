"""What is refused, and how, wherever a user meets it: in Python, and in `load`, `fit` and `forecast` of the shell."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw as bl
from bayeslaw.cli import cli
from bayeslaw.errors import BayeslawError, DataWarning

STEPS = np.arange(1.0, 13.0)
LOG = pd.DataFrame(
    {"run": "a", "n_params": 1e8, "step": STEPS, "tokens": STEPS * 1e9, "loss": 2.7 + 2100 / (STEPS * 1e9) ** 0.37}
)


def text(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def cell(column: str, row: int, value: object) -> pd.DataFrame:
    """The log with one cell changed; rows counted from 1."""
    frame = LOG.astype({column: object})
    frame.loc[row - 1, column] = value
    return frame


#: file -> what it holds (None: a folder), and what the one paragraph says
REFUSED: dict[str, tuple[bytes | None, str]] = {
    "empty.csv": (b"", "empty.csv is empty. A table of runs has a header and one row per logged step."),
    "header.csv": (text(LOG[:0]), "header.csv has no rows: only the columns 'run', 'n_params'"),
    "no-loss.csv": (text(LOG.drop(columns="loss")), "There is no loss column (nats per token) among 'run'"),
    "text.csv": (
        text(cell("loss", 7, "oops")),
        "Run 'a', row 7: column 'loss' holds 'oops', but loss must be a number.",
    ),
    "minus.csv": (text(cell("tokens", 4, -5)), "Run 'a', row 4: tokens is -5, but must be above zero."),
    "zero.csv": (text(cell("tokens", 4, 0)), "Run 'a', row 4: tokens is 0, but must be above zero."),
    "flat.csv": (text(LOG.assign(loss=2.5)), "Run 'a': the loss is 2.5 in all 12 rows."),
    "nan.csv": (text(LOG.assign(loss="NaN")), "nan.csv has 12 rows and not one finite loss."),
    "bits.csv": (text(LOG.rename(columns={"loss": "bits_per_token"})), "a loss in bits per token: multiply by ln 2"),
    "bpb.csv": (text(LOG.rename(columns={"loss": "val/bpb"})), "by ln 2 = 0.6931 and by the tokenizer's mean bytes"),
    "ppl.csv": (text(LOG.rename(columns={"loss": "perplexity"})), "like a perplexity: take its natural logarithm."),
    "cut.csv.gz": (gzip.compress(text(LOG))[:-12], "cut.csv.gz is a damaged or truncated gzip file ("),
    "folder": (None, "folder is a folder, and no file in it looks like a log."),
}


@pytest.fixture
def make(tmp_path):
    """``make(name)``: the path of a file of ``REFUSED``."""

    def write(name: str) -> str:
        data, path = REFUSED[name][0], tmp_path / name
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small fit on disk."""
    path = tmp_path_factory.mktemp("fits") / "fit.nc"
    bl.fit(bl.Runs.from_frame(LOG), chains=1, warmup=50, draws=10).save(path)
    return path


def refused(*args: object) -> str:
    """Run a command that has no answer: exit code 2, nothing on stdout, one paragraph on stderr, which is returned."""
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "defect" not in result.stderr
    assert result.stderr.startswith("bayeslaw: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("name", REFUSED)
def test_python_raises_the_paragraph(make, name):
    with pytest.raises(BayeslawError) as caught:
        bl.load(make(name))
    assert REFUSED[name][1] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_every_command_that_reads_a_log_says_it(make, name, fitted, tmp_path):
    path, out = make(name), tmp_path / "new.nc"
    rows = tmp_path / "rows.csv"
    LOG.drop(columns="loss").to_csv(rows, index=False)
    for command in (
        ["load", path],
        ["load", path, "--explain"],
        ["load", path, "--json"],
        ["fit", path, "-o", out],
        ["forecast", fitted, "--at", rows, "--given", path],
    ):
        assert REFUSED[name][1] in refused(*command)
    assert not out.exists()
    assert not [p for p in tmp_path.iterdir() if "part" in p.name]


@pytest.mark.parametrize("name", ["empty.csv", "header.csv", "minus.csv", "zero.csv", "cut.csv.gz", "folder"])
def test_rows_to_forecast_are_refused_too(make, name, fitted):
    assert REFUSED[name][1] in refused("forecast", fitted, "--at", make(name))


def test_a_run_of_nan_is_named_and_the_others_are_fitted(tmp_path):
    log, out = tmp_path / "log.csv", tmp_path / "fit.nc"
    pd.concat([LOG, LOG.assign(run="dead", loss=np.nan)]).to_csv(log, index=False, na_rep="NaN")
    shown = CliRunner().invoke(cli, ["load", str(log)])
    assert shown.exit_code == 0
    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:]] == [
        ["a", "100M", "12", "12"],
        ["dead", "100M", "12", "0"],
    ]
    assert "bayeslaw: run 'dead' was left out: it has not one finite loss.\n" in shown.stderr
    explained = CliRunner().invoke(cli, ["load", str(log), "--explain"])
    assert "dead: Not one finite loss in 12 rows: the run was left out." in explained.stdout
    done = CliRunner().invoke(
        cli, ["fit", str(log), "-o", str(out), "--chains", "1", "--warmup", "50", "--draws", "10"]
    )
    assert done.exit_code == 1, done.output  # one chain cannot be trusted
    assert "Left out, for it has not one finite loss: 'dead'.\n" in done.stdout
    back = bl.load_fit(out)
    assert back.runs == ("a",)
    assert "Left out, for it has not one finite loss: 'dead'." in back.problem.notes


def test_losses_above_15_are_warned_of_and_taken(tmp_path):
    log = tmp_path / "log.csv"
    LOG.assign(loss=10 * LOG["loss"]).to_csv(log, index=False)
    with pytest.warns(DataWarning, match="Run 'a': the median loss is above 15, .*Is it a perplexity"):
        assert bl.load(log).names == ("a",)
    result = CliRunner().invoke(cli, ["load", str(log)])
    assert result.exit_code == 0
    assert "bayeslaw: warning: Run 'a': the median loss is above 15" in result.stderr
    assert "high_loss" in CliRunner().invoke(cli, ["load", str(log), "--explain"]).stdout


def test_a_damaged_or_newer_fit_is_refused_by_check_and_forecast(fitted, tmp_path):
    import json

    import h5py

    rows, cut, newer = tmp_path / "rows.csv", tmp_path / "cut.nc", tmp_path / "newer.nc"
    LOG.drop(columns="loss").to_csv(rows, index=False)
    cut.write_bytes(fitted.read_bytes()[:-2000])
    shutil.copy(fitted, newer)
    with h5py.File(newer, "r+") as file:
        record = json.loads(file.attrs["bayeslaw"]) | {"format": 99, "meta": {"versions": {"bayeslaw": "7.5"}}}
        file.attrs["bayeslaw"] = json.dumps(record)
    for path, reason in (
        (cut, "it is not netCDF, or was cut short. Fit again, or copy the file anew."),
        (newer, "was written by bayeslaw 7.5, in form 99"),
        (tmp_path, "is a directory, not a saved fit."),
        (rows, "is no saved fit. If it is a log, fit it first: bayeslaw fit "),
        (tmp_path / "no.nc", "does not exist. Save one with"),
    ):
        assert reason in refused("check", path)
        assert reason in refused("forecast", path, "--at", rows)
        with pytest.raises(BayeslawError) as caught:
            bl.load_fit(path)
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"), [("chinchila", "chinchilla"), ("multipower", "multi-power"), ("Looped_Total", "looped-total")]
)
def test_an_unknown_model_offers_the_nearest(tmp_path, name, near):
    log = tmp_path / "log.csv"
    log.write_bytes(text(LOG))
    said = refused("fit", log, "-m", name, "-o", tmp_path / "fit.nc")
    assert said.startswith(f"bayeslaw: No model is called '{name}'. Did you mean {near}")
    with pytest.raises(BayeslawError, match=f"Did you mean {near}"):
        bl.fit(bl.Runs.from_frame(LOG), model=name)
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_a_column_that_the_law_needs_is_asked_for_with_the_option_that_gives_it(tmp_path):
    log = tmp_path / "log.csv"
    log.write_bytes(text(LOG.drop(columns=["n_params", "tokens"])))
    assert "--batch-tokens 4M" in refused("fit", log, "--n-params", "7B", "-o", tmp_path / "fit.nc")
    assert "--n-params 7B" in refused("fit", log, "--batch-tokens", "4M", "-o", tmp_path / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]
