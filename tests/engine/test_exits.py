"""Losses at several exits of one run: what is given of some tells of the others, and laws that read none say so."""

import jax
import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.cards import load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.conditioning import conditioned
from bayeslaw.engine.question import asked

TOKENS = np.geomspace(1e9, 2e10, 60)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Three looped runs of two depths with their losses at every exit."""
    rng, parts = np.random.default_rng(5), []
    for i, depth in enumerate((1, 2, 2)):
        for step in range(1, depth + 1):
            loss = (2 + 2000 / TOKENS**0.37 + 0.1 / step) * np.exp(0.01 * rng.standard_normal(len(TOKENS)))
            part = pd.DataFrame({"run": f"r{i}", "tokens": TOKENS, "loss": loss})
            parts.append(part.assign(n_params=1e8 * (1 + i), recurrence=float(depth), exit_step=float(step)))
    return pd.concat(parts, ignore_index=True)


def problem(card, frame):
    return assemble(load_card(card), bl.Runs.from_frame(frame), max_bins=8)


def test_what_is_given_of_other_exits_counts_whether_or_not_they_are_asked_for(frame):
    """The same draw over and over: the mean of the curve is the conditional one, up to the noise of 2,000 draws."""
    mine, late = frame["run"] == "r2", frame["tokens"] > 7e9
    given = bl.Runs.from_frame(frame[mine & ~(late & (frame["exit_step"] == 2))])
    with jax.enable_x64(True):
        known = problem("looped-stepwise", frame[~mine])
        z = np.zeros((2000, known.layout.dim))
        curves = []
        for rows in (mine & late & (frame["exit_step"] == 2), mine & late):
            at = bl.Runs.from_frame(frame[rows].drop(columns="loss"), need_loss=False)
            curve = conditioned(known, z, at, given, {}, np.random.default_rng(0))[0]
            curves.append(np.log(curve)[:, (at.frame["exit_step"] == 2).to_numpy()])
    one, both = curves
    assert one.shape == both.shape
    apart = (one.mean(axis=0) - both.mean(axis=0)) / np.sqrt((one.var(axis=0) + both.var(axis=0)) / len(z))
    assert np.abs(apart).max() < 4.5
    np.testing.assert_allclose(one.std(axis=0), both.std(axis=0), rtol=0.1)


def test_a_law_that_reads_no_exits_says_so(frame):
    assert any("does not read exit_step" in note for note in problem("looped-total", frame).notes)
    last = frame[frame["exit_step"] == frame["recurrence"]]
    for quiet in (problem("looped-total", last), problem("looped-depth", frame)):
        assert not any("exit_step" in note for note in quiet.notes)


@pytest.mark.parametrize(
    ("card", "fitted", "wanted", "said"),
    [
        ("looped-total", np.nan, 2.0, "law looped-total does not read it"),
        ("looped-total", np.nan, [1.0, np.nan], "law looped-total does not read it"),
        ("looped-depth", np.nan, 2.0, "none was fitted"),
        ("looped-total", np.nan, np.nan, ""),
        ("chinchilla", 2.0, 2.0, ""),
        ("looped-depth", 2.0, 1.0, ""),
    ],
)
def test_an_exit_that_the_fit_cannot_tell_apart_is_told(frame, card, fitted, wanted, said):
    rows = frame[frame["exit_step"] == frame["recurrence"]].drop(columns="exit_step")
    known = problem(card, rows if np.isnan(fitted) else rows.assign(exit_step=fitted))
    at = pd.DataFrame({"run": "new", "tokens": 2e10, "n_params": 2e8, "recurrence": 2.0, "exit_step": np.ravel(wanted)})
    notes: list[str] = []
    asked(known, bl.Runs.from_frame(at, need_loss=False), None, {}, notes)
    found = [note for note in notes if "exit_step" in note]
    assert [said in note for note in found] == ([True] if said else [])
