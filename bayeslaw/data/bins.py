"""Curves reduced to a few dozen points each, without losing what a fit needs or keeping what it must not see.

A bin stands for consecutive rows of one curve. It has the height of the smooth curve at the bin's **mean log-x**
(not the plain mean of the losses, which lies above a convex curve, and not dragged by spikes), the sd of one raw row
about the local trend, and how many independent rows the bin is worth. ``robust.py`` has the statistics.

Bins are equally spaced in a blend of log-x and x: log-spaced early, where the loss moves with log-x, and no wider
than about two linear shares late, so that a learning rate that decays over the last fifth gets several bins. No bin
straddles a jump of the learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.columns import CANONICAL, GATE
from bayeslaw.data.edges import abscissa, assign, respect_jumps
from bayeslaw.data.robust import local_levels
from bayeslaw.data.runs import Runs
from bayeslaw.data.segments import Segments
from bayeslaw.data.table import column
from bayeslaw.errors import DataError

GEOMETRIC = ("step", "tokens", "flops")
#: losses whose autocorrelation is above this in most bins are taken for running means; of bins of so many rows, and of
#: so many bins at least, that scatter by this share of the loss at least. The per-step losses of K2-65B, modded-nanogpt
#: and MultiPowerLaw have .2 at most, and .7 and more once averaged over some ten rows.
AVERAGED, WHOLE, FEWEST, LEAST = 0.5, 8, 5, 2e-4


@dataclass(frozen=True, eq=False, repr=False)
class Bins:
    """Binned curves.

    Attributes
    ----------
    frame : one row per bin, curve after curve in order of appearance, ascending x. Columns: ``run``, ``exit_step`` if
        the runs have it, every column that is constant within each curve, ``step``, ``tokens``, ``flops`` (the bin's
        representative: exp of the mean log), ``lr``, ``grad_norm``, ``gate_*`` (means), then

        - ``loss``, nats: robust height of the curve at the representative point; a bin of one row is that row, unless
          that is a spike far above the rows around it,
        - ``spread``, nats: robust sd of one raw row about the local trend, NaN where a curve has under three rows,
        - ``count``: raw rows; ``rho``: lag-one autocorrelation about the trend, blended with the
          curve's own (20 rows' worth), 0 under eight rows; ``n_eff``: rows they are
          worth, ``count * (1 - rho) / (1 + rho)`` within [1, count]. The loss has standard error
          ``spread / sqrt(n_eff)`` or slightly (under 5 %) more,
        - ``x_lo``, ``x_hi``: first and last axis value (step, else tokens, else flops); ``log_x``: mean log of it.
    fingerprint : that of the runs, see ``Runs.fingerprint``.
    names : the runs that have a bin, in order of appearance.
    notes : sentences about rows and runs that are in no bin.
    """

    frame: pd.DataFrame
    fingerprint: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of bins."""
        return len(self.frame)

    def __repr__(self) -> str:
        rows = int(self.frame["count"].to_numpy().sum())
        return f"<Bins: {len(self):,} bins of {rows:,} rows, {len(self.names):,} runs>"


def bin_runs(
    runs: Runs,
    *,
    per_decade: float | None = None,
    max_bins: int = 40,
    first: float | None = None,
    linear: float = 0.5,
) -> Bins:
    """Reduce the curves of ``runs`` to bins.

    Parameters
    ----------
    runs : runs with losses.
    per_decade : bins per factor of ten of x, at most ``max_bins`` in all; by default ``max_bins`` over each curve.
    max_bins : most bins per curve (and up to two more for each of at most five jumps of ``lr``). A curve with
        no more rows than that, and no ``per_decade``, keeps each row.
    first : leave out rows before this axis value (a warm-up, the first noisy steps).
    linear : share of the bins that is spread evenly over x rather than log-x, 0 (pure log) to below 1.

    Returns
    -------
    Bins; every curve with a row in range has at least one, and none is empty.

    Raises
    ------
    DataError
        There are no losses, no row is left, or a parameter is out of range.
    """
    if not runs.has_loss:
        raise DataError(f"{runs.source} has no losses to put into bins: it was loaded for its covariates only.")
    if int(max_bins) != max_bins or max_bins < 1 or not 0 <= linear < 1 or (per_decade is not None and per_decade <= 0):
        raise DataError(
            f"Cannot make bins with max_bins={max_bins}, per_decade={per_decade}, linear={linear}: max_bins is a whole "
            f"number from 1, per_decade is above 0, linear is from 0 to below 1."
        )
    curves = runs.curves
    curve, rows, x = curves.curve, curves.order, curves.x
    notes: list[str] = []
    dead = runs.dropped
    if dead:
        notes.append(f"Left out, for it has not one finite loss: {_some(dead)}.")
    curve, rows, x = _in_range(curve, rows, x, first, notes)
    positive = runs.frame["loss"].to_numpy(float)[rows] > 0
    if not positive.all():
        notes.append(f"{int((~positive).sum()):,} rows with a loss of 0 are in no bin: fits are to the logarithm.")
        curve, rows, x = curve[positive], rows[positive], x[positive]
    if rows.size == 0:
        raise DataError(
            f"No row of {runs.source} has {'a step and a loss above 0' if first is None else f'x >= {first:g}'}: "
            f"nothing to bin."
        )
    frame = runs.frame
    v = abscissa(frame, curve, rows, x)
    segment = assign(v, curve, per_decade, int(max_bins), linear)
    if "lr" in frame:
        segment = respect_jumps(segment, curve, frame["lr"].to_numpy(float)[rows])
    starts = np.flatnonzero(np.diff(segment, prepend=-1))
    segments = Segments(np.append(starts, len(rows)), curve[starts])
    with np.errstate(divide="ignore"):
        t = np.where(v > 0, np.log(np.where(v > 0, v, 1.0)), 0.0)
    local = local_levels(t, frame["loss"].to_numpy(float)[rows], segments)
    data = _covariates(frame, rows, curve, segments)
    count = segments.count
    with np.errstate(divide="ignore", invalid="ignore"):
        log_x = segments.mean(np.log(x))
    data |= {
        "loss": local.level,
        "spread": local.spread,
        "count": count,
        "rho": local.rho,
        "n_eff": np.clip(count * (1 - local.rho) / (1 + local.rho), 1.0, count),
        "x_lo": x[segments.starts[:-1]],
        "x_hi": x[segments.starts[1:] - 1],
        "log_x": log_x,
    }
    table = pd.DataFrame(data)
    notes += _averaged(table)
    names = tuple(str(name) for name in table["run"].unique())
    binned = set(names)
    missing = [name for name in runs.names if name not in binned]
    if missing:
        notes.append(f"{len(missing):,} runs have no row in range and no bin: {', '.join(missing[:5])}.")
    return Bins(table, runs.fingerprint, names, tuple(notes))


