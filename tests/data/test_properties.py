"""Properties that hold for any table: nothing depends on the order of rows that carries no meaning."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslaw.data.runs import Runs


@st.composite
def tables(draw):
    """A few runs with distinct steps, so that the order of rows says nothing about resumes."""
    parts = []
    for i in range(draw(st.integers(1, 4))):
        n = draw(st.integers(1, 60))
        steps = np.sort(np.random.default_rng(draw(st.integers(0, 99))).choice(np.arange(1, 400), n, replace=False))
        loss = np.random.default_rng(i).uniform(1, 5, n)
        parts.append(pd.DataFrame({"run": f"r{i}", "step": steps.astype(float), "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def same_curves(a, b):
    assert sorted(a.names) == sorted(b.names)
    for name in a.names:
        pd.testing.assert_frame_equal(
            a.curve(name).drop(columns="row"), b.curve(name).drop(columns="row"), check_exact=True
        )
    x, y = (r.bins(max_bins=7).frame.sort_values(["run", "x_lo"], ignore_index=True) for r in (a, b))
    pd.testing.assert_frame_equal(x, y, rtol=1e-9, atol=1e-12)
    assert a.fingerprint == b.fingerprint


@given(tables(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_interleaving_runs_changes_nothing(df, random):
    """Runs logged side by side: any interleaving that keeps each run's own order."""
    tickets = df["run"].tolist()
    random.shuffle(tickets)
    queues = {name: list(part.index) for name, part in df.groupby("run")}
    order = [queues[name].pop(0) for name in tickets]
    same_curves(Runs.from_frame(df), Runs.from_frame(df.loc[order].reset_index(drop=True)))


@given(tables(), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_a_reversed_table_is_the_same_table(df, seed):
    same_curves(Runs.from_frame(df), Runs.from_frame(df.iloc[::-1].reset_index(drop=True)))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_shuffled_table_is_the_same_table(seed):
    rng = np.random.default_rng(seed)
    steps = np.sort(rng.choice(np.arange(1.0, 1000.0), 80, replace=False))
    df = pd.DataFrame({"run": "a", "step": steps, "loss": rng.uniform(1, 5, 80)})
    same_curves(Runs.from_frame(df), Runs.from_frame(df.iloc[rng.permutation(80)].reset_index(drop=True)))


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.one_of(st.floats(0.5, 9), st.just(float("nan")))), min_size=1, max_size=80
    )
)
@settings(deadline=None, max_examples=200)
def test_every_row_is_kept_or_accounted_for(rows):
    """Any steps in any order, resumes and NaN included: rows left out are exactly those that facts count."""
    df = pd.DataFrame(rows, columns=["step", "loss"])
    df["loss"] += 1e-6 * np.arange(len(df))  # a constant loss is an error of its own
    if df["loss"].isna().all():
        return
    runs = Runs.from_frame(df)
    left_out = runs.facts[runs.facts["kind"].isin(["nonfinite_loss", "rewind", "duplicate_step"])]
    assert len(runs.frame) == len(df)
    assert (~runs.frame["kept"]).sum() == left_out["count"].sum()
    curve = runs.curve("run")
    assert curve["step"].is_unique
    assert curve["step"].is_monotonic_increasing
    # the last finite row written at the last position always survives
    last = df["loss"].last_valid_index()
    assert runs.frame["kept"].iloc[last]
    bins = runs.bins(max_bins=5).frame
    positive = int((curve["step"] > 0).sum()) if len(curve) > 1 else 1
    assert bins["count"].sum() == positive
