"""Designs against closed forms and exhaustive search; what runs are worth against cases that are known."""

import dataclasses
import importlib

import numpy as np
import pandas as pd
import pytest

from bayeslaw.cards import load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.assemble import assemble
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan import rates
from bayeslaw.plan.candidates import Candidates, candidates
from bayeslaw.plan.design import Joint, exhaustive, greedy
from bayeslaw.plan.next_runs import next_runs
from bayeslaw.plan.value import Waste, saving


def table():
    rows = [
        {"run": f"{c:g}/{per}", "n_params": (c / 6 / per) ** 0.5, "flops": c}
        for c in (1e19, 1e20, 1e21)
        for per in (5, 80)
    ]
    return pd.DataFrame(rows)


def with_one_near():
    """The pilots, and one of a hundredth of 1e24 FLOP, near enough to tell of its best size."""
    return pd.concat([table(), pd.DataFrame([{"run": "1e22/5", "n_params": (1e22 / 30) ** 0.5, "flops": 1e22}])])


def test_variance_left_is_that_of_gaussian_conditioning():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((3, 5))
    noise = np.diag([0.3, 0.2, 0.5, 0.1]) + 0.05
    cov = mix.T @ mix
    joint = Joint(cov[:1, :1], cov[:1, 1:], cov[1:, 1:], noise)
    # the posterior of three standard normal coefficients seen through two rows, inverted by brute force
    g = mix.T[1:][[1, 3]]
    posterior = np.linalg.inv(np.eye(3) + g.T @ np.linalg.inv(noise[np.ix_([1, 3], [1, 3])]) @ g)
    assert joint.left([1, 3]) == pytest.approx(mix.T[0] @ posterior @ mix.T[0])
    assert joint.information([1, 3]) == pytest.approx(-0.5 * np.linalg.slogdet(posterior)[1])
    assert joint.left(()) == pytest.approx(cov[0, 0])
    assert joint.reduction([0, 1, 2, 3]) > joint.reduction([1, 3]) > joint.reduction([1])


def test_moments_of_draws():
    rng = np.random.default_rng(1)
    t, f = rng.standard_normal((500, 2)), rng.standard_normal((500, 3))
    joint = Joint.of(t, f, np.eye(3))
    assert np.allclose(
        np.block([[joint.target, joint.cross], [joint.cross.T, joint.candidates]]), np.cov(np.hstack([t, f]).T)
    )


@pytest.mark.parametrize("seed", range(12))
def test_greedy_comes_near_exhaustive(seed):
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((400, 4))
    f = draws @ rng.standard_normal((4, 8))
    joint = Joint.of(draws[:, :1] + 0.5 * draws[:, 1:2], f, np.diag(rng.uniform(0.5, 3, 8)))
    cost = rng.uniform(1, 4, 8)
    found, best = greedy(joint.reduction, cost, 7.0), exhaustive(joint.reduction, cost, 7.0)
    assert cost[found].sum() <= 7.0
    assert joint.reduction(found) <= joint.reduction(best) + 1e-12
    assert joint.reduction(found) >= 0.75 * joint.reduction(best)
    assert greedy(joint.reduction, cost, 0.5) == exhaustive(joint.reduction, cost, 0.5) == []


def test_candidates_are_completed_by_the_groups_own_cost(made_fit):
    fit = made_fit(groups=("code", "web"), flops_ratio=lambda f: np.where(f["group"] == "code", 0.5, 1.0))
    rows = pd.DataFrame(
        {
            "n_params": [1e9, 1e9, np.nan],
            "tokens": [1e10, np.nan, 1e10],
            "flops": [np.nan, 3e19, 3e19],
            "group": ["code", "web", "code"],
        }
    )
    found = candidates(fit, rows).frame
    assert np.allclose(found["flops"], 3e19)
    assert found["n_params"][2] == pytest.approx(1e9)
    assert found["tokens"][1] == pytest.approx(5e9)
    with pytest.raises(PlanError, match="two of"):
        candidates(fit, pd.DataFrame({"n_params": [1e9]}))
    with pytest.raises(PlanError, match="above 0"):
        candidates(fit, pd.DataFrame({"n_params": [-1e9], "tokens": [1e9]}))
    with pytest.raises(PlanError, match="no candidate"):
        candidates(fit, pd.DataFrame())


