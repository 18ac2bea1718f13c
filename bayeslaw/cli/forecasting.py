"""``bayeslaw forecast``: bands for rows that have no loss yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bayeslaw.cli.guard import say
from bayeslaw.cli.output import cell, drawable, emit_json, emit_table, json_option, rows_of, writable
from bayeslaw.cli.reading import Reading, reading_options

#: columns of a band that say which row it is, in the order in which a person reads them
IDENTITY = ("run", "group", "n_params", "recurrence", "exit_step", "step", "tokens")


def _levels(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[float, ...]:
    hint = "write per cent with commas between, as in --levels 50,90."
    try:
        percents = [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers; {hint}") from None
    for percent in percents:
        if not 1 <= percent < 100:
            raise click.BadParameter(f"{percent:g} is not between 1 and 100; {hint}")
    return tuple(round(percent / 100, 6) for percent in percents)


@click.command()
@click.argument("path", metavar="FIT")
@click.option("--at", metavar="FILE", help="The rows to forecast: a table like the log, without losses.")
@click.option("--schedule", "schedules", multiple=True, metavar="LINE",
              help="Instead of --at: how a run would go on, e.g. wsd:decay=0.2 (decay from now).")  # fmt: skip
@click.option("--run", metavar="RUN", help="With --schedule: the run that goes on.")
@click.option("--given", metavar="FILE", help="What is known of those runs so far: a log.")
@reading_options
@click.option("--levels", default="50,90", show_default=True, callback=_levels, help="Levels of the bands, per cent.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same band."
)
@click.option("--backtest", "tested", metavar="FILE",
              help="A saved backtest: how such bands have held.  [FIT.backtest.json]")  # fmt: skip
@click.option("-o", "--output", metavar="FILE", help="Write the band as CSV; - is stdout.")
@click.option("--plot", metavar="FILE", help="Draw the band, e.g. band.png.")
@json_option
def forecast(
    path: str,
    at: str | None,
    schedules: tuple[str, ...],
    run: str | None,
    given: str | None,
    reading: Reading,
    levels: tuple[float, ...],
    seed: int,
    tested: str | None,
    output: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Forecast the loss of rows from a saved fit.

    Prints a table; --json and -o give all columns. lo90 and hi90 bound an observed loss with probability 90 per cent,
    curve_lo90 and curve_hi90 the smooth curve beneath the noise.

    With --schedule it tells where a run would end under each learning-rate schedule: what a line leaves out (peak,
    warm-up, and for wsd the total of a decay from now) is taken from the run.
    """
    import bayeslaw

    if (at is None) == (not schedules):
        raise click.UsageError("Say what to forecast: rows with --at FILE, or a schedule with --schedule LINE.")
    if run is not None and not schedules:
        raise click.UsageError("--run goes with --schedule; the rows of --at name their runs themselves.")
    if as_json and output == "-":
        raise click.UsageError("--json and -o - both want stdout; leave one of them out.")
    writable(output)
    drawable(plot)
    known = None if given is None else reading.read(given)
    backtest = stored_backtest(path, tested)
    if at is None:
        from bayeslaw.cli.whatif import answer

        found = bayeslaw.what_if(
            bayeslaw.load_fit(path), run, schedules=schedules, given=known, levels=levels, seed=seed, backtest=backtest
        )
        answer(found, levels, output, plot, as_json)
        return
    rows = reading.read(at, need_loss=False)
    band = bayeslaw.forecast(bayeslaw.load_fit(path), at=rows, given=known, levels=levels, seed=seed, backtest=backtest)
    for note in band.notes:
        say(note)
    if output is not None:
        with click.open_file(output, "w", encoding="utf-8") as file:
            band.frame.to_csv(file, index=False, lineterminator="\n")
    if as_json:
        emit_json(
            "forecast", list(band.frame.columns), levels=list(levels), rows=rows_of(band.frame), notes=list(band.notes)
        )
    elif output != "-":
        print_band(band.frame, levels)
    if plot is not None:
        from bayeslaw.plots.bands import plot_band

        plot_band(band, known, given=known, level=max(levels)).savefig(plot)
        say(f"drew {plot}")


def stored_backtest(path: str, tested: str | None) -> Any:
    """The backtest that was named, or the one that lies beside the fit (fit.nc: fit.backtest.json), or None."""
    from bayeslaw.backtest_result import Backtest

    beside = Path(path).with_suffix(".backtest.json")
    if tested is None and not beside.is_file():
        return None
    return Backtest.load(tested if tested is not None else beside)


def print_band(frame: Any, levels: tuple[float, ...], *, quiet: bool = False) -> None:
    """Print a band as a table: identity of each row, median and one column per level, nats per token."""
    from bayeslaw.data.units import human

    identity = [name for name in IDENTITY if name in frame and frame[name].notna().any()]
    # Steps and tokens tell rows of a run apart, so they keep more digits than a size needs.
    spell: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(("n_params", "recurrence", "exit_step"), human),
        "step": "{:,.0f}".format,
        "tokens": lambda value: human(value, 5),
    }
    names = [f"{100 * level:g}" for level in sorted(levels)]
    header = [*identity, "median", *[f"{name} % band" for name in names]]
    rows = [
        [
            *[cell(row[name], spell.get(name, str)) for name in identity],
            f"{row['median']:.4f}",
            *[f"{row['lo' + name]:.4f} - {row['hi' + name]:.4f}" for name in names],
        ]
        for row in frame.to_dict(orient="records")
    ]
    emit_table(header, rows, left=2 if "group" in identity else 1)
    if not quiet:
        say("losses in nats per token; each band is for an observed loss.")
