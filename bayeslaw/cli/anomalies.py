"""`bayeslaw anomalies`: what went wrong in recorded runs."""

from __future__ import annotations

from typing import Any

import click

from bayeslaw.cli.common import talk
from bayeslaw.cli.guard import BAD_NEWS, say
from bayeslaw.cli.output import UNITS, cell, draw, drawable, emit_json, emit_table, emit_text, json_option, rows_of
from bayeslaw.cli.reading import Reading, named, reading_options

#: columns of the table that a person reads
_HEADER = ("kind", "start", "end", "nats", "sd", "log10 e", "left over", "siblings")


def rate_option(command: Any) -> Any:
    """The option that asks for a false-alarm rate, in false alarms per 10,000 steps."""
    return click.option(
        "--rate", type=click.FloatRange(0.001, 1000), default=1.0, show_default=True,
        help="False alarms asked for, per 10,000 steps, all kinds together.",
    )(command)  # fmt: skip


@click.command()
@click.argument("paths", metavar="RUNS...", nargs=-1, required=True)
@click.option("--fit", "fit_path", metavar="FIT", help="A saved fit: judge against its law's curves.")
@click.option("--run", "only", multiple=True, metavar="NAME", help="Report this run only; all are used as siblings.")
@rate_option
@click.option("--plot", metavar="FILE", help="Draw the worst run's curve, band and events, e.g. events.png.")
@click.option(
    "--end",
    type=click.FloatRange(1),
    metavar="STEP",
    help="Last step that is planned: says what each event means for the end, and whether to roll back.",
)
@click.option("--checkpoint", type=click.FloatRange(1), metavar="STEP", help="Step to roll back to, with --end.")
@click.option("--sentences/--no-sentences", default=True, help="Say in words what happened and what to do.")
@reading_options
@json_option
@click.pass_context
def anomalies(
    ctx: click.Context,
    paths: tuple[str, ...],
    fit_path: str | None,
    only: tuple[str, ...],
    rate: float,
    plot: str | None,
    end: float | None,
    checkpoint: float | None,
    sentences: bool,
    reading: Reading,
    as_json: bool,
) -> None:
    """Find what went wrong in recorded runs.

    Spikes, shifts, drifts, divergence, NaN, frozen values, missing steps.

    Runs that read the same batches are found and judged against each other. The exit code is 1 if there is any event.
    """
    import bayeslaw

    if checkpoint is not None and end is None:
        raise click.UsageError("--checkpoint goes with --end, the last step that is planned: it is weighed against it.")
    drawable(plot)
    runs = reading.read(paths)
    named(runs, only)
    found = bayeslaw.anomalies(runs, fit=None if fit_path is None else bayeslaw.load_fit(fit_path), rate=rate / 1e4)
    frame: Any = found.frame
    only = _curves_of(runs, only)
    if only:
        frame = frame[frame["run"].isin(only)].reset_index(drop=True)
    for note in found.notes:
        say(note)
    aligned = len(set(found.alignment["run"].tolist()))
    if aligned:
        least = found.alignment["evidence"].min()
        talk(f"{aligned} runs share a data order with others (log10 evidence at least {least:.0f}).")
    if len(found.hard_batches):
        talk(f"{len(found.hard_batches)} losses far off their curve are hard batches that the siblings met too.")
    ends = [] if end is None else _ends(found, end, checkpoint, only)
    if as_json:
        emit_json(
            "anomalies", _units(runs), rate_per_10000=rate, events=rows_of(frame), alignment=rows_of(found.alignment),
            hard_batches=rows_of(found.hard_batches), notes=list(found.notes),
            aftermath=[a.record() for a in ends],
        )  # fmt: skip
    else:
        print_events(frame, sentences)
        for a in ends:
            emit_text(f"{a.run}, {a.kind.replace('_', ' ')} at step {a.start_step:,.0f}: {a.message}")
    if plot is not None:
        from bayeslaw.plots.anomalies import plot_anomalies

        drawn = [*frame["run"].value_counts().index, *only[::-1]] if only else []
        draw(plot_anomalies(found, next((name for name in drawn if name in found.rows), None)), plot)
        talk(f"drew {plot}")
    if frame.shape[0] > 0:
        ctx.exit(BAD_NEWS)


def _units(runs: Any) -> dict[str, str]:
    """Units of what is answered; a ``gradient`` event's ``expected`` and ``loss`` are gradient norms."""
    from bayeslaw.anomalies.recorded import axis_of

    steps = UNITS[axis_of(runs) or "step"]
    nats = ("loss", "expected", "magnitude", "severity", "severity_lo90", "severity_hi90", "go_on", "roll_back")
    return {
        **dict.fromkeys(nats, UNITS["loss"]), "magnitude_sd": "sd of healthy noise",
        "own_sd": "sd of the run's own noise", "evidence": "log10",
        **dict.fromkeys(("start_step", "peak_step", "end_step", "seen_at", "step"), steps),
        "rate_per_10000": "false alarms per 10,000 steps", "tokens_lost": UNITS["tokens"],
    }  # fmt: skip


def _curves_of(runs: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """What events of these runs are filed under: the runs themselves, and the exits of those that are looped."""
    from bayeslaw.anomalies.recorded import labels

    if not names:
        return ()
    label = labels(runs)[runs.frame["run"].isin(names).to_numpy()]
    return tuple(dict.fromkeys([*names, *label]))


def _ends(found: Any, end: float, checkpoint: float | None, only: tuple[str, ...]) -> list[Any]:
    """What each event that may cost something means for the end; the others need no decision."""
    from bayeslaw.anomalies.aftermath import aftermath
    from bayeslaw.anomalies.events import HARMFUL
    from bayeslaw.errors import DataError

    out = []
    for i, e in enumerate(found.frame.to_dict(orient="records")):
        if e["kind"] not in HARMFUL or e["kind"] == "nonfinite" or (only and e["run"] not in only):
            continue
        try:
            out.append(aftermath(found, i, end=end, checkpoint=checkpoint))
        except DataError as error:
            say(f"{e['run']}, step {e['start_step']:,.0f}: {error}")
    return out


def print_events(frame: Any, sentences: bool) -> None:
    """Print events as a table, and what to do about each."""
    if not len(frame):
        click.echo("no anomalies")
        return
    step = "{:,.0f}".format
    for run, events in frame.groupby("run", sort=False):
        rows = [
            [
                e["kind"] + ("" if e["probability"] >= 0.8 else "?") + (" (open)" if e["open"] else ""),
                step(e["start_step"]), step(e["end_step"]), cell(e["magnitude"], "{:+.4f}".format),
                cell(e["magnitude_sd"], "{:+.1f}".format), f"{e['evidence']:.1f}", cell(e["severity"], "{:.4f}".format),
                str(e["siblings"]),
            ] for e in events.to_dict(orient="records")
        ]  # fmt: skip
        click.echo(f"run {run}")
        emit_table(_HEADER, rows)
    if sentences:
        click.echo()
        for e in frame.to_dict(orient="records"):
            emit_text(f"{e['run']}: {e['message']}")
