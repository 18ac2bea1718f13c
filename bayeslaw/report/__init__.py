"""``report``: one page about a fit that can be sent to people who have not got bayeslaw.

    bl.report(fit, "report.html", runs=runs, tokens="2T")

The page needs no network and no scripts; pictures are drawn into it and follow the reader's light or dark setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeslaw.errors import FileError, FitError
from bayeslaw.files import written_whole
from bayeslaw.fit import Fit
from bayeslaw.report import sections

if TYPE_CHECKING:
    import pandas as pd

    from bayeslaw.data.runs import Runs

__all__ = ["report"]


def report(
    fit: Fit,
    path: str | Path | None = None,
    *,
    runs: Runs | None = None,
    at: Runs | pd.DataFrame | None = None,
    tokens: float | str | None = None,
    step: float | str | None = None,
    flops: float | str | None = None,
    backtest: Any = None,
    title: str | None = None,
    seed: int = 0,
) -> str:
    """Write a report on a fit.

    Parameters
    ----------
    fit : the posterior.
    path : where to write the page, whole or not at all; None to have its text only.
    runs : the log: then its anomalies are looked for, and its oddities told.
    at : rows to forecast; else the runs go on to ``tokens`` or ``step``, or to twice as far as they have come.
    flops : budget of the plan, as in ``plan``; by default ten times that of the largest run.
    backtest : a ``Backtest`` of the same model: then the page says how such bands have held.
    title : heading of the page.
    seed : of the forecast's and the plan's draws.

    Returns
    -------
    str, the HTML page.

    Raises
    ------
    FitError
        ``fit`` is not a fit.
    FileError
        The page cannot be written to ``path``.
    DataError, PlanError
        A target or budget that was asked for is none. What was not asked for and cannot be had is left out, and the
        page says why.
    """
    if not isinstance(fit, Fit):
        raise FitError(f"report takes a Fit, got {type(fit).__name__}: load one with bayeslaw.load_fit(path).")
    import jinja2

    asked = {"at": at, "tokens": tokens, "step": step}
    content = sections.content(fit, runs, asked, flops, backtest, title, seed)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bayeslaw", "report"),
        autoescape=True,  # names of runs and columns come from strangers
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(content)
    if path is not None:
        try:
            with written_whole(Path(path)) as draft:
                draft.write_text(page, encoding="utf-8")
        except OSError as error:
            raise FileError(f"Cannot write the report to {path}: {error.strerror or error}.") from None
    return page
