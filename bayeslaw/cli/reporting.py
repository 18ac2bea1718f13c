"""``bayeslaw report``: one page about a fit, to be sent on."""

from __future__ import annotations

import click

from bayeslaw.cli.common import seed_option, talk, trusted
from bayeslaw.cli.forecasting import stored_backtest
from bayeslaw.cli.output import writable
from bayeslaw.cli.reading import Reading, nothing_to_read, reading_options


@click.command(short_help="Write one HTML page about a fit, to be sent on.")
@click.argument("path", metavar="FIT")
@click.option("--runs", "logs", multiple=True, metavar="LOG", help="The runs' logs: for their events. May be repeated.")
@click.option("--to", metavar="TOKENS", help="Continue the runs to this many tokens.  [twice as far]")
@click.option("--to-step", metavar="STEP", help="Continue the runs to this optimizer step.")
@click.option("--at", metavar="FILE", help="Instead: the rows to forecast, a table without losses.")
@click.option("--flops", "--budget", "flops", metavar="BUDGET", help="Budget of the plan.  [10 times the largest run]")
@click.option("--backtest", "tested", metavar="FILE",
              help="A saved backtest: how such bands have held.  [FIT.backtest.json]")  # fmt: skip
@click.option("--title", metavar="TEXT", help="Heading of the page.")
@reading_options
@seed_option
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE", help="Where to write it.")
@click.pass_context
def report(
    ctx: click.Context,
    path: str,
    logs: tuple[str, ...],
    to: str | None,
    to_step: str | None,
    at: str | None,
    flops: str | None,
    tested: str | None,
    title: str | None,
    reading: Reading,
    seed: int,
    output: str,
) -> None:
    """Write a report on a fit: one HTML page that needs no network.

    Verdict, forecast with bands, events in the logs, calibration, plan where the law allows one, model card and
    provenance; for screen, phone and print, light and dark. The exit code is 1 if the fit cannot be trusted.
    """
    import bayeslaw

    if sum(bool(way) for way in (to, to_step, at)) > 1:
        raise click.UsageError("--to, --to-step and --at exclude one another; give one of them.")
    if output == "-":
        raise click.UsageError("a report is a file: name one, as in -o report.html.")
    if not logs and at is None:
        nothing_to_read("none is given", "--runs or --at")
    writable(output)
    fit = bayeslaw.load_fit(path)
    page = bayeslaw.report(
        fit,
        output,
        runs=reading.read(logs) if logs else None,
        at=None if at is None else reading.read(at, need_loss=False),
        tokens=to,
        step=to_step,
        flops=flops,
        backtest=stored_backtest(path, tested),
        title=title,
        seed=seed,
    )
    talk(f"wrote {output} ({len(page) / 1e3:,.0f} kB)")
    ctx.exit(trusted(fit, path))
