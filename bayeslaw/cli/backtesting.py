"""``bayeslaw backtest`` and ``bayeslaw compare``: how far bands can be trusted, and which model card to use."""

from __future__ import annotations

from typing import Any

import click

from bayeslaw.cli.common import given_by_user, is_quiet, sampling_options, seed_option, talk
from bayeslaw.cli.guard import say
from bayeslaw.cli.output import (
    cell,
    draw,
    drawable,
    emit_json,
    emit_table,
    emit_text,
    json_option,
    rows_of,
    writable,
)
from bayeslaw.cli.reading import Reading, named, reading_options


def _origins(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        found = tuple(float(part) / 100 for part in text.split(","))
    except ValueError:
        found = (0.0,)
    if not all(0 < share < 1 for share in found):
        raise click.BadParameter(f"{text!r}: write per cent with commas between, as in --origins 20,50,70.")
    return found


@click.command(short_help="Score forecasts of what is known already.")
@click.argument("data", nargs=-1, required=True, metavar="RUNS...")
@reading_options
@click.option("-m", "--model", "models", multiple=True, default=("chinchilla",), show_default=True,
              help="A model card: its name, or a TOML file. May be repeated.")  # fmt: skip
@click.option("--by", type=click.Choice(["origin", "run", "size", "largest", "group", "split"]), default="origin",
              show_default=True, help="What is held back: the rest of each run, or whole runs.")  # fmt: skip
@click.option("--origins", metavar="PERCENTS", callback=_origins, help="With --by origin: shares known.  [10,...,90]")
@click.option("--run", "only", multiple=True, metavar="RUN", help="With --by origin or run: score these runs only.")
@click.option("--split-column", default="split", show_default=True, metavar="COLUMN",
              help="With --by split: rows that say 'fit' are fitted, those that say 'test' scored.")  # fmt: skip
@click.option("--baseline", "baselines", multiple=True, metavar="NAME", help="Baselines to score beside; default all.")
@click.option("--no-baselines", is_flag=True, help="Score the models alone.")
@click.option("--approx", type=click.Choice(["laplace"]), help="Rough and quick, for exploring: no NUTS.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Units worked on at once; -1 is one per core.")
@click.option("--folder", metavar="DIR", help="Keep finished units there; the same command then goes on after a stop.")
@seed_option
@sampling_options
@click.option("-o", "--output", metavar="FILE", help="Save the backtest as JSON; beside a fit, e.g. fit.backtest.json.")
@click.option("--plot", metavar="FILE", help="Draw the calibration, e.g. calibration.png.")
@json_option
def backtest(
    data: tuple[str, ...],
    reading: Reading,
    models: tuple[str, ...],
    by: str,
    origins: tuple[float, ...] | None,
    only: tuple[str, ...],
    split_column: str,
    baselines: tuple[str, ...],
    no_baselines: bool,
    approx: str | None,
    jobs: int,
    folder: str | None,
    seed: int,
    chains: int,
    warmup: int | None,
    draws: int | None,
    output: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    """Forecast what is known already, and score it beside baselines.

    Prints coverage, width and scores of the bands; --json prints everything.
    """
    import bayeslaw

    if no_baselines and baselines:
        raise click.UsageError("--no-baselines and --baseline exclude one another; give one of them.")
    sampling = given_by_user("chains", "warmup", "draws") if approx else []
    if sampling:
        raise click.UsageError(f"{', '.join(sampling)}: options of NUTS, which --approx {approx} does without.")
    if by != "split" and given_by_user("split_column"):
        raise click.UsageError(f"--split-column goes with --by split, not with --by {by}.")
    writable(output)
    drawable(plot)
    options: dict[str, Any] = {}
    if by == "split":
        options["column"] = split_column
    if only:
        if by not in ("origin", "run"):
            raise click.UsageError(f"--run goes with --by origin or --by run, not with --by {by}.")
        options["only"] = only
    if origins is not None:
        if by != "origin":
            raise click.UsageError(f"--origins goes with --by origin, not with --by {by}.")
        options["origins"] = origins
    runs = reading.read(data)
    named(runs, only)
    result = bayeslaw.backtest(
        runs, models, by=by, baselines=() if no_baselines else baselines or None, approx=approx,
        jobs=jobs, folder=folder, seed=seed, chains=chains, warmup=warmup, draws=draws, progress=not is_quiet(),
        **options,
    )  # fmt: skip
    if output is not None:
        result.save(output)
        talk(f"saved to {output}; next: bayeslaw forecast FIT --backtest {output} --at ROWS")
    if as_json:
        click.echo(result.to_json())
    else:
        emit_text(str(result))
    if plot is not None:
        from bayeslaw.plots.calibration import plot_calibration

        draw(plot_calibration(result), plot)
        talk(f"drew {plot}")


@click.command(short_help="Rank model cards on your runs by held-out score.")
@click.argument("data", nargs=-1, required=True, metavar="RUNS...")
@reading_options
@click.option("-m", "--model", "models", multiple=True, help="A model card; repeat it. By default all that fit.")
@click.option("--unit", type=click.Choice(["run", "bin"]), default="run", show_default=True,
              help="What leave-one-out leaves out.")  # fmt: skip
@click.option("--share", type=click.FloatRange(5, 95), default=70, show_default=True,
              help="Per cent of every run that leave-future-out fits.")  # fmt: skip
@seed_option
@sampling_options
@json_option
def compare(
    data: tuple[str, ...],
    reading: Reading,
    models: tuple[str, ...],
    unit: str,
    share: float,
    seed: int,
    chains: int,
    warmup: int | None,
    draws: int | None,
    as_json: bool,
) -> None:
    """Rank model cards on your runs by held-out score, and say which to use and how sure that is."""
    import bayeslaw

    found = bayeslaw.compare(
        reading.read(data), list(models) or None, unit=unit, share=share / 100, seed=seed, chains=chains,
        warmup=warmup, draws=draws, progress=not is_quiet(),
    )  # fmt: skip
    if as_json:
        emit_json("compare", list(found.frame.columns), sentence=found.sentence, rows=rows_of(found.frame),
                  notes=list(found.notes))  # fmt: skip
        return
    header = ["card", "future", "behind", "se", "in 90 %", "LOO", "behind", "se"]
    names = ["future_score", "future_diff", "future_se", "cover90", "elpd_loo", "loo_diff", "loo_se"]
    formats = ["{:.2f}", "{:.2f}", "{:.2f}", "{:.2f}", "{:.1f}", "{:.1f}", "{:.1f}"]
    rows = [
        # a dash for a standard error that one run cannot give
        [str(row["model"]), *(cell(row[n], f.format) for f, n in zip(formats, names, strict=True))]
        for row in found.frame.to_dict(orient="records")
    ]
    emit_table(header, rows)
    talk("mean log score of what was held back, and how far behind the best; the same by leave-one-out.")
    emit_text(f"\n{found.sentence}")
    for note in found.notes:
        say(note)
