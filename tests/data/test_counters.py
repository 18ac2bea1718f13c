"""Counters that mislead: tokens of one step, tokens that fall, steps that begin anew."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, DataWarning


def table(**columns):
    step = np.arange(50.0, 1050.0, 50.0)
    made = {"run": "a", "step": step, "tokens": step * 1e5, "loss": 9 * step**-0.2}
    return pd.DataFrame({**made, **columns})


def test_tokens_of_one_step_are_refused_with_the_remedy_and_the_remedy_works():
    with pytest.raises(DataError, match=r"Run 'a', row 1: tokens is 102400 in every row .* batch_tokens=102400"):
        Runs.from_frame(table(tokens=102400.0))
    runs = Runs.from_frame(table(tokens=102400.0), batch_tokens=102400)
    assert runs.frame["tokens"].tolist() == (runs.frame["step"] * 102400).tolist()
    with pytest.raises(DataError, match="the table has tokens of its own"):
        Runs.from_frame(table(tokens=102400.0), batch_tokens=4096)


def test_it_is_found_in_one_run_among_many():
    many = pd.concat([table(run=f"r{k}") for k in range(4)] + [table(run="odd", tokens=4096.0)])
    with pytest.raises(DataError, match="Run 'odd', row 81"):
        Runs.from_frame(many.reset_index(drop=True))


@pytest.mark.parametrize("rows", [1, 2])
def test_two_rows_may_have_the_same_tokens(rows):
    assert len(Runs.from_frame(table(tokens=4096.0).head(rows)).frame) == rows


def test_exits_of_one_step_have_the_same_tokens():
    one = table().head(1)
    Runs.from_frame(pd.concat([one.assign(exit_step=k, loss=4.0 - 0.1 * k) for k in range(1, 5)], ignore_index=True))


def test_tokens_that_fall_are_warned_of():
    tokens = table()["tokens"].to_numpy().copy()
    tokens[10:] -= tokens[9]
    with pytest.warns(DataWarning, match="Run 'a', row 11: tokens fall from 5e\\+07 to 5e\\+06 while steps go on"):
        Runs.from_frame(table(tokens=tokens))


def test_a_counter_that_began_anew_is_warned_of():
    second = table()
    second["loss"] = 9 * (second["step"] + 1000) ** -0.2
    with pytest.warns(DataWarning, match="after row 20 it is back at step 50 with a loss of 2.2.*20 of its 40 rows"):
        runs = Runs.from_frame(pd.concat([table(), second], ignore_index=True))
    assert runs.frame["kept"].sum() == 20


def test_a_run_that_was_started_over_is_not():
    runs = Runs.from_frame(pd.concat([table(), table()], ignore_index=True))
    assert runs.frame["kept"].sum() == 20


def test_an_ordinary_resume_is_not():
    again = table().iloc[16:]
    runs = Runs.from_frame(pd.concat([table(), again], ignore_index=True))
    assert runs.frame["kept"].sum() == 20


def test_tokens_and_parameters_in_billions_are_warned_of():
    """A law fitted to them is as good as another, its plans are not."""
    with pytest.warns(DataWarning, match=r"tokens is less than one a step, where .* write 1.05B, or multiply"):
        Runs.from_frame(table(tokens=np.arange(1.0, 21.0) / 20 * 1.05, step=np.arange(1e5, 2.1e6, 1e5)))
    points = {"n_params": [0.07, 1.4, 7.0], "tokens": [2e9, 3e10, 1e11], "loss": [3.5, 2.8, 2.4]}
    with pytest.warns(
        DataWarning, match=r"n_params is 7 at most, where parameters are counted one by one: .* write 7B, or"
    ):
        Runs.from_frame(points)
    with pytest.warns(DataWarning, match=r"tokens is 300 at most, where tokens are counted one by one"):
        Runs.from_frame({**points, "n_params": [7e7, 1.4e9, 7e9], "tokens": [20, 100, 300]})
    Runs.from_frame({**points, "n_params": ["70M", "1.4B", "7B"], "tokens": ["20B", "100B", "300B"]})