@pytest.mark.parametrize(("card", "looped"), [("chinchilla", False), ("isoflop", False), ("looped-total", True)])
def test_candidates_together_are_what_each_is_alone(made_fit, card, looped):
    fit = made_fit(card, looped=looped, groups=("code", "web"))
    rows = pd.DataFrame(
        {
            "n_params": [1e9, 3e8, 2e9, np.nan],
            "tokens": [1e10, 4e10, np.nan, 2e10],
            "flops": [6e19, 7.2e19, 6e19, 6e19],
            "group": ["web", "code", "web", "code"],
        }
    )
    if looped:
        rows["recurrence"] = [1.0, 2.0, 2.0, 4.0]
    surfaces = {}
    together = candidates(fit, rows, surfaces)
    for i in range(len(rows)):
        alone = candidates(fit, rows.iloc[[i]], surfaces)
        assert np.allclose(together.log_loss[:, i], alone.log_loss[:, 0], rtol=1e-12)
        assert together.noise[i] == pytest.approx(alone.noise[0], rel=1e-12)
        assert together.cost[i] == alone.cost[0] == rows["flops"][i]


def test_a_saving_is_that_of_perfect_information_when_a_run_tells_all():
    # two sizes, two kinds of surface; a run tells which kind, at little noise
    kind = (np.arange(200) % 5 < 2) * 1
    one = Waste(np.array([1.0, 2.0]), np.stack([0.1 * kind, 0.1 * (1 - kind)], axis=1), np.log(1.0 + kind))
    frame = pd.DataFrame({"run": ["tells", "mute"], "flops": [1.0, 1.0]})
    runs = Candidates(frame, np.stack([kind * 1.0, 0 * kind], axis=1), np.array([0.01, 0.01]), np.array([0, 1]), 0.0)
    assert one.now[1] == pytest.approx(0.04)
    assert saving(one, runs, [0]) == pytest.approx(0.04, abs=1e-6)
    assert abs(saving(one, runs, [1])) < 1e-9
    assert saving(one, runs, []) == 0


def test_none_is_said_when_none_is_worth_it_and_runs_when_they_are(made_fit):
    fit = made_fit(spread=0.3)
    small = next_runs(made_fit(spread=0.02), table(), 1e21, budget=1e21, rates=rates("h100", price=2.0))
    assert small.chosen == ()
    assert "none" in str(small)
    large = next_runs(fit, with_one_near(), 1e24, rates=rates("h100", price=2.0))
    assert large.chosen
    assert large.net > 0
    assert large.cost == pytest.approx(large.frame.loc[large.frame["chosen"], "flops"].sum())
    assert "in money" in str(large)
    assert 0 < large.reduction < 1
    assert large.saving <= large.mistake * 1.05
    alone = next_runs(fit, table().iloc[[-1]], 1e24, by="variance")
    assert alone.frame["saving"].to_list() == [alone.saving]


def test_by_variance_keeps_to_its_budget(made_fit):
    fit = made_fit(spread=0.3)
    found = next_runs(fit, table(), 1e25, budget=3e20, by="variance")
    best = next_runs(fit, table(), 1e25, budget=3e20, by="variance", search="exhaustive")
    assert found.cost <= 3e20
    assert best.reduction * (1 + 1e-9) >= found.reduction >= 0.7 * best.reduction
    with pytest.raises(PlanError, match="value"):
        next_runs(fit, table(), 1e25, by="luck")
    with pytest.raises(PlanError, match="15"):
        next_runs(fit, pd.concat([table()] * 3), 1e25, search="exhaustive")
    with pytest.raises(PlanError, match="more than 0"):
        next_runs(fit, table(), 0)


def test_runs_of_a_new_budget_stray_together():
    size = np.tile(np.geomspace(5e7, 5e8, 6), 3)
    compute = np.repeat([1e18, 3e18, 1e19], 6)
    sweep = pd.DataFrame({"n_params": size, "tokens": compute / 6 / size, "flops": compute, "loss": 3.0})
    card = load_card("isoflop")
    problem = assemble(card, Runs.from_frame(sweep.assign(run=[f"r{i}" for i in range(18)])))
    # every draw the same: what spreads is only what is drawn anew
    fit = Fit(card, problem, np.zeros((1, 400, problem.layout.dim)), {}, {"seed": 0})
    table = pd.DataFrame({"n_params": [1e8, 1.2e8, 1e8, 1e8], "flops": [1e20, 1e20, 1e21, 3e18]})
    log_loss = candidates(fit, table).log_loss
    assert np.ptp(log_loss[:, 3]) < 1e-12
    together = np.corrcoef(log_loss[:, :3].T)
    assert together[0, 1] > 0.9
    assert abs(together[0, 2]) < 0.2


