"""What a forecast's reader is told: how often bands have held as far out, and where nothing was ever tested.

How far out a row lies is its step or tokens over the last known of its run (of any known run, for a run of which
nothing is known), and its size over the largest known. Of depth only what no known run has is told: points of a
backtest do not say how deep their fits had been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.backtest_parts import Frame
from bayeslaw.reach import SLACK, deeper, how_far, known_rows, most, times
from bayeslaw.scores import pooled

if TYPE_CHECKING:
    from bayeslaw.backtest_result import Backtest
    from bayeslaw.fit import Fit

#: rows tested within this factor of a forecast's reach count as tested as far out
NEAR = 1.5
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
    known = known_rows(fit, given)
    model = same_model(result.meta.get("models", {}), card)
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
    out += [f"Extrapolation: this forecast is of {deep}." for deep in deeper(rows, known)]
    reach, reach_n, seen = how_far(rows, known)
    for mine, what in ((seen, "continued runs"), (~seen, "new runs")):
        if mine.any():
            tested = points[points["seen"].astype(bool) == bool(seen[mine][0])]
            out += _one(tested, reach[mine], reach_n[mine], what, level)
    return out


def same_model(models: Mapping[str, Any], card: Any) -> str | None:
    """The name of the scored model whose card says the same as ``card``, but for names and texts; None if none does."""

    def plain(source: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in source.items() if k not in ("name", "summary", "reference")}

    same = [name for name, source in models.items() if plain(source) == plain(dict(card.source))]
    exact = [name for name in same if name == card.name]
    return (exact or same or [None])[0]


def _one(points: Frame, reach: np.ndarray, reach_n: np.ndarray, what: str, level: float) -> list[str]:
    """On continued runs, or on new ones: the coverage at the farthest row's reach, and a warning beyond all tests."""
    if not len(points):
        return [f"The backtest held back no {what}, so how far to trust bands of such is untested."]
    far, far_n = most(reach), most(reach_n)
    name, out = f"{100 * level:g}", []
    tested, tested_n = points["reach"].to_numpy(float), points["reach_n"].to_numpy(float)
    beyond = []
    if far > SLACK * most(tested):
        beyond.append(f"{times(far)} as far as what is known (tested: {times(most(tested))})")
    if far_n > SLACK * max(most(tested_n), 1.0):
        beyond.append(f"{times(far_n)} the largest known size (tested: {times(most(tested_n))})")
    if beyond:
        out.append(
            f"Extrapolation: for {what} this forecast reaches {' and '.join(beyond)}, farther than anything it has "
            f"been tested on."
        )
    near = np.ones(len(points), bool)
    if np.isfinite(far):
        goal = min(far, most(tested))
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
