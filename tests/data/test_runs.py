import numpy as np
import pandas as pd
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, DataWarning


def table(steps=range(1, 11), run="a", **more):
    steps = np.asarray(list(steps), float)
    return pd.DataFrame({"run": run, "step": steps, "loss": 2 + 3 / (1 + np.arange(len(steps))), **more})


def facts(runs, kind):
    return runs.facts[runs.facts["kind"] == kind]


def test_all_rows_stay_in_their_order_and_extras_are_untouched():
    df = table(note=list("abcdefghij"))
    runs = Runs.from_frame(df)
    assert list(runs.frame.columns) == ["run", "step", "loss", "kept", "row", "note"]
    assert runs.frame["note"].tolist() == df["note"].tolist()
    assert runs.frame["row"].tolist() == list(range(1, 11))
    assert runs.frame["kept"].all()
    assert len(runs.facts) == 0
    assert runs.names == ("a",)


def test_frame_of_runs_is_taken_back_unchanged():
    runs = Runs.from_frame(pd.concat([table([1, 2, 3, 3, 4], run="a"), table(run="b")]))
    again = Runs.from_frame(runs.frame)
    pd.testing.assert_frame_equal(again.frame, runs.frame)
    assert again.fingerprint == runs.fingerprint


def test_extra_columns_called_like_ours_are_renamed_not_lost():
    df = table().assign(other=1.5).rename(columns={"loss": "train/loss", "other": "loss"})
    runs = Runs.from_frame(df, columns={"loss": "train/loss"})
    assert runs.frame["source_loss"].tolist() == [1.5] * 10
    assert runs.frame["loss"].iloc[0] == 5.0


def test_missing_run_column_is_one_run():
    runs = Runs.from_frame(table().drop(columns="run"))
    assert runs.names == ("run",)
    assert "There is no run column: all rows are one run, 'run'." in runs.notes


def test_final_points_without_names_are_runs_of_their_own():
    runs = Runs.from_frame({"N": [1e6, 2e6, 3e6], "D": [1e9, 1e9, 2e9], "loss": [3.0, 2.9, 2.8]})
    assert runs.one_point
    assert runs.names == ("run-1", "run-2", "run-3")


def test_curves_without_names_but_several_sizes_are_refused():
    with pytest.raises(DataError, match=r"no run column, yet n_params has 2 values.*--column run="):
        Runs.from_frame({"step": [1, 2, 1, 2], "n_params": [1e6, 1e6, 2e6, 2e6], "loss": [4, 3, 4, 3.0]})


def test_numeric_run_names_are_text():
    assert Runs.from_frame(table(run=7.0)).names == ("7",)


def test_numbers_may_be_written_for_people():
    runs = Runs.from_frame(table(n_params="70B", tokens=[f"{i}M" for i in range(1, 11)]))
    assert runs.frame["n_params"].unique().tolist() == [70e9]
    assert runs.frame["tokens"].iloc[-1] == 10e6


def test_steps_may_have_commas_between_thousands():
    assert Runs.from_frame({"step": ["1,000", "2,000"], "loss": [4.0, 3.0]}).frame["step"].tolist() == [1000, 2000]


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        (
            "4,25",
            r"A decimal comma is not read: write 4.25, or read the table with pandas.read_csv\(path, sep=\";\", dec",
        ),
        ("loss", "The header stands there again, as where a restarted job appends to its log: remove that line."),
        ("oops", "Correct that cell, or leave it empty if it is unknown."),
    ],
)
def test_a_cell_that_is_no_number_comes_with_its_remedy(cell, remedy):
    with pytest.raises(DataError, match=f"row 3: column 'loss' holds '{cell}', but loss must be a number. {remedy}"):
        Runs.from_frame({"run": "a", "step": [1, 2, 3], "loss": ["4.5", "4.25", cell]})


def test_constants_fill_columns_and_are_noted():
    runs = Runs.from_frame(table(), n_params="125M", group="c4", recurrence=4)
    assert set(runs.frame["n_params"]) == {125e6}
    assert set(runs.frame["group"]) == {"c4"}
    assert "n_params is 125M for every row, as given." in runs.notes
    with pytest.raises(DataError, match="the table has its own n_params in the column 'N'"):
        Runs.from_frame(table(N=1e6), n_params=2e6)
    with pytest.raises(DataError, match="colour= is not a column"):
        Runs.from_frame(table(), colour="red")