def test_what_chance_makes_of_a_saving_is_little():
    """A run that tells next to nothing saves nothing: what an estimate says of it is its noise."""
    rng = np.random.default_rng(2)
    log_n, size = rng.standard_normal(1000), np.linspace(-3, 3, 49)
    one = Waste(np.exp(size), 1 - np.exp(-((size[None, :] - log_n[:, None]) ** 2)), log_n)
    curve = (0.003 * log_n + 0.01 * rng.standard_normal(1000))[:, None]
    frame = pd.DataFrame({"run": ["mute"], "flops": [1.0]})
    runs = Candidates(frame, curve, np.array([1.0]), np.array([0]), 0.0)
    few, many = ([saving(one, runs, [0], seed, times) for seed in range(8)] for times in (4, 64))
    assert np.std(many) < 0.5 * np.std(few)
    assert np.abs(many).max() < 2e-3


def test_the_sentence_and_the_table_agree(made_fit):
    """Whatever the seed, none is said only where no net in the table is above 0, and what is chosen has the most."""
    fit, asked = made_fit(spread=0.1), table()
    for seed in range(6):
        for flops in (1e21, 1e22, 1e23, 1e24):
            found = next_runs(fit, asked, flops, seed=seed)
            within = found.frame.loc[found.frame["flops"] <= found.budget, "net"]
            assert bool(found.chosen) == bool((within > 0).any())
            assert found.net >= within.max() or not found.chosen
            assert found.net == pytest.approx(found.saving - found.cost)


def test_none_has_its_true_reason(made_fit):
    fit = made_fit(spread=0.3)
    poor = next_runs(fit, table(), 1e26, budget=1e3)
    assert poor.chosen == ()
    assert "The cheapest candidate, 1e+19/5, costs 1e+19 FLOP, more than the budget of 1k FLOP." in str(poor)
    assert "more than the budget" in str(next_runs(fit, table(), 1e26, budget=1e3, by="variance"))
    idle = next_runs(made_fit(spread=0.0), table(), 1e24)
    assert "Next runs: none. No candidate saves what it costs." in str(idle)
    rich = next_runs(fit, with_one_near(), 1e24)
    worth = rich.frame.loc[rich.frame["net"] > 0, "run"].to_list()
    assert worth
    frame = rich.frame.assign(net=np.where(rich.frame["flops"] > 1e19, rich.frame["net"], -1e18), chosen=False)
    short = dataclasses.replace(rich, frame=frame, chosen=(), budget=1e19)
    beyond = [str(r) for r in frame.loc[frame["net"] > 0, "run"]]
    assert f"No candidate within the budget of 1e+19 FLOP saves what it costs; beyond it {', '.join(beyond)}" in str(
        short
    )


def test_three_columns_that_disagree_are_refused_by_the_groups_own_count(made_fit):
    fit = made_fit(groups=("code", "web"), flops_ratio=lambda f: np.where(f["group"] == "code", 9.0, 1.0))
    one = {"run": "a", "n_params": 1e9, "tokens": 2e10, "group": "code"}
    # nine times 6 N D is what this group's runs take
    assert candidates(fit, pd.DataFrame([one | {"flops": 9 * 1.2e20}])).cost[0] == 9 * 1.2e20
    with pytest.raises(PlanError, match=r"'a' \(row 1\).*0\.11 times that\. 0\.5 to 4 times are expected"):
        candidates(fit, pd.DataFrame([one | {"flops": 1.2e20}]))
    # attention and embeddings on top
    assert candidates(fit, pd.DataFrame([one | {"group": "web", "flops": 3 * 1.2e20}])).cost[0] == 3 * 1.2e20
    with pytest.raises(PlanError, match="9 times that"):
        candidates(fit, pd.DataFrame([one | {"group": "web", "flops": 9 * 1.2e20}]))


def test_a_name_given_twice_is_refused(made_fit):
    twice = pd.DataFrame({"run": ["a", "b", "b"], "n_params": 1e9, "tokens": [1e10, 2e10, 3e10]})
    with pytest.raises(PlanError, match="'b' stands in row 2 and again in row 3"):
        candidates(made_fit(), twice)


