"""What every test may use: real data sets, where they are."""

import os
from pathlib import Path

import pytest

HOME = Path(os.environ.get("BAYESLAW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data():
    """``shared_data(name)`` is the folder of a data set, or the test is skipped."""

    def folder(name: str) -> Path:
        path = HOME / name
        if not path.is_dir():
            pytest.skip(f"the data set {name} is not in {HOME} (set BAYESLAW_DATA to the folder of data sets)")
        return path

    return folder
