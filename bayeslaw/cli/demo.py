"""``bayeslaw demo``: the whole way once, on data that come with the package."""

from __future__ import annotations

import click

from bayeslaw.cli.forecasting import print_band
from bayeslaw.cli.guard import say
from bayeslaw.cli.output import draw, writable
from bayeslaw.cli.progress import sampling_progress

PICTURE = "bayeslaw_demo.png"
LEVELS = (0.5, 0.9)


@click.command(short_help="Fit, forecast and draw the data that come along.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="No progress bar and no talk.")
def demo(seed: int, quiet: bool) -> None:
    """Fit the demo runs, forecast the rows held back, and draw bayeslaw_demo.png here.

    Ends with a verdict; the exit code is 0 whatever it is.
    """
    import bayeslaw
    from bayeslaw.demo import ORIGIN, demo_runs
    from bayeslaw.plots.bands import plot_band

    writable(PICTURE)
    runs = demo_runs()
    if not quiet:
        say(ORIGIN)
    known, held = runs.where("split == 'fit'"), runs.where("split == 'test'")
    with sampling_progress(quiet) as progress:
        fit = bayeslaw.fit(known, model="chinchilla", seed=seed, progress=progress)
    click.echo(f"{fit}\n")
    begun = [name for name in held.names if name in known.names]
    prefix = known.select(*begun) if begun else None
    band = bayeslaw.forecast(fit, at=held, given=prefix, levels=LEVELS, seed=seed)
    print_band(band.frame, LEVELS, quiet=quiet)
    loss = held.frame["loss"].to_numpy()
    inside = (loss >= band.frame["lo90"].to_numpy()) & (loss <= band.frame["hi90"].to_numpy())
    trust = "can be trusted" if fit.check().ok else "cannot be trusted yet"
    click.echo(
        f"\nVerdict: the sampling {trust}, and {inside.sum()} of the {len(inside)} losses held back lie in their 90 %\n"
        f"band ({0.9 * len(inside):.0f} expected, give or take: neighbours err together)."
    )
    draw(plot_band(band, runs.select(*held.names), given=prefix, level=0.9), PICTURE)
    if not quiet:
        say(f"drew {PICTURE}")
