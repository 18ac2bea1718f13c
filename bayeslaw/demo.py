"""Curves that come with the package, and the part of them that the demo fits and forecasts.

The curves are real: looped language models that ``examples/looplm`` trained; ``bayeslaw/curves/README.md`` says how.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs

CURVES = Path(__file__).parent / "curves" / "looplm.parquet"
#: runs that are no part of a law: too hot, corrupted, with the learning rate lowered at the end
ODD = ("-hot", "-corrupt", "-decay")
#: tokens by which warm-up is over and letter pairs are learned; no power law holds before
SETTLED = 204_800
#: rows of the run held back that the demo tells of
HELD = 12
ORIGIN = (
    "Demo data: the total losses of small looped language models, trained on Python's standard library "
    "(examples/looplm). The largest model at its greatest depth is held back whole."
)


def looped_curves(group: str | None = None, *, odd: bool = False, steps: bool | None = None) -> Runs:
    """Loss curves of looped language models: total losses and those of each recurrent step, one row per step.

    Parameters
    ----------
    group : the corpus, ``"code"`` or ``"prose"``; both if left out.
    odd : whether runs that were made to go wrong, and branches whose learning rate decays, are among them.
    steps : True for the losses of recurrent steps alone (rows with an ``exit_step``), False for total losses alone.
    """
    from bayeslaw.readers.loading import load

    runs = load(CURVES)
    frame = runs.frame
    keep = frame["loss"].notna()
    if group is not None:
        keep &= frame["group"] == group
    if not odd:
        keep &= ~frame["run"].str.endswith(ODD)
    if steps is not None:
        keep &= frame["exit_step"].notna() == steps
    return runs.where(keep.to_numpy())


def settled(runs: Runs) -> Runs:
    """The rows after warm-up, from ``SETTLED`` tokens on."""
    return runs.where((runs.frame["tokens"] > SETTLED).to_numpy())


def hardest(runs: Runs) -> str:
    """Name of the largest model at the greatest depth that it was trained to."""
    frame = runs.frame.sort_values(["n_params", "recurrence", "tokens"])
    return str(frame["run"].iloc[-1])


def demo_runs() -> Runs:
    """Total losses on the corpus of code after warm-up, with a column ``split``.

    ``"test"`` is every row of the largest model at its greatest depth, thinned to ``HELD`` rows; ``"fit"`` the rest.
    """
    import numpy as np

    runs = settled(looped_curves("code", steps=False))
    frame = runs.frame
    held = (frame["run"] == hardest(runs)).to_numpy()
    at = np.flatnonzero(held)
    shown = np.zeros(len(frame), bool)
    shown[at[np.linspace(0, len(at) - 1, HELD).round().astype(int)]] = True
    runs = type(runs)(
        frame.assign(split=np.where(held, "test", "fit")), runs.facts, runs.mapping, runs.source, (*runs.notes, ORIGIN)
    )
    return runs.where(~held | shown)