def _some(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    more = f" and {len(names) - 5:,} more runs" if len(names) > 5 else ""
    return f"{', '.join(map(repr, names[:5]))}{more}"


def _averaged(table: Any) -> list[str]:
    """A sentence on runs whose losses look like running means: neighbours share most of their noise."""
    # where nothing scatters it is the curve's bend that neighbours share
    whole = (table["count"] >= WHOLE) & (table["spread"] > LEAST * table["loss"])
    rho = table.loc[whole].groupby("run", sort=False)["rho"].agg(["median", "size"])
    found = rho.loc[(rho["median"] > AVERAGED) & (rho["size"] >= FEWEST), "median"]
    if found.empty:
        return []
    return [
        f"Neighbouring losses share {found.median():.0%} of their noise in {_some(list(found.index))}, as those of a "
        "running or exponential mean do. Such noise is hard to tell from what a law misses, and bands of a run's next "
        "rows may be too narrow: log the losses themselves, or one mean per window."
    ]


def _in_range(curve, rows, x, first, notes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leave out rows at x = 0, which a log axis cannot show, and rows before ``first``."""
    size = np.bincount(curve)
    zero = (x == 0) & (size[curve] > 1)
    if zero.any():
        notes.append(f"{int(zero.sum()):,} rows at step 0 are in no bin: a log axis has no place for them.")
    keep = ~zero
    if first is not None:
        early = keep & (x < first)
        if early.any():
            notes.append(f"{int(early.sum()):,} rows before {first:g} are in no bin, as asked.")
        keep &= ~early
    return curve[keep], rows[keep], x[keep]


def _covariates(frame: pd.DataFrame, rows: np.ndarray, curve: np.ndarray, segments: Segments) -> dict[str, object]:
    """The columns of every bin: constants of the curve, representatives of what moves."""
    first_row = np.flatnonzero(np.diff(curve, prepend=-1))
    start_of = rows[np.repeat(first_row, np.diff(np.append(first_row, len(rows))))]
    head = rows[segments.starts[:-1]]
    data: dict[str, object] = {}
    late: dict[str, object] = {}
    for name in frame.columns:
        if name in ("kept", "row", "loss"):
            continue
        values = column(frame, name)
        if name in GEOMETRIC:
            late[name] = _geometric(values.to_numpy(float)[rows], segments)
        elif name in ("run", "exit_step") or _constant(values, rows, start_of):
            data[name] = values.iloc[head].array
        elif name in CANONICAL or GATE.fullmatch(name):
            late[name] = _mean(values.to_numpy(float)[rows], segments)
    return data | late


def _constant(cells: pd.Series, rows: np.ndarray, start_of: np.ndarray) -> bool:
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_extension_array_dtype(cells.dtype):
        values = cells.to_numpy()
        a, b = values[rows], values[start_of]
        return bool(np.all((a == b) | ((a != a) & (b != b))))
    try:
        codes, _ = pd.factorize(cells)
    except TypeError:  # lists or dicts in an extra column: carried by the table, not by bins
        return False
    return bool(np.array_equal(codes[rows], codes[start_of]))


def _geometric(values: np.ndarray, segments: Segments) -> np.ndarray:
    known = values > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        total = segments.sum(np.where(known, np.log(np.where(known, values, 1.0)), 0.0))
        return np.exp(total / segments.sum(known.astype(float)))


def _mean(values: np.ndarray, segments: Segments) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return segments.sum(np.where(known, values, 0.0)) / segments.sum(known.astype(float))
