"""What every law owes the engine; a new law is tested by a line in ``conftest.py``."""

import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslaw.errors import CardError
from bayeslaw.laws import LAWS, Schedule, get_law
from bayeslaw.laws.base import Symbol

PEAK, TOTAL, WARMUP = 3e-4, 24_000, 2_160

#: what changes from row to row of a run, and by which factor a tenth further on
MOVING = {"tokens": 1.1, "step": 1.1, "S1": 1.1, "warm": 1 / 1.1}
SCHEDULED = [name for name, law in LAWS.items() if "schedule" in law.covariates]
PLAIN = [name for name in LAWS if name not in SCHEDULED]


def split(case):
    values = {k: jnp.asarray(v) for k, v in case.values.items()}
    return values, {k: jnp.asarray(v) for k, v in case.row.items()}


def test_every_law_has_a_case_and_every_case_a_law(cases):
    assert set(cases) == set(LAWS)
    assert all(law.name == name for name, law in LAWS.items())


@pytest.mark.parametrize("name", LAWS)
def test_symbols_are_those_of_the_case_and_the_formula_and_within_bounds(cases, name):
    law, case = LAWS[name], cases[name]
    assert {s.name for s in law.symbols} == set(case.values)
    words = set(re.findall(r"[A-Za-z]\w*", law.formula))
    assert {s.name for s in law.symbols} <= words
    assert all(s.low < case.values[s.name] < s.high for s in law.symbols)
    assert all(s.meaning and s.unit for s in law.symbols)
    assert re.search(r"arXiv \d{4}\.\d{5}", law.reference)
    assert law.symbol(law.symbols[0].name) is law.symbols[0]
    with pytest.raises(KeyError):
        law.symbol("nothing")


