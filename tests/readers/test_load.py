import gzip
import io
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslaw.data.runs import Runs
from bayeslaw.errors import BayeslawError, DataError, FileError
from bayeslaw.readers import load


@pytest.fixture
def df():
    steps = np.arange(1, 21)
    return pd.DataFrame({"run": "a", "step": steps, "tokens": steps * 1e6, "loss": 2 + 3 / steps, "lr": 1e-3})


def write(df, path):
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "csv":
        data = df.to_csv(index=False).encode()
    elif kind == "tsv":
        data = df.to_csv(index=False, sep="\t").encode()
    elif kind in ("jsonl", "ndjson"):
        data = "\n".join(json.dumps(r) for r in df.to_dict("records")).encode()
    else:
        data = df.to_parquet(index=False)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


FORMATS = ["csv", "tsv", "jsonl", "ndjson", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "parquet.gz"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_reads_the_same(df, tmp_path, suffix):
    runs = load(write(df, tmp_path / f"x.{suffix}"))
    assert runs.fingerprint == Runs.from_frame(df).fingerprint
    assert runs.source == f"x.{suffix}"
    assert runs.frame["row"].tolist() == list(range(1, 21))


def test_an_evenly_counted_index_of_pandas_is_a_column(tmp_path):
    """Parquet holds it beside the columns; a frame with it is read the same."""
    path = tmp_path / "x.parquet"
    index = pd.RangeIndex(10, 130, 10, name="step")
    pd.DataFrame({"loss": [4 - i / 10 for i in range(12)]}, index=index).to_parquet(path)
    assert load(path).frame["step"].tolist() == list(index)


def test_content_beats_the_suffix(df, tmp_path):
    write(df, tmp_path / "x.jsonl").rename(tmp_path / "x.csv")
    assert load(tmp_path / "x.csv").names == ("a",)
    write(df, tmp_path / "y.parquet").rename(tmp_path / "y.csv")
    assert load(tmp_path / "y.csv").names == ("a",)
    write(df, tmp_path / "z.csv.gz").rename(tmp_path / "z.csv")
    assert load(tmp_path / "z.csv").names == ("a",)


def test_the_file_names_the_run(df, tmp_path):
    path = write(df.drop(columns="run"), tmp_path / "llama-7b.csv.gz")
    assert load(path).names == ("llama-7b",)
    assert load(path, run="mine").names == ("mine",)


def test_constants_and_batch(df, tmp_path):
    path = write(df.drop(columns="tokens"), tmp_path / "x.csv")
    runs = load(path, n_params="7B", group="c4", batch_tokens="4M", recurrence=2)
    assert runs.frame.iloc[-1][["n_params", "group", "tokens", "recurrence"]].tolist() == [7e9, "c4", 80e6, 2.0]


def test_files_of_a_list_are_runs(df, tmp_path):
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(write(df.drop(columns="run"), tmp_path / name / "metrics.csv"))
    runs = load(paths)
    assert runs.names == ("one/metrics", "two/metrics")
    assert runs.source == "metrics.csv and 1 more file"


def test_a_later_file_is_the_resume_of_an_earlier(df, tmp_path):
    first = write(df.iloc[:12], tmp_path / "p1.csv")
    second = write(df.iloc[8:].assign(loss=lambda d: d["loss"] - 0.1), tmp_path / "p2.jsonl")
    runs = load([first, second])
    assert runs.curve("a")["step"].tolist() == list(range(1, 21))
    assert runs.curve("a")["loss"].iloc[9] == pytest.approx(2 + 3 / 10 - 0.1)
    (fact,) = runs.facts[runs.facts["kind"] == "rewind"].itertuples()
    assert (fact.row, fact.step, fact.count) == (1, 9, 4)


def test_lightning_rows_without_a_loss(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss,val_loss\n0,1,4.0,\n0,2,3.5,\n0,2,,3.6\n0,3,3.2,\n0,3,,3.3\n")
    runs = load(path)
    assert runs.curve("metrics")["loss"].tolist() == [4.0, 3.5, 3.2]
    assert runs.facts["kind"].tolist() == ["sparse_rows"]
    assert runs.facts["count"].tolist() == [2]


def test_logged_nan_is_not_an_empty_cell(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("step,loss\n1,4.0\n2,NaN\n3,\n4,3.0\n5,inf\n6,-Infinity\n")
    kinds = load(path).facts.set_index("kind")["count"].to_dict()
    assert kinds == {"nonfinite_loss": 3, "sparse_rows": 1}
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"step":1,"loss":4.0}\n{"step":2,"loss":NaN}\n{"step":3}\n{"step":4,"loss":null}\n{"step":5,"loss":3}'
    )
    kinds = load(path).facts.set_index("kind")["count"].to_dict()
    assert kinds == {"nonfinite_loss": 1, "sparse_rows": 2}


def test_hf_trainer_state(tmp_path):
    path = tmp_path / "trainer_state.json"
    history = [{"step": s, "loss": 4.0 - s / 100, "learning_rate": 1e-4, "grad_norm": 1.0} for s in (10, 20, 30)]
    history.append({"step": 30, "train_loss": 3.8, "train_runtime": 12.0, "total_flos": 1e15})
    path.write_text(json.dumps({"best_metric": None, "log_history": history}, indent=2))
    runs = load(path)
    assert runs.curve("trainer_state")["loss"].tolist() == [3.9, 3.8, 3.7]
    assert runs.facts["kind"].tolist() == ["sparse_rows", "window_mean"]


def test_nested_json_is_flattened(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"step": s, "train": {"loss": 4 - s, "lr": 1e-3}}) for s in (1, 2)))
    assert load(path).mapping == {"step": "step", "loss": "train/loss", "lr": "train/lr"}


