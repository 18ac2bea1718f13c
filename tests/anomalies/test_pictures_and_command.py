"""The picture of a run's events, and `bayeslaw anomalies`."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bayeslaw.cli.anomalies import anomalies as command
from bayeslaw.errors import DataError
from bayeslaw.plots.anomalies import plot_anomalies


@pytest.fixture(scope="module")
def frame(make_family):
    made = make_family(2, 500)
    made.loc[(made["run"] == "r0") & (made["step"] >= 400), "loss"] += 0.5 * np.exp(-np.arange(101) / 10)
    return made


def test_picture(frame, found):
    result = found(frame)
    figure = plot_anomalies(result)
    top, low = figure.axes
    assert top.get_title(loc="left").startswith("r0: 1 event, judged with 1 run of its")
    assert "90 %" in top.get_legend().get_texts()[0].get_text()
    assert low.get_xlabel() == "optimizer step"
    assert any("spike" in text.get_text() for text in top.texts)
    with pytest.raises(DataError, match="no judged run"):
        plot_anomalies(result, "nobody")


def test_command(frame, tmp_path):
    path, picture = tmp_path / "runs.csv", tmp_path / "events.png"
    frame.to_csv(path, index=False)
    done = CliRunner().invoke(command, [str(path), "--plot", str(picture)])
    assert done.exit_code == 1, done.output
    assert "spike" in done.stdout
    assert "It has recovered" in done.stdout
    assert picture.stat().st_size > 10_000
    done = CliRunner().invoke(command, [str(path), "--json"])
    document = json.loads(done.stdout)
    assert document["schema"] == "bayeslaw.anomalies/1"
    assert [e["kind"] for e in document["events"]] == ["spike"]
    assert {row["sibling"] for row in document["alignment"]} == {"r0", "r1"}


def test_command_without_events(frame, tmp_path):
    path = tmp_path / "runs.csv"
    frame[frame["step"] < 250].to_csv(path, index=False)
    done = CliRunner().invoke(command, [str(path)])
    assert done.exit_code == 0
    assert done.stdout == "no anomalies\n"