def test_a_candidate_without_a_group_is_of_the_targets(made_fit):
    fit = made_fit(groups=("code", "web"), spread=0.3)
    rows = pd.DataFrame({"run": list("abc"), "n_params": 1e9, "tokens": 2e10})
    found = next_runs(fit, rows.assign(group=["code", None, " "]), 1e24, group="code", misfit=None).frame
    assert found["group"].to_list() == ["code"] * 3
    assert np.ptp(found["reduction"]) < 1e-12
    assert next_runs(fit, rows, 1e24, group="code", misfit=None).frame["reduction"].equals(found["reduction"])
    # a group that is named and was not fitted is new, and tells less
    other = next_runs(fit, rows.assign(group=["code", "math", None]), 1e24, group="code", misfit=None)
    assert other.frame["group"].to_list() == ["code", "math", "code"]
    assert other.frame["reduction"][1] < 0.5 * found["reduction"][1]
    assert any("'math'" in note for note in other.notes)


def test_a_candidate_that_is_no_language_model_is_refused(made_fit):
    """In millions and billions: what the law says of it would make it the best of buys."""
    with pytest.raises(PlanError, match=r"'pilot' \(row 1\): 1k parameters on 20 tokens.*nats a token.*in millions"):
        next_runs(made_fit(), pd.DataFrame({"run": ["pilot"], "n_params": [1000], "tokens": [20]}), 1e24)


def test_a_run_far_from_the_data_is_said_to_be(made_fit):
    rows = pd.DataFrame({"run": ["near", "far"], "n_params": [1e9, 2e6], "tokens": [2e10, 2e8]})
    found = next_runs(made_fit(spread=0.3), rows, 1e24, by="variance", budget=1e22)
    assert set(found.chosen) == {"near", "far"}
    assert any(note.startswith("Far from the runs fitted: far (1.") and "near" not in note for note in found.notes)


def test_the_waste_is_told_with_and_without_the_misfit(made_fit):
    fit = made_fit()
    found = next_runs(fit, table(), 1e24)
    alone = next_runs(fit, table(), 1e24, misfit=None)
    said = [note for note in found.notes if "(misfit)" in note]
    assert len(said) == 1
    assert f"{found.mistake / 1e24:.1%}" in said[0]
    assert f"{alone.mistake / 1e24:.1%}" in said[0]
    assert not [note for note in alone.notes if "misfit" in note]


def test_candidates_are_read_as_people_write_them(made_fit):
    fit = made_fit()
    plain = next_runs(fit, table(), 1e23)
    words = table().assign(n_params=lambda t: t["n_params"].map("{:.6e}".format), flops=["1e19", "10e18", *[None] * 4])
    words["tokens"] = [None, "", *(table()["flops"] / 6 / table()["n_params"])[2:]]
    assert np.allclose(next_runs(fit, words, 1e23).frame["flops"], plain.frame["flops"], rtol=1e-5)
    as_runs = Runs.from_frame(table().assign(tokens=plain.frame["tokens"]), need_loss=False)
    found = next_runs(fit, as_runs, 1e23).frame.set_index("run").loc[plain.frame["run"]]
    assert np.allclose(found["saving"], plain.frame["saving"], rtol=1e-5, atol=1e15)
    for wrong, said in (
        (table().rename(columns={"n_params": "params"}), "needs two of.*the table has run, params, flops"),
        (table().assign(n_params=np.inf), "above 0 and finite"),
        (table().assign(recurrence=4), "knows no recurrence"),
        (table().assign(recurrence=np.nan), "recurrence nan: it must be at least 1"),
        (table().assign(recurrence=0), "recurrence 0: it must be at least 1"),
    ):
        with pytest.raises(PlanError, match=said):
            next_runs(fit, wrong, 1e23)


def test_many_candidates_are_not_all_tried_at_every_step():
    """As good as trying all of them, for far fewer trials."""
    rng = np.random.default_rng(3)
    draws = rng.standard_normal((400, 4))
    joint = Joint.of(draws[:, :1], draws @ rng.standard_normal((4, 60)), np.diag(rng.uniform(0.5, 3, 60)))
    cost, tried = rng.uniform(1, 4, 60), []

    def score(chosen):
        tried.append(tuple(chosen))
        return joint.reduction(chosen)

    found = greedy(score, cost, 20.0)
    few = len(tried)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("bayeslaw.plan.design"), "MANY", 1000)
        all_ = greedy(score, cost, 20.0)
    assert cost[found].sum() <= 20
    assert joint.reduction(found) >= 0.99 * joint.reduction(all_)
    assert few < (len(tried) - few) / 3
