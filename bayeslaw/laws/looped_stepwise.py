"""Looped, step by step: the loss that a looped model has when it stops at a given recurrent step."""

from __future__ import annotations

from bayeslaw.laws.base import Law
from bayeslaw.laws.looped_total import LoopedTotal


class LoopedStepwise(Law):
    """``L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T + t3)^gamma``.

    Zhu et al. 2025 (Ouro, arXiv 2510.25741), the law of the step-wise loss: that of the total loss with T, the step
    whose loss it is (``exit_step``), in place of T_m. The paper fits one law for each T_m, so pool runs of one
    maximum depth (``group``) when fitting several.
    """

    name = "looped-stepwise"
    title = "Looped, step by step"
    formula = "L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T + t3)^gamma"
    reference = "Zhu et al. 2025 (Ouro), arXiv 2510.25741, law of the step-wise loss"
    covariates = ("n_params", "tokens", "exit_step")
    along = ("B",)
    symbols = LoopedTotal.symbols

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * (x["n_params"] + p["t1"]) ** -p["alpha"],
            "B": p["B"] * (x["tokens"] + p["t2"]) ** -p["beta"],
            "C": p["C"] * (x["exit_step"] + p["t3"]) ** -p["gamma"],
        }
