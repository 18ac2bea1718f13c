"""``bayeslaw demo``: the whole way once, on data that come with the package."""

from __future__ import annotations

from typing import Any

import click

from bayeslaw.cli.common import seed_option, talk
from bayeslaw.cli.output import draw, emit_text, print_band, writable
from bayeslaw.cli.progress import sampling_progress

PICTURE = "bayeslaw_demo.png"
LEVELS = (0.5, 0.9)
#: rows of each fitted run that the picture's forecast is drawn through, and points of a curve that are fitted
DRAWN, BINS = 40, 16


@click.command(short_help="Fit, forecast and draw the data that come along.")
@seed_option
def demo(seed: int) -> None:
    """Fit looped models of several sizes and depths, forecast the largest and deepest, draw bayeslaw_demo.png here.

    Ends with a verdict; the exit code is 0 whatever it is.
    """
    import bayeslaw
    from bayeslaw.demo import ORIGIN, demo_runs, looped_curves
    from bayeslaw.plots.looped import plot_looped_total

    writable(PICTURE)
    runs = demo_runs()
    talk(ORIGIN)
    known, held = runs.where("split == 'fit'"), runs.where("split == 'test'")
    with sampling_progress() as progress:
        fit = bayeslaw.fit(known, model="looped-total", seed=seed, max_bins=BINS, progress=progress)
    emit_text(f"{fit}\n")
    band = bayeslaw.forecast(fit, at=held, levels=LEVELS, seed=seed)
    print_band(band.frame, LEVELS)
    loss = held.frame["loss"].to_numpy()
    inside = (loss >= band.frame["lo90"].to_numpy()) & (loss <= band.frame["hi90"].to_numpy())
    trust = "can be trusted" if fit.check().ok else "cannot be trusted yet"
    emit_text(
        f"\nVerdict: the sampling {trust}, and {inside.sum()} of the {len(inside)} losses held back lie in their 90 % "
        f"band ({0.9 * len(inside):.0f} expected, give or take: neighbours err together)."
    )
    frame: Any = runs.frame
    place, size = frame.groupby("run").cumcount(), frame.groupby("run")["run"].transform("size")
    few = runs.where(((size - 1 - place) % -(-size // DRAWN) == 0).to_numpy())
    whole = bayeslaw.forecast(fit, at=few, levels=LEVELS, seed=seed)
    every = looped_curves("code", steps=False)
    draw(plot_looped_total(whole, every, given=known, level=0.9), PICTURE)
    talk(f"drew {PICTURE}")
