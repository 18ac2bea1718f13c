"""Ways of holding rows back: what a backtest fits, what it is given, and what it scores.

Each function takes ``Runs`` and returns ``Split`` records, which are masks over the rows of ``runs.frame``. Splits
that fit the same rows share one fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.errors import DataError, meant, nearest

ORIGINS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
#: fewest rows that a prefix must have, and fewest rows left to score
FEWEST_ROWS = 3


@dataclass(frozen=True, eq=False)
class Split:
    """One thing to forecast.

    Attributes
    ----------
    name : what is held back, for people.
    fold : the part of the study that it belongs to: a run, a size, a group.
    origin : share of the scored runs that is known; 0 for runs of which nothing is.
    learn : (rows,) bool, the rows that are fitted.
    score : (rows,) bool, the rows forecast and scored. None of them is fitted or given.
    given : (rows,) bool, rows that the forecast is conditioned on without fitting again; or None.
    """

    name: str
    fold: str
    origin: float
    learn: np.ndarray
    score: np.ndarray
    given: np.ndarray | None = None

    def __post_init__(self) -> None:
        known = self.learn if self.given is None else self.learn | self.given
        if (known & self.score).any():
            raise DataError(f"The split {self.name!r} scores rows that it fits or is given: hold them back.")
        for what, mask in (("fits", self.learn), ("scores", self.score)):
            if not mask.any():
                raise DataError(f"The split {self.name!r} {what} no rows at all.")


def share_of_run(runs: Runs) -> np.ndarray:
    """(rows,) how far along its run each row is: its step (else tokens, else flops) over the run's last."""
    frame = runs.frame
    out = np.full(len(frame), np.nan)
    for name in ("step", "tokens", "flops"):
        if name in frame:
            x = frame[name].to_numpy(float)
            last = pd.Series(np.where(frame["kept"], x, np.nan)).groupby(frame["run"].to_numpy()).transform("max")
            out = np.where(np.isnan(out), x / last.to_numpy(float), out)
    return np.where(np.isnan(out), 1.0, out)


def by_origin(runs: Runs, *, origins: Sequence[float] = ORIGINS, only: Sequence[str] = (), refit: bool = True):
    """Rolling origin: of each run the first 10, 20, ... % are known with all other runs whole; the rest is scored.

    ``only`` names the runs to score (default all). With ``refit=False`` the prefix is not fitted but given to the
    forecast, so that all origins of a run share one fit of the others.
    """
    kept, names, share = _basics(runs)
    out = []
    for run in _named(runs, only):
        mine = kept & (names == run)
        if mine.sum() < 2 * FEWEST_ROWS:
            continue
        for origin in origins:
            seen = mine & (share <= origin)
            score = mine & ~seen
            if min(seen.sum(), score.sum()) < FEWEST_ROWS or (not refit and not (kept & ~mine).any()):
                continue
            learn, given = (kept & ~score, None) if refit else (kept & ~mine, seen)
            out.append(Split(f"{run} from {origin:.0%}", str(run), float(origin), learn, score, given))
    return _some(out, "a rolling origin needs a run with at least six rows")


def by_run(runs: Runs, *, only: Sequence[str] = ()):
    """Leave one run out: all the others are fitted."""
    kept, names, _ = _basics(runs)
    wanted = _named(runs, only) if len(runs.names) > 1 else ()
    out = [Split(f"{run} left out", str(run), 0.0, kept & (names != run), kept & (names == run)) for run in wanted]
    return _some(out, "to leave one run out there must be two")


def by_size(runs: Runs):
    """Leave one size (``n_params``) out."""
    return _by_column(runs, "n_params", "size")


def by_group(runs: Runs):
    """Leave one group (corpus, family) out."""
    return _by_column(runs, "group", "group")


def by_largest(runs: Runs):
    """Leave the largest size out, of each group that has two sizes; the other groups stay whole."""
    kept, _, _ = _basics(runs)
    sizes = _column(runs, "n_params", "largest").to_numpy(float)
    groups = runs.frame["group"].astype(str).to_numpy() if "group" in runs.frame else np.full(len(kept), "")
    out = []
    for group in dict.fromkeys(groups[kept]):
        mine = kept & (groups == group)
        largest = np.nanmax(sizes[mine])
        score = mine & (sizes >= largest / 1.02)
        if (mine & ~score).any():
            name = f"largest of {group}" if group else "largest size"
            out.append(Split(f"{name} left out", name, 0.0, kept & ~score, score))
    return _some(out, "to leave the largest size out there must be two sizes")


