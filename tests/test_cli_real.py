"""The commands with the real sampler, once through: fit, check and forecast of a small table."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bayeslaw.cli import cli

LAW = {"E": 1.8, "A": 160.0, "alpha": 0.33, "B": 460.0, "beta": 0.32}


def run(*args: str):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert "Traceback" not in result.output
    assert "defect" not in result.stderr
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """log.csv (four sizes, up to 1e10 tokens), at.csv (three times as far) with its true losses in truth."""
    home = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        [(f"{n:g}", n, d) for n in (5e7, 2e8, 8e8, 3e9) for d in np.geomspace(3e8, 3e10, 11)],
        columns=["run", "n_params", "tokens"],
    )
    curve = LAW["E"] + LAW["A"] / rows["n_params"] ** LAW["alpha"] + LAW["B"] / rows["tokens"] ** LAW["beta"]
    early = rows["tokens"] <= 1e10
    rows["loss"] = curve * np.exp(0.002 * rng.standard_normal(len(rows)))
    rows[early].to_csv(home / "log.csv", index=False)
    rows[~early].drop(columns="loss").to_csv(home / "at.csv", index=False)
    curve[~early].to_csv(home / "truth.csv", index=False, header=["loss"])
    options = ["--chains", "2", "--warmup", "200", "--draws", "200", "--seed", "1"]
    done = run("fit", home / "log.csv", "-o", home / "fit.nc", *options)
    assert done.exit_code in (0, 1), done.output
    (home / "fit.txt").write_text(done.stdout, encoding="utf-8")
    return home


def test_fit_prints_the_parameters_and_the_verdict(folder):
    text = (folder / "fit.txt").read_text(encoding="utf-8")
    assert text.startswith("chinchilla: L = E + A / N^alpha + B / D^beta\n4 runs, ")
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line and line.split()[0] in LAW}
    assert list(rows) == list(LAW)
    assert abs(float(rows["beta"][1]) - LAW["beta"]) < 0.05
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


def test_check_agrees_with_its_exit_code(folder):
    done = run("check", folder / "fit.nc", "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == (0 if answer["ok"] else 1)
    checks = {each["test"]: each for each in answer["checks"]}
    assert checks["R-hat"]["threshold"] == 1.01
    assert 0.9 < checks["R-hat"]["value"] < 2
    assert (checks["ESS bulk"]["relation"], checks["ESS bulk"]["unit"]) == (">=", "draws")
    for each in checks.values():
        held = each["value"] <= each["threshold"] if each["relation"] == "<=" else each["value"] >= each["threshold"]
        assert each["ok"] == held
        assert (each["remedy"] is None) == held
    assert run("check", folder / "fit.nc").exit_code == done.exit_code


def test_forecast_covers_the_curve(folder):
    done = run("forecast", folder / "fit.nc", "--at", folder / "at.csv", "-o", "-")
    assert done.exit_code == run("check", folder / "fit.nc").exit_code, done.output
    band = pd.read_csv(io.StringIO(done.stdout))
    truth = pd.read_csv(folder / "truth.csv")["loss"]
    at = pd.read_csv(folder / "at.csv")
    np.testing.assert_array_equal(band["tokens"], at["tokens"])
    assert (abs(band["median"] / truth - 1) < 0.02).all()
    assert ((band["lo90"] < truth) & (truth < band["hi90"])).mean() > 0.6
    again = run("forecast", folder / "fit.nc", "--at", folder / "at.csv", "-o", "-")
    assert again.stdout == done.stdout


def test_what_a_reader_of_the_band_should_know_is_said(folder, tmp_path):
    one = pd.read_csv(folder / "at.csv").iloc[:1]
    one.to_csv(tmp_path / "one.csv", index=False)
    done = run("forecast", folder / "fit.nc", "--at", tmp_path / "one.csv", "--given", folder / "log.csv", "--json")
    assert done.exit_code == run("check", folder / "fit.nc").exit_code, done.output
    answer = json.loads(done.stdout)
    assert any("Not used: 3 runs of given that are not in at" in note for note in answer["notes"])
    assert "bayeslaw: Not used: 3 runs of given" in done.stderr


def test_an_unknown_model_offers_the_nearest(folder, tmp_path):
    done = run("fit", folder / "log.csv", "-m", "chinchila", "-o", tmp_path / "x.nc", "--quiet")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bayeslaw: No model is called 'chinchila'. Did you mean chinchilla or ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_bad_input_and_leaves_no_file(folder, tmp_path):
    pd.read_csv(folder / "log.csv").drop(columns="n_params").to_csv(tmp_path / "log.csv", index=False)
    done = run("fit", tmp_path / "log.csv", "-o", tmp_path / "x.nc", "--quiet")
    assert done.exit_code == 2
    assert "n_params" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
    damaged = tmp_path / "cut.nc"
    damaged.write_bytes((folder / "fit.nc").read_bytes()[:5000])
    assert run("check", damaged).exit_code == 2
    assert run("forecast", damaged, "--at", folder / "at.csv").exit_code == 2
