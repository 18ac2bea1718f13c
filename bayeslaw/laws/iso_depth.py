"""Iso-depth: what a recurrence is worth, in parameters."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol


class IsoDepth(Law):
    """``L = E + A / (N_once + r^phi * N_rec)^alpha + B / D^beta``.

    "How Much Is One Recurrence Worth? Iso-Depth Scaling Laws for Looped Language Models" (arXiv 2604.21106). N_once
    are the parameters outside the loop, N_rec those inside it, r the number of recurrent steps, D training tokens.
    phi = 0: looping is worth nothing but compute; phi = 1: as good as that many more layers. Published, on the
    paper's main panel: E 1.57, alpha 0.199, beta 0.369, phi 0.459 (95 % 0.41-0.53).
    """

    name = "iso-depth"
    title = "Iso-depth"
    formula = "L = E + A / (N_once + r^phi * N_rec)^alpha + B / D^beta"
    reference = "How Much Is One Recurrence Worth?, arXiv 2604.21106"
    covariates = ("n_params_once", "n_params_recurrent", "recurrence", "tokens")
    along = ("B",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("A", "parameter term", "nats * params^alpha", "amplitude"),
        Symbol("alpha", "exponent of parameters", "1", "shape"),
        Symbol("phi", "worth of a recurrence as an exponent", "1", "shape"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
    )

    def terms(self, p, x):
        worth = x["n_params_once"] + x["recurrence"] ** p["phi"] * x["n_params_recurrent"]
        return {"E": p["E"], "A": p["A"] * worth ** -p["alpha"], "B": p["B"] * x["tokens"] ** -p["beta"]}
