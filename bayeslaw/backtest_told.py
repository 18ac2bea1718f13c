"""What a forecast's reader is told: how often bands have held as far out, and where nothing was ever tested.

How far out a row lies is its step or tokens over the last known of its run (of any known run, for a run of which
nothing is known), and its size over the largest known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.backtest_parts import Frame, how_far
from bayeslaw.scores import pooled

if TYPE_CHECKING:
    from bayeslaw.backtest_result import Backtest
    from bayeslaw.fit import Fit

#: rows tested within this factor of a forecast's reach count as tested as far out
NEAR = 1.5
#: how much farther than the farthest test is still called tested
SLACK = 1.05
#: fewest tested rows that a coverage is stated of
FEWEST = 10


def told(result: Backtest, fit: Fit, rows: Frame, given: Frame | None = None, level: float = 0.9) -> list[str]:
    """Sentences for the reader of a forecast.

    Parameters
    ----------
    result : the backtest.
    fit : the fit that forecasts.
    rows : the rows forecast; ``given`` : rows that the forecast was given.
    level : of the bands spoken of; one of ``scores.LEVELS``.
    """
    card, fingerprint = fit.card, fit.meta.get("fingerprint")
    known = _known(fit, given)
    model = _same_model(result.meta.get("models", {}), card)
    if model is None:
        return [f"The backtest has no model like this fit's ({card.name}), so it says nothing of these bands."]
    points = result.points[result.points["model"] == model]
    # of observed losses, unless the backtest scored smoothed curves alone
    points = points[points["level"] == ("raw" if (points["level"] == "raw").any() else "curve")]
    out = []
    if model != card.name:
        out.append(f"The backtest is of {model}, a rough stand-in for the posterior that forecasts here.")
    if fingerprint is not None and result.meta.get("fingerprint") not in (None, fingerprint):
        out.append("The backtest was made on other rows than the fit, so read its coverage as a hint.")
    reach, reach_n, seen = how_far(rows, known)
    for mine, what in ((seen, "continued runs"), (~seen, "new runs")):
        if mine.any():
            tested = points[points["seen"].astype(bool) == bool(seen[mine][0])]
            out += _one(tested, reach[mine], reach_n[mine], what, level)
    return out


def _known(fit: Fit, given: Frame | None) -> Frame:
    """The fitted bins, each at its last row, and the given rows in place of the fitted ones of their runs."""
    bins: Any = fit.problem.bins.copy()
    axis = next((name for name in ("step", "tokens", "flops") if name in bins and bins[name].notna().all()), None)
    if axis is not None and "x_hi" in bins:
        stretch = (bins["x_hi"] / bins[axis]).to_numpy(float)
        for name in bins.columns.intersection(["step", "tokens", "flops"]):
            bins[name] = bins[name].to_numpy(float) * stretch
    if given is None:
        return bins
    mine = given[given["kept"]] if "kept" in given else given
    return pd.concat([bins[~bins["run"].isin(mine["run"])], mine], ignore_index=True)


def _same_model(models: Mapping[str, Any], card: Any) -> str | None:
    def plain(source: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in source.items() if k not in ("name", "summary", "reference")}

    same = [name for name, source in models.items() if plain(source) == plain(dict(card.source))]
    exact = [name for name in same if name == card.name]
    return (exact or same or [None])[0]


def _one(points: Frame, reach: np.ndarray, reach_n: np.ndarray, what: str, level: float) -> list[str]:
    """On continued runs, or on new ones: the coverage at the farthest row's reach, and a warning beyond all tests."""
    if not len(points):
        return [f"The backtest held back no {what}, so how far to trust bands of such is untested."]
    far, far_n = _most(reach), _most(reach_n)
    name, out = f"{100 * level:g}", []
    tested, tested_n = points["reach"].to_numpy(float), points["reach_n"].to_numpy(float)
    beyond = []
    if far > SLACK * _most(tested):
        beyond.append(f"{_times(far)} as far as what is known (tested: {_times(_most(tested))})")
    if far_n > SLACK * max(_most(tested_n), 1.0):
        beyond.append(f"{_times(far_n)} the largest known size (tested: {_times(_most(tested_n))})")
    if beyond:
        out.append(
            f"Extrapolation: for {what} this forecast reaches {' and '.join(beyond)}, farther than anything it has "
            f"been tested on."
        )
    near = np.ones(len(points), bool)
    if np.isfinite(far):
        goal = min(far, _most(tested))
        near = (tested >= goal / NEAR) & (tested <= goal * NEAR)
    mine = points[near]
    if len(mine) < FEWEST:
        return [*out, f"Only {len(mine)} held-out points of {what} lie as far out as this: too few to judge bands by."]
    inside = (mine["loss"] >= mine[f"lo{name}"]) & (mine["loss"] <= mine[f"hi{name}"])
    curves = inside.groupby([mine["split"], mine["run"]], sort=False).mean().reset_index(name="inside")
    cover = pooled(curves["inside"], curves["run"])
    span = f", 95 % interval {cover.low:.0%} to {cover.high:.0%}" if np.isfinite(cover.low) else ""
    where = "as far out as this" if not beyond else "at the farthest reach tested"
    out.append(
        f"{name} % bands of {what} have covered {cover.value:.0%} of {len(mine):,} held-out points {where} "
        f"({mine['run'].nunique():,} runs{span})."
    )
    return out


def _most(values: np.ndarray) -> float:
    good = values[np.isfinite(values)]
    return float(good.max()) if len(good) else np.nan


def _times(factor: float) -> str:
    return f"{factor:.2g} times"
