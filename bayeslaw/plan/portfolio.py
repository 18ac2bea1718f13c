"""Runs that are under way: which of them will be best at the end, which to stop, and what finishing costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.forecast import forecast
from bayeslaw.plan.budget import Rates, settled
from bayeslaw.plan.surface import untrusted

CONSTANT = ("group", "n_params", "n_params_once", "n_params_recurrent", "recurrence")


@dataclass(frozen=True, eq=False, repr=False)
class Portfolio:
    """Running runs and their ends.

    Attributes
    ----------
    frame : one row per run: ``run``, ``tokens`` so far, ``end_tokens``, ``loss`` last logged; the curve at the end:
        ``median``, ``lo90``, ``hi90`` (nats); ``p_best`` (probability of the lowest end); ``lost`` (nats expected to be
        lost by stopping this one alone); ``flops_left``, ``days_left``, ``money_left`` (6 FLOP per
        parameter passed and token; None if not known);
        ``stop``.
    threshold : runs below this ``p_best`` are to be stopped.
    saved : FLOP that stopping them saves.
    """

    frame: pd.DataFrame
    threshold: float
    saved: float
    rates: Rates
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = []
        for row in self.frame.to_dict(orient="records"):
            verdict = "stop" if row["stop"] else "go on"
            lines.append(
                f"{row['run']}: {verdict}; best with probability {row['p_best']:.2f}, ends at {row['median']:.4f} "
                f"(90 % {row['lo90']:.4f} - {row['hi90']:.4f})"
            )
        if np.isfinite(self.saved) and self.saved > 0:
            lines.append(f"Stopping saves {self.rates.say(self.saved)}.")
        return "\n".join([*lines, *self.notes])


def portfolio(
    fit: Fit,
    runs: Runs | pd.DataFrame,
    end_tokens: float | Mapping[str, float],
    *,
    threshold: float = 0.05,
    rates: Rates | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Portfolio:
    """Judge runs under way by where they will end.

    Parameters
    ----------
    fit : what earlier runs taught. runs : the running ones so far, one row per logged step, with tokens.
    end_tokens : tokens at which they end: one number, or run → number.
    threshold : stop a run whose probability of ending best is below this. The likeliest is never stopped.
    rates : device, MFU, price and number of devices of **each** run; for days and money left.

    Raises
    ------
    PlanError
        A run has no end, or is beyond it; there is one run only; the runs have no tokens; the rates are of no device.
    """
    if not 0 <= threshold < 1:
        raise PlanError(f"threshold is a probability below 1, such as 0.05; got {threshold!r}.")
    price = settled(rates)
    known = runs if isinstance(runs, Runs) else Runs.from_frame(runs)
    if "tokens" not in known.frame:
        raise PlanError(
            "A portfolio needs the tokens of every row: load(..., batch_tokens=...) derives them from steps."
        )
    kept: Any = known.frame[known.frame["kept"]]
    last = kept.sort_values("tokens").groupby("run", sort=False).tail(1).reset_index(drop=True)
    if len(last) < 2:
        raise PlanError("A portfolio is two running runs or more; forecast(fit, at=...) tells where a single one ends.")
    ends = []
    for run, tokens in zip(last["run"].astype(str), last["tokens"], strict=True):
        end = end_tokens.get(run) if isinstance(end_tokens, Mapping) else end_tokens
        if end is None or not end >= tokens:
            was = "has no end" if end is None else f"is at {tokens:.4g} tokens, beyond its end at {end:.4g}"
            raise PlanError(f"Run {run!r} {was}: end_tokens is a number of tokens, or one for each run.")
        ends.append(float(end))
    at = last[["run", *[c for c in CONSTANT if c in last]]].assign(tokens=ends)
    if "step" in last:
        at["step"] = np.round(last["step"] * np.array(ends) / last["tokens"])
    band = forecast(fit, at, given=known, draws=draws, seed=seed)
    final = band.curve
    best = final.argmin(axis=1)
    frame = last[["run", "tokens", "loss"]].assign(end_tokens=ends)
    q = np.quantile(final, [0.5, 0.05, 0.95], axis=0)
    frame["median"], frame["lo90"], frame["hi90"] = q
    frame["p_best"] = np.bincount(best, minlength=len(last)) / len(final)
    others = np.stack([np.delete(final, i, axis=1).min(axis=1) for i in range(len(last))], axis=1)
    frame["lost"] = np.maximum(others - final, 0.0).mean(axis=0)
    n = last["n_params"].to_numpy(float) if "n_params" in last else np.full(len(last), np.nan)
    if {"n_params_once", "n_params_recurrent", "recurrence"} <= set(last):
        n = (last["n_params_once"] + last["recurrence"] * last["n_params_recurrent"]).to_numpy(float)
    left = 6 * n * (np.array(ends) - last["tokens"].to_numpy(float))
    frame["flops_left"] = left
    frame["days_left"] = [price.days(f) for f in left]
    frame["money_left"] = [price.money(f) for f in left]
    frame["stop"] = (frame["p_best"] < threshold) & (np.arange(len(frame)) != int(frame["p_best"].argmax()))
    return Portfolio(frame, threshold, float(left[frame["stop"]].sum()), price, (*untrusted(fit), *band.notes))
