"""Exits: losses at recurrent steps of a looped model, which some laws read and others take for what they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.laws import get_law

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs
    from bayeslaw.engine.assemble import Problem


def keys_of(frame: pd.DataFrame) -> list[tuple[str, float]]:
    """(run, exit step) of every row, -1 for the total loss."""
    exits = frame["exit_step"].fillna(-1.0).to_numpy(float) if "exit_step" in frame else np.full(len(frame), -1.0)
    return list(zip(frame["run"].astype(str), exits, strict=True))


def unread(law: Any, series: pd.DataFrame, notes: list[str]) -> None:
    """``notes`` is told where a run is fitted at several exits by a law to which they are all one loss."""
    if "exit_step" in (*law.covariates, *law.optional) or not series["run"].duplicated().any():
        return
    notes.append(
        f"Some runs have losses at several exits, and law {law.name} does not read exit_step: it takes them for curves "
        f"of one loss. Fit one of them, such as the total loss (an empty exit_step), or choose looped-stepwise."
    )


def unread_ahead(problem: Problem, series: pd.DataFrame, notes: list[str]) -> None:
    """``notes`` is told where new series (``series``) are asked for at exits that the fit cannot tell apart."""
    if _reads(problem):
        return
    fitted, asked = keys_of(problem.series), keys_of(series)
    new = [key for key in asked if key not in set(fitted)]
    strange = {exit_step for _, exit_step in new} - {exit_step for _, exit_step in fitted}
    if strange or len({run for run, _ in new}) < len(new):
        law = get_law(problem.layout.law)
        why = "none was fitted" if "exit_step" in law.optional else f"law {law.name} does not read it"
        notes.append(
            f"exit_step was not used, as {why}: rows at other exits than were fitted are told the loss of those. "
            f"Model looped-stepwise, fitted to the losses of each exit, tells them apart."
        )


def with_other_exits(problem: Problem, series: pd.DataFrame, given: Runs | None) -> pd.DataFrame:
    """The series asked for, and after them those of their runs that only ``given`` has: what is known of a run's other
    exits tells of the ones asked for. A law that reads no exit step would take them for what they are not."""
    if given is None or not _reads(problem) or "exit_step" not in given.frame:
        return series
    asked, rows = set(keys_of(series)), given.frame.loc[given.frame["kept"], ["run", "exit_step"]].drop_duplicates()
    first = series.drop_duplicates("run").set_index("run", drop=False)
    rows = rows[[key not in asked and key[0] in first.index for key in keys_of(rows)]]
    others = first.loc[rows["run"]].assign(exit_step=rows["exit_step"].to_numpy(float))
    return pd.concat([series, others], ignore_index=True) if len(others) else series


def _reads(problem: Problem) -> bool:
    """Whether the fit tells exits apart: an optional column counts where what was fitted had it."""
    law = get_law(problem.layout.law)
    return "exit_step" in law.covariates or ("exit_step" in law.optional and "exit_step" in problem.reference)
