"""Tables of the shapes that people have, through the shell: fitted, the card's answer to them said, and forecast.

A log without step and group is in `test_cli_real.py`; what must be refused is in `test_refusals.py`.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bayeslaw import Runs, load_card
from bayeslaw.cli import cli

QUICK = ["--chains", "1", "--warmup", "50", "--draws", "20", "--quiet"]


def run(*args: object, codes: tuple[int, ...] = (0,)):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code in codes, result.output
    assert "Traceback" not in result.output
    return result


def test_one_point_per_run(truth, tmp_path):
    """Final losses: no step, no run names. The run level is dropped, and that is said when fitting and when reading."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"N": 10 ** rng.choice([8.0, 8.5, 9.0], 24), "D": 10 ** rng.uniform(9, 10.5, 24)})
    table["loss"] = truth.law(table["N"], table["D"]) * np.exp(0.003 * rng.standard_normal(24))
    log, out = tmp_path / "points.csv", tmp_path / "fit.nc"
    table.to_csv(log, index=False)
    said = run("fit", log, "-o", out, *QUICK, codes=(0, 1)).stdout
    assert "\n24 runs, 24 points; 1 chain of 20 draws\n" in said
    # the sentence may be wrapped
    assert "One point per run: the run level and the discrepancy are dropped" in " ".join(said.split())
    assert "level_run" not in said
    at = tmp_path / "at.csv"
    table[:3].drop(columns="loss").to_csv(at, index=False)
    # one chain cannot be checked: the forecast is made, and ends in the code of a fit that cannot be trusted
    band = pd.read_csv(io.StringIO(run("forecast", out, "--at", at, "-o", "-", codes=(1,)).stdout))
    np.testing.assert_allclose(band["median"], table["loss"][:3], rtol=0.03)


def test_runs_of_very_different_length_without_tokens_and_group(truth, tmp_path):
    """One row, three rows and two thousand; tokens are derived because it was asked for."""
    rng = np.random.default_rng(2)
    parts = [
        truth.curve(f"r{count}", "c4", n, np.unique(np.linspace(20_000, 250, count).round()), rng)
        for n, count in ((1e8, 1), (3e8, 3), (1e9, 2000))
    ]
    log, out, at = tmp_path / "log.csv", tmp_path / "fit.nc", tmp_path / "at.csv"
    pd.concat(parts).drop(columns=["tokens", "group"]).to_csv(log, index=False)
    batch = ["--batch-tokens", "0.5M"]
    said = run("fit", log, "-o", out, *batch, *QUICK, codes=(0, 1)).stdout
    assert said.splitlines()[1].startswith("3 runs, ")
    pd.DataFrame({"run": ["r1", "r3", "r2000"], "n_params": [1e8, 3e8, 1e9], "step": 24_000}).to_csv(at, index=False)
    band = pd.read_csv(io.StringIO(run("forecast", out, "--at", at, *batch, "-o", "-", codes=(1,)).stdout))
    assert band["tokens"].tolist() == [1.2e10] * 3
    np.testing.assert_allclose(band["median"], truth.law(band["n_params"], band["tokens"]), rtol=0.05)
    # what is known best is known most narrowly
    width = (band["curve_hi90"] - band["curve_lo90"]) / band["curve_mean"]
    assert width[2] < width[1]


def test_ten_thousand_curves_are_laid_out_and_have_a_density(truth):
    """Ten thousand runs of four rows: through reading, assembling and one gradient of the density."""
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine.assemble import assemble
    from bayeslaw.engine.density import log_posterior

    rng = np.random.default_rng(3)
    count, rows = 10_000, 4
    table = pd.DataFrame(
        {
            "run": np.repeat([f"r{i}" for i in range(count)], rows),
            "n_params": np.repeat(10 ** rng.choice([8.0, 8.5, 9.0], count), rows),
            "tokens": np.tile(np.geomspace(1e9, 1e10, rows), count),
        }
    )
    table["loss"] = truth.law(table["n_params"], table["tokens"]) * np.exp(0.003 * rng.standard_normal(len(table)))
    problem = assemble(load_card("chinchilla"), Runs.from_frame(table))
    assert len(problem.series) == count
    assert len(problem.bins) == count * rows
    with jax.enable_x64(True):
        data = jax.tree.map(jnp.asarray, problem.data)
        density = jax.jit(jax.value_and_grad(lambda z, data: log_posterior(problem.layout, data, z)))
        # at the prior's centre, and with the noise that the rows have instead of the prior's
        start = np.zeros(problem.layout.dim)
        value, gradient = density(jnp.asarray(start), data)
        assert np.isfinite(float(value))
        assert np.isfinite(np.asarray(gradient)).all()
        # the density is that of its runs together: a step along the gradient climbs
        up = start + 1e-9 * np.asarray(gradient)
        assert float(density(jnp.asarray(up), data)[0]) > float(value)


@pytest.mark.parametrize("columns", [["step"], ["tokens"], ["group"], ["step", "group"], ["tokens", "group"]])
def test_a_log_loads_without(truth, tmp_path, columns):
    log = tmp_path / "log.csv"
    curve = truth.curve("a", "c4", 1e8, np.arange(500, 5001, 500), np.random.default_rng(4))
    curve.drop(columns=columns).to_csv(log, index=False)
    header, line = run("load", log).stdout.splitlines()
    assert not set(columns) & set(header.split())
    assert line.split()[:2] == ["a"] + (["100M"] if "group" in columns else ["c4"])
