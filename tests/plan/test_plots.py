"""Pictures of plans say what is data, what is band and what lies beyond."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bayeslaw.errors import PlanError
from bayeslaw.plan import plan, target
from bayeslaw.plan.frontier import frontier
from bayeslaw.plan.isoflop import Profile
from bayeslaw.plan.limits import Limits
from bayeslaw.plots.planning import draw_frontier, plot_isoflop, plot_plan, plot_target
from bayeslaw.plots.style import blank


def words(figure):
    return " ".join(t.get_text() for ax in figure.axes for t in ax.texts)


def dashed(ax):
    return [line for line in ax.lines if line.is_dashed()]


def test_the_frontier_is_drawn_differently_beyond_the_data(made_fit):
    fit = made_fit()
    found = plan(fit, 1e24)
    table = frontier(fit, high=3e24)
    figure = plot_plan(found, table)
    top = found.reach.flops[1]
    assert f"{np.log10(3e24 / top):.1f} decades" in words(figure)
    for ax in figure.axes[:2]:
        (beyond,) = dashed(ax)
        assert np.asarray(beyond.get_xdata()).min() == pytest.approx(top)
        assert len(ax.collections) >= 2
    inside = plot_plan(plan(fit, 1e20), frontier(fit, high=top))
    assert not dashed(inside.axes[0])
    assert "beyond" not in words(inside)


@pytest.mark.parametrize("sizes", [None, (1e9, 7e9, 70e9)])
def test_words_keep_inside_the_panels_and_off_the_curves(made_fit, sizes):
    fit = made_fit()
    found = plan(fit, 1e24, limits=Limits(sizes=sizes))
    figure = plot_plan(found, frontier(fit, high=found.reach.flops[1] * 4))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert "beyond the data" in words(figure)
    for ax in figure.axes:
        inside = ax.get_window_extent(renderer)
        for text in ax.texts:
            box = text.get_window_extent(renderer)
            assert inside.x0 <= box.x0 < box.x1 <= inside.x1
    regret = figure.axes[2]
    legend = regret.get_legend().get_window_extent(renderer)
    highest = max(c.get_paths()[0].vertices[:, 1].max() for c in regret.collections)
    assert regret.transData.transform((1e9, highest))[1] < legend.y0
    assert not legend.overlaps(regret.texts[0].get_window_extent(renderer))


@pytest.mark.parametrize(("name", "log"), [("loss", False), ("n_params", True)])
@pytest.mark.parametrize("low", [None, 1e15])
def test_the_legend_of_a_frontier_keeps_off_its_curve_and_words(made_fit, name, log, low):
    fit = made_fit()
    figure = blank(5.2, 3.8)
    ax = figure.subplots()
    draw_frontier(ax, frontier(fit, low, 3e24), name, "label", log=log)
    (canvas := FigureCanvasAgg(figure)).draw()
    box = ax.get_legend().get_window_extent(canvas.get_renderer())
    curve = np.concatenate([ax.transData.transform(line.get_xydata()) for line in ax.lines])
    assert not [1 for x, y in curve if box.contains(x, y)]
    assert len(ax.texts) == (1 if low is None else 2)
    assert not [1 for text in ax.texts if box.overlaps(text.get_window_extent(canvas.get_renderer()))]


def test_a_plan_of_one_size_says_so_and_keeps_its_axes(made_fit):
    fit = made_fit()
    only = Limits(sizes=(7e9,))
    found = plan(fit, 1e22, limits=only)
    figure = plot_plan(found, frontier(fit, limits=only))  # a warning of matplotlib's is an error here
    assert len(figure.axes[1].get_yticks()) >= 2
    assert "There is one size to choose, 7B" in words(figure)
    assert figure.axes[2].get_legend() is None


def test_the_frontier_is_the_plans(made_fit):
    fit = made_fit()
    table = frontier(fit, 1e20, 1e24, points=5)
    row = table.iloc[int(np.argmin(np.abs(np.log(table["flops"] / 1e22))))]
    same = plan(fit, float(row["flops"])).frame
    assert row["n_params_median"] == pytest.approx(same.loc["n_params", "median"])
    assert row["loss_hi90"] == pytest.approx(same.loc["loss", "hi90"])
    assert (np.diff(table["loss_median"]) < 0).all()
    with pytest.raises(PlanError, match="larger one"):
        frontier(fit, 1e22, 1e21)


def test_the_probability_of_a_target(made_fit):
    fit = made_fit()
    loss = float(plan(fit, 1e25).frame.loc["loss", "median"])
    figure = plot_target(target(fit, loss))
    assert dashed(figure.axes[0])
    legend = " ".join(t.get_text() for t in figure.legends[0].get_texts())
    assert "decades" in legend
    assert "90 %" in legend


def test_isoflop_panels():
    rng = np.random.default_rng(0)
    n = np.geomspace(1e8, 1e9, 6)
    losses = [2.5 + 0.1 * np.log(n / 3e8) ** 2 + 0.001 * rng.standard_normal(6) for _ in range(2)]
    parts = [Profile(c, n, c / 6 / n, y) for c, y in zip((1e19, 1e20), losses, strict=True)]
    curves = [pd.DataFrame({"n_params": n, "median": y, "lo90": y - 0.01, "hi90": y + 0.01}) for y in losses]
    figure = plot_isoflop(parts, curves)
    assert [ax.get_title() for ax in figure.axes] == ["1e+19 FLOP", "1e+20 FLOP"]
    assert len(plot_isoflop(parts[:1]).axes) == 1
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert "posterior, 90 % band of the curve" in legend
