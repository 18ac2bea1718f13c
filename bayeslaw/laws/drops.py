"""How far each of a schedule's drops has come at a row: shared by the annealing laws."""

from __future__ import annotations

from collections.abc import Mapping

from bayeslaw.laws.base import Array


def drops_so_far(x: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
    """The done part of each stretch of the row's schedule.

    Parameters
    ----------
    x : one row: ``step``, ``S1`` scalars, ``seg_*`` of shape (m,) as ``laws/schedule.py`` describes.

    Returns
    -------
    drop : (m,) fall of the rate so far, 0 for stretches to come and for padding.
    eta : (m,) rate in the middle of the done part.
    since : (m,) rates summed from the middle of the done part to now (S_k of the multi-power law); >= 0.
    updates : (m,) updates of the stretch done so far; may be a fraction.

    The updates of a stretch are ``step0 + 1 ... step1``. With n of h done their middle is update
    ``step0 + (n + 1) / 2``, so a stretch of one update is exact and a longer one right to second order.
    """
    import jax.numpy as jnp

    h = x["seg_step1"] - x["seg_step0"]
    n = jnp.clip(x["step"] - x["seg_step0"], 0.0, h)
    share = n / h
    eta = x["seg_eta"] + x["seg_drop"] * (1 - share) / 2
    covered = jnp.clip(x["S1"] - x["seg_S0"], 0.0, x["seg_S1"] - x["seg_S0"])
    middle = covered * jnp.maximum(n - 1, 0.0) / (2 * jnp.maximum(n, 1.0))
    since = jnp.maximum(x["S1"] - x["seg_S0"] - middle, 0.0)
    return x["seg_drop"] * share, eta, since, n
