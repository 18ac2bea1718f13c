"""Annealed: a power law in the summed learning rate, and a gain from lowering it with momentum."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.drops import drops_so_far
from bayeslaw.laws.warm_up import FORMULA, SYMBOLS, power


class Annealed(Law):
    """``L = L0 + A * S1^-alpha - C * S2(lam)``.

    Tissue et al. 2024, "Scaling Law with Learning Rate Annealing" (arXiv 2408.11029), the formula of the abstract.
    ``S1 = sum_{i<=t} eta_i`` and ``S2 = sum_{i<=t} sum_{k<=i} (eta_{k-1} - eta_k) lam^(i-k)`` for one size of model;
    the published fits fix lam at 0.999 or so. The sum over k begins after the warm-up: with the warm-up's increments
    in it, L0 would be lower by C times the peak over 1 - lam. The gain is the negative term ``C``.
    What the warm-up leaves behind (``laws/warm_up.py``) is not in the paper, where alpha0 = alpha.

    A stretch of the schedule on which the rate falls evenly is summed in closed form (two geometric series).
    """

    name = "annealed"
    title = "Annealed (Tissue)"
    formula = f"L = L0 + {FORMULA} - C * S2(lam)"
    reference = "Tissue et al. 2024, arXiv 2408.11029; alpha0 and kappa are ours"
    covariates = ("step", "schedule")
    gains = ("C",)
    along = ("A", "C")
    symbols = (
        Symbol("L0", "loss as the summed rate grows without end, before any gain", "nats", "amplitude"),
        Symbol("A", "summed-rate term", "nats * rate^alpha", "amplitude"),
        *SYMBOLS,
        Symbol("C", "gain per unit of annealing", "nats / rate", "amplitude"),
        Symbol("lam", "share of a drop's momentum kept per step", "1", "shape", 0.0, 1.0),
    )

    def terms(self, p, x):
        import jax.numpy as jnp

        drop, _, _, n = drops_so_far(x)
        log_lam = jnp.log(p["lam"])
        whole = jnp.maximum(n, 1.0)
        # Mean over the done updates of lam^(age), age counted from 1 at the last one; then the steps since.
        mean = jnp.expm1(whole * log_lam) / jnp.expm1(log_lam) / whole
        since = jnp.maximum(x["step"] - x["seg_step0"] - whole, 0.0)
        s2 = jnp.sum(drop * (1.0 - p["lam"] * mean * jnp.exp(since * log_lam))) / (1.0 - p["lam"])
        return {"L0": p["L0"], "A": power(p, x), "C": -p["C"] * s2}

    def unit_terms(self, p, ref):
        """As in the base class; the gain's unit is that of a finished drop of the whole peak rate (``eta_peak``)."""
        return {"L0": 1.0, "A": ref["S1"] ** -p["alpha"], "C": ref["eta_peak"] / (1.0 - p["lam"])}
