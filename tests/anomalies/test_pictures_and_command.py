"""The picture of a run's events, and `bayeslaw anomalies`."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg

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


def test_words_stand_above_the_axes_at_their_own_lines(frame, found):
    result = found(frame)
    starts = [400, 402, 410, 430, 496]
    rows = [result.frame.iloc[0].to_dict() | {"start_step": at, "end_step": at, "magnitude": 6.0 + at} for at in starts]
    figure = plot_anomalies(replace(result, frame=pd.DataFrame(rows)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, top = canvas.get_renderer(), figure.axes[0]
    words = {int(text.xy[0]): text.get_window_extent(renderer) for text in top.texts if text.get_text()}
    assert sorted(words) == starts
    lines = {at: top.transData.transform((at, 0))[0] for at in starts}
    for at, box in words.items():
        assert box.y0 >= top.get_window_extent(renderer).y1
        assert lines[at] <= box.x0 <= lines[at] + 10
        assert box.x1 <= figure.bbox.x1
        for other in starts:
            assert other == at or not box.overlaps(words[other])
            # the stroke of another event ends beneath these words, or stands beside them
            assert not box.x0 < lines[other] < box.x1 or words[other].y1 <= box.y0


def test_the_band_can_be_seen_around_the_losses(frame, found):
    result = found(frame)
    band, *edges = (artist for artist in figure_top(result) if artist.get_zorder() in (1.5, 3))
    (losses,) = (artist for artist in figure_top(result) if artist.get_label() == "loss")
    assert len(edges) == 2
    assert band.get_zorder() < losses.get_zorder() < edges[0].get_zorder()
    many = {name: pd.concat([rows] * 4, ignore_index=True) for name, rows in result.rows.items()}
    for rows in many.values():
        rows["step"] = np.arange(1, len(rows) + 1)
    figure = plot_anomalies(replace(result, rows=many))
    words = figure.axes[0].get_legend().get_texts()[0].get_text()
    assert words == "expected from its siblings' losses, 90 % band (around each 4 rows)"
    # no row's own band leaves what is drawn
    rows = many["r0"]
    low, high = (line.get_ydata() for line in figure.axes[0].lines if line.get_zorder() == 3)
    stretch = np.arange(len(rows)) // 4
    assert (low[stretch] <= rows["expected"] - 1.644 * rows["scale"]).all()
    assert (high[stretch] >= rows["expected"] + 1.644 * rows["scale"]).all()


def figure_top(result):
    top = plot_anomalies(result).axes[0]
    return [*top.collections, *top.lines]


def test_the_steep_start_is_not_said_to_be_above_the_picture(frame, found):
    result = found(frame)
    rows = result.rows["r0"].copy()
    rows["loss"] = 2 + 8 * (rows["step"].to_numpy() + 1.0) ** -0.5
    steep = replace(result, rows={"r0": rows})
    assert "above" not in plot_anomalies(steep).axes[0].get_title(loc="left")
    rows.loc[rows.index[-3:], "loss"] = 30.0
    assert "; 3 losses above the picture" in plot_anomalies(steep).axes[0].get_title(loc="left")


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
    assert document["units"]["severity"] == document["units"]["loss"] == "nats per token"
    assert document["units"]["start_step"] == "optimizer steps"
    assert [e["kind"] for e in document["events"]] == ["spike"]
    assert {row["sibling"] for row in document["alignment"]} == {"r0", "r1"}


def test_command_without_events(frame, tmp_path):
    path = tmp_path / "runs.csv"
    frame[frame["step"] < 250].to_csv(path, index=False)
    done = CliRunner().invoke(command, [str(path)])
    assert done.exit_code == 0
    assert done.stdout == "no anomalies\n"


def test_watch_refuses_what_it_would_not_read(frame, tmp_path):
    from bayeslaw.cli.watching import watch

    path = tmp_path / "log.csv"
    frame[frame["run"] == "r0"].head(50).rename(columns={"loss": "l"}).to_csv(path, index=False)
    start = [str(path), "--once", "--column", "loss=l"]
    done = CliRunner().invoke(watch, [*start, "--n-params", "7B"])
    assert done.exit_code == 2
    assert "--n-params says how a log is read" in " ".join(done.output.split())
    assert CliRunner().invoke(watch, start).exit_code == 0