def by_split(runs: Runs, *, column: str = "split", fit: str = "fit", test: str = "test"):
    """The user's own split: rows where ``column`` says ``fit`` are fitted, those where it says ``test`` are scored."""
    if column not in runs.frame:
        raise DataError(
            f"There is no column {column!r} to split by; the table has {', '.join(map(str, runs.frame.columns))}."
        )
    kept, _, _ = _basics(runs)
    value = runs.frame[column].astype(str).to_numpy()
    for word in (fit, test):
        if not (value == word).any():
            there = ", ".join(map(repr, list(dict.fromkeys(value))[:5]))
            raise DataError(f"No row of column {column!r} says {word!r}; it says {there}.")
    return [Split(f"{column}: {test}", str(test), 0.0, kept & (value == fit), kept & (value == test))]


WAYS: dict[str, Callable[..., list[Split]]] = {
    "origin": by_origin,
    "run": by_run,
    "size": by_size,
    "largest": by_largest,
    "group": by_group,
    "split": by_split,
}


def make_splits(runs: Runs, by: str, **options: Any) -> list[Split]:
    """The splits of one way in ``WAYS``; DataError names the ways, its options, or what the runs lack for this one."""
    check_options(by, options)
    return WAYS[by](runs, **options)


def options_of(by: str) -> tuple[str, ...]:
    """Names of the options that a way of splitting takes. DataError names the ways if there is no such."""
    if by not in WAYS:
        raise DataError(f"There is no split by {by!r}; there are {', '.join(WAYS)}.")
    return tuple(inspect.signature(WAYS[by]).parameters)[1:]


def check_options(by: str, options: Iterable[str], also: Iterable[str] = ()) -> None:
    """DataError names the first of ``options`` that the way ``by`` does not take, the nearest names that it takes or
    that are in ``also`` (those of the function that was called), and the ways that do take it."""
    there = options_of(by)
    for name in options:
        if name in there:
            continue
        ways = [way for way in WAYS if name in options_of(way)]
        hint = meant(nearest(name, [*there, *also]), "{}=")
        if ways:
            hint = f" It goes with by={' or by='.join(map(repr, ways))}."
        takes = ", ".join(f"{n}=" for n in there) or "no options"
        raise DataError(f"There is no option {name}= with by={by!r}, which takes {takes}.{hint}")


def _basics(runs: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not runs.has_loss:
        raise DataError(f"{runs.source} has no losses to score against.")
    return runs.frame["kept"].to_numpy(bool), runs.frame["run"].astype(str).to_numpy(), share_of_run(runs)


def _named(runs: Runs, only: Sequence[str]) -> Sequence[str]:
    """The runs to score; DataError if one of them is not there."""
    if only:
        runs.select(*only)
    return only or runs.names


def _column(runs: Runs, name: str, way: str) -> Any:
    frame: Any = runs.frame
    if name not in frame or frame[name].isna().all():
        raise DataError(f"A split by {way} needs the column {name}, which the runs do not have.")
    return frame[name]


def _by_column(runs: Runs, column: str, way: str) -> list[Split]:
    kept, _, _ = _basics(runs)
    values = _column(runs, column, way).to_numpy()
    members = [v for v in pd.unique(values[kept]) if not pd.isna(v)]
    if column == "n_params":
        from bayeslaw.data.units import human

        labels = [human(float(v)) for v in members]
    else:
        labels = [str(v) for v in members]
    out = []
    for value, label in zip(members, labels, strict=True):
        score = kept & (values == value)
        if (kept & ~score).any():
            out.append(Split(f"{label} left out", label, 0.0, kept & ~score, score))
    return _some(out, f"to leave one {way} out there must be two")


def _some(splits: list[Split], why: str) -> list[Split]:
    if not splits:
        raise DataError(f"Nothing can be held back: {why}.")
    return splits
