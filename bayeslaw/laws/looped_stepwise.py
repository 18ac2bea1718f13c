"""Looped, step by step: the loss that a looped model has when it stops at a given recurrent step."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.looped_total import LoopedTotal

#: distance from the last step, in log T, below which a step is the last: the power's slope in kappa stays a number
LEAST = 1e-6
EXIT_SYMBOLS = (
    Symbol("K", "what an exit at step 1 costs in the end that is a factor of e before the last", "nats", "amplitude"),
    Symbol("kappa", "how the cost rises with the distance of T from T_m in logs", "1", "shape"),
    Symbol("mu", "how the cost falls with the step itself: exponent of T", "1", "shape"),
    Symbol("t4", "tokens by which the cost has come near what it will be", "tokens", "shape", share_of="tokens"),
    Symbol("delta", "exponent of tokens by which the cost grows at first", "1", "shape"),
    Symbol("J", "what a step beyond the last costs, over an exit as far before it", "1", "shape"),
)


def off_depth(p, x):
    """Nats that a step pays for not being the one that the model was trained to end with.

    Before the last: for the capacity that training moves on to later steps. Beyond it (inference-time depth): the loop
    leaves the states that it knows; runs that end at T_m say nothing of J, so that its prior is what a forecast has.
    """
    import jax.numpy as jnp

    before = jnp.log(x["recurrence"] / x["exit_step"])
    far = jnp.abs(before)
    step = jnp.minimum(x["exit_step"], x["recurrence"])
    grown = (1 + p["t4"] / x["tokens"]) ** -p["delta"]
    cost = p["K"] * jnp.maximum(far, LEAST) ** p["kappa"] * step ** -p["mu"] * grown
    return jnp.where(far > LEAST, jnp.where(before < 0, p["J"] * cost, cost), 0.0)


def off_depth_unit(p, ref):
    """What a unit of K is worth at the reference row; at an exit a factor of e early where the row has the last."""
    import jax.numpy as jnp

    last = jnp.abs(jnp.log(ref["recurrence"] / ref["exit_step"])) <= LEAST
    recurrence = jnp.where(last, jnp.e * ref["exit_step"], ref["recurrence"])
    return off_depth({**p, "K": 1.0}, {**ref, "recurrence": recurrence})


class LoopedStepwise(Law):
    """``L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T_m + t3)^gamma + cost of stopping at T``, which is
    ``K * |ln(T_m / T)|^kappa / T^mu / (1 + t4 / D)^delta``.

    The first four terms: Zhu et al. 2025 (Ouro, arXiv 2510.25741), the law of the total loss, met at the last step
    T = T_m. For a step-wise loss the paper puts T, the step whose loss it is (``exit_step``), in place of T_m, fits one
    law for each T_m, and drops the points where a shallow step's loss rises with D. The cost is ours and explains them:
    a model that may go on to T_m steps learns to use them, and the more it has learned, the less its early exits are
    worth, until that has settled. What depth is worth in training and what stopping early costs are kept apart, for
    they go different ways: a deeper model ends lower, and its first step ends higher. Beyond the last step (T > T_m)
    the cost stands J times over, with T_m for the T of mu: there losses rise, where the published law lets them fall.
    """

    name = "looped-stepwise"
    title = "Looped, step by step"
    formula = (
        "L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T_m + t3)^gamma "
        "+ K * |ln(T_m / T)|^kappa / T^mu / (1 + t4 / D)^delta * (J where T > T_m)"
    )
    reference = "Zhu et al. 2025 (Ouro), arXiv 2510.25741, law of the total loss; the cost of early exits is ours"
    covariates = ("n_params", "tokens", "recurrence", "exit_step")
    along = ("B", "K")
    symbols = (*LoopedTotal.symbols, *EXIT_SYMBOLS)

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * (x["n_params"] + p["t1"]) ** -p["alpha"],
            "B": p["B"] * (x["tokens"] + p["t2"]) ** -p["beta"],
            "C": p["C"] * (x["recurrence"] + p["t3"]) ** -p["gamma"],
            "K": off_depth(p, x),
        }

    def unit_terms(self, p, ref):
        return {**super().unit_terms(p, ref), "K": off_depth_unit(p, ref)}
