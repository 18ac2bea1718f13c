"""Damaged files: whatever was done to the bytes, a log loads or ends in a BayeslawError, in seconds; no code is run."""

import ast
import gzip
import json
import sqlite3
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bayeslaw.readers
from bayeslaw.errors import BayeslawError
from bayeslaw.readers import load

#: four thousand of each kind are slow (many minutes); the quick ones run with every test
MUTATIONS = [60, pytest.param(4000, marks=pytest.mark.slow)]
ROWS = [{"step": s, "loss": 4 - s / 10, "lr": 0.001, "name": "a"} for s in range(1, 9)]
DATA = Path(__file__).parent / "data"


def table(suffix):
    frame = pd.DataFrame(ROWS)
    if suffix == "parquet":
        return frame.to_parquet(index=False)
    return frame.to_csv(index=False).encode()


def shortened(path, size):
    """The beginning of a committed log, so that a mutation is likely to hit something."""
    return path.read_bytes()[:size]


def small_database(script, folder):
    """A database with the schema of a committed dump and a few of its rows."""
    text = (DATA / script).read_text(encoding="utf-8").split(";\n")
    path = folder / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size=512")
    for statement in [t for t in text if t.startswith("CREATE")] + [t for t in text if t.startswith("INSERT")][:9]:
        connection.execute(statement)
    connection.commit()
    connection.close()
    data = path.read_bytes()
    path.unlink()
    return data


MEGATRON = (
    b" [2024-05-01 10:00:00] iteration        1/     100 | consumed samples:           256 | learning rate: 1.0E-05 | "
    b"global batch size:   256 | lm loss: 9.1E+00 | grad norm: 1.5 | number of nan iterations:   0 |\n"
)
OTHERS = (
    b"step:  1  loss:  9.5000  grad_norm:  1.5  tps: 7,600\niter 3: loss 9.2, time 1ms\ns:4 trl:9.1 lr:0.1 norm:1\n"
    b"step:5/100 train_loss:9.0 train_time:1ms\nstep 6/100 | loss 8.9 (+nanz)| norm 1.5 | lr 1e-4 |\n"
    b"[step=7/100,epoch=0]\n    train/CrossEntropyLoss=8.8\n[batch=8/10]:\n\t Train loss/train/total: 8.7\n"
)

WIDE = b'"Step","a - loss","a - loss__MIN","b - loss"\n1,4.0,3.9,\n2,,,3.5\n3,3.1,3.0,3.2\n'

BASES = {
    "csv": ("x.csv", lambda _: table("csv")),
    "csv.gz": ("x.csv.gz", lambda _: gzip.compress(table("csv"))),
    "wandb export": ("x.csv", lambda _: WIDE),
    "jsonl": ("x.jsonl", lambda _: b"\n".join(json.dumps(row).encode() for row in ROWS)),
    "parquet": ("x.parquet", lambda _: table("parquet")),
    "trainer_state": ("trainer_state.json", lambda _: json.dumps({"epoch": 1, "log_history": ROWS}).encode()),
    "wandb": ("run-a.wandb", lambda _: shortened(next(DATA.rglob("*.wandb")), 3000)),
    "tensorboard": ("events.out.tfevents.1.h", lambda _: shortened(next(DATA.rglob("*tfevents.1700000000*")), 700)),
    "mlflow.db": ("x.db", lambda folder: small_database("mlflow/mlflow.sql", folder)),
    "trackio": ("x.db", lambda folder: small_database("trackio/trackio.sql", folder)),
    "megatron": ("x.log", lambda _: MEGATRON * 4),
    "stdout": ("x.log", lambda _: OTHERS),
}  # fmt: skip

#: what is put in: bytes that mean something in one of the formats
TOKENS = [
    b"\x00", b"\xff", b"\x80", b"\xff" * 9, b"\x7f\xff\xff\xff", b"\n", b"\r", b'"', b"'", b",", b"|", b"{", b"[",
    b"[" * 3000, b'{"a":' * 1200, b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"-1", b"0", b"null", b"true",
    b"\xef\xbb\xbf", b"\x1f\x8b", b"PAR1", b":W&B", b"SQLite format 3\x00", b"step", b"loss", b"run", b" - ",
    b"\xc3\x28", b" " * 500, b"1" * 5000, b"\x1b[31m",
]  # fmt: skip
EDIT = st.tuples(
    st.sampled_from(["flip", "insert", "delete", "replace", "repeat", "cut"]),
    st.floats(0, 1), st.integers(1, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
)  # fmt: skip


def mutate(data, edits):
    data = bytearray(data)
    for kind, where, size, token in edits:
        at = int(where * len(data))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << (size % 8)
        elif kind == "insert":
            data[at:at] = token
        elif kind == "delete":
            del data[at : at + size]
        elif kind == "replace":
            data[at : at + len(token)] = token
        elif kind == "repeat":
            data[at:at] = data[at : at + 5 * size]
        elif kind == "cut":
            del data[at:]
    return bytes(data)


def outcome(path):
    """ "loaded", or the message of the documented error. Anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load(path)
        except BayeslawError as error:
            return str(error)
    return "loaded"


@pytest.mark.parametrize("mutations", MUTATIONS)
@pytest.mark.parametrize("kind", BASES)
def test_mutated_files_load_or_are_refused_in_words(kind, mutations, tmp_path):
    name, base = BASES[kind]
    data = base(tmp_path)
    path = tmp_path / name
    path.write_bytes(data)
    assert outcome(path) == "loaded"
    seen = set()

    @settings(
        max_examples=mutations, deadline=5000, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(EDIT, min_size=1, max_size=4))
    def check(edits):
        path.write_bytes(mutate(data, edits))
        result = outcome(path)
        assert result == "loaded" or len(result) > 30
        seen.add(result == "loaded")

    check()
    # hardly a byte of these can change without damage
    assert True in seen or kind in ("csv.gz", "parquet"), (
        "every mutation was refused: the test does not reach the reader"
    )


@pytest.mark.parametrize("mutations", MUTATIONS)
@pytest.mark.parametrize("part", ["metrics/train/loss", "meta.yaml"])
def test_mutated_mlflow_folders(part, mutations, tmp_path):
    from shutil import copytree

    copytree(DATA / "mlflow" / "mlruns", tmp_path / "mlruns")
    (run,) = [p.parent for p in (tmp_path / "mlruns").glob("*/*/meta.yaml")]
    target = run / part
    data = target.read_bytes()

    @settings(
        max_examples=mutations, deadline=5000, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(EDIT, min_size=1, max_size=4))
    def check(edits):
        target.write_bytes(mutate(data, edits))
        result = outcome(tmp_path / "mlruns")
        assert result == "loaded" or len(result) > 30

    check()


def test_readers_import_nothing_that_runs_what_it_reads():
    """No pickle, no eval, no YAML, no torch: the readers' imports and calls are plain parsers."""
    dangerous = {
        "pickle",
        "cloudpickle",
        "dill",
        "joblib",
        "marshal",
        "shelve",
        "yaml",
        "torch",
        "importlib",
        "subprocess",
    }
    for path in Path(bayeslaw.readers.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
            assert not {name.split(".")[0] for name in names} & dangerous, path
