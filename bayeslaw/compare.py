"""``compare``: which model card to use on one's own runs, by held-out score, and how sure that is.

print(bl.compare(runs, ["chinchilla", "chinchilla-interaction"]))
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bayeslaw.backtest import apart, backtest
from bayeslaw.backtest_parts import Frame
from bayeslaw.backtest_result import Backtest
from bayeslaw.cards import Card, card_names, load_card
from bayeslaw.data.runs import Runs
from bayeslaw.engine.rows import schedules_of
from bayeslaw.engine.series import usable
from bayeslaw.errors import FitError
from bayeslaw.fit import fit
from bayeslaw.laws import Schedule, get_law
from bayeslaw.progress import Report
from bayeslaw.splits import Split, share_of_run

#: a coverage this far from that of its band is worth a sentence, if it is no accident
FAR = 0.05
#: fewest draws, of all chains together, whose tails leave-one-out can be smoothed over
FEWEST_DRAWS = 25
#: share of each run (of the runs, cheapest first, where each is one point) that leave-future-out fits
SHARE = 0.7


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Cards ranked.

    Attributes
    ----------
    frame : one row per card, best first. ``future_score``: mean log score of what was held back (higher is better),
        with ``future_diff`` and ``future_se``: less the best card's, and the standard error of that over runs;
        ``crps`` (nats) and ``cover90`` of the same forecasts; ``elpd_loo``, ``loo_diff``, ``loo_se``, ``weight``:
        leave-one-out (by ``unit``), its difference to the best, the standard error of that, and the stacking weight.
    sentence : which to use, how sure that is, and whether its bands have held.
    future : the ``Backtest`` behind the leave-future-out columns.
    notes : what to know about the scores.
    """

    frame: Frame
    sentence: str
    future: Backtest
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{'card':<28}{'future':>8}{'diff':>8}{'se':>6}{'covers':>7}{'LOO':>9}{'diff':>8}{'se':>6}"
        lines = [head]
        for row in self.frame.to_dict(orient="records"):
            lines.append(
                f"{row['model']:<28}{row['future_score']:>8.2f}{row['future_diff']:>8.2f}"
                f"{_se(row['future_se'], '.2f'):>6}{row['cover90']:>7.0%}{row['elpd_loo']:>9.1f}{row['loo_diff']:>8.1f}"
                f"{_se(row['loo_se'], '.1f'):>6}"
            )
        lines += ["", *textwrap.wrap(self.sentence, 80)]
        for note in self.notes:
            lines += textwrap.wrap(note, 80)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison: {', '.join(self.frame['model'])}, best first>"


def _se(value: float, form: str) -> str:
    """A standard error; a dash where there is none, as of a single run."""
    return format(value, form) if np.isfinite(value) else "-"


