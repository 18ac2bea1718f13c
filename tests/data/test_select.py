"""Parts of a table and several of them together, what identifies one, and how it is told in print."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError


def table(steps=range(1, 11), run="a", **more):
    steps = np.asarray(list(steps), float)
    return pd.DataFrame({"run": run, "step": steps, "loss": 2 + 3 / (1 + np.arange(len(steps))), **more})


def test_where_keeps_what_was_settled_and_the_facts_of_its_runs():
    df = pd.concat([table([1, 2, 2, 3], run="a", split="fit"), table(run="b", split="test")])
    runs = Runs.from_frame(df)
    fit = runs.where("split == 'fit'")
    assert fit.names == ("a",)
    assert fit.frame["kept"].tolist() == [True, False, True, True]
    assert fit.facts["run"].tolist() == ["a"]
    assert runs.where(runs.frame["step"] <= 2).names == ("a", "b")
    with pytest.raises(DataError, match=r"Cannot apply the selection 'nope == 1'"):
        runs.where("nope == 1")
    with pytest.raises(DataError, match="matches no row"):
        runs.where("step > 1000")
    with pytest.raises(DataError, match="one True or False for each of the 14 rows"):
        runs.where([True])


def test_select_and_curve_name_unknown_runs():
    runs = Runs.from_frame(table())
    assert runs.select("a").names == ("a",)
    with pytest.raises(DataError, match=r"no run 'z'\. There are 'a'"):
        runs.select("z")
    with pytest.raises(DataError, match=r"no run 'z'\. There are 'a'"):
        runs.curve("z")


def test_concat_joins_and_refuses_shared_names():
    a, b = Runs.from_frame(table(run="a"), source="one"), Runs.from_frame(table(run="b", lr=1e-3), source="two")
    both = Runs.concat([a, b])
    assert both.names == ("a", "b")
    assert both.source == "one + two"
    assert both.frame["lr"].isna().sum() == 10
    with pytest.raises(DataError, match=r"Run 'a' is in two of the tables \(one and one\)"):
        Runs.concat([a, a])
    with pytest.raises(DataError, match="no tables to join"):
        Runs.concat([])


def test_fingerprint_follows_content_not_order():
    df = pd.concat([table(run="a"), table(run="b")])
    runs = Runs.from_frame(df)
    assert Runs.from_frame(df.iloc[::-1]).fingerprint == runs.fingerprint
    changed = df.reset_index(drop=True)
    changed.loc[3, "loss"] += 1e-9
    assert Runs.from_frame(changed).fingerprint != runs.fingerprint
    # pinned: a saved fit must recognise its data on any machine and with any version of the libraries
    assert runs.fingerprint.startswith(PINNED)


PINNED = "5919b4ae78197a76"


def test_explain_fits_a_terminal_and_names_everything():
    df = pd.concat([table([1, 2, 2, 3], run="a" * 60), table(run="b")]).rename(columns={"loss": "train/loss"})
    text = Runs.from_frame(df, batch_tokens=1000).explain()
    assert max(map(len, text.splitlines())) <= 80
    for word in ("2 runs, 14 rows, 13 of them kept", "'train/loss'", "duplicate_step: 1 in 1 run", "derived_tokens"):
        assert word in text


def test_repr_is_short():
    assert repr(Runs.from_frame(table())) == "<Runs: 1 run, 10 points, from a table>"


def test_select_says_how_runs_are_named():
    runs = Runs.from_frame(table())
    for names in ((), (["a"],)):
        with pytest.raises(DataError, match=r"There are 'a': select\("):
            runs.select(*names)