def test_tokens_are_derived_only_when_asked():
    assert "tokens" not in Runs.from_frame(table()).frame
    runs = Runs.from_frame(table(), batch_tokens="4M")
    assert runs.frame["tokens"].tolist() == [4e6 * s for s in range(1, 11)]
    assert facts(runs, "derived_tokens")["count"].tolist() == [10]
    assert any("step * 4M" in note for note in runs.notes)
    with pytest.raises(DataError, match=r"the table has tokens of its own .*row 1: 5"):
        Runs.from_frame(table(tokens=5.0), batch_tokens=2)
    with pytest.raises(DataError, match="more than 0 tokens"):
        Runs.from_frame(table(), batch_tokens=0)
    with pytest.raises(DataError, match="no step column"):
        Runs.from_frame(table().drop(columns="step").assign(flops=range(1, 11)), batch_tokens=2)


@pytest.mark.parametrize(
    ("df", "message"),
    [
        (pd.DataFrame(), "a table has no rows. A table of runs has a header and one row per logged step."),
        (
            table().iloc[:0],
            "a table has no rows: only the columns 'run', 'step', 'loss'. A table of runs has a header and one row per "
            "logged step.",
        ),
        (
            table(lr=["x" if i == 4 else 1e-3 for i in range(10)]),
            "Run 'a', row 5: column 'lr' holds 'x', but lr must be a number. Correct that cell, or leave it empty if "
            "it is unknown.",
        ),
        (
            table(n_params=-5.0),
            "Run 'a', row 1: n_params is -5, but must be above zero (10 rows are like this). Correct the cell, or "
            "leave it empty if it is unknown.",
        ),
        (
            table(tokens=[1, 2, 0, *range(4, 11)]),
            "Run 'a', row 3: tokens is 0, but must be above zero. Correct the cell, or leave it empty if it is "
            "unknown.",
        ),
        (
            table().assign(loss=2.5),
            "Run 'a': the loss is 2.5 in all 10 rows. A training loss changes: is this the right loss column, and was "
            "the run logging?",
        ),
        (
            table().assign(loss=np.nan),
            "a table has 10 rows and not one finite loss. The loss was read from the column 'loss': is that the right "
            "one?",
        ),
        (
            table(n_params=[1e6] * 9 + [2e6]),
            "Run 'a', row 10: n_params is 2,000,000, but row 1 of the same run says 1,000,000. Runs that differ in "
            "n_params need different names in the run column.",
        ),
        (
            table().drop(columns="step"),
            "Run 'a' has 10 rows but no step, tokens or flops to order them by. Map such a column, or give each row "
            "its own run name if they are different runs.",
        ),
        (
            table().assign(loss=-1.0),
            "Run 'a', row 1: loss is -1, but a cross-entropy in nats is never negative (10 rows are like this). "
            "Correct the cell, or leave it empty if it is unknown.",
        ),
        (
            table(run=["a"] * 9 + [None]),
            "Row 10: the run has no name: column 'run' is empty there (1 such rows). Name every row's run.",
        ),
    ],
)
def test_what_breaks_the_contract_is_said_exactly(df, message):
    with pytest.raises(DataError) as error:
        Runs.from_frame(df)
    assert str(error.value) == message


def test_two_columns_of_one_name():
    df = table()
    df.columns = ["run", "loss", "loss"]
    with pytest.raises(DataError, match="two columns called 'loss'"):
        Runs.from_frame(df)


def test_short_constant_runs_pass():
    assert len(Runs.from_frame(table(range(1, 8)).assign(loss=2.5)).names) == 1


def test_high_losses_are_warned_of():
    with pytest.warns(DataWarning, match=r"Run 'a': the median loss is above 15.*perplexity"):
        runs = Runs.from_frame(table().assign(loss=np.arange(20.0, 30.0)))
    assert facts(runs, "high_loss")["count"].tolist() == [10]


def test_untrained_first_row_may_have_seen_no_tokens():
    runs = Runs.from_frame(table(range(10)), batch_tokens=1000)
    assert runs.frame["kept"].all()
    assert facts(runs, "before_training")["count"].tolist() == [1]
    assert runs.bins().frame["count"].sum() == 9
    assert "1 rows at step 0" in runs.bins().notes[0]


def test_a_run_of_nothing_but_nan_is_named_and_the_others_kept():
    df = pd.concat([table(run="good"), table(run="bad").assign(loss=np.nan)])
    runs = Runs.from_frame(df)
    assert runs.names == ("good",)
    dropped = facts(runs, "dropped_run")
    assert dropped["run"].tolist() == ["bad"]
    assert dropped["count"].tolist() == [10]
    assert len(runs.frame) == 20


