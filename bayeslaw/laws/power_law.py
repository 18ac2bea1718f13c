"""Power law of one run: loss against its own tokens, or its own steps, plus a constant."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol

_REFERENCE = "Henighan et al. 2020, arXiv 2010.14701, eq. 1.1 (x is {})"


class PowerLaw(Law):
    """``L = E + B / D^beta``: what the curve of one run can settle.

    Henighan et al. 2020, "Scaling Laws for Autoregressive Generative Modeling" (arXiv 2010.14701), equation 1.1, with
    x the tokens D seen so far. E holds all that more tokens will not take away: the text's entropy, and what a
    model of this size never learns.
    """

    name = "power-law"
    title = "Power law in tokens"
    formula = "L = E + B / D^beta"
    reference = _REFERENCE.format("tokens")
    covariates = ("tokens",)
    along = ("B",)
    symbols = (
        Symbol("E", "loss that more tokens of this run do not take away", "nats", "amplitude"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
    )

    def terms(self, p, x):
        return {"E": p["E"], "B": p["B"] * x["tokens"] ** -p["beta"]}


class PowerLawSteps(Law):
    """``L = E + B / s^beta``: as :class:`PowerLaw`, in optimizer steps s, for logs that do not count tokens.

    At a constant batch the two are one law with another B; through a batch ramp they are not. The form is that of
    Henighan et al. 2020 (arXiv 2010.14701), equation 1.1.
    """

    name = "power-law-steps"
    title = "Power law in steps"
    formula = "L = E + B / s^beta"
    reference = _REFERENCE.format("steps")
    covariates = ("step",)
    along = ("B",)
    symbols = (
        Symbol("E", "loss that more steps of this run do not take away", "nats", "amplitude"),
        Symbol("B", "step term", "nats * steps^beta", "amplitude"),
        Symbol("beta", "exponent of steps", "1", "shape"),
    )

    def terms(self, p, x):
        return {"E": p["E"], "B": p["B"] * x["step"] ** -p["beta"]}
