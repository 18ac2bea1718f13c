"""Several files, and folders of runs, whose columns are called differently: no run's losses are lost for that."""

import json

import pytest

from bayeslaw.errors import DataError
from bayeslaw.readers import load


def table(path, *names, first=3, rows=12, **cells):
    """A CSV file of a step, a loss ``first + 1 / step`` and constant cells."""
    head = ",".join([*names, *cells])
    lines = [",".join(map(str, [i, f"{first + 1 / i:.4f}", *cells.values()])) for i in range(1, rows + 1)]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("step", "loss"), ("step", "train/loss")),
        (("step", "loss"), ("iteration", "lm loss")),
        (("_step", "loss"), ("step", "loss")),
        (("step", "train_loss"), ("step", "train/loss")),
        (("step", "train/CE loss"), ("step", "loss")),
        (("Step", "Loss"), ("step", "loss")),
        (("step", "val_loss"), ("step", "eval/loss")),
    ],
)
def test_files_that_call_a_column_differently(tmp_path, one, other):
    runs = load([table(tmp_path / "a.csv", *one), table(tmp_path / "b.csv", *other, first=2)])
    assert runs.names == ("a", "b")
    assert runs.curve("a")["loss"].tolist() == [round(3 + 1 / i, 4) for i in range(1, 13)]
    assert runs.curve("b")["loss"].tolist() == [round(2 + 1 / i, 4) for i in range(1, 13)]
    assert runs.curve("b")["step"].tolist() == list(range(1, 13))
    strange = [name for name in (*one, *other) if name not in ("step", "loss")]
    for name in strange:
        assert any(repr(name) in note for note in runs.notes), runs.notes


def test_sizes_and_runs_under_two_names(tmp_path):
    a = table(tmp_path / "a.csv", "step", "loss", n_params=1000000, run="x")
    b = table(tmp_path / "b.csv", "step", "loss", params=2000000, experiment="y")
    runs = load([a, b])
    assert runs.names == ("x", "y")
    assert [runs.curve(name)["n_params"].iloc[0] for name in runs.names] == [1e6, 2e6]


def test_a_validation_loss_is_not_put_among_train_losses(tmp_path):
    runs = load([table(tmp_path / "a.csv", "step", "eval/loss"), table(tmp_path / "b.csv", "step", "loss")])
    assert runs.names == ("b",)
    assert runs.dropped == ("a",)
    assert "a.csv has no train loss; its validation loss 'eval/loss' was left aside." in runs.notes


def test_a_file_without_rows_or_loss_is_told(tmp_path):
    (tmp_path / "b.csv").write_text("step,loss\n")
    runs = load(
        [table(tmp_path / "a.csv", "step", "loss"), tmp_path / "b.csv", table(tmp_path / "c.csv", "step", "ppl")]
    )
    assert sorted(runs.dropped) == ["b", "c"]
    assert "b.csv has no rows" in runs.explain()
    assert any(note.startswith("c.csv has no loss") and "perplexity" in note for note in runs.notes)


def test_what_is_wrong_with_the_columns_names_the_file(tmp_path):
    a = table(tmp_path / "a.csv", "step", "loss")
    with pytest.raises(DataError, match=r"b.csv: 2 columns could be loss"):
        load([a, table(tmp_path / "b.csv", "step", "train_loss", **{"train/loss": 1})])
    with pytest.raises(DataError, match=r"b.csv: .* asks for loss from 'loss'"):
        load([a, table(tmp_path / "b.csv", "step", "train_loss")], columns={"loss": "loss"})
    with pytest.raises(DataError, match=r"b.csv has two columns called 'loss'"):
        load([a, table(tmp_path / "b.csv", "loss", "loss")])


def test_the_users_choice_holds_for_all_files(tmp_path):
    a = table(tmp_path / "a.csv", "step", "mine", loss=9)
    b = table(tmp_path / "b.csv", "iteration", "mine", train_loss=9)
    runs = load([a, b], columns={"loss": "mine"})
    assert runs.curve("b")["loss"].iloc[0] == 4.0
    assert runs.curve("b")["step"].tolist() == list(range(1, 13))


def test_runs_of_a_folder_that_call_the_loss_differently(tmp_path):
    for i, name in enumerate(("loss", "train_loss")):
        (tmp_path / f"version_{i}").mkdir()
        table(tmp_path / f"version_{i}" / "metrics.csv", "step", name, first=2 + i)
    runs = load(tmp_path)
    assert runs.names == ("version_0", "version_1")
    assert [runs.curve(name)["loss"].iloc[0] for name in runs.names] == [3, 4]
    assert "In version_1 the column 'train_loss' was read as loss." in runs.notes


def test_lines_of_json_beside_a_table(tmp_path):
    lines = tmp_path / "b.jsonl"
    lines.write_text("".join(json.dumps({"run": "bb", "step": i, "train_loss": 2 + 1 / i}) + "\n" for i in range(1, 9)))
    runs = load([table(tmp_path / "a.csv", "step", "loss"), lines])
    assert runs.names == ("a", "bb")
