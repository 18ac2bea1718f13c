"""Looped, step by step: the loss that a looped model has when it stops at a given recurrent step."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.looped_total import LoopedTotal

#: log of T_m / T below which a step is the last: the power's slope in kappa stays a number there
LEAST = 1e-6
EXIT_SYMBOLS = (
    Symbol("K", "what an exit costs that is a factor of e before the last", "nats / tokens^delta", "amplitude"),
    Symbol("kappa", "how the cost rises with the log of T_m / T", "1", "shape"),
    Symbol("delta", "exponent of tokens by which the cost grows", "1", "shape"),
)


def early_exit(p, x):
    """Nats that a step before the last pays for the capacity that training moves on to later steps."""
    import jax.numpy as jnp

    before = jnp.log(x["recurrence"] / x["exit_step"])
    cost = p["K"] * jnp.maximum(before, LEAST) ** p["kappa"] * x["tokens"] ** p["delta"]
    return jnp.where(before > LEAST, cost, 0.0)


def exit_unit(p, ref) -> float:
    """What a unit of K is worth at the reference row; at an exit a factor of e early where the row has the last."""
    import jax.numpy as jnp

    last = ref["recurrence"] / ref["exit_step"] <= 1.0 + 2 * LEAST
    recurrence = jnp.where(last, jnp.e * ref["exit_step"], ref["recurrence"])
    return early_exit({**p, "K": 1.0}, {**ref, "recurrence": recurrence})


class LoopedStepwise(Law):
    """``L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T + t3)^gamma + K * ln(T_m / T)^kappa * D^delta``.

    The first four terms: Zhu et al. 2025 (Ouro, arXiv 2510.25741), the law of the step-wise loss, that of the total
    loss with T, the step whose loss it is (``exit_step``), in place of T_m. The paper fits one law for each T_m, and
    drops the points where a shallow step's loss rises with D. The last term is ours and explains them: a model that may
    go on to T_m steps learns to use them, and the more it has learned, the less its early exits are worth. It is zero
    at the last step, where the law is the published one, and beyond it.
    """

    name = "looped-stepwise"
    title = "Looped, step by step"
    formula = "L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T + t3)^gamma + K * ln(T_m / T)^kappa * D^delta"
    reference = "Zhu et al. 2025 (Ouro), arXiv 2510.25741, law of the step-wise loss; the term of early exits is ours"
    covariates = ("n_params", "tokens", "recurrence", "exit_step")
    along = ("B", "K")
    symbols = (*LoopedTotal.symbols, *EXIT_SYMBOLS)

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * (x["n_params"] + p["t1"]) ** -p["alpha"],
            "B": p["B"] * (x["tokens"] + p["t2"]) ** -p["beta"],
            "C": p["C"] * (x["exit_step"] + p["t3"]) ** -p["gamma"],
            "K": early_exit(p, x),
        }

    def unit_terms(self, p, ref):
        return {**super().unit_terms(p, ref), "K": exit_unit(p, ref)}
