"""After an event: will the run end worse than forecast, and is it cheaper to roll back or to go on?

Everything is expressed as loss above the forecast at the same last step. Going on costs what of the event is still
there at the end. Rolling back to a checkpoint costs the training that is thrown away: the run ends where it would have
been that much earlier. Both are draws, so that the comparison is a probability.

What is left of an event at its last row is known with its error (``severity``). What of that is left at the end of
training nobody knows: a share between none and all of it, taken as uniform; an excess that still grows (drift,
divergence, plateau) is taken to stop growing anywhere between now and the end. What the steps thrown away are worth is
told by the slope, in nats per log-step, that the run had before the event. These are assumptions, not measurements: a
curve that flattens makes going back cheaper than is said, and an annealing that is still to come makes it dearer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslaw.anomalies.recorded import labels
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from bayeslaw.anomalies.offline import Anomalies
    from bayeslaw.data.runs import Runs

#: relative spread of final losses between seeds (median over 1,120 runs of modded-nanogpt): less is not "worse"
SEED_SPREAD = 0.00039
#: kinds whose excess may go on growing
GROWS = ("drift", "divergence", "plateau")
#: share of a run's judged rows, the latest ones before the event, that its slope is read off
SLOPE_FROM = 0.5


@dataclass(frozen=True)
class Aftermath:
    """What an event means for the end of its run; losses in nats above the forecast for the same last step.

    ``worse``: probability that the run ends worse than forecast by more than seeds differ; ``go_on`` and ``roll_back``
    with their 90 % intervals; ``roll_back_better``: probability that rolling back ends lower at the same last step;
    ``steps_lost`` by rolling back (``tokens_lost`` where tokens are known); ``steps_to_make_up``: training that
    would undo what going on is expected to cost, at the slope of the end.
    """

    run: str
    kind: str
    start_step: float
    end: float
    checkpoint: float
    worse: float
    go_on: float
    go_on_lo90: float
    go_on_hi90: float
    roll_back: float
    roll_back_lo90: float
    roll_back_hi90: float
    roll_back_better: float
    steps_lost: float
    tokens_lost: float
    steps_to_make_up: float
    message: str = ""

    def record(self) -> dict[str, Any]:
        """The fields as a plain mapping, for tables and JSON."""
        return asdict(self)


def aftermath(
    found: Anomalies, event: int, *, end: float, checkpoint: float | None = None, draws: int = 4000, seed: int = 0
) -> Aftermath:
    """What one event means for the end of its run.

    Parameters
    ----------
    found : what ``anomalies`` returned.
    event : row of ``found.frame``.
    end : last step of the training that is planned. ``checkpoint`` : step to roll back to; by default the last row
        before the event.
    draws, seed : of the comparison.

    Raises
    ------
    DataError
        There is no such event, it has no size in nats (losses of NaN, a restart, ...), or the checkpoint does not lie
        before the event and the end behind the log.
    """
    if not 0 <= event < len(found.frame):
        raise DataError(f"There is no event {event}: the table has {len(found.frame)} of them, counted from 0.")
    e = {str(k): v for k, v in found.frame.iloc[event].items()}
    if not np.isfinite(float(e["severity"])):
        raise DataError(f"Event {event} of run {e['run']!r} has no size in nats to be weighed. {e['message']}")
    rows = found.rows[e["run"]]
    step = rows["step"].to_numpy(float)
    before = step[step < e["start_step"]]
    if len(before) < 30:
        raise DataError(f"Run {e['run']!r} has {len(before)} rows before the event: too few to tell its slope.")
    back = float(before[-1]) if checkpoint is None else float(checkpoint)
    now = float(step[-1])
    if not 0 < back < e["start_step"]:
        raise DataError(
            f"The checkpoint, step {back:g}, must lie before the event, which began at {e['start_step']:g}."
        )
    if end < now:
        raise DataError(f"The end, step {end:g}, lies before the last row of the log, step {now:g}.")
    rng = np.random.default_rng(seed)
    go_on = _left_over(e, now, float(end), draws, rng)
    slope, error = _slope(rows, e["start_step"])
    drop = np.maximum(slope + error * rng.standard_normal(draws), 0.0)
    lost = now - back
    cost = drop * np.log(end / max(end - lost, 1.0))
    floor = SEED_SPREAD * float(np.median(rows["loss"].to_numpy()[-200:]))
    make_up = float(end * np.expm1(min(max(float(np.mean(go_on)), 0.0) / max(slope, 1e-12), 3.0)))
    made = Aftermath(
        str(e["run"]), str(e["kind"]), float(e["start_step"]), float(end), back, float(np.mean(go_on > floor)),
        *_summary(go_on), *_summary(cost), float(np.mean(cost < go_on)), lost, _tokens(rows, back, now), make_up,
    )  # fmt: skip
    return Aftermath(**{**made.record(), "message": _sentence(made)})


def past_events(runs: Runs, events: pd.DataFrame) -> Runs:
    """The runs without the rows inside events, to condition a forecast on what is not disturbed.

    ``forecast(fit, at=future, given=past_events(runs, found.frame))`` goes past a spike without being dragged by it.
    A level that stays shifted is not left out: it is where the run now is. DataError where nothing remains.
    """
    frame = runs.frame
    if "step" not in frame:
        raise DataError(f"{runs.source} has no steps, so the rows of an event cannot be found.")
    drop = np.zeros(len(frame), bool)
    name, step = labels(runs), frame["step"].to_numpy(float)
    for e in events.to_dict(orient="records"):
        if e["kind"] in ("point", "spike", "malignant_spike", "frozen", "variance"):
            drop |= (name == e["run"]) & (step >= e["start_step"]) & (step <= e["end_step"])
    from bayeslaw.data.runs import Runs

    kept = frame.loc[~drop & frame["kept"].to_numpy(bool)].drop(columns=["kept", "row"])
    if kept.empty:
        raise DataError("Every row lies inside an event: there is nothing left to condition on.")
    return Runs.from_frame(kept)


def _left_over(e: dict[str, Any], now: float, end: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    middle = float(e["severity"])
    error = (float(e["severity_hi90"]) - float(e["severity_lo90"])) / 3.29
    left = middle + error * rng.standard_normal(draws)
    share = rng.random(draws)
    if e["kind"] in GROWS:
        # it has grown for so long; it may go on as fast until anywhere between now and the end
        share = 1.0 + share * (end - now) / max(now - float(e["start_step"]), 1.0)
    return left * share


def _slope(rows: pd.DataFrame, start: float) -> tuple[float, float]:
    """Fall of the loss per unit of log-steps before the event, and its error: nats."""
    step, loss = rows["step"].to_numpy(float), rows["loss"].to_numpy(float)
    inside = (step < start) & (step >= SLOPE_FROM * start)
    x, y = np.log(step[inside]), loss[inside]
    if len(x) < 10:
        x, y = np.log(step[step < start]), loss[step < start]
    blocks = np.array_split(np.arange(len(x)), min(20, len(x) // 3))
    x, y = np.array([x[b].mean() for b in blocks]), np.array([np.median(y[b]) for b in blocks])
    u = x - x.mean()
    slope = float(u @ (y - y.mean()) / (u @ u))
    rest = y - y.mean() - slope * u
    return -slope, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / (u @ u)))


def _summary(draws: np.ndarray) -> tuple[float, float, float]:
    return float(np.mean(draws)), float(np.quantile(draws, 0.05)), float(np.quantile(draws, 0.95))


def _tokens(rows: pd.DataFrame, back: float, now: float) -> float:
    if "tokens" not in rows:
        return float("nan")
    step, tokens = rows["step"].to_numpy(float), rows["tokens"].to_numpy(float)
    return float(np.interp(now, step, tokens) - np.interp(back, step, tokens))


def _sentence(a: Aftermath) -> str:
    better = a.roll_back_better
    choice = "roll back" if better > 0.8 else ("go on" if better < 0.2 else "either will do: the odds are close")
    lost = f"{a.steps_lost:,.0f} steps" + (f" ({a.tokens_lost:.3g} tokens)" if a.tokens_lost == a.tokens_lost else "")
    return (
        f"{100 * a.worse:.0f} % that the run ends worse than forecast by more than seeds differ. At step {a.end:,.0f} "
        f"going on is expected to end {a.go_on:+.2g} nats from the forecast (90 % {a.go_on_lo90:+.2g} to "
        f"{a.go_on_hi90:+.2g}); rolling back to step {a.checkpoint:,.0f} throws away {lost} and ends "
        f"{a.roll_back:+.2g} nats from it ({a.roll_back_lo90:+.2g} to {a.roll_back_hi90:+.2g}), if the loss goes on "
        f"falling as before the event. "
        f"Rolling back is better with probability {better:.2f}: {choice}."
    )
