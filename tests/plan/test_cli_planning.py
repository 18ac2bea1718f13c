"""`bayeslaw plan` and `bayeslaw next-runs`: answers, exit codes, pictures."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from bayeslaw.cli import cli

QUANTITIES = ("n_params", "tokens", "recurrence", "tokens_per_param", "loss")
COLUMNS = {"mean", "median", "lo50", "hi50", "lo90", "hi90"}


@pytest.fixture(scope="module")
def saved(made_fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "fit.nc"
    made_fit().save(path)
    return str(path)


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
