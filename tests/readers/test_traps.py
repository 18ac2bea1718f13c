"""The traps of trainers' logs, one test each: what a log does not say outright is a fact, or is refused in words."""

import gzip
import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from bayeslaw.errors import DataError, DataWarning
from bayeslaw.readers import jsonlines, load


def kinds(runs):
    return runs.facts.set_index("kind")["count"].to_dict()


@pytest.fixture
def jsonl(tmp_path):
    """``jsonl(rows)``: the path of a file with these rows."""

    def write(rows, name="x.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
        return path

    return write


@pytest.fixture
def state(tmp_path):
    """``state(rows)``: the path of a trainer_state.json with this log history."""

    def write(rows, **more):
        path = tmp_path / "trainer_state.json"
        path.write_text(json.dumps({"global_step": 1, **more, "log_history": rows}, indent=2))
        return path

    return write


def test_rounded_window_means_of_transformers(state):
    rows = [{"step": s, "loss": round(4 - s / 300, 4), "learning_rate": 1e-4} for s in range(10, 60, 10)]
    (fact,) = load(state(rows, logging_steps=10)).facts.itertuples()
    assert (fact.kind, fact.count) == ("window_mean", 5)
    assert "mean over the 10 steps before it, rounded to 4 decimals" in fact.message
    (fact,) = load(state(rows)).facts.itertuples()
    assert "mean over the 10 steps before it" in fact.message, "without logging_steps, the rows' distance tells"
    rows = [{"step": s, "loss": 4 - s / 300 + 1e-9 / 3} for s in range(1, 6)]
    assert len(load(state(rows, logging_steps=1)).facts) == 0


def test_nan_filter_of_transformers(state):
    rows = [{"step": s, "loss": 4 - s / 300, "grad_norm": 1.0} for s in (10, 20, 30)]
    rows[1]["grad_norm"] = float("nan")
    fact = load(state(rows)).facts.set_index("kind").loc["hidden_nan"]
    assert (fact["step"], fact["count"]) == (20, 1)
    assert "logging_nan_inf_filter" in fact["message"]


def test_token_counter_of_transformers_that_was_never_on(state):
    rows = [{"step": s, "loss": 4 - s / 300, "num_input_tokens_seen": 0} for s in (10, 20)]
    runs = load(state(rows))
    assert "tokens" not in runs.frame
    assert any("taken as unknown" in note for note in runs.notes)
    rows = [{"step": s, "loss": 4 - s / 300, "num_input_tokens_seen": 1000 * s} for s in (10, 20)]
    assert load(state(rows)).frame["tokens"].tolist() == [10_000, 20_000]


@pytest.mark.parametrize(("rows", "told"), [(500, True), (1000, True), (499, False)])
def test_downsampled_histories(tmp_path, rows, told):
    steps = np.sort(np.random.default_rng(0).choice(np.arange(1, 50_000), rows, replace=False))
    path = tmp_path / "x.csv"
    pd.DataFrame({"_step": steps, "loss": 2 + 3 / steps}).to_csv(path, index=False)
    assert ("downsampled" in kinds(load(path))) == told
    pd.DataFrame({"_step": np.arange(1, rows + 1), "loss": 2 + 3 / np.arange(1, rows + 1)}).to_csv(path, index=False)
    assert "downsampled" not in kinds(load(path)), "a short run that logged every step is whole"


def test_resumed_and_overlapping_steps(jsonl):
    rows = [{"step": s, "loss": 4 - s / 100} for s in [*range(1, 31), *range(21, 41), *range(36, 51)]]
    runs = load(jsonl(rows))
    assert runs.curve("x")["step"].tolist() == list(range(1, 51))
    assert runs.facts[["kind", "step", "count"]].to_numpy().tolist() == [["rewind", 21, 10], ["rewind", 36, 5]]


def test_batch_ramp(jsonl):
    rows = [{"step": s, "loss": 4 - s / 100, "global_batch_size": 32 if s < 10 else 64} for s in range(1, 21)]
    path = jsonl(rows)
    runs = load(path)
    assert kinds(runs) == {"batch_ramp": 1}
    assert "tokens" not in runs.frame, "tokens are never assumed"
    with pytest.raises(DataError, match="'global_batch_size' says that the batch size changes, from 32 to 64"):
        load(path, batch_tokens="4M")
    constant = jsonl([row | {"global_batch_size": 32} for row in rows])
    assert load(constant, batch_tokens="4M").frame["tokens"].iloc[-1] == 80e6


def test_perplexity_and_bits(jsonl):
    with pytest.raises(DataError, match="a perplexity: take its natural logarithm"):
        load(jsonl([{"step": s, "train/perplexity": 60 - s} for s in range(1, 5)]))
    with pytest.raises(DataError, match=r"bits per byte: multiply by ln 2 = 0\.6931 and by the tokenizer's mean"):
        load(jsonl([{"step": s, "val_bpb": 1.5 - s / 10} for s in range(1, 5)]))
    with pytest.raises(DataError, match=r"bits per token: multiply by ln 2 = 0\.6931"):
        load(jsonl([{"step": s, "bits_per_token": 5 - s / 10} for s in range(1, 5)]))
    with pytest.warns(DataWarning, match="Is it a perplexity"):
        runs = load(jsonl([{"step": s, "loss": 60.0 - s} for s in range(1, 15)]))
    assert kinds(runs) == {"high_loss": 14}


def test_auxiliary_losses(jsonl):
    rows = [{"step": s, "loss": 4 - s / 100, "z_loss": 0.01, "moe/load_balancing_loss": 0.02} for s in range(1, 5)]
    (fact,) = load(jsonl(rows)).facts.itertuples()
    assert (fact.kind, fact.count) == ("auxiliary_loss", 2)
    assert "'z_loss', 'moe/load_balancing_loss' beside 'loss'" in fact.message
    rows = [{"step": s, "train/CrossEntropyLoss": 4 - s / 100, "train/ZLoss": 0.01} for s in range(1, 5)]
    assert len(load(jsonl(rows)).facts) == 0, "the cross-entropy itself holds no other loss"


def test_a_cross_entropy_beside_the_total_is_named(jsonl):
    rows = [
        {"step": s, "loss": 4 - s / 100, "lm_loss": 3.9 - s / 100, "z_loss": 0.1, "val/lm_loss": 4} for s in range(1, 5)
    ]
    (fact,) = load(jsonl(rows)).facts.itertuples()
    assert "take the cross-entropy, which 'lm_loss' seems to be (--column loss='lm_loss')" in fact.message


@pytest.mark.parametrize("name", ["mtp_1 loss", "learning/mtp_loss", "indexer loss"])
def test_losses_of_further_tokens_are_auxiliary(jsonl, name):
    (fact,) = load(jsonl([{"step": s, "loss": 4 - s / 100, name: 0.1} for s in range(1, 5)])).facts.itertuples()
    assert fact.kind == "auxiliary_loss"


def test_tokens_of_one_device_are_not_taken(jsonl):
    """litgpt logs both."""
    path = jsonl([{"step": s, "loss": 4 - s / 100, "tokens": 1000 * s, "total_tokens": 8000 * s} for s in range(1, 5)])
    with pytest.raises(DataError, match=r"'total_tokens' is 8 times 'tokens'.*--column tokens=total_tokens"):
        load(path)
    assert load(path, columns={"tokens": "total_tokens"}).frame["tokens"].tolist() == [8000, 16000, 24000, 32000]
    assert load(path, columns={"tokens": "tokens"}).frame["tokens"].tolist() == [1000, 2000, 3000, 4000]
    path = jsonl([{"step": s, "loss": 4 - s / 100, "tokens": 1000 * s, "total_tokens": 40000} for s in range(1, 5)])
    assert load(path).frame["tokens"].tolist() == [1000, 2000, 3000, 4000], "a constant is the plan's"


def test_composer_logs_the_total_and_the_cross_entropy(jsonl):
    rows = [
        {"time/batch": s, "loss/train/total": 5 - s / 10, "metrics/train/LanguageCrossEntropy": 4 - s / 10}
        for s in range(1, 5)
    ]
    assert load(jsonl(rows)).mapping["loss"] == "metrics/train/LanguageCrossEntropy"
    for row in rows:
        row.pop("metrics/train/LanguageCrossEntropy")
    assert load(jsonl(rows)).mapping["loss"] == "loss/train/total"


def test_sparse_rows_complete_each_other(jsonl):
    """Several ``log`` calls a step: the learning rate stands beside the loss's row, before or after it."""
    rows = []
    for s in range(1, 5):
        rows += [{"step": s, "lr": s / 100}, {"step": s, "loss": 4 - s / 10}, {"step": s, "tokens": 1000 * s}]
    runs = load(jsonl(rows))
    assert runs.curve("x")[["lr", "tokens"]].to_numpy().tolist() == [[s / 100, 1000.0 * s] for s in range(1, 5)]
    assert kinds(runs) == {"sparse_rows": 8}
    rows = [{"step": 1, "loss": 4.0}, {"step": 2, "lr": 0.1}, {"step": 3, "loss": 3.0}]
    assert load(jsonl(rows)).curve("x")["lr"].isna().all(), "another step's rate is not this one's"


def test_a_resume_does_not_lend_its_gradient_norm_to_the_old_rows(jsonl):
    first = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.9}, {"step": 3, "loss": 3.8}]
    again = [{"step": 2, "grad_norm": 9.0}, {"step": 2, "loss": 3.7}, {"step": 3, "loss": 3.6}]
    frame = load(jsonl(first + again)).frame
    assert frame.loc[frame["loss"] == 3.9, "grad_norm"].isna().all()
    assert frame.loc[frame["loss"] == 3.7, "grad_norm"].tolist() == [9.0]


