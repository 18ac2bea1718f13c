"""A run against its siblings: the contrast with each, the siblings weighed, and all that is learned of them.

Arrays with the streams along the first axis and the siblings along the second; ``siblings`` has the same of one stream.
"""

from __future__ import annotations

import numpy as np

from bayeslaw.anomalies import baseline, noise, rates
from bayeslaw.anomalies.state import State

#: how far siblings' running means may lie apart, in scales, before it counts as wander
APART = 0.6
#: rows of the running mean that says which siblings have lately moved
RECENT = 10.0
#: by how much a sibling's response to a hard batch may differ, as a share of the shock
RESPONSE = 0.015
#: rows that a sibling must have been seen for before it counts, and a run with siblings before it is judged by them
RIPE, READY = 40, 60
#: how far a sibling may lie from the nearest other, in its own scales, at one row and over ``RECENT`` rows; farther, it
#: has an event of its own, for so many rows at most
ASTRAY, HOLD = (10.0, 2.0), 200.0


def compare(st: State, loss: np.ndarray, hop: np.ndarray, others: np.ndarray) -> dict[str, np.ndarray]:
    """What siblings say of a row.

    Parameters
    ----------
    loss : (B,) nats per token. hop : (B,) advance in log-steps. others : (B, S) the siblings' losses, NaN for none.
    """
    seen = np.isfinite(others)
    y = np.where(seen, others, 0.0)
    new = seen & (st.pair_rows == 0)
    shock = np.where(seen & ~new, y - st.sib_level, 0.0)
    ahead = np.where(new, loss[:, None] - y, st.pair_level + st.pair_slope * hop[:, None])
    g = np.where(seen, loss[:, None] - y - ahead - st.response * shock, 0.0)
    ripe = seen & (st.pair_rows >= RIPE)
    count = ripe.sum(axis=1)
    base = np.sqrt(st.c_scale2) + noise.FLOOR * np.abs(loss)
    # a sibling that follows this run more closely counts for more
    # and one that has lately moved away, or is away at this step, for less: of two siblings, the one to believe is
    # the one that speaks for health, for an event of this run shows against both
    spread = st.pair_scale2 + st.pair_recent**2 + (noise.FLOOR * loss[:, None]) ** 2
    quality = np.where(ripe, 1.0 / spread, 0.0)
    away = g - np.take_along_axis(g, _nearest(ripe, g), axis=1)
    belief = np.where(ripe, 1.0 / (spread + away**2), 0.0)
    share = belief / np.maximum(belief.sum(axis=1, keepdims=True), 1e-300)
    mean = (share * g).sum(axis=1)
    rest = np.where(ripe, g - mean[:, None], 0.0)
    jolt = RESPONSE * np.abs((share * shock).sum(axis=1))
    sd = np.sqrt(base**2 + jolt**2)
    relative = np.sqrt(np.maximum(quality / np.maximum(quality.max(axis=1, keepdims=True), 1e-300), 1e-4))
    scatter = ((rest * relative / sd[:, None]) ** 2).sum(axis=1) * (1.0 + 1.0 / np.maximum(count, 1.0))
    # how far the siblings themselves have moved apart, which is what their mean may have moved by
    apart = np.sqrt((share * st.pair_mean**2).sum(axis=1) / np.maximum(count - 1.0, 1.0))
    return {
        "seen": seen, "ripe": ripe, "new": new, "ahead": ahead, "g": g, "shock": shock, "y": y, "mean": mean,
        "sd": sd, "rest": rest / sd[:, None], "z": mean / sd, "calm": mean * base / sd,
        "ready": (count > 0) & (st.c_rows >= READY),
        "scatter": scatter, "freedom": np.maximum(count - 1.0, 0.0), "any": count > 0,
        "drift": np.maximum(apart - APART, 0.0),
    }  # fmt: skip