@pytest.mark.parametrize("name", LAWS)
def test_terms_bear_the_amplitudes_names_and_are_proportional_to_them(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    terms = law.terms(p, x)
    amplitudes = {s.name for s in law.symbols if s.kind == "amplitude"}
    assert set(terms) == amplitudes
    for a in amplitudes:
        doubled = law.terms({**p, a: 2 * p[a]}, x)
        np.testing.assert_allclose(doubled[a], 2 * terms[a], rtol=1e-12)
        assert all(float(doubled[b]) == float(terms[b]) for b in amplitudes - {a})


@pytest.mark.parametrize("name", LAWS)
def test_terms_that_move_along_a_run_are_named(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    later = {**x, **{c: f * x[c] for c, f in MOVING.items() if c in x}}
    now, then = law.terms(p, x), law.terms(p, later)
    assert {a for a in now if not np.isclose(now[a], then[a], rtol=1e-9)} == set(law.along)


@pytest.mark.parametrize("name", LAWS)
def test_loss_matches_the_formula_written_in_numpy(cases, name):
    law, case = LAWS[name], cases[name]
    loss = float(law.loss(*split(case)))
    assert 1.0 < loss < 8.0
    # 64 stretches stand for 17,840 single drops in the annealing laws
    np.testing.assert_allclose(loss, case.loss(case.values, case.row), rtol=5e-5 if name in SCHEDULED else 1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_gradient_is_finite_and_nonzero_in_every_symbol(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    gradient = jax.jit(jax.grad(law.loss))(p, x)
    for symbol, g in gradient.items():
        assert np.isfinite(g), symbol
        assert g != 0, symbol


@pytest.mark.parametrize("name", PLAIN)
def test_loss_falls_with_every_covariate(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    # looped-depth reads exit_step where there is one: take it away to see the recurrence
    for key in law.covariates:
        if key in ("recurrence", "exit_step") and "K" in p:
            continue  # far from the depth that a model was trained to, losses rise
        row = {k: v for k, v in x.items() if k not in law.optional}
        assert law.loss(p, {**row, key: 2 * row[key]}) < law.loss(p, row) - 1e-6, key
    for key in law.optional:
        assert law.loss(p, {**x, key: 2 * x[key]}) < law.loss(p, x) - 1e-6, key


@pytest.mark.parametrize("name", SCHEDULED)
def test_loss_falls_along_a_schedule_and_further_when_the_rate_is_lowered(cases, name):
    law = LAWS[name]
    p, _ = split(cases[name])
    end = {}
    for label, schedule in {
        "constant": Schedule.constant(PEAK, TOTAL, WARMUP),
        "cosine": Schedule.cosine(PEAK, TOTAL, WARMUP),
        "wsd": Schedule.wsd(PEAK, TOTAL, WARMUP, 4000, "linear", 0.1),
    }.items():
        steps = np.linspace(WARMUP, TOTAL, 60)
        losses = np.asarray(losses_along(law, p, schedule.covariates(steps, 64)))
        assert (np.diff(losses) < 0).all(), label
        end[label] = losses[-1]
    assert end["wsd"] < end["constant"] - 0.02
    assert end["cosine"] < end["constant"] - 0.02


@partial(jax.jit, static_argnums=0)
def losses_along(law, p, x):
    return jax.vmap(law.loss, in_axes=(None, {k: 0 if k in MOVING else None for k in x}))(p, x)


@pytest.mark.parametrize("name", LAWS)
def test_vmap_over_rows_equals_row_by_row(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    rows = [{k: v * f if k in ("n_params", *MOVING) else v for k, v in x.items()} for f in (0.5, 0.8, 1)]
    stacked = {k: jnp.stack([r[k] for r in rows]) for k in x}
    together = jax.jit(jax.vmap(lambda row: law.loss(p, row)))(stacked)
    np.testing.assert_allclose(together, [float(law.loss(p, r)) for r in rows], rtol=1e-12)


@pytest.mark.parametrize("name", PLAIN)
def test_amplitude_times_its_unit_is_the_term_at_the_reference(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    units, terms = law.unit_terms(p, x), law.terms(p, x)
    assert set(units) == set(terms)
    for a, term in terms.items():
        np.testing.assert_allclose(p[a] * units[a], abs(term), rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_gains_unit_is_a_drop_of_the_whole_peak_long_ago(cases, name):
    law = LAWS[name]
    p = {k: jnp.asarray(v) for k, v in cases[name].values.items()} | ({"beta": 3.0} if name == "multi-power" else {})
    at = 2_000_000
    schedule = Schedule.two_stage(PEAK, PEAK * 1e-4, 8000, at, WARMUP)
    x = schedule.covariates([at], 8)
    ref = {**x, "step": float(at), "S1": x["S1"][0], "warm": 0.0, "eta_peak": PEAK}
    units, terms = law.unit_terms(p, ref), law.terms(p, ref)
    (gain,) = law.gains
    assert terms[gain] < 0
    np.testing.assert_allclose(p[gain] * units[gain], -terms[gain], rtol=2e-4)
    for a in ("L0", "A"):
        np.testing.assert_allclose(p[a] * units[a], terms[a], rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_exponent_moves_from_that_of_the_warm_ups_end_to_that_of_the_run(cases, name):
    law = LAWS[name]
    p = {**split(cases[name])[0], "alpha": 0.45, "alpha0": 1.2, "kappa": 2.0}

    def term(schedule, step):
        x = schedule.covariates([step], 8)
        return float(law.terms(p, {**x, **{k: x[k][0] for k in ("step", "S1", "warm")}})["A"]), x["S1"][0]

    def exponent(schedule, step):
        (one, s), (other, more) = term(schedule, step), term(schedule, step + 1)
        return -np.log(other / one) / np.log(more / s)

    warmed, plain = Schedule.constant(PEAK, TOTAL, WARMUP), Schedule.constant(PEAK, TOTAL)
    assert exponent(warmed, WARMUP) == pytest.approx(1.2, abs=3e-3)
    # a ramp is worth half its steps, and half an update: by here the summed rate has doubled
    assert exponent(warmed, WARMUP + WARMUP // 2) == pytest.approx(0.45 + 0.75 / 4, abs=3e-3)
    assert exponent(warmed, 20 * WARMUP) == pytest.approx(0.45, abs=1e-3)
    # the published power where there is no warm-up
    assert exponent(plain, 10) == pytest.approx(0.45, abs=1e-6)
    # inside the warm-up, of which these laws do not speak, the loss still falls
    assert term(warmed, 100)[0] > term(warmed, 1000)[0] > term(warmed, WARMUP)[0]


def test_interaction_symbol_may_be_any_real_number_and_zero_is_chinchilla(cases):
    law = LAWS["chinchilla-interaction"]
    assert law.symbol("kappa").low == -np.inf
    p, x = split(cases[law.name])
    plain = LAWS["chinchilla"].loss(p, x)
    assert float(law.loss({**p, "kappa": 0.0}, x)) == pytest.approx(float(plain), rel=1e-14)
    assert law.loss({**p, "kappa": -0.1}, x) < plain < law.loss(p, x)


def test_looped_depth_takes_the_recurrence_where_a_row_has_no_exit_step(cases):
    law = LAWS["looped-depth"]
    p, x = split(cases[law.name])
    absent = {k: v for k, v in x.items() if k != "exit_step"}
    expected = law.loss(p, {**x, "exit_step": x["recurrence"]})
    assert float(law.loss(p, absent)) == float(expected)
    assert float(law.loss(p, {**x, "exit_step": jnp.nan})) == float(expected)
    gradient = jax.grad(law.loss)(p, {**x, "exit_step": jnp.asarray(jnp.nan)})
    assert all(np.isfinite(g) for g in gradient.values())


@pytest.mark.parametrize("name", ["looped-stepwise", "looped-stepwise-exponential"])
def test_early_exits_pay_more_the_deeper_and_longer_a_model_was_trained(cases, name):
    law = LAWS[name]
    p, x = split(cases[name])
    p = {k: float(v) for k, v in p.items()}

    def cost(**changed):
        return float(law.terms(p, {**x, **{k: jnp.asarray(v) for k, v in changed.items()}})["K"])

    assert cost(exit_step=4.0) == 0.0
    # beyond the last step as before it, J times over and at T_m's own worth of a step
    assert cost(exit_step=8.0) == pytest.approx(p["J"] * cost(exit_step=2.0) / 2 ** p["mu"])
    assert cost(exit_step=1.0) > cost(exit_step=2.0) > cost(exit_step=3.0) > 0.0
    assert cost(recurrence=8.0, exit_step=2.0) > cost(exit_step=2.0)
    # half of eight steps costs less than half of four
    assert cost(recurrence=8.0, exit_step=4.0) == pytest.approx(cost(exit_step=2.0) / 2 ** p["mu"])
    # it grows as a power of tokens at first, and comes to an end
    assert cost(tokens=2e5) == pytest.approx(2 ** p["delta"] * cost(tokens=1e5), rel=1e-5)
    assert cost(tokens=1e16, exit_step=1.0) == pytest.approx(p["K"] * np.log(4) ** p["kappa"], rel=1e-4)
    # at the last step the slopes are numbers, and a unit of K has a worth that is not nothing
    last = {**x, "exit_step": x["recurrence"]}
    assert all(np.isfinite(g) for g in jax.grad(law.loss)(p, last).values())
    grown = (1 + p["t4"] / x["tokens"]) ** -p["delta"]
    assert float(law.unit_terms(p, last)["K"]) == pytest.approx(float(grown * x["recurrence"] ** -p["mu"]))


def test_get_law_names_the_nearest():
    assert get_law("multi-power") is LAWS["multi-power"]
    with pytest.raises(CardError, match=r"No law is called 'chinchila'\. Did you mean chinchilla\b.*The laws are "):
        get_law("chinchila")
    with pytest.raises(CardError, match="Did you mean looped-total"):
        get_law("looped_total")
    with pytest.raises(CardError, match=r"No law is called 'zzz'\. The laws are chinchilla, "):
        get_law("zzz")


def test_importing_the_laws_does_not_import_jax():
    code = "import sys, bayeslaw.laws; sys.exit('jax' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("low", "high", "link"), [(0.0, np.inf, "log"), (0.0, 1.0, "logit"), (-np.inf, np.inf, "identity")]
)
def test_a_symbols_link_follows_from_its_bounds(low, high, link):
    assert Symbol("x", "a thing", "1", "shape", low, high).link == link
    # and leads back into the bounds from anywhere
    from bayeslaw.engine.params import natural

    values = np.asarray(natural(link, np.array([-3.0, 0.0, 3.0])))
    assert ((low < values) & (values < high)).all()
