"""Knots of the usual learning-rate schedules: each function returns (steps, rates), ``from_rows`` the warm-up too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeslaw.errors import DataError

Knots = tuple[NDArray[np.float64], NDArray[np.float64]]

#: knots of a curved stretch; 2,048 on half a cosine leave the rate within 3e-7 of the peak
CURVE_KNOTS = 2048

#: how a decay goes from 1 at f = 0 to 0 at f = 1, except the exponential, which needs the final rate
DECAYS = {
    "linear": lambda f: 1 - f,
    "cosine": lambda f: (1 + np.cos(np.pi * f)) / 2,
    "1-sqrt": lambda f: 1 - np.sqrt(f),
}
SHAPES = ("linear", "exponential", "cosine", "1-sqrt")


def constant(peak: float, total: int, warmup: int) -> Knots:
    """Knots of ``Schedule.constant``; DataError, as in all of these, where an argument is none that can be."""
    _check(peak, total, warmup)
    return _join(peak, warmup, np.array([total]), np.array([peak]))


def cosine(peak: float, total: int, warmup: int, final_fraction: float) -> Knots:
    """Knots of ``Schedule.cosine``."""
    _check(peak, total, warmup, final_fraction)
    return _join(peak, warmup, *_decay(peak, warmup, total, "cosine", final_fraction))


def wsd(peak: float, total: int, warmup: int, decay: float, shape: str, final_fraction: float | None) -> Knots:
    """Knots of ``Schedule.wsd``."""
    if shape not in SHAPES:
        raise DataError(f"No decay is called {shape!r}; the shapes are {', '.join(SHAPES)}.")
    if final_fraction is None:
        final_fraction = 0.1 if shape == "exponential" else 0.0
    _check(peak, total, warmup, final_fraction)
    if shape == "exponential" and final_fraction == 0:
        raise DataError("An exponential decay never reaches a rate of 0; give final_fraction, for example 0.1.")
    n = round(decay * total) if decay <= 1 else round(decay)
    if not 1 <= n <= total - warmup:
        raise DataError(
            f"A decay of {decay:g} is {n} steps, but {total - warmup} steps are left after the warm-up. Give decay as "
            "a share of the total (0.2) or as steps (4000)."
        )
    return _join(peak, warmup, *_decay(peak, total - n, total, shape, final_fraction))


def two_stage(peak: float, second: float, at: int, total: int, warmup: int) -> Knots:
    """Knots of ``Schedule.two_stage``."""
    _check(peak, total, warmup)
    if not warmup < at <= total:
        raise DataError(f"The second stage begins at step {at}, outside the {warmup} to {total} after the warm-up.")
    steps, rates = np.array([at - 1, at, total]), np.array([peak, second, second])
    return _join(peak, warmup, steps[: 3 if at < total else 2], rates[: 3 if at < total else 2])


def from_rows(step: ArrayLike, lr: ArrayLike, before: str, warmup: int | None) -> tuple[NDArray, NDArray, int]:
    """Knots and warm-up of logged rows; see ``Schedule.from_rows``."""
    s, r = np.asarray(step, float), np.asarray(lr, float)
    if s.ndim != 1 or s.shape != r.shape or s.size == 0:
        raise DataError(f"A schedule needs one learning rate per row; got {s.size} steps and {r.size} rates.")
    if before not in ("linear", "constant"):
        raise DataError(f"The rate before the first row is 'linear' or 'constant'; got {before!r}.")
    if not np.isfinite(r).all():
        raise DataError(f"The learning rate at step {s[~np.isfinite(r)][0]:g} is missing; drop that row or fill it in.")
    if (np.diff(s) < 0).any():
        i = int(np.argmax(np.diff(s) < 0))
        raise DataError(f"The steps of a schedule must increase; step {s[i + 1]:g} comes after {s[i]:g}.")
    last = np.append(np.diff(s) > 0, True)
    s, r = s[last], r[last]
    s, r = _sharpen(s, r)
    ramp = int(s[0]) if before == "linear" else 0
    if s[0] > 0:
        s, r = np.append(0.0, s), np.append(0.0 if before == "linear" else r[0], r)
    if warmup is None:
        # Ties are let pass: a printed rate is rounded. The warm-up is over at the first row of the highest rate.
        fall = np.flatnonzero(np.diff(r) < 0)
        rising = r[: fall[0] + 1] if len(fall) else r
        warmup = max(ramp, int(s[int(np.argmax(rising >= rising[-1] * (1 - 1e-9)))]))
    keep = np.ones(len(s), bool)
    keep[1:-1] = (r[1:-1] != r[:-2]) | (r[1:-1] != r[2:])
    return s[keep], r[keep], int(warmup)


def _sharpen(s: NDArray, r: NDArray) -> Knots:
    """Put a knot one step before the row at which a lone jump lands."""
    d = np.abs(np.diff(r))
    around = np.maximum(d[:-2], d[2:])
    jump = np.flatnonzero((d[1:-1] > 0.01 * r.max()) & (d[1:-1] > 20 * around)) + 1
    jump = jump[s[jump + 1] - s[jump] > 1]
    return np.insert(s, jump + 1, s[jump + 1] - 1), np.insert(r, jump + 1, r[jump])


def _decay(peak: float, start: int, end: int, shape: str, final_fraction: float) -> Knots:
    """Knots from ``start`` to ``end``; a curve's are denser where it bends most, which for a root is its start."""
    if shape == "linear":
        return np.array([start, end]), np.array([peak, peak * final_fraction])
    f = np.linspace(0, 1, CURVE_KNOTS + 1)
    steps = np.unique(np.round(start + (end - start) * (f**2 if shape == "1-sqrt" else f)))
    f = (steps - start) / (end - start)
    if shape == "exponential":
        return steps, peak * final_fraction**f
    return steps, peak * (final_fraction + (1 - final_fraction) * DECAYS[shape](f))


def _join(peak: float, warmup: int, steps: NDArray, rates: NDArray) -> Knots:
    """A ramp from 0 to the peak where there is a warm-up, then the knots of the rest."""
    head = [(0.0, 0.0), (float(warmup), peak)] if warmup else [(0.0, peak)]
    head = [knot for knot in head if knot[0] < steps[0]]
    return np.concatenate([[k[0] for k in head], steps]), np.concatenate([[k[1] for k in head], rates])


def _check(peak: float, total: int, warmup: int, final_fraction: float = 0.0) -> None:
    if not (np.isfinite(peak) and peak > 0):
        raise DataError(f"The peak learning rate must be positive; got {peak}.")
    if not 0 <= warmup < total:
        raise DataError(f"The warm-up must be shorter than the run; got warmup={warmup}, total={total}.")
    if not 0 <= final_fraction <= 1:
        raise DataError(f"final_fraction is a share of the peak, from 0 to 1; got {final_fraction}.")
