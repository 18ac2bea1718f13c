"""The demo's data: curves made up from published coefficients, until there are real ones to ship.

The law is Chinchilla's form with the coefficients that Prairie et al. 2026 ("Parcae", arXiv 2604.12946) print for
their 140M looped model; sizes are those of Ouro's family and two smaller ones. Each run is shifted by 0.2 % or so and
every row is noisy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs

SIZES = {"7M": 7e6, "18M": 18e6, "53M": 53e6, "134M": 134e6, "374M": 374e6, "778M": 778e6, "1.36B": 1.36e9}
COEFFICIENTS = {"E": 2.662, "A": 522733.0, "alpha": 0.771, "B": 25420.0, "beta": 0.525}
ORIGIN = (
    "Demo data: not recorded but made up, from the coefficients that Prairie et al. 2026 (arXiv 2604.12946) publish "
    "for their 140M model, in Chinchilla's form, with 0.2 % of difference between runs and 0.4 % of noise per row."
)
ROWS, HELD = 60, 8


def demo_runs(seed: int = 7) -> Runs:
    """Seven runs of 5e8 to 2e10 tokens; column ``split``: ``fit``, or ``test`` for what the demo forecasts.

    Held back: of the 778M run all beyond 5e9 tokens, of the 1.36B run everything, at ``HELD`` points each. The notes
    say where the numbers come from.
    """
    import numpy as np
    import pandas as pd

    from bayeslaw.data.runs import Runs
    from bayeslaw.laws import get_law

    rng = np.random.default_rng(seed)
    law = get_law("chinchilla")
    parts = []
    for name, n_params in SIZES.items():
        shift = 0.002 * rng.standard_normal()
        last = 5e9 if name == "778M" else 2e10
        known, ahead = np.geomspace(5e8, last, ROWS), np.geomspace(6e9, 2e10, HELD)
        tokens = {"1.36B": np.geomspace(1e9, 2e10, HELD), "778M": np.concatenate([known, ahead])}.get(name, known)
        split = np.full(len(tokens), "fit", object)
        if name == "1.36B":
            split[:] = "test"
        elif name == "778M":
            split[ROWS:] = "test"
        loss = law.loss(COEFFICIENTS, {"n_params": n_params, "tokens": tokens})
        loss = loss * np.exp(shift + 0.004 * rng.standard_normal(len(tokens)))
        # 2**19 tokens a step, so that step and tokens agree to the row
        step = np.round(tokens / 2**19)
        parts.append(
            pd.DataFrame(
                {"run": name, "split": split, "n_params": n_params, "step": step, "tokens": step * 2**19, "loss": loss}
            )
        )
    runs = Runs.from_frame(pd.concat(parts, ignore_index=True), source="the demo's made-up data")
    return type(runs)(runs.frame, runs.facts, runs.mapping, runs.source, (*runs.notes, ORIGIN))
