"""How far the sampler has got, on stderr: a bar on a terminal, one line elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from bayeslaw.cli.common import is_quiet

if TYPE_CHECKING:
    from bayeslaw.engine.sampler import Report


@contextmanager
def sampling_progress() -> Iterator[Report | None]:
    """A function for the sampler to report to, or None if nobody wants to hear."""
    if is_quiet():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        told = []

        def tell(stage: str, done: int, total: int) -> None:
            # not before the data have passed: what is refused is never fitted
            if not told and stage != "preparing the data":
                told.append(stage)
                click.echo("bayeslaw: fitting", err=True)

        yield tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compiling", total=None)

        def report(stage: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None, description=stage)

        yield report
