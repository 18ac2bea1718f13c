"""The clock as a parameter: sums of the learning rate at any power of it, from sums at a few powers.

How far training has come is counted in powers of the rate (``laws/schedule.py``), and neither theory nor a handful of
curves settles the power. A card may give it a prior; the sums then have to follow it inside the sampler. Each is a sum
of ``rate^clock`` and smooth in the power, so that a cubic through four of them, spread over the prior, stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayeslaw.laws import Schedule

#: where the sums are taken, in the prior's sd around its mean
PLACES = np.array([-2.4, -1.0, 1.0, 2.4])
#: of a stretch, what is counted by the clock
COUNTED = ("seg_S0", "seg_S1")
#: and of a row
SUMS = ("S1", "warm")


def nodes(reference: Mapping[str, float]) -> np.ndarray:
    """Powers (4,) around the prior's mean at which sums are taken, or the one () that the card fixes."""
    return reference["clock"] + reference["clock_sd"] * (PLACES if reference["clock_sd"] else np.zeros(()))


def weights(clock: Any, ref: Mapping[str, Any]) -> Any:
    """Lagrange's weights (4,) of the sums at ``nodes`` for the power ``clock`` (scalar)."""
    import jax.numpy as jnp

    u = (clock - ref["clock"]) / ref["clock_sd"]
    others = [np.delete(PLACES, k) for k in range(len(PLACES))]
    return jnp.stack([jnp.prod((u - o) / (at - o)) for at, o in zip(PLACES, others, strict=True)])


def at_clock(rows: Mapping[str, Any], clock: Any, ref: Mapping[str, Any]) -> dict[str, Any]:
    """``rows`` (``engine/rows.py``) with S1 and its share of the warm-up (R, n) and the ends of the stretches (b, m) as
    ``clock`` counts them."""
    w = weights(clock, ref)
    blocks = [{k: a @ w if k in COUNTED else a for k, a in block.items()} for block in rows["blocks"]]
    x = {k: a @ w if k in SUMS else a for k, a in rows["x"].items()}
    return {**rows, "x": x, "blocks": blocks}


def counted_sums(schedule: Schedule, steps: np.ndarray, reference: Mapping[str, float]) -> dict[str, np.ndarray]:
    """``S1`` and ``warm`` at ``steps`` (n,) by the clock of ``reference``: (n,); of a clock with a prior (n, 4)."""
    each = [schedule.progress(steps, float(clock)) for clock in np.ravel(nodes(reference))]
    if not reference["clock_sd"]:
        return each[0]
    return {name: np.stack([one[name] for one in each], axis=-1) for name in SUMS}


def counted_stretches(schedule: Schedule, most: int, reference: Mapping[str, float]) -> dict[str, np.ndarray]:
    """``Schedule.segments`` by the clock of ``reference``: arrays (most,); of a clock with a prior (most, 4)."""
    clocks = np.ravel(nodes(reference))
    each = [schedule.segments(most, clock=float(clock), top=reference["eta_peak"]) for clock in clocks]
    if not reference["clock_sd"]:
        return each[0]
    return each[0] | {k: np.stack([one[k] for one in each], axis=-1) for k in COUNTED}
