"""IsoFLOP: loss as a valley along compute, whose floor and whose walls have exponents of their own."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol

#: compute at which ``n_opt`` is stated, FLOP
C_REFERENCE = 1e20


class IsoFlop(Law):
    """``L = E + K (C / 1e20)^-gamma [q (N/N*)^-p + p (N/N*)^q] / (p + q)``, ``C = 6 N D``, ``N* = n_opt (C / 1e20)^a``.

    Chinchilla (Hoffmann et al. 2022, arXiv 2203.15556, eq. 2) written along its isoFLOP profiles is this with
    ``p = alpha``, ``q = beta``, ``a = beta / (alpha + beta)`` and ``gamma = alpha beta / (alpha + beta)``: how steep a
    profile's walls are then fixes how fast its bottom moves, and runs far from any optimum decide where the optimum
    goes. Here the four are free (the form is ours), so that the bottom is learnt from the bottoms. At a given C the
    loss is least at N*, whatever the other parameters.

    It is a law of sweeps at fixed compute. Along a fixed N, or a fixed D, it need not fall for ever: unlike
    Chinchilla's, its terms may turn upwards decades away from the optimum.
    """

    name = "isoflop"
    title = "IsoFLOP"
    formula = "L = E + K (C/1e20)^-gamma [q (N/N*)^-p + p (N/N*)^q] / (p+q), N* = n_opt (C/1e20)^a"
    reference = "Hoffmann et al. 2022, arXiv 2203.15556, eq. 2 along equal C = 6 N D, exponents freed (ours)"
    covariates = ("n_params", "tokens")
    along = ("K",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("K", "what the best model at 1e20 FLOP has above E", "nats", "amplitude"),
        Symbol("gamma", "exponent of compute along the frontier", "1", "shape"),
        Symbol("n_opt", "best size at 1e20 FLOP", "params", "shape"),
        Symbol("a", "exponent of compute in the best size", "1", "shape", high=1.0),
        Symbol("p", "exponent of size below the optimum", "1", "shape"),
        Symbol("q", "exponent of size above the optimum", "1", "shape"),
    )

    def terms(self, p, x):
        c = 6.0 * x["n_params"] * x["tokens"] / C_REFERENCE
        off = x["n_params"] / (p["n_opt"] * c ** p["a"])
        wall = (p["q"] * off ** -p["p"] + p["p"] * off ** p["q"]) / (p["p"] + p["q"])
        return {"E": p["E"], "K": p["K"] * c ** -p["gamma"] * wall}
