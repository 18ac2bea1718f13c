"""What is held back is never fitted, and each way holds back what its name says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError
from bayeslaw.splits import ORIGINS, WAYS, Split, make_splits, share_of_run


@pytest.fixture(scope="module")
def runs():
    rows = []
    for group, sizes in (("c4", (1e8, 1e9)), ("web", (1e8, 3e8))):
        for n in sizes:
            step = np.arange(1, 41) * 100.0
            rows.append(
                pd.DataFrame(
                    {
                        "run": f"{group}-{n:.0e}",
                        "group": group,
                        "n_params": n,
                        "step": step,
                        "tokens": step * 1e5,
                        "loss": 3 + 100 / step,
                        "split": np.where(step <= 3000, "fit", "test"),
                    }
                )
            )
    return Runs.from_frame(pd.concat(rows, ignore_index=True))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_scored_is_seen_and_everything_else_is(runs, way):
    for split in make_splits(runs, way):
        known = split.learn if split.given is None else split.learn | split.given
        assert not (known & split.score).any()
        assert (known | split.score).all()
        assert split.score.any()
        assert split.learn.any()


def test_origin_cuts_along_the_run(runs):
    splits = make_splits(runs, "origin")
    assert len(splits) == 4 * len(ORIGINS)
    frame = runs.frame
    one = next(s for s in splits if s.fold == "web-3e+08" and s.origin == 0.3)
    assert frame.loc[one.score, "run"].unique().tolist() == ["web-3e+08"]
    assert frame.loc[one.score, "step"].min() == 1300
    assert one.given is None
    given = make_splits(runs, "origin", refit=False, only=["c4-1e+08"], origins=(0.2, 0.5))
    assert [s.given.sum() for s in given] == [8, 20]
    assert (given[0].learn == given[1].learn).all()
    assert not given[0].learn[frame["run"] == "c4-1e+08"].any()


def test_whole_runs_sizes_groups_and_the_largest(runs):
    frame = runs.frame
    assert [frame.loc[s.score, "run"].nunique() for s in make_splits(runs, "run")] == [1] * 4
    assert [sorted(frame.loc[s.score, "n_params"].unique()) for s in make_splits(runs, "size")] == [[1e8], [1e9], [3e8]]
    assert [set(frame.loc[s.score, "group"]) for s in make_splits(runs, "group")] == [{"c4"}, {"web"}]
    assert [set(frame.loc[s.score, "run"]) for s in make_splits(runs, "largest")] == [{"c4-1e+09"}, {"web-3e+08"}]
    (own,) = make_splits(runs, "split")
    assert frame.loc[own.score, "step"].min() == 3100


def test_share_of_a_run_without_steps_is_by_tokens():
    frame = pd.DataFrame({"run": ["a"] * 4, "tokens": [1e9, 2e9, 3e9, 4e9], "loss": [4.0, 3.0, 2.5, 2.4]})
    np.testing.assert_allclose(share_of_run(Runs.from_frame(frame)), [0.25, 0.5, 0.75, 1.0])


def test_leaks_and_impossible_ways_are_refused(runs):
    everything = np.ones(len(runs), bool)
    with pytest.raises(DataError, match="scores rows that it fits"):
        Split("leak", "x", 0.0, everything, everything)
    with pytest.raises(DataError, match="no column 'part'"):
        make_splits(runs, "split", column="part")
    with pytest.raises(DataError, match="No row of column 'split' says 'held'"):
        make_splits(runs, "split", test="held")
    with pytest.raises(DataError, match="origin, run, size"):
        make_splits(runs, "week")
    with pytest.raises(DataError, match="there must be two"):
        make_splits(runs.select("c4-1e+08"), "run")
    with pytest.raises(DataError, match="no run 'c5'"):
        make_splits(runs, "origin", only=["c5"])
    plain = Runs.from_frame({"run": ["a", "b"], "loss": [3.0, 2.9], "tokens": [1e9, 2e9]})
    with pytest.raises(DataError, match="needs the column n_params"):
        make_splits(plain, "size")


@pytest.mark.parametrize(
    ("way", "options", "said"),
    [
        ("size", {"colum": "x"}, "no option colum= with by='size', which takes no options."),
        ("split", {"colum": "x"}, "which takes column=, fit=, test=. Did you mean column=?"),
        ("run", {"origins": (0.5,)}, "which takes only=. It goes with by='origin'."),
        ("group", {"only": ["c4-1e+08"]}, "It goes with by='origin' or by='run'."),
        ("largest", {"column": "split"}, "It goes with by='split'."),
        ("origin", {"orgins": (0.5,)}, "which takes origins=, only=, refit=. Did you mean origins="),
    ],
)
def test_an_option_that_a_way_does_not_take_is_refused(runs, way, options, said):
    with pytest.raises(DataError) as caught:
        make_splits(runs, way, **options)
    assert said in str(caught.value)