def test_text_in_a_number_names_run_column_row_and_text(tmp_path):
    path = tmp_path / "x.csv"
    lines = [f"b,{s},{4 - s / 1000:.4f}" for s in range(1, 51)]
    lines[41] = "b,42,diverged"
    path.write_text("run,step,loss\n" + "\n".join(lines))
    with pytest.raises(DataError) as error:
        load(path)
    assert str(error.value) == (
        "Run 'b', row 42: column 'loss' holds 'diverged', but loss must be a number. Correct that cell, or leave it "
        "empty if it is unknown."
    )


def test_late_text_in_a_long_file(tmp_path):
    """Far behind the first block, on which the types were settled; and whole numbers that turn into fractions."""
    path = tmp_path / "x.csv"
    n = 1_200_000
    body = "".join(f"{s},{5 + s % 7},1\n" for s in range(1, n))
    path.write_text("step,loss,lr\n" + body + f"{n},5,0.5\n")
    assert load(path).frame["lr"].iloc[-1] == 0.5
    path.write_text("step,loss,lr\n" + body + f"{n},oops,1\n")
    with pytest.raises(DataError, match=rf"Run 'x', row {n:,}: column 'loss' holds 'oops'|Row {n:,}: column 'loss'"):
        load(path)


def test_files_that_cannot_be_read(df, tmp_path):
    write(df, tmp_path / "runs.csv")
    with pytest.raises(FileError, match=r"There is no file .*run.csv. Check the path; did you mean runs.csv\?$"):
        load(tmp_path / "run.csv")
    with pytest.raises(FileError, match=r"there is no folder .*nowhere either"):
        load(tmp_path / "nowhere" / "runs.csv")
    with pytest.raises(FileError, match=r"is a folder. Give a file in it, or several: runs.csv.$"):
        load(tmp_path)
    for name, data, message in [
        ("empty.csv", b"", "empty.csv is empty"),
        ("cut.csv.gz", gzip.compress(b"step,loss\n" + b"1,2\n" * 500)[:-9], "damaged or truncated gzip"),
        ("cut.parquet", df.to_parquet()[:-40], "not a complete Parquet file"),
        ("x.csv", bytes(range(256)) * 8, "binary file of a kind that bayeslaw does not read. It reads CSV, TSV"),
        ("x.pkl", b"\x80\x04\x95.", "binary file of a kind"),
        (
            "zeros.jsonl",
            b'{"step":1}\n' + bytes(9) + b'{"step":2}\n',
            r"zeros in its midst.*tr -d '.000' < zeros.jsonl",
        ),
        (
            "blanks.txt",
            b"step loss\n1 2\n",
            r"The first line of blanks.txt, 'step loss', has no comma, tab, semicolon or",
        ),
        ("x.parquet", b"step,loss\n1,2\n", "called Parquet, but does not start like one"),
        ("latin.csv", "step,loss,größe\n1,2,ä\n".encode("latin-1"), "Line 1 of latin.csv is not text in UTF-8"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileError, match=message):
            load(tmp_path / name)
    with pytest.raises(FileError, match="list of files is empty"):
        load([])
    (tmp_path / "link.csv").symlink_to("gone.csv")
    with pytest.raises(FileError, match=r"link.csv is a link to gone.csv, which is not there"):
        load(tmp_path / "link.csv")


def test_pipes_and_devices(df, tmp_path):
    import os
    import threading

    data = write(df, tmp_path / "x.csv.gz").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    thread.start()
    assert load(tmp_path / "pipe").names == ("a",)
    thread.join()
    with pytest.raises(FileError, match="is a device, not a file"):
        load("/dev/zero")


def test_a_header_alone_is_an_error_with_the_columns(tmp_path):
    (tmp_path / "x.csv").write_text("step,loss\n")
    with pytest.raises(DataError, match=r"x.csv has no rows: only the columns 'step', 'loss'"):
        load(tmp_path / "x.csv")


def test_names_made_of_digits_stay_as_they_are_written(tmp_path):
    """Read as numbers, 007 and 7 would be one run that was written twice, and 1e3 and 1000 too."""
    rows = [f"{name},{step},{3 - step / 10}" for name in ("007", "7", "1e3", "1000") for step in (1, 2)]
    for header, chosen in (("run,step,loss", None), ("exp,step,loss", {"run": "exp"})):
        path = tmp_path / "runs.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        runs = load(path, columns=chosen)
        assert runs.names == ("007", "7", "1e3", "1000")
        assert runs.frame["kept"].all()


def test_whole_numbers_written_as_floats_are_the_same_names(tmp_path):
    """A table that went through pandas has 50000000.0 where the log had 5e+07; runs keep their names all the same."""
    path = tmp_path / "runs.csv"
    for names, wanted in (
        (["5e+07", "2e+08"], ("50000000", "200000000")),
        (["50000000.0", "200000000.0"], ("50000000", "200000000")),
        (["5.0", "5"], ("5.0", "5")),
        (["5.0", "five"], ("5.0", "five")),
    ):
        path.write_text("run,step,loss\n" + "".join(f"{name},{k},{3 - k}\n" for name in names for k in (1, 2)))
        assert load(path).names == wanted


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "load reads files, and NoneType is no path. Give the file's path, or take a table in with"),
        (io.BytesIO(b"step,loss"), "load reads files, and BytesIO is no path."),
        (pd.DataFrame({"step": [1], "loss": [2.0]}), "load reads files, and got a DataFrame."),
        ("https://example.org/runs.csv", "https://example.org/runs.csv is an address, and load reads files. Download"),
        ([], "The list of files is empty. Give at least one."),
    ],
)
def test_what_is_no_path_is_said(path, message):
    with pytest.raises(FileError) as error:
        load(path)
    assert str(error.value).startswith(message)


