"""``anomalies``: what went wrong in recorded runs, judged by their own noise and by what their siblings met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.anomalies import evidence
from bayeslaw.anomalies.bank import Bank
from bayeslaw.anomalies.events import COLUMNS, Event, plain
from bayeslaw.anomalies.naming import Row
from bayeslaw.anomalies.noise import WARM_UP
from bayeslaw.anomalies.recorded import add_tokens, axis_of, gradients, label_of, nonfinite, rewinds
from bayeslaw.anomalies.settling import attributed, settled
from bayeslaw.anomalies.shocks import MOST, Curve, Sibling, align, lookup
from bayeslaw.anomalies.tracker import Tracker
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.fit import Fit

#: kinds of event that siblings on another learning-rate schedule look like
SLOW = ("level_up", "level_down", "drift", "drift_down", "plateau", "divergence", "repeated_data")
#: a loss this many own sd off the run's curve which its siblings explain is named a hard batch
HARD = 8.0


@dataclass(frozen=True, eq=False, repr=False)
class Anomalies:
    """What was found.

    Attributes
    ----------
    frame : one row per event, by run and start: ``run``, ``kind``, ``probability`` (of the kind), ``start_step``,
        ``peak_step``, ``end_step``, ``magnitude`` (nats, upwards positive), ``magnitude_sd``, ``evidence`` (log10 of
        the combined e-value), ``expected`` and ``loss`` at the peak, ``severity`` (nats still lost at the end of what
        is known) with ``severity_lo90`` and ``severity_hi90``, ``siblings``, ``seen_at``, ``open``, ``message``.
    alignment : run, sibling, offset (steps), correlation, rows, evidence (log10 Bayes factor): runs of one data order.
    hard_batches : run, step, loss, own_sd: losses far off the run's curve that its siblings met too; not anomalies.
    rows : per run (of a looped run per exit, "a exit 4") the judged rows: step, tokens where known, loss, expected,
        scale (nats), z, active, own_z.
    rate : false alarms per step that were asked for.
    notes : sentences a reader should know.
    """

    frame: pd.DataFrame
    alignment: pd.DataFrame
    hard_batches: pd.DataFrame
    rows: Mapping[str, pd.DataFrame]
    rate: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of events."""
        return len(self.frame)

    def __repr__(self) -> str:
        worst = self.frame["kind"].value_counts()
        kinds = ", ".join(f"{count} {kind}" for kind, count in worst.items())
        return f"<Anomalies: {len(self.frame)} events in {len(self.rows)} runs{': ' + kinds if kinds else ''}>"


def anomalies(runs: Runs, fit: Fit | None = None, *, rate: float = 1e-4) -> Anomalies:
    """Find what is wrong with recorded runs.

    Parameters
    ----------
    runs : losses per step. Runs that read the same batches are found by their shocks and judged against each other.
        Where a run's learning rate and a sibling's go apart, the sibling's level counts for less (``lr``).
        The first 100 rows of a run only teach its noise; of them no more is told than NaN, repeats and missing steps.
    fit : a posterior: then residuals are taken against its law's curve for each run instead of the raw losses.
    rate : false alarms per step asked for, in all kinds together.

    Returns
    -------
    Anomalies, whose ``frame`` has one row per event; magnitudes in nats per token.

    Raises
    ------
    DataError
        The table has no curves, or ``rate`` is not between 0 and 1.
    """
    if not hasattr(runs, "curves"):
        raise DataError(
            f"anomalies takes Runs, got {type(runs).__name__}. Read a file with bayeslaw.load(path), or a table with "
            f"bayeslaw.Runs.from_frame(table)."
        )
    evidence.checked(rate)
    curves, law = _curves(runs, fit)
    if not curves:
        raise DataError(
            f"{runs.source} has no curve to look at: every run has a single point. Anomalies are found in losses "
            f"logged step by step."
        )
    siblings = align(curves)
    broken, left_behind = nonfinite(runs)
    # of runs that never had two finite losses, and so no curve
    left_behind += [
        plain(name, "nonfinite", float(at[0]), float(at[-1]), float(at[0]), True)
        for name, at in broken.items() if name not in curves and len(at)
    ]  # fmt: skip
    trackers, rows, hard = _pass(curves, law, siblings, rate, broken)
    add_tokens(rows, runs)
    events = attributed([event for name in curves for event in trackers[name]], siblings)
    events += left_behind + rewinds(runs) + gradients(runs, rate)
    events.sort(key=lambda e: (list(curves).index(e.run) if e.run in curves else -1, e.start_step))
    table = pd.DataFrame([e.record() for e in events], columns=list(COLUMNS))
    found = [
        {"run": name, "sibling": s.run, "offset": s.offset, "correlation": s.correlation, "rows": s.rows,
         "evidence": s.evidence} for name, group in siblings.items() for s in group
    ]  # fmt: skip
    columns = ["run", "sibling", "offset", "correlation", "rows", "evidence"]
    return Anomalies(
        table, pd.DataFrame(found, columns=columns), pd.DataFrame(hard, columns=["run", "step", "loss", "own_sd"]),
        rows, rate, _notes(runs, curves, events),
    )  # fmt: skip


