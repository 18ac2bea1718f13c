"""IsoFLOP sweeps of several corpora: a row each, and the data where they are."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bayeslaw.plan.isoflop import Profile
from bayeslaw.plots.isoflop import Sweep, plot_isoflop_corpora


@pytest.fixture
def sweep():
    size, parts, curves = np.geomspace(1e7, 1e9, 7), [], []
    for i, flops in enumerate((1e18, 1e19, 1e20)):
        loss = 3 - 0.3 * i + 0.05 * (np.log(size) - np.log(5e7) - i) ** 2
        parts.append(Profile(flops, size, flops / 6 / size, loss))
        curves.append(pd.DataFrame({"n_params": size, "median": loss, "lo90": loss - 0.02, "hi90": loss + 0.02}))
    table = {"flops": np.geomspace(1e18, 1e21, 9)}
    for name in ("n_params", "tokens"):
        middle = np.geomspace(5e7, 1e9, 9)
        table |= {f"{name}_median": middle, f"{name}_lo90": middle / 2, f"{name}_hi90": middle * 2}
    return Sweep(parts, curves, pd.DataFrame(table))


def test_a_row_a_corpus_with_data_and_forecast(sweep, tmp_path):
    figure = plot_isoflop_corpora({"one": sweep, "two": sweep})
    assert len(figure.axes) == 6
    valleys, optima = figure.axes[0], figure.axes[1]
    assert valleys.get_title(loc="left").startswith("one, ")
    np.testing.assert_allclose(valleys.lines[0].get_ydata(), sweep.profiles[0].loss)
    # the parabola's own bottom: exact for a parabola
    np.testing.assert_allclose(optima.lines[1].get_ydata(), 5e7 * np.exp([0, 1, 2]), rtol=1e-6)
    figure.savefig(tmp_path / "x.png")


def test_names_of_budgets_that_end_close_to_each_other_do_not_overlap(sweep):
    parts = [
        Profile(one.flops, one.n_params * 1.2**i, one.tokens, one.loss - one.loss[-1] + 3 - 0.01 * i)
        for i, one in enumerate(sweep.profiles)
    ]
    figure = plot_isoflop_corpora({"one": Sweep(parts, sweep.curves, sweep.frontier)})
    (canvas := FigureCanvasAgg(figure)).draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.axes[0].texts]
    assert len(boxes) == 3
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
