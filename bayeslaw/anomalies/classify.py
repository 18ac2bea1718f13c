"""What kind of event a stretch of residuals is: templates fitted robustly, compared by their likelihoods.

A stretch begins at the onset and runs on for as long as is known. Each template is a shape whose height is fitted by
weighted least squares with Student-t weights (four degrees of freedom: the noise has heavy tails); the kinds'
probabilities are BIC weights, summed over the shapes of a kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FREEDOM = 4.0
DECAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
RAMPS = (25.0, 50.0, 100.0, 200.0, 300.0, 400.0)
GROWTHS = (10.0, 30.0, 100.0)
#: residuals, in scales, beside a peak that make it more than a single point
LOUD = 6.0
#: most rows that a spike takes to its peak
RISE = 25
#: relative error of a template's shape
EXCURSION = 0.25
#: least share of a spike's height that must remain for it to be called malignant, and its least size in scales
REMAINS, REMAINS_SD = 0.02, 0.5


@dataclass(frozen=True)
class Verdict:
    """What a stretch was taken for; sizes in nats, positions are rows of the stretch.

    ``probability`` of ``kind`` by kind in ``odds``; ``lasting`` and ``lasting_sd``: what remains at its end.
    """

    kind: str
    probability: float
    odds: dict[str, float]
    peak: int
    end: int
    magnitude: float
    lasting: float
    lasting_sd: float


def classify(residual: np.ndarray, scale: np.ndarray, onset: int = 0, correlated: float = 0.0) -> Verdict:
    """Judge a stretch.

    Parameters
    ----------
    residual : (n,) losses less what was expected before the event, nats. ``scale`` : (n,) sd of healthy noise.
    onset : first row of the event within the stretch.
    correlated : wander of a healthy run around its level, in scales, which no amount of rows averages away.
    """
    r, healthy = np.asarray(residual, float)[onset:], np.maximum(np.asarray(scale, float)[onset:], 1e-12)
    sd = healthy
    n = len(r)
    sign = _direction(r / healthy)
    peak = int(np.argmax(sign * r))
    names, shapes, price = _templates(n, peak)
    heights, fitted, score = _fit(shapes, r, sd)
    score = score - price * np.log(max(n, 2))
    every = score.copy()
    near = np.delete(np.abs(r / healthy)[max(0, peak - 3) : peak + 4], min(peak, 3))
    crowded = len(near) > 0 and float(near.max()) > LOUD
    for i, name in enumerate(names):
        if (name == "point" and crowded) or not _possible(name, heights[i], sign, sd):
            score[i] = -np.inf
    score[names.index("variance")] = _variance(r, healthy, price[names.index("variance")])
    if not np.isfinite(score).any():
        # no template with the sign that the stretch leans to: the nearest one, whatever its sign
        score = every
    weight = np.exp(score - score.max())
    weight /= weight.sum()
    odds: dict[str, float] = {}
    for name, share in zip(names, weight, strict=True):
        odds[name] = odds.get(name, 0.0) + float(share)
    kind = max(odds, key=lambda name: odds[name])
    best = max((i for i, name in enumerate(names) if name == kind), key=lambda i: score[i])
    curve = fitted[best]
    lasting, lasting_sd = _lasting(kind, curve, r, healthy, peak)
    lasting_sd = float(np.hypot(lasting_sd, correlated * np.median(healthy)))
    if kind in ("point", "spike", "malignant_spike"):
        magnitude = float(r[peak])
    elif kind == "variance":
        magnitude = float(np.sqrt(np.mean(np.minimum((r / healthy) ** 2, 100.0))) - 1.0) * float(np.median(healthy))
    else:
        magnitude = float(curve[np.argmax(np.abs(curve))])
        peak = int(np.argmax(np.abs(curve) >= 0.95 * np.abs(curve).max()))
    return Verdict(
        kind,
        odds[kind],
        odds,
        onset + peak,
        onset + _end(kind, r, healthy, curve, peak),
        magnitude,
        lasting,
        lasting_sd,
    )


def _direction(z: np.ndarray) -> float:
    bounded = np.clip(z, -20, 20)
    extreme = bounded[np.argmax(np.abs(bounded))]
    total = bounded[: min(len(z), 50)].sum() / np.sqrt(min(len(z), 50))
    return 1.0 if (extreme if abs(extreme) > abs(total) else total) >= 0 else -1.0


def _templates(n: int, peak: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, shapes (m, 2, n) of one or two columns each, and the price in parameters."""
    k = np.arange(n, dtype=float)
    after = np.maximum(k - peak, 0.0)
    rise = np.where(k < peak, (k + 1) / (peak + 1), 1.0)
    none = np.zeros(n)
    point = (k == peak).astype(float)
    out: list[tuple[str, np.ndarray, np.ndarray, float]] = [("point", point, none, 1.0), ("variance", none, none, 1.0)]
    for tau in DECAYS:
        # a spike rises at once, and is one only where most of its way back was seen
        if peak <= RISE and (tau <= n / 1.5 or n < 12):
            decay = rise * np.exp(-after / tau)
            out.append(("spike", decay, none, 2.0))
            if n >= peak + 12 and tau <= max(4.0, n / 4):
                out.append(("malignant_spike", decay, (k >= peak).astype(float), 2.5))
    if n >= 12 and peak <= RISE:
        out.append(("malignant_spike", point, (k > peak).astype(float), 2.5))
    out.append(("level", np.ones(n), none, 1.0))
    for span in RAMPS:
        if span <= 1.5 * n:
            out.append(("drift", np.minimum((k + 1) / span, 1.0), none, 2.0))
    for tau in GROWTHS:
        if n >= 12 and n >= 1.5 * tau:
            grow = np.expm1(np.minimum(k / tau, 30.0))
            out.append(("divergence", grow / grow[-1], none, 2.0))
    names = [name for name, *_ in out]
    return names, np.stack([np.stack([a, b]) for _, a, b, _ in out]), np.array([price for *_, price in out])


