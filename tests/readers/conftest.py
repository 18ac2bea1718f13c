"""The committed logs that real packages wrote, and the curve that all of them follow."""

import sqlite3
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def logs() -> Path:
    """The folder of the committed logs."""
    return DATA


@pytest.fixture(scope="session")
def logged():
    """``logged(step)``: the loss that every committed run logs."""
    return lambda step: 2.0 + 4.0 * (step + 1) ** -0.35


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """``database("mlflow/mlflow.sql")``: an SQLite file built from a committed dump."""

    def build(name: str) -> Path:
        path = tmp_path_factory.mktemp("databases") / (Path(name).stem + ".db")
        connection = sqlite3.connect(path)
        connection.executescript((DATA / name).read_text(encoding="utf-8"))
        connection.commit()
        connection.close()
        return path

    return build
