"""What the warm-up leaves behind, and how soon it is gone: shared by the laws of schedules.

Right after the warm-up losses fall faster or slower than any power of the summed rate that fits the rest of a run: by
0.02-0.2 nats curves lie off it there, either way, runs of one setup apart as well, and a few thousand updates later
nothing of it is left. A law that does not say so bends its exponent to the first rows, one way at one size and the
other way at the next, and pays for that far out.

The form is ours. The exponent of the summed rate is ``alpha0`` as the warm-up ends and goes over to ``alpha`` as
``(S_w / S1)^kappa``, S_w being the summed rate of the warm-up:

    A * S1^-alpha * exp((alpha0 - alpha) / kappa * (S_w / S1)^kappa)

whose slope in log S1 is ``-(alpha + (alpha0 - alpha) (S_w / S1)^kappa)``, so that the loss falls whatever the two
exponents. With ``alpha0 = alpha``, or without a warm-up, the plain power is left.
"""

from __future__ import annotations

from collections.abc import Mapping

from bayeslaw.laws.base import Array, Symbol

#: below this the share of the warm-up counts as this, so that its logarithm is finite
SHARE_FLOOR = 1e-30

FORMULA = "A * S1^-alpha * exp((alpha0 - alpha) / kappa * (S_w/S1)^kappa)"
SYMBOLS = (
    Symbol("alpha", "exponent of the summed rate", "1", "shape"),
    Symbol("alpha0", "the same as the warm-up ends", "1", "shape"),
    Symbol("kappa", "power of the summed rate with which the one gives way to the other", "1", "shape"),
)


def power(p: Mapping[str, Array], x: Mapping[str, Array]) -> Array:
    """The term ``A`` of one row, nats: ``p`` has A, alpha, alpha0, kappa; ``x`` the row's S1 and ``warm``, S_w / S1."""
    import jax.numpy as jnp

    fading = jnp.exp(p["kappa"] * jnp.log(jnp.maximum(x["warm"], SHARE_FLOOR)))
    bend = (p["alpha0"] - p["alpha"]) / p["kappa"]
    return p["A"] * jnp.exp(bend * fading - p["alpha"] * jnp.log(x["S1"]))