def _fit(shapes: np.ndarray, r: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights (m, 2), fitted curves (m, n) and log likelihoods (m,) under Student-t noise."""
    a, b = shapes[:, 0], shapes[:, 1]
    weight = np.ones_like(a) / sd**2
    heights = np.zeros((len(a), 2))
    fitted = np.zeros_like(a)
    for _ in range(6):
        aa, bb, ab = (weight * a * a).sum(1), (weight * b * b).sum(1), (weight * a * b).sum(1)
        ar, br = (weight * a * r).sum(1), (weight * b * r).sum(1)
        two = aa * bb - ab**2 > 1e-9 * np.maximum(aa * bb, 1e-300)
        two &= bb > 0
        det = np.where(two, aa * bb - ab**2, 1.0)
        heights[:, 0] = np.where(two, (bb * ar - ab * br) / det, ar / np.maximum(aa, 1e-300))
        heights[:, 1] = np.where(two, (aa * br - ab * ar) / det, 0.0)
        fitted = heights[:, :1] * a + heights[:, 1:] * b
        # of an excursion nobody knows the shape better than to a share of its height
        wide = np.hypot(sd, EXCURSION * np.abs(fitted))
        z2 = ((r - fitted) / wide) ** 2
        weight = (FREEDOM + 1) / (FREEDOM + z2) / wide**2
    score = -0.5 * (FREEDOM + 1) * np.log1p(z2 / FREEDOM).sum(1) - np.log(wide / sd).sum(1)
    return heights, fitted, score


def _possible(name: str, height: np.ndarray, sign: float, sd: np.ndarray) -> bool:
    """Whether a template of these heights is of the kind ``name``: its sign, and what remains of a malignant spike."""
    if name == "malignant_spike":
        height, remains = height * sign, height[1] * sign
        return bool(height[0] > 0 and remains > max(REMAINS * height[0], REMAINS_SD * float(np.median(sd))))
    if name == "divergence":
        return bool(height[0] > 0)
    return bool(height[0] * sign >= 0)


def _variance(r: np.ndarray, sd: np.ndarray, price: float) -> float:
    """Best log likelihood of noise grown by a factor, less its price."""
    z2 = (r / sd) ** 2
    if len(r) < 12 or np.median(np.abs(r / sd)) < 0.85:
        return -np.inf
    best = [
        -0.5 * (FREEDOM + 1) * np.log1p(z2 / c**2 / FREEDOM).sum() - len(r) * np.log(c)
        for c in (1.5, 2.0, 3.0, 5.0, 8.0)
    ]
    return float(max(best) - price * np.log(max(len(r), 2)))


def _lasting(kind: str, curve: np.ndarray, r: np.ndarray, sd: np.ndarray, peak: int) -> tuple[float, float]:
    """What remains at the end of the stretch, and its standard error."""
    rest = np.arange(len(r)) > peak + max(3, (len(r) - peak) // 3)
    if rest.sum() < 3:
        return (0.0 if kind == "point" else float(curve[-1])), float(np.median(sd))
    last = r[rest][-50:]
    error = 1.25 * float(np.median(sd)) / np.sqrt(len(last))
    if kind in ("level", "drift", "divergence"):
        return float(curve[-1]), error
    if kind == "malignant_spike":
        return float(np.median(last)), error
    return 0.0, error


def _end(kind: str, r: np.ndarray, sd: np.ndarray, curve: np.ndarray, peak: int) -> int:
    """Row at which the event is over: back within the noise, or, where it stays, settled at its size."""
    if kind == "point":
        return peak
    if kind in ("spike", "malignant_spike"):
        target = curve[-1] if kind == "malignant_spike" else 0.0
        away = np.flatnonzero(np.abs(curve - target)[peak:] > np.maximum(sd[peak:], 0.0))
        loud = np.abs(r - target)[peak:] / sd[peak:] > 4.0
        quiet = peak + 1 + (int(away[-1]) if len(away) else 0)
        run = peak
        while run + 1 < len(r) and loud[run + 1 - peak : run + 4 - peak].any():
            run += 1
        return min(max(quiet if len(away) > 1 else peak, run), len(r) - 1)
    if kind in ("drift", "divergence", "variance"):
        return len(r) - 1
    return peak
