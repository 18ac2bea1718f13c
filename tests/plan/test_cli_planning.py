"""`bayeslaw plan` and `bayeslaw next-runs`: answers, exit codes, pictures."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bayeslaw.cli import cli

QUANTITIES = ("n_params", "tokens", "recurrence", "tokens_per_param", "loss")
COLUMNS = {"mean", "median", "lo50", "hi50", "lo90", "hi90"}


def in_chains(fit, apart=0.0):
    """A fit of four chains whose checks pass, or, with the chains ``apart``, do not."""
    z = fit.z.reshape(4, -1, fit.z.shape[-1]) + apart * np.arange(4.0)[:, None, None]
    shape, rng = z.shape[:2], np.random.default_rng(0)
    stats = {name: rng.standard_normal(shape) for name in ("energy", "lp", "accept")}
    stats |= {"diverging": np.zeros(shape, bool), "steps": np.full(shape, 7)}
    return dataclasses.replace(fit, z=z, stats=stats)


@pytest.fixture(scope="module")
def saved(made_fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "fit.nc"
    in_chains(made_fit(draws=2000)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def doubtful(made_fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "doubtful.nc"
    in_chains(made_fit(draws=2000), apart=0.1).save(path)
    return str(path)


@pytest.fixture
def pilots(tmp_path):
    """``pilots(text)``: the path of a table of candidates."""

    def write(text):
        path = tmp_path / "pilots.csv"
        path.write_text(text)
        return str(path)

    return write


def run(*line):
    return CliRunner().invoke(cli, list(line))


def test_a_plan_as_json(saved):
    result = run("plan", saved, "--flops", "5.76e23", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["schema"] == "bayeslaw.plan/1"
    assert found["units"]["loss"] == "nats per token"
    assert {"n_params", "tokens", "recurrence", "tokens_per_param", "flops"} <= set(found["units"])
    for name in QUANTITIES:
        assert set(found[name]) == COLUMNS
    assert found["flops"] == 5.76e23
    assert found["decades_beyond_data"]["flops"] > 1
    left = found["misfit"]
    assert left["misfit"] == {"scale": 0.08, "length": 4.6}
    assert left["lo90"] < left["size"] < left["hi90"]
    assert 0 < left["least"] <= left["wasted"] < 1
    assert any("(misfit)" in note for note in found["notes"])
    alone = json.loads(run("plan", saved, "--flops", "5.76e23", "--json", "--misfit", "0").stdout)
    assert alone["misfit"] is None
    assert alone["n_params"] == found["n_params"]
    refused = run("plan", saved, "--target-loss", "2.5", "--misfit", "0.05")
    assert refused.exit_code == 2
    assert "goes with a budget" in refused.stderr


def test_a_plan_in_words_and_money(saved, tmp_path):
    picture = tmp_path / "plan.png"
    result = run("plan", saved, "--budget", "$50k", "--gpu", "h100", "--price", "2.0", "--plot", str(picture))
    assert result.exit_code == 0, result.stderr
    assert "25k h100-hours" in result.stdout
    assert "90 %" in result.stdout
    assert picture.stat().st_size > 10_000
    limited = run("plan", saved, "--flops", "1e23", "--sizes", "1B,7B", "--json")
    assert json.loads(limited.stdout)["n_params"]["median"] in (1e9, 7e9)


def test_a_target(saved, tmp_path):
    picture = tmp_path / "target.png"
    result = run("plan", saved, "--target-loss", "2.5", "--json", "--plot", str(picture))
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["flops"]["lo90"] < found["flops"]["median"] < found["flops"]["hi90"]
    assert picture.stat().st_size > 5_000
    assert "A loss of 2.5 takes" in run("plan", saved, "--target-loss", "2.5").stdout


def test_a_target_out_of_reach_is_bad_news_with_its_probability(saved):
    result = run("plan", saved, "--target-loss", "0.5", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["unreachable"] == 1
    assert "with probability 1" in result.stderr
    assert run("plan", saved, "--target-loss", "0.5").exit_code == 1


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (["--flops", "0"], "more than 0"),
        (["--flops", "-1e22"], "more than 0"),
        (["--flops", "12 parsecs"], "unit"),
        (["--flops", "$50k"], "price"),
        (["--flops", "1e22", "--gpu", "h101"], "h100"),
        (["--flops", "1e22", "--mfu", "4"], "MFU"),
        (["--flops", "1e22", "--price", "2", "--devices", "64"], "--price, --devices"),
        (["--target-loss", "2.5", "--mfu", "0.9"], "--gpu h100"),
        (["--flops", "1e22", "--max-params", "10"], "begin at 1000 parameters"),
        (["--flops", "1e22", "--group", "x"], "no group"),
        (["--flops", "1e22", "--sizes", "many"], "sizes"),
        (["--flops", "1e22", "--plot", "plan.docx"], "png"),
        ([], "one of the two"),
    ],
)
def test_bad_input_is_2_and_says_why(saved, line, word):
    result = run("plan", saved, *line)
    assert result.exit_code == 2
    assert word in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_next_runs(saved, tmp_path):
    path = tmp_path / "candidates.csv"
    rows = [
        {"run": f"{c:g}/{t}", "n_params": (c / 6 / t) ** 0.5, "tokens": (c / 6 * t) ** 0.5}
        for c in (1e19, 1e20)
        for t in (5, 80)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    money = ("--gpu", "h100", "--price", "2", "--json")
    result = run("next-runs", saved, "--candidates", str(path), "--flops", "1e26", *money)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert len(found["rows"]) == 4
    assert found["net"] == pytest.approx(found["saving"] - found["cost"])
    assert found["money"]["mistake"] > 0
    sure = run("next-runs", saved, "--candidates", str(path), "--flops", "1e26", "--misfit", "0", "--json")
    assert json.loads(sure.stdout)["saving"] != found["saving"]
    words = run("next-runs", saved, "--candidates", str(path), "--flops", "1e20", "--budget", "1e18")
    assert "none" in words.stdout
    bad = tmp_path / "bad.csv"
    pd.DataFrame([{"run": "a", "n_params": 1e9}]).to_csv(bad, index=False)
    result = run("next-runs", saved, "--candidates", str(bad), "--flops", "1e26")
    assert result.exit_code == 2
    assert "two of n_params, tokens and flops" in result.stderr


def test_a_fit_that_failed_its_checks_is_used_with_a_warning_and_1(doubtful, pilots):
    table = pilots("run,n_params,tokens\na,1e9,2e10\n")
    for line in (
        ["plan", doubtful, "--flops", "1e22", "--json"],
        ["plan", doubtful, "--target-loss", "2.5", "--json"],
        ["next-runs", doubtful, "--flops", "1e24", "--candidates", table, "--json"],
    ):
        result = run(*line)
        assert result.exit_code == 1
        assert "warning: Do not trust this fit yet: R-hat" in result.stderr
        assert json.loads(result.stdout)["schema"]
    assert run("plan", doubtful, "--flops", "1e22").exit_code == 1


def test_rates_need_a_device_which_a_budget_may_name(saved, pilots):
    table = pilots("run,n_params,tokens\na,1e9,2e10\n")
    asked = ("next-runs", saved, "--candidates", table, "--price", "2", "--json")
    result = run(*asked, "--flops", "1e24")
    assert result.exit_code == 2
    assert "--price" in result.stderr
    assert "--gpu h100" in result.stderr
    for budgets in (["--flops", "500k H100-hours"], ["--flops", "1e24", "--budget", "50k H100-hours"]):
        result = run(*asked, *budgets)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["money"]["mistake"] > 0
    found = json.loads(run("plan", saved, "--flops", "2000 H100-hours", "--price", "2", "--json").stdout)
    assert found["money"] == pytest.approx(4000)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("run,n_params,tokens,flops\na,1e9,2e10,\nb,1e9,2e10,1e22\n", ["'b' (row 2)", "1e+22", "83 times", "0.5 to 4"]),
        ("run,n_params,tokens\na,1e9,2e10\nb,1e9,2e10\na,1e9,6e10\n", ["'a'", "row 1", "row 3", "name of its own"]),
    ],
)
def test_candidates_that_cannot_be_meant(saved, pilots, rows, words):
    result = run("next-runs", saved, "--flops", "1e24", "--candidates", pilots(rows))
    assert result.exit_code == 2
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


def test_candidates_without_names_are_numbered(saved, pilots):
    line = ("next-runs", saved, "--flops", "1e24", "--json", "--candidates")
    found = json.loads(run(*line, pilots("n_params,tokens\n1e9,6e10\n1e9,2e10\n")).stdout)
    assert [(row["run"], row["tokens"]) for row in found["rows"]] == [("candidate 1", 6e10), ("candidate 2", 2e10)]


def test_a_misfit_beyond_its_limit_is_told_the_limit(saved, pilots):
    table = pilots("run,n_params,tokens\na,1e9,2e10\n")
    result = run("next-runs", saved, "--flops", "1e24", "--candidates", table, "--misfit", "50")
    assert result.exit_code == 2
    assert "below 10" in result.stderr


def test_the_frontier_is_of_the_plans_seed_and_cost(saved, tmp_path, monkeypatch):
    import importlib

    module, asked = importlib.import_module("bayeslaw.plan.frontier"), {}
    drawn = module.frontier
    monkeypatch.setattr(module, "frontier", lambda *a, **how: asked.update(how) or drawn(*a, **how, points=3))
    result = run("plan", saved, "--flops", "1e22", "--seed", "3", "--cost", "6ND", "--plot", str(tmp_path / "p.png"))
    assert result.exit_code == 0, result.stderr
    assert (asked["seed"], asked["cost"]) == (3, "6ND")


def test_a_budget_below_all_runs_is_in_the_picture(saved, tmp_path, monkeypatch):
    import importlib

    module, made = importlib.import_module("bayeslaw.plan.frontier"), []
    drawn = module.frontier
    monkeypatch.setattr(module, "frontier", lambda *a, **how: made.append(drawn(*a, **how, points=3)) or made[-1])
    result = run("plan", saved, "--flops", "1e12", "--plot", str(tmp_path / "p.png"))
    assert result.exit_code == 0, result.stderr
    assert made[0]["flops"].min() == 1e12
    assert not made[0]["inside"].iloc[0]