def test_nan_and_infinity_are_facts():
    df = table()
    df.loc[[3, 7], "loss"] = [np.nan, np.inf]
    runs = Runs.from_frame(df)
    assert runs.frame["kept"].tolist() == [i not in (3, 7) for i in range(10)]
    (fact,) = facts(runs, "nonfinite_loss").itertuples()
    assert (fact.run, fact.row, fact.step, fact.count) == ("a", 4, 4.0, 2)


def test_a_logged_nan_among_texts_is_not_an_empty_cell():
    """W&B's API gives "NaN" as text; beside it, a NaN of Python's was taken for a cell of nothing."""
    runs = Runs.from_frame({"step": [1, 2, 3, 4, 5], "loss": [4.0, float("nan"), "NaN", None, 3.0]})
    assert dict(zip(runs.facts["kind"], runs.facts["count"], strict=True)) == {"nonfinite_loss": 2, "sparse_rows": 1}


def test_sparse_rows_are_not_divergence():
    df = table()
    df["val_loss"] = np.nan
    df.loc[[3, 7], "loss"] = np.nan
    df.loc[[3, 7], "val_loss"] = 2.0
    runs = Runs.from_frame(df)
    assert len(facts(runs, "nonfinite_loss")) == 0
    assert facts(runs, "sparse_rows")["count"].tolist() == [2]


def test_last_write_of_a_step_counts():
    runs = Runs.from_frame(pd.DataFrame({"step": [1, 2, 2, 3], "loss": [4.0, 3.5, 3.4, 3.0]}))
    assert runs.frame["kept"].tolist() == [True, False, True, True]
    assert runs.curve("run")["loss"].tolist() == [4.0, 3.4, 3.0]
    assert facts(runs, "duplicate_step")["message"].tolist() == [
        "1 row written again later at the same step; the last one counts."
    ]


@pytest.mark.parametrize(
    ("steps", "stale"),
    [
        ([*range(10, 110, 10), *range(60, 160, 10)], [60, 70, 80, 90, 100]),  # the same steps again
        ([*range(10, 110, 10), *range(63, 163, 10)], [70, 80, 90, 100]),  # another phase of logging
        ([*range(10, 110, 10), 60, 70], [60, 70, 80, 90, 100]),  # still behind the first life
        (
            [*range(10, 110, 10), *range(90, 140, 10), *range(50, 150, 10)],
            [90, 100, 50, 60, 70, 80, 90, 100, 110, 120, 130],
        ),
    ],
)
def test_a_resume_replaces_what_it_wrote_again(steps, stale):
    loss = np.arange(len(steps), 0, -1.0)
    runs = Runs.from_frame(pd.DataFrame({"step": steps, "loss": loss}))
    dropped = runs.frame.loc[~runs.frame["kept"], "step"].tolist()
    assert sorted(dropped) == sorted(stale)
    assert facts(runs, "rewind")["count"].sum() == len(stale)
    curve = runs.curve("run")
    assert curve["step"].is_monotonic_increasing
    assert (np.diff(curve["loss"]) < 0).all()  # later in the curve was written later: one life, not a mixture


@pytest.mark.parametrize(
    "steps",
    [
        [*range(100, 200, 10), *range(10, 100, 10)],  # two parts in the wrong order
        [10, 20, 40, 30, *range(50, 200, 10)],  # one row late
        list(range(300, 0, -10)),  # newest first
        np.random.default_rng(0).permutation(np.arange(1, 60)).tolist(),
    ],
)
def test_rows_merely_out_of_order_are_all_kept(steps):
    runs = Runs.from_frame(pd.DataFrame({"step": steps, "loss": 2 + 1 / np.array(steps)}))
    assert runs.frame["kept"].all()
    assert runs.curve("run")["step"].tolist() == sorted(steps)
    assert facts(runs, "rewind").empty


def test_exit_steps_are_curves_of_their_own():
    df = pd.concat([table(exit_step=1.0), table(exit_step=2.0), table(exit_step=np.nan)])
    runs = Runs.from_frame(df)
    assert runs.frame["kept"].all()
    assert len(runs.curve("a")) == 30
    assert runs.curve("a", exit_step=2)["exit_step"].tolist() == [2.0] * 10
    assert runs.bins().frame["exit_step"].isna().sum() == 10
    with pytest.raises(DataError, match="no loss at exit step 9; it has 1, 2, the total loss"):
        runs.curve("a", exit_step=9)


def test_rows_to_forecast_need_no_loss_and_all_count():
    runs = Runs.from_frame({"n_params": [1e9, 1e9], "tokens": [1e9, 1e9]}, need_loss=False)
    assert runs.frame["kept"].all()
    assert not runs.has_loss
    with pytest.raises(DataError, match="no losses to put into bins"):
        runs.bins()