def _notes(runs: Runs, curves: Mapping[str, Curve], events: list[Event]) -> tuple[str, ...]:
    """Sentences a reader should know."""
    axis = axis_of(runs)
    notes = [] if axis == "step" else [f"The table has no steps: start_step and its like count {axis} here."]
    short = [name for name, curve in curves.items() if len(curve.step) < 10 * WARM_UP]
    if short:
        which = "a run" if len(short) == len(curves) else short[0] if len(short) == 1 else f"{len(short)} short runs"
        notes.append(f"The first {WARM_UP} rows of {which} only teach the noise: no spike or shift is told of them.")
    if any(e.siblings and e.kind in SLOW for e in events) and all(curve.lr is None for curve in curves.values()):
        notes.append(
            "No learning rates are known: a run that anneals while its siblings do not looks as if it had left them. "
            "With a column lr the two are told apart."
        )
    return tuple(notes)


def _curves(runs: Runs, fit: Fit | None) -> tuple[dict[str, Curve], dict[str, np.ndarray]]:
    """Curves of several points, and what is to be subtracted from each (zeros without a fit)."""
    curves: dict[str, Curve] = {}
    law: dict[str, np.ndarray] = {}
    frame, order = runs.frame, runs.curves
    loss = frame["loss"].to_numpy(float)
    step = frame["step"].to_numpy(float) if "step" in frame else np.full(len(frame), np.nan)
    lr = frame["lr"].to_numpy(float) if "lr" in frame else None
    expected = None
    if fit is not None:
        from bayeslaw.forecast import forecast

        expected = forecast(fit, at=runs, backtest=False).frame["curve_mean"].to_numpy(float)
    for c in range(len(order.run)):
        at = order.order[order.starts[c] : order.starts[c + 1]]
        x = order.x[order.starts[c] : order.starts[c + 1]]
        inside = np.isfinite(x) & (x > 0)
        at, x = at[inside], x[inside]
        if len(at) < 2:
            continue
        name = order.names[order.run[c]]
        label = label_of(name, order.exit_step[c])
        steps = step[at] if np.isfinite(step[at]).all() else x
        tokens = frame["tokens"].to_numpy(float)[at] if "tokens" in frame else x
        along = tokens if np.isfinite(tokens).all() and np.all(np.diff(tokens) > 0) and tokens[0] > 0 else x
        offset = np.zeros(len(at)) if expected is None else expected[at] - float(np.mean(expected[at]))
        curves[label] = Curve(label, steps, loss[at] - offset, along, None if lr is None else lr[at], name)
        law[label] = offset
    return curves, law


def _pass(
    curves: Mapping[str, Curve], law: Mapping[str, np.ndarray], siblings: Mapping[str, tuple[Sibling, ...]],
    rate: float, broken: Mapping[str, np.ndarray],
) -> tuple[dict[str, list[Event]], dict[str, pd.DataFrame], list[dict[str, Any]]]:  # fmt: skip
    """All runs through one bank, row by row; runs that end leave it."""
    names = sorted(curves, key=lambda n: -len(curves[n].step))
    others = {name: lookup(curves[name], siblings[name], curves) for name in names}
    bank = Bank(len(names), MOST, rate)
    lengths = np.array([len(curves[n].step) for n in names])
    keep = {name: np.empty((len(curves[name].step), 7)) for name in names}
    trackers = {name: Tracker(name, rate) for name in names}
    events: dict[str, list[Event]] = {name: [] for name in names}
    hard: list[dict[str, Any]] = []
    for k in range(int(lengths[0])):
        b = int((lengths > k).sum())
        if b < bank.b:
            bank.state, bank.b = bank.state.take(np.arange(b)), b
        live = names[:b]
        rows, rates = (np.array([others[n][i][k] for n in live]) for i in (0, 1))
        loss = np.array([curves[n].loss[k] for n in live])
        lr = np.array([np.nan if (own_lr := curves[n].lr) is None else own_lr[k] for n in live])
        result = bank.step(loss, np.array([curves[n].x[k] for n in live]), rows, lr, rates)
        own = np.sqrt(bank.state.scale2)
        count = np.isfinite(rows).sum(axis=1)
        top = np.argmax(result.kinds, axis=1)
        for i, name in enumerate(live):
            add = law[name][k]
            step = curves[name].step[k]
            row = Row(
                float(step), float(loss[i] + add), float(result.expected[i] + add), float(result.scale[i]),
                float(result.z[i]), int(count[i]) if result.shared[i] else 0,
            )  # fmt: skip
            for bad in broken.get(name, ()):
                if (keep[name][k - 1, 0] if k else -np.inf) < bad <= step:
                    events[name] += trackers[name].nonfinite(float(bad))
            events[name] += trackers[name].push(
                row, float(own[i]), bool(result.alarm[i]), bool(result.active[i]), float(result.total[i]),
                evidence.KINDS[top[i]],
            )  # fmt: skip
            keep[name][k] = (*row[:5], result.active[i], result.own_z[i])
            if result.shared[i] and abs(result.own_z[i]) > HARD and abs(result.z[i]) < 4 and k > 200:
                hard.append({"run": name, "step": row.step, "loss": row.loss, "own_sd": float(result.own_z[i])})
    for name in names:
        last = curves[name].step[-1]
        for bad in broken.get(name, ()):
            if bad > last:
                events[name] += trackers[name].nonfinite(float(bad))
        events[name] += trackers[name].flush()
    columns = ["step", "loss", "expected", "scale", "z", "active", "own_z"]
    tables = {name: pd.DataFrame(keep[name], columns=columns) for name in curves}
    return {name: settled(events[name]) for name in curves}, tables, hard
