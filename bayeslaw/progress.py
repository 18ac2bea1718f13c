"""Progress of long work: from what a caller asked for, one callback, ``report(stage, done, total)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, int, int], None]


@contextmanager
def reporting(progress: Report | bool | None, counted: str = "") -> Iterator[Report]:
    """A context that gives the caller's own callback; for True a bar on stderr, gone at the end; else a deaf one.

    ``counted`` is what the work is counted in ("units"), told in numbers; without it the bar tells per cent.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda stage, done, total: None
        return
    from rich import progress as parts
    from rich.console import Console

    elapsed, remaining = parts.TimeElapsedColumn(), parts.TimeRemainingColumn()
    if counted:
        share = (parts.MofNCompleteColumn(), f"{counted},", elapsed, "gone,", remaining, "left")
    else:
        share = (parts.TaskProgressColumn(), elapsed, remaining)
    columns = ("{task.description}", parts.BarColumn(), *share)
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        # a total of nothing is one that is not known yet
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total or None)
