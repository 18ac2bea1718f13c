"""What dashboards export: W&B's wide tables and its table of runs, TensorBoard's downloads of one curve."""

import pytest

from bayeslaw.errors import DataError
from bayeslaw.readers import load

WIDE = (
    '"Step","llama - 7b - train/loss","llama - 7b - train/loss__MIN","llama - 7b - train/loss__MAX",'
    '"other - train/loss","other - train/loss__MIN","other - train/loss__MAX"\n'
    "0,10.5,10.5,10.5,,,\n10,8.25,8.25,8.25,9.5,9.5,9.5\n20,7.0,7.0,7.0,,,\n30,,,,8.5,8.5,8.5\n"
)


@pytest.fixture
def export(tmp_path):
    """``export(text, name)``: loads a CSV file."""

    def read(text, name="wandb_export.csv", **how):
        path = tmp_path / name
        path.write_text(text)
        return load(path, **how)

    return read


def test_wide_columns_become_runs(export):
    runs = export(WIDE)
    assert runs.names == ("llama - 7b", "other")
    assert runs.curve("llama - 7b")[["step", "loss"]].to_numpy().tolist() == [[0, 10.5], [10, 8.25], [20, 7.0]]
    assert runs.curve("other")[["step", "loss"]].to_numpy().tolist() == [[10, 9.5], [30, 8.5]]
    assert "downsampled" not in set(runs.facts["kind"])
    assert runs.frame["row"].tolist() == [1, 2, 3, 2, 4]


def test_bins_of_the_dashboard_are_told(export):
    runs = export(WIDE.replace("10,8.25,8.25,8.25", "10,8.25,8.0,8.75"))
    (fact,) = runs.facts[runs.facts["kind"] == "downsampled"].itertuples()
    assert (fact.run, fact.count) == ("llama - 7b", 3)
    assert "averaged this curve over bins" in fact.message


def test_several_metrics_and_another_axis(export):
    text = '"train/global_step","a - _step","a - train/loss","a - train/learning_rate"\n'
    text += "100,1,4.5,0.001\n200,2,4.25,0.002\n"
    runs = export(text)
    assert runs.curve("a")[["step", "loss", "lr"]].to_numpy().tolist() == [[100, 4.5, 0.001], [200, 4.25, 0.002]]
    runs = export('"Step","a - my_loss"\n1,4.5\n2,4.25\n')
    assert runs.curve("a")["loss"].tolist() == [4.5, 4.25]


def test_an_axis_that_is_no_step_is_not_taken_for_one(export):
    with pytest.raises(DataError, match="no step, tokens or flops to order them by"):
        export('"Relative Time (Process)","a - train/loss"\n1.5,4.5\n2.5,4.25\n')
    runs = export('"throughput/total_tokens","a - train/loss"\n1000,4.5\n2000,4.25\n')
    assert runs.curve("a")["tokens"].tolist() == [1000, 2000]


def test_the_table_of_runs(export):
    text = "Name,State,Created,Runtime,n_params,total_tokens,final_loss\n"
    text += "a,finished,2024-01-01T00:00:00Z,100,1000000,2000000,4.5\n"
    text += "b,finished,2024-01-02T00:00:00Z,100,2000000,4000000,4.0\n"
    runs = export(text)
    assert runs.names == ("a", "b")
    assert runs.one_point


def test_tensorboards_download(export):
    text = "Wall time,Step,Value\n1700000000.5,1,4.5\n1700000001.5,2,4.25\n"
    runs = export(text, "run-small_run-tag-train_loss.csv")
    assert runs.names == ("small_run",)
    assert runs.frame["loss"].tolist() == [4.5, 4.25]
    runs = export(text, "run-small_run-tag-eval_loss.csv")
    assert any("read as eval_loss" in note for note in runs.notes)
    with pytest.raises(DataError, match="There is no loss column"):
        export(text, "run-small_run-tag-learning_rate.csv")


def test_a_plain_table_with_a_dash_in_a_name_stays_one(export):
    runs = export("step,loss,a - b\n1,4.5,1\n2,4.25,2\n")
    assert runs.frame["loss"].tolist() == [4.5, 4.25]


@pytest.mark.parametrize("metric", ["loss", "loss__MIN"])
def test_two_runs_of_one_name_are_refused(export, metric):
    """Found by mutations of a file: it ended in an assertion."""
    with pytest.raises(DataError, match=rf"two columns called 'a - {metric}'.*Rename one of the runs"):
        export(f'"Step","a - loss","a - {metric}","a - {metric}"\n1,4.5,4.25,4.0\n2,4.25,4.0,3.9\n')


def test_a_metric_called_run_does_not_take_the_runs_place(export):
    assert export('"Step","a - loss","a - run"\n1,4.5,7\n2,4.25,7\n').names == ("a",)


def test_runs_of_one_name_in_the_table_of_runs_are_not_one_run(export):
    """W&B lets runs share a name; taken by name they made one curve out of a sweep."""
    head, rest = "Name,State,Created,Runtime{},_step,loss\n", "finished,2024-01-01T00:00:00Z,100"
    rows = [("a", 100, 4.5), ("a", 200, 4.25), ("b", 100, 4.0)]
    runs = export(head.format("") + "".join(f"{name},{rest},{step},{loss}\n" for name, step, loss in rows))
    assert runs.names == ("a (row 1)", "a (row 2)", "b")
    assert any(note.startswith("2 runs of") and "told apart by their row" in note for note in runs.notes)
    ids = "".join(f"{name},{rest},x{i},{step},{loss}\n" for i, (name, step, loss) in enumerate(rows))
    assert export(head.format(",ID") + ids).names == ("a (x0)", "a (x1)", "b")
    digits = "".join(f"{name},{rest},{step},4.5\n" for name, step in (("007", 1), ("7", 2)))
    assert export(head.format("") + digits).names == ("007", "7")


def test_a_lone_metric_that_is_taken_for_the_loss_is_said(export):
    runs = export('"Step","a - train/smooth_loss"\n1,4.5\n2,4.25\n')
    assert runs.curve("a")["loss"].tolist() == [4.5, 4.25]
    assert "Its one metric is 'train/smooth_loss': read as loss." in runs.notes


def test_runs_of_a_wide_export_that_call_the_loss_differently(export):
    runs = export('"Step","a - train/loss","b - loss"\n1,4.5,3.5\n2,4.25,3.25\n')
    assert runs.curve("a")["loss"].tolist() == [4.5, 4.25]
    assert runs.curve("b")["loss"].tolist() == [3.5, 3.25]
    assert "In a the column 'train/loss' was read as loss." in runs.notes