def _nearest(ripe: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(B, 1) which ripe sibling's value is the closest to zero."""
    return np.where(ripe, np.abs(value), np.inf).argmin(axis=1)[:, None]


def _astray(st: State, pair: dict[str, np.ndarray], own: np.ndarray) -> np.ndarray:
    """(B, S) siblings in an event of their own, of which nothing is learned: far from where the nearest other lies.

    One that stays away longer than ``HOLD`` rows has a new level, and that is found from few rows.
    """
    g, ripe = pair["g"], pair["ripe"]
    away = np.zeros(g.shape, bool)
    for value, limit in ((g, ASTRAY[0]), (st.pair_recent, ASTRAY[1])):
        away |= ripe & (np.abs(value - np.take_along_axis(value, _nearest(ripe, value), axis=1)) > limit * own)
    st.pair_away = np.where(away, st.pair_away + 1.0, np.where(pair["seen"], 0.0, st.pair_away))
    late = away & (st.pair_away > HOLD)
    st.pair_steady = np.where(late, np.minimum(st.pair_steady, rates.YOUNG), st.pair_steady)
    return away & ~late


def learn(st: State, pair: dict[str, np.ndarray], calm: np.ndarray, hop: np.ndarray) -> None:
    """Levels, noise and responses after a row; ``calm`` (B,) says which streams have no event open."""
    seen, new, g, shock = pair["seen"], pair["new"], pair["g"], pair["shock"]
    own = np.sqrt(st.pair_scale2) + 1e-9
    ok = seen & calm[:, None] & ~_astray(st, pair, own)
    st.pair_typical += np.where(seen, np.abs(g) - st.pair_typical, 0.0) * 0.06
    age = np.minimum(np.minimum(st.pair_rows, st.pair_steady), st.age[:, None])
    loose = np.where(age < baseline.LOOSE, np.inf, np.maximum(own, 0.8 * st.pair_typical))
    alpha = baseline.gain(age, baseline.CONTRAST_MEMORY, baseline.CONTRAST_SHARE)
    h = hop[:, None]
    level, slope = baseline.update(
        st.pair_slope,
        pair["ahead"],
        st.usual[:, None],
        g,
        loose,
        alpha,
        baseline.CONTRAST_DAMPING,
    )
    st.pair_level = np.where(ok, level, np.where(seen, pair["ahead"], st.pair_level + st.pair_slope * h))
    st.pair_slope = np.where(ok & ~new, slope, st.pair_slope) * np.exp(-baseline.FADE * h)
    bounded = np.minimum(np.maximum(g, -3 * loose), 3 * loose)
    memory = 1.0 / np.clip(0.3 * st.pair_rows, 3.0, 300.0)
    st.pair_scale2 = np.where(ok & ~new, st.pair_scale2 + memory * (bounded**2 - st.pair_scale2), st.pair_scale2)
    # regression of the contrast on the sibling's shock: how differently the two respond to one batch
    st.shock2 = np.where(ok, st.shock2 + (shock**2 - st.shock2) * np.maximum(memory, 0.005), st.shock2)
    known = ok & (st.pair_rows > RIPE)
    st.response += np.where(known, 0.01 * bounded * shock / (4 * st.shock2 + shock**2 + 1e-12), 0.0)
    st.sib_level = np.where(
        new, pair["y"], np.where(seen, st.sib_level + shock * np.maximum(memory, 0.02), st.sib_level)
    )
    st.pair_mean = np.where(seen, st.pair_mean + (np.clip(pair["rest"], -4, 4) - st.pair_mean) * 0.02, st.pair_mean)
    near = np.clip(g, -20 * own, 20 * own)
    st.pair_recent = np.where(seen, st.pair_recent + (near - st.pair_recent) / RECENT, st.pair_recent)
    st.pair_rows, st.pair_steady = st.pair_rows + seen, st.pair_steady + seen
    use = calm & pair["any"]
    st.c_scale2, st.c_counts = noise.learn(
        st.c_rows, st.c_scale2, st.c_counts, pair["z"], pair["calm"], use, noise.CONTRAST_PRIOR
    )
    st.c_mean, st.c_wander = noise.learn_wander(
        st.c_mean, st.c_wander, pair["z"], st.c_rows, use, noise.WANDER_SHARE[1]
    )
    st.c_rows = st.c_rows + pair["any"]