def test_iso_time_stamps(tmp_path, jsonl):
    path = tmp_path / "x.csv"
    stamps = [f"2024-01-01T00:00:{s:02d}.5Z" for s in range(1, 5)]
    path.write_text("timestamp,step,loss\n" + "".join(f"{t},{s},{4 - s / 10}\n" for s, t in enumerate(stamps, 1)))
    runs = load(path)
    assert runs.frame["loss"].tolist() == [3.9, 3.8, 3.7, 3.6]
    assert len(runs.bins()) == 4
    runs = load(jsonl([{"time": t, "step": s, "loss": 4 - s / 10} for s, t in enumerate(stamps, 1)]))
    assert runs.frame["time"].tolist() == stamps
    with pytest.raises(DataError, match=r"Row 1: column 'timestamp' holds .*2024.*, but step must be a number"):
        load(path, columns={"step": "timestamp"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", b"step,loss\n1,4.0\n2,3.5\n"),
        ("x.jsonl", b'{"step":1,"loss":4.0}\n{"step":2,"loss":3.5}\n'),
        ("x.log", b"iter 1: loss 4.0, time\niter 2: loss 3.5, time\n"),
    ],
)
def test_zeros_that_a_crash_leaves_behind(name, text, tmp_path):
    (tmp_path / name).write_bytes(text + bytes(5000))
    assert load(tmp_path / name).curve("x")["loss"].tolist() == [4.0, 3.5]


