"""What is taken for a table, and what is not."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError


def table(steps=range(1, 11)):
    steps = np.asarray(list(steps), float)
    return pd.DataFrame({"run": "a", "step": steps, "loss": 2 + 3 / (1 + np.arange(len(steps)))})


def test_a_named_index_is_a_column_that_somebody_set_aside():
    df = table([10, 20, 30])
    for index in ("step", ["run", "step"]):
        runs = Runs.from_frame(df.set_index(index))
        assert runs.frame["step"].tolist() == [10, 20, 30]
        assert runs.names == ("a",)
    numbered = df.set_index(df.index.rename("step"))  # a column of that name is there: it stands
    assert Runs.from_frame(numbered).frame["step"].tolist() == [10, 20, 30]


def test_what_other_libraries_hold_rows_in_is_a_table():
    df = table()
    for form in (df.to_dict("list"), df.to_dict("records"), pa.table(df), df.convert_dtypes(dtype_backend="pyarrow")):
        pd.testing.assert_frame_equal(Runs.from_frame(form).frame, Runs.from_frame(df).frame)


def test_columns_whose_names_are_numbers_are_found_by_them():
    runs = Runs.from_frame(table().rename(columns={"loss": 0}).assign(note=1), columns={"loss": 0})
    assert runs.frame["loss"].iloc[0] == 5.0


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (pd.Series([3.0, 2.0], name="loss"), "Cannot take Series for a table. Give a DataFrame"),
        (np.ones((3, 2)), "Cannot take ndarray for a table. Give a DataFrame"),
        ("runs.csv", "Cannot take str for a table. Give a DataFrame"),
        ({"loss": 3.0, "step": 1}, "Cannot take a table as a table: If using all scalar values"),
        (pd.DataFrame([[1, 2.0]], columns=pd.MultiIndex.from_product([["a"], ["step", "loss"]])), "have 2 levels of"),
        ({"step": [[1, 2]], "loss": [3.0]}, "Row 1: column 'step' holds [1, 2], but step must be a number. Give one"),
        ({"step": [1, 2], "loss": [3.0, 2.0], "lr": [-1e-3, 1e-3]}, "lr is -0.001, but a rate is never negative"),
    ],
)
def test_what_is_no_table_is_said(what, message):
    with pytest.raises(DataError) as error:
        Runs.from_frame(what)
    assert message in str(error.value)
