"""Looped, total loss: parameters, tokens, and the recurrent steps a looped model is trained with."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol


class LoopedTotal(Law):
    """``L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T_m + t3)^gamma``.

    Zhu et al. 2025, "Scaling Latent Reasoning via Looped Language Models" (Ouro, arXiv 2510.25741), the law of the
    total training loss. N is the number of parameters, D of training tokens, T_m the maximum number of recurrent
    steps (``recurrence``). The paper publishes R^2 and no coefficients.
    """

    name = "looped-total"
    title = "Looped, total loss"
    formula = "L = E + A / (N + t1)^alpha + B / (D + t2)^beta + C / (T_m + t3)^gamma"
    reference = "Zhu et al. 2025 (Ouro), arXiv 2510.25741, law of the total loss"
    covariates = ("n_params", "tokens", "recurrence")
    along = ("B",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("A", "parameter term", "nats * params^alpha", "amplitude"),
        Symbol("alpha", "exponent of parameters", "1", "shape"),
        Symbol("t1", "offset of parameters", "params", "shape", share_of="n_params"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
        Symbol("t2", "offset of tokens", "tokens", "shape", share_of="tokens"),
        Symbol("C", "depth term", "nats * steps^gamma", "amplitude"),
        Symbol("gamma", "exponent of recurrent steps", "1", "shape"),
        Symbol("t3", "offset of recurrent steps", "steps", "shape"),
    )

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * (x["n_params"] + p["t1"]) ** -p["alpha"],
            "B": p["B"] * (x["tokens"] + p["t2"]) ** -p["beta"],
            "C": p["C"] * (x["recurrence"] + p["t3"]) ** -p["gamma"],
        }
