"""``plan`` and ``target`` as people call them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble
from bayeslaw.errors import FitError, PlanError, TargetError
from bayeslaw.fit import Fit
from bayeslaw.plan import Limits, plan, rates, target
from bayeslaw.plan.costs import SIX_N
from bayeslaw.plan.decision import judge
from bayeslaw.plan.looped import trade_off
from bayeslaw.plan.next_runs import next_runs
from bayeslaw.plan.optimum import optimum
from bayeslaw.plan.surface import Surface

NAMES = ["mean", "median", "lo50", "hi50", "lo90", "hi90"]


def test_a_plan_is_joint_draws_and_their_summary(made_fit):
    found = plan(made_fit(), 1e22)
    assert list(found.frame.columns) == NAMES
    assert {"n_params", "tokens", "recurrence", "tokens_per_param", "loss"} <= set(found.frame.index)
    d = found.draws
    assert np.allclose(6 * d["n_params"] * d["tokens"], 1e22)
    assert np.allclose(d["tokens_per_param"], d["tokens"] / d["n_params"])
    assert (found.frame["lo90"] <= found.frame["lo50"]).all()
    assert (found.frame["hi50"] <= found.frame["hi90"]).all()
    assert found.n_params["median"] == pytest.approx(np.median(d["n_params"]))
    assert (d["recurrence"] == 1).all()
    # one run strays from the law by more than the law is uncertain
    assert d["loss_observed"].std() > d["loss"].std()
    assert "tokens per parameter" in str(found)


def test_exponents_are_those_of_the_law(made_fit):
    fit = made_fit()
    p = Surface(fit).coefficients()
    share = (p["beta"] / (p["alpha"] + p["beta"]))[:, 0]
    found = plan(fit, 1e22).exponents
    assert found.loc["a", "median"] == pytest.approx(np.median(share), rel=1e-9)
    assert found.loc["b", "lo90"] == pytest.approx(np.quantile(1 - share, 0.05), rel=1e-9)


def test_the_choice_has_the_least_expected_loss(made_fit):
    fit = made_fit(spread=0.4)
    found, surface = plan(fit, 1e24), Surface(fit)
    best = optimum(surface, SIX_N, 1e24)
    for factor in (0.7, 0.97, 0.999, 1.001, 1.03, 1.4):
        other = judge(surface, SIX_N, Limits(), 1e24, best, found.choice.n_params * factor)
        assert other.loss > found.choice.loss
    assert found.choice.regret <= found.point.regret
    assert found.choice.regret > 0
    assert found.regret["mean"].min() == pytest.approx(found.choice.regret, rel=0.02)
    assert (found.sensitivity["lo90"] > 0).all()


def test_extrapolation_is_said_in_decades(made_fit):
    fit = made_fit()
    far, near = plan(fit, 1e25), plan(fit, 1e20)
    top = 6 * 5e9 * 5e9 * 80
    assert far.decades["flops"] == pytest.approx(np.log10(1e25 / top), abs=0.01)
    assert f"{np.log10(1e25 / top):.1f} decades above in compute" in str(far)
    assert near.decades["flops"] == 0
    assert "Inside the range" in str(near)


def test_a_new_group_is_less_certain_than_a_known_one(made_fit):
    fit = made_fit(groups=("books", "code", "web"))
    new, known = plan(fit, 1e22), plan(fit, 1e22, group="code")
    assert np.ptp(new.frame.loc["loss", ["lo90", "hi90"]]) > np.ptp(known.frame.loc["loss", ["lo90", "hi90"]])
    assert any("new group" in note for note in new.notes)
    assert plan(fit, 1e22).frame.equals(new.frame)


def test_what_a_target_takes(made_fit):
    fit = made_fit()
    at = plan(fit, 1e22).frame.loc["loss", "median"]
    found = target(fit, float(at))
    surface = Surface(fit)
    assert np.allclose(optimum(surface, SIX_N, found.draws).loss, at, rtol=1e-6)
    assert found.budget["lo90"] < 1e22 < found.budget["hi90"]
    assert (np.diff(found.curve["p"]) >= -0.02).all()
    assert (found.curve["p"] <= found.curve["p_best"]).all()
    assert found.probability(found.budget["hi90"]) == pytest.approx(0.95, abs=0.05)
    middle = plan(fit, target_loss=float(at))
    assert middle.flops == pytest.approx(found.budget["median"], rel=1e-6)


def test_a_target_below_the_irreducible_loss_says_how_likely(made_fit):
    with pytest.raises(TargetError, match="probability 1") as caught:
        target(made_fit(), 0.5)
    assert caught.value.probability == 1
    with pytest.raises(TargetError):
        plan(made_fit(), target_loss=0.5)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(PlanError, match="target loss"):
            target(made_fit(), bad)


def test_a_target_with_limits(made_fit):
    fit = made_fit()
    at = float(plan(fit, 1e21).frame.loc["loss", "median"])
    free, served = target(fit, at), target(fit, at, limits={"inference_tokens": 1e12})
    assert served.budget["median"] > free.budget["median"]
    with pytest.raises(TargetError):
        target(fit, at, limits={"max_tokens": 1e9})


def test_money_and_days(made_fit):
    found = plan(made_fit(), "$50k", rates=rates("h100", price=2.0, devices=8))
    assert found.flops == pytest.approx(25_000 * 3600 * 989e12 * 0.4)
    assert "25k h100-hours" in str(found)
    assert "days on 8" in str(found)


def test_bad_input(made_fit):
    fit = made_fit()
    for bad in (0, -1e22, "0 FLOP", "3 bananas"):
        with pytest.raises(PlanError):
            plan(fit, bad)
    with pytest.raises(FitError, match="A Fit is needed here, not str"):
        plan("fit.nc", 1e22)  # pyright: ignore[reportArgumentType]
    with pytest.raises(PlanError, match="one of the two"):
        plan(fit)
    with pytest.raises(PlanError, match="one of the two"):
        plan(fit, 1e22, target_loss=2.0)
    with pytest.raises(PlanError, match="no limit 'max_parms'"):
        plan(fit, 1e22, limits={"max_parms": 1e9})
    with pytest.raises(PlanError, match="max_params"):
        plan(fit, 1e22, limits={"max_params": -1})


def test_sweeps_at_fixed_budgets_are_told_of_the_law_for_them(made_fit):
    n = np.geomspace(5e7, 5e8, 5)
    rows = [pd.DataFrame({"n_params": n, "tokens": c / 6 / n}) for c in (1e18, 3e18, 1e19)]
    frame = pd.concat(rows, ignore_index=True)
    frame["loss"] = 1.8 + 480 / frame["n_params"] ** 0.35 + 2100 / frame["tokens"] ** 0.37
    frame["run"] = [f"r{i}" for i in range(len(frame))]
    problem = assemble(load_card("chinchilla"), Runs.from_frame(frame))
    z = 0.05 * np.random.default_rng(0).standard_normal((1, 50, problem.layout.dim))
    fit = Fit(load_card("chinchilla"), problem, z, {}, {"seed": 0})
    assert any("sweeps at 3 budgets" in note for note in plan(fit, 1e21).notes)
    assert not any("sweeps" in note for note in plan(made_fit(), 1e21).notes)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_tokens": 1e9}, "max_tokens (--max-tokens)"),
        ({"max_params": 1e8}, "max_params (--max-params)"),
        ({"memory": 2e8}, "memory (--memory)"),
        ({"sizes": [1e8]}, "sizes (--sizes)"),
        ({"sizes": [1e8, 1e11], "memory": 1e9, "max_params": 1e10}, "memory (--memory)"),
    ],
)
def test_the_limit_that_decides_is_named_with_what_it_costs(made_fit, limits, name):
    found, free = plan(made_fit(), 1e22, limits=limits), plan(made_fit(), 1e22)
    (said,) = [note for note in found.notes if note.startswith("The limit")]
    assert said == f"The limit {name} decides in 100% of the draws."
    less = np.median(found.draws["loss"] - free.draws["loss"])
    assert any(f"{free.loss['median']:.4f} is {less:.4f} lower" in note for note in found.notes)
    # the notes are of what decides, not of what is merely given
    loose = plan(made_fit(), 1e22, limits={"max_tokens": 1e15, "max_params": 1e15, "sizes": [1e8, 5e9, 1e12]})
    assert not any("limit" in note.lower() for note in loose.notes)


def test_a_loss_that_is_none_is_said_to_be(made_fit):
    assert any("more than a guess" in n for n in plan(made_fit(), 1e22, limits={"max_params": 1e3}).notes)
    with pytest.raises(PlanError, match="leaves 10"):
        plan(made_fit(), 1e22, limits={"max_params": 10})


def test_only_sizes_that_are_allowed_have_a_cost(made_fit):
    capped = plan(made_fit(), 1e22, limits={"max_params": 1e9})
    assert capped.sensitivity["median"].isna().to_list() == [False, True]
    assert capped.sensitivity["median"][0] > 0
    assert "0.5 × N costs" in str(capped)
    assert "2 × N is not allowed" in str(capped)
    one = str(plan(made_fit(), 1e22, limits={"sizes": [7e9]}))
    assert "× N" not in one
    assert "Other sizes" not in one
    some = plan(made_fit(), 1e22, limits={"sizes": [1e8, 1e9, 7e9, 7e10, 7e11]})
    assert some.choice.n_params == 7e9
    (said,) = [line for line in str(some).splitlines() if line.startswith("Other sizes")]
    assert "1B costs 0.1" in said
    assert "70B costs 0.0" in said
    assert "100M" not in said


def test_no_zero_has_a_minus(made_fit):
    for limits in ({"max_params": 1e3}, {"max_tokens": 1e9}, {"max_params": 1e9}, {"sizes": [7e9, 8e9]}):
        found = plan(made_fit(), 1e22, limits=limits)
        assert found.choice.regret >= 0
        assert " -" not in str(found).replace(" - ", " ")
        assert "which -" not in str(found)


def test_a_price_without_a_device_is_refused_everywhere(made_fit):
    fit = made_fit()
    for ask in (
        lambda: plan(fit, 1e22, rates=rates(price=2.0)),
        lambda: plan(fit, target_loss=2.5, rates=rates(price=2.0)),
        lambda: target(fit, 2.5, rates=rates(price=2.0)),
        lambda: plan(fit, "2000 H100-hours", rates=rates("a100", price=2.0)),
    ):
        with pytest.raises(PlanError, match="device"):
            ask()


def test_what_a_target_takes_is_asked_about_as_a_target(made_fit):
    fit = made_fit()
    low = float(np.quantile(Surface(fit).coefficients()["E"], 0.7))
    for found in (plan(fit, target_loss=low), target(fit, low)):
        said = " ".join(found.notes)
        assert f"Is a loss of {low:g} meant? It takes" in said
        assert "budget meant" not in said
    for wrong in (0, -1.0, float("nan"), float("inf")):
        for ask in (plan, target):
            with pytest.raises(PlanError, match="above 0"):
                ask(fit, **({"target_loss": wrong} if ask is plan else {"loss": wrong}))


def test_a_recurrence_that_no_run_had_is_said_to_be(made_fit):
    fit = made_fit("looped-total", looped=True)
    said = "16 recurrent steps are outside those of the runs fitted, 1 to 4"
    assert any(note.startswith(said) for note in plan(fit, 1e21, limits={"recurrences": (16,)}).notes)
    assert not any("outside those" in note for note in plan(fit, 1e21).notes)
    both = trade_off(fit, 1e21, limits={"recurrences": (1, 16)})
    assert next(note for note in both.notes if "outside those" in note).startswith(said)
    for share in (-0.1, 50):
        with pytest.raises(PlanError, match="from 0 to 1"):
            plan(fit, 1e21, recurrent_share=share)


def test_a_fit_that_failed_its_checks_is_named(made_fit):
    """Whoever plans with a saved fit did not see its verdict."""
    good = made_fit()
    chains, draws = good.z.shape[:2]
    stats = {"energy": np.random.default_rng(0).standard_normal((chains, draws)),
             "diverging": np.ones((chains, draws), bool), "steps": np.ones((chains, draws))}  # fmt: skip
    bad = dataclasses.replace(good, stats=stats)
    assert not bad.check().ok
    rows = pd.DataFrame({"n_params": [1e9], "tokens": [2e10]})
    for found in (plan(bad, 1e22), target(bad, 2.5), next_runs(bad, rows, 1e22)):
        assert "Do not trust this fit yet: R-hat" in str(found)
    assert "trust" not in str(plan(good, 1e22))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"limits": {"max_params": "1B"}}, "max_params is a number above 0, not '1B'"),
        ({"limits": {"sizes": 7e9}}, "sizes is a list"),
        ({"limits": {"sizes": "1B,7B"}}, "sizes is a list"),
        ({"limits": {"sizes": []}}, "sizes is a list of at least one"),
        ({"limits": {"recurrences": 2}}, "recurrences is a list"),
        ({"limits": {"inference_tokens": "1T"}}, "inference_tokens is a number"),
        ({"draws": 0}, "draws is a whole number of at least 1"),
        ({"seed": -1}, "seed is a whole number"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(made_fit, how, said):
    with pytest.raises((PlanError, FitError), match=said):
        plan(made_fit(), 1e22, **how)
