"""Multi-power: a power law in the summed learning rate, and a saturating gain from each drop of it."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.drops import drops_so_far
from bayeslaw.laws.schedule import ETA_FLOOR
from bayeslaw.laws.warm_up import FORMULA, SYMBOLS, power


class MultiPower(Law):
    """``L = L0 + A * S1^-alpha - B * sum_k (eta_{k-1} - eta_k) [1 - (1 + C eta_k^-gamma S_k)^-beta]``.

    Luo et al. 2025, "A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules" (arXiv 2503.12811).
    For one size of model. ``S1`` is the sum of the rates up to the row, warm-up included (the paper writes S1 + S_W),
    ``S_k`` that of updates k to the row. The sum over k begins **after the warm-up**, as in the paper's formula; the
    authors' published code lets it begin at step 0, which makes its L0 smaller by nearly B times the peak rate
    (0.11-0.16 nats on their data) and changes little else. The gain is the negative term ``B``.
    What the warm-up leaves behind (``laws/warm_up.py``) is not in the paper, where alpha0 = alpha.
    """

    name = "multi-power"
    title = "Multi-power"
    formula = f"L = L0 + {FORMULA} - B * sum_k (eta_{{k-1}} - eta_k) * [1 - (1 + C * eta_k^-gamma * S_k)^-beta]"
    reference = "Luo et al. 2025, arXiv 2503.12811; alpha0 and kappa are ours"
    covariates = ("step", "schedule")
    gains = ("B",)
    along = ("A", "B")
    symbols = (
        Symbol("L0", "loss as the summed rate grows without end, before any gain", "nats", "amplitude"),
        Symbol("A", "summed-rate term", "nats * rate^alpha", "amplitude"),
        *SYMBOLS,
        Symbol("B", "gain of a drop in the end, per unit of rate", "nats / rate", "amplitude"),
        Symbol("C", "how fast a drop's gain arrives", "rate^(gamma - 1)", "shape"),
        Symbol("beta", "exponent with which a drop's gain saturates", "1", "shape"),
        Symbol("gamma", "how much sooner the gain arrives at a lower rate", "1", "shape"),
    )

    def terms(self, p, x):
        import jax.numpy as jnp

        drop, eta, since, _ = drops_so_far(x)
        pace = p["C"] * jnp.exp(-p["gamma"] * jnp.log(jnp.maximum(eta, ETA_FLOOR)))
        # log1p and expm1 would take twice as long, for digits that no loss has
        arrived = 1 - jnp.exp(-p["beta"] * jnp.log(1 + pace * since))
        return {
            "L0": p["L0"],
            "A": power(p, x),
            "B": -p["B"] * jnp.sum(drop * arrived),
        }

    def unit_terms(self, p, ref):
        """As in the base class; the gain's unit is that of a drop of the whole peak rate (``eta_peak``), arrived."""
        return {"L0": 1.0, "A": ref["S1"] ** -p["alpha"], "B": ref["eta_peak"]}
