"""Misfit: what no law gets right, a smooth surface over log N and log D that a run shares with the runs near it.

A fit whose errors are independent believes its law everywhere, so that ever more cheap runs seem to settle a target
far off. Here

    log y_i = log L(x_i; theta) + g(log N_i, log D_i) + e_i,

``g`` a Gaussian process: the model discrepancy of Kennedy and O'Hagan (2001), kriging with the law as its trend. Given
theta everything is Gaussian, so ``g`` is integrated out exactly and what it is elsewhere follows in closed form. theta
is drawn anew under these errors by importance sampling around its mode; noise and spreads of levels stay as fitted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.surface import MISFIT, plannable, stream

#: degrees of freedom and number of proposals per draw; Pareto k beyond which the Gaussian at the mode is taken as it is
FREEDOM, PROPOSALS, MOST_K = 7, 4, 0.7
#: a misfit of this scale or more says nothing of any loss, and its numbers overflow
MOST_SCALE = 10.0


@dataclass(frozen=True)
class Misfit:
    """Matérn-5/2 process of the log loss: ``scale`` its sd, ``length`` in units of log N, log D and log recurrence.

    The defaults, 8 % over a factor of a hundred, are those under which best sizes and wastes of budgets held back were
    what was said of them (benchmarks/planning.md). Runs of different groups have surfaces of their own.
    """

    scale: float = 0.08
    length: float = 4.6

    def __post_init__(self) -> None:
        if not (0 < self.scale < MOST_SCALE and 0 < self.length < np.inf):
            raise PlanError(
                f"A misfit's scale is above 0 and below {MOST_SCALE:g} (0.08 is 8 % of the loss), its length above 0 "
                f"and finite; got scale {self.scale!r} and length {self.length!r}."
            )

    def covariance(self, a: Places, b: Places) -> np.ndarray:
        """(len a, len b): of the surface at two sets of places."""
        r = np.sqrt(5) * cdist(a.at, b.at) / self.length
        return self.scale**2 * (1 + r + r**2 / 3) * np.exp(-r) * (a.group[:, None] == b.group[None])


@dataclass(frozen=True)
class Places:
    """``at`` (n, 3): logs of parameters, tokens and recurrence; ``group`` (n,): names, "" where there are none."""

    at: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, group: str = "") -> Places:
        """Of rows with n_params and tokens, and recurrence and group where they have them."""
        r = frame["recurrence"].to_numpy(float) if "recurrence" in frame else np.ones(len(frame))
        own = frame["group"].astype(str).to_numpy(object) if "group" in frame else np.full(len(frame), group, object)
        n, d = frame["n_params"].to_numpy(float), frame["tokens"].to_numpy(float)
        return cls(np.log(np.stack([n, d, r], axis=1)), own)

    def with_more(self, other: Places) -> Places:
        """These, then the other ones."""
        return Places(np.concatenate([self.at, other.at]), np.concatenate([self.group, other.group]))


class Held:
    """The posterior of a fit's law under a misfit, and the misfit elsewhere.

    Attributes
    ----------
    z : (S, dim) draws of the coordinates. k : Pareto k of the importance sampling; above 0.7 the draws are those of the
        Gaussian at the mode. seen : where the fitted runs end.
    """

    def __init__(self, fit: Fit, misfit: Misfit, draws: int = 1000, seed: int = 0) -> None:
        import jax

        from bayeslaw.engine.params import values
        from bayeslaw.engine.warp import from_z
        from bayeslaw.engine.weights import resampled

        plannable(fit)
        self.misfit, rng = misfit, stream(seed, MISFIT)
        layout, data = fit.problem.layout, fit.problem.data
        old = fit.draws(draws)
        self._series, self._column = _ends(data["rows"]["mask"])
        self.seen = self._places(fit)
        law = _law_coordinates(layout)
        with jax.enable_x64(True):
            one, many = _programs(layout, tuple(law))
            centre = old.mean(axis=0)
            v = {k: np.asarray(x) for k, x in values(layout, data["prior"], centre).items()}
            noise, nu = self._noise(v, layout.likelihood == "points", data["rows"])
            precision = _prior_precision(layout, data["prior"], centre)[law]
            rest, log_y = from_z(layout, data["prior"], centre), data["rows"]["log_y"][self._series, self._column]
            # of all series, so that one compiled program serves any choice of runs
            rows = len(data["rows"]["mask"])
            column = np.zeros(rows, int)
            column[self._series] = self._column
            kept = np.concatenate([self._series, rows + np.arange(len(law))])
            # put there once: what is not an array of JAX yet is turned into one at every call
            args = jax.device_put((rest, data, column))
            shared = misfit.covariance(self.seen, self.seen)
            y, weight = rest[law], np.ones(len(log_y))
            for _ in range(4 if nu else 1):
                inverse = np.linalg.inv(shared + np.diag(noise / weight))
                y, spread = _mode(lambda y: [np.asarray(a)[kept] for a in one(y, *args)], y, log_y, inverse, precision)
                left = log_y - np.asarray(one(y, *args)[0])[self._series]
                # what is left for a run's own error, and how much of a Student-t's variance that points to
                own = noise / weight * (inverse @ left)
                weight = (nu + 1) / (nu + own**2 / noise) if nu else weight
            # heavier tails than the Gaussian at the mode, then weighed against the density itself
            normal = rng.standard_normal((PROPOSALS * len(old), len(law))) @ np.linalg.cholesky(spread).T
            wide = np.sqrt(rng.chisquare(FREEDOM, len(normal)) / FREEDOM)
            log_q = (
                -0.5
                * (FREEDOM + len(law))
                * np.log1p(np.einsum("si,ij,sj->s", normal, np.linalg.inv(spread), normal) / wide**2 / FREEDOM)
            )
            found = np.asarray(many(y + normal / wide[:, None], *args))[:, kept]
            r, z = log_y - found[:, : len(log_y)], found[:, len(log_y) :]
            log_w = -0.5 * (np.einsum("si,ij,sj->s", r, inverse, r) + (z**2 * precision).sum(axis=1)) - log_q
            pick, _, self.k = resampled(np.where(np.isfinite(log_w), log_w, -np.inf), rng, len(old))
            if self.k > MOST_K:
                found = np.asarray(many(y + normal, *args))[: len(old), kept]
                pick = np.arange(len(old))
        self.z = old[rng.permutation(len(old))]
        self.z[:, law] = found[pick, len(log_y) :]
        self._left, self._inverse = log_y - found[pick, : len(log_y)], inverse

    def _places(self, fit: Fit) -> Places:
        rows, series = fit.problem.data["rows"], fit.problem.series
        x = {k: np.asarray(a)[self._series, self._column] for k, a in rows["x"].items()}
        n = x["n_params"] if "n_params" in x else x["n_params_once"] + x["n_params_recurrent"]
        r = x.get("recurrence", np.ones(len(n)))
        names = series["group"].astype(str).to_numpy(object) if "group" in series else np.full(len(series), "", object)
        return Places(np.log(np.stack([n, x["tokens"], r], axis=1)), names[self._series])

    def _noise(self, v: dict[str, np.ndarray], points: bool, rows: dict[str, Any]) -> tuple[np.ndarray, float]:
        """Variance (n,) of a run's own error, and its Student-t's degrees of freedom, 0 for a Gaussian."""
        if points:
            log_x, log_n = rows["log_x"][self._series, self._column], rows["log_n"][self._series]
            scale = v["noise:sigma"] * np.exp(v["noise:by_x"] * log_x + v["noise:by_n"] * log_n)
            return scale**2, float(v["noise:nu"])
        own = sum(float(v.get(name, 0.0)) ** 2 for name in ("effect:level", "discrepancy:scale"))
        return np.full(len(self._series), own + float(v["noise:sigma"]) ** 2 / 2), 0.0

    def group(self, name: str | None) -> str:
        """The group of runs whose surface a plan for ``name`` shares; a new one's where none is named among several."""
        known = list(dict.fromkeys(self.seen.group))
        if known == [""]:
            return ""
        return name if name is not None else (known[0] if len(known) == 1 else "a new group")

    def beyond(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Mean (S, n) under every draw, and covariance (n, n), of the misfit at these places, given the fitted runs."""
        cross = self.misfit.covariance(places, self.seen)
        gain = cross @ self._inverse
        return self._left @ gain.T, self.misfit.covariance(places, places) - gain @ cross.T


def _ends(mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Series that have rows, and the last row of each."""
    mask = np.asarray(mask)
    series = np.flatnonzero(mask.any(axis=1))
    return series, mask.shape[1] - 1 - mask[series, ::-1].argmax(axis=1)


def _law_coordinates(layout: Any) -> np.ndarray:
    """Coordinates of the law's symbols, their deviations and the offsets: all that moves a curve."""
    names = {e.symbol for e in layout.entries} | {"offset"}
    own = [w for slot, w in layout.placed() if slot.name.partition(":")[0] in names and not slot.name.endswith(":tau")]
    return np.concatenate([np.arange(w.start, w.stop) for w in own])


def _prior_precision(layout: Any, prior: Any, z: np.ndarray) -> np.ndarray:
    """Precision (dim,) of every coordinate's prior, the spreads of levels as they are."""
    out, widened = np.ones(layout.dim), {}
    for slot, where in layout.placed():
        if slot.name.endswith(":tau"):
            widened[slot.name] = float((prior["scale"][where] * z[where])[0])
        elif slot.kind == "deviation":
            out[where] = np.exp(-2 * widened.get(f"{slot.name}:tau", 0.0))
    return out


@functools.lru_cache(maxsize=32)
def _programs(layout: Any, law: Sequence[int]) -> tuple[Any, Any]:
    """Log losses at the runs' ends, and the law's coordinates z, of sampler coordinates y: with Jacobian, and many."""
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine.density import expected
    from bayeslaw.engine.params import values
    from bayeslaw.engine.warp import to_z

    at = np.array(law)

    def both(y, rest, data, column):
        z = to_z(layout, data["prior"], jnp.asarray(rest).at[at].set(y))
        log_f, _ = expected(layout, values(layout, data["prior"], z), data)
        return jnp.concatenate([log_f[jnp.arange(len(column)), column], z[at]])

    fixed = (None, None, None)
    return (
        jax.jit(lambda y, *args: (both(y, *args), jax.jacfwd(both)(y, *args))),
        jax.jit(lambda y, *args: jax.vmap(both, (0, *fixed))(y, *args)),
    )


def _mode(
    program: Any, y: np.ndarray, log_y: np.ndarray, inverse: np.ndarray, precision: np.ndarray, most: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Mode and inverse curvature by damped Gauss-Newton steps (Levenberg 1944; Marquardt 1963)."""

    def at(y):
        value, slope = program(y)
        r, z = log_y - value[: len(log_y)], value[len(log_y) :]
        jf, jz = slope[: len(log_y)], slope[len(log_y) :]
        gradient = jf.T @ inverse @ r - jz.T @ (precision * z)
        curvature = jf.T @ inverse @ jf + (jz.T * precision) @ jz
        return float(r @ inverse @ r + precision @ z**2), gradient, curvature

    damping, (cost, gradient, curvature) = 1e-2, at(y)
    for _ in range(most):
        step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        after = at(y + step)
        if np.isfinite(after[0]) and after[0] <= cost:
            done = cost - after[0] < 1e-8
            y, damping, (cost, gradient, curvature) = y + step, max(damping / 5, 1e-9), after
            if done:
                break
        else:
            damping *= 5
    return y, np.linalg.inv(curvature)
