"""Card + runs → problem: what is laid out, what is dropped and said, what is refused."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw import Runs, load_card
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.levels import MOST_MEMBERS
from bayeslaw.engine.question import asked
from bayeslaw.engine.series import row_noise
from bayeslaw.errors import FitError

CARD = load_card("chinchilla")


def points(rows: int = 40, **columns) -> pd.DataFrame:
    """Single points on Chinchilla's law: four sizes, two groups."""
    i = np.arange(rows)
    table = pd.DataFrame(
        {
            "run": [f"r{j}" for j in i],
            "group": np.where(i % 2, "a", "b"),
            "n_params": 1e8 * 2.0 ** (i % 4),
            "tokens": 1e9 * 1.2 ** (i % 20),
        }
    )
    table["loss"] = 1.8 + 480 / table["n_params"] ** 0.35 + 2100 / table["tokens"] ** 0.37 + 0.001 * (i % 3)
    return table.assign(**columns)


def lay(table: pd.DataFrame, card=CARD):
    return assemble(card, Runs.from_frame(table), max_bins=8)


def test_curves_get_effects_discrepancy_and_levels(toy_runs):
    problem = assemble(CARD, toy_runs, max_bins=8)
    layout = problem.layout
    assert layout.likelihood == "curves"
    assert layout.effects == ("level",)
    assert layout.offsets == (("size", 3),)
    assert [(e.symbol, e.levels) for e in layout.entries] == [
        (s, (("group", 2),)) for s in ["E", "A", "alpha", "B", "beta"]
    ]
    assert problem.levels == {"group": ["c4", "web"], "size": pytest.approx([1e8, 3e8, 1e9])}
    assert problem.notes == ()
    np.testing.assert_array_equal(problem.series["group_index"], [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(problem.series["size_index"], [0, 1, 2, 0, 1, 2])
    # the knots reach over all bins
    log_x = np.log(problem.bins["tokens"]) - problem.reference["log_x"]
    grid = problem.data["grid"]
    assert grid["start"] <= log_x.min()
    assert grid["start"] + grid["step"] * (layout.knots - 1) >= log_x.max()
    assert layout.knots % 4 == 0
    assert len(layout.coordinate_names()) == layout.dim == len(problem.data["prior"]["loc"])


def test_noise_of_a_row_is_found(toy_runs):
    problem = assemble(CARD, toy_runs, max_bins=8)
    np.testing.assert_allclose(problem.series["row_noise"], 0.004, rtol=0.3)


def test_noise_of_a_row_against_its_closed_form():
    """The later half's mean square, blended with 30 rows of the usual; alone without a usual, of enough rows."""
    bins = pd.DataFrame({"loss": 2.0, "spread": [9.0, 9.0, 0.02, 0.04, 0.02, np.nan], "count": [50, 50, 10, 30, 30, 5]})
    code = np.array([0, 0, 0, 0, 1, 2])
    own = (10 * 0.01**2 + 30 * 0.02**2) / 40
    usual = (own + 0.01**2) / 2
    blended = [np.sqrt((40 * own + 30 * usual) / 70), np.sqrt((30 * 0.01**2 + 30 * usual) / 60), np.sqrt(usual)]
    np.testing.assert_allclose(row_noise(bins, code), blended)
    given = row_noise(bins, code, np.array([0.01, np.nan, 0.03, 0.05]))
    np.testing.assert_allclose(given, [np.sqrt((40 * own + 30 * 0.01**2) / 70), 0.01, 0.03, 0.05])
    # ten rows are too few to speak alone
    few = bins.assign(count=[50, 50, 4, 6, 1, 5])
    assert np.isnan(row_noise(few, code, np.full(3, np.nan))).all()
    assert np.isnan(row_noise(bins.assign(spread=np.nan), code)).all()


def test_a_row_that_stands_alone_is_as_noisy_as_those_of_other_runs(toy_frame):
    """A run of which two rows are known, fitted beside long logs or given to a forecast, and one alone."""
    few = toy_frame[toy_frame["run"] == "c4-3e+08"].iloc[40:42].assign(run="few")
    problem = assemble(CARD, Runs.from_frame(pd.concat([toy_frame, few])), max_bins=8)
    usual = np.median(problem.series["row_noise"])
    np.testing.assert_allclose(problem.data["rows"]["measured"][6, :2], usual**2)
    assert usual == pytest.approx(0.004, rel=0.2)
    problem = assemble(CARD, Runs.from_frame(toy_frame), max_bins=8)
    rows = Runs.from_frame(few.drop(columns="loss"), need_loss=False)
    question, _ = asked(problem, rows, Runs.from_frame(few), {}, [])
    told = question.rows(question.known, question.known_code, question.series, problem.segments)
    np.testing.assert_allclose(told["measured"][0, :2], np.median(problem.series["row_noise"]) ** 2)
    # where no run has rows enough, nothing is measured: the misfit takes it all
    sparse = toy_frame.groupby("run").head(2)
    assert not assemble(CARD, Runs.from_frame(sparse), max_bins=8).data["rows"]["measured"].any()


def test_reference_is_the_geometric_mean(toy_runs):
    problem = assemble(CARD, toy_runs, max_bins=8)
    assert problem.reference["n_params"] == pytest.approx((1e8 * 3e8 * 1e9) ** (1 / 3))
    assert problem.reference["log_n"] == pytest.approx(np.log(problem.reference["n_params"]))
    # each run counts once, however many bins it has
    weight = 1 / np.bincount(problem.code)[problem.code]
    centre = np.exp(np.average(np.log(problem.bins["tokens"]), weights=weight))
    assert problem.reference["tokens"] == pytest.approx(centre)


def test_single_points_drop_the_run_level_and_say_so():
    problem = lay(points())
    assert problem.layout.likelihood == "points"
    assert problem.layout.effects == ()
    assert problem.layout.knots == 0
    said = "One point per run: the run level and the discrepancy are dropped, the noise is Student-t."
    assert said in problem.notes


@pytest.mark.parametrize(
    ("table", "note"),
    [
        (points(group="one"), "The group level is dropped: the runs have one group."),
        (points().drop(columns="group"), "The group level is dropped: the runs have no group."),
        (points(n_params=1e9), "The size level is dropped: the runs have one n_params."),
        (
            points(200, group=[f"g{i % 70:02}" for i in range(200)]),
            f"The group level is dropped: 70 members are more than {MOST_MEMBERS}.",
        ),
        (points(group=[f"g{i}" for i in range(40)]), "The group level is dropped: hardly two runs share a group."),
    ],
)
def test_levels_that_the_runs_do_not_carry_are_dropped_with_a_note(table, note):
    problem = lay(table)
    level = note.split()[1]
    assert note in problem.notes
    assert level not in problem.levels
    assert not any(name.endswith(f":{level}[0]") for name in problem.layout.coordinate_names())


def test_slopes_need_sizes():
    card = load_card({"extends": "chinchilla", "parameters": {"E": {"slope": "normal(0, 0.1)"}}})
    assert lay(points(), card).layout.entries[0].slope
    one = lay(points(n_params=1e9), card)
    assert not one.layout.entries[0].slope
    assert "Slopes in log N are dropped: the runs have one size." in one.notes


def test_near_sizes_are_one_size():
    table = points()
    table["n_params"] *= np.where(np.arange(40) % 3 == 0, 1.008, 1.0)
    problem = lay(table)
    assert len(problem.levels["size"]) == 4
    np.testing.assert_array_equal(problem.series["size_index"], np.arange(40) % 4)


def test_a_missing_column_is_named_with_what_there_is():
    with pytest.raises(FitError) as caught:
        lay(points().drop(columns="tokens").assign(step=np.arange(1, 41)))
    assert str(caught.value) == (
        "Law chinchilla needs the column tokens, and the runs have run, group, n_params, step, loss. Add it "
        '(they are step times batch_tokens: load(..., batch_tokens="4M"), or --batch-tokens 4M), or choose another '
        "model."
    )


def test_an_empty_cell_is_named_with_its_run():
    table = points()
    table.loc[[3, 7], "n_params"] = np.nan
    with pytest.raises(FitError) as caught:
        lay(table)
    assert str(caught.value) == (
        "Law chinchilla needs n_params, which is empty in 2 of 40 runs, for example 'r3'. Fill it in, or leave those "
        "runs out with .where(...)."
    )


def test_a_run_without_the_group_of_the_others_is_named():
    table = points()
    table["group"] = table["group"].astype(object)
    table.loc[5, "group"] = None
    with pytest.raises(
        FitError, match=r"^The card pools over group, but run 'r5' has no group\. Fill it in or drop the "
    ):
        lay(table)


def test_a_law_of_schedules_asks_for_one(toy_runs):
    with pytest.raises(
        FitError, match=r"needs the learning rate over the steps of run 'c4-1e\+08', and its lr or step "
    ):
        assemble(load_card("annealed"), toy_runs)


def test_the_same_input_gives_the_same_problem(toy_frame):
    first, second = (lay(toy_frame) for _ in range(2))
    assert first.layout == second.layout
    for name in ("mask", "log_y", "measured", "log_x"):
        np.testing.assert_array_equal(first.data["rows"][name], second.data["rows"][name])
