"""``bayeslaw forecast``: bands for what has no loss yet, from a saved fit or straight from a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bayeslaw.cli import onward
from bayeslaw.cli.common import seed_option, talk, trusted
from bayeslaw.cli.guard import BAD_NEWS, OK, say
from bayeslaw.cli.output import (
    draw,
    drawable,
    emit_json,
    emit_text,
    json_option,
    print_band,
    rows_of,
    whole_steps,
    writable,
    write_csv,
)
from bayeslaw.cli.reading import Reading, named, nothing_to_read, reading_options
from bayeslaw.errors import BayeslawError


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


@click.command(short_help="Forecast losses: of a log, or from a saved fit.")
@click.argument("paths", metavar="LOG...|FIT", nargs=-1, required=True)
@click.option("--to", metavar="TOKENS", help="Continue the runs to this many tokens, e.g. 2T.")
@click.option("--to-step", metavar="STEP", help="Continue the runs to this optimizer step.")
@click.option("--at", metavar="FILE", help="Instead: the rows to forecast, a table like the log without losses.")
@click.option("--schedule", "schedules", multiple=True, metavar="LINE",
              help="Instead: how the learning rate of a run goes on, e.g. wsd:decay=0.2 (decay from now).")  # fmt: skip
@click.option("--run", metavar="RUN", help="The run that goes on; by default all that are short of the target.")
@click.option("--given", metavar="FILE", help="With a FIT: what is known of those runs so far, a log.")
@click.option("-m", "--model", metavar="CARD", help="With a LOG: the model card to fit.  [what suits the log]")
@click.option("--save", metavar="FIT", help="With a LOG: save the fit, for more forecasts, plans and reports.")
@reading_options
@click.option("--levels", default="50,90", show_default=True, callback=_levels, help="Levels of the bands, per cent.")
@seed_option
@click.option("--backtest", "tested", metavar="FILE",
              help="A saved backtest: how such bands have held.  [FIT.backtest.json]")  # fmt: skip
@click.option("-o", "--output", metavar="FILE", help="Write the band as CSV; - is stdout.")
@click.option("--plot", metavar="FILE",
              help="Draw the band: .png, .svg or .pdf.  [of a LOG: LOG.forecast.png here]")  # fmt: skip
@click.option("--no-plot", is_flag=True, help="With a LOG: draw nothing.")
@json_option
@click.pass_context
def forecast(
    ctx: click.Context,
    paths: tuple[str, ...],
    to: str | None,
    to_step: str | None,
    at: str | None,
    schedules: tuple[str, ...],
    run: str | None,
    given: str | None,
    model: str | None,
    save: str | None,
    reading: Reading,
    levels: tuple[float, ...],
    seed: int,
    tested: str | None,
    output: str | None,
    plot: str | None,
    no_plot: bool,
    as_json: bool,
) -> None:
    """Forecast losses, with bands.

    Of a LOG: chooses the model card that suits it and says why, fits it, and continues the runs to a target, with a
    table, a sentence and a picture. Of a FIT, as `bayeslaw fit` or --save writes it: the same without a new fit.

    lo90 and hi90 bound an observed loss with probability 90 per cent, curve_lo90 and curve_hi90 the smooth curve
    beneath the noise; --json and -o give all columns. The exit code is 1 if the fit cannot be trusted.

    With --schedule it tells where a run would end under each learning-rate schedule: what a line leaves out (peak,
    warm-up, and for wsd the total of a decay from now) is taken from the run.
    """
    import bayeslaw

    if sum(bool(way) for way in (to, to_step, at, schedules)) != 1:
        raise click.UsageError(
            "Say what to forecast, in one way: --to 2T (tokens), --to-step 50000, rows with --at FILE, or --schedule "
            "LINE."
        )
    if run is not None and at is not None:
        raise click.UsageError(
            "--run goes with --to, --to-step or --schedule, not with --at, whose rows name their runs themselves."
        )
    if as_json and output == "-":
        raise click.UsageError("--json and -o - both want stdout; leave one of them out.")
    ready = onward.is_fit(paths[0])
    _of_logs_or_fits(ready, paths, given=given, model=model, save=save)
    if ready and at is None and given is None:
        nothing_to_read(f"{paths[0]} is a fit already", "--at or --given")
    if plot is not None and no_plot:
        raise click.UsageError("--plot and --no-plot exclude one another; give one of them.")
    if plot is None and not ready and not no_plot and not as_json and output != "-":
        plot = f"{Path(paths[0]).name}.forecast.png"
    for file in (output, save):
        writable(file)
    drawable(plot)
    names = [run] if run else None
    rows = None if at is None else reading.read(at, need_loss=False)
    log = known = None
    backtest = stored_backtest(paths[0], tested)
    if ready:
        known = None if given is None else reading.read(given)
        fits = [bayeslaw.load_fit(paths[0])]
        code, choice = trusted(fits[0], paths[0]), onward.of_fit(fits[0], paths[0])
    else:
        try:
            log = reading.read(paths)
        except BayeslawError as error:
            # rows to forecast are mostly given to a saved fit: say why this is none, too
            raise error if at is None else _nor_a_fit(error, paths[0]) from None
        # what cannot be answered is said now, and not after minutes of sampling
        named(log, names or [])
        if to is not None or to_step is not None:
            bayeslaw.ahead(log, tokens=to, step=to_step, names=names)
        choice = onward.chosen(log, model, schedule=bool(schedules))
        if schedules:
            onward.check_lines(log, run, schedules)
        fits = list(onward.fits(log, choice, run, seed))
        failed = [fit for fit in fits if not fit.check().ok]
        for fit in failed:
            say(str(fit.check()))
        code = BAD_NEWS if failed else OK
        if save is not None:
            if len(fits) > 1:
                raise click.UsageError(f"--save takes one fit, and {len(fits)} runs were fitted apart; choose --run.")
            fits[0].save(save)
            talk(f"saved the fit as {save}")
    basis = onward.basis(fits, choice)
    if schedules:
        from bayeslaw.cli.whatif import answer

        found = bayeslaw.what_if(
            fits[0], run, schedules=schedules, given=known, levels=levels, seed=seed, backtest=backtest
        )
        answer(found, levels, output, plot, as_json, basis)
        ctx.exit(code)
    bands = []
    for fit in fits:
        table = (
            rows
            if rows is not None
            else bayeslaw.ahead(fit if known is None else known, tokens=to, step=to_step, names=names)
        )
        bands.append(bayeslaw.forecast(fit, at=table, given=known, levels=levels, seed=seed, backtest=backtest))
    band = onward.joined(bands)
    for note in band.notes:
        say(note)
    frame = band.frame if at is not None else whole_steps(band.frame)
    if output is not None:
        write_csv(frame, output)
    if as_json:
        basis["notes"] += band.notes
        emit_json("forecast", list(frame.columns), **basis, levels=list(levels), rows=rows_of(frame))
    elif output != "-":
        print_band(frame if at is not None else onward.milestones(frame), levels)
        if at is None:
            for sentence in onward.sentences(frame, max(levels)):
                emit_text(f"\n{sentence}")
    if plot is not None:
        from bayeslaw.plots.bands import plot_band

        draw(plot_band(band, known if log is None else log, given=known, level=max(levels)), plot)
        talk(f"drew {plot}")
    ctx.exit(code)


def _nor_a_fit(error: BayeslawError, path: str) -> BayeslawError:
    """The error of a log that cannot be read, and why its file is no saved fit either."""
    import bayeslaw

    try:
        bayeslaw.load_fit(path)
    except BayeslawError as other:
        return type(error)(f"{error} As a saved fit: {other}")
    return error


def _of_logs_or_fits(ready: bool, paths: Sequence[str], *, given: Any, model: Any, save: Any) -> None:
    if ready and len(paths) > 1:
        raise click.UsageError(f"{paths[0]} is a fit: give one fit, or logs.")
    for name, value, fitting in (("--given", given, True), ("--model", model, False), ("--save", save, False)):
        if value is not None and ready is not fitting:
            raise click.UsageError(
                f"{name} goes with a saved fit, and {paths[0]} is a log: what is known of the runs stands there."
                if fitting
                else f"{name} goes with a log, and {paths[0]} is a fit already."
            )


def stored_backtest(path: str, tested: str | None) -> Any:
    """The backtest that was named, or the one that lies beside the fit (fit.nc: fit.backtest.json), or None."""
    from bayeslaw.backtest_result import Backtest

    beside = Path(path).with_suffix(".backtest.json")
    if tested is None and not beside.is_file():
        return None
    return Backtest.load(tested if tested is not None else beside)
