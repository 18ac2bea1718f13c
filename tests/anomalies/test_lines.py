"""Lines of a growing log: which of them are losses, under which names, and what is said of the others."""

import json

import pytest

from bayeslaw.anomalies.lines import Lines
from bayeslaw.errors import DataError


def read(rows, columns=None):
    lines = Lines("log", columns or {}, "mine")
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return lines, [made["loss"] for made in map(lines.row, texts) if made is not None]


def test_a_validation_loss_between_train_losses_is_none_of_them():
    lines, losses = read([{"step": 1, "loss": 3.0}, {"step": 1.5, "eval_loss": 9.0}, {"step": 2, "loss": 2.9}])
    assert losses == [3.0, 2.9]
    assert lines.passed == {"eval_loss": 1}


def test_the_mean_over_a_training_at_its_end_is_no_loss_of_a_step():
    """transformers' Trainer ends its log so."""
    _, losses = read([{"step": 10, "loss": 3.0}, {"step": 13, "train_loss": 5.5, "train_runtime": 8.0}])
    assert losses == [3.0]


def test_what_came_first_gives_way_to_the_loss_that_a_table_of_all_lines_would_have():
    _, losses = read([{"step": 0.5, "eval_loss": 9.0}, {"step": 1, "loss": 3.0}, {"step": 1.5, "eval_loss": 9.0}])
    assert losses == [9.0, 3.0]


def test_a_named_loss_is_the_only_one():
    lines, losses = read([{"step": 1, "loss": 3.0}, {"step": 1, "eval_loss": 9.0}], {"loss": "eval_loss"})
    assert losses == [9.0]
    assert lines.lacking == 1


def test_what_a_log_knows_is_remembered():
    lines, _ = read([{"step": 1, "loss": 3.0}, {"step": 1, "eval_loss": 9.0}])
    later = Lines("log", {}, "mine")
    later.restore(json.loads(json.dumps(lines.to_json())))
    assert later.row('{"step": 1.5, "eval_loss": 9.0}') is None
    assert later.passed == {"eval_loss": 2}


def test_nested_objects_are_read_as_load_reads_them():
    assert read([{"step": 1, "train": {"loss": 3.0}}])[1] == [3.0]


def test_empty_cells_are_other_metrics_and_no_defect():
    lines, losses = read(["step,loss,val_loss", "1,3.0,", "1,,2.5", "2,oops,", "3,2.8"])
    assert losses == [3.0]
    assert lines.skipped == 2


@pytest.mark.parametrize(
    ("first", "columns", "says"),
    [
        ("step\tloss", {}, "CSV parted by commas"),
        ("\x1f\ufffd\x08\x00", {}, "CSV parted by commas"),
        ("step,perplexity", {}, "take its natural logarithm"),
        ("step,loss", {"loss": "los"}, "asks for loss from 'los'"),
        ("loss,lr", {}, "--column step="),
    ],
)
def test_a_header_that_names_no_step_with_a_loss_says_why(first, columns, says):
    with pytest.raises(DataError, match=says):
        read([first], columns)


def test_lines_of_json_without_a_loss_are_counted_and_the_reason_kept():
    lines, _ = read([{"step": 1, "perplexity": 20.0}] * 3)
    assert lines.lacking == 3
    assert "natural logarithm" in lines.lack