def test_utf_16_is_named(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes("step,loss\n1,2\n".encode("utf-16"))
    with pytest.raises(FileError, match=r"is text in UTF-16.*Save it again as UTF-8"):
        load(path)


def test_excel_and_windows_habits(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfStep;Loss\r\n1;4.0\r\n2;3.5\r\n")
    assert load(tmp_path / "x.csv").curve("x")["loss"].tolist() == [4.0, 3.5]


def test_blank_text_cells_are_unknown(tmp_path):
    (tmp_path / "x.csv").write_text("step,loss,lr\n1,4.0,None\n2,3.5,N/A\n3,3.0,0.1\n")
    frame = load(tmp_path / "x.csv").frame
    assert frame["lr"].isna().tolist() == [True, True, False]


def outcome(path):
    """None if the file loads, the message if it is refused; any other exception is a failure."""
    try:
        load(path)
    except BayeslawError as error:
        return str(error)
    return None


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_runs_or_a_message(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("junk") / "x.csv"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = outcome(path)
    assert message is None or len(message) > 30


@given(st.text(alphabet='0123456789.,-eE"\n\r;\t{}[]: NaInfstploAb', max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_runs_or_a_message(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("junk") / "x.csv"
    path.write_text("step,loss\n" + text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = outcome(path)
    assert message is None or len(message) > 30


@pytest.mark.parametrize(
    ("name", "runs", "rows", "one_point"),
    [
        ("epoch-chinchilla/runs.csv", 245, 245, True),
        ("gadre-overtraining/runs.csv", 104, 104, True),
        ("isoflops/runs.csv", 341, 341, True),
        ("looped-iso-depth/runs.csv", 240, 240, True),
        ("llm360-k2-65b/runs.csv", 2, 10_420, False),
        ("lr-schedules/runs.csv", 17, 3_288, False),
        ("modded-nanogpt/runs.csv.gz", 21, 145_192, False),
        ("multipowerlaw/runs.csv", 27, 6_265, False),
    ],
)
def test_real_data_sets(shared_data, name, runs, rows, one_point):
    folder, file = name.split("/")
    loaded = load(shared_data(folder) / file)
    assert (len(loaded.names), len(loaded), loaded.one_point) == (runs, rows, one_point)
    assert loaded.frame["kept"].all()
    assert loaded.bins().frame["loss"].notna().all()