def test_numbers_that_no_float_holds(jsonl):
    path = jsonl([{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}])
    path.write_text(path.read_text().replace("3.0", "9" * 400))
    with pytest.raises(DataError, match=r"Row 2: column 'loss' holds 9{60}\.\.\. \(400 char"):
        load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"Line 1 of x.jsonl is not a JSON object"):
        load(path)


def test_blocks_of_json_lines_read_like_one(jsonl, monkeypatch):
    """Kinds of values, keys and gaps that change from block to block, against the file read in one piece."""
    rows = []
    for s in range(1, 400):
        row = {"step": s, "loss": 4 - s / 1000, "note": "é" * (s % 7)}
        row |= {"late": s} if s > 200 else {}
        row |= {"mixed": s if s < 150 else "text" if s < 250 else None}
        rows.append(row | ({"loss": None} if s % 50 == 0 else {}))
    path = jsonl(rows)
    whole = load(path)
    monkeypatch.setattr(jsonlines, "BLOCK", 777)
    parts = load(path)
    assert parts.fingerprint == whole.fingerprint
    assert parts.facts.equals(whole.facts)
    pd.testing.assert_frame_equal(parts.frame, whole.frame)


def test_a_huge_file_fits(tmp_path, monkeypatch):
    """In small what benchmarks/reading.py measures on 1 GB: memory is a fraction of the file."""
    path = tmp_path / "x.jsonl"
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for s in range(1, 12_001):
            row = {"step": s, "train/loss": 2 + 3 / s, "lr": 1e-3} | {
                f"layer_{i}/norm": rng.random() for i in range(15)
            }
            file.write(json.dumps(row | {"wanted": s}) + "\n")
    monkeypatch.setattr(jsonlines, "SLIM", 1_000_000)
    monkeypatch.setattr(jsonlines, "BLOCK", 1 << 16)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        runs = load(path, columns={"grad_norm": "wanted"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(runs.curve("x")) == 12_000
    assert set(runs.mapping) == {"step", "loss", "lr", "grad_norm"}
    assert any("15 columns that bayeslaw does not use were left out (layer_0/norm" in note for note in runs.notes)
    assert peak < 0.5 * size
    assert len(load(path, columns={"grad_norm": "wanted"}).frame.columns) == 7
    packed = tmp_path / "x.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert load(packed, columns={"grad_norm": "wanted"}).fingerprint == runs.fingerprint
    assert len(load(packed, columns={"grad_norm": "wanted"}).frame.columns) == 7, "as large, unpacked"