def compare(
    runs: Runs,
    models: Sequence[str | Path | Card | Mapping[str, Any]] | None = None,
    *,
    unit: str = "run",
    share: float = SHARE,
    schedules: Mapping[str, Schedule | str] | None = None,
    seed: int = 0,
    progress: Report | bool | None = None,
    **sampling: Any,
) -> Comparison:
    """Rank model cards on runs by leave-future-out and leave-one-out scores.

    Leave-future-out fits the first ``share`` of every run and scores the rest; where every run is one point, the
    cheapest runs are fitted and the dearest scored. It asks what a forecast asks, and decides where it can;
    leave-one-out (``unit="run"``, or ``"bin"``) fits everything and asks how well gaps are filled.

    Parameters
    ----------
    runs : runs with losses.
    models : cards; by default every shipped one whose columns the runs have.
    unit : what leave-one-out leaves out.
    share : in (0, 1).
    schedules : as in ``fit``.
    seed, progress, **sampling : as in ``fit``, the last ``chains``, ``warmup``, ``draws``, ``max_bins``.

    Returns
    -------
    Comparison; ``print`` it. Its ``frame`` has the cards, best first, with scores in nats per observation, and
    ``sentence`` says which to use. A standard error is NaN where there is but one run.

    Raises
    ------
    FitError
        Fewer than two cards can be fitted, two bear one name, the share is not in (0, 1), or the draws are too few for
        leave-one-out.
    DataError
        Nothing can be held back.
    """
    import arviz_stats

    if not 0 < share < 1:
        raise FitError(f"share is between 0 and 1, not {share!r}.")
    together = sampling.get("chains", 4) * (sampling.get("draws") or FEWEST_DRAWS)
    if together < FEWEST_DRAWS:
        raise FitError(f"Leave-one-out takes at least {FEWEST_DRAWS} draws, all chains together, not {together}.")
    given = applicable(runs, schedules) if models is None else list(models)
    cards = [load_card(m) for m in given]
    apart([card.name for card in cards], given)
    if len(cards) < 2:
        raise FitError(
            f"To compare there must be two cards of different names that fit these runs; got "
            f"{', '.join(card.name for card in cards) or 'none'}."
        )
    split = future_split(runs, share)
    level = "raw" if runs.one_point else "curve"
    future = backtest(runs, cards, splits=[split], baselines=(), schedules=schedules, levels=(level,), seed=seed,
                      progress=progress, **sampling)  # fmt: skip
    elpd, notes = {}, []
    for card in cards:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said in our own words below
            made = fit(runs, card, schedules=schedules, seed=seed, progress=progress, **sampling)
            elpd[card.name] = made.loo(unit)
        if not made.check().ok:
            notes.append(f"{card.name}: its sampling did not pass all checks, so its scores may be off.")
        if bool(getattr(elpd[card.name], "warning", False)):
            notes.append(f"{card.name}: leave-one-out is unreliable here (influential {unit}s), trust it less.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table: Any = arviz_stats.compare(elpd)  # type: ignore[attr-defined]
    frame = _future(future).join(
        pd.DataFrame(
            {"elpd_loo": table["elpd"], "loo_diff": 0.0 - table["elpd_diff"].abs(), "loo_se": table["dse"],
             "weight": table["weight"]}
        ),
        on="model",
    )  # fmt: skip
    if unit == "run" and len(runs.names) < 2:
        frame["loo_se"] = np.nan  # the spread over one is none
    sentences = [verdict(frame, split.name, unit), coverage(future, str(frame["model"].iloc[0]))]
    return Comparison(frame, " ".join(filter(None, sentences)), future, tuple(notes))


def applicable(runs: Runs, schedules: Mapping[str, Schedule | str] | None = None) -> list[Card]:
    """The shipped cards whose columns the runs have."""
    found, frame = [], cast(Any, runs.frame)
    for name in card_names():
        card = load_card(name)
        law = get_law(card.law)
        try:
            usable(law, frame[frame["kept"]], "runs")
            if "schedule" in law.covariates:
                schedules_of(runs, schedules)
        except FitError:
            continue
        found.append(card)
    return found


def future_split(runs: Runs, share: float) -> Split:
    """The first ``share`` of every run fitted and the rest scored; of single points, the cheapest runs."""
    kept = runs.frame["kept"].to_numpy(bool)
    if not runs.one_point:
        early = share_of_run(runs) <= share
        return Split(f"the last {1 - share:.0%} of every run", "future", share, kept & early, kept & ~early)
    cost = _cost(runs.frame)
    early = cost <= np.quantile(cost[kept], share)
    return Split(f"the {1 - share:.0%} of runs that cost most", "future", 0.0, kept & early, kept & ~early)


def _cost(frame: Frame) -> np.ndarray:
    if "flops" in frame and frame["flops"].notna().all():
        return frame["flops"].to_numpy(float)
    found = np.ones(len(frame))
    for name in ("n_params", "tokens", "step"):
        if name in frame and frame[name].notna().all():
            found = found * frame[name].to_numpy(float)
    return found


def _future(result: Backtest) -> Frame:
    """Mean log score (higher is better) of each card, and paired differences to the best over runs."""
    scores = result.frame.pivot_table(index="run", columns="model", values="log_score", sort=False) * -1
    best = scores.mean().idxmax()
    difference = scores.sub(scores[best], axis=0)
    count = len(scores)
    se = difference.std(ddof=1) / np.sqrt(count) if count > 1 else difference.iloc[0] * np.nan
    means = result.frame.groupby("model", sort=False)[["crps", "cover90"]].mean()
    frame = pd.DataFrame({"future_score": scores.mean(), "future_diff": difference.mean(), "future_se": se}).join(means)
    frame["runs"] = count
    return frame.sort_values("future_score", ascending=False).rename_axis("model").reset_index()


def verdict(frame: Frame, held: str, unit: str) -> str:
    """A sentence: which card to use, and how sure that is. ``frame`` as in ``Comparison``, best first."""
    best, second = frame.iloc[0], frame.iloc[1]
    gap, se = abs(float(second["future_diff"])), float(second["future_se"])
    loo_best = frame.loc[frame["elpd_loo"].idxmax()]
    agree = loo_best["model"] == best["model"]
    other = f"Leave-one-out by {unit} agrees" if agree else f"Leave-one-out by {unit} prefers {loo_best['model']}"
    if not agree and abs(float(best["loo_diff"])) < max(4.0, 2 * float(best["loo_se"])):
        other += ", but not by enough to tell"
    runs = int(best["runs"])
    said = f"forecasting {held}, its log score is {gap:.2f} better than that of {second['model']}"
    if not np.isfinite(se) or runs < 4:
        return f"Use {best['model']}, but do not rely on it: {said}, on {runs} run{'s' * (runs > 1)} only. {other}."
    said += f" (standard error {se:.2f} over {runs} runs)"
    if gap > 2 * se and gap > 0.05:
        sure = "surely" if agree and gap > 4 * se else "probably"
        return f"Use {best['model']}; it is {sure} the better one: {said}. {other}."
    return (
        f"These runs cannot tell {best['model']} and {second['model']} apart: {said}. {other}. "
        f"Use the simpler one, or the one whose law you trust beyond the data."
    )


def coverage(future: Backtest, model: str) -> str:
    """A sentence where the 90 % bands of ``model`` surely held another share of what was held back; else nothing."""
    table = future.summary().set_index("model")
    held, low, high = (float(table.loc[model, name]) for name in ("cover90", "cover90_lo", "cover90_hi"))
    # NaN, of too few runs for an interval, compares as False
    if abs(held - 0.9) < FAR or not (low > 0.9 or high < 0.9):
        return ""
    return (
        f"The 90 % bands of {model} are too {'narrow' if held < 0.9 else 'wide'} here: they held {held:.0%} of what "
        f"was held back (95 % interval {low:.0%} to {high:.0%})."
    )
