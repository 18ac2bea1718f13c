"""How far the sampler has got, on stderr: a bar on a terminal, one line elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from bayeslaw.cli.common import is_quiet
from bayeslaw.progress import Report, reporting


@contextmanager
def sampling_progress() -> Iterator[Report | None]:
    """A function for the sampler to report to, or None if nobody wants to hear."""
    if is_quiet():
        yield None
        return
    from rich.console import Console

    if Console(stderr=True).is_terminal:
        with reporting(True) as report:
            yield report
        return
    told = []

    def tell(stage: str, done: int, total: int) -> None:
        # not before the data have passed: what is refused is never fitted
        if not told and stage != "preparing the data":
            told.append(stage)
            click.echo("bayeslaw: fitting", err=True)

    yield tell
