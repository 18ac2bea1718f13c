"""Chinchilla: loss of a transformer against parameters and tokens."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol


class Chinchilla(Law):
    """``L = E + A / N^alpha + B / D^beta``.

    Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models" (arXiv 2203.15556), equation 2. N is the
    number of parameters, D the number of training tokens; E, and the two terms, are nats per token.
    """

    name = "chinchilla"
    title = "Chinchilla"
    formula = "L = E + A / N^alpha + B / D^beta"
    reference = "Hoffmann et al. 2022, arXiv 2203.15556, eq. 2"
    covariates = ("n_params", "tokens")
    along = ("B",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("A", "parameter term", "nats * params^alpha", "amplitude"),
        Symbol("alpha", "exponent of parameters", "1", "shape"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
    )

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * x["n_params"] ** -p["alpha"],
            "B": p["B"] * x["tokens"] ** -p["beta"],
        }
