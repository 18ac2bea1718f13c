"""Chinchilla with an interaction: larger models pay more, or less, for each missing token."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol

#: size at which the law is Chinchilla's own, in parameters
N_REFERENCE = 1e9


class ChinchillaInteraction(Law):
    """``L = E + A / N^alpha + B * (N / 1e9)^kappa / D^beta``.

    Chinchilla (Hoffmann et al. 2022, arXiv 2203.15556, eq. 2) with a token term whose coefficient moves with size;
    kappa = 0 is Chinchilla. The interaction is ours, the simplest of four that were tried by least absolute log error
    on public sets of final losses; an exponent of D that moves with log N did as well and reads less plainly. What
    kappa is in seven public sets, from 0 to 0.17, says ``benchmarks/interaction.py``. It needs data that vary N and D
    apart.

    With kappa > 0 a larger model at fixed D gains less, and loses once its token term exceeds alpha / kappa times
    its parameter term; kappa = beta makes the token term one of tokens per parameter alone.
    """

    name = "chinchilla-interaction"
    title = "Chinchilla with interaction"
    formula = "L = E + A / N^alpha + B * (N / 1e9)^kappa / D^beta"
    reference = "Hoffmann et al. 2022, arXiv 2203.15556, eq. 2, with an interaction (ours)"
    covariates = ("n_params", "tokens")
    along = ("B",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("A", "parameter term", "nats * params^alpha", "amplitude"),
        Symbol("alpha", "exponent of parameters", "1", "shape"),
        Symbol("B", "token term of a model of 1e9 parameters", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
        Symbol("kappa", "exponent of size in the token term", "1", "shape", low=float("-inf")),
    )

    def terms(self, p, x):
        return {
            "E": p["E"],
            "A": p["A"] * x["n_params"] ** -p["alpha"],
            "B": p["B"] * (x["n_params"] / N_REFERENCE) ** p["kappa"] * x["tokens"] ** -p["beta"],
        }
