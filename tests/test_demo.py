"""The curves that come with the package: whole, in the columns of the contract, and split as the demo says."""

import numpy as np
import pytest

from bayeslaw.demo import CURVES, HELD, ODD, SETTLED, demo_runs, looped_curves, settled


@pytest.fixture(scope="module")
def runs():
    return looped_curves(odd=True)


def test_they_are_small_and_told_of():
    assert CURVES.stat().st_size < 2e6
    listed = CURVES.with_suffix(".md").read_text(encoding="utf-8")
    assert all(name in listed for name in looped_curves(odd=True).names)
    assert (CURVES.parent / "README.md").is_file()


def test_every_run_has_a_row_per_step_and_loss(runs):
    frame = runs.frame
    assert not len(runs.facts) or not runs.facts["kind"].str.contains("dropped").any()
    for run, mine in frame.groupby("run"):
        depth = int(mine["recurrence"].iloc[0])
        counts = mine.groupby(mine["exit_step"].fillna(0)).size()
        assert counts.index.tolist() == list(range(depth + 1)), run
        assert counts.nunique() == 1, run
        np.testing.assert_array_equal(mine["tokens"], 2048 * mine["step"])
    assert {"code"} <= set(frame["group"])
    assert frame.loc[frame["group"] == "code", "n_params"].nunique() == 5
    assert {1, 2, 4} <= set(frame["recurrence"])


def test_parts(runs):
    assert set(looped_curves("code").frame["group"]) == {"code"}
    assert not any(name.endswith(ODD) for name in looped_curves().names)
    assert looped_curves(steps=False).frame["exit_step"].isna().all()
    assert looped_curves(steps=True).frame["exit_step"].notna().all()
    assert settled(runs).frame["tokens"].min() > SETTLED


def test_total_loss_is_the_gated_sum_less_entropy_and_what_gating_gains(runs):
    """total = mean of sum q L - 0.05 H(q): of means in place of tokens, it lies a little below the sum of products."""
    frame = runs.where(~runs.frame["run"].str.endswith(ODD)).frame
    total = frame.loc[frame["exit_step"].isna()].set_index(["run", "step"])
    steps = frame.loc[frame["exit_step"].notna()].pivot_table(index=["run", "step"], columns="exit_step", values="loss")
    gates = total[[f"gate_{int(t)}" for t in steps.columns]].to_numpy(float)
    product = np.nansum(np.where(np.isnan(gates), 0, gates) * steps.loc[total.index].fillna(0).to_numpy(), axis=1)
    gap = total["loss"].to_numpy() - (product - 0.05 * total["entropy"].to_numpy())
    one = (total["recurrence"] == 1).to_numpy()
    np.testing.assert_allclose(gap[one], 0, atol=2e-4)
    late = ~one & (total["tokens"] > SETTLED).to_numpy()
    # gates stop early where a token is easy: that gains, and only a little
    assert -0.12 < np.median(gap[late]) < 0.0
    assert (gap[late] < 0.01).all()


def test_the_demo_holds_back_the_largest_and_deepest():
    runs = demo_runs()
    known, held = runs.where("split == 'fit'"), runs.where("split == 'test'")
    assert not set(held.names) & set(known.names)
    assert len(held.frame) == HELD
    assert held.frame["n_params"].unique().tolist() == [runs.frame["n_params"].max()]
    assert (
        held.frame["recurrence"].iloc[0]
        == runs.frame.loc[runs.frame["n_params"] == runs.frame["n_params"].max(), "recurrence"].max()
    )
    assert len(known.names) > 9
