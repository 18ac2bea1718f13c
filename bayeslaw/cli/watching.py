"""`bayeslaw watch`: follow a growing log and report events as they come."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bayeslaw.cli.anomalies import rate_option
from bayeslaw.cli.common import talk
from bayeslaw.cli.guard import BAD_NEWS, say
from bayeslaw.cli.output import writable
from bayeslaw.cli.reading import Reading, nothing_to_read, reading_options
from bayeslaw.errors import DataError

if TYPE_CHECKING:
    from bayeslaw.anomalies.watch import Watch


@click.command()
@click.argument("path", metavar="PATH")
@click.option("--siblings", metavar="FILE", help="A log of finished runs to compare with, where they fit.")
@click.option("--events", metavar="FILE", help="Append events here, each exactly once. Default: PATH.events.jsonl")
@click.option("--state", metavar="FILE", help="Keep what is known here. Default: PATH.watch.json")
@click.option("--once", is_flag=True, help="Judge what is in the file now and end.")
@click.option("--every", type=click.FloatRange(0.01), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--idle", type=click.FloatRange(0), metavar="SECONDS", help="End when nothing new came for so long.")
@click.option(
    "--notify",
    multiple=True,
    metavar="ADDRESS",
    envvar="BAYESLAW_NOTIFY",
    help="Tell of new events there: an Apprise address, such as slack://... or mailto://...; may be repeated.",
)
@rate_option
@reading_options
@click.pass_context
def watch(
    ctx: click.Context,
    path: str,
    siblings: str | None,
    events: str | None,
    state: str | None,
    once: bool,
    every: float,
    idle: float | None,
    notify: tuple[str, ...],
    rate: float,
    reading: Reading,
) -> None:
    """Follow a growing log and tell of events as they come.

    The log is CSV or JSON lines; events are JSON lines: one when it opens, one when it turns out to be of another kind,
    one when it is settled, each exactly once.

    Survives being killed at any moment, rotated and truncated logs, late and repeated rows, and restarts of the run.
    The exit code is 1 if there was any event.
    """
    from bayeslaw.anomalies.watch import Watch, line_of

    if once and not Path(path).exists():  # without --once a log that is not there yet is waited for
        raise click.UsageError(f"There is no file {path}, and --once judges what is in it now.")
    if siblings is None:
        nothing_to_read("of the log that is watched only steps and losses count", "--siblings", used=("columns",))
    events, state = events or f"{path}.events.jsonl", state or f"{path}.watch.json"
    writable(events)
    writable(state)
    others = None if siblings is None else reading.read(siblings)
    notifier = None
    if notify:
        from bayeslaw.anomalies.notify import Notifier

        notifier = Notifier(notify)
    watcher = Watch(path, events, state, rate=rate / 1e4, siblings=others, columns=reading.columns, notifier=notifier)
    quiet_since, seen = time.monotonic(), watcher.written > 0
    told: set[str] = set()
    while True:
        news = False
        for found in watcher.poll():
            news = True
            for event in found:
                seen = True
                click.echo(line_of(event))
        if not once:
            _remark(watcher, told, 20)
        if news:
            quiet_since = time.monotonic()
        if once or (idle is not None and time.monotonic() - quiet_since >= idle):
            break
        time.sleep(every)
    for event in watcher.finish():
        seen = True
        click.echo(line_of(event))
    lines = watcher.tail.lines
    if once and not lines.taken and lines.lacking:
        raise DataError(f"{path}: not one line has a step with a loss. {lines.lack}")
    _remark(watcher, told, 1)
    if lines.skipped:
        say(f"{lines.skipped:,} lines could not be read and were skipped.")
    for name, count in lines.passed.items():
        talk(f"{count:,} rows with {name!r} were passed over: the loss is {lines.loss!r}.")
    if notify and watcher.told < watcher.written:
        say("Not every service took the notification; what was not taken is sent again at the next start.")
    if seen:
        ctx.exit(BAD_NEWS)
    talk(f"no events; they would be in {events}")


def _remark(watcher: Watch, told: set[str], least: int) -> None:
    """Say once of each run what of its rows could not be judged, at least so many; and of a log that it has none."""
    lines = watcher.tail.lines
    news = watcher.monitor.remarks(least)
    if not lines.taken and lines.lacking >= max(least, 20):
        news[""] = f"{watcher.tail.path}: no line so far has a step with a loss. {lines.lack}"
    for name in news.keys() - told:
        told.add(name)
        say(news[name])
